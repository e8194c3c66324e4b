"""Where a media answer's bytes come from: this module reads held files in threads, arriving ones through a Reader.

Held files are read with ``pread`` by a pool that does nothing else: a cold disk or a hung mount then never holds up
the loop. Few viewers get large chunks, which cost less processor a byte; many get small ones, which cost less memory
and let others in between.
"""

import asyncio
import os
import stat
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from appliance.domain.shelf import NotPlayable, PlayableFile, Reader
from appliance.host.page_cache import PageCache
from appliance.serve.descriptors import Descriptor, Descriptors
from appliance.serve.exchange import Exchange
from appliance.serve.sendfile import TURN_BYTES, Shipment, ShortFile
from appliance.serve.wire import Wire

T = TypeVar("T")

CHUNK = 256 * 1024
"""Bytes of the first read of an answer, and of all where many are served."""
_LARGER = ((2, 1024 * 1024), (8, 512 * 1024))
"""(answers at once at most, bytes of their reads)."""
THREADS = 8
SENDERS = max(2, min(THREADS, os.cpu_count() or 2))
"""Threads that ``sendfile``: each can fill a core, and more of them than cores would take the loop's."""
SHORT = 64 * 1024
"""Bytes of an answer that needs no thread where the page cache has them."""
PATIENCE = 30.0
"""Seconds without a byte after which an answer ends."""


class Source(Protocol):
    async def read(self, offset: int, length: int) -> bytes:
        """Return 1 to ``length`` bytes. Raises NotPlayable; Left when the client is gone."""
        ...

    async def close(self) -> None: ...


