"""``/rules``: the owner's ways to choose what to keep, all of them in force."""

import asyncio
import re
import secrets
from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, patch, post, put
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from appliance.domain.plan import Filters, Rule, Watched
from appliance.domain.units import ByteCount, ChannelId, RuleId
from appliance.errors import BadInput
from appliance.store import channels, rules
from policies import presets, rulebook
from policies.rules import LONGEST, check
from web.api.listing import Ident, Limit, Listing, Offset, cut
from web.context import AnyRequest, house
from web.problems import not_found
from web.services import Services

MOST_RULES = 100

Name = Annotated[str, Meta(max_length=1000)]
Labels = Annotated[list[Annotated[str, Meta(max_length=1000)]], Meta(max_length=10_000)]
Ref = Annotated[str, Meta(max_length=64)]


class FiltersBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a video must be to compete; null asks nothing. Ages and durations in seconds, sizes in bytes."""

    min_views: int | None = None
    max_views: int | None = None
    min_age: int | None = None
    max_age: int | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    min_size: int | None = None
    max_size: int | None = None
    languages: Labels = msgspec.field(default_factory=list)
    categories: Labels = msgspec.field(default_factory=list)
    tags: Labels = msgspec.field(default_factory=list)
    nsfw: bool | None = None
    include: Labels = msgspec.field(default_factory=list)
    exclude: Labels = msgspec.field(default_factory=list)


class NewRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule to be: ``domain.plan.Rule``, lengths of time in seconds, sizes in bytes, null: no limit.

    An ``id`` is taken in previews and where all rules are set, and says which rule this one replaces.
    """

    name: Name
    kind: Name
    id: Ref = ""
    channels: Labels | None = None
    tags: Labels | None = None
    budget: int | None = None
    budget_share: float | None = None
    channel_budget: int | None = None
    most: int | None = None
    per_channel: int | None = None
    min_lifetime: int = 0
    max_lifetime: int | None = None
    max_height: int | None = None
    smallest: bool = False
    filters: FiltersBody = msgspec.field(default_factory=FiltersBody)
    half_life: int | None = None
    keep_below: int | None = None
    ratio: float | None = None
    seed_below: int | None = None
    watched: Watched | None = None
    weight: float = 1.0
    paused: bool = False


class RuleBody(NewRule, frozen=True, kw_only=True):
    """A rule as it is in force."""


class FiltersChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Only what is named changes."""

    min_views: int | UnsetType | None = UNSET
    max_views: int | UnsetType | None = UNSET
    min_age: int | UnsetType | None = UNSET
    max_age: int | UnsetType | None = UNSET
    min_duration: int | UnsetType | None = UNSET
    max_duration: int | UnsetType | None = UNSET
    min_size: int | UnsetType | None = UNSET
    max_size: int | UnsetType | None = UNSET
    languages: Labels | UnsetType = UNSET
    categories: Labels | UnsetType = UNSET
    tags: Labels | UnsetType = UNSET
    nsfw: bool | UnsetType | None = UNSET
    include: Labels | UnsetType = UNSET
    exclude: Labels | UnsetType = UNSET


class RuleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Only what is named changes, also within ``filters``."""

    name: Name | UnsetType = UNSET
    kind: Name | UnsetType = UNSET
    channels: Labels | UnsetType | None = UNSET
    tags: Labels | UnsetType | None = UNSET
    budget: int | UnsetType | None = UNSET
    budget_share: float | UnsetType | None = UNSET
    channel_budget: int | UnsetType | None = UNSET
    most: int | UnsetType | None = UNSET
    per_channel: int | UnsetType | None = UNSET
    min_lifetime: int | UnsetType = UNSET
    max_lifetime: int | UnsetType | None = UNSET
    max_height: int | UnsetType | None = UNSET
    smallest: bool | UnsetType = UNSET
    filters: FiltersChange | UnsetType = UNSET
    half_life: int | UnsetType | None = UNSET
    keep_below: int | UnsetType | None = UNSET
    ratio: float | UnsetType | None = UNSET
    seed_below: int | UnsetType | None = UNSET
    watched: Watched | UnsetType | None = UNSET
    weight: float | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All rules, in place of the present ones: as bodies, or as the text of a file of rules (``file``)."""

    rules: Annotated[list[NewRule], Meta(max_length=MOST_RULES)] | None = None
    file: Annotated[str, Meta(max_length=rulebook.LARGEST)] | None = None


class PresetBody(msgspec.Struct, frozen=True):
    """Rules to begin with. Their ids are only the preset's."""

    id: str
    name: str
    description: str
    rules: list[RuleBody]


_IDENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_PLACES = frozenset({"new", "preview", "edit", "run", "preset", "presets", "file"})
"""Words that stand in addresses where a rule's id does."""
_SPANS = ("min_lifetime", "max_lifetime", "half_life")
_FILTER_SPANS = ("min_age", "max_age", "min_duration", "max_duration")
_FILTER_SETS = ("languages", "categories", "tags")


def body(rule: Rule) -> RuleBody:
    """Return a rule as JSON has it."""
    plain: dict[str, Any] = {name: getattr(rule, name) for name in RuleBody.__struct_fields__}
    for name in _SPANS:
        plain[name] = _seconds(plain[name])
    for name in ("channels", "tags"):
        plain[name] = None if plain[name] is None else sorted(plain[name])
    return RuleBody(**{**plain, "filters": _filters_body(rule.filters)})


def _filters_body(filters: Filters) -> FiltersBody:
    plain: dict[str, Any] = {name: getattr(filters, name) for name in FiltersBody.__struct_fields__}
    for name in _FILTER_SPANS:
        plain[name] = _seconds(plain[name])
    for name in _FILTER_SETS:
        plain[name] = sorted(plain[name])
    return FiltersBody(**{**plain, "include": list(filters.include), "exclude": list(filters.exclude)})


def rule_of(data: NewRule, ident: str, kinds: Collection[str]) -> Rule:
    """Return the rule that a body describes, checked; of one of these ``kinds``. Raises BadInput, the field named."""
    plain: dict[str, Any] = {name: getattr(data, name) for name in NewRule.__struct_fields__}
    for name in _SPANS:
        plain[name] = _span(name, plain[name])
    made = Rule(
        **{
            **plain,
            "id": RuleId(ident),
            "name": data.name.strip(),
            "channels": None if data.channels is None else frozenset(map(ChannelId, data.channels)),
            "tags": None if data.tags is None else frozenset(data.tags),
            "budget": None if data.budget is None else ByteCount(data.budget),
            "filters": _filters(data.filters),
        }
    )
    check(made, kinds)
    return made


def _filters(data: FiltersBody) -> Filters:
    plain: dict[str, Any] = {name: getattr(data, name) for name in FiltersBody.__struct_fields__}
    for name in _FILTER_SPANS:
        plain[name] = _span(f"filters.{name}", plain[name])
    for name in _FILTER_SETS:
        plain[name] = frozenset(plain[name])
    return Filters(**{**plain, "include": tuple(data.include), "exclude": tuple(data.exclude)})


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


def _span(field: str, seconds: int | None) -> timedelta | None:
    if seconds is None:
        return None
    if not 0 <= seconds <= LONGEST.total_seconds():
        raise BadInput("A length of time is from 0 seconds to 100 years.", code="bad_rule", field=field)
    return timedelta(seconds=seconds)


