"""``/plan``: what comes, what goes, what stays and why; what other rules would come to."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from msgspec import Meta

from appliance.domain.plan import Decision, Plan, Rule, Verdict
from appliance.errors import DiskError
from appliance.store import decisions, lists, pins, rules
from web.api.listing import Limit, Listing, Offset
from web.api.rules import MOST_RULES, NewRule, check_channels, new_id, rule_of
from web.api.shapes import DecisionBody, decision
from web.context import AnyRequest, house
from web.services import Services


class PlanLine(msgspec.Struct, frozen=True):
    """One video's line, in the order in which the plan carries it out."""

    video_id: str
    title: str
    channel_title: str
    decision: DecisionBody


class Part(msgspec.Struct, frozen=True):
    """The first lines of one verdict; ``total`` and ``bytes`` count all of them."""

    total: int
    bytes: int
    items: list[PlanLine]


class RuleUseBody(msgspec.Struct, frozen=True):
    """What one rule spends of its budget, in bytes (null: bounded by the disk alone)."""

    rule: str
    name: str
    budget: int | None
    used: int
    videos: int


class PlanBody(msgspec.Struct, frozen=True):
    """``bytes``: kept of what is there; fetched, still to come; released, to be freed."""

    kept: Part
    coming: Part
    going: Part
    skipped: Part
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


async def _part(services: Services, lines: Sequence[Decision], limit: int, offset: int) -> Part:
    shown = lines[offset : offset + limit]
    known = {line.id: line for line in await services.store.read(lists.lines, tuple(d.video for d in shown))}
    items = []
    for found in shown:
        line, told = known.get(found.video), decision(found)
        if told is not None:
            items.append(
                PlanLine(
                    video_id=found.video,
                    title="" if line is None else line.title,
                    channel_title="" if line is None else line.channel_title,
                    decision=told,
                )
            )
    return Part(len(lines), sum(d.size for d in lines), items)


async def _body(
    services: Services,
    found: Iterable[Decision],
    uses: list[RuleUseBody],
    *,
    fetched: int,
    released: int,
    limit: int,
    offset: int = 0,
) -> PlanBody:
    by_verdict: dict[Verdict, list[Decision]] = {verdict: [] for verdict in Verdict}
    for one in found:
        by_verdict[one.verdict].append(one)
    kept, coming, going, skipped = await asyncio.gather(
        *(
            _part(services, by_verdict[verdict], limit, offset)
            for verdict in (Verdict.KEEP, Verdict.PIN, Verdict.RELEASE, Verdict.LEAVE)
        )
    )
    return PlanBody(kept, coming, going, skipped, uses, fetched, released)


async def _of_plan(services: Services, plan: Plan, named: Iterable[Rule], limit: int) -> PlanBody:
    names = {rule.id: rule.name for rule in named}
    uses = [RuleUseBody(u.rule, names.get(u.rule, ""), u.budget, u.used, u.videos) for u in plan.rules]
    return await _body(services, plan.decisions, uses, fetched=plan.fetched, released=plan.released, limit=limit)


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
async def present_plan(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> PlanBody:
    """Return the plan in force: each of its four parts from ``offset``, ``limit`` lines at most."""
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
        limit=limit,
        offset=offset,
    )


@post("/plan/preview", status_code=200)
async def preview(request: AnyRequest, data: Preview, limit: Limit = 100) -> PlanBody:
    """Return what these rules, in place of the present ones, would come to. Changes nothing."""
    services = house(request)
    made = tuple(rule_of(one, one.id or new_id(one.name)) for one in data.rules)
    await check_channels(services, made)
    return await _of_plan(services, await services.planning.preview(made), made, limit)


@post("/plan/run", status_code=200)
async def run(request: AnyRequest, limit: Limit = 100) -> PlanBody:
    """Plan now, put the plan in force, and return it."""
    services = house(request)
    plan = await services.planning.run()
    return await _of_plan(services, plan, await services.store.read(rules.every), limit)


@get("/plan/changes")
async def changes(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[ChangeBody]:
    """List the latest changed decisions, newest first; ``total`` counts those listed up to here."""
    found = await house(request).store.read(decisions.changes, min(limit + offset, 5000))
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
            for c in found[offset:]
        ],
    )


routes = [present_plan, preview, run, changes]
