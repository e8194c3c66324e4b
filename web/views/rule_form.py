"""A rule as a form, and a form as a rule. This module goes both ways; it keeps what was typed where that is wrong."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.domain.plan import Filters, Rule, RuleKind, Watched
from appliance.domain.units import ChannelId, RuleId
from policies.rules import check
from policies.soundness import BUILT_IN
from web.views.rule_fields import BUDGETS, COMMON, GROUPS, LONGEST, SCOPE, SPECS, Spec
from web.views.rules import KINDS

__all__ = ["Choice", "Draft", "RuleForm", "again", "blank", "checked", "of_rule", "read"]

HEIGHTS = (0, 2160, 1440, 1080, 720, 480, 360, 240)
SMALLEST = "smallest"
_SENSITIVE = (("", "all"), ("none", "without those marked as sensitive"), ("only", "only those marked as sensitive"))
_WATCHED = (("", "as the settings say"), ("keep", "stays while there is room"), ("drop", "goes at once"))
_FRESH = Rule(RuleId(""), "", RuleKind.RECENT, budget_share=0.5, max_height=1080)
_TAGS = Spec("tags", "With one of these tags", SCOPE, hint="Separate them with commas.", empty="any")


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str
    chosen: bool
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """One line of text: ``only`` names the kind for which alone it means something."""

    name: str
    id: str
    label: str
    value: str
    unit: str
    hint: str
    empty: str
    mode: str
    only: str
    area: bool
    error: str


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    hint: str
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A form as it was sent: its fields, and the channels that are picked."""

    sent: Mapping[str, str]
    picked: Sequence[str] = ()

    def text(self, name: str) -> str:
        return self.sent.get(name, "").replace("\r\n", "\n").strip()[:LONGEST]


@dataclass(frozen=True, slots=True)
class RuleForm:
    """A rule being written; all values as they stand in the fields. ``wrong`` says by field what is wrong.

    ``more`` opens what is folded away: something there is set, or wrong.
    """

    id: str
    name: str
    kinds: tuple[Choice, ...]
    channels: tuple[Choice, ...]
    all_channels: bool
    budget_kind: str
    heights: tuple[Choice, ...]
    sensitive: tuple[Choice, ...]
    watched: tuple[Choice, ...]
    paused: bool
    inputs: Mapping[str, Input]
    wrong: Mapping[str, str] = field(default_factory=dict)

    @property
    def common(self) -> tuple[Input, ...]:
        return tuple(self.inputs[spec.name] for spec in COMMON)

    @property
    def groups(self) -> tuple[Group, ...]:
        return tuple(Group(title, hint, tuple(self.inputs[s.name] for s in specs)) for title, hint, specs in GROUPS)

    @property
    def more(self) -> bool:
        inside = [name for _, _, specs in GROUPS for name in (spec.name for spec in specs)]
        inside += ["tags", "filters.nsfw"]
        if any(name in self.wrong for name in inside) or not self.watched[0].chosen:
            return True
        return any(self.inputs[name].value not in ("", "1") for name in inside if name in self.inputs)

    def error(self, name: str) -> str:
        """Return what is wrong with one field, or nothing."""
        return self.wrong.get(name, "")


def blank(titles: Mapping[ChannelId, str], known: Collection[str] = BUILT_IN) -> RuleForm:
    """Return the form of a new rule, with sensible values."""
    return of_rule(_FRESH, titles, known)


def of_rule(rule: Rule, titles: Mapping[ChannelId, str], known: Collection[str] = BUILT_IN) -> RuleForm:
    """Return the form of a rule; ``known`` are the kinds to choose from."""
    shown = {spec.name: _shown(spec, rule) for spec in (*SPECS, _TAGS)}
    nsfw = rule.filters.nsfw
    return RuleForm(
        id=rule.id,
        name=rule.name,
        kinds=_kinds(rule.kind, known),
        channels=_channels(titles, rule.channels or ()),
        all_channels=rule.channels is None,
        budget_kind="bytes" if rule.budget is not None else "share" if rule.budget_share is not None else "disk",
        heights=_heights(SMALLEST if rule.smallest else str(rule.max_height or 0)),
        sensitive=_sensitive("" if nsfw is None else "only" if nsfw else "none"),
        watched=_watched(rule.watched or ""),
        paused=rule.paused,
        inputs=_inputs(shown, {}),
    )


def again(
    ident: str,
    draft: Draft,
    titles: Mapping[ChannelId, str],
    wrong: Mapping[str, str],
    known: Collection[str] = BUILT_IN,
) -> RuleForm:
    """Return the form as it was sent, with what is wrong beside its fields."""
    return RuleForm(
        id=ident,
        name=draft.text("name")[:200],
        kinds=_kinds(draft.text("kind"), known),
        channels=_channels(titles, draft.picked),
        all_channels=draft.text("scope") != "some",
        budget_kind=draft.text("budget_kind") or "disk",
        heights=_heights(draft.text("max_height")),
        sensitive=_sensitive(draft.text("filters.nsfw")),
        watched=_watched(draft.text("watched")),
        paused="paused" in draft.sent,
        inputs=_inputs({spec.name: draft.text(spec.name) for spec in (*SPECS, _TAGS)}, wrong),
        wrong=wrong,
    )


