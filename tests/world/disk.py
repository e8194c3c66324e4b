"""A small disk of its own, and somebody else who fills it: this module makes both.

ext4 in a file, as on a USB disk with its journal and reserved blocks, where we may use loop devices; else in memory.
"""

import errno
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.world.lab import not_run

_CHUNK = 256 * 1024


class Disk:
    """A file system of ``size`` bytes at ``root``. Made by ``small_disk``."""

    def __init__(self, root: Path, device: str | None, size: int) -> None:
        self.root, self._device, self._size = root, device, size

    @property
    def free(self) -> int:
        """Bytes that others than root may still write."""
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize

    @property
    def survives(self) -> bool:
        """Whether it keeps what it holds when it is unplugged: a disk in memory does not."""
        return self._device is not None

    def mount(self) -> None:
        what = ["-t", "tmpfs", "-o", f"size={self._size}", "none"] if self._device is None else [self._device]
        _run("mount", *what, str(self.root))

    def unplug(self) -> None:
        """Take it away from under whoever uses it: what they have open they keep, the folder is empty from now on."""
        _run("umount", "-l", str(self.root))

    def throw_away(self) -> None:
        """Give its device back, once nobody has anything open on it."""
        if self._device is not None:
            _run("losetup", "--detach", self._device)


@contextmanager
def small_disk(root: Path, size: int) -> Iterator[Disk]:
    """Give an empty mounted disk; skips the test with the words "not run" where none can be mounted."""
    root.mkdir()
    try:
        disk = Disk(root, _device(root.with_name(root.name + ".img"), size), size)
        disk.mount()
    except RuntimeError:
        disk = _in_memory(root, size)
    try:
        yield disk
    finally:
        if root.is_mount():
            disk.unplug()
        disk.throw_away()


def _in_memory(root: Path, size: int) -> Disk:
    disk = Disk(root, None, size)
    try:
        disk.mount()
    except RuntimeError as error:
        not_run(f"a small disk cannot be mounted: {error}")
    return disk


def _device(image: Path, size: int) -> str:
    """Return a loop device with an empty file system. One device for one image: two would spoil it."""
    with open(image, "wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", str(image))
    return _run("losetup", "--find", "--show", str(image))


def _run(*command: str) -> str:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": path})
    except FileNotFoundError as missing:
        raise RuntimeError(f"{missing.filename} is missing") from missing
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout.strip()


class Hog:
    """Somebody else's file on the same disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take(self, size: int) -> None:
        """Grow by so many bytes, written and not only promised."""
        with open(self.path, "ab") as file:
            while size > 0:
                size -= file.write(bytes(min(size, _CHUNK)))
            os.fsync(file.fileno())

    def fill(self) -> None:
        """Grow until the disk takes no byte more, of nobody."""
        with suppress(FileNotFoundError), open(self.path, "ab", buffering=0) as file:
            chunk = _CHUNK
            while chunk:
                try:
                    file.write(bytes(chunk))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    chunk //= 8

    def go(self) -> None:
        self.path.unlink(missing_ok=True)


class Watch:
    """``with Watch(disk) as watch: …; watch.least`` is the least free space that was seen meanwhile, in bytes."""

    def __init__(self, disk: Disk) -> None:
        self._disk, self._stop = disk, threading.Event()
        self.least = disk.free
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._stop.is_set():
            self.least = min(self.least, self._disk.free)
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
