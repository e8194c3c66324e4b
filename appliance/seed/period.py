"""The day and the billing month in local time, as instants. This module is pure.

A period begins at the first instant of its first day: at midnight, or when daylight saving skips midnight right after.
A billing day that a month does not have is its last day.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` up to, and without, ``end``; both UTC."""

    start: datetime
    end: datetime


def begin(zone: tzinfo, day: date) -> datetime:
    """Return the first instant of a local day (PEP 495: of a midnight that comes twice the first, ``fold`` 0; of one
    that is skipped the moment of skipping)."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def day_of(zone: tzinfo, now: datetime) -> Period:
    """Return the local day that ``now`` is in."""
    today = now.astimezone(zone).date()
    return Period(begin(zone, today), begin(zone, today + timedelta(days=1)))


def month_of(zone: tzinfo, billing_day: int, now: datetime) -> Period:
    """Return the billing month that ``now`` is in; ``billing_day`` is 1 to 31."""
    today = now.astimezone(zone).date()
    first = _billed(today.year, today.month, billing_day)
    if today < first:
        before = today.replace(day=1) - timedelta(days=1)
        return Period(begin(zone, _billed(before.year, before.month, billing_day)), begin(zone, first))
    after = today.replace(day=28) + timedelta(days=4)
    return Period(begin(zone, first), begin(zone, _billed(after.year, after.month, billing_day)))


def _billed(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))


def slot(zone: tzinfo, now: datetime) -> datetime:
    """Return the instant under which bytes of ``now`` are written: its UTC hour's beginning, or that of its local day
    where this came later (a zone that is half an hour off), so that no hour belongs to two days."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return max(hour, day_of(zone, now).start)