class MediaPool:
    """The threads that read media, and nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "media-io")
        self._senders = ThreadPoolExecutor(SENDERS, "media-send")
        self._kept, self._cache = Descriptors(), PageCache()
        self._open = 0

    def at_once(self, path: Path, file: PlayableFile, first: int | None, count: int) -> "HeldSource | None":
        """Return a held file that was opened a moment ago, if its byte ``first`` is there without waiting for a disk.

        A short answer's ``count`` bytes are read with it.
        """
        descriptor = self._kept.get(path, file)
        if descriptor is None:
            return None
        begun, warm = bytearray(), False
        if first is not None:
            warm = SHORT < count <= TURN_BYTES and not self._open and self._cache.has(descriptor.fd, first, count)
            begun = begun if warm else descriptor.at_once(first, count if count <= SHORT else 1)
            if not begun and not warm:
                descriptor.release()
                return None
        self._open += 1
        return HeldSource(self, descriptor, begun if len(begun) == count else b"", warm=warm)

    async def open(self, path: Path, file: PlayableFile, first: int | None = None) -> "HeldSource":
        """Open a held file. Raises NotPlayable where it is not what the record says, or its byte ``first`` cannot be
        read: what ``sendfile`` finds out comes after the head."""
        opening = self._threads.submit(opened, path, file.size, first)
        try:
            fd = await asyncio.wrap_future(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)  # the one who asked is gone; the thread may still open it
            raise
        descriptor = Descriptor(fd)
        self._kept.keep(path, file, descriptor)
        self._open += 1
        return HeldSource(self, descriptor)

    def ship(self, wire: Wire, fd: int, count: int) -> Shipment | None:
        """Return the way without copying for ``count`` bytes, where there is one."""
        return wire.take(self._senders, fd, count)

    @property
    def crowded(self) -> bool:
        """Whether more is being served than there are senders: then none waits for one viewer."""
        return self._open > SENDERS

    async def read(self, fd: int, offset: int, length: int) -> bytes:
        """Return what one ``pread`` gives. Raises OSError."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, os.pread, fd, length, offset)

    def release(self, descriptor: Descriptor) -> None:
        """Take back what ``open`` or ``at_once`` gave."""
        self._open -= 1
        descriptor.release()

    @property
    def chunk(self) -> int:
        """Bytes to read at once, as many as are being served now."""
        return next((size for most, size in _LARGER if self._open <= most), CHUNK)

    async def whole(self, path: Path, limit: int) -> bytes:
        """Return a small file's content. Raises NotPlayable."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _content, path, limit)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work``, which takes a while, returns."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        self._kept.close()
        for threads in (self._threads, self._senders):
            threads.shutdown(wait=False, cancel_futures=True)


class HeldSource:
    """A whole file on our disk. ``whole``: all bytes of a short answer, where they were there at once. ``warm``: those
    of a longer one are in memory, and nothing else is being served: the loop itself has time to send its first turn."""

    def __init__(
        self, pool: MediaPool, descriptor: Descriptor, whole: bytes | bytearray = b"", *, warm: bool = False
    ) -> None:
        self._pool, self._descriptor, self._begun, self._warm = pool, descriptor, False, warm
        self.whole = whole

    def ship(self, wire: Wire, count: int) -> Shipment | None:
        """Return the way without copying for a body of ``count`` bytes, where there is one. Its head was sent."""
        return self._pool.ship(wire, self._descriptor.fd, count)

    async def shipped(self, shipment: Shipment, offset: int, length: int) -> int:
        """Send at most ``length`` bytes; return how many, 0 where the viewer takes no more.

        Raises NotPlayable, Unsendable.
        """
        here, self._warm = self._warm, False
        try:
            return await shipment.send(offset, length, linger=not self._pool.crowded, here=here)
        except ShortFile as error:
            raise _unreadable() from error

    async def read(self, offset: int, length: int) -> bytes:
        chunk = self._pool.chunk if self._begun else CHUNK
        self._begun = True
        try:
            data = await self._pool.read(self._descriptor.fd, offset, min(chunk, length))
        except OSError as error:
            raise _unreadable() from error
        if not data:
            raise _unreadable()
        return data

    async def close(self) -> None:
        self._pool.release(self._descriptor)


class ArrivingSource:
    """A file that is still on its way: waits for its bytes, but not for ever, and not for one who left."""

    def __init__(self, reader: Reader, exchange: Exchange, patience: float) -> None:
        self._reader, self._exchange, self._patience = reader, exchange, patience

    async def read(self, offset: int, length: int) -> bytes:
        late = NotPlayable(
            "too_slow",
            "The video's bytes are not arriving.",
            hint="Nobody who has them answers fast enough now. Try again later.",
            status=504,
        )
        work = self._reader.read(offset, min(CHUNK, length))
        data = await self._exchange.wait_for(work, self._patience, late)
        if not 0 < len(data) <= length:
            raise _unreadable()
        return data

    async def close(self) -> None:
        await self._reader.close()


def opened(path: Path, size: int, first: int | None) -> int:
    """Open a held file of ``size`` bytes; with ``first``, try to read that byte. Blocks. Raises NotPlayable."""
    try:
        # O_NONBLOCK: a FIFO in a file's place cannot hang the thread.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise _absent() from error
    except (OSError, ValueError) as error:
        raise _unreadable() from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _absent()
        if found.st_size != size or (first is not None and not os.pread(fd, 1, first)):
            raise _unreadable()
    except OSError as error:
        os.close(fd)
        raise _unreadable() from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def _close_unwanted(opening: "Future[int]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())


def _content(path: Path, limit: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise _absent()
            data = file.read(limit + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise _absent() from error
    except (OSError, ValueError) as error:
        raise _unreadable() from error
    if len(data) > limit:
        raise _unreadable()
    return data


def _absent() -> NotPlayable:
    return NotPlayable("file_missing", "The file is not on the disk.", hint="A scrub will find it and fetch it again.")


def _unreadable() -> NotPlayable:
    return NotPlayable(
        "file_unreadable",
        "The file cannot be read from the disk.",
        hint="Look at the disk. A scrub finds damage and mends it.",
        status=503,
    )
