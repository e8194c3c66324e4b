"""Our own multicast DNS responder: this module claims the names, defends them and gives them back.

RFC 6762: probing (8.1), both at once (8.2), announcing (8.3, 8.4), conflicts (9), goodbye (10.1).
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from time import monotonic

from appliance.lan.interfaces import Household
from appliance.lan.mdns_links import Link, Place, places
from appliance.lan.mdns_packets import AAAA, A, Heard, Record, goodbye, probe, read
from appliance.lan.mdns_records import Announced, Announcement, addresses_of, loses, names_for, records_for
from appliance.lan.mdns_speaker import Speaker
from appliance.lan.watch import HouseholdWatch

log = logging.getLogger(__name__)

_BEGIN, _PROBES, _APART = 0.25, 3, 0.25
"""Seconds to wait at most before the first probe, so that boxes that got power together do not speak together; how many
probes, and seconds between them (8.1)."""
_YIELD = 1.0
"""Seconds the loser of a tie waits before it asks again (8.2)."""
_CONFLICTS, _WITHIN, _SLOW = 15, 10.0, 5.0
"""So many conflicts within so many seconds: wait so long before each further attempt (8.1)."""
_LATE, _LATE_WITHIN = 3, 60.0
"""A name that was contested so often in so many seconds, though nobody answers for it, is not worth the fight."""
_RETRY = 30.0
"""Seconds until an interface that could not be used is tried again."""
_AT_A_TIME, _REST = 0.01, 0.25
"""Seconds of reading after which a link is left alone for so many: packets can be made to take long to take apart."""


class Outcome(Enum):
    """What came of a probe."""

    FREE = auto()
    TAKEN = auto()
    YIELD = auto()
    MOVED = auto()


class Responder:
    """Speaks for the box on the household's interfaces while ``run`` runs. ``tell`` hears what is announced, None for
    nothing; ``chance`` returns numbers from 0 to 1. ``trouble`` says what stands in the way, empty where nothing does.
    """

    def __init__(
        self,
        said: Announcement,
        network: HouseholdWatch,
        chance: Callable[[], float],
        tell: Callable[[Announced | None], None],
    ) -> None:
        self._said, self._network, self._chance, self._tell = said, network, chance, tell
        self._attempt = 1
        self._names = names_for(said.name, 1)
        self._links: dict[tuple[int, int], Link] = {}
        self._stirred = asyncio.Event()
        self._outcome: asyncio.Future[Outcome] | None = None
        self._speaker = Speaker(chance, lambda source: network.household.is_lan(source))
        self._conflicts: deque[float] = deque(maxlen=_CONFLICTS)
        self._contested: deque[float] = deque(maxlen=_LATE)
        self._former: frozenset[tuple[str, int, bytes]] = frozenset()
        self._renames = False
        self._troubles: dict[tuple[int, int], str] = {}

    @property
    def trouble(self) -> str:
        return next(iter(self._troubles.values()), "")

    async def run(self) -> None:
        """Keep the box announced until cancelled; says goodbye then."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._leave)
            stack.callback(self._network.listen(lambda _: self._moved()))
            while True:
                self._stirred.clear()
                self._follow(self._network.household)
                if self._renames:
                    self._rename()
                if all(link.ready for link in self._links.values()) or await self._claim():
                    self._report()
                    await self._stirred.wait()

    # --- which links there are ---------------------------------------------------------------------------------------

    def _follow(self, home: Household) -> None:
        """Open what came, close what went, and say which addresses changed."""
        wanted = {(interface.index, version): (interface, version) for interface, version in places(home)}
        self._troubles.clear()
        for key in self._links.keys() - wanted.keys():
            self._close(self._links.pop(key))
        if not self._links and self._attempt > 1:
            self._take(1)  # another network, or none: the first name may be free there
        for key, place in wanted.items():
            if key in self._links:
                self._update(self._links[key], place)
            else:
                self._open(key, place)

    def _open(self, key: tuple[int, int], place: Place) -> None:
        try:
            link = Link(*place)
        except OSError as error:
            self._troubles[key] = f"{place[0].name}: {error.strerror or error}"
            log.warning("The box cannot be announced on %s: %s", place[0].name, error)
            self._speaker.later(_RETRY, self._stirred.set)
            return
        self._links[key] = link
        link.records = self._records(place)
        self._listen(link)

    def _close(self, link: Link) -> None:
        asyncio.get_running_loop().remove_reader(link.fileno())
        link.close()

    def _records(self, place: Place) -> tuple[Record, ...]:
        return records_for(self._said, self._names, addresses_of(place[0]))

    def _update(self, link: Link, place: Place) -> None:
        """Announce the addresses of an interface where they changed; a name that is ours needs no new probe (8.4)."""
        link.interface = place[0]
        before, link.records = link.records, self._records(place)
        if before == link.records:
            return
        now = {r.identity for r in link.records}
        gone = [r for r in before if r.identity not in now]
        self._former = frozenset(r.identity for r in gone)
        if link.ready:
            link.send(goodbye(gone))
            self._speaker.announce(link)

    # --- claiming ----------------------------------------------------------------------------------------------------

    async def _claim(self) -> bool:
        """Probe where the names are not known to be ours; take the next ones until they are. False: look anew."""
        wait = self._chance() * _BEGIN if not any(link.ready for link in self._links.values()) else 0.0
        yielded = 0
        while True:
            match await self._probe(wait):
                case Outcome.FREE:
                    for link in self._unready():
                        link.ready = True
                        self._speaker.announce(link)
                    return True
                case Outcome.MOVED:
                    return False
                case Outcome.YIELD:
                    yielded += 1  # from the second time on at odds, so that two who both yield do not meet again
                    wait = _YIELD + (self._chance() * 2 if yielded > 1 else 0.0)
                case Outcome.TAKEN:
                    log.info("The name %s is taken on this network.", self._names.host.rstrip("."))
                    self._rename()
                    wait = self._pause()

    async def _probe(self, wait: float) -> Outcome:
        self._outcome = asyncio.get_running_loop().create_future()
        try:
            if wait and (found := await self._within(wait, speaking=False)) is not None:
                return found
            for _ in range(_PROBES):
                for link in self._unready():
                    link.send(probe(self._names.unique(), link.records))
                if (found := await self._within(_APART)) is not None:
                    return found
            return Outcome.FREE
        finally:
            self._outcome = None

    async def _within(self, seconds: float, *, speaking: bool = True) -> Outcome | None:
        """Return what was heard within ``seconds``, None for nothing. Who does not speak has nothing to yield."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._outcome is not None and (left := end - loop.time()) > 0:
            await asyncio.wait({self._outcome}, timeout=left)
            if not self._outcome.done():
                break
            found = self._outcome.result()
            if speaking or found is not Outcome.YIELD:
                return found
            self._outcome = loop.create_future()
        return None

    def _unready(self) -> list[Link]:
        return [link for link in self._links.values() if not link.ready]

    def _conclude(self, outcome: Outcome) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)

    def _moved(self) -> None:
        self._stirred.set()
        self._conclude(Outcome.MOVED)

    def _rename(self) -> None:
        """Give the names up, where they were ours already, and take the next."""
        self._renames = False
        self._conflicts.append(asyncio.get_running_loop().time())
        self._contested.clear()
        for link in self._links.values():
            if link.ready:
                link.send(goodbye(link.records))
        self._take(self._attempt + 1)

    def _take(self, attempt: int) -> None:
        self._attempt, self._names = attempt, names_for(self._said.name, attempt)
        for link in self._links.values():
            link.ready = False
            link.sent.clear()
            link.records = self._records((link.interface, link.version))

    def _pause(self) -> float:
        """Return the seconds to wait before the next attempt."""
        many = len(self._conflicts) == _CONFLICTS
        return _SLOW if many and asyncio.get_running_loop().time() - self._conflicts[0] < _WITHIN else 0.0

    # --- speaking ----------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        addresses = self._network.household.addresses()
        if not self._links:
            self._tell(None)
            return
        shown = addresses or tuple(a for link in self._links.values() for a in addresses_of(link.interface))
        host = self._names.host.rstrip(".")
        self._tell(Announced(host, self._names.instance, tuple(dict.fromkeys(map(str, shown)))))

    def _leave(self) -> None:
        self._speaker.close()
        for link in self._links.values():
            if link.ready:
                link.send(goodbye(link.records))
            self._close(link)
        self._links.clear()
        self._tell(None)

    # --- hearing -----------------------------------------------------------------------------------------------------

    def _receive(self, link: Link) -> None:
        begun = monotonic()
        words = [self._names.label.encode(), b"_http", b"_seedkeep", b"_services"]
        for packet, source in link.received():
            small = packet.lower()
            if any(word in small for word in words):  # most of what is said on a network is not about us
                self._hear(link, packet, source)
            if monotonic() - begun > _AT_A_TIME:
                asyncio.get_running_loop().remove_reader(link.fileno())
                self._speaker.later(_REST, lambda: self._listen(link))
                return

    def _hear(self, link: Link, packet: bytes, source: tuple[str, int]) -> None:
        heard = read(packet)
        if heard is None or link not in self._links.values():
            return
        if heard.response:
            self._consider(link, heard)
        else:
            self._asked(link, heard, source)

    def _listen(self, link: Link) -> None:
        if link in self._links.values():
            asyncio.get_running_loop().add_reader(link.fileno(), self._receive, link)

    def _asked(self, link: Link, heard: Heard, source: tuple[str, int]) -> None:
        if link.ready:
            self._speaker.answer(link, heard, source)
        elif heard.probe and self._is_foreign(heard.records) and loses(heard.records, link.records, self._names):
            self._conclude(Outcome.YIELD)

    def _is_foreign(self, records: Iterable[Record]) -> bool:
        """Whether somebody else speaks: our own words come back to us, by other interfaces of ours as well."""
        own = self._own()
        unique = self._names.unique()
        return any(r.identity not in own for r in records if r.name.lower() in unique)

    def _own(self) -> frozenset[tuple[str, int, bytes]]:
        """Return what is no contradiction: our records, and any address of this machine under our name, which another
        program of it may announce (an avahi out of our reach, on a machine that bears the name we want)."""
        said = {r.identity for link in self._links.values() for r in link.records}
        here = {a.ip for interface in self._network.household.interfaces for a in interface.addresses}
        host = self._names.unique()[0]
        return self._former | said | {(host, A if a.version == 4 else AAAA, a.packed) for a in here}

    def _consider(self, link: Link, heard: Heard) -> None:
        """Look whether an answer contradicts us: another host has one of our names."""
        unique, own = self._names.unique(), self._own()
        kinds = {(r.name.lower(), r.type) for each in self._links.values() for r in each.records}
        kinds |= {(unique[0], A), (unique[0], AAAA)}
        for record in heard.records:
            if record.identity in own:
                if not record.ttl and link.ready:
                    self._speaker.rescue(link)
            elif record.ttl and record.name.lower() in unique and (record.name.lower(), record.type) in kinds:
                self._conflict()
                return

    def _conflict(self) -> None:
        """While probing: the names are another's. Later: ask again, which is what the other one does too (9)."""
        if self._outcome is not None:
            self._conclude(Outcome.TAKEN)
            return
        if not any(link.ready for link in self._links.values()) or self._stirred.is_set():
            return
        log.warning("Another machine uses the name %s too.", self._names.host.rstrip("."))
        now = asyncio.get_running_loop().time()
        self._contested.append(now)
        self._renames = len(self._contested) == _LATE and now - self._contested[0] < _LATE_WITHIN
        for link in self._links.values():
            link.ready = False
        self._stirred.set()
