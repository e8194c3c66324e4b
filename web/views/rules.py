"""Rules and the plan that comes of them, for a person. This module builds the list and the preview."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

from appliance.domain.catalogue import VideoLine
from appliance.domain.pin import PinState
from appliance.domain.plan import Decision, Disk, Plan, Rule, RuleKind, RuleUse, Verdict
from appliance.domain.units import ByteCount, ChannelId, RuleId, VideoId
from web.views import words
from web.views.disk import Tray, tray
from web.views.video import Say

KINDS: dict[str, tuple[str, str]] = {
    RuleKind.EVERYTHING: ("Everything", "Every video of its channels, as long as the budget lasts."),
    RuleKind.RECENT: ("Recent", "The newest videos first."),
    RuleKind.TRENDING: ("Trending", "What gains the most views these days."),
    RuleKind.MOST_VIEWED: ("Most viewed", "What was seen most often of all."),
}
SHOWN = 20


@dataclass(frozen=True, slots=True)
class RuleCard:
    id: str
    name: str
    kind: str
    scope: str
    sentences: tuple[str, ...]
    used: str
    budget: str
    share: float | None
    videos: str
    paused: bool


@dataclass(frozen=True, slots=True)
class Coming:
    """One line of the plan: a video that comes or goes, and why."""

    title: str
    href: str
    size: str
    why: str
    now: bool


@dataclass(frozen=True, slots=True)
class Preview:
    adds: tuple[Coming, ...]
    more_adds: int
    releases: tuple[Coming, ...]
    more_releases: int
    tray: Tray
    sentence: str


def rule_card(rule: Rule, use: RuleUse | None, titles: Mapping[ChannelId, str]) -> RuleCard:
    """Return one rule as a card; ``use`` is what the last plan spent on it."""
    budget = use.budget if use else rule.budget
    used = use.used if use else 0
    return RuleCard(
        id=rule.id,
        name=rule.name,
        kind=KINDS.get(rule.kind, (rule.kind, ""))[0],
        scope=_scope(rule, titles),
        sentences=_sentences(rule),
        used=words.size(used),
        budget="all the disk may hold" if budget is None else words.size(budget),
        share=None if budget is None else words.share(used, budget),
        videos=words.many(use.videos if use else 0, "video"),
        paused=rule.paused,
    )


def adds(plan: Plan, limit: int = SHOWN) -> list[Decision]:
    """Return the next videos to come, as the plan orders them."""
    return list(islice((d for d in plan.decisions if d.verdict is Verdict.PIN), limit))


def releases(plan: Plan, limit: int = SHOWN) -> list[Decision]:
    """Return the next videos to go, as the plan orders them."""
    return list(islice((d for d in plan.decisions if d.verdict is Verdict.RELEASE), limit))


def preview(plan: Plan, disk: Disk, lines: Mapping[VideoId, VideoLine], say: Say) -> Preview:
    """Return what comes and what goes next; ``lines`` are of the videos that are shown.

    The tray shows the disk once the plan is carried out: what goes is free, what comes is on its way.
    """
    coming = sum(1 for d in plan.decisions if d.verdict is Verdict.PIN)
    going = sum(1 for d in plan.decisions if d.verdict is Verdict.RELEASE)
    freed = min(plan.released, disk.used)
    after = replace(disk, used=ByteCount(disk.used - freed), free=ByteCount(disk.free + freed))
    return Preview(
        adds=tuple(_coming(decision, lines, say) for decision in adds(plan)),
        more_adds=max(0, coming - SHOWN),
        releases=tuple(_coming(decision, lines, say) for decision in releases(plan)),
        more_releases=max(0, going - SHOWN),
        tray=tray(after, coming=plan.fetched),
        sentence=_outlook(coming, plan.fetched, going, plan.released),
    )


def _coming(decision: Decision, lines: Mapping[VideoId, VideoLine], say: Say) -> Coming:
    line = lines.get(decision.video)
    return Coming(
        title=(line.title if line else "") or "Untitled video",
        href=f"videos/{decision.video}",
        size=("about " if decision.estimated else "") + words.size(decision.size),
        why=say(decision.reasons[0]) if decision.reasons else "",
        now=line is not None and line.pin_state is PinState.PINNING,
    )


def _outlook(adds: int, fetched: int, releases: int, released: int) -> str:
    if not adds and not releases:
        return "Everything the rules want is here. Nothing comes, nothing goes."
    parts = []
    if adds:
        parts.append(f"{words.many(adds, 'video')} {'comes' if adds == 1 else 'come'} ({words.size(fetched)})")
    if releases:
        parts.append(f"{words.many(releases, 'video')} {'goes' if releases == 1 else 'go'} ({words.size(released)})")
    return f"{', '.join(parts)}."


def _scope(rule: Rule, titles: Mapping[ChannelId, str]) -> str:
    if rule.channels is None:
        return "all channels"
    named = sorted(titles.get(channel, "a channel no longer followed") for channel in rule.channels)
    if len(named) > 3:
        return f"{', '.join(named[:2])} and {len(named) - 2} more"
    return words.listed(named) or "no channel"


def _sentences(rule: Rule) -> tuple[str, ...]:
    lines = []
    if rule.max_height:
        lines.append(f"at most {rule.max_height}p")
    if rule.filters.min_views:
        lines.append(f"from {words.many(rule.filters.min_views, 'view')} on")
    if rule.max_lifetime is not None:
        lines.append(f"published in the last {words.span(rule.max_lifetime.total_seconds())}")
    if rule.min_lifetime:
        lines.append(f"kept for {words.span(rule.min_lifetime.total_seconds())} at least")
    if rule.weight != 1:
        lines.append(f"weight {f'{rule.weight:g}'}")
    return tuple(lines)


def uses(plan: Plan | None) -> Mapping[RuleId, RuleUse]:
    """Return what the last plan spends, by rule."""
    return {} if plan is None else {use.rule: use for use in plan.rules}
