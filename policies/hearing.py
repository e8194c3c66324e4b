"""Claims are heard: best first, and each video's by the order of what they gain over their cost.

This module gives out a room's space to claims, until none that is left fits.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from itertools import accumulate

from policies.claims import Claims, Desk, home
from policies.order import best_first
from policies.prices import LIBRARY, Prices
from policies.room import Claimed, Room, missing


@dataclass(slots=True)
class Stream:
    """One rule's claims in the order in which they are heard: places in its lists and what they are heard by.

    ``least`` is the smallest size from each on.
    """

    places: Sequence[int]
    videos: Sequence[int]
    sits: frozenset[int]
    worths: Sequence[float]
    least: "array[int]"


def stream(desk: Desk, number: int, mine: Claims, costs: Prices) -> Stream:
    places: Sequence[int] = range(len(mine.videos))
    price = costs.at(number, None)
    worths: Sequence[float] = array("d", [key - price for key in mine.keys]) if price else mine.keys
    sizes, videos = mine.sizes, mine.videos
    if mine.rule.channel_budget is not None and costs.of:
        rule, known = mine.rule, desk.videos
        net = [key - costs.at(number, home(rule, known[at])) for key, at in zip(mine.keys, mine.videos, strict=True)]
        places = best_first(net)
        worths, sizes = [net[n] for n in places], [sizes[n] for n in places]
        videos = [mine.videos[n] for n in places]
    least = array("q", list(accumulate(reversed(sizes), min, initial=1 << 62)))[::-1]
    return Stream(places, videos, mine.sits, worths, least)


_LATER, _ANY = -1, -2


@dataclass(slots=True)
class Hearing:
    """Hears all claims, best first, but of each video those first that gain most over what they cost.

    A claim whose turn comes before a better one of the same video waits until that was refused, or its rule is full.
    ``preferred`` is the rule whose claim on a video is to be heard next, ``_LATER`` where
    none gains, ``_ANY`` when all that gain were heard.
    """

    desk: Desk
    every: Sequence[Claims]
    streams: Sequence[Stream]
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
        self.rest()

    def rest(self) -> None:
        """Hear whatever has no place yet, best first."""
        self.preferred = [_ANY] * len(self.desk.videos)
        self._pass()

    def _pass(self) -> None:
        streams, room, preferred = self.streams, self.room, self.preferred
        heap = [(-stream.worths[0], number, 0) for number, stream in enumerate(streams) if stream.places]
        heapify(heap)
        taken, purses = room.taken, room.purses
        bounds = [1 << 62 if purse.budget is None else purse.budget for purse in purses]
        most = [1 << 62 if purse.rule.most is None else purse.rule.most for purse in purses]
        while heap:
            _, number, turn = heap[0]
            stream, purse = streams[number], purses[number]
            least = stream.least[turn]
            if least > room.left or purse.used + least > bounds[number] or purse.videos >= most[number]:
                # None of what the rule has left can fit any longer.
                heappop(heap)
                self._close(number)
                continue
            at = stream.videos[turn]
            if preferred[at] != _LATER and at not in taken and at not in stream.sits:
                self._turn(number, stream.places[turn], at)
            turn += 1
            if turn < len(stream.videos):
                heapreplace(heap, (-stream.worths[turn], number, turn))
            else:
                heappop(heap)

    def _prefer(self) -> None:
        count = len(self.desk.videos)
        best, found = [0.0] * count, [_LATER] * count
        prices = [self.costs.about(at) for at in range(len(self.costs.rounds))]
        for number, mine in enumerate(self.every):
            known = [about.get((number, None), 0.0) + about.get(LIBRARY, 0.0) for about in prices]
            turns, sits = len(known), mine.sits
            shares = mine.rule.channel_budget is not None and turns > 1
            for at, key, size in zip(mine.videos, mine.keys, mine.sizes, strict=True):
                net = key - known[at % turns]
                if shares:
                    net -= self._share(number, at)
                if net > 0.0 and net * size > best[at] and at not in sits:
                    best[at], found[at] = net * size, number
        self.preferred = found

    def _share(self, number: int, at: int) -> float:
        channel = home(self.every[number].rule, self.desk.videos[at])
        return self.costs.about(at).get((number, channel), 0.0)

    def _turn(self, number: int, place: int, at: int) -> None:
        first = self.preferred[at]
        if first in (number, _ANY):
            hear(self.desk, self.every, self.room, number, place, held=False)
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
            hear(self.desk, self.every, self.room, best, self.every[best].ranks[at] - 1, held=False)
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


def hear(desk: Desk, every: Sequence[Claims], room: Room, number: int, place: int, *, held: bool) -> None:
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
