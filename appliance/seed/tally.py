"""Bytes that crossed the uplink, by hour, and what a clock that jumps does to them. This module is plain counting.

Budgets follow the calendar, and calendars follow the clock, which may be wrong: a board without a battery starts in
the past until the network tells it the time, and people set clocks. Four rules keep a jump from giving or taking bytes:

1. What this process counted is dated by the clock it ran on. When that clock is put right (it differs from the steady
   count since the process began by half an hour or more), what it counted moves along with it. Nothing is lost or
   doubled, and setting a clock forward and back again changes nothing.
2. Bytes dated later than now (an earlier process ran ahead of time) count as now: periods have no upper end here.
3. They are moved to the present once the clock was steady for an hour and knows some of our own past, so that they do
   not count again in the period they were dated for.
4. Time that passed while the machine slept or was off is no jump.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

from appliance.domain.units import ByteCount
from appliance.seed.period import slot

JUMP = timedelta(minutes=30)
STEADY = 3600.0
"""Seconds after which a clock that did not jump is believed."""
KEPT = timedelta(days=70)
"""How far back hours are held here: the longest billing month, and a month of pattern before it."""
_LEAST_AHEAD = 1 << 20
_HOUR = timedelta(hours=1)
_Hours = dict[datetime, list[int]]


class Tally:
    """``rows`` are the hours written down from ``now - KEPT`` on; ``steady``: seconds that no clock change moves."""

    def __init__(self, rows: Mapping[datetime, tuple[int, int]], zone: tzinfo, now: datetime, steady: float) -> None:
        self.zone = zone
        self._rows: _Hours = {hour: [up, down] for hour, (up, down) in rows.items()}
        self._run: _Hours = {}
        self._changes: _Hours = {}
        self._unnoted = [0, 0]
        self._ahead = (0, 0)
        self._began = self._anchored = steady
        self._now = now
        self._healed = False
        self._sums: dict[datetime, list[int]] = {}

    def add(self, up: int, down: int, now: datetime) -> None:
        """Count bytes of this instant."""
        if not up and not down:
            return
        hour = slot(self.zone, now)
        _put(self._run, hour, up, down)
        self._change(hour, up, down)
        self._unnoted[0] += up
        self._unnoted[1] += down

    def _change(self, hour: datetime, up: int, down: int) -> None:
        _put(self._rows, hour, up, down)
        _put(self._changes, hour, up, down)
        for first, total in self._sums.items():
            if hour >= first:
                total[0] += up
                total[1] += down

    def since(self, first: datetime) -> tuple[int, int]:
        """Return the bytes (up, down) from ``first`` on."""
        if first not in self._sums:
            found = [n for hour, n in self._rows.items() if hour >= first]
            if len(self._sums) > 8:
                self._sums.clear()
            self._sums[first] = [sum(n[0] for n in found), sum(n[1] for n in found)]
        up, down = self._sums[first]
        return up, down

    def hours(self) -> dict[datetime, tuple[int, int]]:
        """Return bytes (up, down) by UTC hour."""
        return {hour: (n[0], n[1]) for hour, n in sorted(self._rows.items())}

    # The clock

    def watch(self, now: datetime, steady: float) -> timedelta | None:
        """Compare the clock with the steady count; return by how much it jumped, None where it did not."""
        jump = (now - self._now) - timedelta(seconds=steady - self._anchored)
        if abs(jump) < JUMP:
            if not self._healed and steady - self._began >= STEADY:
                self._healed = True
                self._heal(now)
            return None
        self._now, self._anchored, self._began, self._healed = now, steady, steady, False
        run, self._run = self._run, {}
        for hour, (up, down) in run.items():
            moved = min(slot(self.zone, hour + jump), slot(self.zone, now))
            self._change(hour, -up, -down)
            self._change(moved, up, down)
            _put(self._run, moved, up, down)
        return jump

    def _heal(self, now: datetime) -> None:
        present = slot(self.zone, now)
        late = [hour for hour in self._rows if hour > now + _HOUR]
        known = any(now - KEPT < hour < present - _HOUR and hour not in self._run for hour in self._rows)
        if not late or not known:
            return
        for hour in late:
            up, down = self._rows[hour]
            self._change(hour, -up, -down)
            self._change(present, up, down)
            _put(self._run, present, up, down)

    # Writing down

    @property
    def is_overdue(self) -> bool:
        """Whether more was spent than what stands written would cover after a kill."""
        return self._unnoted[0] > self._ahead[0] or self._unnoted[1] > self._ahead[1]

    @property
    def reserved(self) -> tuple[int, int]:
        """What stands written to be spent beyond what was counted."""
        return self._ahead

    def reread(self, rows: Mapping[datetime, tuple[int, int]]) -> None:
        """Take over the hours as they stand written, after the clock moved to another past."""
        self._rows = {hour: [up, down] for hour, (up, down) in rows.items()}
        for hour, (up, down) in self._changes.items():
            _put(self._rows, hour, up, down)
        self._sums.clear()

    def changes(self) -> dict[datetime, tuple[int, int]]:
        """Return what changed since the last ``written``, by hour."""
        return {hour: (n[0], n[1]) for hour, n in self._changes.items()}

    def ahead(self) -> tuple[ByteCount, ByteCount]:
        """Return what the next minute may spend before it is written down: as the last one, 1 MiB at least.

        A process that is killed leaves it standing, and the next one counts it as spent: rather too much than too
        little.
        """
        return ByteCount(max(_LEAST_AHEAD, self._unnoted[0])), ByteCount(max(_LEAST_AHEAD, self._unnoted[1]))

    def written(self, changes: Mapping[datetime, tuple[int, int]], ahead: tuple[int, int]) -> None:
        """Note that these changes stand written, and what may be spent beyond them."""
        for hour, (up, down) in changes.items():
            _put(self._changes, hour, -up, -down)
            if self._changes[hour] == [0, 0]:
                del self._changes[hour]
        self._ahead = ahead
        self._unnoted = [sum(n[0] for n in self._changes.values()), sum(n[1] for n in self._changes.values())]


def _put(hours: _Hours, hour: datetime, up: int, down: int) -> None:
    line = hours.setdefault(hour, [0, 0])
    line[0] += up
    line[1] += down
