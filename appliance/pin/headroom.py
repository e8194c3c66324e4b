"""Somebody filled the disk, or made room on it: this module notices, says so, and wakes who plans and who fetches.

Nothing sends word of free space, so it is looked at, one ``statvfs`` each time; whether anything waits for room is
asked of the store only where there is more of it, or where the states of pins changed.
"""

from collections.abc import Callable

from appliance.clock import Clock
from appliance.domain.plan import Disk
from appliance.domain.units import ByteCount
from appliance.errors import DiskError, StoreError
from appliance.library.space import Space
from appliance.store import decisions, pins
from appliance.store.engine import Store, Touched

LOOK = 5.0
"""Seconds between two looks."""
WORTH_A_PLAN = ByteCount(16 * 1024 * 1024)
"""Less than so many bytes come and go on every disk."""


_FULL = ByteCount(1024 * 1024)
_OURS = 32
"""We fill a disk up to its floor ourselves; one this part of the floor below it was filled by somebody else."""


class Headroom:
    """Run ``keep_watching`` as one task. ``wake`` is called when what waits for room may fit now, ``short`` while there
    is less free space than should be: what is held without a promise then goes."""

    def __init__(
        self,
        space: Space,
        store: Store,
        clock: Clock,
        wake: Callable[[], None],
        short: Callable[[], None] = lambda: None,
    ) -> None:
        self._space, self._store, self._clock, self._wake, self._short = space, store, clock, wake, short
        self._least: ByteCount | None = None
        self._waiting, self._stale = 0, True
        self.trouble: str | None = None

    async def keep_watching(self) -> None:
        """Look at the disk every few seconds, until cancelled."""
        end = self._store.listen(self._changed)
        try:
            while True:
                try:
                    await self._look()
                except DiskError:
                    self._least = ByteCount(0)  # the keeper says so; once it is back there may be room
                    self.trouble = None
                except StoreError:
                    self._stale = True  # the store says so itself
                await self._clock.sleep(LOOK)
        finally:
            end()

    def _changed(self, marks: Touched) -> None:
        self._stale = self._stale or any(kind == "pin_state" for kind, _ in marks)

    async def _look(self) -> None:
        disk = await self._space.disk(ByteCount(0))
        if self._stale:
            self._stale = False
            self._waiting = await self._store.read(pins.waiting_for_room)
        if disk.free < disk.floor:
            self._short()
        self.trouble = lack(disk, self._waiting)
        room = ByteCount(max(0, disk.free - disk.floor))
        if self._least is None or room < self._least:
            self._least = room
        elif room - self._least >= WORTH_A_PLAN:
            self._least = room
            if await self._store.read(decisions.want_room):
                self._wake()


def lack(disk: Disk, waiting: int) -> str | None:
    """Return what is to be said of a disk on which so many pins wait for room; None where all is as it should be."""
    if waiting:
        who = "1 video that is to come" if waiting == 1 else f"{waiting} videos that are to come"
        return f"The disk has no room for {who}. It goes on by itself once there is room."
    if disk.free < max(_FULL, disk.floor - disk.floor // _OURS):
        return "The disk has less free space than is never used. What lacks room waits, and goes on once there is some."
    return None
