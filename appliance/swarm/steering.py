"""Where the viewers of one torrent are, and what is asked for on their behalf: this module steers a download.

While a torrent is watched, only the next few missing pieces have a priority; every other one has 0. So a viewer's link
is his, and a seek waits behind little: requests cannot be taken back once a peer has put the answer on its way. How
much is asked for at once follows the rate. The zeros never reach resume data (``saving`` drops them), and *whole* is
counted by us, so libtorrent calling such a torrent finished means nothing.

Where the swarm does not bring a viewer's next pieces soon, the origin is asked for them (``window``), and the swarm
leaves it the wire for a moment.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from appliance.domain.units import MIB
from appliance.swarm.held import Held

IN_FLIGHT_BYTES = 1 * MIB
IN_FLIGHT_SECONDS = 0.4
AHEAD_BYTES = 4 * MIB
STARVING_PIECES = 2
SWARM_PATIENCE = 0.9
ORIGIN_ALONE = 2.5
LINGER = 30.0
SLOW = 20_000
_OPEN_NEXT_AT = 0.6
_LOOK = 32
_QUICK_ENOUGH = 0.6


@dataclass(slots=True)
class Place:
    """Where a viewer is: his next piece, the last one that his call asked for, and the last of his file."""

    head: int
    wanted: int
    last: int


class Source(Protocol):
    """The origin, as far as steering goes (see ``window``)."""

    @property
    def usable(self) -> bool: ...

    @property
    def owned(self) -> frozenset[int]: ...

    @property
    def shared(self) -> frozenset[int]: ...

    def feed(self, order: list[int]) -> None: ...


class Steering:
    """Steers one torrent. ``given`` are pieces handed to libtorrent that it has not acknowledged yet."""

    def __init__(self, held: Held, origin: Source | None) -> None:
        self.held, self._origin = held, origin
        self.given: set[int] = set()
        self._places: dict[object, Place | None] = {}
        self._ghost: Place | None = None
        self._near: tuple[int, ...] | None = None
        self._sought = False
        self._slow = False
        self._helping_since: float | None = None
        self._hungry_since: float | None = None
        self._last_arrival: float | None = None
        self._piece_seconds = 0.0
        self._extra = 0
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def watched(self) -> bool:
        return bool(self._places)

    # viewers

    def enter(self, viewer: object) -> None:
        self._places[viewer] = None

    def move(self, viewer: object, place: Place) -> None:
        """A viewer reads here now. A place far from where anyone was is a seek."""
        before = [p for p in (*self._places.values(), self._ghost) if p]
        if not any(p.head <= place.head <= max(p.wanted, p.head + STARVING_PIECES) for p in before):
            self._sought, self._hungry_since, self._extra = True, None, 0
            self._last_arrival = None
            self._open_next_in(self._piece_seconds)
        self._places[viewer], self._ghost = place, None
        self.steer()

    def leave(self, viewer: object) -> None:
        """A viewer closed; the last one's place stays for a while, as players ask for one segment after the other."""
        place = self._places.pop(viewer, None)
        if not self._places and place:
            self._ghost = place

    # what comes next

    def arrived(self, piece: int) -> None:
        """A piece is ours."""
        self.given.discard(piece)
        if self._near and piece in self._near:
            now = self._loop.time()
            if self._last_arrival is not None:
                took = now - self._last_arrival
                self._piece_seconds = took if not self._piece_seconds else (self._piece_seconds + took) / 2
            self._last_arrival, self._extra = now, 0
            self._open_next_in(self._piece_seconds)
        if any(p and piece == p.head for p in self._places.values()):
            self._hungry_since = None
        self.steer()

    def _open_next_in(self, piece_seconds: float) -> None:
        """Ask for one piece more shortly before the present one is done, so that the wire never rests."""
        if piece_seconds:
            self._later("next", piece_seconds * _OPEN_NEXT_AT, self._open_next)

    def _open_next(self) -> None:
        self._extra = 1
        self.steer()

    def _later(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
        self._timers[name] = self._loop.call_later(seconds, work)

    def _missing(self, piece: int) -> bool:
        return not self.held.inventory.have[piece] and piece not in self.given

    def _order(self, places: list[Place]) -> list[int]:
        """Return the missing pieces in the order they should come: ahead of the viewers first, then from the start."""
        queues = [list(islice(filter(self._missing, range(p.head, p.last + 1)), _LOOK)) for p in places]
        order = dict.fromkeys(q[k] for k in range(_LOOK) for q in queues if k < len(q))
        if len(order) < _LOOK:
            order |= dict.fromkeys(islice(filter(self._missing, range(len(self.held.inventory.have))), _LOOK))
        return list(order)

    def _within(self, order: list[int], places: list[Place], pieces: int) -> list[int]:
        """Return those of the missing pieces that lie among the next ``pieces`` of a viewer, or in his call."""
        spans = [range(p.head, min(p.last, max(p.head + pieces - 1, p.wanted)) + 1) for p in places]
        return [k for k in order if any(k in span for span in spans)]

    def _room(self) -> int:
        """Return how many pieces may be asked of the swarm at once: what comes in a short while, at least one."""
        in_flight = max(self.held.numbers.download_rate * IN_FLIGHT_SECONDS, IN_FLIGHT_BYTES)
        return min(_LOOK, max(1, round(in_flight / self.held.extents.piece_length)) + self._extra)

    # steering

    def steer(self) -> None:
        """Bring libtorrent and the origin in line with where the viewers are. Cheap when nothing changed."""
        held = self.held
        places = [p for p in (*self._places.values(), self._ghost) if p]
        if held.closing or not places:
            return
        order = self._order(places)
        helped = self._ask_origin(order, places)
        theirs = self._origin.owned if self._origin else frozenset()
        if self._origin and helped and self._alone():
            near = tuple(k for k in order if k in self._origin.shared)
        else:
            near = tuple(k for k in order if k not in theirs)[: self._room()]
        slow = not near and bool(order)
        if slow:
            near = (self._last_missing(),)
        if near != self._near or self._sought:
            self._narrow(near, helped)
        if slow != self._slow:
            self._slow = slow
            held.slow_down(SLOW if slow else 0)

    def _last_missing(self) -> int:
        """Return what to ask the swarm for, slowly, while it should leave the wire to the origin.

        Asking for nothing would make us a peer that only uploads, and seeds hang up on those.
        """
        have = self.held.inventory.have
        return next((k for k in range(len(have) - 1, -1, -1) if not have[k]), 0)

    def _alone(self) -> bool:
        since = self._helping_since
        return since is not None and self._loop.time() - since < ORIGIN_ALONE

    def _ask_origin(self, order: list[int], places: list[Place]) -> bool:
        """Feed the origin what viewers wait for, if it should help now; tell whether it does."""
        origin, held = self._origin, self.held
        if origin is None:
            return False
        pieces = max(STARVING_PIECES, -(-AHEAD_BYTES // held.extents.piece_length))
        waiting = self._within(order, places, pieces) if held.started and not held.fault else []
        starving = bool(self._within(waiting, places, STARVING_PIECES))
        now = self._loop.time()
        if not waiting or not origin.usable:
            self._helping_since = None
        elif self._helping_since is None and starving and self._impatient(now):
            self._helping_since = now
        helping = self._helping_since is not None
        origin.feed(waiting if helping else [])
        if helping and self._alone():
            self._later("look", ORIGIN_ALONE, self.steer)
        return helping

    def _impatient(self, now: float) -> bool:
        """Tell whether the swarm had its time: none, unless it just brought pieces quickly."""
        if self.held.numbers.download_rate * _QUICK_ENOUGH < self.held.extents.piece_length:
            return True
        if self._hungry_since is None:
            self._hungry_since = now
        if now - self._hungry_since >= SWARM_PATIENCE:
            return True
        self._later("look", SWARM_PATIENCE, self.steer)
        return False

    def _narrow(self, near: tuple[int, ...], helped: bool) -> None:
        held, sought = self.held, self._sought
        self._near, self._sought = near, False
        # Leaving a web seed would take back what was asked of it, but libtorrent comes back to one only once a second.
        held.use_web_seeds(() if helped else held.web_seeds)
        if sought and near:
            # a first deadline takes back what peers were asked for; with none left, asking goes on as usual
            held.handle.set_piece_deadline(near[0], 0)
            held.handle.clear_piece_deadlines()
        priorities = bytearray(len(held.inventory.have))
        for rank, k in enumerate(near):
            priorities[k] = max(1, 7 - 3 * rank)
        held.handle.prioritize_pieces(list(priorities))

    def rest(self) -> None:
        """Nobody watches any more: everything may come, in any order."""
        self.stop()
        if not self.held.closing:
            if self._near is not None:
                self.held.handle.prioritize_pieces([1] * len(self.held.inventory.have))
            if self._slow:
                self.held.slow_down(0)
            self.held.use_web_seeds(self.held.web_seeds)
        self._slow = False
        self._near = self._ghost = None

    def again(self) -> None:
        """The torrent was handed to libtorrent anew, or its web seeds changed: what it was told is forgotten."""
        if self._slow:
            self.held.slow_down(0)
        self._near, self._slow = None, False
        self.given.clear()
        self.steer()

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._origin:
            self._origin.feed([])
