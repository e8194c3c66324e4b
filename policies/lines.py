"""The lines of a plan: what was placed and what was not becomes decisions, each with its reasons.

This module writes them. It decides nothing: ``fit`` did.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate

from appliance.domain.pin import Wish
from appliance.domain.plan import Candidate, Decision, Reason, ReasonCode, RuleKind, Verdict
from policies.changes import remedy
from policies.claims import LAST_N, Claims, Desk, home, refusal_of
from policies.fit import HELD_BONUS, Fit
from policies.protect import Protection, rfc3339
from policies.room import Claimed, Room
from policies.sizes import Choice, as_held

REFUSALS = 3
"""Of so many rules, those nearest to having it first, a video that is left tells why they don't."""

Facts = dict[str, str | int | float]


@dataclass(slots=True)
class Findings:
    """All that the lines are written from. ``hands`` are new hand pins that were placed, with what of them."""

    desk: Desk
    every: Sequence[Claims]
    fit: Fit
    bars: dict[int, Reason]
    shields: dict[int, Protection]
    hands: dict[int, Choice]
    hand_refusals: dict[int, Reason]
    weakest: list[float | None]
    also: dict[tuple[int, int], Reason]
    over: list[bool]
    """By rule, whether protection makes it pass its budget; last whether the disk is passed."""
    unmet: dict[int, "array[int]"] = field(default_factory=dict)
    """By rule, the bytes of its claims up to each that have no place."""


def decision(found: Findings, at: int) -> Decision:
    """Return the line for the video at this place."""
    video, shield = found.desk.videos[at], found.shields.get(at)
    if shield is not None:
        return _protected(found, at, video, shield)
    if at in found.hands:
        return _line(found, video, found.hands[at], (Reason(ReasonCode.HAND_PIN),), None)
    by = found.fit.room.taken.get(at)
    if by is not None:
        return _chosen(found, at, video, by)
    reasons, change = _why_not(found, at, video)
    if video.held is None:
        return Decision(video.id, Verdict.LEAVE, reasons, change=change)
    return Decision(video.id, Verdict.RELEASE, reasons, video.held.renditions, video.held.size, change=change)


def _protected(found: Findings, at: int, video: Candidate, shield: Protection) -> Decision:
    natural, reasons = found.fit.ideal.get(at), shield.reasons
    mine = natural is not None and shield.rule is not None and found.every[natural.rule].rule.id == shield.rule.id
    if natural is not None and mine:
        reasons = (_praise(found, natural), *reasons, *_also(found, at, natural.rule))
    asks = shield.last_copy and not mine and _passes(found, shield)
    if asks:
        reasons = (*reasons, _asking(video, shield))
    made = _line(found, video, as_held(video), reasons, natural if mine else None, as_is=shield.as_is)
    return Decision(
        video=made.video,
        verdict=made.verdict,
        reasons=made.reasons,
        renditions=made.renditions,
        size=made.size,
        rule=shield.rule.id if shield.rule is not None else None,
        rank=made.rank,
        value=made.value,
        earliest_release=shield.until,
        asks=asks,
    )


def _passes(found: Findings, shield: Protection) -> bool:
    payer = next((n for n, c in enumerate(found.every) if shield.rule is not None and c.rule.id == shield.rule.id), -1)
    return found.over[-1] or (payer >= 0 and found.over[payer])


def _asking(video: Candidate, shield: Protection) -> Reason:
    facts: Facts = {"bytes": video.held.size if video.held is not None else 0}
    return Reason(ReasonCode.LAST_COPY_OVER, facts if shield.rule is None else {**facts, "rule": shield.rule.name})


def _chosen(found: Findings, at: int, video: Candidate, by: Claimed) -> Decision:
    mine, reasons = found.every[by.rule], (_praise(found, by), *_also(found, at, by.rule))
    if at in found.fit.room.as_held:
        if at in found.fit.room.short:
            lacks = mine.sizes[by.place] - (video.held.done if video.held is not None else 0)
            reasons = (*reasons, Reason(ReasonCode.NO_ROOM_NOW, {"bytes": lacks}))
        else:
            reasons = (*reasons, _no_data(found, mine.sizes[by.place]))
        return _line(found, video, as_held(video), reasons, by, as_is=True)
    return _line(found, video, mine.choices[by.place], reasons, by)


