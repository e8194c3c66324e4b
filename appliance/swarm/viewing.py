"""The viewers of one torrent: this module hands them verified pieces, as they arrive.

A piece is read from disk and hashed the first time it is served; rot is found there, and fetched again. A piece that
the origin gave is served from memory and handed to libtorrent, which writes it and tells the swarm.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from appliance.domain.shelf import NotPlayable
from appliance.domain.units import MIB
from appliance.swarm.extents import read_piece
from appliance.swarm.held import Held
from appliance.swarm.steering import LINGER, Place, Steering
from appliance.swarm.window import OriginWindow

_KEPT_BYTES = 8 * MIB
_DISK_LAG = (0.0, 0.01, 0.02)
_WAITED_FOR_SECONDS = 3.0

T = TypeVar("T")


class Host(Protocol):
    """What a viewing asks of the session."""

    async def in_thread(self, work: Callable[[], T]) -> T: ...

    async def piece_from_engine(self, held: Held, piece: int) -> bytes: ...

    async def progress(self, held: Held) -> dict[int, float]: ...

    async def rotten(self, held: Held, piece: int) -> None: ...

    def left(self, viewing: "Viewing") -> None: ...

    def others_wait(self, viewing: "Viewing") -> bool: ...


class Viewing:
    """Everything the viewers of one torrent share. It ends some time after the last of them left."""

    def __init__(self, held: Held, host: Host) -> None:
        self.held, self._host = held, host
        self._origin = OriginWindow(held, held.window, self) if held.window else None
        self.steering = Steering(held, self._origin)
        self._arrivals: dict[int, asyncio.Event] = {}
        self._checked: set[int] = set()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._loading = asyncio.Lock()
        self._linger: asyncio.TimerHandle | None = None
        self._waiting: dict[object, float] = {}
        self._closed = False

    @property
    def waits(self) -> bool:
        """Whether a viewer waits for a piece now, and has not waited for so long that it helps nobody to wait too."""
        now = asyncio.get_running_loop().time()
        return any(now - since < _WAITED_FOR_SECONDS for since in self._waiting.values())

    def yields(self) -> bool:
        return not self._waiting and self._host.others_wait(self)

    # viewers come, move and go

    def enter(self, viewer: object) -> None:
        if self._linger:
            self._linger.cancel()
            self._linger = None
        self.steering.enter(viewer)

    def move(self, viewer: object, place: Place) -> None:
        self.steering.move(viewer, place)

    def leave(self, viewer: object) -> None:
        self.steering.leave(viewer)
        if not self.steering.watched and not self._closed:
            self._linger = asyncio.get_running_loop().call_later(LINGER, self._host.left, self)

    async def close(self) -> None:
        """Stop steering and reading; every waiting read ends with NotPlayable. Idempotent."""
        self._closed = True
        if self._linger:
            self._linger.cancel()
        self.steering.rest()
        for event in self._arrivals.values():
            event.set()
        if self._origin:
            await self._origin.close()

    # pieces come

    def arrived(self, piece: int) -> None:
        """A piece was verified and is ours."""
        if event := self._arrivals.pop(piece, None):
            event.set()
        self.steering.arrived(piece)

    def lost(self) -> None:
        """Pieces were found bad: look at each again before serving it."""
        self._checked.clear()
        self._kept.clear()
        self.steering.again()

    def offer(self, piece: int, data: bytes) -> None:
        """The origin gave a piece, already verified: keep it for the viewers, hand it to libtorrent."""
        if self._closed or self.held.closing or self.held.inventory.have[piece]:
            return
        self._keep(piece, data)
        self.steering.given.add(piece)
        if event := self._arrivals.pop(piece, None):
            event.set()
        self.held.handle.add_piece(piece, data, 0)

    def steer(self) -> None:
        if not self._closed:
            self.steering.steer()

    async def matches(self, piece: int, data: bytes) -> bool:
        """Tell whether ``data`` is what the torrent says the piece is."""
        return await self._host.in_thread(partial(self._matches, piece, data))

    async def progress(self) -> dict[int, float]:
        """Return how much of each begun piece the swarm has brought, 0 to 1."""
        return await self._host.progress(self.held)

    def _keep(self, piece: int, data: bytes) -> None:
        self._kept[piece] = data
        self._kept.move_to_end(piece)
        while len(self._kept) > max(2, _KEPT_BYTES // self.held.extents.piece_length):
            self._kept.popitem(last=False)

    # pieces are read

    async def bytes_of(self, piece: int, offset: int, length: int) -> bytes:
        """Return verified bytes of one piece, waiting for it. Raises NotPlayable when the torrent goes."""
        while True:
            if self._closed:
                raise NotPlayable("closed", "This video is no longer open.", status=503)
            if (data := self._kept.get(piece)) is not None:
                self._kept.move_to_end(piece)
                return data[offset : offset + length]
            if not self.held.inventory.have[piece]:
                await self._arrival(piece)
                continue
            async with self._loading:
                if piece not in self._kept and self.held.inventory.have[piece]:
                    await self._load(piece)

    async def _arrival(self, piece: int) -> None:
        waiter = object()
        self._waiting[waiter] = asyncio.get_running_loop().time()
        try:
            await self._arrivals.setdefault(piece, asyncio.Event()).wait()
        finally:
            del self._waiting[waiter]

    async def _load(self, piece: int) -> None:
        """Bring a piece that is ours into memory, verified. The file may lag behind the alert by some 10 ms."""
        for delay in _DISK_LAG:
            if delay:
                await asyncio.sleep(delay)
            if data := await self._host.in_thread(partial(self._good_bytes, piece)):
                self._keep(piece, data)
                return
        whole = await self._host.piece_from_engine(self.held, piece)
        if await self.matches(piece, whole):
            self._keep(piece, whole)
            return
        await self._host.rotten(self.held, piece)

    def _good_bytes(self, piece: int) -> bytes | None:
        try:
            data = read_piece(self.held.extents, piece)
        except OSError:
            return None
        if len(data) == self.held.extents.piece_size(piece) and (piece in self._checked or self._matches(piece, data)):
            self._checked.add(piece)
            return data
        return None

    def _matches(self, piece: int, data: bytes) -> bool:
        return hashlib.sha1(data, usedforsecurity=False).digest() == self.held.hash_of(piece)
