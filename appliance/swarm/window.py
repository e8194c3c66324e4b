"""The origin as a viewer's nearest peer: this module reads pieces by HTTP range while someone waits for them.

libtorrent asks a web seed for long runs and cannot take a request back, so a viewer waits behind them. Here a piece is
read in small ranges, two at a time, checked against the torrent, and handed over; the swarm fetches other pieces
meanwhile. A piece is the origin's alone as long as its bytes keep coming; when they stop, the swarm may race for it.
Pictures and sound apart are two torrents: what is read ahead of one, or where its viewer was before a seek, gives way
while a piece of the other is waited for.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from appliance.domain.units import KIB
from appliance.errors import SeedkeepError
from appliance.swarm.held import Held
from appliance.swarm.port import RangeReader

CHUNK = 256 * KIB
CONNECTIONS = 2
PATIENCE = 0.5
_BREAK = (1.0, 5.0, 30.0)
_TAKEN_BY_SWARM = 0.3


@dataclass(slots=True)
class _Piece:
    """A piece being read: its parts (file, first, last, place) not asked for yet, and what has come."""

    index: int
    parts: list[tuple[int, int, int, int]]
    data: bytearray
    open: int = 0
    progress: float = 0.0
    shared: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Taker(Protocol):
    """Who takes the pieces: the viewing."""

    def offer(self, piece: int, data: bytes) -> None: ...

    async def matches(self, piece: int, data: bytes) -> bool: ...

    async def progress(self) -> dict[int, float]: ...

    def steer(self) -> None: ...

    def yields(self) -> bool:
        """Tell whether what is read here is only read ahead, while somebody waits for a piece of another torrent."""
        ...


class OriginWindow:
    """Fetches the pieces it is fed, in order, from the origin. ``feed([])`` stops it at once."""

    def __init__(
        self,
        held: Held,
        window: RangeReader,
        taker: Taker,
    ) -> None:
        self._held, self._window, self._taker = held, window, taker
        self._order: list[int] = []
        self._pieces: dict[int, _Piece] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._claiming = asyncio.Lock()
        self._seen: dict[int, float] = {}
        self._failures = 0
        self._good_again = 0.0
        self._lying = False
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Tell whether the origin may be asked now: it did not just fail and never gave wrong bytes."""
        return not self._lying and self._loop.time() >= self._good_again

    @property
    def shared(self) -> frozenset[int]:
        """Return the pieces whose bytes stopped coming: the swarm may race for them."""
        return frozenset(p.index for p in self._pieces.values() if p.shared)

    @property
    def owned(self) -> frozenset[int]:
        """Return the pieces that the swarm should leave to the origin."""
        return frozenset(p.index for p in self._pieces.values() if not p.shared)

    def feed(self, order: Iterable[int]) -> None:
        """Say which pieces are missing, most urgent first. What is no longer among them is broken off."""
        self._order = list(order)
        missing = set(self._order)
        for piece in [p for p in self._pieces.values() if p.index not in missing]:
            self._drop(piece)
        if self._order and self.usable:
            while len(self._workers) < CONNECTIONS:
                worker = asyncio.create_task(self._work(), name=f"origin window {self._held.info_hash[:8]}")
                self._workers.add(worker)
                worker.add_done_callback(self._ended)
            self._set_watch()

    async def close(self) -> None:
        """Stop and wait until nothing is being fetched any more."""
        self.feed([])
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        if self._watch:
            self._watch.cancel()
            self._watch = None

    def _drop(self, piece: _Piece) -> None:
        del self._pieces[piece.index]
        for task in piece.tasks:
            task.cancel()

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (bug := worker.exception()):
            context = {"message": "reading from the origin failed unexpectedly", "exception": bug}
            self._loop.call_exception_handler(context)

    # workers

    async def _work(self) -> None:
        while self._order and self.usable and not self._taker.yields():
            async with self._claiming:
                piece = await self._next_piece()
            if piece is None:
                return
            part = piece.parts.pop(0)
            task = asyncio.create_task(self._fetch(piece, part))
            piece.tasks.add(task)
            piece.open += 1
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
                piece.tasks.discard(task)
                piece.open -= 1
            if not task.cancelled() and not task.exception() and not piece.parts and not piece.open:
                await self._complete(piece)

    async def _next_piece(self) -> _Piece | None:
        for piece in sorted(self._pieces.values(), key=lambda p: p.index):
            if piece.parts:
                return piece
        swarm = await self._taker.progress()
        free = [k for k in self._order if k not in self._pieces]
        index = next((k for k in free if swarm.get(k, 0.0) < _TAKEN_BY_SWARM), None)
        if index is None and free and swarm.get(free[0]) == self._seen.get(free[0]):
            index = free[0]  # the swarm began it and does not go on
        self._seen = swarm
        if index is None:
            return None
        piece = self._pieces[index] = _Piece(index, self._parts(index), bytearray(self._held.extents.piece_size(index)))
        piece.progress = self._loop.time()
        self._taker.steer()
        return self._pieces.get(index)

    def _parts(self, index: int) -> list[tuple[int, int, int, int]]:
        parts, place = [], 0
        for piece_slice in self._held.extents.piece_slices(index):
            for offset in range(0, piece_slice.length, CHUNK):
                first = piece_slice.offset + offset
                length = min(CHUNK, piece_slice.length - offset)
                parts.append((piece_slice.file, first, first + length - 1, place))
                place += length
        return parts

    async def _fetch(self, piece: _Piece, part: tuple[int, int, int, int]) -> None:
        file, first, last, place = part
        try:
            data = await self._window(file, first, last)
        except SeedkeepError:
            self._fail()
            raise
        if len(data) != last - first + 1:
            self._fail()
            return
        piece.data[place : place + len(data)] = data
        piece.progress = self._loop.time()
        self._failures = 0

    def _fail(self) -> None:
        """The origin does not give: leave it alone for a while, longer each time, and the pieces to the swarm."""
        self._good_again = self._loop.time() + _BREAK[min(self._failures, len(_BREAK) - 1)]
        self._failures += 1
        for other in list(self._pieces.values()):
            self._drop(other)
        self._taker.steer()

    async def _complete(self, piece: _Piece) -> None:
        data = bytes(piece.data)
        good = await self._taker.matches(piece.index, data)
        if self._pieces.get(piece.index) is piece:
            del self._pieces[piece.index]
        if good:
            self._taker.offer(piece.index, data)
        else:
            self._lying = True
        self._taker.steer()

    # patience

    def _set_watch(self) -> None:
        if self._watch is None:
            self._watch = self._loop.call_later(PATIENCE / 2, self._look)

    def _look(self) -> None:
        """Let the swarm race for a piece whose bytes stopped coming, and take up work that was left."""
        self._watch = None
        if not self._order:
            return
        now = self._loop.time()
        if self._taker.yields():
            for piece in self._pieces.values():
                piece.progress = now  # it is we who wait, not the origin
        stalled = [p for p in self._pieces.values() if not p.shared and now - p.progress > PATIENCE]
        for piece in stalled:
            piece.shared = True
        if stalled:
            self._taker.steer()
        self.feed(self._order)
        self._set_watch()
