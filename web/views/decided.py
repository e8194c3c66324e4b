"""What the plan says of one video, for a person: by which rule, how it ranks, how long it stays, what would change it.

This module finds the words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.catalogue import Change, Replanned, VideoLine, VideoRecord
from appliance.domain.pin import Wish
from appliance.domain.plan import Copies, Decision, ReasonCode, Rule, RuleKind, Verdict
from appliance.domain.units import RuleId, VideoId
from policies.explain import human_date
from policies.ranked import ranked_by
from web.views import copies, states, words
from web.views.states import Badge
from web.views.video import Say

Facts = tuple[tuple[str, str], ...]

_PROTECTING = frozenset({ReasonCode.LAST_COPY, ReasonCode.GONE_KEPT, ReasonCode.ORIGIN_DOWN})


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One line of the plan. ``change`` is empty where nothing is known that would change it."""

    title: str
    href: str
    channel: str
    badge: Badge
    size: str
    facts: Facts
    reasons: tuple[str, ...]
    change: str


@dataclass(frozen=True, slots=True)
class Question:
    """A video that waits for the owner's word. ``rule`` is the id of the rule whose budget it passes (empty: none)."""

    id: str
    title: str
    channel: str
    href: str
    size: str
    reasons: tuple[str, ...]
    rule: str
    rule_name: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a video's own page says of its decision besides the reasons. ``asks``: it waits for the owner's word."""

    facts: Facts
    change: str
    asks: bool
    may_go: bool
    may_go_now: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One change of a plan: ``what`` happened to the video, and why."""

    title: str
    href: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class PlanChange:
    """What one plan changed: videos that come, are here now, go, and the rest; ``more`` are not told one by one."""

    when: words.Moment
    sentence: str
    came: tuple[Turn, ...]
    here: tuple[Turn, ...]
    went: tuple[Turn, ...]
    other: tuple[Turn, ...]
    more: int


def facts(decision: Decision, rules: Mapping[RuleId, Rule], elsewhere: Copies | None, now: datetime) -> Facts:
    """Return what stands beside a decision's reasons; ``elsewhere`` None leaves the copies out."""
    found = []
    rule = None if decision.rule is None else rules.get(decision.rule)
    if rule is not None:
        found.append(("Rule", rule.name))
        if decision.rank is not None and rule.kind != RuleKind.EVERYTHING:
            by = ranked_by(rule.kind, decision.value)
            found.append(("Rank", f"number {words.count(decision.rank)}" + (f", {by}" if by else "")))
    if elsewhere is not None:
        found.append(("Copies elsewhere", copies.line(elsewhere, now)))
    if decision.verdict in (Verdict.KEEP, Verdict.PIN):
        found.append(("Stays", stays(decision, now)))
    return tuple(found)


def stays(decision: Decision, now: datetime) -> str:
    """Return how long a video is safe from being let go."""
    until = decision.earliest_release
    if any(reason.code is ReasonCode.HAND_PIN for reason in decision.reasons):
        return "until you take your hand pin back"
    if any(reason.code in _PROTECTING for reason in decision.reasons):
        return "until you let it go, or others have it again"
    if until is not None and until > now:
        return f"at least until {human_date(until.isoformat())}"
    return "as long as it is worth its space"


def change(decision: Decision, say: Say) -> str:
    """Return what would have to change, where the plan knows it."""
    return "" if decision.change is None else say(decision.change)


def told(record: VideoRecord, decision: Decision | None, rules: Mapping[RuleId, Rule], now: datetime, say: Say) -> Told:
    """Return what the plan says of one video; the page has its copies elsewhere in a place of their own."""
    if decision is None:
        return Told((), "", asks=False, may_go=False, may_go_now=False, rule="")
    silent = record.wish is None
    return Told(
        facts=facts(decision, rules, None, now),
        change=change(decision, say),
        asks=decision.asks and silent,
        may_go=may_go(decision) and silent,
        may_go_now=record.wish is Wish.LET_GO,
        rule=decision.rule if decision.rule is not None and decision.rule in rules else "",
    )