def _line(
    found: Findings,
    video: Candidate,
    wanted: Choice,
    reasons: tuple[Reason, ...],
    by: Claimed | None,
    *,
    as_is: bool = False,
) -> Decision:
    held = video.held
    whole = held is not None and held.pinned_at is not None
    same = held is not None and (set(held.renditions) == set(wanted.names) or wanted.names == ())
    if held is not None and wanted.names == ():
        wanted = Choice(held.renditions, held.size)
    mine = None if by is None else found.every[by.rule]
    return Decision(
        video=video.id,
        verdict=Verdict.KEEP if as_is or (whole and same) else Verdict.PIN,
        reasons=(*reasons, Reason(ReasonCode.ESTIMATED)) if wanted.estimated else reasons,
        renditions=wanted.names,
        size=wanted.size,
        estimated=wanted.estimated,
        rule=None if mine is None else mine.rule.id,
        rank=None if by is None else by.place + 1,
        value=0.0 if mine is None or by is None else mine.values[by.place],
        earliest_release=None if mine is None else _stays_until(mine, video, found.desk.now),
    )


def _stays_until(mine: Claims, video: Candidate, now: datetime) -> datetime | None:
    """Return when the shortest lifetime ends: of what is not whole yet, reckoned from now."""
    pinned = video.held.pinned_at if video.held is not None else None
    until = (now if pinned is None else pinned) + mine.rule.min_lifetime
    return until if until > now else None


def _praise(found: Findings, by: Claimed) -> Reason:
    mine = found.every[by.rule]
    video = found.desk.videos[mine.videos[by.place]]
    facts: Facts = {
        "rule": mine.rule.name,
        "kind": mine.rule.kind,
        "rank": by.place + 1,
        "of": len(mine.videos),
        "value": round(mine.values[by.place], 4),
        "views": video.views,
        "published": video.published_at.date().isoformat(),
    }
    if mine.rule.kind == RuleKind.RARE_FIRST:
        facts["verified"] = video.copies.verified
        if video.copies.live is not None:
            facts["copies"] = video.copies.live
    return Reason(ReasonCode.CHOSEN, facts)


def _also(found: Findings, at: int, payer: int) -> tuple[Reason, ...]:
    """Return that other rules want it too; the same reason for all videos that the same two want."""
    made = []
    for number, mine in enumerate(found.every):
        if number == payer or not mine.ranks[at] or at in mine.sits:
            continue
        if (number, payer) not in found.also:
            facts: Facts = {"rule": mine.rule.name, "payer": found.every[payer].rule.name}
            found.also[number, payer] = Reason(ReasonCode.ALSO, facts)
        made.append(found.also[number, payer])
    return tuple(made)


def _why_not(found: Findings, at: int, video: Candidate) -> tuple[tuple[Reason, ...], Reason | None]:
    if at in found.bars:
        why: tuple[Reason, ...] = (found.bars[at],)
        hand = video.wish is Wish.PIN
        return ((Reason(ReasonCode.HAND_PIN), *why) if hand else why), None
    if at in found.hand_refusals:
        trouble = found.hand_refusals[at]
        return (Reason(ReasonCode.HAND_PIN), trouble), _remedy(trouble)
    claimed = []
    for number, mine in enumerate(found.every):
        rank = mine.ranks[at]
        if rank:
            claimed.append((-mine.keys[rank - 1], number))
    claimed.sort()
    troubles = [_trouble(found, at, video, number) for _, number in claimed[:REFUSALS]]
    for mine in found.every:
        if len(troubles) >= REFUSALS:
            break
        refused = refusal_of(found.desk, mine, at)
        if refused is not None:
            troubles.append(refused)
    if not troubles:
        return (_NO_RULE,), remedy(_NO_RULE)
    return tuple(troubles), _remedy(troubles[0])


_NO_RULE = Reason(ReasonCode.NO_RULE)


