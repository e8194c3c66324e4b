"""Being found by televisions: this module announces the media server over SSDP and answers who searches for it.

UPnP Device Architecture 1.1, 1.2 and 1.3: alive at start and every third of its lifetime, byebye at the end, an
address of the asker's own network in every LOCATION. What a flood may cost is bounded: packets are looked at some fifty
times a second, most are dropped before they are read, and nobody gets more than ten answers a second.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from appliance.clock import Clock
from appliance.lan.interfaces import Household
from appliance.lan.ssdp_askers import EACH, Askers
from appliance.lan.ssdp_links import Link, Place, places
from appliance.lan.ssdp_messages import MAX_AGE, Advert, Kind, answer, answered, notifications, read_search
from appliance.lan.watch import HouseholdWatch

log = logging.getLogger(__name__)

_BURST = (0.0, 0.3, 0.7)
"""Seconds before each time the set is announced when we come or move: packets get lost, on Wi-Fi most of all."""
_NAP = 0.02
"""Seconds between two looks at what came in: a flood is taken in heaps, and nobody waits for so little."""
_HEAP = 256
_STEP = 0.05
"""Answers are due at whole steps of so many seconds, so that many go out at one waking."""
_PENDING = 256
"""Answers that wait for their time at most."""
_AGAIN = 60.0
"""Seconds after which what could not be opened is tried again."""
_MOST_BOOT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Heard:
    """Somebody on the household's network searched for what we are. ``agent`` is their own word, often empty."""

    address: str
    target: str
    agent: str
    interface: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How it goes on one interface: what stands in the way (empty: nothing), searches heard, answers given."""

    interface: str
    addresses: tuple[str, ...]
    trouble: str
    heard: int
    answered: int


class Ssdp:
    """Keeps the box announced on the household's interfaces. An async context manager; leaving says byebye.

    It follows ``network``: byebye where an address went, alive where one came. ``heard`` is called on the loop for each
    search that means us; ``chance`` returns numbers from 0 to 1.
    """

    def __init__(
        self,
        advert: Advert,
        network: HouseholdWatch,
        heard: Callable[[Heard], None],
        clock: Clock,
        chance: Callable[[], float],
        *,
        on: bool = True,
        listens: str = "",
    ) -> None:
        """``listens`` is the address that our web server listens on: nobody is sent to another. Empty: all."""
        self._advert, self._heard, self._clock, self._chance = advert, heard, clock, chance
        self._on, self._listens = on, listens
        self._network = network
        self._wanted: tuple[Place, ...] = ()
        self._boot = int(clock.now().timestamp()) & _MOST_BOOT
        self._links: dict[Place, Link] = {}
        self._closed: dict[Place, str] = {}
        self._askers = Askers()
        self._waiting: dict[tuple[str, int, str], asyncio.TimerHandle] = {}
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._deaf: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._deaf = self._network.listen(self._follow)
        self._wanted = self._places(self._network.household)
        self._task = asyncio.create_task(self._keep(), name="ssdp")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._deaf()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
        for link in list(self._links.values()):
            self._leave(link)

    def standing(self) -> tuple[Standing, ...]:
        """Return how it goes on each interface, also on those where nothing could be opened."""
        found = [
            Standing(p.name, _texts(p), link.trouble, link.heard, link.answered) for p, link in self._links.items()
        ]
        return (*found, *(Standing(p.name, _texts(p), why, 0, 0) for p, why in self._closed.items()))

    def reconfigure(self, *, on: bool) -> None:
        """Announce, or say byebye and be silent."""
        self._on = on
        self._follow(self._network.household)

    # Announcing

    def _follow(self, home: Household) -> None:
        self._wanted = self._places(home)
        self._moved.set()

    def _places(self, home: Household) -> tuple[Place, ...]:
        return places(home, self._listens) if self._on else ()

    async def _keep(self) -> None:
        await asyncio.sleep(self._chance() / 10)  # not all the boxes of a street at once when the power is back
        while True:
            self._moved.clear()
            self._settle()
            for pause in _BURST:
                if await self._stirs(pause):
                    break
                self._notify(Kind.ALIVE)
            else:
                while not await self._stirs(_AGAIN if self._closed else MAX_AGE / 3 * (0.9 + self._chance() / 10)):
                    if self._closed:
                        break
                    self._notify(Kind.ALIVE)

    async def _stirs(self, seconds: float) -> bool:
        """Wait so long, or until our interfaces change; tell whether they did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        return self._moved.is_set()

    def _settle(self) -> None:
        """Have a link in each place that is wanted and in no other; where some changed, that counts as a new start."""
        self._closed = {place: why for place, why in self._closed.items() if place in self._wanted}
        gone = [link for place, link in self._links.items() if place not in self._wanted]
        before = {link.place.index for link in gone}
        started = bool(self._links)
        for link in gone:
            self._leave(link)
        kept = tuple(self._links.values())
        found = [self._open(place) for place in self._wanted if place not in self._links]
        opened = [link for link in found if link is not None]
        if started and (gone or opened):
            coming = min(self._boot + 1, _MOST_BOOT)
            for link in opened:
                if link.place.index in before:  # nothing leaves from an address that is gone
                    self._say(link, Kind.BYEBYE)
            for link in kept:
                self._say(link, Kind.UPDATE, coming)
            self._boot = coming

    def _open(self, place: Place) -> Link | None:
        self._closed.pop(place, None)
        try:
            link = self._links[place] = Link(place)
        except OSError as error:
            self._closed[place] = os.strerror(error.errno or 0)
            log.warning("Televisions cannot find the box by %s: %s", place.name, self._closed[place])
            return None
        self._loop.add_reader(link.listener.fileno(), self._ready, link)
        return link

    def _leave(self, link: Link) -> None:
        """Say byebye, twice since it may be lost, and close."""
        for _ in range(2):
            self._say(link, Kind.BYEBYE)
        self._links.pop(link.place, None)
        self._loop.remove_reader(link.listener.fileno())
        link.close()

    def _notify(self, kind: Kind) -> None:
        for link in self._links.values():
            self._say(link, kind)

    def _say(self, link: Link, kind: Kind, coming: int = 0) -> None:
        for address in _texts(link.place):
            for message in notifications(kind, self._advert, address, self._boot, coming):
                link.send(message, address)

    # Answering

    def _ready(self, link: Link) -> None:
        self._loop.remove_reader(link.listener.fileno())
        try:
            link.take(_HEAP, self._take)
        finally:
            self._loop.call_later(_NAP, self._listen, link)

    def _listen(self, link: Link) -> None:
        if self._links.get(link.place) is link:
            self._loop.add_reader(link.listener.fileno(), self._ready, link)

    def _take(self, link: Link, data: bytes, source: str, port: int) -> None:
        """Look at one packet. The order is that of cost: most are others' announcements."""
        if data[:8] != b"M-SEARCH":
            return
        address = link.facing(source)
        if not address or not port or not self._askers.admits(source, self._loop.time()):
            return
        search = read_search(data)
        if search is None:
            return
        targets = answered(self._advert, search.target)
        if not targets:
            return
        link.heard += 1
        self._heard(Heard(source, search.target, search.agent, link.place.name))
        delay = self._chance() * max(0.0, search.delay - (len(targets) - 1) / EACH)  # the last is in time too
        for target in targets:
            self._answer_in(delay, link, address, (source, port), target)

    def _answer_in(self, delay: float, link: Link, address: str, to: tuple[str, int], target: str) -> None:
        """Answer in so many seconds; whoever asks the same again meanwhile is answered once."""
        key = (*to, target)
        if key in self._waiting or len(self._waiting) >= _PENDING:
            return
        at = self._loop.time() + delay
        self._waiting[key] = self._loop.call_at(at - at % _STEP, self._turn, link, address, to, target)

    def _turn(self, link: Link, address: str, to: tuple[str, int], target: str) -> None:
        """Wait for the asker's turn, which comes ten times a second."""
        now = self._loop.time()
        at = self._askers.turn(to[0], now)
        if at is None:
            self._waiting.pop((*to, target), None)
        elif at <= now:
            self._answer(link, address, to, target)
        else:
            at += -at % _STEP
            self._waiting[(*to, target)] = self._loop.call_at(at, self._answer, link, address, to, target)

    def _answer(self, link: Link, address: str, to: tuple[str, int], target: str) -> None:
        self._waiting.pop((*to, target), None)
        if self._links.get(link.place) is link:
            message = answer(self._advert, target, address, self._boot, self._clock.now())
            link.answered += link.send(message, address, to)


def _texts(place: Place) -> tuple[str, ...]:
    return tuple(str(address.ip) for address in place.addresses)
