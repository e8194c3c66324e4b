"""Every rule's claim on every video it would like to keep, in the one order in which space is given out.

Within a rule the greater value goes first. Values of different rules have different units, so between rules a claim
counts by its share of the rule's other candidates that it beats, times the rule's weight. What a rule already holds
counts for ``HELD_BONUS`` of its value: a challenger must be clearly better, so that a near tie never swaps. The bonus
touches only the pair (rule, video) that is held, and where a claim stands among the others depends on nothing else
that is held: therefore a plan that was carried out is its own successor. This module makes and orders the claims.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.plan import Candidate, Reason, ReasonCode, Rule, World
from appliance.domain.units import VideoId
from policies.protect import holder
from policies.rules import in_scope, not_needed, refusal, size_refusal
from policies.sizes import Choice, choice
from policies.worth import value

HELD_BONUS = 1.2

Choices = dict[tuple[VideoId, int | None, bool], Choice | None]
"""What was chosen of a video at a height (or the smallest), remembered: rules often ask for the same."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A rule's wish for one video. ``rank`` counts from 1 among the ``of`` claims of ``rule``, by what it is worth."""

    rule: Rule
    video: Candidate
    choice: Choice
    value: float
    held: bool
    rank: int
    of: int


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims in the order of giving out, and why rules refused videos in their scope."""

    ordered: tuple[Claim, ...]
    refusals: Mapping[VideoId, tuple[Reason, ...]]


@dataclass(slots=True)
class _Draft:
    video: Candidate
    choice: Choice
    value: float
    held: bool

    @property
    def boosted(self) -> float:
        return self.value * HELD_BONUS if self.held else self.value


def claims(world: World, eligible: frozenset[VideoId], rules: tuple[Rule, ...], now: datetime) -> Claims:
    """Return what the rules (heaviest first) claim of the eligible videos.

    The others are counted where a claim is compared with all of its rule's candidates, so that the comparison does
    not change with what is held.
    """
    refusals: dict[VideoId, tuple[Reason, ...]] = {}
    keyed: list[tuple[tuple[float, ...], Claim]] = []
    choices: Choices = {}
    for priority, rule in enumerate(rules):
        spread: list[float] = []
        drafts: list[_Draft] = []
        for video in world.videos:
            if not in_scope(rule, video):
                continue
            draft = _draft(world, video, rule, rules, now, choices)
            if isinstance(draft, Reason):
                refusals[video.id] = (*refusals.get(video.id, ()), draft)
                continue
            spread.append(draft.value)
            needless = not_needed(rule, video)
            if needless is not None:
                refusals[video.id] = (*refusals.get(video.id, ()), needless)
                continue
            if video.id in eligible and (draft.held or not rule.paused):
                drafts.append(draft)
        spread.sort()
        drafts.sort(key=_best_first)
        for rank, draft in enumerate(drafts, 1):
            claim = Claim(rule, draft.video, draft.choice, draft.value, draft.held, rank, len(drafts))
            beaten = (bisect_left(spread, draft.boosted) + bisect_right(spread, draft.boosted)) / (2 * len(spread))
            keyed.append(((-rule.weight * beaten, float(priority), float(rank)), claim))
    keyed.sort(key=lambda entry: entry[0])
    return Claims(tuple(claim for _, claim in keyed), refusals)


def _best_first(draft: _Draft) -> tuple[float, bool, float, VideoId]:
    return -draft.boosted, not draft.held, -draft.video.published_at.timestamp(), draft.video.id


def _draft(
    world: World, video: Candidate, rule: Rule, rules: tuple[Rule, ...], now: datetime, choices: Choices
) -> _Draft | Reason:
    """Return what the rule would have of a video in its scope, or why it would not."""
    refused = refusal(rule, video, now)
    if refused is not None:
        return refused
    asked = (video.id, rule.max_height, rule.smallest)
    if asked not in choices:
        choices[asked] = choice(video, rule.max_height, world.bitrates, smallest=rule.smallest)
    wanted = choices[asked]
    if wanted is None:
        return Reason(ReasonCode.NO_RENDITION, {"rule": rule.name, "max_height": rule.max_height or 0})
    refused = size_refusal(rule, wanted.size, estimated=wanted.estimated)
    if refused is not None:
        return refused
    return _Draft(video, wanted, value(rule, video, now), _held_by(rule, video, rules, now))


def _held_by(rule: Rule, video: Candidate, rules: tuple[Rule, ...], now: datetime) -> bool:
    """Say whether what is held counts as held by this rule: it pays for it, or nobody does who would claim it."""
    if video.held is None:
        return False
    payer = holder(video, rules)
    if payer is None or payer.id == rule.id:
        return True
    if not in_scope(payer, video) or not_needed(payer, video) is not None:
        return True
    return refusal(payer, video, now) is not None
