"""What a rule asks of a video before it may compete: its scope, its limits, its filters, and whether it is needed.

A rule's scope (channels and tags, both where both are given) says which videos it looks at; its limits (lifetime,
filters, ``keep_below``) say which of those may compete at all. Ranking them is ``worth``'s business, fitting them into
the budgets ``fit``'s, and what makes a rule itself valid ``soundness``'s. This module holds scope and limits.

The limits come as three questions, because they need different things: ``refusal`` only the video, ``size_refusal``
what would be kept of it, ``not_needed`` whether it is held. The last one leans on what is held, so a video that is not
needed still counts among its rule's candidates when claims are compared.
"""

from datetime import datetime, timedelta
from typing import Protocol

from appliance.domain.plan import Candidate, Reason, ReasonCode, Rule, Watched
from appliance.domain.units import ChannelId
from policies.filters import case_folded, refused_by, size_refused_by
from policies.protect import rfc3339
from policies.soundness import LONGEST, check

__all__ = [
    "LONGEST",
    "Scoped",
    "after_watching",
    "check",
    "days",
    "in_force",
    "in_scope",
    "not_needed",
    "refusal",
    "size_refusal",
]


def in_force(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Return the rules, the heaviest first, in an order that does not depend on how they were given."""
    return tuple(sorted(rules, key=lambda rule: (-rule.weight, rule.id)))


class Scoped(Protocol):
    """What a rule's scope looks at: the channels that list a video, and its tags, case-folded."""

    @property
    def channels(self) -> frozenset[ChannelId]: ...

    @property
    def tags(self) -> frozenset[str]: ...


def after_watching(rules: tuple[Rule, ...], video: Scoped) -> Watched | None:
    """Return what becomes of a video without a promise that was watched, by the heaviest rule that says so of it."""
    said = (r.watched for r in in_force(rules) if r.watched is not None and not r.paused and in_scope(r, video))
    return next(said, None)


def in_scope(rule: Rule, video: Scoped) -> bool:
    """Say whether the rule looks at the video: by a channel that lists it, by one of its tags, or by both."""
    if rule.channels is not None and rule.channels.isdisjoint(video.channels):
        return False
    return rule.tags is None or not case_folded(rule.tags).isdisjoint(video.tags)


def refusal(rule: Rule, video: Candidate, now: datetime) -> Reason | None:
    """Return why the rule would not have the video at any price, or None where the video may compete.

    ``size_refusal`` and ``not_needed`` are to be asked besides.
    """
    if rule.max_lifetime is not None and now >= video.published_at + rule.max_lifetime:
        since = video.published_at + rule.max_lifetime
        facts: dict[str, str | int | float] = {"rule": rule.name, "days": days(rule.max_lifetime)}
        return Reason(ReasonCode.TOO_OLD, {**facts, "age": days(now - video.published_at), "since": rfc3339(since)})
    return refused_by(rule.filters, rule.name, video, now)


def size_refusal(rule: Rule, size: int, *, estimated: bool) -> Reason | None:
    """Return why the rule would not have a video of which it would keep ``size`` bytes, or None."""
    return size_refused_by(rule.filters, rule.name, size, estimated=estimated)


def not_needed(rule: Rule, video: Candidate) -> Reason | None:
    """Return why enough copies elsewhere make the video needless to the rule, or None.

    A video is wanted while fewer than ``keep_below`` verified copies are elsewhere; unknown is not zero, but neither
    is it verified, so an unknown number never makes a video needless. What is held needs one copy more to become so:
    a number that goes up and down by one does not fetch and release in turns.
    """
    if rule.keep_below is None:
        return None
    enough = rule.keep_below + (1 if video.held is not None else 0)
    if video.copies.verified < enough:
        return None
    facts: dict[str, str | int | float] = {"rule": rule.name, "keep_below": rule.keep_below}
    return Reason(ReasonCode.NOT_NEEDED, {**facts, "copies": video.copies.verified})


def days(span: timedelta) -> float:
    """Return a span of time in days, with two decimals."""
    return round(span.total_seconds() / 86_400, 2)