def new_id(name: str) -> str:
    """Return an id for a new rule: readable, and not taken."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24]
    return f"{words or 'rule'}-{secrets.token_hex(3)}"


def _changed(rule: Rule, change: RuleChange, kinds: Collection[str]) -> Rule:
    present = body(rule)
    named = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    if isinstance(change.filters, FiltersChange):
        inner = {n: v for n, v in msgspec.structs.asdict(change.filters).items() if v is not UNSET}
        named["filters"] = msgspec.structs.replace(present.filters, **inner)
    # A rule whose kind was lost with its package can still be changed.
    return rule_of(msgspec.structs.replace(present, **named), rule.id, {*kinds, rule.kind})


async def all_of(services: Services, data: Rules) -> tuple[Rule, ...]:
    """Return the rules that a body describes, each checked. Raises BadInput with the field named."""
    if (data.rules is None) == (data.file is None):
        raise BadInput("Give either rules or file.", field="rules" if data.file is None else "file")
    kinds = await services.planning.kinds()
    if data.file is not None:
        made = rulebook.read(data.file, kinds)
    else:
        made = tuple(_numbered(one, at, kinds) for at, one in enumerate(data.rules or ()))
    if len(made) > MOST_RULES:
        raise BadInput(f"There can be at most {MOST_RULES} rules.", field="rules")
    if odd := next((rule.id for rule in made if rule.id in _PLACES or not _IDENT.fullmatch(rule.id)), None):
        hint = "Use letters, digits, hyphens, dots and underscores."
        raise BadInput(f"“{odd[:80]}” cannot be the id of a rule.", field="id", code="bad_rule", hint=hint)
    if len({rule.id for rule in made}) < len(made):
        raise BadInput("Two rules have the same id.", field="rules", code="bad_rule")
    await check_channels(services, made)
    return made


def _numbered(data: NewRule, at: int, kinds: Collection[str]) -> Rule:
    try:
        return rule_of(data, data.id or new_id(data.name), kinds)
    except BadInput as error:
        raise BadInput(error.message, hint=error.hint, code=error.code, field=f"rules[{at}].{error.field}") from error


async def check_channels(services: Services, made: tuple[Rule, ...]) -> None:
    """Raise BadInput where a rule names a channel that is not followed."""
    named = frozenset[ChannelId]().union(*(rule.channels or frozenset() for rule in made))
    if not named:
        return
    unknown = sorted(named - {c.id for c in await services.store.read(channels.every)})
    if unknown:
        raise BadInput(f"There is no channel {unknown[0][:80]}.", field="channels", hint="Take ids from /channels.")


@get("/rules")
async def list_rules(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[RuleBody]:
    """List the rules in the owner's order."""
    return cut([body(rule) for rule in await house(request).store.read(rules.every)], limit, offset)


@post("/rules")
async def add_rule(request: AnyRequest, data: JSONBody[NewRule]) -> RuleBody:
    """Add a rule at the end. It is in force at once."""
    services = house(request)
    made = rule_of(data, new_id(data.name), await services.planning.kinds())
    await check_channels(services, (made,))
    if len(await services.store.read(rules.every)) >= MOST_RULES:
        raise BadInput(f"There are {MOST_RULES} rules already.", hint="Delete one that is no longer needed.")
    await services.store.promise(rules.put, made)
    services.planning.wake()
    return body(made)


@put("/rules")
async def set_rules(request: AnyRequest, data: JSONBody[Rules]) -> Listing[RuleBody]:
    """Have exactly these rules, in this order, in place of the present ones. They are in force at once."""
    services = house(request)
    made = await all_of(services, data)
    await services.store.promise(rules.replace, made)
    services.planning.wake()
    return Listing(len(made), [body(rule) for rule in made])


@get("/rules/file", media_type="application/toml")
async def rules_file(request: AnyRequest) -> Response[str]:
    """Return all rules as a file that a person can read, keep, and give back by ``PUT /rules``."""
    text = rulebook.write(await house(request).store.read(rules.every))
    headers = {"content-disposition": 'attachment; filename="seedkeep-rules.toml"'}
    return Response(text, media_type="application/toml; charset=utf-8", headers=headers)


@get("/rules/presets")
async def list_presets() -> Listing[PresetBody]:
    """List the rules to begin with."""
    offered = await asyncio.to_thread(presets.presets)
    found = [PresetBody(p.id, p.name, p.description, [body(r) for r in p.rules]) for p in offered]
    return Listing(len(found), found)


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
    made = _changed(found, data, await services.planning.kinds())
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


routes = [list_rules, add_rule, set_rules, rules_file, list_presets, one_rule, change_rule, drop_rule]
