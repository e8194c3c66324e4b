"""Numbers and times as people read them: this module turns units into words, always the same way.

Sizes and rates count in thousands (1 GB = 1,000,000,000 bytes), as disks and providers do.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

_STEPS = ("bytes", "kB", "MB", "GB", "TB", "PB")
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant for a ``time`` element: what is read, what machines read, and the exact time for a tooltip."""

    text: str
    machine: str
    exact: str


def past(then: datetime, now: datetime) -> Moment:
    return Moment(ago(then, now), machine(then), stamp(then))


def coming(then: datetime, now: datetime) -> Moment:
    return Moment(ahead(then, now), machine(then), stamp(then))


def size(count: int) -> str:
    """Return bytes as ``1.4 GB``: three digits at most, a no-break space before the unit."""
    if count < 0:
        return "−" + size(-count)
    if count < 1000:
        return f"{count}\u00a0{'byte' if count == 1 else 'bytes'}"
    value = float(count)
    for unit in _STEPS[1:]:
        value /= 1000
        if round(value, 0 if value >= 99.95 else 1) < 1000 or unit == _STEPS[-1]:
            return f"{_short(value)}\u00a0{unit}"
    raise AssertionError("the last unit always returns")


def rate(per_second: int) -> str:
    """Return bytes/s as ``3.2 MB/s``; nothing moving is ``0 kB/s``."""
    return "0\u00a0kB/s" if per_second < 50 else f"{_thousands(per_second)}/s"


def limit(per_second: int | None) -> str:
    """Return a limit in words: none is ``unlimited``, 0 is ``stopped``."""
    if per_second is None:
        return "unlimited"
    return "stopped" if per_second == 0 else f"{_as_typed(per_second)}/s"


def _as_typed(count: int) -> str:
    """Return bytes with two decimals where a person may have typed them: ``1.25 MB``."""
    for unit, whole in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if whole <= count < 10 * whole:
            return f"{count / whole:.2f}".rstrip("0").rstrip(".") + f"\u00a0{unit}"
    return _thousands(count)


def count(number: int) -> str:
    """Return ``12,345``."""
    return f"{number:,}"


def short_count(number: int) -> str:
    """Return a count in at most four characters: ``980``, ``1.2k``, ``34k``, ``5.6M``."""
    if number < 1000:
        return str(number)
    value = float(number)
    for unit in ("k", "M", "G"):
        value /= 1000
        if value < 999.5 or unit == "G":
            return f"{_short(value) if value < 9.95 else round(value)}{unit}"
    raise AssertionError("the last unit always returns")


def many(number: int, one: str, more: str = "") -> str:
    """Return ``1 video`` or ``12 videos``; ``more`` is the plural where it is not one with an s."""
    return f"{count(number)}\u00a0{one if number == 1 else more or one + 's'}"


def length(seconds: int) -> str:
    """Return a video's duration as a player shows it: ``4:07``, ``1:02:09``."""
    minutes, rest = divmod(max(0, seconds), MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """Return a stretch of time in its largest fitting unit: ``40 seconds``, ``3 hours``, ``2 years``."""
    whole = max(0, round(seconds))
    for unit, name in ((365 * DAY, "year"), (30 * DAY, "month"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if whole >= unit * (2 if name in ("month", "year") else 1):
            return many(whole // unit, name)
    return many(whole, "second")


def lifetime(stretch: timedelta | None) -> str:
    """Return a rule's lifetime; none is ``for ever``."""
    return "for ever" if stretch is None else span(stretch.total_seconds())


def ago(then: datetime | None, now: datetime) -> str:
    """Return ``3 days ago``, ``just now``, or ``never`` where there was no such time."""
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    if seconds < 45:
        return "just now"
    return f"{span(seconds)} ago"


def ahead(then: datetime | None, now: datetime) -> str:
    """Return ``in 2 hours``, ``now`` for what is due, ``not planned`` for what is not."""
    if then is None:
        return "not planned"
    seconds = (then - now).total_seconds()
    return "now" if seconds < 15 else f"in {span(seconds)}"


def day(then: datetime) -> str:
    """Return ``21 Nov 2026`` (UTC)."""
    return f"{then.day} {then:%b %Y}"


def short_day(then: date) -> str:
    """Return ``21 Nov``."""
    return f"{then.day} {then:%b}"


def stamp(then: datetime) -> str:
    """Return the exact instant for a tooltip: ``21 Nov 2026, 09:30 UTC``."""
    return f"{day(then)}, {then:%H:%M} UTC"


def machine(then: datetime) -> str:
    """Return RFC 3339, for a ``time`` element."""
    return then.isoformat().replace("+00:00", "Z")


def share(part: int, whole: int) -> float:
    """Return ``part`` of ``whole`` in percent, 0 to 100, one decimal; nothing of nothing is 0."""
    return 0.0 if whole <= 0 else round(min(100.0, max(0.0, 100 * part / whole)), 1)


def percent(part: int, whole: int) -> str:
    """Return ``37 %``; only what is complete shows as 100."""
    value = share(part, whole)
    if part < whole:
        value = min(value, 99.0)
    return f"{int(value)}\u00a0%"


def remaining(left: int, per_second: int) -> str:
    """Return ``about 4 minutes left``, or nothing where the rate does not say."""
    if per_second < 1000 or left <= 0 or left / per_second > 7 * DAY:
        return ""
    return f"about {span(left / per_second)} left"


def listed(words: list[str]) -> str:
    """Join as a sentence does: ``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _thousands(amount: int) -> str:
    return size(amount) if amount >= 1000 else f"{_short(amount / 1000)}\u00a0kB"


def _short(value: float) -> str:
    if value >= 99.95:
        return f"{round(value):,}"
    return f"{value:.1f}".removesuffix(".0")
