"""What rules come to: the plan in force, or the one that other rules would make. This module asks the house for it.

Pages and the API show the same numbers: videos and bytes that come and go, how long that takes to fetch, the disk
before and after.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from appliance.domain.plan import Decision, Disk, Plan, Rule, RuleUse, Verdict
from appliance.domain.units import ByteCount, RuleId, VideoId
from appliance.errors import DiskError
from appliance.store import decisions, pins, rules
from web.services import Services

_MOVING = 50_000
"""Bytes/s from which on the present rate says something of the line."""


class PaceBy(StrEnum):
    """What the time to fetch was reckoned with."""

    LIMIT = "limit"
    MEASURED = "measured"
    LINE = "line"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Pace:
    """``rate`` in bytes/s; None where nothing limits it and nothing is being fetched to measure it by."""

    by: PaceBy
    rate: int | None

    def seconds(self, count: int) -> int | None:
        """Return how long so many bytes take, None where that cannot be said."""
        if count <= 0:
            return 0
        return round(count / self.rate) if self.rate else None


@dataclass(frozen=True, slots=True)
class Part:
    """Videos and bytes together."""

    videos: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """``comes``: bytes still to be fetched; ``goes``: bytes to be freed; ``disk`` None where it is not mounted.

    ``coming`` and ``going`` are the videos of the plan in force that come and go anyway.
    """

    decisions: tuple[Decision, ...]
    rules: tuple[Rule, ...]
    uses: Mapping[RuleId, RuleUse]
    comes: Part
    goes: Part
    pace: Pace
    disk: Disk | None
    coming: frozenset[VideoId]
    going: frozenset[VideoId]

    @property
    def seconds(self) -> int | None:
        return self.pace.seconds(self.comes.bytes)

    @property
    def after(self) -> Disk | None:
        """Return the disk once all that comes is here and all that goes is gone."""
        if self.disk is None:
            return None
        change = self.comes.bytes - min(self.goes.bytes, self.disk.used)
        gives = min(self.disk.cached + self.disk.copies, max(0, change - max(0, self.disk.free - self.disk.floor)))
        copies = ByteCount(max(0, self.disk.copies - gives))  # they go before what is cached
        used, free = max(0, self.disk.used + change), max(0, self.disk.free + gives - change)
        kept = ByteCount(self.disk.cached + self.disk.copies - gives - copies)
        return replace(self.disk, used=ByteCount(used), free=ByteCount(free), cached=kept, copies=copies)


async def present(house: Services) -> Outlook:
    """Return what the plan in force comes to, without planning anew."""
    found, named, done, space = await asyncio.gather(
        house.store.read(decisions.every), house.store.read(rules.every), _done(house), disk(house)
    )
    return _outlook(house, found, named, _uses(named, found, space), done, space, found)


async def foreseen(house: Services, chosen: tuple[Rule, ...]) -> Outlook:
    """Return what these rules would come to in place of the present ones. Raises LibraryMissing, DiskError."""
    plan, before, done, space = await asyncio.gather(
        house.planning.preview(chosen), house.store.read(decisions.every), _done(house), disk(house)
    )
    return _of_plan(house, plan, chosen, done, space, before)


async def planned(house: Services) -> Outlook:
    """Plan now, put the plan in force, and return what it comes to. Raises LibraryMissing, DiskError."""
    plan = await house.planning.run()
    named, done, space = await asyncio.gather(house.store.read(rules.every), _done(house), disk(house))
    return _of_plan(house, plan, named, done, space, plan.decisions)


async def disk(house: Services) -> Disk | None:
    """Return the library's disk, or None where it is not mounted."""
    try:
        return await house.keeping.disk()
    except DiskError:
        return None


def pace_of(house: Services) -> Pace:
    """Return how fast things come: by the limit in force, else as fast as they do at this moment."""
    limit, now = house.spending.budget.download, house.spending.rates().down
    if limit == 0:
        return Pace(PaceBy.STOPPED, None)
    if limit is not None:
        return Pace(PaceBy.LIMIT, limit)
    return Pace(PaceBy.MEASURED, now) if now >= _MOVING else Pace(PaceBy.LINE, None)


def _of_plan(
    house: Services,
    plan: Plan,
    named: tuple[Rule, ...],
    done: Mapping[VideoId, int],
    space: Disk | None,
    before: Sequence[Decision],
) -> Outlook:
    uses = {use.rule: use for use in plan.rules}
    made = _outlook(house, plan.decisions, named, uses, done, space, before)
    comes, goes = replace(made.comes, bytes=plan.fetched), replace(made.goes, bytes=plan.released)
    return replace(made, comes=comes, goes=goes)


def _outlook(
    house: Services,
    found: Sequence[Decision],
    named: tuple[Rule, ...],
    uses: Mapping[RuleId, RuleUse],
    done: Mapping[VideoId, int],
    space: Disk | None,
    before: Sequence[Decision],
) -> Outlook:
    fetched = [max(0, d.size - done.get(d.video, 0)) for d in found if d.verdict is Verdict.PIN]
    freed = [done.get(d.video, 0) for d in found if d.verdict is Verdict.RELEASE]
    return Outlook(
        decisions=tuple(found),
        rules=named,
        uses=uses,
        comes=Part(len(fetched), sum(fetched)),
        goes=Part(len(freed), sum(freed)),
        pace=pace_of(house),
        disk=space,
        coming=frozenset(d.video for d in before if d.verdict is Verdict.PIN),
        going=frozenset(d.video for d in before if d.verdict is Verdict.RELEASE),
    )


async def _done(house: Services) -> dict[VideoId, int]:
    return {pin.video: int(pin.done) for pin in await house.store.read(pins.every)}


def _uses(named: Iterable[Rule], found: Iterable[Decision], space: Disk | None) -> dict[RuleId, RuleUse]:
    used: dict[RuleId, tuple[int, int]] = {}
    for one in found:
        if one.rule is not None and one.verdict in (Verdict.KEEP, Verdict.PIN):
            size, count = used.get(one.rule, (0, 0))
            used[one.rule] = (size + one.size, count + 1)
    return {
        rule.id: RuleUse(rule.id, _budget(rule, space), ByteCount(used.get(rule.id, (0, 0))[0]), _count(used, rule))
        for rule in named
        if not rule.paused
    }


def _count(used: Mapping[RuleId, tuple[int, int]], rule: Rule) -> int:
    return used.get(rule.id, (0, 0))[1]


def _budget(rule: Rule, space: Disk | None) -> ByteCount | None:
    """Return the bytes a rule may use: of the space the library may use altogether, where it names a share."""
    limits = [] if rule.budget is None else [int(rule.budget)]
    if rule.budget_share is not None and space is not None:
        limits.append(int(rule.budget_share * max(0, space.used + space.free - space.floor)))
    return None if not limits else ByteCount(min(limits))
