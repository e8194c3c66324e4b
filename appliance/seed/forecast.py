"""What a budget of transfer will come to at its end, from what was used so far and how the last days went.

This module is pure. An hour to come is expected to use what the same hour of the day used on average in the last two
weeks, or, on a box that is younger than a day, what an average hour used so far.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from appliance.seed.period import Period

PATTERN = timedelta(days=14)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """``expected`` bytes at the period's end if nothing held them back; ``full_at`` is when a budget would be used up,
    None where it lasts. ``line`` are (instant, bytes) from now to the end."""

    expected: int
    full_at: datetime | None
    line: tuple[tuple[datetime, int], ...]


def forecast(
    hours: Mapping[datetime, int], used: int, period: Period, zone: tzinfo, now: datetime, budget: int | None = None
) -> Forecast | None:
    """Return where this pace leads; None while there is no hour to judge it by. ``hours``: bytes by UTC hour."""
    by_hour = _pattern(hours, zone, now)
    if by_hour is None:
        return None
    expected, full_at = float(used), now if budget is not None and used >= budget else None
    line, at = [(now, used)], now
    while at < period.end:
        until = min(at.replace(minute=0, second=0, microsecond=0) + _HOUR, period.end)
        more = by_hour[at.astimezone(zone).hour] * ((until - at) / _HOUR)
        if budget is not None and full_at is None and more > 0 and expected + more >= budget:
            full_at = at + (until - at) * ((budget - expected) / more)
        expected, at = expected + more, until
        line.append((at, round(expected)))
    return Forecast(round(expected), full_at, tuple(line))


def _pattern(hours: Mapping[datetime, int], zone: tzinfo, now: datetime) -> tuple[float, ...] | None:
    """Return the bytes expected in each hour of the local day."""
    first = min((hour for hour in hours if hour >= now - PATTERN), default=None)
    if first is None or now - first < _HOUR:
        return None
    known = {hour: count for hour, count in hours.items() if first <= hour <= now}
    if now - first < _DAY:
        return (sum(known.values()) / ((now - first) / _HOUR),) * 24
    sums = [0] * 24
    for hour, count in known.items():
        sums[hour.astimezone(zone).hour] += count
    return tuple(total / ((now - first) / _DAY) for total in sums)
