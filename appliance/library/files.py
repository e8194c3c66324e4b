"""The files of one video: this module writes, opens and lists them; ``release`` deletes them.

Functions block on the disk, so call them in a thread; ``Draft`` has coroutines that use threads.
"""

import asyncio
import os
import stat
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.domain.shelf import ByteMap
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.errors import BadAnswer, DiskError
from appliance.library.atomic import naming_disk_errors, read_at, write_at
from appliance.library.bytemap import MAX_PLAYLIST, read_playlist
from appliance.library.hashes import MAX_LIST
from appliance.library.layout import MANIFEST, is_video_id
from appliance.library.manifest import (
    MAX_MANIFEST,
    Damaged,
    Manifest,
    decode,
    encode,
    listed_names,
    media_names,
    sizes,
)
from appliance.library.marker import Library


def save(library: Library, manifest: Manifest) -> Path:
    """Write ``video.json``, fsynced, making the folder where needed; return the folder.

    Must come before any file it newly lists is created. Raises LibraryMissing, NoSpace, DiskError, BadAnswer.
    """
    data = encode(manifest)
    with library.open_folder(Origin(manifest.origin), manifest.video, create=True) as folder:
        write_at(folder, MANIFEST, data)
    return library.folder(Origin(manifest.origin), manifest.video)


def load(library: Library, origin: Origin, video: VideoId) -> Manifest | None:
    """Return a video's record, None where there is none. Raises BadAnswer (damaged), LibraryMissing, DiskError."""
    try:
        with library.open_folder(origin, video) as folder:
            manifest = decode(read_at(folder, MANIFEST, MAX_MANIFEST))
    except FileNotFoundError:
        return None
    if manifest.origin != origin or manifest.video != video:
        raise BadAnswer("The video's record lies in another video's folder.")
    return manifest


def load_all(library: Library) -> Iterator[Manifest | Damaged]:
    """Yield the record of every video in the library; damaged ones are named, folders without one passed over."""
    library.require()
    for origin, video in _video_folders(library.root):
        try:
            data = _read_record(library.root / origin / video)
            manifest = decode(data) if data is not None else None
        except (BadAnswer, DiskError) as error:
            yield Damaged(origin, video, error.message)
            continue
        if manifest is None:
            continue
        if library.folder(Origin(manifest.origin), manifest.video) != library.root / origin / video:
            yield Damaged(origin, video, "The video's record lies in another video's folder.")
            continue
        yield manifest


def empty_folders(library: Library) -> Iterator[tuple[VideoId, Path]]:
    """Yield the videos' folders in which there is nothing, not even a record. Raises LibraryMissing, DiskError."""
    library.require()
    for origin, video in _video_folders(library.root):
        with naming_disk_errors("A video's folder cannot be read"):
            if not os.listdir(library.root / origin / video):
                yield VideoId(video), library.root / origin / video


def write_side(library: Library, manifest: Manifest, name: str, data: bytes) -> None:
    """Write a small file that ``manifest``, already saved, lists. Raises as ``save`` does."""
    if name not in listed_names(manifest) or name in media_names(manifest):
        raise DiskError(f"Not a side file of this video: {name!r}.")
    with library.open_folder(Origin(manifest.origin), manifest.video) as folder:
        write_at(folder, name, data)


def read_side(library: Library, manifest: Manifest, name: str, limit: int = MAX_LIST) -> bytes | None:
    """Return a side file's content, None where it is not there. Raises LibraryMissing, DiskError."""
    try:
        with library.open_folder(Origin(manifest.origin), manifest.video) as folder:
            return read_at(folder, name, limit)
    except FileNotFoundError:
        return None


def read_bytemaps(library: Library, manifest: Manifest) -> dict[RenditionName, ByteMap]:
    """Return the byte map of every rendition whose playlist is on disk and readable."""
    out: dict[RenditionName, ByteMap] = {}
    for rendition in manifest.renditions:
        if rendition.playlist is None:
            continue
        data = read_side(library, manifest, rendition.playlist, MAX_PLAYLIST)
        try:
            if data is not None:
                out[RenditionName(rendition.name)] = read_playlist(data, "", sizes(rendition))
        except BadAnswer:
            continue
    return out


def present_names(library: Library, manifest: Manifest) -> dict[str, ByteCount]:
    """Return those listed files that are on disk as regular files, with their apparent sizes in bytes."""
    try:
        with library.open_folder(Origin(manifest.origin), manifest.video) as folder:
            found = {name: regular(folder, name) for name in listed_names(manifest)}
    except FileNotFoundError:
        return {}
    return {name: ByteCount(s.st_size) for name, s in found.items() if s is not None}


