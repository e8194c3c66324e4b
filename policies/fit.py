"""The most worth inside the budgets and above the floor.

Space is spoken for in this order: what is protected, hand pins not held yet, then claims best first; a claim that
does not fit is passed over and a later, smaller one may fit. A video that several rules claim is charged once.

1. The *ideal* is what would be kept if nothing were held: claims are heard by their worth per byte less the price of
   the budget they would take from (``prices``), and a budget that a smaller one would beat is used as that (``brim``).
   From nothing it is the plan, and within a few hundredths of what videos kept in part could be worth.
2. What is held and the ideal then compete for the space. What is held counts for ``HELD_BONUS`` of its worth, and what
   would have to be fetched for what is left of it after the fetching (``paying``): so a near tie never swaps, and
   a swap pays for its download.
3. What room is left goes to any other claim that fits, best first.

The ideal depends on nothing that a plan moves. What was refused in 2 or 3 was in the way of others that are held
once the plan is carried out, and stand no lower then; so it is refused again: a plan carried out is its own successor.

A share of the disk moves when others write to it, so newcomers fill it only up to ``SLACK`` below: else every drift
would release one video and fetch another. This module does the sums.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from heapq import heapify, heappop, heapreplace
from itertools import accumulate

from appliance.domain.plan import Candidate, ReasonCode, Rule, World
from appliance.domain.units import ChannelId
from policies.brim import best_budget
from policies.claims import Claims, Desk, home
from policies.prices import LIBRARY, Prices, Shelf, prices
from policies.sizes import Choice

SLACK = 0.02
HELD_BONUS = 1.2
PAYBACK = timedelta(hours=12)
"""How long a video must be kept to be worth its download."""


@dataclass(slots=True)
class Purse:
    """What a rule may spend and has spent, in bytes. ``newcomers`` bounds what is not held yet."""

    rule: Rule
    budget: int | None
    newcomers: int | None
    used: int = 0
    videos: int = 0
    bytes_of: dict[ChannelId, int] = field(default_factory=dict)
    count_of: dict[ChannelId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim by its place: the rule's in the order of rules, the claim's in the rule's lists."""

    rule: int
    place: int


def space(world: World) -> int:
    """Return the bytes that the library may use in all: what it uses and what is free above the floor, or its quota."""
    room = max(0, world.disk.used + world.disk.free - world.disk.floor)
    return room if world.quota is None else min(room, world.quota)


def capacity(world: World) -> int:
    """Return the bytes that pins may use: free above the floor, and what could be released. May be negative.

    What the library holds besides the videos of this world cannot be released by a plan.
    """
    held = min(sum(video.held.done for video in world.videos if video.held is not None), world.disk.used)
    room = held + world.disk.free - world.disk.floor
    return room if world.quota is None else min(room, world.quota - (world.disk.used - held))


def purse(rule: Rule, library: int) -> Purse:
    """Return the rule's purse, unspent. The smaller of both budgets counts; None is bounded by the disk alone."""
    hard = [] if rule.budget is None else [int(rule.budget)]
    soft = list(hard)
    if rule.budget_share is not None:
        share = rule.budget_share * library
        hard.append(int(share))
        soft.append(int(share * (1 - SLACK)))
    return Purse(rule, min(hard, default=None), min(soft, default=None))


def paying(rule: Rule, video: Candidate, desk: Desk) -> float:
    """Return the share of its worth that is left when it was fetched: 1 where nothing ends its lifetime."""
    if rule.max_lifetime is None:
        return 1.0
    left = video.published_at + rule.max_lifetime - desk.now
    return max(0.0, 1.0 - PAYBACK / left) if left > timedelta(0) else 0.0


def missing(video: Candidate, wanted: Choice) -> int:
    """Return the bytes that must be fetched to have just these renditions of the video; all, where others are held."""
    held = video.held
    if held is None or (wanted.names and set(held.renditions) != set(wanted.names)):
        return int(wanted.size)
    return max(0, wanted.size - held.done)


