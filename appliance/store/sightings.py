"""Which screens were seen, in memory only: this module remembers what each did, some tens of them, the latest.

Anybody on the network can be seen: whoever only searched makes room for those who did more, so that a flood of
searches does not drive the household's own screens out.
"""

from dataclasses import replace

from appliance.clock import Clock
from appliance.domain.screen import Act, Deed, Fetched, Sighting, tidied
from appliance.domain.units import ByteCount, VideoId

MOST = 64
_AGENTS = 4
_FETCHED = 16


class Sightings:
    """All sightings. Call it from the loop only."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock, self._most = clock, most
        self._seen: dict[str, Sighting] = {}

    def saw(self, address: str, act: Act, agent: str = "") -> None:
        """Remember that ``address`` did something, and what it called itself."""
        now = self._clock.now()
        old = self._seen.pop(address, None)
        if old is None:
            self._make_room()
            old = Sighting(address, now, now)
        deeds = dict(old.deeds)
        before = deeds.get(act)
        deeds[act] = Deed(before.count + 1 if before else 1, now)
        name = tidied(agent)
        agents = (name, *(a for a in old.agents if a != name))[:_AGENTS] if name else old.agents
        self._seen[address] = replace(old, last=now, agents=agents, deeds=tuple(deeds.items()))

    def fetched(self, address: str, video: VideoId, size: int) -> None:
        """Remember that ``address``, seen before, took so many bytes of a video."""
        old = self._seen.get(address)
        if old is None or size <= 0:
            return
        now = self._clock.now()
        before = next((f.size for f in old.fetched if f.video == video), 0)
        others = tuple(f for f in old.fetched if f.video != video)
        fresh = Fetched(video, ByteCount(before + size), now)
        self._seen[address] = replace(old, last=now, fetched=(fresh, *others)[:_FETCHED])

    def every(self) -> tuple[Sighting, ...]:
        """Return all, the latest first."""
        return tuple(sorted(self._seen.values(), key=lambda s: s.last, reverse=True))

    def _make_room(self) -> None:
        if len(self._seen) < self._most:
            return
        idle = next((a for a, s in self._seen.items() if s.farthest is Act.SEARCHED), next(iter(self._seen)))
        del self._seen[idle]
