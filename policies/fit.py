"""The most worth inside the budgets and above the floor.

Space is spoken for in this order: what is protected, hand pins not held yet, then claims best first; a claim that
does not fit is passed over and a later, smaller one may fit. With value as worth per byte this never keeps less for
a larger budget. A video that several rules claim is charged to the first one that can pay, once.

A share of the disk moves when others write to it, so newcomers fill it only up to ``SLACK`` below: else every drift
would release one video and fetch another. This module does the sums.
"""

from dataclasses import dataclass, field

from appliance.domain.plan import Candidate, Reason, ReasonCode, Rule, World
from appliance.domain.units import ByteCount, RuleId, VideoId
from policies.claims import Claim
from policies.protect import Protection
from policies.sizes import Choice

SLACK = 0.02


@dataclass(frozen=True, slots=True)
class Place:
    """A video's place in the library: what of it, why, and who pays. ``order`` says how early it got it.

    ``as_is``: what is there stays, and nothing is fetched to complete it.
    """

    choice: Choice
    reasons: tuple[Reason, ...]
    order: int
    rule: Rule | None = None
    rank: int | None = None
    value: float = 0.0
    as_is: bool = False


@dataclass(slots=True)
class Purse:
    """What a rule may spend and has spent, in bytes. ``natural`` leaves out what only protection forces on it."""

    rule: Rule
    budget: ByteCount | None
    newcomers: ByteCount | None
    used: int = 0
    videos: int = 0
    natural: int = 0


def space(world: World) -> int:
    """Return the bytes that the library may use altogether: what it uses, and what is free above the floor."""
    return max(0, world.disk.used + world.disk.free - world.disk.floor)


def capacity(world: World) -> int:
    """Return the bytes that pins may use: free above the floor, and what could be released. May be negative.

    What the library holds besides the videos of this world cannot be released by a plan.
    """
    held = sum(video.held.done for video in world.videos if video.held is not None)
    return min(held, world.disk.used) + world.disk.free - world.disk.floor


def purse(rule: Rule, library: int) -> Purse:
    """Return the rule's purse, unspent. The smaller of both budgets counts; None is bounded by the disk alone."""
    hard = [] if rule.budget is None else [int(rule.budget)]
    soft = list(hard)
    if rule.budget_share is not None:
        share = rule.budget_share * library
        hard.append(int(share))
        soft.append(int(share * (1 - SLACK)))
    if not hard:
        return Purse(rule, None, None)
    return Purse(rule, ByteCount(min(hard)), ByteCount(min(soft)))


@dataclass(slots=True)
class Shelves:
    """The library as it fills. ``left`` is the disk's room; it may start, and stay, below zero."""

    left: int
    purses: dict[RuleId, Purse]
    places: dict[VideoId, Place] = field(default_factory=dict)
    refusals: dict[VideoId, tuple[Reason, ...]] = field(default_factory=dict)
    turns: int = 0

    def reserve(self, video: Candidate, held: Choice, shield: Protection) -> None:
        """Give a protected video its space and charge it to who pays for it, whatever that exceeds."""
        self.left -= held.size
        self._place(video, Place(held, shield.reasons, self._turn(), shield.rule, as_is=shield.as_is))

    def offer_hand_pin(self, video: Candidate, wanted: Choice) -> None:
        """Place a hand pin that is not held yet, or note that there is no space for it."""
        reason = Reason(ReasonCode.HAND_PIN)
        if wanted.size > self.left:
            self.refusals[video.id] = (reason, self._no_space(wanted.size))
            return
        self.left -= wanted.size
        self._place(video, Place(wanted, (reason,), self._turn()))

    def offer(self, claim: Claim) -> None:
        """Place what the claim asks for, or note why not. A placed video is charged once."""
        video, purse = claim.video, self.purses[claim.rule.id]
        placed = self.places.get(video.id)
        if placed is not None:
            if placed.rule is not None and placed.rule.id == claim.rule.id:
                self._confirm(claim, placed, purse)
            return
        trouble = self._misfit(claim, purse)
        if trouble is not None:
            self.refusals[video.id] = (*self.refusals.get(video.id, ()), trouble)
            return
        self.left -= claim.choice.size
        purse.natural += claim.choice.size
        reasons = (_chosen(claim),)
        self._place(video, Place(claim.choice, reasons, self._turn(), claim.rule, claim.rank, claim.value))

    def _confirm(self, claim: Claim, placed: Place, purse: Purse) -> None:
        """Say of a protected video, when its claim's turn comes, that its rule would have chosen it anyway."""
        if purse.budget is not None and purse.natural + placed.choice.size > purse.budget:
            return
        purse.natural += placed.choice.size
        reasons = (_chosen(claim), *placed.reasons)
        self.places[claim.video.id] = Place(placed.choice, reasons, self._turn(), claim.rule, claim.rank, claim.value)

    def _misfit(self, claim: Claim, purse: Purse) -> Reason | None:
        size, limit = claim.choice.size, purse.budget if claim.held else purse.newcomers
        if limit is not None and purse.budget is not None:
            facts: dict[str, str | int | float] = {"rule": claim.rule.name, "bytes": size, "budget": purse.budget}
            if size > limit:
                return Reason(ReasonCode.TOO_LARGE, facts)
            if purse.used + size > limit:
                return Reason(ReasonCode.OUTRANKED, {**facts, "rank": claim.rank, "of": claim.of})
        return self._no_space(size) if size > self.left else None

    def _no_space(self, size: ByteCount) -> Reason:
        return Reason(ReasonCode.NO_SPACE, {"bytes": size, "left": max(0, self.left)})

    def _turn(self) -> int:
        self.turns += 1
        return self.turns

    def _place(self, video: Candidate, place: Place) -> None:
        self.places[video.id] = place
        if place.rule is not None:
            purse = self.purses[place.rule.id]
            purse.used += place.choice.size
            purse.videos += 1


def _chosen(claim: Claim) -> Reason:
    facts: dict[str, str | int | float] = {
        "rule": claim.rule.name,
        "kind": claim.rule.kind,
        "rank": claim.rank,
        "of": claim.of,
        "value": round(claim.value, 4),
        "views": claim.video.views,
        "published": claim.video.published_at.date().isoformat(),
    }
    return Reason(ReasonCode.CHOSEN, facts)
