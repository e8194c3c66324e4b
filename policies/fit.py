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

This module does the sums: ``room`` keeps the accounts, ``hearing`` hears claims, ``exchange`` settles who pays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from appliance.domain.plan import Candidate, Rule
from policies.brim import best_budget
from policies.claims import Claims, Desk, home
from policies.exchange import exchange
from policies.hearing import Hearing, hear, stream
from policies.prices import Prices, Shelf, prices
from policies.room import Claimed, Room

HELD_BONUS = 1.2
PAYBACK = timedelta(hours=12)
"""How long a video must be kept to be worth its download."""


def paying(rule: Rule, video: Candidate, desk: Desk) -> float:
    """Return the share of its worth that is left when it was fetched: 1 where nothing ends its lifetime."""
    if rule.max_lifetime is None:
        return 1.0
    left = video.published_at + rule.max_lifetime - desk.now
    return max(0.0, 1.0 - PAYBACK / left) if left > timedelta(0) else 0.0


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
    streams = [stream(desk, number, mine, costs) for number, mine in enumerate(every)]
    _narrow(every, lasting, room)
    ideal = lasting.copy()
    ideal.data = None
    first = Hearing(desk, every, streams, costs, ideal)
    first.run()
    if exchange(desk, every, ideal):
        first.rest()
    if room.data is None and room.taken == lasting.taken and not any(video.held for video in desk.videos):
        return Fit(ideal, ideal.taken, costs)
    chosen = {at: by for at, by in ideal.taken.items() if by is not None}
    contest = _contest(desk, every, costs, chosen, room)
    for number, place, held in contest:
        hear(desk, every, room, number, place, held=held)
    Hearing(desk, every, streams, costs, room).run()
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


def _narrow(every: Sequence[Claims], lasting: Room, room: Room) -> None:
    """Let rules that share no video with others use only as much of their budget as serves them best."""
    alone, sole = _alone(every), sum(len(mine.videos) > len(mine.sits) for mine in every) == 1
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


def _alone(every: Sequence[Claims]) -> list[bool]:
    """Say of each rule whether no other may choose any of what it may choose."""
    masks, once, twice = [], 0, 0
    for mine in every:
        fresh = bytearray(map(bool, mine.ranks))
        for at in mine.sits:
            fresh[at] = 0
        mask = int.from_bytes(fresh, "little")
        masks.append(mask)
        once, twice = once | mask, twice | (once & mask)
    return [not mask & twice for mask in masks]


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