def may_go(decision: Decision | None) -> bool:
    """Tell whether the owner's word alone keeps a video from being let go."""
    return decision is not None and any(reason.code in _PROTECTING for reason in decision.reasons)


def row(
    decision: Decision,
    line: VideoLine | None,
    rules: Mapping[RuleId, Rule],
    elsewhere: Copies | None,
    now: datetime,
    say: Say,
) -> PlanRow:
    """Return one line of the plan."""
    return PlanRow(
        title=(line.title if line else "") or "Untitled video",
        href=f"videos/{decision.video}",
        channel=(line.channel_title or line.origin) if line else "",
        badge=states.verdict_badge(decision.verdict),
        size="" if not decision.size else ("about " if decision.estimated else "") + words.size(decision.size),
        facts=facts(decision, rules, elsewhere, now),
        reasons=tuple(dict.fromkeys(say(reason) for reason in decision.reasons)),
        change=change(decision, say),
    )


def question(decision: Decision, line: VideoLine, rules: Mapping[RuleId, Rule], say: Say) -> Question:
    """Return what is asked of the owner about one video."""
    rule = None if decision.rule is None else rules.get(decision.rule)
    told = [r for r in decision.reasons if r.code in (ReasonCode.LAST_COPY, ReasonCode.LAST_COPY_OVER)]
    return Question(
        id=line.id,
        title=line.title or "Untitled video",
        channel=line.channel_title or line.origin,
        href=f"videos/{line.id}",
        size=words.size(decision.size),
        reasons=tuple(say(reason) for reason in told or decision.reasons),
        rule="" if rule is None else rule.id,
        rule_name="" if rule is None else rule.name,
    )


def plan_change(found: Replanned, now: datetime, say: Say, known: frozenset[VideoId]) -> PlanChange:
    """Return what one plan changed; only videos that are ``known`` have a page to lead to."""
    turns = [(change, _turn(change, say, change.video in known)) for change in found.changes]
    came = tuple(turn for change, turn in turns if change.after in (Verdict.PIN, Verdict.KEEP) and _new(change))
    went = tuple(turn for change, turn in turns if change.after is Verdict.RELEASE)
    here = tuple(turn for change, turn in turns if (change.before, change.after) == (Verdict.PIN, Verdict.KEEP))
    told = {id(turn) for turn in (*came, *went, *here)}
    rest = tuple(turn for _, turn in turns if id(turn) not in told)
    numbers = (
        (len(came), "comes", "come"),
        (len(here), "is here now", "are here now"),
        (len(went), "goes", "go"),
        (len(rest), "other", "others"),
    )
    counts = [f"{words.count(n)} {one if n == 1 else many}" for n, one, many in numbers if n]
    return PlanChange(
        when=words.past(found.at, now),
        sentence=words.listed(counts) + ".",
        came=came,
        here=here,
        went=went,
        other=rest,
        more=found.count - len(found.changes),
    )


def _new(change: Change) -> bool:
    return change.before in (None, Verdict.LEAVE)


def _turn(change: Change, say: Say, has_page: bool) -> Turn:
    reasons = change.decision.reasons if change.decision is not None else ()
    return Turn(
        title=change.title or "Untitled video",
        href=f"videos/{change.video}" if has_page else "",
        what=_what(change.before, change.after),
        why=say(reasons[0]) if reasons else "",
    )


def _what(before: Verdict | None, after: Verdict | None) -> str:
    match before, after:
        case Verdict.PIN, Verdict.KEEP:
            return "is here now"
        case Verdict.RELEASE, Verdict.KEEP | Verdict.PIN:
            return "stays after all"
        case Verdict.KEEP, Verdict.PIN:
            return "is to be completed"
        case _, Verdict.PIN:
            return "comes"
        case _, Verdict.KEEP:
            return "is kept"
        case _, Verdict.RELEASE:
            return "goes"
        case Verdict.RELEASE, _:
            return "is gone"
        case Verdict.PIN, _:
            return "no longer comes"
        case _:
            return "is skipped"
