"""What may never be released, and what may never be pinned, whatever the rules say.

Held videos are protected, in this order, by a hand pin, by a viewer's lease, by the shortest lifetime of the rule
that pinned them, and by being gone from their origin. Only the owner's *never* and a channel's *release when gone*
undo some of that. This module says which applies.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from appliance.domain.pin import Wish
from appliance.domain.plan import Candidate, Reason, ReasonCode, Rule
from appliance.domain.video import Upstream


@dataclass(frozen=True, slots=True)
class Protection:
    """Why a held video stays, and which rule pays for it (None: nobody does).

    ``as_is``: nothing is fetched for it on this ground alone, nor exchanged.
    """

    reasons: tuple[Reason, ...]
    rule: Rule | None
    as_is: bool = False


def rfc3339(at: datetime) -> str:
    """Return a time as RFC 3339, in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def holder(video: Candidate, rules: tuple[Rule, ...]) -> Rule | None:
    """Return the rule that a held video was last charged to, where it is still in force."""
    if video.held is None or video.held.rule is None:
        return None
    return next((rule for rule in rules if rule.id == video.held.rule), None)


def bar(video: Candidate) -> Reason | None:
    """Return why no rule may have the video, or None. A hand pin passes none of these but *never*."""
    if video.wish is Wish.NEVER:
        return Reason(ReasonCode.NEVER)
    if video.held is not None:
        return Reason(ReasonCode.GONE_RELEASED) if video.gone_release and video.wish is None else None
    match video.upstream:
        case Upstream.LIVE:
            return Reason(ReasonCode.LIVE)
        case Upstream.PROCESSING:
            return Reason(ReasonCode.PROCESSING)
        case Upstream.HIDDEN | Upstream.GONE:
            return Reason(ReasonCode.HIDDEN, {"upstream": video.upstream.value})
        case Upstream.PUBLISHED:
            return None


def protection(video: Candidate, rules: tuple[Rule, ...], now: datetime) -> Protection | None:
    """Return what keeps a held video from being released, or None. ``rules`` are those in its scope."""
    if video.held is None:
        return None
    if video.wish is Wish.PIN:
        return Protection((Reason(ReasonCode.HAND_PIN),), None)
    watched = (Reason(ReasonCode.WATCHED_NOW),) if video.leased else ()
    never = video.wish is Wish.NEVER
    young = None if never else _youth(video, rules, now)
    if young is not None:
        reason, rule = young
        return Protection((reason, *watched), rule)
    if not never and not video.gone_release and video.upstream in (Upstream.GONE, Upstream.HIDDEN):
        reason = Reason(ReasonCode.GONE_KEPT, {"upstream": video.upstream.value})
        return Protection((reason, *watched), _payer(video, rules))
    return Protection(watched, holder(video, rules), as_is=True) if watched else None


def _payer(video: Candidate, rules: tuple[Rule, ...]) -> Rule | None:
    return holder(video, rules) or next(iter(rules), None)


def _youth(video: Candidate, rules: tuple[Rule, ...], now: datetime) -> tuple[Reason, Rule] | None:
    if video.held is None or video.held.pinned_at is None:
        return None
    own = holder(video, rules)
    for rule in (own,) if own is not None else rules:
        until = video.held.pinned_at + rule.min_lifetime
        if now < until:
            facts: dict[str, str | int | float] = {"rule": rule.name, "until": rfc3339(until)}
            return Reason(ReasonCode.MIN_LIFETIME, facts), rule
    return None