def read(ident: RuleId, draft: Draft, wrong: dict[str, str], before: Rule | None = None) -> Rule | None:
    """Return the rule that a form says, or None; then ``wrong`` says by field what is not understood.

    ``before`` is the rule that is being changed: what was shown rounded and left alone keeps its exact value.
    """
    values = {spec.name: _value(spec, draft, wrong, before) for spec in (*SPECS, _TAGS) if _asked(spec, draft)}
    if draft.text("scope") == "some" and not draft.picked:
        wrong["channels"] = "Choose one channel at least, or all of them."
    for spec, what in zip(BUDGETS, ("percent", "GB"), strict=True):
        if _asked(spec, draft) and values[spec.name] is None:
            wrong.setdefault(spec.name, f"Say how many {what}.")
    picture = draft.text("max_height") or "0"
    if picture != SMALLEST and not (picture.isascii() and picture.isdigit() and len(picture) <= 6):
        wrong["max_height"] = "Choose one of these."
    if wrong:
        return None
    return _made(ident, draft, values, picture)


def _made(ident: RuleId, draft: Draft, values: Mapping[str, Any], picture: str) -> Rule:
    filters = {name.partition(".")[2]: value for name, value in values.items() if name.startswith("filters.")}
    plain = {name: value for name, value in values.items() if "." not in name}
    sensitive = draft.text("filters.nsfw")
    return Rule(
        id=ident,
        name=" ".join(draft.text("name").split()),
        kind=draft.text("kind"),
        channels=frozenset(map(ChannelId, draft.picked)) if draft.text("scope") == "some" else None,
        max_height=int(picture) or None if picture != SMALLEST else None,
        smallest=picture == SMALLEST,
        watched=Watched(after) if (after := draft.text("watched")) in list(Watched) else None,
        filters=Filters(**filters, nsfw={"only": True, "none": False}.get(sensitive)),
        paused="paused" in draft.sent,
        **plain,
    )


def checked(rule: Rule, before: Rule | None = None, known: Collection[str] = BUILT_IN) -> None:
    """Raise BadInput, naming the field, where the rule cannot mean anything; a kind it had may stay."""
    check(rule, known if before is None else {*known, before.kind})


def _asked(spec: Spec, draft: Draft) -> bool:
    """Tell whether a field means anything in this form: what is hidden is not read."""
    if spec in BUDGETS:
        return draft.text("budget_kind") == ("share" if spec.name == "budget_share" else "bytes")
    return not spec.only or draft.text("kind") == spec.only


def _value(spec: Spec, draft: Draft, wrong: dict[str, str], before: Rule | None) -> Any:
    text = draft.text(spec.name)
    if before is not None and text == _shown(spec, before):
        return spec.of(before)
    if not text:
        return spec.way.nothing
    try:
        return spec.way.read(text)
    except ValueError as error:
        wrong[spec.name] = str(error)
        return None


def _shown(spec: Spec, rule: Rule) -> str:
    value = spec.of(rule)
    return "" if value is None else spec.way.show(value)


def _inputs(shown: Mapping[str, str], wrong: Mapping[str, str]) -> dict[str, Input]:
    return {
        spec.name: Input(
            name=spec.name,
            id=spec.name.replace(".", "-"),
            label=spec.label,
            value=shown[spec.name],
            unit=spec.unit,
            hint=spec.hint,
            empty=spec.empty,
            mode=spec.way.mode,
            only=spec.only,
            area=spec.area,
            error=wrong.get(spec.name, ""),
        )
        for spec in (*SPECS, _TAGS)
    }


def _kinds(chosen: str, known: Collection[str]) -> tuple[Choice, ...]:
    shown = dict(KINDS)
    for other in sorted({*known, chosen} - KINDS.keys()):
        if other.isidentifier():
            shown[other] = (other.replace("_", " ").capitalize()[:60], "A kind of another package.")
    return tuple(Choice(kind, name, kind == chosen, hint) for kind, (name, hint) in shown.items())


def _channels(titles: Mapping[ChannelId, str], chosen: Collection[str]) -> tuple[Choice, ...]:
    """Return the channels by title, after them those chosen that are no longer followed."""
    order: Iterable[tuple[str, str]] = sorted(titles.items(), key=lambda item: item[1].casefold())
    left = [Choice(ident, "a channel no longer followed", True) for ident in sorted(chosen) if ident not in titles]
    return (*(Choice(channel, title, channel in chosen) for channel, title in order), *left)


def _heights(chosen: str) -> tuple[Choice, ...]:
    plain = chosen if chosen == SMALLEST or (chosen.isascii() and chosen.isdigit() and len(chosen) < 6) else "0"
    heights = sorted({*HEIGHTS, 0 if plain == SMALLEST else int(plain)}, key=lambda h: h or 10**6, reverse=True)
    made = [Choice(str(h), f"up to {h}p" if h else "the best there is", str(h) == plain) for h in heights]
    return (*made, Choice(SMALLEST, "the smallest there is", plain == SMALLEST))


def _watched(chosen: str) -> tuple[Choice, ...]:
    return tuple(Choice(value, label, value == chosen) for value, label in _WATCHED)


def _sensitive(chosen: str) -> tuple[Choice, ...]:
    return tuple(Choice(value, label, value == chosen) for value, label in _SENSITIVE)
