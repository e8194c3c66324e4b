"""Gives back within the budgets: hands limits to every spender once a second, and keeps the ledger. This module is the
loop; the split is ``throttle``'s.
"""

import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import date

from appliance.clock import Clock
from appliance.domain.traffic import Budget, Entry, TrafficClass
from appliance.domain.units import ByteCount, BytesPerSecond, InfoHash, Origin, RenditionName, VideoId
from appliance.outbound.fetch import Fetcher
from appliance.seed.bucket import Bucket
from appliance.seed.throttle import Limits, Use, limits
from appliance.store import ledger
from appliance.store.engine import Store
from appliance.swarm.port import Swarm

_log = logging.getLogger(__name__)
FLUSH = 60.0
"""Seconds between two writings of the ledger."""

NO_VIDEO, NO_RENDITION = VideoId(""), RenditionName("")
_INTERNET_DOWN = frozenset({TrafficClass.INTERNET_PEERS, TrafficClass.ORIGINS})
_Line = tuple[date, VideoId, RenditionName, TrafficClass]


class Tender:
    """One purse for the household. ``owner`` names whose torrent an info-hash is."""

    def __init__(
        self,
        store: Store,
        swarm: Swarm,
        fetcher: Fetcher,
        clock: Clock,
        budget: Budget,
        owner: Callable[[InfoHash], tuple[VideoId, RenditionName] | None],
    ) -> None:
        self._store, self._swarm, self._fetcher, self._clock = store, swarm, fetcher, clock
        self._budget, self._owner = budget, owner
        self._lines: dict[_Line, list[int]] = defaultdict(lambda: [0, 0])
        self._players = Bucket(clock)
        self._second: dict[TrafficClass, list[int]] = {}
        self._rates: dict[TrafficClass, tuple[int, int]] = {}
        self._known: dict[InfoHash, tuple[VideoId, RenditionName]] = {}
        self._named = 0
        self._player_waits = False
        self._in_force: Limits | None = None

    @property
    def budget(self) -> Budget:
        return self._budget

    async def reconfigure(self, budget: Budget) -> None:
        """Put new limits in force at once."""
        self._budget = budget
        await self._hand_out()

    def rate(self, *classes: TrafficClass) -> tuple[BytesPerSecond, BytesPerSecond]:
        """Return (up, down) bytes/s of these classes over the last second."""
        up = sum(self._rates.get(c, (0, 0))[0] for c in classes)
        down = sum(self._rates.get(c, (0, 0))[1] for c in classes)
        return BytesPerSecond(up), BytesPerSecond(down)

    # What the spenders tell

    def count_player(self, video: VideoId, rendition: RenditionName, is_lan: bool, count: int) -> None:
        """A player took ``count`` bytes."""
        self._add(video, rendition, TrafficClass.LAN_PLAYERS if is_lan else TrafficClass.WAN_PLAYERS, count, 0)

    async def pace_player(self, is_lan: bool, count: int) -> None:
        """Wait until a player may have ``count`` bytes more. Players on the LAN never wait."""
        if is_lan:
            return
        if self._in_force is not None and self._in_force.players_up == 0:
            self._player_waits = True
            await self._hand_out()
        await self._players.take(count)

    def count_origin(self, _origin: Origin, count: int) -> None:
        """``count`` bytes came over HTTP; those that ``count_fetched`` named a rendition for are not counted twice."""
        named = min(count, self._named)
        self._named -= named
        self._add(NO_VIDEO, NO_RENDITION, TrafficClass.ORIGINS, 0, count - named)
        self._note_rate(TrafficClass.ORIGINS, 0, named)

    def count_fetched(self, video: VideoId, rendition: RenditionName, count: int) -> None:
        """Of the bytes that came over HTTP, ``count`` were of this rendition."""
        line = self._lines[self._clock.now().date(), NO_VIDEO, NO_RENDITION, TrafficClass.ORIGINS]
        moved = min(count, line[1])
        line[1] -= moved
        self._named += count - moved
        self._lines[self._clock.now().date(), video, rendition, TrafficClass.ORIGINS][1] += count

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
        await self._hand_out()
        before = written = self._clock.monotonic()
        while True:
            await self._clock.sleep(1.0)
            now = self._clock.monotonic()
            self._take_counts(max(now - before, 0.001))
            before = now
            await self._hand_out()
            if now - written >= FLUSH:
                written = now
                await self._flush_or_keep()

    async def _flush_or_keep(self) -> None:
        try:
            await self.flush()
        except Exception:  # noqa: BLE001 - the edge of one unit of work: one writing of the ledger
            _log.exception("the ledger could not be written; it is tried again in a minute")

    def _take_counts(self, seconds: float) -> None:
        for flow in self._swarm.drain():
            owner = self._owner(flow.info_hash) or self._known.get(flow.info_hash)
            if owner is not None:
                self._known[flow.info_hash] = owner
            video, rendition = owner or (NO_VIDEO, NO_RENDITION)
            self._add(video, rendition, flow.traffic, flow.up, flow.down)
        second, self._second = self._second, {}
        self._player_waits = False
        self._rates = {c: (round(n[0] / seconds), round(n[1] / seconds)) for c, n in second.items()}

    async def _hand_out(self) -> None:
        swarm_down = self._rates.get(TrafficClass.INTERNET_PEERS, (0, 0))[1]
        use = Use(
            players_up=self._rates.get(TrafficClass.WAN_PLAYERS, (0, 0))[0],
            origins_down=self._fetcher.received_rate(),
            swarm_down=swarm_down,
            player_waits=self._player_waits,
        )
        now = limits(self._budget, use)
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
        await self.flush()
