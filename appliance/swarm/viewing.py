"""The viewers of one torrent: this module steers its download to them and hands them verified pieces.

While a viewer waits, nothing but what he needs next is asked for: every other piece has priority 0, so that his link
is his. Once enough lies ahead of every viewer, the rest follows again. The zeros never reach resume data (they are
dropped there), and *whole* is counted by us, so libtorrent calling such a torrent finished means nothing.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import libtorrent as lt

from appliance.domain.shelf import NotPlayable
from appliance.domain.units import MIB
from appliance.swarm.extents import read_piece
from appliance.swarm.held import Held
from appliance.swarm.window import OriginWindow

AHEAD_BYTES = 8 * MIB
AHEAD_PIECES = 3
NEAR_PIECES = 3
_KEPT_PIECES = 4
_DISK_LAG = (0.0, 0.01, 0.02)

T = TypeVar("T")


class Host(Protocol):
    """What a viewing asks of the session."""

    async def in_thread(self, work: Callable[[], T]) -> T: ...

    async def piece_from_engine(self, held: Held, piece: int) -> bytes: ...

    async def progress(self, held: Held) -> dict[int, float]: ...

    async def rotten(self, held: Held, piece: int) -> None: ...

    def left(self, viewing: "Viewing") -> None: ...


@dataclass(slots=True)
class _Place:
    """Where a viewer is: his next piece, the last one that his call asked for, and the last of his file."""

    head: int
    wanted: int
    last: int


class Viewing:
    """Everything the viewers of one torrent share."""

    def __init__(self, held: Held, host: Host) -> None:
        self.held, self._host = held, host
        self._places: dict[object, _Place | None] = {}
        self._arrivals: dict[int, asyncio.Event] = {}
        self._checked: set[int] = set()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._reading: dict[int, asyncio.Lock] = {}
        self._steered: tuple[tuple[int, ...], frozenset[int]] | None = None
        self._hungry = False
        self._closed = False
        self._origin = OriginWindow(held, held.window, self) if held.window else None

    # viewers come, move and go

    def enter(self, viewer: object) -> None:
        self._places[viewer] = None

    def move(self, viewer: object, head: int, wanted: int, last: int) -> None:
        """A viewer reads at ``head``, asked up to ``wanted``, in a file that ends in piece ``last``."""
        self._places[viewer] = _Place(head, wanted, last)
        self.steer()

    def leave(self, viewer: object) -> None:
        self._places.pop(viewer, None)
        if self._places:
            self.steer()
        else:
            self._rest()
            self._host.left(self)

    async def close(self) -> None:
        """The torrent goes: every waiting read ends with NotPlayable."""
        self._closed = True
        for event in self._arrivals.values():
            event.set()
        if self._origin:
            await self._origin.close()

    # what is needed next

    def _window(self) -> list[int]:
        """Return the missing pieces ahead of the viewers, nearest first, each viewer in turn."""
        ahead = max(AHEAD_PIECES, -(-AHEAD_BYTES // self.held.extents.piece_length))
        queues = []
        for place in self._places.values():
            if place:
                end = min(place.last, max(place.head + ahead - 1, place.wanted))
                queues.append(self.held.inventory.missing(range(place.head, end + 1)))
        merged = [q[k] for k in range(max(map(len, queues), default=0)) for q in queues if k < len(q)]
        return list(dict.fromkeys(merged))

    def _urgent(self, window: Iterable[int]) -> bool:
        """Tell whether a viewer is close to running dry: less than half of what should lie ahead does."""
        ahead = max(AHEAD_PIECES, -(-AHEAD_BYTES // self.held.extents.piece_length))
        missing = set(window)
        return any(
            place and not missing.isdisjoint(range(place.head, max(place.head + ahead // 2, place.wanted) + 1))
            for place in self._places.values()
        )

    def steer(self) -> None:
        """Bring libtorrent's priorities in line with where the viewers are. Cheap when nothing changed."""
        if self._closed or self.held.closing:
            return
        window = self._window()
        self._hungry = bool(window) and (self._hungry or self._urgent(window))
        if not self._hungry:
            if self._steered != ((), frozenset()):
                self._rest()
                self._steered = ((), frozenset())
            return
        if self._origin:
            self._origin.feed(window)
        self._narrow(window)

    def _narrow(self, window: list[int]) -> None:
        theirs = self._origin.owned if self._origin else frozenset()
        mine = [k for k in window if k not in theirs]
        near = tuple(mine[:NEAR_PIECES])
        state = (near, frozenset(mine))
        if state == self._steered:
            return
        before, self._steered = self._steered, state
        handle, pieces = self.held.handle, len(self.held.inventory.have)
        sought = before is None or not set(before[0]) & set(near) or not before[0]
        self._spare_web_seeds(sought)
        if sought:
            handle.clear_piece_deadlines()
        priorities = bytearray(pieces)
        for k in mine:
            priorities[k] = 5
        for k in near:
            priorities[k] = 7
        handle.prioritize_pieces(list(priorities))
        handle.set_flags(lt.torrent_flags.sequential_download)
        for rank, k in enumerate(near):
            handle.set_piece_deadline(k, 200 * rank)

    def _spare_web_seeds(self, sought: bool) -> None:
        """Keep libtorrent's long requests to web seeds out of a waiting viewer's way."""
        if self._origin and self._origin.usable:
            self.held.use_web_seeds(())
        elif sought and self.held.given_seeds:
            self.held.use_web_seeds(())
            self.held.use_web_seeds(self.held.web_seeds)
        else:
            self.held.use_web_seeds(self.held.web_seeds)

    def _rest(self) -> None:
        """Nobody waits: ask for everything again."""
        self._hungry = False
        if self._origin:
            self._origin.feed([])
        held = self.held
        if held.closing or self._steered is None or self._steered == ((), frozenset()):
            self._restore_seeds()
            return
        held.handle.clear_piece_deadlines()
        held.handle.prioritize_pieces([1] * len(held.inventory.have))
        if not self._places and not held.sequential:
            held.handle.unset_flags(lt.torrent_flags.sequential_download)
        self._restore_seeds()

    def _restore_seeds(self) -> None:
        if not self.held.closing:
            self.held.use_web_seeds(self.held.web_seeds)

    # pieces

    def arrived(self, piece: int) -> None:
        """A piece was verified and is ours."""
        if event := self._arrivals.pop(piece, None):
            event.set()
        self.steer()

    def lost(self) -> None:
        """Pieces were found bad: look at each again before serving it."""
        self._checked.clear()
        self._kept.clear()
        self._steered = None
        self.steer()

    def offer(self, piece: int, data: bytes) -> None:
        """The origin gave a piece, already verified: keep it for the viewers, hand it to libtorrent."""
        if self._closed or self.held.inventory.have[piece]:
            return
        self._keep(piece, data)
        if event := self._arrivals.pop(piece, None):
            event.set()
        self.held.handle.add_piece(piece, data, 0)

    async def matches(self, piece: int, data: bytes) -> bool:
        """Tell whether ``data`` is what the torrent says the piece is."""
        return await self._host.in_thread(partial(self._matches, piece, data))

    async def progress(self) -> dict[int, float]:
        """Return how much of each begun piece the swarm has brought, 0 to 1."""
        return await self._host.progress(self.held)

    def _keep(self, piece: int, data: bytes) -> None:
        self._kept[piece] = data
        self._kept.move_to_end(piece)
        while len(self._kept) > _KEPT_PIECES:
            self._kept.popitem(last=False)

    async def bytes_of(self, piece: int, offset: int, length: int) -> bytes:
        """Return verified bytes of one piece, waiting for it. Raises NotPlayable when the torrent goes."""
        while True:
            if self._closed:
                raise NotPlayable("closed", "This video is no longer open.", status=503)
            if (data := self._kept.get(piece)) is not None:
                self._kept.move_to_end(piece)
                return data[offset : offset + length]
            if not self.held.inventory.have[piece]:
                await self._arrivals.setdefault(piece, asyncio.Event()).wait()
                continue
            async with self._reading.setdefault(piece, asyncio.Lock()):
                if piece not in self._kept:
                    await self._load(piece)
            self._reading.pop(piece, None)

    async def _load(self, piece: int) -> None:
        """Bring a piece that is ours into memory, verified. The file may lag behind the alert by some 10 ms."""
        for delay in _DISK_LAG:
            if delay:
                await asyncio.sleep(delay)
            if data := await self._host.in_thread(partial(self._good_bytes, piece)):
                self._keep(piece, data)
                return
        whole = await self._host.piece_from_engine(self.held, piece)
        good = await self._host.in_thread(partial(self._matches, piece, whole))
        if good:
            self._keep(piece, whole)
            return
        await self._host.rotten(self.held, piece)

    def _good_bytes(self, piece: int) -> bytes | None:
        try:
            data = read_piece(self.held.extents, piece)
        except OSError:
            return None
        if piece in self._checked or self._matches(piece, data):
            self._checked.add(piece)
            return data
        return None

    def _matches(self, piece: int, data: bytes) -> bool:
        return hashlib.sha1(data, usedforsecurity=False).digest() == self.held.hash_of(piece)
