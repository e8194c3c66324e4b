"""Numbers, sizes and dates as people write them: this module has what several sentences need."""

from collections.abc import Mapping
from datetime import date, datetime

Facts = Mapping[str, str | int | float]

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)


def human_size(count: float) -> str:
    """Return bytes in the largest decimal unit that leaves at least 1, as disks are sold: ``1.2 GB``."""
    size = max(0.0, float(count))
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < (1000 if unit == "bytes" else 999.5):
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 9.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.0f} TB" if size >= 9.95 else f"{size:.1f} TB"


def human_date(text: str | float) -> str:
    """Return an RFC 3339 time or ISO date as ``3 March 2026``; what is neither, as it is."""
    try:
        day = date.fromisoformat(str(text)) if len(str(text)) == 10 else datetime.fromisoformat(str(text)).date()
    except ValueError:
        return str(text)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def human_span(seconds: float) -> str:
    """Return a length of time in its largest whole unit, one decimal below ten: ``45 minutes``, ``1.5 days``."""
    unit, length = next(((name, size) for name, size in _UNITS if seconds >= size), ("second", 1))
    number = seconds / length
    text = f"{number:,.0f}" if number >= 10 else f"{number:.1f}".removesuffix(".0")
    return counted(text, unit, f"{unit}s")


def plain(number: float) -> str:
    """Return a number to three digits, without an exponent: ``0.25``, ``12``, ``1,234``."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number >= 0.01 or number == 0 else "less than 0.01"


def counted(number: str, one: str, many: str) -> str:
    """Return a number as it is written, with the noun for one or for many."""
    return f"{number} {one if number == '1' else many}"


def rule_of(facts: Facts) -> str:
    """Return the rule that a reason is about, in quotes, at the beginning of a sentence."""
    return f"“{facts['rule']}”" if "rule" in facts else "The rule"


def whole(facts: Facts, name: str) -> str:
    """Return a fact as a whole number; one that is missing counts as 0."""
    return f"{round(float(facts.get(name, 0))):,}"
