"""A rule as a form, and a form as a rule. This module goes both ways; it keeps what was typed where that is wrong."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from appliance.domain.plan import Filters, Rule, RuleKind
from appliance.domain.units import ByteCount, ChannelId, RuleId
from policies.rules import check
from web.views.rules import KINDS

__all__ = ["FIELD_OF", "Choice", "RuleForm", "again", "blank", "check", "number", "of_rule", "read"]

HEIGHTS = (0, 2160, 1440, 1080, 720, 480, 360, 240)
FIELD_OF = {"min_lifetime": "min_days", "max_lifetime": "max_days", "filters.min_views": "min_views"}
"""A rule's field → the form's field that a complaint belongs to, where they differ."""
_FRESH = Rule(RuleId(""), "", RuleKind.RECENT, budget_share=0.5, max_height=1080)


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str
    chosen: bool
    hint: str = ""


@dataclass(frozen=True, slots=True)
class RuleForm:
    """A rule being written; all values as they stand in the fields. ``wrong`` says by field what is wrong."""

    id: str
    name: str
    kinds: tuple[Choice, ...]
    channels: tuple[Choice, ...]
    all_channels: bool
    budget_kind: str
    budget: str
    budget_share: str
    min_days: str
    max_days: str
    heights: tuple[Choice, ...]
    min_views: str
    weight: str
    paused: bool
    wrong: Mapping[str, str] = field(default_factory=dict)

    def error(self, name: str) -> str:
        """Return what is wrong with one field, or nothing."""
        return self.wrong.get(name, "")


def blank(titles: Mapping[ChannelId, str]) -> RuleForm:
    """Return the form of a new rule, with sensible values."""
    return of_rule(_FRESH, titles)


def of_rule(rule: Rule, titles: Mapping[ChannelId, str]) -> RuleForm:
    """Return the form of a rule."""
    return RuleForm(
        id=rule.id,
        name=rule.name,
        kinds=_kinds(rule.kind),
        channels=_channels(titles, rule.channels or ()),
        all_channels=rule.channels is None,
        budget_kind="bytes" if rule.budget is not None else "share" if rule.budget_share is not None else "disk",
        budget="" if rule.budget is None else number(rule.budget / 1e9),
        budget_share="" if rule.budget_share is None else number(rule.budget_share * 100),
        min_days=_days(rule.min_lifetime),
        max_days="" if rule.max_lifetime is None else _days(rule.max_lifetime),
        heights=_heights(rule.max_height or 0),
        min_views="" if rule.filters.min_views is None else str(rule.filters.min_views),
        weight=number(rule.weight),
        paused=rule.paused,
    )


def again(
    ident: str,
    sent: Mapping[str, str],
    picked: Collection[str],
    titles: Mapping[ChannelId, str],
    wrong: Mapping[str, str],
) -> RuleForm:
    """Return the form as it was sent, with what is wrong beside its fields."""
    height = sent.get("max_height", "0")
    return replace(
        of_rule(_FRESH, titles),
        id=ident,
        name=sent.get("name", "")[:200],
        kinds=_kinds(sent.get("kind", "")),
        channels=_channels(titles, picked),
        all_channels=sent.get("scope") != "some",
        budget_kind=sent.get("budget_kind", "disk"),
        heights=_heights(int(height) if height.isascii() and height.isdigit() and len(height) < 6 else 0),
        paused="paused" in sent,
        wrong=wrong,
        **{name: sent.get(name, "")[:40] for name in ("budget", "budget_share", "min_days", "max_days", "min_views")},
        weight=sent.get("weight", "")[:40],
    )


def read(ident: RuleId, sent: Mapping[str, str], picked: Sequence[str], wrong: dict[str, str]) -> Rule | None:
    """Return the rule that a form says, or None; then ``wrong`` says by field what is not understood."""
    kind = sent.get("kind", "")
    if kind not in list(RuleKind):
        wrong["kind"] = "Choose one of these."
    if sent.get("scope") == "some" and not picked:
        wrong["channels"] = "Choose one channel at least, or all of them."
    budget_kind = sent.get("budget_kind", "disk")
    gigabytes = _number(sent, "budget", wrong) if budget_kind == "bytes" else None
    percent = _number(sent, "budget_share", wrong) if budget_kind == "share" else None
    if budget_kind == "bytes" and gigabytes is None:
        wrong.setdefault("budget", "Say how many GB.")
    if budget_kind == "share" and percent is None:
        wrong.setdefault("budget_share", "Say how many percent.")
    max_days, min_days = _number(sent, "max_days", wrong), _number(sent, "min_days", wrong)
    views, weight = _number(sent, "min_views", wrong), _number(sent, "weight", wrong)
    height = _number(sent, "max_height", wrong)
    if wrong:
        return None
    return Rule(
        id=ident,
        name=" ".join(sent.get("name", "").split()),
        kind=RuleKind(kind),
        channels=frozenset(map(ChannelId, picked)) if sent.get("scope") == "some" else None,
        budget=None if gigabytes is None else ByteCount(round(gigabytes * 1e9)),
        budget_share=None if percent is None else percent / 100,
        min_lifetime=timedelta(days=min_days or 0),
        max_lifetime=timedelta(days=max_days) if max_days else None,
        max_height=round(height) if height else None,
        filters=Filters(min_views=round(views) if views else None),
        weight=1.0 if weight is None else weight,
        paused="paused" in sent,
    )


def number(value: float) -> str:
    """Return a number for an input field: no needless zeros, a point for the fraction."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _number(sent: Mapping[str, str], name: str, wrong: dict[str, str]) -> float | None:
    text = sent.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e9:
        wrong[name] = "Write a number that is not below zero."
        return None
    if name.endswith("_days") and value > 36500:
        wrong[name] = "That is more than a hundred years."
        return None
    return value


def _days(stretch: timedelta) -> str:
    return number(stretch / timedelta(days=1)) if stretch else ""


def _kinds(chosen: str) -> tuple[Choice, ...]:
    return tuple(Choice(kind, name, kind == chosen, hint) for kind, (name, hint) in KINDS.items())


def _channels(titles: Mapping[ChannelId, str], chosen: Collection[str]) -> tuple[Choice, ...]:
    order = sorted(titles.items(), key=lambda item: item[1].casefold())
    return tuple(Choice(channel, title, channel in chosen) for channel, title in order)


def _heights(chosen: int) -> tuple[Choice, ...]:
    heights = sorted({*HEIGHTS, chosen}, key=lambda height: height or 10**6, reverse=True)
    return tuple(Choice(str(h), f"up to {h}p" if h else "any", h == chosen) for h in heights)