@dataclass(slots=True)
class Room:
    """The library as it fills. ``left`` is the disk's room, ``data`` what may be fetched; both may start below zero.

    ``taken`` says by which claim a video has its place (None: by protection or a hand).
    """

    left: int
    purses: list[Purse]
    data: int | None = None
    taken: dict[int, Claimed | None] = field(default_factory=dict)
    as_held: set[int] = field(default_factory=set)

    def copy(self) -> "Room":
        purses = [replace(p, bytes_of=dict(p.bytes_of), count_of=dict(p.count_of)) for p in self.purses]
        return Room(self.left, purses, self.data, dict(self.taken), set(self.as_held))

    def take(self, at: int, video: Candidate, size: int, fetched: int, rule: int | None, by: Claimed | None) -> None:
        """Give a video its space, whatever that exceeds."""
        self.left -= size
        self.taken[at] = by
        if self.data is not None:
            self.data -= fetched
        if rule is None:
            return
        mine = self.purses[rule]
        mine.used += size
        mine.videos += 1
        if mine.rule.channel_budget is not None or mine.rule.per_channel is not None:
            channel = home(mine.rule, video)
            mine.bytes_of[channel] = mine.bytes_of.get(channel, 0) + size
            mine.count_of[channel] = mine.count_of.get(channel, 0) + 1

    def trouble(self, number: int, video: Candidate, size: int, *, held: bool) -> ReasonCode | None:
        """Return which bound stands against a claim of the rule with this number; None where it fits."""
        mine = self.purses[number]
        limit = mine.budget if held else mine.newcomers
        if limit is not None and mine.used + size > limit:
            return ReasonCode.TOO_LARGE if size > limit else ReasonCode.OUTRANKED
        rule = mine.rule
        if rule.most is not None and mine.videos >= rule.most:
            return ReasonCode.ENOUGH
        if rule.channel_budget is not None or rule.per_channel is not None:
            found = self._trouble_of_channel(mine, home(rule, video), size)
            if found is not None:
                return found
        return ReasonCode.NO_SPACE if size > self.left else None

    def _trouble_of_channel(self, mine: Purse, channel: ChannelId, size: int) -> ReasonCode | None:
        rule = mine.rule
        if rule.per_channel is not None and mine.count_of.get(channel, 0) >= rule.per_channel:
            return ReasonCode.ENOUGH
        if rule.channel_budget is not None and mine.bytes_of.get(channel, 0) + size > rule.channel_budget:
            return ReasonCode.CHANNEL_FULL
        return None

    def hopeless(self, number: int, least: int) -> bool:
        """Say whether no claim of a rule that is ``least`` bytes or more can fit any longer."""
        mine = self.purses[number]
        full = mine.rule.most is not None and mine.videos >= mine.rule.most
        return full or least > self.left or (mine.budget is not None and mine.used + least > mine.budget)


@dataclass(slots=True)
class Fit:
    """The outcome: ``room`` as it is filled, the ``ideal`` as if nothing were held, and what a byte cost where."""

    room: Room
    ideal: dict[int, Claimed | None]
    prices: Prices


def fit(desk: Desk, every: Sequence[Claims], lasting: Room, room: Room) -> Fit:
    """Fill ``room`` (in which all that is protected has its place) and return it, full.

    ``lasting`` holds only what is protected and no rule could choose: what a plan puts in place is never in it.
    """
    limits = _limits(desk.videos, every, lasting)
    costs = prices(desk.videos, every, limits, lasting.left)
    streams = [_stream(desk, number, mine, costs) for number, mine in enumerate(every)]
    _narrow(every, lasting, room, len(desk.videos))
    ideal = lasting.copy()
    ideal.data = None
    _Hearing(desk, every, streams, costs, ideal).run()
    if room.data is None and room.taken == lasting.taken and not any(video.held for video in desk.videos):
        return Fit(ideal, ideal.taken, costs)
    chosen = {at: by for at, by in ideal.taken.items() if by is not None}
    contest = _contest(desk, every, costs, chosen, room)
    for number, place, held in contest:
        _hear(desk, every, room, number, place, held=held)
    _Hearing(desk, every, streams, costs, room).run()
    return Fit(room, ideal.taken, costs)


def _limits(videos: Sequence[Candidate], every: Sequence[Claims], room: Room) -> dict[Shelf, int]:
    found: dict[Shelf, int] = {}
    for number, mine in enumerate(room.purses):
        if mine.newcomers is not None:
            found[number, None] = max(0, mine.newcomers - mine.used)
        share = mine.rule.channel_budget
        if share is not None:
            for channel in {home(mine.rule, videos[at]) for at in every[number].videos}:
                found[number, channel] = max(0, share - mine.bytes_of.get(channel, 0))
    return found


