"""Where a torrent's pieces lie on disk, and which of them are good: this module maps, reads and hashes them.

Everything here blocks: run it in a thread.
"""

import errno
import hashlib
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from appliance.domain.units import ByteCount

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Slice:
    """``length`` bytes from ``offset`` of one file (by its index in the torrent)."""

    file: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Extents:
    """The files of a torrent laid end to end (BEP 3), and cut into pieces."""

    folder: Path
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    piece_length: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, folder: Path, names: tuple[str, ...], sizes: Iterable[int], piece_length: int) -> "Extents":
        lengths = tuple(sizes)
        return cls(folder, names, lengths, piece_length, tuple(accumulate(lengths, initial=0)))

    @property
    def size(self) -> ByteCount:
        return ByteCount(self.starts[-1])

    @property
    def pieces(self) -> int:
        return -(-self.size // self.piece_length)

    def piece_size(self, piece: int) -> int:
        return min(self.piece_length, self.size - piece * self.piece_length)

    def path(self, file: int) -> Path:
        return self.folder / self.names[file]

    def piece_at(self, file: int, offset: int) -> int:
        """Return the piece that holds one byte of a file."""
        return (self.starts[file] + offset) // self.piece_length

    def slices(self, start: int, length: int) -> Iterator[Slice]:
        """Yield where ``length`` bytes from ``start`` of the whole torrent lie, in order."""
        file = bisect_right(self.starts, start) - 1
        while length > 0:
            offset = start - self.starts[file]
            part = min(length, self.sizes[file] - offset)
            yield Slice(file, offset, part)
            start, length, file = start + part, length - part, file + 1

    def piece_slices(self, piece: int) -> Iterator[Slice]:
        return self.slices(piece * self.piece_length, self.piece_size(piece))


def lengths_on_disk(extents: Extents) -> tuple[int, ...]:
    """Return the length of each file as it is, -1 where there is none."""
    return tuple(_length(extents.path(k)) for k in range(len(extents.names)))


def _length(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def read_piece(extents: Extents, piece: int) -> bytes:
    """Return a piece as it lies on disk, shorter where a file is. Raises OSError."""
    parts = []
    for part in extents.piece_slices(piece):
        fd = os.open(extents.path(part.file), os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts.append(os.pread(fd, part.length, part.offset))
        finally:
            os.close(fd)
    return b"".join(parts)


def pieces_with_data(extents: Extents) -> set[int]:
    """Return the pieces of which at least one byte lies on disk: sparse holes and missing files are left out."""
    found: set[int] = set()
    for k, start in enumerate(extents.starts[:-1]):
        for first, end in _data_ranges(extents.path(k)):
            last = min(end, extents.sizes[k]) - 1
            if first <= last:
                found.update(range((start + first) // extents.piece_length, (start + last) // extents.piece_length + 1))
    return found


def _data_ranges(path: Path) -> Iterator[tuple[int, int]]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        end = 0
        while True:
            first = os.lseek(fd, end, os.SEEK_DATA)
            end = os.lseek(fd, first, os.SEEK_HOLE)
            yield first, end
    except OSError as stop:
        if stop.errno not in {errno.ENXIO, errno.EINVAL}:
            raise
    finally:
        os.close(fd)


def good_pieces(
    extents: Extents, hash_of: Callable[[int], bytes], candidates: Iterable[int], stop: Callable[[], bool]
) -> Iterator[int]:
    """Yield those of ``candidates`` whose bytes on disk match their SHA-1. Ends early once ``stop()`` is true."""
    handles: dict[int, int] = {}
    try:
        for piece in sorted(candidates):
            if stop():
                return
            if _digest(extents, piece, handles) == hash_of(piece):
                yield piece
    finally:
        for fd in handles.values():
            if fd >= 0:
                os.close(fd)


def _digest(extents: Extents, piece: int, handles: dict[int, int]) -> bytes | None:
    digest = hashlib.sha1(usedforsecurity=False)
    for part in extents.piece_slices(piece):
        fd = _opened(extents, part.file, handles)
        if fd < 0:
            return None
        done = 0
        while done < part.length:
            data = _read(fd, min(_CHUNK, part.length - done), part.offset + done)
            if not data:
                return None
            digest.update(data)
            done += len(data)
    return digest.digest()


def _read(fd: int, length: int, offset: int) -> bytes:
    try:
        return os.pread(fd, length, offset)
    except OSError:  # what cannot be read is not good
        return b""


def is_there(extents: Extents) -> bool:
    """Tell whether the folder is there: without it nothing is known of the files, as when their disk is away."""
    return os.path.isdir(extents.folder)


def _opened(extents: Extents, file: int, handles: dict[int, int]) -> int:
    """Return an open descriptor of one file, -1 where it cannot be opened; a few stay open between pieces."""
    if file not in handles:
        while len(handles) >= 8:
            old = handles.pop(next(iter(handles)))
            if old >= 0:
                os.close(old)
        try:
            handles[file] = os.open(extents.path(file), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            handles[file] = -1
    return handles[file]


def sync_files(extents: Extents) -> None:
    """Make the files and their folder's entries last through a power loss. Raises OSError."""
    for k in range(len(extents.names)):
        _fsync(extents.path(k), os.O_RDONLY)
    _fsync(extents.folder, os.O_RDONLY | os.O_DIRECTORY)


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
