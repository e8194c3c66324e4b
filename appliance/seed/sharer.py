"""Parts the upload by need, and gives turns at announcing. This module is the loop; the choice is ``shares``'s."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.clock import Clock
from appliance.domain.units import BytesPerSecond, InfoHash, RenditionName, VideoId
from appliance.seed.shares import Asked, Tended, need, shares, turns
from appliance.store import giving
from appliance.store.engine import Store
from appliance.swarm.port import Swarm, TorrentPhase, TorrentStatus

_log = logging.getLogger(__name__)

STEP = 2.0
"""Seconds between two partings."""
_LOOK = 60.0
"""Seconds between two looks at what is held, and at whose turn it is."""
TURN = 1800.0
"""Seconds of a turn: three intervals of PeerTube's tracker, two of the DHT's."""


@dataclass(frozen=True, slots=True)
class SharerOptions:
    """``at_once``: whole torrents that announce at the same time."""

    at_once: int = 200


class Sharer:
    """Run ``run`` as one task.

    ``limit`` is what the swarm may send to the internet now; ``on_lan`` says whether a torrent gives to peers in the
    house just now: those have a limit of their own, so such a torrent is not held back.
    """

    def __init__(
        self,
        store: Store,
        swarm: Swarm,
        clock: Clock,
        owner: Callable[[InfoHash], tuple[VideoId, RenditionName] | None],
        limit: Callable[[], BytesPerSecond | None],
        on_lan: Callable[[InfoHash], bool],
        options: SharerOptions,
    ) -> None:
        self._store, self._swarm, self._clock, self._owner = store, swarm, clock, owner
        self._limit, self._on_lan, self._options = limit, on_lan, options
        self._videos: Mapping[VideoId, giving.Giving] = {}
        self._began: dict[InfoHash, float] = {}
        self._ended: dict[InfoHash, float] = {}
        self._rates: dict[InfoHash, int] = {}
        self._looked: float | None = None

    def reconfigure(self, options: SharerOptions) -> None:
        self._options, self._looked = options, None

    @property
    def announcing(self) -> int:
        """How many whole torrents have their turn now."""
        return len(self._began)

    async def run(self) -> None:
        """Part the upload every other second and give turns every minute, until cancelled."""
        self._swarm.announce(())
        while True:
            try:
                await self.step()
            except Exception:  # noqa: BLE001 - the edge of one unit of work: one parting
                _log.exception("the upload could not be parted")
            await self._clock.sleep(STEP)

    async def step(self) -> None:
        """Part the upload now; look and give turns where that is due."""
        now, statuses = self._clock.monotonic(), self._swarm.statuses()
        if self._looked is None or now - self._looked >= _LOOK:
            self._looked = now
            self._videos = await self._store.read(giving.every)
            self._take_turns(statuses, now)
        elif self._idle_room(statuses):
            self._take_turns(statuses, now)
        asked = [
            Asked(
                info_hash,
                status.upload_rate,
                _leechers(status),
                self._tended(info_hash, status),
                self._rates.get(info_hash, 0),
            )
            for info_hash, status in statuses.items()
            if (status.upload_rate or _leechers(status)) and not self._on_lan(info_hash)
        ]
        self._rates = {one.info_hash: one.rate for one in asked}
        self._swarm.share(shares(asked, self._limit()))

    def _idle_room(self, statuses: Mapping[InfoHash, TorrentStatus]) -> bool:
        """Say whether a torrent that just became whole could announce without waiting for the next look."""
        if len(self._began) >= self._options.at_once:
            return False
        return sum(s.phase is TorrentPhase.WHOLE for s in statuses.values()) > len(self._began)

    def _take_turns(self, statuses: Mapping[InfoHash, TorrentStatus], now: float) -> None:
        needs = {
            info_hash: need(self._tended(info_hash, status), _leechers(status))
            for info_hash, status in statuses.items()
            if status.phase is TorrentPhase.WHOLE
        }
        chosen = turns(needs, self._began, self._ended, now, self._options.at_once, TURN)
        self._ended = {k: at for k, at in self._ended.items() if k in needs and k not in chosen}
        self._ended |= {k: now for k in self._began.keys() - chosen if k in needs}
        self._began = {k: self._began.get(k, now) for k in chosen}
        self._swarm.announce(chosen)

    def _tended(self, info_hash: InfoHash, status: TorrentStatus) -> Tended:
        owner = self._owner(info_hash)
        video = self._videos.get(owner[0]) if owner is not None else None
        if video is None:
            return Tended(status.done, copies=status.complete)
        known = [count for count in (video.copies, status.complete) if count is not None]
        rule = video.rule
        return Tended(
            size=video.size,
            given=video.given,
            copies=max(known, default=None),
            weight=1.0 if rule is None else rule.weight,
            ratio=None if rule is None else rule.ratio,
            seed_below=None if rule is None else rule.seed_below,
        )


def _leechers(status: TorrentStatus) -> int:
    """Return how many peers lack something of a torrent that we have whole; 0 for one that is still coming."""
    return max(0, status.peers - status.seeds) if status.phase is TorrentPhase.WHOLE else 0
