"""The library's marker: this module proves that the folder we are about to touch is our library.

A disk that is not mounted leaves an empty folder behind. Every write and every delete therefore passes
``Library.open_folder`` (or ``require``), which wants to see the marker file with our id first.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.domain.units import Origin, VideoId
from appliance.errors import BadInput, LibraryMissing
from appliance.library.atomic import naming_disk_errors, write_at
from appliance.library.layout import MARKER, TEMPORARY, origin_folder, video_folder

_IGNORED = {"lost+found"}
"""What a fresh file system has by itself."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_INNER = _FOLDER | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Library:
    """The folder tree ``root`` with the marker ``library_id``. All methods block on the disk: call them in a thread."""

    root: Path
    library_id: str

    def claim(self) -> None:
        """Make ``root`` our library: a new or empty folder gets the marker, one that is ours already stays so.

        Only for a library that was never claimed before, or by a person's wish: an unmounted disk's mount point is an
        empty folder too. Raises BadInput (not empty and not ours; another Seedkeep's), DiskError.
        """
        with naming_disk_errors("The library folder cannot be used"):
            self.root.mkdir(parents=True, exist_ok=True)
            found = self._marker()
            if found == self.library_id:
                return
            if found is not None:
                raise BadInput(
                    "The library folder belongs to another Seedkeep.",
                    hint="Choose another folder, or start with the data folder that goes with it.",
                    field="library_dir",
                )
            if any(name not in _IGNORED and not name.startswith(TEMPORARY) for name in os.listdir(self.root)):
                raise BadInput(
                    "The library folder is not empty and is not a Seedkeep library.",
                    hint="Choose an empty or new folder.",
                    field="library_dir",
                )
            fd = os.open(self.root, _FOLDER)
            try:
                write_at(fd, MARKER, f"{self.library_id}\n".encode())
            finally:
                os.close(fd)

    def present(self) -> bool:
        """Whether the marker is there, with our id."""
        return self._marker() == self.library_id

    def require(self) -> None:
        """Raise LibraryMissing unless the marker is there."""
        self._require(self._marker())

    def _require(self, found: str | None) -> None:
        if found != self.library_id:
            raise LibraryMissing(
                "The library is not there: its marker file is missing.",
                hint=f"Is the disk mounted? {self.root} should hold a file named {MARKER}.",
            )

    def folder(self, origin: Origin, video: VideoId) -> Path:
        """Return where a video lies, or would lie. Touches nothing."""
        return video_folder(self.root, origin, video)

    @contextmanager
    def open_folder(self, origin: Origin, video: VideoId, *, create: bool = False) -> Iterator[int]:
        """Give a video's folder as an open directory, no symbolic link followed below ``root``.

        With ``create`` the folder is made, and lasts. Raises LibraryMissing, DiskError, and FileNotFoundError where it
        does not exist and is not to be made.
        """
        self.folder(origin, video)
        self.require()
        opened: list[int] = []
        try:
            with naming_disk_errors("The library cannot be used"):
                opened.append(os.open(self.root, _FOLDER))
                self._require(_id_in(opened[-1]))  # of the folder that is open: disks come and go meanwhile
                for name in (origin_folder(origin), video):
                    if create and _make(name, opened[-1]):
                        os.fsync(opened[-1])
                    opened.append(os.open(name, _INNER, dir_fd=opened[-1]))
            yield opened[-1]
        finally:
            for fd in reversed(opened):
                os.close(fd)

    def enter(self, origin: Origin, video: VideoId) -> int:
        """Return a video's folder as an open directory, which the caller closes. Raises as ``open_folder`` does."""
        with self.open_folder(origin, video) as folder:
            return os.dup(folder)  # not inherited by children (PEP 446)

    def _marker(self) -> str | None:
        """The id in the marker file, or None: unreadable is as good as absent, we then touch nothing."""
        try:
            root = os.open(self.root, _FOLDER)
        except OSError:
            return None
        try:
            return _id_in(root)
        finally:
            os.close(root)


def _id_in(root: int) -> str | None:
    try:
        fd = os.open(MARKER, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=root)
    except OSError:
        return None
    try:
        return os.read(fd, 200).decode("utf-8", "replace").strip()
    except OSError:
        return None
    finally:
        os.close(fd)


def _make(name: str, parent: int) -> bool:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return False
    return True
