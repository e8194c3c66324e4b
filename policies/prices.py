"""What a byte of each rule's budget costs where several rules want the same videos.

Who pays for a video that several rules want decides how much room is left for the others. In the best plan each
budget has a price per byte, such that taking each video where its worth is furthest above the price just fills the
budgets: the dual prices of the linear programme that lets videos be kept in part (Dantzig 1957 for one budget;
Martello and Toth, Knapsack Problems, ch. 6, for several). Prices are found by raising what is asked for too much and
lowering the rest, over an even sample of the videos where there are many: they only say in which order claims are
heard, so a price a little wrong costs a little worth and never a budget.

Prices depend on the claims alone, not on what is held. This module finds them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.domain.plan import Candidate
from appliance.domain.units import ChannelId
from policies.claims import Claims, home

SAMPLE = 3000
"""Claims, about, that prices are found from where there are more."""
ROUNDS = 110
SWINGS = 41
_STEP, _FADE, _SWING = 0.6, 0.96, 0.02
_LEAST = 1e-9
_START = 0.2
"""Of the mean worth of a byte, the least price to begin with: prices move by shares of themselves."""

Shelf = tuple[int, ChannelId | None]
"""A budget: the rule's place in the order, and a channel where it is that channel's share."""


@dataclass(slots=True)
class Prices:
    """The price of a byte by budget; what has none is free."""

    of: dict[Shelf, float] = field(default_factory=dict)
    rounds: tuple[dict[Shelf, float], ...] = ({},)
    """The prices about the best ones, the library's among them."""

    def about(self, at: int) -> dict[Shelf, float]:
        """Return the prices by which a video, by its place, is charged.

        Where videos are worth the same to two rules, one price sends all of them the same way. Prices that swing
        about the best ones send so many each way as the best plan in parts would: the mean of what subgradient steps
        choose tends to that plan (Sherali and Choi, Operations Research Letters 19, 1996).
        """
        return self.rounds[at % len(self.rounds)]

    def at(self, rule: int, channel: ChannelId | None) -> float:
        price = self.of.get((rule, None), 0.0)
        return price if channel is None else price + self.of.get((rule, channel), 0.0)


@dataclass(slots=True)
class _Bid:
    key: float
    size: int
    way: int
    """The place of what it takes from among the ways there are."""


def prices(videos: Sequence[Candidate], every: Sequence[Claims], limits: dict[Shelf, int], room: int) -> Prices:
    """Return the prices. ``limits`` are the bytes of the budgets that have any; ``room`` bounds them all."""
    if not _contested(len(videos), every):
        return Prices()
    stride = max(1, sum(len(mine.videos) for mine in every) // SAMPLE)
    ways: list[tuple[Shelf, ...]] = []
    bids = _bids(videos, every, range(0, len(videos), stride), limits, ways)
    total = sum(bid.size for row in bids for bid in row)
    whole = sum(sum(mine.sizes) for mine in every)
    share = total / whole if whole else 0.0
    budgets: dict[Shelf, float] = {shelf: limit * share for shelf, limit in limits.items()}
    budgets[LIBRARY] = max(0, room) * share
    best, rounds = _searched(bids, ways, budgets)
    return Prices({shelf: price for shelf, price in best.items() if shelf != LIBRARY}, rounds)


LIBRARY: Shelf = (-1, None)


def _contested(count: int, every: Sequence[Claims]) -> bool:
    seen = bytearray(count)
    for mine in every:
        for video in mine.videos:
            if seen[video]:
                return True
            seen[video] = 1
    return False


def _bids(
    videos: Sequence[Candidate],
    every: Sequence[Claims],
    sample: Sequence[int],
    limits: dict[Shelf, int],
    ways: list[tuple[Shelf, ...]],
) -> list[list[_Bid]]:
    """Return what rules would take each video for; ``ways`` gets the budgets that the bids take from."""
    found, known = [], dict[tuple[Shelf, ...], int]()
    for at in sample:
        row = []
        for number, mine in enumerate(every):
            place = mine.at(at)
            if place is None or at in mine.sits:
                continue
            shelves: tuple[Shelf, ...] = ((number, None),)
            if mine.rule.channel_budget is not None:
                shelves = (*shelves, (number, home(mine.rule, videos[at])))
            way = known.setdefault((*filter(limits.__contains__, shelves), LIBRARY), len(known))
            row.append(_Bid(mine.keys[place], mine.sizes[place], way))
        if row:
            found.append(row)
    ways.extend(known)
    return found


def _searched(
    bids: list[list[_Bid]], ways: list[tuple[Shelf, ...]], budgets: dict[Shelf, float]
) -> tuple[dict[Shelf, float], tuple[dict[Shelf, float], ...]]:
    """Return the prices with the least dual value of those tried, and the last ``SWINGS`` tried."""
    swings: list[dict[Shelf, float]] = []
    every = [bid for row in bids for bid in row]
    usual = sum(bid.key * bid.size for bid in every) / max(1, sum(bid.size for bid in every))
    rows = [[(bid.key, bid.size, bid.way) for bid in row] for row in bids]
    price = {
        shelf: max(_LEAST, _START * usual, _alone(bids, {n for n, way in enumerate(ways) if shelf in way}, budget))
        for shelf, budget in budgets.items()
    }
    best, least, step = dict(price), math.inf, _STEP
    for turn in range(ROUNDS):
        if turn >= ROUNDS - SWINGS:
            swings.append(dict(price))
        gained, taken = _chosen(rows, [sum(price[shelf] for shelf in way) for way in ways])
        dual = gained + sum(price[shelf] * budget for shelf, budget in budgets.items())
        asked = dict.fromkeys(budgets, 0)
        for way, size in zip(ways, taken, strict=True):
            for shelf in way:
                asked[shelf] += size
        if dual < least:
            best, least = dict(price), dual
        for shelf, budget in budgets.items():
            over = (asked[shelf] - budget) / max(budget, 1.0)
            price[shelf] = max(_LEAST, price[shelf] * math.exp(step * max(-1.0, min(1.0, over))))
        step = max(_SWING, step * _FADE)
    return best, tuple(swings)


def _chosen(rows: list[list[tuple[float, int, int]]], costs: list[float]) -> tuple[float, list[int]]:
    """Return what is gained where each video is kept the best way at these costs, and the bytes each way takes."""
    taken, gained = [0] * len(costs), 0.0
    for row in rows:
        gain, bytes_taken, by = 0.0, 0, 0
        for key, size, way in row:
            net = (key - costs[way]) * size
            if net > gain:
                gain, bytes_taken, by = net, size, way
        gained += gain
        taken[by] += bytes_taken
    return gained, taken


def _alone(bids: list[list[_Bid]], ways: set[int], budget: float) -> float:
    """Return the price at which a budget, taken from these ways, would be full if others were free and not wanted."""
    rows = ([(bid.key, bid.size) for bid in row if bid.way in ways] for row in bids)
    wanted = sorted((max(row) for row in rows if row), reverse=True)
    used = 0
    for key, size in wanted:
        used += size
        if used > budget:
            return key
    return 0.0
