"""Rules for a person, each as a card: this module finds the words for every field."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.domain.plan import Filters, Rule, RuleKind, RuleUse, Watched
from appliance.domain.units import ChannelId
from web.views import words

KINDS: dict[str, tuple[str, str]] = {
    RuleKind.EVERYTHING: ("Everything", "Every video of its channels, as long as the budget lasts."),
    RuleKind.RECENT: ("Recent", "The newest videos first."),
    RuleKind.LAST_N: ("Last of each channel", "The last so many videos of every channel; say below how many."),
    RuleKind.TRENDING: ("Trending", "What gains the most views these days."),
    RuleKind.MOST_VIEWED: ("Most viewed", "What was seen most often of all."),
    RuleKind.RARE_FIRST: ("Rare first", "What the fewest others have, so that it does not get lost."),
}


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
        budget=words.size(budget) if budget is not None else _open_budget(rule),
        share=None if budget is None else words.share(used, budget),
        videos=words.many(use.videos if use else 0, "video"),
        paused=rule.paused,
    )


def _open_budget(rule: Rule) -> str:
    """Return a budget that is no number of bytes: all, or a share that no plan has measured."""
    if rule.budget_share is None:
        return "all the disk may hold"
    return f"{100 * rule.budget_share:.3g}\u00a0% of the space"


def _scope(rule: Rule, titles: Mapping[ChannelId, str]) -> str:
    if rule.channels is None:
        return "all channels"
    named = sorted(titles.get(channel, "a channel no longer followed") for channel in rule.channels)
    if len(named) > 3:
        return f"{', '.join(named[:2])} and {len(named) - 2} more"
    return words.listed(named) or "no channel"


def _sentences(rule: Rule) -> tuple[str, ...]:
    return (*_limits(rule), *_asked_for(rule.filters), *_giving(rule))


def _limits(rule: Rule) -> list[str]:
    lines = []
    if rule.tags:
        lines.append(f"tagged {words.listed(sorted(rule.tags)[:5])}")
    if rule.smallest:
        lines.append("the smallest picture")
    if rule.max_height:
        lines.append(f"at most {rule.max_height}p")
    if rule.most:
        lines.append(f"at most {words.many(rule.most, 'video')}")
    if rule.per_channel:
        lines.append(f"{words.many(rule.per_channel, 'video')} of each channel")
    if rule.channel_budget:
        lines.append(f"{words.size(rule.channel_budget)} for each channel")
    if rule.max_lifetime is not None:
        lines.append(f"published in the last {words.span(rule.max_lifetime.total_seconds())}")
    if rule.min_lifetime:
        lines.append(f"kept for {words.span(rule.min_lifetime.total_seconds())} at least")
    return lines


def _asked_for(filters: Filters) -> list[str]:
    lines = []
    if filters.min_views:
        lines.append(f"from {words.many(filters.min_views, 'view')} on")
    if filters.max_views is not None:
        lines.append(f"up to {words.many(filters.max_views, 'view')}")
    for name, least, most in (
        ("old", filters.min_age, filters.max_age),
        ("long", filters.min_duration, filters.max_duration),
    ):
        lines += [f"at least {words.span(least.total_seconds())} {name}"] if least else []
        lines += [f"at most {words.span(most.total_seconds())} {name}"] if most is not None else []
    lines += [f"of {words.size(filters.min_size)} or more"] if filters.min_size else []
    lines += [f"of {words.size(filters.max_size)} or less"] if filters.max_size is not None else []
    for some in (filters.languages, filters.categories, filters.tags):
        lines += [f"only {' or '.join(sorted(some)[:5])}"] if some else []
    if filters.nsfw is not None:
        lines.append("only sensitive ones" if filters.nsfw else "none marked as sensitive")
    lines += [f"with {' or '.join(f'“{p}”' for p in filters.include[:5])}"] if filters.include else []
    lines += [f"without {' or '.join(f'“{p}”' for p in filters.exclude[:5])}"] if filters.exclude else []
    return lines


def _giving(rule: Rule) -> list[str]:
    lines = []
    if rule.keep_below:
        lines.append(f"while fewer than {words.many(rule.keep_below, 'checked copy', 'checked copies')} are elsewhere")
    if rule.ratio:
        lines.append(f"given slowly after {rule.ratio:g} times its size")
    if rule.watched is not None:
        lines.append("what was only watched " + ("stays a while" if rule.watched is Watched.KEEP else "goes at once"))
    if rule.weight != 1:
        lines.append(f"weight {f'{rule.weight:g}'}")
    return lines
