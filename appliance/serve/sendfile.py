"""Held media straight from the page cache to the viewer's socket: this module sends.

``os.sendfile`` copies nothing, but it waits for the disk and moves megabytes in one call: on the loop it would hold up
everybody (a cold disk: for hundreds of milliseconds). So a thread calls it, on copies of both descriptors, while the
loop's transport for the same connection writes nothing; the loop does it only for a segment that is known to be in
memory, while it serves nobody else. What is under way is the file's own pages: a file that changes in place changes
what a viewer gets, held media never do.
"""

import asyncio
import errno
import os
import select
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol

PIECE = 4 * 1024 * 1024
"""Bytes asked of one ``sendfile``, about what a socket holds: an answer is stopped between two of them."""
TURN_BYTES, TURN_SECONDS = 16 * 1024 * 1024, 0.02
"""What one answer sends before others have their turn on the thread."""
LOOP_SECONDS = 0.002
"""How long the loop itself sends to one viewer before it looks after others."""
LINGER_MS = 2
"""How long a thread waits for room in the socket: a fast viewer makes it at once, for others the loop waits."""
STALLED_SECONDS = 600.0
"""Without a byte taken, an answer ends: a player that paused asks anew for the rest."""

_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_NETWORK = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENOTCONN, errno.ETIMEDOUT)


class ShortFile(Exception):
    """The file has fewer bytes than were asked of it, or the disk gives none."""


class Unsendable(Exception):
    """The file's file system has no ``sendfile``. What was not sent can still be sent in another way."""


class Way(Protocol):
    """What a shipment goes out on."""

    @property
    def gone(self) -> bool:
        """Whether the viewer has left."""
        ...

    def sent(self, count: int) -> None:
        """Take ``count`` bytes off what the server still expects."""
        ...

    def done(self, shipment: "Shipment") -> None:
        """Let the server write again."""
        ...


@dataclass(frozen=True, slots=True)
class _Turn:
    sent: int
    full: bool
    """Whether the socket takes no more now."""


class Shipment:
    """One answer's body on its way. Only its owner's task uses it; close it in any case.

    ``socket`` and ``file`` are others' descriptors, whole until its first ``send`` waits: by then it has its own.
    """

    def __init__(self, way: Way, threads: Executor, socket: int, file: int) -> None:
        self._way, self._threads = way, threads
        self._socket, self._file, self._own = socket, file, False
        self._running: Future[_Turn] | None = None
        self._room: asyncio.Future[None] | None = None
        self._full = self._stopped = False

    async def send(self, offset: int, count: int, *, linger: bool = True, here: bool = False) -> int:
        """Send at most ``count`` bytes of the file from ``offset``; return how many.

        0 says that the viewer is gone or takes nothing any more. ``here``: they are in memory now, so the loop itself
        may send for a turn; else a thread does, and with ``linger`` waits a moment for room. Raises ShortFile,
        Unsendable.
        """
        if not self._own and self._way.gone:
            return 0
        while not self._stopped:
            if self._full and not await self._wait_for_room():
                return 0
            if here:
                turn, here = await self._from_the_loop(offset, min(count, TURN_BYTES)), False
            else:
                turn = await self._from_a_thread(offset, count, LINGER_MS if linger else 0)
            self._full = turn.full
            if turn.sent:
                self._way.sent(turn.sent)
                return turn.sent
        return 0

    def stop(self) -> None:
        """Send no more: the connection is gone."""
        self._stopped = True
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def close(self) -> None:
        """Give back the descriptors, as soon as no thread uses them. Idempotent."""
        self.stop()
        self._way.done(self)
        running, self._running = self._running, None
        if running is None:
            self._close(None)
        else:
            running.add_done_callback(self._close)

    def _close(self, _: "Future[_Turn] | None") -> None:
        if self._own:
            self._own = False
            os.close(self._socket)
            os.close(self._file)

    def _copy_descriptors(self) -> None:
        """Have descriptors of our own: others close theirs when they like."""
        if self._own:
            return
        socket = os.dup(self._socket)
        try:
            file = os.dup(self._file)
        except BaseException:
            os.close(socket)
            raise
        self._socket, self._file, self._own = socket, file, True

    async def _wait_for_room(self) -> bool:
        """Return whether the socket takes bytes again. No thread waits meanwhile."""
        loop = asyncio.get_running_loop()
        self._room = room = loop.create_future()
        loop.add_writer(self._socket, _settle, room)
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await room
        except TimeoutError:
            return False
        finally:
            loop.remove_writer(self._socket)
            self._room = None
        return not self._stopped

    async def _from_a_thread(self, offset: int, count: int, milliseconds: int) -> _Turn:
        self._copy_descriptors()
        self._running = self._threads.submit(self._turn, offset, count, milliseconds, TURN_SECONDS)
        return await asyncio.wrap_future(self._running)

    async def _from_the_loop(self, offset: int, count: int) -> _Turn:
        """Send bytes that are in memory as the socket takes them: the way to a thread and back would take a tenth of
        a segment's time. Raises ShortFile, Unsendable."""
        turn = self._turn(offset, count, 0, LOOP_SECONDS)
        if turn.sent >= count or self._stopped:
            return turn
        self._copy_descriptors()
        loop, sent, full = asyncio.get_running_loop(), turn.sent, turn.full
        end, self._room = loop.time() + TURN_SECONDS, loop.create_future()
        over = self._room

        def push() -> None:
            nonlocal sent, full
            if over.done():
                return
            try:
                more = self._turn(offset + sent, count - sent, 0, LOOP_SECONDS)
            except (ShortFile, Unsendable) as error:
                if sent:
                    over.set_result(None)  # as above: counted first
                else:
                    over.set_exception(error)
                return
            sent, full = sent + more.sent, more.full
            if sent >= count or self._stopped or loop.time() > end:
                over.set_result(None)

        loop.add_writer(self._socket, push)
        timer = loop.call_later(TURN_SECONDS, _settle, over)
        try:
            await over
        finally:
            self._room = None
            timer.cancel()
            loop.remove_writer(self._socket)
        return _Turn(sent, full)

    def _turn(self, offset: int, count: int, milliseconds: int, seconds: float) -> _Turn:
        """Send for one turn. Blocks where the disk does, and for ``milliseconds`` where the socket is full."""
        sent, count, end = 0, min(count, TURN_BYTES), time.monotonic() + seconds
        while sent < count and not self._stopped and time.monotonic() < end:
            try:
                gone = os.sendfile(self._socket, self._file, offset + sent, min(PIECE, count - sent))
            except BlockingIOError:
                if not milliseconds or not _room_within(self._socket, milliseconds):
                    return _Turn(sent, True)
            except OSError as error:
                if sent:
                    break  # counted first; the next turn comes upon it again
                self._failed(error)
            else:
                if not gone and not sent:
                    raise ShortFile
                if not gone:
                    break
                sent += gone
        return _Turn(sent, False)

    def _failed(self, error: OSError) -> None:
        """Tell a network's failure, which stops, from a disk's. Raises ShortFile, Unsendable."""
        if isinstance(error, ConnectionError) or error.errno in _NETWORK:
            self._stopped = True
        elif error.errno in _UNABLE:
            raise Unsendable from error
        else:
            raise ShortFile from error


def _settle(room: "asyncio.Future[None]") -> None:
    if not room.done():
        room.set_result(None)


def _room_within(descriptor: int, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(milliseconds))
