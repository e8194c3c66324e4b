"""Every rule's claims on the videos it would like to keep, ranked, and made comparable between rules.

Within a rule the greater value goes first. Values of different rules have different units, so between rules a claim
counts by its *worth per byte*: its value against the mean value of a byte of all the rule's candidates, times the
rule's weight. An average byte of a rule is worth the rule's weight, the best are worth many times as much.

None of that depends on what is held, so that a plan that was carried out finds the same claims again. What competes
only because it is held (a paused rule's videos, ones that left their origin) is a claim that *sits*: it may stay, it
is not chosen. This module makes the claims; ``fit`` gives out the space.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import mul
from typing import cast

from appliance.domain.pin import Wish
from appliance.domain.plan import Candidate, Filters, Reason, ReasonCode, Rule, RuleKind, World
from appliance.domain.units import ChannelId
from appliance.domain.video import Upstream
from policies.newcomers import Newcomers, newcomers
from policies.order import best_first
from policies.protect import bar, holder
from policies.rules import in_scope, not_needed, refusal, size_refusal
from policies.sizes import Choice, choice
from policies.worth import BUILT_IN, Ranking, safe_value, trend_among

LAST_N = 10
"""How many of each channel *last N per channel* keeps where its rule does not say."""

Facts = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Claims:
    """One rule's claims, best first: parallel lists, because there may be a million.

    ``videos`` are places in the world's sorted videos, ``keys`` the worth per byte, ``ranks`` the place in the lists
    plus 1 by video (0: no claim). ``sits`` are the videos that compete only because they are held.
    """

    rule: Rule
    videos: list[int]
    values: list[float]
    keys: "array[float]"
    choices: list[Choice]
    sizes: list[int]
    ranks: "array[int]"
    sits: frozenset[int]
    beyond: frozenset[int]
    """Videos that are not among the last N of their channel."""

    def at(self, video: int) -> int | None:
        """Return the place in the lists of the rule's claim on a video, or None."""
        return self.ranks[video] - 1 if self.ranks[video] else None


@dataclass(frozen=True, slots=True)
class _Order:
    """All that is fresh, best first by one value: the order, what it comes to, and the ranks by video."""

    order: list[int]
    videos: list[int]
    values: list[float]
    ranks: "array[int]"


@dataclass(slots=True)
class Desk:
    """What is looked up again and again while claims are made: ``videos`` are the world's, sorted by id."""

    world: World
    videos: tuple[Candidate, ...]
    rules: tuple[Rule, ...]
    now: datetime
    kinds: Mapping[str, Ranking]
    newest: list[int] = field(default_factory=list)
    open: list[bool] = field(default_factory=list)
    fresh: list[int] = field(default_factory=list)
    """What may be chosen, newest first; ``stale`` may only stay, where it is held."""
    whole: set[object] = field(default_factory=set)
    """Which of ``choices`` and ``values`` are known of all that is fresh."""
    stale: list[int] = field(default_factory=list)
    choices: dict[tuple[int | None, bool], list[Choice | None]] = field(default_factory=dict)
    values: dict[tuple[str, timedelta | None], list[float | None]] = field(default_factory=dict)
    orders: dict[tuple[str, timedelta | None], _Order] = field(default_factory=dict)
    bars: dict[int, Reason] = field(default_factory=dict)
    newcomers: Newcomers | None = None
    """What videos usually get in their first days, once it is asked for."""

    def __post_init__(self) -> None:
        self.newest = best_first([video.published_at.timestamp() for video in self.videos])
        self.bars = {at: reason for at, video in enumerate(self.videos) if (reason := bar(video)) is not None}
        self.open = [v.wish in (None, Wish.LET_GO) and at not in self.bars for at, v in enumerate(self.videos)]
        published_now = [v.upstream is Upstream.PUBLISHED for v in self.videos]
        self.fresh = [at for at in self.newest if self.open[at] and published_now[at]]
        self.stale = [at for at in self.newest if self.open[at] and not published_now[at]]

    def chooser(self, rule: Rule) -> Callable[[int], Choice | None]:
        """Return what says, of a video's place, what the rule would keep of it; remembered for rules that ask alike."""
        asked = (rule.max_height, rule.smallest)
        known = self.choices.setdefault(asked, [_UNASKED] * len(self.videos))
        if asked in self.whole:
            return known.__getitem__
        bitrates = self.world.bitrates

        videos, height, smallest = self.videos, rule.max_height, rule.smallest

        def found(at: int) -> Choice | None:
            made = known[at]
            if made is _UNASKED:
                made = known[at] = choice(videos[at], height, bitrates, smallest=smallest)
            return made

        return found

    def valuer(self, rule: Rule) -> Callable[[int], float]:
        """Return what says what a byte of a video, by its place, is worth to the rule."""
        ranking = self.kinds.get(rule.kind, _worthless)
        if ranking is not BUILT_IN.get(rule.kind):
            return lambda at: safe_value(ranking, rule, self.videos[at], self.now)
        asked = (str(rule.kind), rule.half_life)
        known = self.values.setdefault(asked, [None] * len(self.videos))
        if asked in self.whole:
            return cast(Callable[[int], float], known.__getitem__)

        videos, now = self.videos, self.now
        of = self._trend(rule) if rule.kind == RuleKind.TRENDING else lambda video: ranking(rule, video, now)

        def found(at: int) -> float:
            made = known[at]
            if made is None:
                made = known[at] = of(videos[at])
            return made

        return found

    def _trend(self, rule: Rule) -> Callable[[Candidate], float]:
        if self.newcomers is None:
            self.newcomers = newcomers(map(self.videos.__getitem__, self.newest), self.now)
        return trend_among(self.newcomers, self.now, rule.half_life)

    def held_by(self, rule: Rule, video: Candidate) -> bool:
        """Say whether what is held counts as held by this rule: it pays for it, or nobody does who would claim it."""
        if video.held is None:
            return False
        payer = holder(video, self.rules)
        if payer is None or payer.id == rule.id:
            return True
        return not in_scope(payer, video) or refusal(payer, video, self.now) is not None


