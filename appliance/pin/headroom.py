"""Somebody made room on the disk: this module notices, and wakes who plans and who fetches.

Nothing sends word of free space, so it is looked at, one ``statvfs`` each time; whether anything waits for room is
asked of the store only where there is more of it.
"""

from collections.abc import Callable

from appliance.clock import Clock
from appliance.domain.units import ByteCount
from appliance.errors import DiskError
from appliance.library.space import Space
from appliance.store import decisions
from appliance.store.engine import Store

LOOK = 15.0
"""Seconds between two looks."""
WORTH_A_PLAN = ByteCount(16 * 1024 * 1024)
"""Less than so many bytes come and go on every disk."""


class Headroom:
    """Run ``keep_watching`` as one task. ``wake`` is called when what waits for room may fit now."""

    def __init__(self, space: Space, store: Store, clock: Clock, wake: Callable[[], None]) -> None:
        self._space, self._store, self._clock, self._wake = space, store, clock, wake
        self._least: ByteCount | None = None

    async def keep_watching(self) -> None:
        """Look at the disk every few seconds, until cancelled."""
        while True:
            try:
                await self._look()
            except DiskError:
                self._least = ByteCount(0)  # the keeper says so; once it is back there may be room
            await self._clock.sleep(LOOK)

    async def _look(self) -> None:
        room = await self._space.room()
        if self._least is None or room < self._least:
            self._least = room
        elif room - self._least >= WORTH_A_PLAN:
            self._least = room
            if await self._store.read(decisions.want_room):
                self._wake()
