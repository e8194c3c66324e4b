"""``/rules``: the owner's ways to choose what to keep, all of them in force."""

import re
import secrets
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from appliance.domain.plan import Filters, Rule, RuleKind
from appliance.domain.units import ByteCount, ChannelId, RuleId
from appliance.errors import BadInput
from appliance.store import channels, rules
from policies.rules import LONGEST, check
from web.api.listing import Ident, Limit, Listing, Offset, cut
from web.context import AnyRequest, house
from web.problems import not_found
from web.services import Services

MOST_RULES = 100
_MOST = 2**53 - 1
"""The largest integer that every JSON reader keeps whole."""

Bytes = Annotated[int, Meta(ge=0, le=_MOST)]
Seconds = Annotated[int, Meta(ge=0, le=int(LONGEST.total_seconds()))]
Share = Annotated[float, Meta(ge=0, le=1)]
Pixels = Annotated[int, Meta(ge=0, le=20_000)]
Views = Annotated[int, Meta(ge=0, le=_MOST)]
Weight = Annotated[float, Meta(gt=0, le=1000)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Channels = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=10_000)]


class RuleBody(msgspec.Struct, frozen=True):
    """A rule. ``budget`` in bytes, ``budget_share`` of the library's space, lifetimes in seconds, null: no limit."""

    id: str
    name: str
    kind: str
    channels: list[str] | None
    budget: int | None
    budget_share: float | None
    min_lifetime: int
    max_lifetime: int | None
    max_height: int | None
    min_views: int | None
    weight: float
    paused: bool


class NewRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule to be. An ``id`` is taken in previews only, where it says which rule this one would replace."""

    name: Name
    kind: RuleKind
    id: Annotated[str, Meta(max_length=64)] = ""
    channels: Channels | None = None
    budget: Bytes | None = None
    budget_share: Share | None = None
    min_lifetime: Seconds = 0
    max_lifetime: Seconds | None = None
    max_height: Pixels | None = None
    min_views: Views | None = None
    weight: Weight = 1.0
    paused: bool = False


class RuleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Only what is named changes."""

    name: Name | UnsetType = UNSET
    kind: RuleKind | UnsetType = UNSET
    channels: Channels | UnsetType | None = UNSET
    budget: Bytes | UnsetType | None = UNSET
    budget_share: Share | UnsetType | None = UNSET
    min_lifetime: Seconds | UnsetType = UNSET
    max_lifetime: Seconds | UnsetType | None = UNSET
    max_height: Pixels | UnsetType | None = UNSET
    min_views: Views | UnsetType | None = UNSET
    weight: Weight | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


def body(rule: Rule) -> RuleBody:
    return RuleBody(
        id=rule.id,
        name=rule.name,
        kind=rule.kind,
        channels=None if rule.channels is None else sorted(rule.channels),
        budget=rule.budget,
        budget_share=rule.budget_share,
        min_lifetime=_seconds(rule.min_lifetime),
        max_lifetime=None if rule.max_lifetime is None else _seconds(rule.max_lifetime),
        max_height=rule.max_height,
        min_views=rule.filters.min_views,
        weight=rule.weight,
        paused=rule.paused,
    )


def rule_of(data: NewRule, ident: str) -> Rule:
    """Return the rule that a body describes, checked. Raises BadInput with the field named."""
    made = Rule(
        id=RuleId(ident),
        name=data.name.strip(),
        kind=data.kind,
        channels=None if data.channels is None else frozenset(ChannelId(c) for c in data.channels),
        budget=None if data.budget is None else ByteCount(data.budget),
        budget_share=data.budget_share,
        min_lifetime=timedelta(seconds=data.min_lifetime),
        max_lifetime=None if data.max_lifetime is None else timedelta(seconds=data.max_lifetime),
        max_height=data.max_height,
        filters=Filters(min_views=data.min_views),
        weight=data.weight,
        paused=data.paused,
    )
    check(made)
    return made


def new_id(name: str) -> str:
    """Return an id for a new rule: readable, and not taken."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24]
    return f"{words or 'rule'}-{secrets.token_hex(3)}"


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def _changed(rule: Rule, change: RuleChange) -> Rule:
    present: dict[str, Any] = msgspec.structs.asdict(body(rule))
    present |= {k: v for k, v in msgspec.structs.asdict(change).items() if v is not UNSET}
    return rule_of(msgspec.convert(present, NewRule), rule.id)


async def check_channels(services: Services, made: tuple[Rule, ...]) -> None:
    """Raise BadInput where a rule names a channel that is not followed."""
    named = frozenset[ChannelId]().union(*(rule.channels or frozenset() for rule in made))
    if not named:
        return
    unknown = sorted(named - {c.id for c in await services.store.read(channels.every)})
    if unknown:
        raise BadInput(f"There is no channel {unknown[0]}.", field="channels", hint="Take ids from /channels.")


@get("/rules")
async def list_rules(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[RuleBody]:
    """List the rules in the owner's order."""
    return cut([body(rule) for rule in await house(request).store.read(rules.every)], limit, offset)


@post("/rules")
async def add_rule(request: AnyRequest, data: JSONBody[NewRule]) -> RuleBody:
    """Add a rule at the end. It is in force at once."""
    services = house(request)
    made = rule_of(data, new_id(data.name))
    await check_channels(services, (made,))
    if len(await services.store.read(rules.every)) >= MOST_RULES:
        raise BadInput(f"There are {MOST_RULES} rules already.", hint="Delete one that is no longer needed.")
    await services.store.promise(rules.put, made)
    services.planning.wake()
    return body(made)


@get("/rules/{ident:str}")
async def one_rule(request: AnyRequest, ident: Ident) -> RuleBody:
    """Return one rule."""
    found = await house(request).store.read(rules.one, RuleId(ident))
    if found is None:
        raise not_found("rule")
    return body(found)


@patch("/rules/{ident:str}")
async def change_rule(request: AnyRequest, ident: Ident, data: JSONBody[RuleChange]) -> RuleBody:
    """Change one rule where it stands."""
    services = house(request)
    found = await services.store.read(rules.one, RuleId(ident))
    if found is None:
        raise not_found("rule")
    made = _changed(found, data)
    if data.channels is not UNSET:
        await check_channels(services, (made,))
    await services.store.promise(rules.put, made)
    services.planning.wake()
    return body(made)


@delete("/rules/{ident:str}")
async def drop_rule(request: AnyRequest, ident: Ident) -> None:
    """Delete one rule. What no other wants the next plan releases."""
    services = house(request)
    if not await services.store.promise(rules.drop, RuleId(ident)):
        raise not_found("rule")
    services.planning.wake()


routes = [list_rules, add_rule, one_rule, change_rule, drop_rule]
