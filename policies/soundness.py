"""What makes a rule valid, whatever the videos: this module refuses one that cannot mean anything, naming the field.

Refused is what is out of range or no number, what contradicts itself, and what a person can only have meant otherwise:
a budget or a number of 0 reads as *nothing* to some and as *no limit* to others, so neither is guessed. A field of
``Filters`` is named with its place, ``filters.min_views``.
"""

import math
from collections.abc import Collection, Iterable
from datetime import timedelta

from appliance.domain.plan import Filters, Rule, RuleKind
from appliance.errors import BadInput
from policies.filters import pattern_at_odds
from policies.titles import LONGEST_PATTERN, folded

LONGEST = timedelta(days=36_500)
MOST = 2**53 - 1
"""The greatest number that every reader of JSON keeps whole."""
HIGHEST = 100_000
"""Lines of the tallest picture that a rule may name."""
BUILT_IN = frozenset(kind.value for kind in RuleKind)

_NO_LIMIT = "Leave it out to set no limit; to keep nothing for now, pause the rule."


def check(rule: Rule, kinds: Collection[str] = BUILT_IN) -> None:
    """Raise BadInput, naming the field, where a rule cannot mean anything. ``kinds`` are the names of all known."""
    if not rule.name.strip() or len(rule.name) > 100:
        raise _bad("name", "A rule needs a name of 1 to 100 characters.")
    if rule.kind not in kinds:
        raise _bad("kind", f"A rule's kind is one of {', '.join(sorted(kinds))}.")
    _check_scope(rule)
    _check_budgets(rule)
    _check_numbers(rule)
    _check_lifetimes(rule)
    _check_filters(rule.filters)
    _check_contradictions(rule)


def _check_scope(rule: Rule) -> None:
    if rule.channels is not None and not rule.channels:
        raise _bad("channels", "A rule without channels would keep nothing.", "Leave channels out to mean all.")
    if rule.tags is not None and not rule.tags:
        raise _bad("tags", "A rule without tags would keep nothing.", "Leave tags out to mean all videos.")
    _check_labels("tags", rule.tags or ())


def _check_budgets(rule: Rule) -> None:
    for name, amount in (("budget", rule.budget), ("channel_budget", rule.channel_budget)):
        if amount is not None and amount < 0:
            raise _bad(name, "A budget cannot be negative.")
        if amount is not None and not 0 < amount <= MOST:
            raise _bad(name, "A budget is above 0 bytes.", _NO_LIMIT)
    if rule.budget_share is not None and not 0 < rule.budget_share <= 1:
        raise _bad("budget_share", "A share is above nothing and at most the whole disk (1, or 100 %).", _NO_LIMIT)


def _check_numbers(rule: Rule) -> None:
    counts = {"most": rule.most, "per_channel": rule.per_channel, "keep_below": rule.keep_below}
    for name, count in {**counts, "seed_below": rule.seed_below}.items():
        if count is not None and not 1 <= count <= MOST:
            raise _bad(name, f"The field {name} counts from 1 on.", _NO_LIMIT)
    if rule.max_height is not None and not 1 <= rule.max_height <= HIGHEST:
        raise _bad("max_height", f"A height is between 1 and {HIGHEST:,} lines.", "Leave it out to mean any.")
    if not (math.isfinite(rule.weight) and 0 < rule.weight <= 1000):
        raise _bad("weight", "A weight is above 0 and at most 1000.")
    if rule.ratio is not None and not (math.isfinite(rule.ratio) and 0 < rule.ratio <= 1_000_000):
        raise _bad("ratio", "A ratio is above 0 and at most a million.", "Leave it out to give without end.")


def _check_lifetimes(rule: Rule) -> None:
    if not timedelta(0) <= rule.min_lifetime <= LONGEST:
        raise _bad("min_lifetime", "The shortest lifetime is between 0 days and 100 years.")
    if rule.max_lifetime is not None and not timedelta(0) < rule.max_lifetime <= LONGEST:
        raise _bad("max_lifetime", "The longest lifetime is above 0 days and at most 100 years.")
    if rule.max_lifetime is not None and rule.max_lifetime < rule.min_lifetime:
        raise _bad("max_lifetime", "The longest lifetime is shorter than the shortest one.")
    if rule.half_life is not None and not timedelta(minutes=1) <= rule.half_life <= LONGEST:
        raise _bad("half_life", "A half-life is between a minute and 100 years.")


def _check_filters(filters: Filters) -> None:
    _check_range("views", filters.min_views, filters.max_views, MOST)
    _check_range("size", filters.min_size, filters.max_size, MOST)
    for name, least, most in (
        ("age", filters.min_age, filters.max_age),
        ("duration", filters.min_duration, filters.max_duration),
    ):
        low, high = (None if span is None else span.total_seconds() for span in (least, most))
        _check_range(name, low, high, LONGEST.total_seconds())
    for name in ("languages", "categories", "tags"):
        _check_labels(f"filters.{name}", getattr(filters, name))
    for name, patterns in (("include", filters.include), ("exclude", filters.exclude)):
        _check_patterns(f"filters.{name}", patterns)
    lost = pattern_at_odds(filters)
    if lost is not None:
        raise _bad("filters.exclude", f"Titles with “{lost}” are both asked for and left out.")


def _check_range(what: str, least: float | None, most: float | None, limit: float) -> None:
    for name, number in ((f"filters.min_{what}", least), (f"filters.max_{what}", most)):
        if number is not None and not 0 <= number <= limit:
            raise _bad(name, f"The field {name} cannot be negative, nor beyond all measure.")
    if least is not None and most is not None and most < least:
        raise _bad(f"filters.max_{what}", f"The greatest {what} is below the least one, so nothing is left.")


def _check_labels(field: str, labels: Iterable[str]) -> None:
    found = list(labels)
    if any(not label.strip() or len(label) > 100 for label in found) or len(found) > 1000:
        raise _bad(field, "These are at most 1,000, of 1 to 100 characters each.")


def _check_patterns(field: str, patterns: tuple[str, ...]) -> None:
    if len(patterns) > 100 or any(len(pattern) > LONGEST_PATTERN for pattern in patterns):
        raise _bad(field, f"Patterns are at most 100, of at most {LONGEST_PATTERN} characters each.")
    if any(not folded(pattern).strip("* ") for pattern in patterns):
        raise _bad(field, "A pattern needs something besides stars and spaces: it would match every title.")


def _check_contradictions(rule: Rule) -> None:
    if rule.kind == RuleKind.LAST_N and rule.per_channel is None:
        raise _bad("per_channel", "The last videos of each channel: say how many.")
    if rule.smallest and rule.max_height is not None:
        raise _bad(
            "smallest", "The smallest picture and a greatest height exclude each other.", "Leave one of them out."
        )
    least = rule.filters.min_age
    if least is not None and rule.max_lifetime is not None and least >= rule.max_lifetime:
        raise _bad("filters.min_age", "Videos would be too old for the rule before they are old enough for it.")
    for name, room in (("budget", rule.budget), ("channel_budget", rule.channel_budget)):
        if room is not None and rule.filters.min_size is not None and rule.filters.min_size > room:
            raise _bad("filters.min_size", f"Not one video of that size fits into the rule's {name}.")


def _bad(field: str, message: str, hint: str = "") -> BadInput:
    return BadInput(message, code="bad_rule", field=field, hint=hint)
