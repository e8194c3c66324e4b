"""Gives back within the budgets: hands limits to every spender once a second, and keeps the ledger. This module is the
loop; what is in force is ``schedule``'s, what was spent the ``purse``'s, the split ``throttle``'s.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine
from datetime import date, timedelta
from typing import Any

from appliance.clock import Clock
from appliance.domain.traffic import Budget, Entry, Quota, TrafficClass
from appliance.domain.units import ByteCount, BytesPerSecond, InfoHash, Origin, RenditionName, VideoId
from appliance.errors import SeedkeepError
from appliance.outbound.fetch import Fetcher
from appliance.seed.bucket import Bucket
from appliance.seed.purse import Purse
from appliance.seed.schedule import Schedule, Standing
from appliance.seed.throttle import Limits, Use, braked, limits
from appliance.store import ledger
from appliance.store.engine import Store
from appliance.swarm.port import Swarm

_log = logging.getLogger(__name__)
FLUSH = 60.0
"""Seconds between two writings of the ledger."""

NO_VIDEO, NO_RENDITION = VideoId(""), RenditionName("")
_Line = tuple[date, VideoId, RenditionName, TrafficClass]
_SECOND = 1.0
_NEAR_LINGERS = 10.0
_LEAST_SLEEP = 0.01


def no_brake() -> None:
    """Hold nothing back."""


class Tender:
    """One purse for the household. ``owner`` names whose torrent an info-hash is.

    ``brake`` is asked each second for the bytes/s that may go up just now, None for as many as the budget says;
    ``stirred`` is called when what pinning may take changed (a budget is used up, begins anew, or is another one).
    """

    def __init__(
        self,
        store: Store,
        swarm: Swarm,
        fetcher: Fetcher,
        clock: Clock,
        schedule: Schedule,
        owner: Callable[[InfoHash], tuple[VideoId, RenditionName] | None],
        *,
        steady: Callable[[], float] | None = None,
        brake: Callable[[], BytesPerSecond | None] = no_brake,
        stirred: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._swarm, self._fetcher, self._clock = store, swarm, fetcher, clock
        self._owner, self._brake, self._stirred = owner, brake, stirred
        self.purse = Purse(store, clock, schedule, steady or clock.monotonic)
        self._standing: Standing | None = None
        self._why_waiting = ""
        self._handing = asyncio.Lock()
        self._lines: dict[_Line, list[int]] = defaultdict(lambda: [0, 0])
        self._players = Bucket(clock)
        self._second: dict[TrafficClass, list[int]] = {}
        self._rates: dict[TrafficClass, tuple[int, int]] = {}
        self._known: dict[InfoHash, tuple[VideoId, RenditionName]] = {}
        self._named = {TrafficClass.ORIGINS: 0, TrafficClass.LAN_PEERS: 0}
        self._came_by = TrafficClass.ORIGINS
        self._player_waits = False
        self._in_force: Limits | None = None
        self._near: dict[InfoHash, float] = {}
        self._unwritten: dict[str, str] = {}

    @property
    def uplink(self) -> BytesPerSecond | None:
        """What the swarm may send to the internet now in bytes/s; None: no limit."""
        return None if self._in_force is None else self._in_force.swarm.upload

    def on_lan(self, info_hash: InfoHash) -> bool:
        """Say whether a torrent gave to a peer in the house within the last seconds."""
        at = self._near.get(info_hash)
        return at is not None and self._clock.monotonic() - at < _NEAR_LINGERS

    @property
    def budget(self) -> Budget:
        """What is in force now, before any brake."""
        return Budget() if self._standing is None else self._standing.budget

    async def open(self) -> None:
        """Read what was spent, and hand out the first limits: until then nobody should spend."""
        await self.purse.open()
        await self._hand_out()
        self._fetcher.when_short(self._hand_out)

    async def reconfigure(self, schedule: Schedule) -> None:
        """Put a new schedule in force at once."""
        self.purse.reconfigure(schedule)
        await self.open()
        self._stirred()

    async def be_quiet(self, length: timedelta) -> None:
        """Let nothing cross the uplink for a while. Raises BadInput."""
        await self.purse.be_quiet(length)
        await self.open()

    async def end_quiet(self) -> None:
        await self.purse.end_quiet()
        await self.open()

    def quota(self) -> Quota | None:
        """Return what pinning may still take; None: as much as it likes."""
        return self.purse.quota()

    def rate(self, *classes: TrafficClass) -> tuple[BytesPerSecond, BytesPerSecond]:
        """Return (up, down) bytes/s of these classes over the last second."""
        up = sum(self._rates.get(c, (0, 0))[0] for c in classes)
        down = sum(self._rates.get(c, (0, 0))[1] for c in classes)
        return BytesPerSecond(up), BytesPerSecond(down)

    # What the spenders tell

    def count_player(self, video: VideoId, rendition: RenditionName, is_lan: bool, count: int) -> None:
        """A player took ``count`` bytes."""
        traffic = TrafficClass.LAN_PLAYERS if is_lan else TrafficClass.WAN_PLAYERS
        self.purse.count(traffic, count, 0)
        self._add(video, rendition, traffic, count, 0)

    async def pace_player(self, is_lan: bool, count: int) -> None:
        """Wait until a player may have ``count`` bytes more. Players on the LAN never wait."""
        if is_lan:
            return
        if self._in_force is not None and self._in_force.players_up == 0:
            self._player_waits = True
            await self._hand_out()
        await self._players.take(count)

    def count_challenge(self, video: VideoId, rendition: RenditionName, up: int, down: int) -> None:
        """A peer was asked for proof of its copy."""
        self.purse.count(TrafficClass.INTERNET_PEERS, up, down)
        self._add(video, rendition, TrafficClass.INTERNET_PEERS, up, down)

    def count_origin(self, _origin: Origin, count: int, near: bool = False) -> None:
        """``count`` bytes came over HTTP; those that ``count_fetched`` named a rendition for are not counted twice.

        ``near``: from a server on the LAN, which crosses no uplink and counts as its peers do.
        """
        traffic = self._came_by = TrafficClass.LAN_PEERS if near else TrafficClass.ORIGINS
        self.purse.count(traffic, 0, count)
        named = min(count, self._named[traffic])
        self._named[traffic] -= named
        self._add(NO_VIDEO, NO_RENDITION, traffic, 0, count - named)
        self._note_rate(traffic, 0, named)

    def count_fetched(self, video: VideoId, rendition: RenditionName, count: int) -> None:
        """Of the bytes that came over HTTP, ``count`` were of this rendition."""
        today, left = self._clock.now().date(), count
        for traffic in sorted(self._named, key=lambda one: one is not self._came_by):  # as the last bytes came, first
            line = self._lines[today, NO_VIDEO, NO_RENDITION, traffic]
            moved = min(left, line[1])
            line[1] -= moved
            left -= moved
            self._lines[today, video, rendition, traffic][1] += moved
        self._named[self._came_by] += left
        self._lines[today, video, rendition, self._came_by][1] += left

    def _add(self, video: VideoId, rendition: RenditionName, traffic: TrafficClass, up: int, down: int) -> None:
        line = self._lines[self._clock.now().date(), video, rendition, traffic]
        line[0] += up
        line[1] += down
        self._note_rate(traffic, up, down)

    def _note_rate(self, traffic: TrafficClass, up: int, down: int) -> None:
        second = self._second.setdefault(traffic, [0, 0])
        second[0] += up
        second[1] += down

    # The loop

    async def run(self) -> None:
        """Hand out limits and take counts once a second, write the ledger once a minute, until cancelled."""
        await self.open()
        before = written = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._pause())
            now = self._clock.monotonic()
            self._take_counts(max(now - before, 0.001))
            before = now
            await self._guarded("what was spent", self.purse.keep())
            await self._hand_out()
            if now - written >= FLUSH:
                written = now
                await self._guarded("the ledger", self.flush())

    def _pause(self) -> float:
        """Return the seconds until the next count, or until the hour that brings another profile, if that is sooner."""
        if self._standing is None or self._standing.until is None:
            return _SECOND
        left = (self._standing.until - self._clock.now()).total_seconds()
        return min(_SECOND, max(left, _LEAST_SLEEP))

    async def _guarded(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
            self._unwritten.pop(what, None)
        except SeedkeepError as error:
            if self._unwritten.get(what) != error.message:
                _log.warning("%s could not be written, and is tried again: %s", what, error.message)
            self._unwritten[what] = error.message
        except Exception:  # noqa: BLE001 - the edge of one unit of work: one writing
            _log.exception("%s could not be written; it is tried again", what)

    def _take_counts(self, seconds: float) -> None:
        for flow in self._swarm.drain():
            owner = self._owner(flow.info_hash) or self._known.get(flow.info_hash)
            if owner is not None:
                self._known[flow.info_hash] = owner
            video, rendition = owner or (NO_VIDEO, NO_RENDITION)
            if flow.traffic is TrafficClass.LAN_PEERS and flow.up:
                self._near[flow.info_hash] = self._clock.monotonic()
            self.purse.count(flow.traffic, flow.up, flow.down)
            self._add(video, rendition, flow.traffic, flow.up, flow.down)
        second, self._second = self._second, {}
        self._player_waits = False
        self._rates = {c: (round(n[0] / seconds), round(n[1] / seconds)) for c, n in second.items()}

    async def _hand_out(self) -> None:
        async with self._handing:
            self._standing = self.purse.standing()
            quota = self.purse.quota()
            if (quota.why if quota else "") != self._why_waiting:
                self._why_waiting = quota.why if quota else ""
                self._stirred()
            await self._hand(braked(self._standing.budget, self._brake()))

    async def _hand(self, budget: Budget) -> None:
        swarm_down = self._rates.get(TrafficClass.INTERNET_PEERS, (0, 0))[1]
        use = Use(
            players_up=self._rates.get(TrafficClass.WAN_PLAYERS, (0, 0))[0],
            origins_down=self._fetcher.received_rate(),
            swarm_down=swarm_down,
            player_waits=self._player_waits,
            viewer_waits=self._fetcher.is_short,
        )
        now = limits(budget, use)
        if now == self._in_force:
            return
        before, self._in_force = self._in_force, now
        self._fetcher.set_rate(now.origins_down)
        self._players.set_rate(now.players_up)
        if before is None or before.swarm != now.swarm:
            await self._swarm.limit(now.swarm)

    async def flush(self) -> None:
        """Write down what was counted. A failed write keeps the counts for the next one."""
        lines, self._lines = self._lines, defaultdict(lambda: [0, 0])
        entries = tuple(
            Entry(day, video, rendition, traffic, ByteCount(n[0]), ByteCount(n[1]))
            for (day, video, rendition, traffic), n in lines.items()
            if n[0] or n[1]
        )
        if not entries:
            return
        try:
            await self._store.write(ledger.add, entries)
        except Exception:
            for key, n in lines.items():
                self._lines[key][0] += n[0]
                self._lines[key][1] += n[1]
            raise

    async def close(self) -> None:
        """Take the last counts and write them down."""
        self._take_counts(1.0)
        await self._guarded("what was spent", self.purse.note(last=True))
        await self._guarded("the ledger", self.flush())
