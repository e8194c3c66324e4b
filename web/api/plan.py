"""``/plan``: what comes, what goes, what stays and why; what other rules would come to; what the last plans changed."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from appliance.domain.catalogue import Change
from appliance.domain.plan import Copies, Decision, Disk, Verdict
from appliance.errors import BadInput
from appliance.store import copies, decisions, lists, rules
from policies.explain import verdict_word
from web import outlook
from web.api.listing import Limit, Listing, Offset
from web.api.rules import Rules, all_of
from web.api.shapes import CopiesBody, DecisionBody, Named, by_id, copies_body, decided, decision
from web.context import AnyRequest, house
from web.services import Services

_MOST_CHANGES = 5_000
"""The store keeps no more."""

_STATES = frozenset({*Verdict, *map(verdict_word, Verdict)})
State = Annotated[str | None, QueryParameter(name="state", max_length=20, required=False)]
RuleRef = Annotated[str | None, QueryParameter(name="rule", max_length=64, required=False)]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which lines of a plan are asked for."""

    state: str
    rule: str
    limit: int
    offset: int

    def fits(self, one: Decision) -> bool:
        in_state = not self.state or self.state in (one.verdict.value, verdict_word(one.verdict))
        return in_state and (not self.rule or one.rule == self.rule)


def _asked(state: str | None, rule: str | None, limit: int, offset: int) -> Asked:
    if state and state not in _STATES:
        raise BadInput("A plan has no such state.", field="state", hint="Known: kept, wanted, going, skipped.")
    return Asked(state or "", rule or "", limit, offset)


class PlanLine(DecisionBody, frozen=True, kw_only=True):
    """One video's line: its decision, and whose it is. ``copies``: whole ones elsewhere."""

    video_id: str
    title: str
    channel_title: str
    copies: CopiesBody


class PartBody(msgspec.Struct, frozen=True):
    """Videos and bytes together."""

    videos: int
    bytes: int


class RuleUseBody(msgspec.Struct, frozen=True):
    """What one rule spends of its budget, in bytes (null: bounded by the disk alone)."""

    rule: str
    name: str
    budget: int | None
    used: int
    videos: int


class DiskBody(msgspec.Struct, frozen=True):
    """The library's disk in bytes: ``used`` by the library, ``free`` on it, ``floor`` never to be used."""

    total: int
    free: int
    floor: int
    used: int


class PlanBody(msgspec.Struct, frozen=True):
    """Lines in the order in which the plan carries them out, ``total`` of them with the state and rule asked for.

    ``parts`` counts all lines by their word. ``comes`` are the bytes still to be fetched, ``goes`` those to be freed
    (``fetched``, ``released``: the same). ``seconds`` to fetch them, null where that cannot be said; ``pace`` says
    what it is reckoned with: the ``limit`` in force, the rate ``measured`` now, the ``line`` itself, or ``stopped``.
    ``disk_before`` is now, ``disk_after`` once all of it is done; null where the disk is not there.
    """

    total: int
    items: list[PlanLine]
    parts: dict[str, PartBody]
    rules: list[RuleUseBody]
    fetched: int
    released: int
    comes: PartBody
    goes: PartBody
    seconds: int | None
    pace: str
    rate: int | None
    disk_before: DiskBody | None
    disk_after: DiskBody | None


class ChangeBody(msgspec.Struct, frozen=True):
    """One changed decision: what it was, what it is, why."""

    at: datetime
    video_id: str
    title: str
    before: str | None
    after: str | None
    decision: DecisionBody | None


class ReplannedBody(msgspec.Struct, frozen=True):
    """What one plan changed: ``count`` decisions, of which the first 200 are told."""

    at: datetime
    count: int
    changes: list[ChangeBody]


class QuestionBody(PlanLine, frozen=True, kw_only=True):
    """A video that only the owner can decide about: the last copy known, beyond its rule's budget.

    Answer by ``POST /pins`` (keep it), ``POST /videos/{id}/let-go``, or by giving its ``rule`` more room.
    """


async def _lines(services: Services, shown: Sequence[Decision], named: Named) -> list[PlanLine]:
    ids, now = tuple(d.video for d in shown), services.clock.now()
    found, elsewhere = await asyncio.gather(
        services.store.read(lists.lines, ids), services.store.read(copies.several, ids, now)
    )
    known = {line.id: line for line in found}
    return [
        PlanLine(
            **msgspec.structs.asdict(decided(one, named)),
            video_id=one.video,
            title=known[one.video].title if one.video in known else "",
            channel_title=known[one.video].channel_title if one.video in known else "",
            copies=copies_body(elsewhere.get(one.video, Copies()), now),
        )
        for one in shown
    ]


