"""When to look at a channel again: this module weighs how often it publishes against the origin's patience. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

SOONEST = timedelta(minutes=15)
BUSY = timedelta(minutes=30)
LATEST = timedelta(hours=24)
JITTER = 0.2
"""Share of the wait by which it may be shorter or longer, so that boxes don't ask at the same moment."""

LOOKS_PER_VIDEO = 48
"""A channel is looked at this often in the usual time between two of its videos."""

FIRST_RETRY = timedelta(minutes=5)
DETAIL_AGE = timedelta(hours=24)
"""How old the detail of a pinned video may be: a new caption or mirror shows nowhere else."""

_RECENT_VIDEOS = 10
_FELL_SILENT = 3
_JUST_CHANGED = timedelta(hours=2)


def next_check(
    now: datetime,
    published: Sequence[datetime],
    last_change: datetime | None,
    failures: int,
    jitter: float,
    retry_after: timedelta | None = None,
) -> datetime:
    """Return when to look at a channel again.

    ``published`` are its newest videos' times in any order; ``failures`` in a row, this look included;
    ``jitter`` a number from 0 to 1. ``retry_after`` is what the origin asked for: never earlier than that.
    """
    wait = backoff(failures) if failures else interval(now, published, last_change)
    wait *= 1 - JITTER + 2 * JITTER * jitter
    wait = min(wait, LATEST * (1 + JITTER))
    return now + max(wait, retry_after or timedelta(0))


def interval(now: datetime, published: Sequence[datetime], last_change: datetime | None) -> timedelta:
    """Return the wait between two looks: 15 to 30 minutes for one that publishes daily, a day for one that sleeps."""
    newest = sorted((p for p in published if p <= now), reverse=True)[:_RECENT_VIDEOS]
    if not newest:
        quiet = now - last_change if last_change is not None else LATEST
        return _bounded(quiet / LOOKS_PER_VIDEO, BUSY)
    silence = now - newest[0]
    usual = (newest[0] - newest[-1]) / (len(newest) - 1) if len(newest) > 1 else silence
    gap = silence if silence > usual * _FELL_SILENT else usual
    if last_change is not None and now - last_change < _JUST_CHANGED:
        return SOONEST
    return _bounded(gap / LOOKS_PER_VIDEO, SOONEST)


def _bounded(wait: timedelta, least: timedelta) -> timedelta:
    return min(max(wait, least), LATEST)


def backoff(failures: int) -> timedelta:
    """Return the wait after ``failures`` in a row: 5 minutes, twice as long each time, a day at most."""
    return min(FIRST_RETRY * (1 << min(max(failures - 1, 0), 12)), LATEST)


def detail_retry(now: datetime, failures: int, jitter: float, retry_after: timedelta | None = None) -> datetime:
    """Return when to ask for a video's detail again after ``failures`` in a row."""
    wait = backoff(failures) * (1 - JITTER + 2 * JITTER * jitter)
    return now + max(wait, retry_after or timedelta(0))


def stale_before(now: datetime) -> datetime:
    """Return the moment before which a detail must have been asked for to be asked for again."""
    return now - DETAIL_AGE
