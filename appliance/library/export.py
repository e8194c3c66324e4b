"""Videos as a folder that plays without Seedkeep: media under readable names, what is known of each, and lists.

Media are hard links where the folder is on the library's file system, else copies. Nothing that is there is ever
overwritten, save the two lists, which begin with a line that says they are ours. Every name is looked up in the opened
folder, no link is followed, and a copy has a temporary name until it is whole, so a kill leaves no half film. Where
picture and sound lie in files of their own, a playlist beside them brings them together. All of it blocks on the disk:
call it in a thread. This module writes the folder.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appliance.domain.units import Origin, RenditionName, VideoId
from appliance.domain.video import RenditionKind
from appliance.errors import BadAnswer, BadInput, NoSpace
from appliance.library import files
from appliance.library.atomic import naming_disk_errors
from appliance.library.bytemap import playlist_text
from appliance.library.export_lists import INDEX, LIST, OURS, Shown, index, master, playlist
from appliance.library.export_names import media_names, slug, sound_apart, stem_of
from appliance.library.layout import TEMPORARY
from appliance.library.manifest import Manifest, RenditionRecord, encode, sizes
from appliance.library.marker import Library
from appliance.library.readable import readable
from appliance.library.space import Floor

_CHUNK = 4 * 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES})
"""What a file system says that cannot link, or not there: then the file is copied."""


class Stopped(Exception):
    """The export was told to stop; what is there stays."""


@dataclass(slots=True)
class Tally:
    """Bytes so far: linked, copied, there already; and what could not be exported, by title."""

    linked: int = 0
    copied: int = 0
    present: int = 0
    left: list[str] = field(default_factory=list)


class Folder:
    """One folder that is being written. ``stop`` is asked between pieces of a copy."""

    def __init__(
        self, library: Library, root: Path, name: str, floor: Floor, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """``name`` is taken as a file name, whatever it holds."""
        self.path = root / readable(name, "Channel")
        self._library, self._root, self._floor, self._stop = library, root, floor, stop
        self.tally = Tally()

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Make the folder where needed and open it. Raises BadInput where it may not be there, DiskError."""
        library = self._library.root.resolve()
        if self._root.resolve().is_relative_to(library):
            raise BadInput("The folder for exports lies inside the library.", field="library.export_dir")
        with naming_disk_errors("The folder for the export cannot be used"):
            self._root.mkdir(parents=True, exist_ok=True)
            root = os.open(self._root, _FOLDER)
            try:
                try:
                    os.mkdir(self.path.name, 0o755, dir_fd=root)
                except FileExistsError:
                    pass
                folder = os.open(self.path.name, _FOLDER | os.O_NOFOLLOW, dir_fd=root)
            finally:
                os.close(root)
        try:
            yield folder
        finally:
            os.close(folder)

    def add(self, folder: int, origin: Origin, video: VideoId) -> Shown | None:
        """Write one video; None where nothing of it is whole. Raises NoSpace, DiskError, LibraryMissing, Stopped."""
        if self._stop():
            raise Stopped
        try:
            manifest = files.load(self._library, origin, video)
        except BadAnswer as error:
            self.tally.left.append(f"{video}: {error.message}")
            return None
        whole = () if manifest is None else tuple(r for r in manifest.renditions if r.whole and r.files)
        if manifest is None or not whole:
            self.tally.left.append(f"{readable(manifest.title) if manifest else video}: nothing of it is whole here.")
            return None
        try:
            with self._library.open_folder(origin, video) as source:
                return self._write(source, folder, manifest, whole)
        except FileNotFoundError:
            self.tally.left.append(f"{readable(manifest.title)}: its folder is not there.")
            return None

    def finish(self, folder: int, title: str, shown: Iterable[Shown]) -> None:
        """Write the two lists, and make all of it last."""
        found = list(shown)
        with naming_disk_errors("The lists of the export cannot be written"):
            _replace_ours(folder, INDEX, index(title, found).encode(), OURS[0])
            _replace_ours(folder, LIST, playlist(found).encode(), OURS[1])
            os.fsync(folder)

    def _write(self, source: int, folder: int, manifest: Manifest, whole: tuple[RenditionRecord, ...]) -> Shown:
        stem = stem_of(manifest)
        order = sorted(whole, key=lambda r: (not r.has_video, r.kind is RenditionKind.WEB, -r.height))
        sound = sound_apart(order)
        names = media_names(manifest, order)
        present = [name for file, name in names.items() if self._place(source, folder, file, name, _size(whole, file))]
        play = names[order[0].files[0].name]
        if sound is not None:
            play = self._together(folder, manifest, (order[0], sound), names, stem) or play
        poster = ""
        if manifest.thumbnail is not None:
            poster = self._beside(source, folder, manifest.thumbnail.file, f"{stem}.jpg")
        for caption in manifest.captions:
            self._beside(source, folder, caption.file, f"{stem}.{caption.language}.vtt")
        with naming_disk_errors("What is known of a video cannot be written"):
            _write_new(folder, f"{stem}.json", encode(manifest))
        about = f"{manifest.published_at:%Y-%m-%d}" if manifest.published_at else ""
        rest = tuple(name for name in present if name != play)
        return Shown(manifest.title or "Untitled", about, play, manifest.duration, poster, rest)

    def _place(self, source: int, folder: int, file: str, name: str, size: int) -> bool:
        """Put one media file there, by link or by copy; tell whether it is there now."""
        found = files.regular(source, file)
        if found is None or found.st_size != size:
            self.tally.left.append(f"{name}: its file is not whole.")
            return False
        with naming_disk_errors("A file cannot be exported"):
            there = _there(folder, name)
            if there is not None:
                same = (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
                if same or (stat.S_ISREG(there.st_mode) and there.st_size == size):
                    self.tally.present += size
                    return True
                self.tally.left.append(f"{name}: another file of that name is there, and stays.")
                return False
            try:
                os.link(file, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                self.tally.linked += size
                return True
            self._copy(source, folder, file, name, size)
        return True

    def _copy(self, source: int, folder: int, file: str, name: str, size: int) -> None:
        self._require(folder, size)
        temporary = f"{TEMPORARY}{name}"[:200]
        _forget(folder, temporary)
        reading = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=source)
        try:
            writing = os.open(temporary, _NEW, 0o644, dir_fd=folder)
            try:
                while part := os.read(reading, _CHUNK):
                    if self._stop():
                        raise Stopped
                    view = memoryview(part)
                    while view:
                        view = view[os.write(writing, view) :]
                    self.tally.copied += len(part)
                os.fsync(writing)
            finally:
                os.close(writing)
            _settle(folder, temporary, name)
        except BaseException:
            _forget(folder, temporary)
            raise
        finally:
            os.close(reading)

    def _require(self, folder: int, size: int) -> None:
        """Raise NoSpace unless so much fits: on the library's own disk above the floor."""
        found = os.fstatvfs(folder)
        total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        same = os.fstat(folder).st_dev == os.stat(self._library.root).st_dev
        if size > free - (self._floor.on(total) if same else 0):
            raise NoSpace(
                "There is not enough room where the export goes.",
                hint="Free some space there, or choose another folder: what is there already is not copied again.",
            )

    def _together(
        self,
        folder: int,
        manifest: Manifest,
        parts: tuple[RenditionRecord, RenditionRecord],
        names: dict[str, str],
        stem: str,
    ) -> str:
        """Write playlists that bring picture and sound together; return the one to open, or nothing.

        They name each other and the media without anything to escape: players differ in whether they undo that.
        """
        maps = files.read_bytemaps(self._library, manifest)
        lists = []
        for part, word in zip(parts, ("picture", "sound"), strict=True):
            bytemap = maps.get(RenditionName(part.name))
            if bytemap is None:
                return ""
            lists.append(f"{slug(manifest, word)}.m3u8")
            text = playlist_text(bytemap, sizes(part), lambda name: names.get(name, name))
            with naming_disk_errors("A playlist cannot be written"):
                _write_new(folder, lists[-1], text.encode())
        text = master(parts, manifest.duration, (lists[0], lists[1]))
        with naming_disk_errors("A playlist cannot be written"):
            _write_new(folder, f"{stem}.m3u8", text.encode())
        return f"{stem}.m3u8"

    def _beside(self, source: int, folder: int, file: str, name: str) -> str:
        """Put a small file there; return its name, or nothing where it is not there."""
        found = files.regular(source, file)
        return name if found is not None and self._place(source, folder, file, name, found.st_size) else ""


def _size(renditions: Iterable[RenditionRecord], name: str) -> int:
    return next(file.size for r in renditions for file in r.files if file.name == name)


def _there(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _forget(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass


def _write_new(folder: int, name: str, data: bytes) -> None:
    """Write a small file, unless something of that name is there."""
    temporary = f"{TEMPORARY}list"
    if _there(folder, name) is not None:
        return
    _forget(folder, temporary)
    descriptor = os.open(temporary, _NEW, 0o644, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _settle(folder, temporary, name)


def _settle(folder: int, temporary: str, name: str) -> None:
    """Give a finished file its name, unless somebody took that meanwhile; without links only by looking first."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(temporary, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_LINKS or _there(folder, name) is not None:
            raise
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _replace_ours(folder: int, name: str, data: bytes, mark: bytes) -> None:
    found = _there(folder, name)
    if found is not None:
        if not stat.S_ISREG(found.st_mode):
            return
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            if file.read(len(mark)) != mark:
                return
        os.unlink(name, dir_fd=folder)
    _write_new(folder, name, data)