def fsync_files(library: Library, manifest: Manifest, names: Collection[str]) -> None:
    """Make files and their folder last. Raises DiskError also where one of them is not there."""
    with naming_disk_errors("A file cannot be written to the disk for good"):
        try:
            with library.open_folder(Origin(manifest.origin), manifest.video) as folder:
                for name in names:
                    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
                    try:
                        os.fsync(fd)
                    finally:
                        os.close(fd)
                os.fsync(folder)
        except FileNotFoundError as error:
            raise DiskError("A file of the video has vanished.") from error


class Draft:
    """A media file that is being written at any offset: sparse, of its final size from the start.

    An async context manager; leaving it closes the file without fsync. Pieces may be written at the same time. A
    cancelled call may still be at work in its thread: the file is closed only after it, for its number would by then
    be another file's, and pieces must never be written there.
    """

    def __init__(self, library: Library, manifest: Manifest, name: str) -> None:
        """``manifest`` must be saved already and list ``name`` as media, else ``__aenter__`` raises DiskError."""
        self._library, self._manifest, self._name = library, manifest, name
        self._fd, self._users, self._closed = -1, 0, False
        self._idle = threading.Condition()

    async def __aenter__(self) -> "Draft":
        try:
            await asyncio.to_thread(self._open)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._leave()
        await asyncio.to_thread(self._wait)

    def _open(self) -> None:
        size = next((f.size for r in self._manifest.renditions for f in r.files if f.name == self._name), None)
        if size is None:
            raise DiskError(f"Not a media file of this video: {self._name!r}.")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with (
            self._library.open_folder(Origin(self._manifest.origin), self._manifest.video, create=True) as folder,
            naming_disk_errors("A media file cannot be opened"),
        ):
            fd = os.open(self._name, flags, 0o644, dir_fd=folder)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise DiskError(f"This is not a regular file: {self._name!r}.")
                os.ftruncate(fd, size)
                os.fsync(folder)
            except BaseException:
                os.close(fd)
                raise
        with self._idle:
            self._fd = fd
            self._close_if_done()

    def _leave(self) -> None:
        with self._idle:
            self._closed = True
            self._close_if_done()

    def _wait(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: self._fd < 0)

    def _close_if_done(self) -> None:
        if self._closed and not self._users and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._idle.notify_all()

    @contextmanager
    def _using(self) -> Iterator[int]:
        with self._idle:
            if self._closed or self._fd < 0:
                raise DiskError("The media file is closed.")
            self._users += 1
        try:
            yield self._fd
        finally:
            with self._idle:
                self._users -= 1
                self._close_if_done()

    async def write(self, offset: int, data: bytes) -> None:
        """Write ``data`` at ``offset``. Raises NoSpace, DiskError."""
        await asyncio.to_thread(self._write, offset, data)

    def _write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        with self._using() as fd, naming_disk_errors("A media file cannot be written"):
            while view:
                written = os.pwrite(fd, view, offset)
                view, offset = view[written:], offset + written

    async def read(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes as they lie there, verified or not. Raises DiskError."""
        return await asyncio.to_thread(self._read, offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        with self._using() as fd, naming_disk_errors("A media file cannot be read"):
            return os.pread(fd, length, offset)

    async def fsync(self) -> None:
        await asyncio.to_thread(self._fsync)

    def _fsync(self) -> None:
        with self._using() as fd, naming_disk_errors("A media file cannot be written to the disk for good"):
            os.fsync(fd)


def used(library: Library, manifest: Manifest, names: Collection[str] | None = None) -> ByteCount:
    """Return the bytes that a video's listed files, or ``names``, take on the disk (blocks: holes don't count)."""
    try:
        with library.open_folder(Origin(manifest.origin), manifest.video) as folder:
            found = [regular(folder, name) for name in (listed_names(manifest) if names is None else names)]
    except FileNotFoundError:
        return ByteCount(0)
    return ByteCount(sum(s.st_blocks * 512 for s in found if s is not None))


def regular(folder: int, name: str) -> os.stat_result | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _video_folders(root: Path) -> Iterator[tuple[str, str]]:
    with naming_disk_errors("The library cannot be listed"):
        origins = sorted(e.name for e in os.scandir(root) if e.is_dir(follow_symlinks=False))
    for origin in origins:
        with naming_disk_errors("The library cannot be listed"):
            videos = sorted(e.name for e in os.scandir(root / origin) if e.is_dir(follow_symlinks=False))
        yield from ((origin, video) for video in videos if is_video_id(video))


def _read_record(path: Path) -> bytes | None:
    with naming_disk_errors("A video's folder cannot be read"):
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return read_at(folder, MANIFEST, MAX_MANIFEST)
    except FileNotFoundError:
        return None
    finally:
        os.close(folder)