def _disk(found: Disk | None) -> DiskBody | None:
    return None if found is None else DiskBody(found.total, found.free, found.floor, found.used)


def _part(verdict: Verdict, found: Iterable[Decision]) -> PartBody:
    sizes = [d.size for d in found if d.verdict is verdict]
    return PartBody(len(sizes), sum(sizes))


async def _body(services: Services, found: outlook.Outlook, asked: Asked) -> PlanBody:
    fitting = [d for d in found.decisions if asked.fits(d)]
    named = by_id(found.rules)
    return PlanBody(
        total=len(fitting),
        items=await _lines(services, fitting[asked.offset : asked.offset + asked.limit], named),
        parts={verdict_word(verdict): _part(verdict, found.decisions) for verdict in Verdict},
        rules=[
            RuleUseBody(use.rule, named[use.rule].name if use.rule in named else "", use.budget, use.used, use.videos)
            for use in found.uses.values()
        ],
        fetched=found.comes.bytes,
        released=found.goes.bytes,
        comes=PartBody(found.comes.videos, found.comes.bytes),
        goes=PartBody(found.goes.videos, found.goes.bytes),
        seconds=found.seconds,
        pace=found.pace.by.value,
        rate=found.pace.rate,
        disk_before=_disk(found.disk),
        disk_after=_disk(found.after),
    )


@get("/plan")
async def present_plan(
    request: AnyRequest, of: State = None, rule: RuleRef = None, limit: Limit = 100, offset: Offset = 0
) -> PlanBody:
    """Return the plan in force; ``state`` is kept, wanted, going or skipped, ``rule`` the id of the one that chose."""
    asked, services = _asked(of, rule, limit, offset), house(request)
    return await _body(services, await outlook.present(services), asked)


@post("/plan/preview", status_code=200)
async def preview(
    request: AnyRequest,
    data: JSONBody[Rules],
    of: State = None,
    rule: RuleRef = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> PlanBody:
    """Return what these rules, in place of the present ones, would come to. Changes nothing."""
    asked, services = _asked(of, rule, limit, offset), house(request)
    return await _body(services, await outlook.foreseen(services, await all_of(services, data)), asked)


@post("/plan/run", status_code=200)
async def run(
    request: AnyRequest, of: State = None, rule: RuleRef = None, limit: Limit = 100, offset: Offset = 0
) -> PlanBody:
    """Plan now, put the plan in force, and return it."""
    asked, services = _asked(of, rule, limit, offset), house(request)
    return await _body(services, await outlook.planned(services), asked)


@get("/plan/changes")
async def changes(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[ChangeBody]:
    """List the latest changed decisions, newest first."""
    store = house(request).store
    found, named = await asyncio.gather(store.read(decisions.changes, _MOST_CHANGES), store.read(rules.every))
    return Listing(len(found), [_change(c, by_id(named)) for c in found[offset : offset + limit]])


@get("/plan/history")
async def history(request: AnyRequest, limit: Limit = 20, offset: Offset = 0) -> Listing[ReplannedBody]:
    """List the plans that changed something, newest first, each with what it changed."""
    store = house(request).store
    (total, found), named = await asyncio.gather(
        store.read(decisions.history, min(limit, 100), offset), store.read(rules.every)
    )
    known = by_id(named)
    return Listing(total, [ReplannedBody(one.at, one.count, [_change(c, known) for c in one.changes]) for one in found])


@get("/questions")
async def questions(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[QuestionBody]:
    """List what only the owner can decide: last known copies that pass their rule's budget by staying."""
    services = house(request)
    found, named = await asyncio.gather(services.store.read(decisions.asking), services.store.read(rules.every))
    known = {line.id: line for line in await services.store.read(lists.lines, tuple(d.video for d in found))}
    open_ones = [d for d in found if d.video in known and known[d.video].wish is None]
    lines = await _lines(services, open_ones[offset : offset + limit], by_id(named))
    return Listing(len(open_ones), [QuestionBody(**msgspec.structs.asdict(line)) for line in lines])


def _change(one: Change, named: Named) -> ChangeBody:
    return ChangeBody(
        one.at,
        one.video,
        one.title,
        None if one.before is None else one.before.value,
        None if one.after is None else one.after.value,
        decision(one.decision, named),
    )


routes = [present_plan, preview, run, changes, history, questions]