_NOTHING = Filters()
_UNASKED = Choice((), -1)  # type: ignore[arg-type]


def _worthless(_: Rule, __: Candidate, ___: datetime) -> float:
    return 0.0


def home(rule: Rule, video: Candidate) -> ChannelId:
    """Return the channel whose share of the rule's budget a video takes: one, also where several list it."""
    within = video.channels if rule.channels is None else video.channels & rule.channels
    return min(within or video.channels, default=ChannelId(""))


@dataclass(slots=True)
class _Draft:
    """A rule's claims as they are gathered, newest first."""

    videos: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    sits: set[int] = field(default_factory=set)
    beyond: set[int] = field(default_factory=set)
    mass: float = 0.0
    total: int = 0
    all_fresh: bool = False
    """Nothing but what is fresh, in that order."""


def claims(desk: Desk, rule: Rule) -> Claims:
    """Return what the rule claims of the videos that no one barred."""
    draft = _gathered(desk, rule)
    mean = draft.mass / draft.total if draft.total else 0.0
    scale = rule.weight / mean if mean > 0 else rule.weight
    ranked = _ranked(desk, rule, draft)
    choices = list(map(draft.choices.__getitem__, ranked.order))
    return Claims(
        rule=rule,
        videos=ranked.videos,
        values=ranked.values,
        keys=array("d", [value * scale for value in ranked.values]),
        choices=choices,
        sizes=[wanted.size for wanted in choices],
        ranks=ranked.ranks,
        sits=frozenset(draft.sits),
        beyond=frozenset(draft.beyond),
    )


def _ranked(desk: Desk, rule: Rule, draft: _Draft) -> _Order:
    asked = (str(rule.kind), rule.half_life)
    whole = draft.all_fresh and len(draft.videos) == len(desk.fresh)
    if whole and asked in desk.orders:
        return desk.orders[asked]
    order = best_first(draft.values)
    videos = list(map(draft.videos.__getitem__, order))
    ranks = array("l", bytes(array("l").itemsize * len(desk.videos)))
    for place, video in enumerate(videos, 1):
        ranks[video] = place
    made = _Order(order, videos, list(map(draft.values.__getitem__, order)), ranks)
    if whole and rule.kind in BUILT_IN:
        desk.orders[asked] = made
    return made


