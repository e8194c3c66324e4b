"""Torrents that lies may bring to a stand: this module looks after one for a while when a wrong piece came.

Where a peer sends wrong bytes beside an honest one, two things happen in libtorrent (2.1.1). Blocks that are written
only once their piece was refused count as the next attempt's: where they are all of it, there is never a verdict again
and nobody is asked; where they are some, what an honest peer adds is refused too. And whoever gave eight good pieces is
banned for one such: they are counted in four bits with a sign (``torrent_peer``).
"""

from collections.abc import Callable, Coroutine
from typing import Any

from appliance.clock import Clock
from appliance.swarm.held import Held
from appliance.swarm.mending import Mending, Standstill

LOOK_SECONDS = 1.0
CALM_SECONDS = 10.0
"""How long after the last wrong piece it is still looked."""
TRIES = 8
"""How often in a row a torrent is freed without a new piece. The pause doubles each time: two minutes at the last."""


class Freeing:
    """Looks after torrents to which something wrong came, and at no other; one watch for each."""

    def __init__(self, mending: Mending, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._mending, self._clock, self._spawn = mending, clock, spawn
        self._wrong_at: dict[Held, float] = {}

    @property
    def watched(self) -> int:
        """How many torrents are looked after."""
        return len(self._wrong_at)

    def wrong(self, held: Held) -> None:
        """A piece came and was not what it should be."""
        watched = held in self._wrong_at
        self._wrong_at[held] = self._clock.monotonic()
        if not watched:
            self._spawn(self._watch(held))

    async def _watch(self, held: Held) -> None:
        """Look every now and then; free what stood still at two looks in a row."""
        pause, tries, before = LOOK_SECONDS, TRIES, Standstill()
        try:
            while tries:
                count = held.inventory.count
                await self._clock.sleep(pause)
                if held.closing or held.inventory.whole:
                    return
                if held.inventory.count > count:
                    pause, tries = LOOK_SECONDS, TRIES
                now = await self._mending.look(held)
                still, before = now & before, now
                if still:
                    await self._mending.free(held, still)
                    pause, tries, before = pause * 2, tries - 1, Standstill()
                elif not now and self._clock.monotonic() - self._wrong_at[held] >= CALM_SECONDS:
                    return
        finally:
            del self._wrong_at[held]
