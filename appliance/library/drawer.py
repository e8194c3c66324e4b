"""Small files that can be fetched again, kept in a folder of their own within a bound: this module is that drawer.

A file is named by the digest of what it is known by. Only names of that form are counted, and deleted: the least
recently used go first, and so do those that a kill left half written. Everything here blocks on the disk: call it in a
thread.
"""

import hashlib
import os
import re
import stat
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from appliance.clock import Clock
from appliance.domain.units import ByteCount
from appliance.errors import DiskError, NoSpace
from appliance.library.atomic import naming_disk_errors, write_at
from appliance.library.layout import TEMPORARY

MOST = ByteCount(64 * 1024 * 1024)
LEAST_FREE = ByteCount(128 * 1024 * 1024)
"""Bytes that the disk must have left for anything to be put in."""
_NAME = re.compile(r"[0-9a-f]{32}")
_USED_AGAIN = 3600.0
"""Seconds after which a use is noted on the disk: the order of use lasts over restarts, at few writes."""


class Drawer:
    """``folder`` is made when the first file comes; ``most`` bytes lie in it at most."""

    def __init__(self, folder: Path, clock: Clock, most: ByteCount = MOST, least_free: ByteCount = LEAST_FREE) -> None:
        self._folder, self._clock, self._most, self._least_free = folder, clock, most, least_free
        self._sizes: OrderedDict[str, int] | None = None
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def find(self, key: str) -> Path | None:
        """Return the file that is known by ``key``, None where it is not here (any more)."""
        name = _name(key)
        with self._lock:
            sizes = self._known()
            if name not in sizes:
                return None
            sizes.move_to_end(name)
            path, now = self._folder / name, self._clock.now().timestamp()
            try:
                if now - self._used.get(name, 0.0) > _USED_AGAIN:
                    os.utime(path, (now, now), follow_symlinks=False)
                    self._used[name] = now
                there = path.lstat()
            except OSError:
                self._forget(sizes, name)
                return None
            return path if stat.S_ISREG(there.st_mode) and there.st_size == sizes[name] else None

    def put(self, key: str, data: bytes) -> Path:
        """Keep ``data``, not empty, as what is known by ``key``; let go of others where it needs their room.

        Raises DiskError, NoSpace.
        """
        name = _name(key)
        with self._lock:
            sizes = self._known()
            if not 0 < len(data) <= self._most:
                raise NoSpace("A small file is too large to be kept.")
            with naming_disk_errors("The folder of small files cannot be made"):
                self._folder.mkdir(exist_ok=True)
            self._forget(sizes, name)
            self._trim(sizes, self._most - len(data))
            self._write(name, data)
            sizes[name], self._used[name] = len(data), self._clock.now().timestamp()
        return self._folder / name

    # Inside, with the lock held

    def _write(self, name: str, data: bytes) -> None:
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise DiskError(f"The folder of small files cannot be opened: {error.strerror}.") from error
        try:
            there = os.fstatvfs(folder)
            if there.f_bavail * there.f_frsize < self._least_free + len(data):
                raise NoSpace("The disk is nearly full.", hint="Free some space.")
            write_at(folder, name, data)
        finally:
            os.close(folder)

    def _known(self) -> OrderedDict[str, int]:
        """Return the sizes of what is here, the least recently used first; the first time reads the folder."""
        if self._sizes is None:
            found: list[tuple[float, str, int]] = []
            with suppress(OSError), os.scandir(self._folder) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name.removeprefix(TEMPORARY)) and entry.is_file(follow_symlinks=False):
                        there = entry.stat(follow_symlinks=False)
                        found.append((there.st_mtime, entry.name, there.st_size))
            self._sizes = OrderedDict()
            for used, name, size in sorted(found):
                if size == 0 or name.startswith(TEMPORARY):
                    self._delete(name)
                else:
                    self._sizes[name], self._used[name] = size, used
            self._trim(self._sizes, self._most)
        return self._sizes

    def _trim(self, sizes: OrderedDict[str, int], most: int) -> None:
        left = sum(sizes.values())
        while left > most:
            name = next(iter(sizes))
            left -= sizes[name]
            self._forget(sizes, name)
            self._delete(name)

    def _forget(self, sizes: OrderedDict[str, int], name: str) -> None:
        sizes.pop(name, None)
        self._used.pop(name, None)

    def _delete(self, name: str) -> None:
        with suppress(OSError):
            (self._folder / name).unlink()


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]