def _remedy(trouble: Reason) -> Reason | None:
    """Return what would have to change for what stands in a video's way, where the reason says so in numbers."""
    facts = trouble.facts
    match trouble.code:
        case ReasonCode.OUTRANKED | ReasonCode.TOO_LARGE | ReasonCode.CHANNEL_FULL:
            return Reason(ReasonCode.NEEDS_BUDGET, {k: facts[k] for k in ("rule", "more", "channel") if k in facts})
        case ReasonCode.NO_SPACE:
            return Reason(ReasonCode.NEEDS_SPACE, {"more": max(0, int(facts["bytes"]) - int(facts["left"]))})
        case ReasonCode.NO_DATA:
            return Reason(ReasonCode.NEEDS_DATA, {k: facts[k] for k in ("until", "bytes") if k in facts})
        case ReasonCode.NEAR_TIE:
            return Reason(ReasonCode.NEEDS_LEAD, {"rule": facts["rule"], "margin": facts["margin"]})
        case _:
            return remedy(trouble)


def _trouble(found: Findings, at: int, video: Candidate, number: int) -> Reason:
    """Return what keeps a claim out, as things stand when all is placed: room only ever got less."""
    mine, room = found.every[number], found.fit.room
    place = mine.ranks[at] - 1
    size, rule = mine.sizes[place], mine.rule
    by = found.fit.ideal.get(at)
    weakest = found.weakest[number]
    if by is not None and by.rule == number and weakest is not None and weakest < mine.keys[place]:
        margin = round((HELD_BONUS - 1) * 100)
        return Reason(
            ReasonCode.NEAR_TIE, {"rule": rule.name, "rank": place + 1, "of": len(mine.videos), "margin": margin}
        )
    code = room.trouble(number, video, size, held=False)
    match code:
        case ReasonCode.NO_SPACE:
            return Reason(code, {"bytes": size, "left": max(0, room.left)})
        case ReasonCode.ENOUGH:
            return _enough(mine, room, number)
        case ReasonCode.CHANNEL_FULL:
            return _channel_full(mine, room, number, video, size)
        case None if room.data is not None and size > max(0, room.data):
            return _no_data(found, size)
    budget = room.purses[number].budget
    if code is ReasonCode.TOO_LARGE and budget is not None and size > budget:
        return Reason(code, {"rule": rule.name, "bytes": size, "more": size - budget, "budget": budget})
    more, rank, of = _more(found, number, place), place + 1, len(mine.videos)
    facts: Facts = {"rule": rule.name, "bytes": size, "more": more, "rank": rank, "of": of}
    if budget is not None:
        facts["budget"] = budget
    return Reason(ReasonCode.OUTRANKED, facts)


def _more(found: Findings, number: int, place: int) -> int:
    """Return the bytes that a rule's budget lacks for its claims up to this one, all of them."""
    mine, room = found.every[number], found.fit.room
    if number not in found.unmet:
        sizes = (0 if at in room.taken else size for at, size in zip(mine.videos, mine.sizes, strict=True))
        found.unmet[number] = array("q", accumulate(sizes))
    spent, limit = room.purses[number].used, room.purses[number].newcomers
    unmet = found.unmet[number][place]
    return unmet if limit is None else max(0, spent + unmet - limit)


def _enough(mine: Claims, room: Room, number: int) -> Reason:
    rule = mine.rule
    if rule.most is not None and room.purses[number].videos >= rule.most:
        return Reason(ReasonCode.ENOUGH, {"rule": rule.name, "most": rule.most, "each": "rule"})
    many = LAST_N if rule.per_channel is None else rule.per_channel
    return Reason(ReasonCode.ENOUGH, {"rule": rule.name, "most": many, "each": "channel"})


def _channel_full(mine: Claims, room: Room, number: int, video: Candidate, size: int) -> Reason:
    budget = mine.rule.channel_budget or 0
    used = room.purses[number].bytes_of.get(home(mine.rule, video), 0)
    facts: Facts = {"rule": mine.rule.name, "bytes": size, "budget": budget, "more": max(0, used + size - budget)}
    return Reason(ReasonCode.CHANNEL_FULL, {**facts, "channel": 1})


def _no_data(found: Findings, size: int) -> Reason:
    reset = found.desk.world.download_reset
    facts: Facts = {"bytes": size, "left": max(0, found.fit.room.data or 0)}
    return Reason(ReasonCode.NO_DATA, facts if reset is None else {**facts, "until": rfc3339(reset)})
