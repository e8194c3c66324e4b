"""What should be: the world and the owner's rules become a plan, each line of it with its reasons.

rules, filters, titles   a rule's scope and limits     worth    what keeping one byte of a video is worth to a rule
soundness                what makes a rule valid       claims   every rule's wishes, ranked and comparable
protect                  what may never be released    prices   what a byte costs where rules want the same
renditions               which encodings are kept      brim     how much of a budget is best used
sizes                    known and estimated bytes     fit      the most worth inside: room, hearing, exchange, order
rulebook, fields         rules as a file               squeeze  what of it fits while others fill the disk
presets                  rules to begin with           lines    what was placed and not, as decisions
                                                       explain  reasons as sentences: filter_words, changes, wording
newcomers                what new videos usually get

Pure functions over the domain: no clock, no chance, no I/O. The same world and rules give the same plan, in whatever
order they are given; a plan carried out and made again changes nothing. This module makes the plan.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from appliance.domain.pin import Wish
from appliance.domain.plan import Decision, Plan, Reason, ReasonCode, Rule, RuleUse, Verdict, World
from appliance.domain.units import ByteCount, RuleId, VideoId
from policies.claims import Claims, Desk, claims
from policies.fit import Fit, fit
from policies.lines import Findings, decision
from policies.order import in_order
from policies.protect import Protection, protection
from policies.renditions import HAND_PIN_HEIGHT
from policies.room import Room, capacity, missing, purse, space
from policies.rules import in_force, in_scope
from policies.sizes import Choice, as_held, choice
from policies.squeeze import squeeze
from policies.worth import BUILT_IN, Ranking

__all__ = ["plan"]


def plan(world: World, rules: Iterable[Rule], now: datetime, kinds: Mapping[str, Ranking] = BUILT_IN) -> Plan:
    """Return what should be of every video of the world.

    What is decided to be kept or pinned never takes more than each rule's budgets and numbers, nor than the disk has
    above its floor, the library's quota, or what may still be fetched, save where what may not be released alone
    exceeds it. What others took of the disk lately moves nothing out. Rules are taken to have passed ``rules.check``; a
    rule of a kind that is not in ``kinds`` finds all videos worth nothing. A video of unknown renditions may be wanted;
    its size is then estimated and its origin should be asked next, in the order of the plan.
    """
    videos = tuple(map(world.videos.__getitem__, in_order([video.id for video in world.videos])))
    ordered = in_force(tuple(rules))
    there = capacity(world)
    world = replace(world, disk=replace(world.disk, free=ByteCount(world.disk.free + world.taken_lately)))
    lack = capacity(world) - there
    desk = Desk(replace(world, videos=videos), videos, ordered, now, kinds)
    library = space(world)
    shields = _shields(desk)
    lasting = Room(capacity(world), [purse(rule, library) for rule in ordered])
    room = lasting.copy()
    room.data = None if world.download_left is None else int(world.download_left)
    numbers = {rule.id: number for number, rule in enumerate(ordered)}
    every = [claims(desk, rule) for rule in ordered]
    _reserve(desk, {at: s for at, s in shields.items() if not _competes(every, at)}, lasting, numbers)
    _reserve(desk, shields, room, numbers)
    hands, refused = _hand_pins(desk, desk.bars, lasting, room, lack)
    found = fit(desk, every, lasting, room)
    if lack:
        squeeze(desk, every, found.room, lack)
    findings = Findings(
        desk, every, found, desk.bars, shields, hands, refused, _weakest(desk, every, found), {}, _over(room)
    )
    return _plan(findings, [decision(findings, at) for at in range(len(videos))])


def _shields(desk: Desk) -> dict[int, Protection]:
    after = desk.world.protect_after
    found = {}
    for at, video in enumerate(desk.videos):
        if video.held is None:
            continue
        shield = protection(video, tuple(r for r in desk.rules if in_scope(r, video)), desk.now, after)
        if shield is not None:
            found[at] = shield
    return found


def _competes(every: list[Claims], at: int) -> bool:
    return any(mine.ranks[at] and at not in mine.sits for mine in every)


def _reserve(desk: Desk, shields: dict[int, Protection], room: Room, numbers: dict[RuleId, int]) -> None:
    for at, shield in shields.items():
        video, held = desk.videos[at], as_held(desk.videos[at])
        fetched = 0 if shield.as_is else missing(video, held)
        payer = None if shield.rule is None else numbers[shield.rule.id]
        room.take(at, video, held.size, fetched, payer, None)


def _hand_pins(
    desk: Desk, bars: dict[int, Reason], lasting: Room, room: Room, lack: int
) -> tuple[dict[int, Choice], dict[int, Reason]]:
    """Place hand pins not held yet, newest first; return what of them, and why there is no room for others."""
    placed: dict[int, Choice] = {}
    refused: dict[int, Reason] = {}
    for at in desk.newest:
        video = desk.videos[at]
        if video.wish is not Wish.PIN or video.held is not None or at in bars:
            continue
        bitrates = desk.world.bitrates
        wanted = choice(video, HAND_PIN_HEIGHT, bitrates) or choice(video, None, bitrates)
        if wanted is None:
            refused[at] = Reason(ReasonCode.NO_RENDITION)
        elif wanted.size > room.left - lack:
            refused[at] = Reason(ReasonCode.NO_SPACE, {"bytes": wanted.size, "left": max(0, room.left - lack)})
        elif room.data is not None and wanted.size > room.data:
            refused[at] = Reason(ReasonCode.NO_DATA, {"bytes": wanted.size, "left": max(0, room.data)})
        else:
            placed[at] = wanted
            for each in (lasting, room):
                each.take(at, video, wanted.size, wanted.size, None, None)
    return placed, refused


def _weakest(desk: Desk, every: list[Claims], found: Fit) -> list[float | None]:
    """Return, by rule, the worth of the least of what is kept only because it is held; None where there is none."""
    least: list[float | None] = [None] * len(every)
    for at, by in found.room.taken.items():
        if by is None or at in found.ideal or desk.videos[at].held is None:
            continue
        key, before = every[by.rule].keys[by.place], least[by.rule]
        least[by.rule] = key if before is None else min(before, key)
    return least


def _over(room: Room) -> list[bool]:
    return [*(p.budget is not None and p.used > p.budget for p in room.purses), room.left < 0]


def _plan(found: Findings, decisions: list[Decision]) -> Plan:
    """Return the plan: what goes, worst first; what comes, hand pins and then best first; what stays; what is left."""
    turns = {verdict: turn for turn, verdict in enumerate((Verdict.RELEASE, Verdict.PIN, Verdict.KEEP, Verdict.LEAVE))}
    videos, every, taken = found.desk.videos, found.every, found.fit.room.taken

    def turn(at: int) -> tuple[int, float, float, int, float, VideoId]:
        made, video = decisions[at], videos[at]
        by, published = taken.get(at) or found.fit.ideal.get(at), -video.published_at.timestamp()
        hand = 0 if made.reasons[0].code is ReasonCode.HAND_PIN else 1
        place = turns[made.verdict]
        if made.verdict is Verdict.RELEASE:
            best = max((c.keys[c.ranks[at] - 1] for c in every if c.ranks[at]), default=-1.0)
            return place, 0, best, 0, -published, made.video
        if by is None:
            return place, hand, 0.0, len(every), published, made.video
        return place, hand, -every[by.rule].keys[by.place], by.rule, float(by.place), made.video

    def total(verdict: Verdict) -> int:
        return sum(d.size for d in decisions if d.verdict is verdict)

    coming = [(videos[at], d) for at, d in enumerate(decisions) if d.verdict is Verdict.PIN]
    going = [videos[at].held for at, d in enumerate(decisions) if d.verdict is Verdict.RELEASE]
    return Plan(
        decisions=tuple(map(decisions.__getitem__, in_order([turn(at) for at in range(len(decisions))]))),
        rules=tuple(_use(p.rule, p.budget, p.used, p.videos) for p in found.fit.room.purses),
        kept=ByteCount(total(Verdict.KEEP)),
        fetched=ByteCount(sum(missing(video, Choice(d.renditions, d.size)) for video, d in coming)),
        released=ByteCount(sum(held.done for held in going if held is not None)),
    )


def _use(rule: Rule, budget: int | None, used: int, videos: int) -> RuleUse:
    return RuleUse(rule.id, None if budget is None else ByteCount(budget), ByteCount(used), videos)
