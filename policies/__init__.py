"""What should be: the world and the owner's rules become a plan, each line of it with its reasons.

rules       a rule's scope and limits           worth    what keeping one byte of a video is worth to a rule
filters     what a rule asks of a video         titles   words and globs against titles
soundness   what makes a rule valid             claims   every rule's wishes, in one order
protect     what may never be released          fit      the most worth inside the budgets
renditions  which encodings are kept            explain  reasons as sentences
sizes       known and estimated bytes           changes  what would have to change, as sentences
rulebook    rules as a file (fields: each one)  presets  rules to begin with

Pure functions over the domain: no clock, no chance, no I/O. The same world and rules give the same plan, in whatever
order they are given; a plan carried out and made again changes nothing. This module makes the plan.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from appliance.domain.pin import Wish
from appliance.domain.plan import (
    Candidate,
    Decision,
    Plan,
    Reason,
    ReasonCode,
    Rule,
    RuleUse,
    Verdict,
    World,
)
from appliance.domain.units import ByteCount, VideoId
from policies.claims import claims
from policies.fit import Place, Shelves, capacity, purse, space
from policies.protect import bar, protection
from policies.renditions import HAND_PIN_HEIGHT
from policies.rules import in_force, in_scope
from policies.sizes import Choice, as_held, choice

__all__ = ["plan"]


def plan(world: World, rules: Iterable[Rule], now: datetime) -> Plan:
    """Return what should be of every video of the world.

    What is decided to be kept or pinned never takes more than each rule's budget, nor more than the disk has above
    its floor, save where what may not be released alone exceeds it. Rules are taken to have passed ``rules.check``.
    A video of unknown renditions may be wanted; its size is then estimated and its origin should be asked next, in the
    order of the plan.
    """
    world = replace(world, videos=tuple(sorted(world.videos, key=lambda video: video.id)))
    ordered = in_force(tuple(rules))
    library = space(world)
    shelves = Shelves(capacity(world), {rule.id: purse(rule, library) for rule in ordered})
    bars = {video.id: reason for video in world.videos if (reason := bar(video)) is not None}
    _reserve(shelves, world, ordered, now)
    _offer_hand_pins(shelves, world, bars)
    eligible = frozenset(v.id for v in world.videos if v.id not in bars and v.wish is not Wish.PIN)
    wished = claims(world, eligible, ordered, now)
    for claim in wished.ordered:
        shelves.offer(claim)
    decisions = [_decision(video, shelves, bars, wished.refusals) for video in world.videos]
    return _ordered(decisions, world, shelves, ordered)


def _reserve(shelves: Shelves, world: World, rules: tuple[Rule, ...], now: datetime) -> None:
    for video in world.videos:
        if video.held is None:
            continue
        shield = protection(video, tuple(rule for rule in rules if in_scope(rule, video)), now, world.protect_after)
        if shield is not None:
            shelves.reserve(video, as_held(video), shield)


def _offer_hand_pins(shelves: Shelves, world: World, bars: dict[VideoId, Reason]) -> None:
    pins = [v for v in world.videos if v.wish is Wish.PIN and v.held is None and v.id not in bars]
    for video in sorted(pins, key=lambda v: (v.published_at, v.id), reverse=True):
        wanted = choice(video, HAND_PIN_HEIGHT, world.bitrates) or choice(video, None, world.bitrates)
        if wanted is not None:
            shelves.offer_hand_pin(video, wanted)


def _decision(
    video: Candidate,
    shelves: Shelves,
    bars: dict[VideoId, Reason],
    refusals: Mapping[VideoId, tuple[Reason, ...]],
) -> Decision:
    place = shelves.places.get(video.id)
    if place is not None:
        return _stay(video, place)
    why = (bars[video.id],) if video.id in bars else shelves.refusals.get(video.id, ()) + refusals.get(video.id, ())
    if video.wish is Wish.PIN and not any(reason.code is ReasonCode.HAND_PIN for reason in why):
        why = (Reason(ReasonCode.HAND_PIN), *why)
    why = why or (Reason(ReasonCode.NO_RULE),)
    if video.held is None:
        return Decision(video.id, Verdict.LEAVE, why)
    return Decision(video.id, Verdict.RELEASE, why, video.held.renditions, video.held.size)


def _stay(video: Candidate, place: Place) -> Decision:
    wanted, held = place.choice, video.held
    whole = held is not None and held.pinned_at is not None
    same = held is not None and (set(held.renditions) == set(wanted.names) or wanted.names == ())
    if held is not None and wanted.names == ():
        wanted = Choice(held.renditions, held.size)
    return Decision(
        video=video.id,
        verdict=Verdict.KEEP if place.as_is or (whole and same) else Verdict.PIN,
        reasons=(*place.reasons, Reason(ReasonCode.ESTIMATED)) if wanted.estimated else place.reasons,
        renditions=wanted.names,
        size=wanted.size,
        estimated=wanted.estimated,
        rule=place.rule.id if place.rule is not None else None,
        rank=place.rank,
        value=place.value,
    )


def _ordered(decisions: list[Decision], world: World, shelves: Shelves, rules: tuple[Rule, ...]) -> Plan:
    """Return the plan: what goes, what comes in the order it got its place, what stays, and what is left."""
    turns = (Verdict.RELEASE, Verdict.PIN, Verdict.KEEP, Verdict.LEAVE)
    place = {video: at.order for video, at in shelves.places.items()}
    newest = {video.id: -video.published_at.timestamp() for video in world.videos}
    done = {video.id: video.held.done for video in world.videos if video.held is not None}

    def turn(decision: Decision) -> tuple[int, float, float, str]:
        hand = decision.reasons[0].code is not ReasonCode.HAND_PIN
        order = place.get(decision.video, 0) + (shelves.turns if hand else 0)
        age = newest[decision.video] * (-1 if decision.verdict is Verdict.RELEASE else 1)
        return turns.index(decision.verdict), order, age, decision.video

    def total(verdict: Verdict) -> int:
        return sum(d.size for d in decisions if d.verdict is verdict)

    purses = [shelves.purses[rule.id] for rule in rules]
    coming = [d for d in decisions if d.verdict is Verdict.PIN]
    return Plan(
        decisions=tuple(sorted(decisions, key=turn)),
        rules=tuple(RuleUse(p.rule.id, p.budget, ByteCount(p.used), p.videos) for p in purses),
        kept=ByteCount(total(Verdict.KEEP)),
        fetched=ByteCount(sum(max(0, d.size - done.get(d.video, 0)) for d in coming)),
        released=ByteCount(sum(done.get(d.video, 0) for d in decisions if d.verdict is Verdict.RELEASE)),
    )