def _narrow(every: Sequence[Claims], lasting: Room, room: Room, count: int) -> None:
    """Let rules that share no video with others use only as much of their budget as serves them best."""
    alone, sole = _alone(every, count), sum(len(mine.videos) > len(mine.sits) for mine in every) == 1
    for number, mine in enumerate(every):
        rule, has = mine.rule, lasting.purses[number]
        if not alone[number] or rule.channel_budget is not None or rule.per_channel is not None:
            continue
        if has.newcomers is None and not sole:
            continue
        budget = lasting.left if has.newcomers is None else min(lasting.left, has.newcomers - has.used)
        fresh = [place for place, at in enumerate(mine.videos) if at not in mine.sits]
        most = None if rule.most is None else max(0, rule.most - has.videos)
        best = best_budget([mine.keys[n] for n in fresh], [mine.sizes[n] for n in fresh], budget, most)
        if best < budget:
            has.newcomers = room.purses[number].newcomers = has.used + best


def _alone(every: Sequence[Claims], count: int) -> list[bool]:
    claimed = bytearray(count)
    for mine in every:
        for at in mine.videos:
            claimed[at] = min(2, claimed[at] + (at not in mine.sits))
    return [all(claimed[at] < 2 or at in mine.sits for at in mine.videos) for mine in every]


@dataclass(slots=True)
class _Stream:
    """One rule's claims in the order in which they are heard: places in its lists and what they are heard by.

    ``least`` is the smallest size from each on.
    """

    places: Sequence[int]
    worths: Sequence[float]
    least: list[int]


def _stream(desk: Desk, number: int, mine: Claims, costs: Prices) -> _Stream:
    places: Sequence[int] = range(len(mine.videos))
    price = costs.at(number, None)
    worths = [key - price for key in mine.keys] if price else mine.keys
    sizes = mine.sizes
    if mine.rule.channel_budget is not None and costs.of:
        rule, videos = mine.rule, desk.videos
        net = [key - costs.at(number, home(rule, videos[at])) for key, at in zip(mine.keys, mine.videos, strict=True)]
        places = sorted(places, key=net.__getitem__, reverse=True)
        worths, sizes = [net[n] for n in places], [sizes[n] for n in places]
    least = list(accumulate(reversed(sizes), min, initial=1 << 62))[::-1]
    return _Stream(places, worths, least)


_LATER, _ANY = -1, -2


