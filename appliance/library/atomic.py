"""Writing so that a kill or a power cut leaves the old file or the new one, never half: this module does that.

All functions block on the disk: call them in a thread.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.errors import DiskError, NoSpace
from appliance.library.layout import TEMPORARY

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def naming_disk_errors(what: str) -> Iterator[None]:
    """Turn OSError into NoSpace or DiskError with ``what`` in front. FileNotFoundError passes: callers ask for it."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("The disk is full.", hint="Free some space, or lower what the rules may use.") from error
        raise DiskError(f"{what}: {error.strerror or error}.", hint="Look at the disk and its permissions.") from error


def write_at(folder: int, name: str, data: bytes) -> None:
    """Write ``name`` in the open directory ``folder``: temporary name, fsync, rename, fsync of the folder."""
    temporary = TEMPORARY + name
    with naming_disk_errors("A file cannot be written"):
        fd = os.open(temporary, _NEW, 0o644, dir_fd=folder)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        except OSError:
            os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            os.close(fd)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def read_at(folder: int, name: str, limit: int) -> bytes:
    """Return a regular file's content, at most ``limit`` bytes. Raises FileNotFoundError, DiskError."""
    with naming_disk_errors("A file cannot be read"):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        try:
            if os.fstat(fd).st_size > limit:
                raise DiskError(f"A file in the library is too large to be ours: {name}.")
            with os.fdopen(os.dup(fd), "rb") as file:
                return file.read(limit)
        finally:
            os.close(fd)
