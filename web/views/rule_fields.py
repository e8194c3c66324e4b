"""The fields of a rule's form that are one line of text each: what they are called, grouped, and read. A table.

Names are those of ``Rule`` and, after ``filters.``, of ``Filters``, so that a complaint about a field finds its place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from appliance.domain.plan import Rule, RuleKind
from appliance.domain.units import ByteCount

LONGEST = 2000
"""Characters of a field that are looked at, and shown again."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a value is written in a field, and read from it; ``read`` raises ValueError with one sentence."""

    show: Callable[[Any], str]
    read: Callable[[str], Any]
    nothing: Any = None
    """What an empty field means."""
    mode: str = "decimal"
    """``inputmode`` of the field: what a phone's keyboard offers."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One field. ``only``: the kind for which alone it means something; ``area``: one entry a line."""

    name: str
    label: str
    way: Way
    unit: str = ""
    hint: str = ""
    empty: str = ""
    only: str = ""
    area: bool = False

    def of(self, rule: Rule) -> Any:
        """Return the rule's value of this field."""
        where, _, inner = self.name.rpartition(".")
        return getattr(rule.filters if where else rule, inner)


def number(value: float) -> str:
    """Return a number for an input field: no needless zeros, a point for the fraction."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _read_number(text: str) -> float:
    try:
        value = float(text.replace(",", ".").replace("\u00a0", "").replace(" ", ""))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e12:
        raise ValueError("Write a number that is not below zero.")
    return value


def _read_count(text: str) -> int:
    value = _read_number(text)
    if value != int(value):
        raise ValueError("Write a whole number.")
    return int(value)


def _bytes(unit: float) -> Way:
    return Way(lambda value: number(value / unit), lambda text: ByteCount(round(_read_number(text) * unit)))


def _span(unit: timedelta, nothing: timedelta | None = None) -> Way:
    def read(text: str) -> timedelta:
        value = _read_number(text)
        if value * unit.total_seconds() > 36_500 * 86_400:
            raise ValueError("That is more than a hundred years.")
        return value * unit

    return Way(lambda value: number(value / unit) if value else "", read, nothing)


def _parts(text: str, between: str) -> list[str]:
    return [part for part in (" ".join(piece.split()) for piece in text.split(between)) if part]


COUNT = Way(str, _read_count, mode="numeric")
DECIMAL = Way(number, _read_number)
GIGABYTES = _bytes(1e9)
PERCENT = Way(lambda value: number(value * 100), lambda text: _read_number(text) / 100)
DAYS = _span(timedelta(days=1))
DAYS_OR_NONE = _span(timedelta(days=1), timedelta(0))
MINUTES = _span(timedelta(minutes=1))
WEIGHT = Way(number, _read_number, 1.0)
LABELS = Way(lambda value: ", ".join(sorted(value)), lambda text: frozenset(_parts(text, ",")), frozenset(), "text")
SCOPE = Way(
    lambda value: ", ".join(sorted(value or ())), lambda text: frozenset(_parts(text, ",")) or None, None, "text"
)
PATTERNS = Way("\n".join, lambda text: tuple(_parts(text, "\n")), (), "text")

COMMON = (
    Spec("per_channel", "Videos of each channel at most", COUNT, empty="no limit"),
    Spec("half_life", "Interest halves in", DAYS, "days", "Short follows the moment.", "2", RuleKind.TRENDING),
)
BUDGETS = (
    Spec("budget_share", "Share in %", PERCENT),
    Spec("budget", "Size in GB", GIGABYTES),
)
GROUPS: tuple[tuple[str, str, tuple[Spec, ...]], ...] = (
    (
        "How much, and for how long",
        "",
        (
            Spec("most", "Videos altogether at most", COUNT, empty="no limit"),
            Spec("channel_budget", "Space for each channel at most", GIGABYTES, "GB", empty="no limit"),
            Spec("min_lifetime", "Kept for at least", DAYS_OR_NONE, "days", "Once here, it stays so long.", "0"),
            Spec(
                "max_lifetime", "Let go after", DAYS, "days", "Counted from the day it was published.", "never for age"
            ),
        ),
    ),
    (
        "Only videos with",
        "An empty field asks nothing.",
        (
            Spec("filters.min_views", "Views at least", COUNT),
            Spec("filters.max_views", "Views at most", COUNT),
            Spec("filters.min_age", "Age at least", DAYS, "days"),
            Spec("filters.max_age", "Age at most", DAYS, "days"),
            Spec("filters.min_duration", "Length at least", MINUTES, "minutes"),
            Spec("filters.max_duration", "Length at most", MINUTES, "minutes"),
            Spec("filters.min_size", "Size at least", GIGABYTES, "GB"),
            Spec("filters.max_size", "Size at most", GIGABYTES, "GB"),
            Spec("filters.languages", "Languages", LABELS, hint="One of these: en, fr", empty="any"),
            Spec("filters.categories", "Categories", LABELS, hint="One of these: Films, Music", empty="any"),
            Spec("filters.tags", "Tags", LABELS, hint="One of these.", empty="any"),
        ),
    ),
    (
        "Words in the title",
        "One a line. A star stands for anything: news, foot*, part * of.",
        (
            Spec("filters.include", "One of these", PATTERNS, area=True),
            Spec("filters.exclude", "None of these", PATTERNS, area=True),
        ),
    ),
    (
        "Copies elsewhere, and giving back",
        "",
        (
            Spec(
                "keep_below",
                "Keep while fewer checked copies are elsewhere than",
                COUNT,
                hint="Once enough others have it, its space goes to something rarer.",
                empty="always keep",
            ),
            Spec(
                "seed_below", "Give at full speed while fewer seeds are known than", COUNT, empty="by the ratio alone"
            ),
            Spec("ratio", "Slow down after giving", DECIMAL, "times its size", empty="never"),
        ),
    ),
    (
        "Against other rules",
        "",
        (Spec("weight", "Weight", WEIGHT, hint="With 2, its videos count twice as much as those of other rules."),),
    ),
)
SPECS = (*COMMON, *BUDGETS, *(spec for _, _, specs in GROUPS for spec in specs))
