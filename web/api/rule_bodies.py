"""Rules as JSON has them, whole, to be and to be changed: this module makes them of the domain's, and those of them.

Lengths of time are in seconds, sizes in bytes.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from appliance.domain.plan import Filters, Rule, Watched
from appliance.domain.units import ByteCount, ChannelId, RuleId
from appliance.errors import BadInput
from policies.rules import LONGEST, check

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


def changed(rule: Rule, change: RuleChange, kinds: Collection[str]) -> Rule:
    """Return the rule with what is named in ``change``, checked. Raises BadInput, the field named."""
    present = body(rule)
    named = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    if isinstance(change.filters, FiltersChange):
        inner = {n: v for n, v in msgspec.structs.asdict(change.filters).items() if v is not UNSET}
        named["filters"] = msgspec.structs.replace(present.filters, **inner)
    # A rule whose kind was lost with its package can still be changed.
    return rule_of(msgspec.structs.replace(present, **named), rule.id, {*kinds, rule.kind})
