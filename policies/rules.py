"""What a rule asks of a video before it may compete, and what makes a rule itself valid.

A rule's scope says which videos it looks at; its limits (views, age, height) say which of those may compete at all.
Ranking them is ``worth``'s business, fitting them into the budgets ``fit``'s. This module holds scope and limits.
"""

import math
from datetime import datetime, timedelta

from appliance.domain.plan import Candidate, Reason, ReasonCode, Rule
from appliance.errors import BadInput
from policies.protect import rfc3339

LONGEST = timedelta(days=36_500)


def in_force(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Return the rules, the heaviest first, in an order that does not depend on how they were given."""
    return tuple(sorted(rules, key=lambda rule: (-rule.weight, rule.id)))


def in_scope(rule: Rule, video: Candidate) -> bool:
    """Say whether one of the channels that list the video is one the rule looks at."""
    return rule.channels is None or not rule.channels.isdisjoint(video.channels)


def refusal(rule: Rule, video: Candidate, now: datetime) -> Reason | None:
    """Return why the rule would not have the video at any price, or None where the video may compete."""
    if rule.max_lifetime is not None and now >= video.published_at + rule.max_lifetime:
        since = video.published_at + rule.max_lifetime
        facts: dict[str, str | int | float] = {"rule": rule.name, "days": days(rule.max_lifetime)}
        return Reason(ReasonCode.TOO_OLD, {**facts, "since": rfc3339(since)})
    if rule.min_views is not None and video.views < rule.min_views:
        return Reason(ReasonCode.TOO_FEW_VIEWS, {"rule": rule.name, "views": video.views, "min_views": rule.min_views})
    return None


def days(span: timedelta) -> float:
    """Return a span of time in days, with two decimals."""
    return round(span.total_seconds() / 86_400, 2)


def check(rule: Rule) -> None:
    """Raise BadInput, naming the field, where a rule cannot mean anything."""
    if not rule.name.strip() or len(rule.name) > 100:
        raise _bad("name", "A rule needs a name of 1 to 100 characters.")
    if rule.channels is not None and not rule.channels:
        raise _bad("channels", "A rule without channels would keep nothing.", "Leave channels out to mean all.")
    if rule.budget is not None and rule.budget < 0:
        raise _bad("budget", "A budget cannot be negative.")
    if rule.budget_share is not None and not 0 <= rule.budget_share <= 1:
        raise _bad("budget_share", "A share of the disk is between 0 and 1.")
    if not (math.isfinite(rule.weight) and 0 < rule.weight <= 1000):
        raise _bad("weight", "A weight is above 0 and at most 1000.")
    if rule.max_height is not None and rule.max_height < 0:
        raise _bad("max_height", "A height in pixels cannot be negative.")
    if rule.min_views is not None and rule.min_views < 0:
        raise _bad("min_views", "A number of views cannot be negative.")
    _check_lifetimes(rule)


def _check_lifetimes(rule: Rule) -> None:
    if not timedelta(0) <= rule.min_lifetime <= LONGEST:
        raise _bad("min_lifetime", "The shortest lifetime is between 0 days and 100 years.")
    if rule.max_lifetime is not None and not timedelta(0) < rule.max_lifetime <= LONGEST:
        raise _bad("max_lifetime", "The longest lifetime is above 0 days and at most 100 years.")
    if rule.max_lifetime is not None and rule.max_lifetime < rule.min_lifetime:
        raise _bad("max_lifetime", "The longest lifetime is shorter than the shortest one.")


def _bad(field: str, message: str, hint: str = "") -> BadInput:
    return BadInput(message, code="bad_rule", field=field, hint=hint)
