"""Copies for televisions on the disk: this module creates them, keeps them and deletes them. Blocking: use a thread.

They lie in one folder of ours below the library's root, outside the videos' own, as ``VIDEO-SOURCE-MADE.mp4``:
``SOURCE`` names the bytes it was made of, ``MADE`` when. One that is being made has a temporary name, so after any kill
a file there is a whole copy, or is swept at the start. ``VIDEO-SOURCE.json`` remembers attempts that failed.
What has another name there is not ours, and stays.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.domain.units import ByteCount, VideoId
from appliance.errors import DiskError
from appliance.library.atomic import naming_disk_errors, read_at, write_at
from appliance.library.files import regular
from appliance.library.layout import TEMPORARY
from appliance.library.marker import Library

FOLDER = ".seedkeep-copies"
_NAME = re.compile(r"([a-z2-7]{16})-([a-z2-7]{16})-([0-9]{1,12})\.mp4")
_RECORD = re.compile(r"([a-z2-7]{16})-([a-z2-7]{16})\.json")
_MOST_RECORD = 16 * 1024
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Copy:
    """A whole copy. ``made`` and ``used`` (when the video was last watched, or came) in seconds since 1970."""

    video: VideoId
    source: str
    made: int
    size: ByteCount
    used: float

    @property
    def name(self) -> str:
        return f"{self.video}-{self.source}-{self.made}.mp4"


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of earlier attempts: how many failed (one that a crash ended counts), when the last one began, and
    why it failed, in one plain sentence; empty where nobody could say."""

    video: str
    source: str
    failed: Annotated[int, Meta(ge=0, le=1000)]
    at: datetime
    message: Annotated[str, Meta(max_length=1000)] = ""
    hint: Annotated[str, Meta(max_length=1000)] = ""


def every(library: Library) -> tuple[Copy, ...]:
    """Return all whole copies. Raises LibraryMissing, DiskError."""
    found = []
    with _opened(library) as folder:
        for name in _names(folder):
            match, told = _NAME.fullmatch(name), regular(folder, name)
            if match is not None and told is not None:
                size = ByteCount(told.st_size)
                found.append(Copy(VideoId(match[1]), match[2], int(match[3]), size, told.st_mtime))
    return tuple(found)


def sweep(library: Library) -> int:
    """Delete what was never finished; return how many files that were. For the start, when nothing is being made."""
    with _opened(library) as folder:
        unfinished = [name for name in _names(folder) if name.startswith(TEMPORARY)]
        for name in unfinished:
            _unlink(folder, name)
        return len(unfinished)


def path(library: Library, copy: Copy) -> Path:
    """Return where a copy lies. Touches nothing."""
    return library.root / FOLDER / copy.name


def begin(library: Library, video: VideoId, source: str) -> Path:
    """Make an empty file for a copy that is about to be made, and return its path; its name is temporary.

    ``finish`` or ``abandon`` must follow. Raises LibraryMissing, NoSpace, DiskError.
    """
    name = _temporary(video, source)
    with _opened(library, create=True) as folder, naming_disk_errors("A copy for televisions cannot be begun"):
        _unlink(folder, name)
        os.close(os.open(name, _NEW, 0o644, dir_fd=folder))
    return library.root / FOLDER / name


def finish(library: Library, video: VideoId, source: str, made: datetime, used: datetime) -> Copy:
    """Give a copy that is whole its name, once it will last; it counts as last played at ``used``.

    Raises LibraryMissing, NoSpace, DiskError.
    """
    name = _temporary(video, source)
    with _opened(library) as folder, naming_disk_errors("A copy for televisions cannot be kept"):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        except FileNotFoundError as error:
            raise DiskError("A copy for televisions vanished while it was made.") from error
        try:
            os.fsync(fd)
            told = os.fstat(fd)
        finally:
            os.close(fd)
        copy = Copy(video, source, int(made.timestamp()), ByteCount(told.st_size), used.timestamp())
        os.utime(name, (copy.used, copy.used), dir_fd=folder, follow_symlinks=False)
        os.replace(name, copy.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
        return copy


def abandon(library: Library, video: VideoId, source: str) -> None:
    """Delete what was begun. Raises LibraryMissing, DiskError."""
    with _opened(library) as folder:
        _unlink(folder, _temporary(video, source))


def drop(library: Library, copy: Copy) -> None:
    """Delete a copy. Raises LibraryMissing, DiskError."""
    with _opened(library) as folder, naming_disk_errors("A copy for televisions cannot be deleted"):
        _unlink(folder, copy.name)
        os.fsync(folder)


def touch(library: Library, copy: Copy, used: datetime) -> None:
    """Write down that a copy is being played. Raises LibraryMissing, DiskError."""
    seconds = used.timestamp()
    with (
        _opened(library) as folder,
        naming_disk_errors("A copy for televisions cannot be marked"),
        suppress(FileNotFoundError),
    ):
        os.utime(copy.name, (seconds, seconds), dir_fd=folder, follow_symlinks=False)


def attempts(library: Library) -> tuple[Attempts, ...]:
    """Return what is remembered of failed attempts; a record that cannot be read is passed over."""
    found = []
    with _opened(library) as folder:
        for name in _names(folder):
            if (match := _RECORD.fullmatch(name)) is None or regular(folder, name) is None:
                continue
            with suppress(msgspec.MsgspecError, DiskError, FileNotFoundError):
                one = msgspec.json.decode(read_at(folder, name, _MOST_RECORD), type=Attempts)
                if (one.video, one.source) == (match[1], match[2]) and one.at.tzinfo is not None:
                    found.append(one)
    return tuple(found)


def remember(library: Library, one: Attempts) -> None:
    """Write down an attempt. Raises LibraryMissing, NoSpace, DiskError."""
    with _opened(library, create=True) as folder:
        write_at(folder, f"{one.video}-{one.source}.json", msgspec.json.encode(one))


def forget(library: Library, video: VideoId, source: str) -> None:
    """Forget all attempts at one copy. Raises LibraryMissing, DiskError."""
    with _opened(library) as folder:
        _unlink(folder, f"{video}-{source}.json")


def _temporary(video: VideoId, source: str) -> str:
    return f"{TEMPORARY}{video}-{source}.mp4"


@contextmanager
def _opened(library: Library, *, create: bool = False) -> Iterator[int]:
    """Give our folder as an open directory; with none and nothing to make, an empty answer: -1 (see ``_names``)."""
    library.require()
    opened: list[int] = []
    try:
        with naming_disk_errors("The library cannot be used"):
            opened.append(os.open(library.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            if create:
                with suppress(FileExistsError):
                    os.mkdir(FOLDER, 0o755, dir_fd=opened[0])
                    os.fsync(opened[0])
            with suppress(FileNotFoundError):
                opened.append(os.open(FOLDER, _OPEN, dir_fd=opened[0]))
        yield opened[1] if len(opened) > 1 else -1
    finally:
        for fd in reversed(opened):
            os.close(fd)


def _names(folder: int) -> list[str]:
    with naming_disk_errors("The copies for televisions cannot be listed"):
        return [] if folder < 0 else sorted(os.listdir(folder))


def _unlink(folder: int, name: str) -> None:
    """Delete a regular file, if it is there and is one."""
    if folder < 0 or regular(folder, name) is None:
        return
    with naming_disk_errors("A copy for televisions cannot be deleted"), suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
