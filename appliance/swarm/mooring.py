"""Where libtorrent writes: this module holds the very folder open that an unfinished torrent lies in.

libtorrent opens files by their path, and lays folders that are not there. Where a disk goes from under it, the path
leads to what lies below its mount point: another disk. So the path that it gets leads through a descriptor of the
opened folder (proc_pid_fd(5)), to that file system or nowhere. An open folder keeps its disk from being unmounted;
therefore it is held no longer than something may be written (``Moorings``).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import DiskError

NOWHERE = "/proc/self/fdinfo"
"""A folder that is always there, and in which nobody can make anything."""


@dataclass(slots=True)
class Mooring:
    """An open folder. Its number is another's once it is ``cut``, or forgotten: by then libtorrent must not use it.

    ``slack``: the disk may have gone and come back since; before more is written the folder is to be opened anew.
    """

    fd: int
    slack: bool = False

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.fd}"

    def cut(self) -> None:
        """Close the folder. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.cut()


def moored(folder: Path, enter: Callable[[], int] | None) -> Mooring:
    """Open a folder: by ``enter``, which knows whether it is the right one, else by its path. Blocks.

    Raises DiskError.
    """
    try:
        if enter is not None:
            return Mooring(enter())
        folder.mkdir(parents=True, exist_ok=True)
        return Mooring(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as trouble:
        raise DiskError(
            f"The video's folder cannot be opened: {trouble.strerror}.", hint="Is the disk there? It is tried again."
        ) from trouble
