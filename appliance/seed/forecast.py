"""What a budget of transfer will come to at its end, from what was used so far and how the last days went.

This module is pure. An hour to come is expected to use what the same hour of the day used on average in the last two
weeks, or, on a box that is younger than a day, what an average hour used so far; hours that the week now stops tell
nothing. What is known to hold it back does: the week's limits, the quiet asked for, and the other budget of that way
(the day's for the month, the month's for the day). The budget itself does not: the line shows what would pass it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.seed.schedule import Allowance, Schedule, Span, Used, Way, profile_at

PATTERN = timedelta(days=14)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """``expected`` bytes at the period's end if this budget did not hold them back; ``full_at`` is when it would be
    used up, None where it lasts. ``line`` are (instant, bytes) from now to the end."""

    expected: int
    full_at: datetime | None
    line: tuple[tuple[datetime, int], ...]


def forecast(
    schedule: Schedule,
    span: Span,
    way: Way,
    hours: Mapping[datetime, int],
    used: Used,
    now: datetime,
    quiet_until: datetime | None = None,
) -> Forecast | None:
    """Return where this pace leads; None while there is no hour to judge it by. ``hours``: bytes of that way by UTC
    hour."""
    usual = _usual(schedule, way, hours, now)
    if usual is None:
        return None
    end, budget, begun = schedule.period(span, now).end, whole(schedule, span, way), _of(used, span, way)
    other = _Other(schedule, Span.DAY if span is Span.MONTH else Span.MONTH, way, used, now)
    expected, full_at = float(begun), now if budget is not None and begun >= budget else None
    line, at = [(now, begun)], now
    while at < end:
        until = min(_next(schedule, at, quiet_until), end)
        more = 0.0 if quiet_until is not None and at < quiet_until else usual(at) * ((until - at) / _HOUR)
        more = other.let(min(more, _most(schedule, way, at, until)), at)
        if budget is not None and full_at is None and more > 0 and expected + more >= budget:
            full_at = at + (until - at) * ((budget - expected) / more)
        expected, at = expected + more, until
        line.append((at, round(expected)))
    return Forecast(round(expected), full_at, tuple(line))


def whole(schedule: Schedule, span: Span, way: Way) -> int | None:
    """Return a budget's bytes; None where there is none."""
    allowance = schedule.allowances.get(span, Allowance())
    return allowance.up if way is Way.UPLOAD else allowance.down


def _of(used: Used, span: Span, way: Way) -> int:
    return used.get(span, (0, 0))[way is Way.DOWNLOAD]


def _next(schedule: Schedule, at: datetime, quiet_until: datetime | None) -> datetime:
    """Return the end of the local hour, or that of the quiet where it is sooner."""
    local = at.astimezone(schedule.zone)
    end = at + _HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return min(end, quiet_until) if quiet_until is not None and at < quiet_until else end


def _speed(schedule: Schedule, way: Way, at: datetime) -> int | None:
    speeds = schedule.speeds(profile_at(schedule, at))
    return speeds.up if way is Way.UPLOAD else speeds.down


def _most(schedule: Schedule, way: Way, at: datetime, until: datetime) -> float:
    """Return the bytes that the week lets through between two instants of one local hour."""
    speed = _speed(schedule, way, at)
    return float("inf") if speed is None else speed * (until - at).total_seconds()


class _Other:
    """The budget beside this one: it binds it too, and begins anew at its own time."""

    def __init__(self, schedule: Schedule, span: Span, way: Way, used: Used, now: datetime) -> None:
        self._schedule, self._span, self._whole = schedule, span, whole(schedule, span, way)
        self._end = schedule.period(span, now).end
        self._rest = float(max(0, (self._whole or 0) - _of(used, span, way)))

    def let(self, more: float, at: datetime) -> float:
        """Return how much of ``more`` bytes, wanted from this instant on, it lets through."""
        if self._whole is None:
            return more
        if at >= self._end:
            self._rest, self._end = float(self._whole), self._schedule.period(self._span, at).end
        passed = min(more, self._rest)
        self._rest -= passed
        return passed


def _usual(
    schedule: Schedule, way: Way, hours: Mapping[datetime, int], now: datetime
) -> Callable[[datetime], float] | None:
    """Return what is expected of an hour in which nothing is stopped; None where nothing tells."""
    first = min((hour for hour in hours if hour >= now - PATTERN), default=None)
    if first is None or now - first < _HOUR:
        return None
    sums, lengths = [0.0] * 24, [0.0] * 24
    at = first
    while at < now:
        until = min(at + _HOUR, now)
        if _speed(schedule, way, at) != 0:
            hour = at.astimezone(schedule.zone).hour
            sums[hour] += hours.get(at, 0)
            lengths[hour] += (until - at) / _HOUR
        at += _HOUR
    mean = sum(sums) / max(sum(lengths), 1.0)
    young = now - first < _DAY
    by_hour = [mean if young or not n else total / n for total, n in zip(sums, lengths, strict=True)]
    return lambda at: by_hour[at.astimezone(schedule.zone).hour]