def _gathered(desk: Desk, rule: Rule) -> _Draft:
    draft, left = _Draft(), _Countdown(rule)
    wanted_of, value_of, now = desk.chooser(rule), desk.valuer(rule), desk.now
    counts = rule.kind == RuleKind.LAST_N
    everywhere = rule.channels is None and rule.tags is None
    asks = rule.max_lifetime is not None or rule.filters != _NOTHING
    weighs = rule.filters.min_size is not None or rule.filters.max_size is not None
    looked_at: Sequence[int] = desk.newest
    if everywhere and not (asks or weighs or counts or rule.paused or rule.keep_below is not None):
        _add_all(draft, desk, rule)
        looked_at = desk.stale
    for at in looked_at:
        video = desk.videos[at]
        if not desk.open[at] or not (everywhere or in_scope(rule, video)):
            continue
        if asks and refusal(rule, video, now) is not None:
            continue
        wanted = wanted_of(at)
        if wanted is None or (weighs and size_refusal(rule, wanted.size, estimated=wanted.estimated) is not None):
            continue
        sits = video.upstream is not Upstream.PUBLISHED or (rule.keep_below is not None and _enough(rule, video))
        value = value_of(at)
        if not sits:
            draft.mass += value * wanted.size
            draft.total += wanted.size
        if counts and not left.admits(video, counted=not sits):
            draft.beyond.add(at)
        elif sits or rule.paused:
            if desk.held_by(rule, video) and not_needed(rule, video) is None:
                draft.sits.add(at)
                _add(draft, at, value, wanted)
        else:
            _add(draft, at, value, wanted)
    return draft


def _add_all(draft: _Draft, desk: Desk, rule: Rule) -> None:
    """Add the claims of a rule that asks nothing: there may be very many."""
    choices, values = list(map(desk.chooser(rule), desk.fresh)), list(map(desk.valuer(rule), desk.fresh))
    desk.whole |= {(rule.max_height, rule.smallest), (str(rule.kind), rule.half_life)}
    draft.videos, draft.values, draft.all_fresh = list(desk.fresh), values, True
    draft.choices = [wanted for wanted in choices if wanted is not None]
    if len(draft.choices) < len(choices):
        draft.videos = [at for at, wanted in zip(desk.fresh, choices, strict=True) if wanted is not None]
        draft.values = [value for value, wanted in zip(values, choices, strict=True) if wanted is not None]
    sizes = [wanted.size for wanted in draft.choices]
    draft.mass, draft.total = sum(map(mul, draft.values, sizes)), sum(sizes)


def _add(draft: _Draft, at: int, value: float, wanted: Choice) -> None:
    draft.all_fresh = False
    draft.videos.append(at)
    draft.values.append(value)
    draft.choices.append(wanted)


def _enough(rule: Rule, video: Candidate) -> bool:
    """Say whether a video that is not held would not be needed."""
    return rule.keep_below is not None and video.copies.verified >= rule.keep_below


@dataclass(slots=True)
class _Countdown:
    """Counts the newest of each channel to the rule's N."""

    rule: Rule
    seen: dict[ChannelId, int] = field(default_factory=dict)

    def admits(self, video: Candidate, *, counted: bool) -> bool:
        channel = home(self.rule, video)
        before = self.seen.get(channel, 0)
        if counted:
            self.seen[channel] = before + 1
        return before < (LAST_N if self.rule.per_channel is None else self.rule.per_channel)


def refusal_of(desk: Desk, mine: Claims, at: int) -> Reason | None:
    """Return why a rule has no claim on a video in its scope; None where it is out of scope or is claimed."""
    video, rule = desk.videos[at], mine.rule
    if not in_scope(rule, video) or mine.ranks[at]:
        return None
    if at in mine.beyond:
        many = LAST_N if rule.per_channel is None else rule.per_channel
        return Reason(ReasonCode.ENOUGH, {"rule": rule.name, "most": many, "each": "channel", "last": 1})
    refused = refusal(rule, video, desk.now) or not_needed(rule, video)
    if refused is not None:
        return refused
    wanted = desk.chooser(rule)(at)
    if wanted is None:
        return Reason(ReasonCode.NO_RENDITION, {"rule": rule.name, "max_height": rule.max_height or 0})
    return size_refusal(rule, wanted.size, estimated=wanted.estimated)
