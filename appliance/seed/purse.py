"""What the household may still spend, held over restarts: bytes against budgets, and quiet asked for. This module keeps
both; what follows from them is ``schedule``'s.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from appliance.clock import Clock
from appliance.domain.traffic import UPLINK_DOWN, UPLINK_UP, Quota, TrafficClass
from appliance.domain.units import ByteCount
from appliance.errors import BadInput
from appliance.seed import schedule as scheduling
from appliance.seed.schedule import Schedule, Span, Standing, Used
from appliance.seed.tally import KEPT, Tally
from appliance.store import saved, transfer
from appliance.store.engine import Store

_log = logging.getLogger(__name__)

NOTE_SECONDS = 60.0
LONGEST_QUIET = timedelta(hours=24)
_QUIET = "quiet_until"
_NOTHING = (ByteCount(0), ByteCount(0))


class Purse:
    """``open`` it before it is asked. ``steady`` counts seconds, those in which the machine slept too."""

    def __init__(self, store: Store, clock: Clock, schedule: Schedule, steady: Callable[[], float]) -> None:
        self._store, self._clock, self._steady = store, clock, steady
        self._schedule = schedule
        self._tally: Tally | None = None
        self._quiet_until: datetime | None = None
        self._noted = 0.0
        self._writing = asyncio.Lock()

    @property
    def schedule(self) -> Schedule:
        return self._schedule

    @property
    def tally(self) -> Tally:
        assert self._tally is not None, "the purse is not open"
        return self._tally

    async def open(self) -> None:
        """Read what was spent; what a killed process may have spent unwritten counts as spent."""
        if self._tally is not None:
            return
        now = self._clock.now()
        rows = await self._store.read(transfer.since, now - KEPT)
        up, down = await self._store.read(transfer.ahead)
        quiet = await self._store.read(saved.get, _QUIET)
        tally = Tally(rows, self._schedule.zone, now, self._steady())
        tally.add(up, down, now)
        until = None if quiet is None else datetime.fromisoformat(json.loads(quiet))
        self._quiet_until = until if until is not None and now < until <= now + LONGEST_QUIET else None
        self._tally = tally
        await self.note()

    def reconfigure(self, schedule: Schedule) -> None:
        self._schedule = schedule
        if self._tally is not None:
            self._tally.zone = schedule.zone

    # What is so

    def count(self, traffic: TrafficClass, up: int, down: int) -> None:
        """Count what crossed the uplink; what stayed on the LAN is not counted."""
        up = up if traffic in UPLINK_UP else 0
        down = down if traffic in UPLINK_DOWN else 0
        if self._tally is not None:
            self._tally.add(up, down, self._clock.now())

    def used(self) -> Used:
        """Return the bytes of the present day and billing month."""
        now = self._clock.now()
        return {span: self.tally.since(self._schedule.period(span, now).start) for span in Span}

    def standing(self) -> Standing:
        """Return what is in force."""
        return scheduling.in_force(self._schedule, self.used(), self._quiet_until, self._clock.now())

    def told(self) -> str:
        """Return what is in force, in words."""
        return scheduling.told(self.standing(), self._schedule, self._clock.now())

    def quota(self) -> Quota | None:
        """Return what pinning may still take; None: as much as it likes."""
        return None if self._tally is None else scheduling.quota(self._schedule, self.used(), self._clock.now())

    # Quiet

    @property
    def quiet_until(self) -> datetime | None:
        until = self._quiet_until
        return until if until is not None and self._clock.now() < until else None

    async def be_quiet(self, length: timedelta) -> None:
        """Let nothing cross the uplink for a while. Raises BadInput for less than a minute or more than a day."""
        if not timedelta(minutes=1) <= length <= LONGEST_QUIET:
            raise BadInput("Quiet lasts from a minute to 24 hours.", field="hours")
        self._quiet_until = self._clock.now() + length
        await self._store.promise(saved.put, _QUIET, json.dumps(self._quiet_until.isoformat()))

    async def end_quiet(self) -> None:
        self._quiet_until = None
        await self._store.promise(saved.drop, _QUIET)

    # Keeping it

    async def keep(self) -> None:
        """Look at the clock, and write down what is due; call it each second."""
        now, steady = self._clock.now(), self._steady()
        jump = self.tally.watch(now, steady)
        if jump is not None:
            _log.warning("the clock was set by %s; what was counted since the start moves along", jump)
            if self._quiet_until is not None:
                self._quiet_until += jump
            await self.note()
            self.tally.reread(await self._store.read(transfer.since, now - KEPT))
        elif self.tally.is_overdue or steady - self._noted >= NOTE_SECONDS:
            await self.note()

    async def note(self, *, last: bool = False) -> None:
        """Write down what was counted; ``last`` says that nothing more is spent. A failed write keeps the counts."""
        if self._tally is None:
            return
        async with self._writing:
            changes, ahead = self.tally.changes(), _NOTHING if last else self.tally.ahead()
            self._noted = self._steady()
            if changes or ahead != self.tally.reserved:
                await self._store.write(transfer.note, changes, ahead)
                self.tally.written(changes, ahead)
