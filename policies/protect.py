"""What may never be released, and what may never be pinned, whatever the rules say.

Held videos are protected, and every ground that applies is named, in this order:

hand pin      the owner pinned it
youth         the shortest lifetime of the rule that pinned it has not passed
gone          its origin has removed or hidden it, and no channel says to release then
last copy     it is whole here, and no whole copy elsewhere is known to be left: *known* zero, for unknown is not zero.
              The copy of an origin that removed the video or does not answer is not there, also where it was the
              only other one known
origin down   its origin has not answered for longer than ``World.protect_after``
watched       someone is watching it; alone, this keeps what is there and fetches nothing

The owner's *never* undoes all but the viewer's; *let go*, and a channel's *release when gone*, undo gone, last copy
and origin down; with *let go* the rules may still choose the video. What is protected is charged to the rule that
holds it, else to the heaviest rule in whose scope it is, else to nobody. It may pass that budget: then a last copy
asks the owner (``Protection.last_copy``). This module says which applies.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from appliance.domain.pin import Wish
from appliance.domain.plan import Candidate, CopySource, Reason, ReasonCode, Rule
from appliance.domain.video import Upstream

PROTECT_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Protection:
    """Why a held video stays, and which rule pays for it (None: nobody does).

    ``as_is``: nothing is fetched for it on this ground alone, nor exchanged. ``last_copy``: it is the last one known,
    so that what passes a budget for its sake asks for the owner's word. ``until``: its shortest lifetime ends then
    (None: it has none, or has passed it).
    """

    reasons: tuple[Reason, ...]
    rule: Rule | None
    as_is: bool = False
    last_copy: bool = False
    until: datetime | None = None


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
        return Reason(ReasonCode.GONE_RELEASED) if video.gone_release and video.wish is not Wish.PIN else None
    match video.upstream:
        case Upstream.LIVE:
            return Reason(ReasonCode.LIVE)
        case Upstream.PROCESSING:
            return Reason(ReasonCode.PROCESSING)
        case Upstream.HIDDEN | Upstream.GONE:
            return Reason(ReasonCode.HIDDEN, {"upstream": video.upstream.value})
        case Upstream.PUBLISHED:
            return None


def copies_elsewhere(video: Candidate) -> int | None:
    """Return how many whole copies are known elsewhere, an origin that is away not counted; None is unknown."""
    found = video.copies
    if found.live is None or not _origin_away(video):
        return found.live
    return max(0, found.live - sum(said.count for said in found.reports if said.source is CopySource.ORIGIN))


def is_last_copy(video: Candidate) -> bool:
    """Say whether what is held is the only whole copy known. One that cannot be said to be is not."""
    whole = video.held is not None and video.held.pinned_at is not None
    return whole and copies_elsewhere(video) == 0 and (video.copies.verified == 0 or _origin_away(video))


def protection(
    video: Candidate, rules: tuple[Rule, ...], now: datetime, protect_after: timedelta = PROTECT_AFTER
) -> Protection | None:
    """Return what keeps a held video from being released, or None. ``rules`` are those in its scope, heaviest first."""
    if video.held is None:
        return None
    if video.wish is Wish.PIN:
        return Protection((Reason(ReasonCode.HAND_PIN),), None)
    watched = (Reason(ReasonCode.WATCHED_NOW),) if video.leased else ()
    if video.wish is Wish.NEVER:
        return Protection(watched, holder(video, rules), as_is=True) if watched else None
    young = _youth(video, rules, now)
    lasting = () if video.wish is Wish.LET_GO or video.gone_release else _lasting(video, now, protect_after)
    last = any(reason.code is ReasonCode.LAST_COPY for reason in lasting)
    if young is not None:
        reason, rule, until = young
        return Protection((reason, *lasting, *watched), rule, last_copy=last, until=until)
    payer = holder(video, rules)
    if lasting:
        return Protection((*lasting, *watched), payer or next(iter(rules), None), last_copy=last)
    return Protection(watched, payer, as_is=True) if watched else None


def _lasting(video: Candidate, now: datetime, protect_after: timedelta) -> tuple[Reason, ...]:
    """Return the grounds that do not end by themselves, as long as the owner has said nothing."""
    found = []
    if video.upstream in (Upstream.GONE, Upstream.HIDDEN):
        found.append(Reason(ReasonCode.GONE_KEPT, {"upstream": video.upstream.value}))
    if is_last_copy(video):
        asked = max((report.at for report in video.copies.reports), default=None)
        found.append(Reason(ReasonCode.LAST_COPY, {} if asked is None else {"asked": rfc3339(asked)}))
    failing = video.origin_failing
    something = video.held is not None and (video.held.done > 0 or video.held.pinned_at is not None)
    if failing is not None and something and now - failing >= protect_after:
        found.append(Reason(ReasonCode.ORIGIN_DOWN, {"since": rfc3339(failing)}))
    return tuple(found)


def _origin_away(video: Candidate) -> bool:
    return video.upstream is Upstream.GONE or video.origin_failing is not None


def _youth(video: Candidate, rules: tuple[Rule, ...], now: datetime) -> tuple[Reason, Rule, datetime] | None:
    if video.held is None or video.held.pinned_at is None:
        return None
    own = holder(video, rules)
    for rule in (own,) if own is not None else rules:
        until = video.held.pinned_at + rule.min_lifetime
        if now < until:
            facts: dict[str, str | int | float] = {"rule": rule.name, "until": rfc3339(until)}
            return Reason(ReasonCode.MIN_LIFETIME, facts), rule, until
    return None