@dataclass(slots=True)
class _Hearing:
    """Hears all claims, best first, but of each video those first that gain most over what they cost.

    A claim whose turn comes before a better one of the same video waits until that was refused, or its rule is full.
    ``preferred`` is the rule whose claim on a video is to be heard next, ``_LATER`` where
    none gains, ``_ANY`` when all that gain were heard.
    """

    desk: Desk
    every: Sequence[Claims]
    streams: Sequence[_Stream]
    costs: Prices
    room: Room
    preferred: list[int] = field(default_factory=list)
    arrived: dict[int, list[int]] = field(default_factory=dict)
    refused: dict[int, set[int]] = field(default_factory=dict)
    full: set[int] = field(default_factory=set)

    def run(self) -> None:
        """Hear what gains over its cost, then the rest."""
        self._prefer()
        self._pass()
        self.preferred = [_ANY] * len(self.preferred)
        self._pass()

    def _pass(self) -> None:
        heap = [(-stream.worths[0], number, 0) for number, stream in enumerate(self.streams) if stream.places]
        heapify(heap)
        taken = self.room.taken
        while heap:
            _, number, turn = heap[0]
            stream = self.streams[number]
            if self.room.hopeless(number, stream.least[turn]):
                heappop(heap)
                self._close(number)
                continue
            place = stream.places[turn]
            at = self.every[number].videos[place]
            if self.preferred[at] != _LATER and at not in taken and at not in self.every[number].sits:
                self._turn(number, place, at)
            turn += 1
            if turn < len(stream.places):
                heapreplace(heap, (-stream.worths[turn], number, turn))
            else:
                heappop(heap)

    def _prefer(self) -> None:
        count = len(self.desk.videos)
        best, found = [0.0] * count, [_LATER] * count
        prices = [self.costs.about(at) for at in range(len(self.costs.rounds))]
        for number, mine in enumerate(self.every):
            known = [about.get((number, None), 0.0) + about.get(LIBRARY, 0.0) for about in prices]
            shares = mine.rule.channel_budget is not None and len(prices) > 1
            for at, key, size in zip(mine.videos, mine.keys, mine.sizes, strict=True):
                price = known[at % len(known)]
                gain = (key - (price + self._share(number, at) if shares else price)) * size
                if gain > best[at] and at not in mine.sits:
                    best[at], found[at] = gain, number
        self.preferred = found

    def _share(self, number: int, at: int) -> float:
        channel = home(self.every[number].rule, self.desk.videos[at])
        return self.costs.about(at).get((number, channel), 0.0)

    def _turn(self, number: int, place: int, at: int) -> None:
        first = self.preferred[at]
        if first in (number, _ANY):
            _hear(self.desk, self.every, self.room, number, place, held=False)
            if first == number and at not in self.room.taken:
                self.refused.setdefault(at, set()).add(number)
                self._advance(at)
            return
        self.arrived.setdefault(at, []).append(number)
        if first in self.full:
            self._advance(at)

    def _advance(self, at: int) -> None:
        """Hear the claims on a video whose turn has come, the best first, until one of which it has not is the best."""
        refused, arrived = self.refused.setdefault(at, set()), self.arrived.pop(at, [])
        while at not in self.room.taken:
            best = self.preferred[at] = self._best(at, refused)
            if best not in arrived:
                self.arrived[at] = arrived
                return
            _hear(self.desk, self.every, self.room, best, self.every[best].ranks[at] - 1, held=False)
            refused.add(best)

    def _best(self, at: int, refused: set[int]) -> int:
        best, found, about = 0.0, _LATER, self.costs.about(at)
        for number, mine in enumerate(self.every):
            place = mine.ranks[at] - 1
            if place < 0 or number in refused or number in self.full or at in mine.sits:
                continue
            price = about.get((number, None), 0.0) + about.get(LIBRARY, 0.0)
            if mine.rule.channel_budget is not None and about:
                price += self._share(number, at)
            gain = (mine.keys[place] - price) * mine.sizes[place]
            if gain > best:
                best, found = gain, number
        return found

    def _close(self, number: int) -> None:
        self.full.add(number)
        for at in [at for at in self.arrived if self.preferred[at] == number]:
            self._advance(at)


def _hear(desk: Desk, every: Sequence[Claims], room: Room, number: int, place: int, *, held: bool) -> None:
    """Give a claim what it asks for, where that fits. What is held and cannot be completed now stays as it is."""
    mine = every[number]
    at, size = mine.videos[place], mine.sizes[place]
    if at in room.taken:
        return
    video = desk.videos[at]
    fetched = missing(video, mine.choices[place]) if room.data is not None else 0
    as_held = False
    if room.data is not None and fetched > max(0, room.data):
        if video.held is None:
            return
        size, fetched, as_held = int(video.held.size), 0, True
    if room.trouble(number, video, size, held=held) is not None:
        return
    if as_held:
        room.as_held.add(at)
    room.take(at, video, size, fetched, number, Claimed(number, place))


def _contest(
    desk: Desk, every: Sequence[Claims], costs: Prices, chosen: dict[int, Claimed], room: Room
) -> Iterable[tuple[int, int, bool]]:
    """Return what is held and what is ideal in the order of their worth: rule, place, and whether it is held by it."""
    found: list[tuple[float, bool, int, int]] = []
    incumbents = [at for at, video in enumerate(desk.videos) if video.held is not None and at not in room.taken]
    for number, mine in enumerate(every):
        for at in incumbents:
            video, place = desk.videos[at], mine.at(at)
            if place is None or not desk.held_by(mine.rule, video):
                continue
            price = costs.at(number, home(mine.rule, video))
            found.append((price - mine.keys[place] * HELD_BONUS, False, number, place))
    for at, by in chosen.items():
        mine, video = every[by.rule], desk.videos[at]
        if at in room.taken or (video.held is not None and desk.held_by(mine.rule, video)):
            continue
        price = costs.at(by.rule, home(mine.rule, video))
        worth = mine.keys[by.place] * (paying(mine.rule, video, desk) if video.held is None else 1.0)
        found.append((price - worth, True, by.rule, by.place))
    found.sort()
    return [(number, place, not fresh) for _, fresh, number, place in found]
