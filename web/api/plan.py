"""``/plan``: what comes, what goes, what stays and why; what other rules would come to."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from appliance.domain.plan import Decision, Plan, Rule, Verdict
from appliance.errors import BadInput, DiskError
from appliance.store import decisions, lists, pins, rules
from policies.explain import verdict_word
from web.api.listing import Limit, Listing, Offset
from web.api.rules import MOST_RULES, NewRule, check_channels, new_id, rule_of
from web.api.shapes import DecisionBody, ReasonBody, decision, reasons
from web.context import AnyRequest, house
from web.services import Services

_MOST_CHANGES = 5_000
"""The store keeps no more."""

_STATES = frozenset({*Verdict, *map(verdict_word, Verdict)})
State = Annotated[str | None, QueryParameter(name="state", max_length=20, required=False)]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which lines of a plan are asked for."""

    state: str
    limit: int
    offset: int


def _asked(state: str | None, limit: int, offset: int) -> Asked:
    if state and state not in _STATES:
        raise BadInput("A plan has no such state.", field="state", hint="Known: kept, wanted, going, skipped.")
    return Asked(state or "", limit, offset)


class PlanLine(msgspec.Struct, frozen=True):
    """One video's line. ``word`` is what people see: kept, wanted, going, skipped."""

    video_id: str
    title: str
    channel_title: str
    verdict: str
    word: str
    reasons: list[ReasonBody]
    renditions: list[str]
    size: int
    estimated: bool
    rule: str | None
    rank: int | None
    value: float


class Part(msgspec.Struct, frozen=True):
    """Videos and bytes of one verdict."""

    videos: int
    bytes: int


class RuleUseBody(msgspec.Struct, frozen=True):
    """What one rule spends of its budget, in bytes (null: bounded by the disk alone)."""

    rule: str
    name: str
    budget: int | None
    used: int
    videos: int


class PlanBody(msgspec.Struct, frozen=True):
    """Lines in the order in which the plan carries them out, ``total`` of them with the state asked for.

    ``parts`` counts all lines by their word; ``fetched`` bytes are still to come, ``released`` bytes to be freed.
    """

    total: int
    items: list[PlanLine]
    parts: dict[str, Part]
    rules: list[RuleUseBody]
    fetched: int
    released: int


class Preview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All the rules that would be in force in place of the present ones."""

    rules: Annotated[list[NewRule], Meta(max_length=MOST_RULES)]


class ChangeBody(msgspec.Struct, frozen=True):
    """One changed decision: what it was, what it is, why."""

    at: datetime
    video_id: str
    title: str
    before: str | None
    after: str | None
    decision: DecisionBody | None


async def _lines(services: Services, shown: Sequence[Decision]) -> list[PlanLine]:
    known = {line.id: line for line in await services.store.read(lists.lines, tuple(d.video for d in shown))}
    return [
        PlanLine(
            video_id=one.video,
            title=known[one.video].title if one.video in known else "",
            channel_title=known[one.video].channel_title if one.video in known else "",
            verdict=one.verdict.value,
            word=verdict_word(one.verdict),
            reasons=reasons(one),
            renditions=list(one.renditions),
            size=one.size,
            estimated=one.estimated,
            rule=one.rule,
            rank=one.rank,
            value=one.value,
        )
        for one in shown
    ]


async def _body(
    services: Services,
    found: Sequence[Decision],
    uses: list[RuleUseBody],
    *,
    fetched: int,
    released: int,
    asked: Asked,
) -> PlanBody:
    parts = {
        verdict_word(verdict): Part(
            sum(1 for d in found if d.verdict is verdict), sum(d.size for d in found if d.verdict is verdict)
        )
        for verdict in Verdict
    }
    fitting = [d for d in found if not asked.state or asked.state in (d.verdict.value, verdict_word(d.verdict))]
    items = await _lines(services, fitting[asked.offset : asked.offset + asked.limit])
    return PlanBody(len(fitting), items, parts, uses, fetched, released)


async def _of_plan(services: Services, plan: Plan, named: Iterable[Rule], asked: Asked) -> PlanBody:
    names = {rule.id: rule.name for rule in named}
    uses = [RuleUseBody(u.rule, names.get(u.rule, ""), u.budget, u.used, u.videos) for u in plan.rules]
    return await _body(services, plan.decisions, uses, fetched=plan.fetched, released=plan.released, asked=asked)


async def _library_space(services: Services) -> int | None:
    """Return the bytes the library may use altogether, or None where its disk is not there."""
    try:
        disk = await services.keeping.disk()
    except DiskError:
        return None
    return max(0, disk.used + disk.free - disk.floor)


def _budget(rule: Rule, space: int | None) -> int | None:
    limits = [] if rule.budget is None else [int(rule.budget)]
    if rule.budget_share is not None and space is not None:
        limits.append(int(rule.budget_share * space))
    return min(limits, default=None)


def _uses(named: Iterable[Rule], found: Iterable[Decision], space: int | None) -> list[RuleUseBody]:
    used: dict[str, tuple[int, int]] = {}
    for one in found:
        if one.rule is not None and one.verdict in (Verdict.KEEP, Verdict.PIN):
            size, count = used.get(one.rule, (0, 0))
            used[one.rule] = (size + one.size, count + 1)
    return [
        RuleUseBody(rule.id, rule.name, _budget(rule, space), *used.get(rule.id, (0, 0)))
        for rule in named
        if not rule.paused
    ]


@get("/plan")
async def present_plan(request: AnyRequest, of: State = None, limit: Limit = 100, offset: Offset = 0) -> PlanBody:
    """Return the plan in force; ``state`` is kept, wanted, going or skipped."""
    asked = _asked(of, limit, offset)
    services = house(request)
    found, named, held, space = await asyncio.gather(
        services.store.read(decisions.every),
        services.store.read(rules.every),
        services.store.read(pins.every),
        _library_space(services),
    )
    done = {p.video: p.done for p in held}
    return await _body(
        services,
        found,
        _uses(named, found, space),
        fetched=sum(max(0, d.size - done.get(d.video, 0)) for d in found if d.verdict is Verdict.PIN),
        released=sum(done.get(d.video, 0) for d in found if d.verdict is Verdict.RELEASE),
        asked=asked,
    )


@post("/plan/preview", status_code=200)
async def preview(
    request: AnyRequest, data: JSONBody[Preview], of: State = None, limit: Limit = 100, offset: Offset = 0
) -> PlanBody:
    """Return what these rules, in place of the present ones, would come to. Changes nothing."""
    asked = _asked(of, limit, offset)
    services = house(request)
    made = tuple(rule_of(one, one.id or new_id(one.name)) for one in data.rules)
    await check_channels(services, made)
    return await _of_plan(services, await services.planning.preview(made), made, asked)


@post("/plan/run", status_code=200)
async def run(request: AnyRequest, of: State = None, limit: Limit = 100, offset: Offset = 0) -> PlanBody:
    """Plan now, put the plan in force, and return it."""
    asked = _asked(of, limit, offset)
    services = house(request)
    plan = await services.planning.run()
    return await _of_plan(services, plan, await services.store.read(rules.every), asked)


@get("/plan/changes")
async def changes(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[ChangeBody]:
    """List the latest changed decisions, newest first."""
    found = await house(request).store.read(decisions.changes, _MOST_CHANGES)
    return Listing(
        len(found),
        [
            ChangeBody(
                c.at,
                c.video,
                c.title,
                None if c.before is None else c.before.value,
                None if c.after is None else c.after.value,
                decision(c.decision),
            )
            for c in found[offset : offset + limit]
        ],
    )


routes = [present_plan, preview, run, changes]
