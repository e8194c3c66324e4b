"""Descriptors of held files just opened: this module keeps them for a moment, for the next segment of the same file.

Opening is a thread's work, since a disk may sleep or hang, and the way to a thread and back takes longer than the rest
of a short answer. A descriptor is kept ``KEPT_SECONDS`` from its opening, used or not: that is how long a file that is
released keeps its space, and how long a disk that is to be unmounted is in use. Whether a file may be had at all is
the shelf's to say, each time, before anybody asks here.
"""

import asyncio
import os
from collections import OrderedDict
from pathlib import Path

from appliance.domain.shelf import PlayableFile

KEPT_SECONDS = 1.5
MOST = 64
"""Descriptors kept at once; above that the oldest goes."""

Key = tuple[Path, PlayableFile]


class Descriptor:
    """An open file that several answers may use. ``release`` it once for each ``use``, and for its making."""

    def __init__(self, fd: int) -> None:
        self._fd, self._users = fd, 1

    @property
    def fd(self) -> int:
        return self._fd

    def use(self) -> "Descriptor":
        self._users += 1
        return self

    def release(self) -> None:
        """Use it no more; the last one closes it."""
        self._users -= 1
        if not self._users:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def at_once(self, offset: int, length: int) -> bytearray:
        """Return what of these bytes can be read without waiting for a disk: empty for none (RWF_NOWAIT, preadv2(2)).

        The page cache has them, and the file system knows the question; the first missing page ends the answer.
        """
        buffer = bytearray(length)
        try:
            size = os.preadv(self._fd, [buffer], offset, os.RWF_NOWAIT)
        except OSError:
            size = 0
        del buffer[size:]
        return buffer


class Descriptors:
    """See the module. Call it from the loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[Descriptor, asyncio.TimerHandle]] = OrderedDict()
        self._closed = False

    def get(self, path: Path, file: PlayableFile) -> Descriptor | None:
        """Return the descriptor of a file that was just opened, for one more use."""
        found = self._kept.get((path, file))
        return None if found is None else found[0].use()

    def keep(self, path: Path, file: PlayableFile, descriptor: Descriptor) -> None:
        """Keep a descriptor just opened for a moment. Its maker goes on using it, and releases it."""
        key = (path, file)
        if self._closed or key in self._kept:
            return
        timer = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop, key)
        self._kept[key] = descriptor.use(), timer
        if len(self._kept) > MOST:
            self._drop(next(iter(self._kept)))

    def close(self) -> None:
        """Keep none any more."""
        self._closed = True
        for key in list(self._kept):
            self._drop(key)

    def _drop(self, key: Key) -> None:
        descriptor, timer = self._kept.pop(key)
        timer.cancel()
        descriptor.release()
