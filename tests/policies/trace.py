"""Thirty days of a household's channels, played hour by hour: what share of viewers' bytes was held by whom.

2,000 videos of 0.1 to 2 GB, a budget of a fifth of their bytes, 20 Mbit/s to fetch with. Views: each video has a total
drawn by Zipf's law, half of which it gets in its first seven days. Six tenths of the videos are there on the first
day, up to a year old; the rest are published in the month. Each hour's new views are observed with 10 % of noise.
``LAWS`` say how a video's views fall with its age: by the family of laws that the policy's estimator knows, or not.

Five boxes play: *trending* as planned by the policy each hour; PeerTube's published algorithm (its trending strategy:
once an hour one of the five with most views over the last seven days, at random, that it does not have; what it has
longest goes, once older than ten hours, to make room), once where those who count its views did so before the month
too, once where they began with it; an oracle that knows the next 24 hours' views and has its choice at once; and one
that knows them but must fetch, which says what can be reached at all. All but the first oracle fetch at 20 Mbit/s, one
video after another. This module plays them.
"""

import gc
import math
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median

import numpy as np
from numpy.typing import NDArray

from appliance.domain.plan import Candidate, Held, Observation, Rule, RuleKind, Verdict
from appliance.domain.units import ByteCount, RenditionName, RuleId, VideoId
from appliance.domain.video import Rendition, Upstream
from policies import plan
from tests.policies.worlds import NEWS, NOW, rendition, world

Table = NDArray[np.float64]
Law = Callable[[Table], Table]
"""Ages in days → shares of a video's views until then; half of them at seven."""

HOURS = 30 * 24
A_DAY, A_WEEK = 24, 7 * 24
FETCHED_AN_HOUR = 20_000_000 // 8 * 3600
MIN_STAY = 10
"""Hours that PeerTube keeps a video at least, in production."""


def power(ages: Table) -> Table:
    """A rate that falls as 1 / (age + τ) (Cha et al., IMC 2007), with the τ that gives half of a year's in a week."""
    tau = 7.0 * 7.0 / (365.0 - 14.0)
    shares: Table = np.log1p(np.clip(ages, 0.0, 365.0) / tau) / math.log1p(365.0 / tau)
    return shares


def stretched(ages: Table) -> Table:
    """A Weibull law of shape 1/2: steep at first, then a long tail that ends faster than any power."""
    return _weibull(ages, 0.5)


def halving(ages: Table) -> Table:
    """A rate that halves each week: a month later hardly anybody looks."""
    return _weibull(ages, 1.0)


def _weibull(ages: Table, shape: float) -> Table:
    shares: Table = -np.expm1(-math.log(2.0) * (np.maximum(ages, 0.0) / 7.0) ** shape)
    return shares


LAWS: Mapping[str, Law] = {"power": power, "stretched": stretched, "halving": halving}


@dataclass(frozen=True)
class Play:
    """By film: bytes, the hour it is published in, true views by hour of the month, and in the seven days before each.

    ``week_here`` are those of the seven days that fall into the month; ``seen`` are counters as observed at the end of
    each hour. ``ahead`` are the next 24 hours' views.
    """

    sizes: list[int]
    published: list[int]
    views: Table
    week: Table
    week_here: Table
    ahead: Table
    seen: list[list[int]]
    budget: int

    @property
    def hours(self) -> int:
        return int(self.views.shape[1])


def staged(seed: int, zipf: float, law: Law = power, count: int = 2000, hours: int = HOURS) -> Play:
    chance = np.random.default_rng(seed)
    old = chance.random(count) < 0.6
    published = np.where(old, -chance.integers(1, 365 * 24, count, endpoint=True), chance.integers(0, hours, count))
    totals = 2_000_000 / (chance.permutation(count) + 1.0) ** zipf
    sizes = (chance.uniform(0.1, 2.0, count) * 1e9).astype(np.int64)
    # Views until the end of each hour from a week before the month on to a day after it.
    clock = np.arange(-A_WEEK, hours + A_DAY + 1)
    until = totals[:, None] * law((clock[None, :] - published[:, None]) / 24.0)
    views = np.diff(until[:, A_WEEK : A_WEEK + hours + 1])
    here = until - until[:, A_WEEK : A_WEEK + 1]
    noisy = np.maximum(0.0, views * chance.normal(1.0, 0.1, views.shape))
    seen = np.concatenate([until[:, A_WEEK : A_WEEK + 1], noisy], axis=1).cumsum(axis=1).astype(np.int64)
    return Play(
        sizes=[int(size) for size in sizes],
        published=[int(hour) for hour in published],
        views=views,
        week=until[:, A_WEEK : A_WEEK + hours] - until[:, :hours],
        week_here=here[:, A_WEEK : A_WEEK + hours] - np.maximum(0.0, here[:, :hours]),
        ahead=until[:, A_WEEK + A_DAY : A_WEEK + A_DAY + hours] - until[:, A_WEEK : A_WEEK + hours],
        seen=[[int(v) for v in row] for row in seen],
        budget=int(sizes.sum()) // 5,
    )


@dataclass
class Box:
    """What one box holds, by film the hour since when; ``share`` is what it held of viewers' bytes, by hour."""

    holds: dict[int, int] = field(default_factory=dict)
    share: list[tuple[float, float]] = field(default_factory=list)

    def count(self, play: Play, hour: int) -> None:
        asked = play.views[:, hour] * play.sizes
        self.share.append((float(asked[list(self.holds)].sum()), float(asked.sum())))

    def over(self, start: int, end: int) -> float:
        served = sum(served for served, _ in self.share[start:end])
        return served / sum(asked for _, asked in self.share[start:end])


def oracle(play: Play) -> Box:
    box = Box()
    for hour in range(play.hours):
        box.holds = dict.fromkeys(_best(play, hour), hour)
        box.count(play, hour)
    return box


def fetching_oracle(play: Play) -> Box:
    box, done = Box(), [0] * len(play.sizes)
    for hour in range(play.hours):
        best = _best(play, hour)
        box.holds = {film: since for film, since in box.holds.items() if film in best}
        done = [done[film] if film in best else 0 for film in range(len(done))]
        _fetch(play, [film for film in best if film not in box.holds], done, box, hour)
        box.count(play, hour)
    return box


def _best(play: Play, hour: int) -> dict[int, None]:
    """Return the films that the next 24 hours' viewers ask for most, as many as the budget has room for."""
    left, found = play.budget, dict[int, None]()
    for film in np.argsort(-play.ahead[:, hour], kind="stable").tolist():
        if play.published[film] <= hour and play.sizes[film] <= left:
            left -= play.sizes[film]
            found[film] = None
    return found


def _fetch(play: Play, queue: list[int], done: list[int], box: Box, hour: int) -> list[int]:
    """Fetch for an hour, and return what is still to be fetched."""
    left = FETCHED_AN_HOUR
    for film in queue:
        got = min(left, play.sizes[film] - done[film])
        done[film] += got
        left -= got
        if done[film] == play.sizes[film]:
            box.holds.setdefault(film, hour)
    return [film for film in queue if film not in box.holds]


def peertube(play: Play, seed: int, week: Table) -> Box:
    """The origin tells it of the true views of seven days, as ``week`` has them."""
    chance, box, used = random.Random(seed), Box(), 0
    published = np.array(play.published)
    # One video an hour, however large: at 20 Mbit/s it has 9 GB.
    for hour in range(play.hours):
        rates = np.where(published < hour, week[:, hour], -1.0)
        rates[list(box.holds)] = -1.0
        best = [film for film in np.argsort(-rates, kind="stable")[:5].tolist() if rates[film] >= 0]
        if best:
            chosen = chance.choice(best)
            size = play.sizes[chosen]
            while used + size > play.budget:
                old = next((n for n, at in box.holds.items() if hour - at >= MIN_STAY), None)
                if old is None:
                    break
                used -= play.sizes[old]
                del box.holds[old]
            if used + size <= play.budget:
                box.holds[chosen] = hour
                used += size
        box.count(play, hour)
    return box


@dataclass
class _Shelf:
    """What the policy's box knows and has: observations, bytes of each film, and what of it is whole."""

    play: Play
    done: list[int]
    box: Box = field(default_factory=Box)
    looks: list[list[Observation]] = field(default_factory=list)
    renditions: list[tuple[Rendition, ...]] = field(default_factory=list)

    def look(self, hour: int) -> None:
        """Observe every film that is out; what was seen in an hour before that is its first counter."""
        at = NOW + timedelta(hours=hour)
        for film, mine in enumerate(self.looks):
            if self.play.published[film] < hour or hour == 0:
                mine.append(Observation(at, self.play.seen[film][hour]))

    def world_videos(self, hour: int) -> Iterator[Candidate]:
        for film, published in enumerate(self.play.published):
            if published < hour:
                yield self._candidate(film, published, hour)

    def _candidate(self, film: int, published: int, hour: int) -> Candidate:
        mine = self.looks[film]
        many = len(mine)
        held = None
        if self.done[film]:
            since = self.box.holds.get(film)
            whole = None if since is None else NOW + timedelta(hours=since)
            size, done = ByteCount(self.play.sizes[film]), ByteCount(self.done[film])
            held = Held((RenditionName("720p"),), size, done, whole, RuleId("t"))
        return Candidate(
            id=VideoId(f"v{film:04}"),
            title="",
            channels=_HERE,
            published_at=NOW + timedelta(hours=published),
            duration=600,
            views=self.play.seen[film][hour],
            upstream=Upstream.PUBLISHED,
            renditions=self.renditions[film],
            history=tuple([mine[many - ago - 1] for ago in _LOOKS if ago < many]),
            held=held,
        )


_HERE = frozenset({NEWS})
_LOOKS = sorted({*range(13), 15, 18, 24, 30, 36, 48, 72, 96, 120, 168, 240, 336}, reverse=True)
"""Hours ago of the observations that are kept, thinner the older: what they add is spread evenly between them."""


def trending(play: Play, every: int = 1) -> Box:
    """Play the policy. Fetching goes in the order of the plan; what is not whole yet serves nobody."""
    count = len(play.sizes)
    shelf = _Shelf(play, [0] * count, looks=[[] for _ in range(count)])
    shelf.renditions = [(rendition(720, size),) for size in play.sizes]
    rule = Rule(RuleId("t"), "Trending", RuleKind.TRENDING, budget=ByteCount(play.budget))
    queue: list[int] = []
    with _no_collections():
        for hour in range(play.hours):
            shelf.look(hour)
            if hour % every == 0:
                queue = _planned(shelf, rule, hour)
            queue = _fetch(play, queue, shelf.done, shelf.box, hour)
            shelf.box.count(play, hour)
    return shelf.box


def _planned(shelf: _Shelf, rule: Rule, hour: int) -> list[int]:
    known = shelf.world_videos(hour)
    found = plan(world(*known, free=shelf.play.budget * 10, floor=0), [rule], NOW + timedelta(hours=hour))
    for line in found.decisions:
        if line.verdict is Verdict.RELEASE:
            shelf.box.holds.pop(int(line.video[1:]), None)
            shelf.done[int(line.video[1:])] = 0
    return [int(line.video[1:]) for line in found.decisions if line.verdict is Verdict.PIN]


@contextmanager
def _no_collections() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(frozen=True)
class Score:
    """Shares of viewers' bytes, in the first week and the fourth."""

    first: float
    fourth: float


def score(box: Box) -> Score:
    return Score(box.over(0, A_WEEK), box.over(3 * A_WEEK, 4 * A_WEEK))


@dataclass(frozen=True)
class Scores:
    """One month: the policy, PeerTube whose views were counted before it too, and only in it, and the oracles."""

    ours: Score
    peertube: Score
    peertube_here: Score
    oracle: Score
    fetching: Score

    @property
    def gain(self) -> float:
        """Return the first week against PeerTube's as published."""
        return self.ours.first / self.peertube.first

    @property
    def reach(self) -> float:
        """Return the fourth week against the oracle's."""
        return self.ours.fourth / self.oracle.fourth


def played(play: Play, seed: int, every: int = 1) -> Scores:
    return Scores(
        score(trending(play, every)),
        score(peertube(play, seed, play.week)),
        score(peertube(play, seed, play.week_here)),
        score(oracle(play)),
        score(fetching_oracle(play)),
    )


def report(law: str, zipf: float, seeds: range) -> tuple[float, float]:
    """Print all for each seed, and the medians against the bars; return those."""
    every = []
    for seed in seeds:
        found = played(staged(seed, zipf, LAWS[law]), seed)
        every.append(found)
        rows = (found.ours, found.peertube, found.peertube_here, found.oracle, found.fetching)
        first, fourth = (" ".join(f"{getattr(row, week):.3f}" for row in rows) for week in ("first", "fourth"))
        ratios = f"{found.gain:.3f} × PeerTube's, {found.reach:.3f} of the oracle"
        print(f"{law} {zipf} seed {seed}: first week {first}, fourth {fourth}; {ratios}", flush=True)
    gain, reach = median(one.gain for one in every), median(one.reach for one in every)
    here = median(one.ours.first / one.peertube_here.first for one in every)
    most = [median(one.fetching.first / theirs(one) for one in every) for theirs in _READINGS]
    print(
        f"{law} {zipf}: medians: first week {gain:.3f} × PeerTube's (to reach 1.5; {most[0]:.3f} is the most), "
        f"{here:.3f} × where it counts views from the month on ({most[1]:.3f} is the most); "
        f"fourth week {reach:.3f} of the oracle (to reach 0.85)",
        flush=True,
    )
    return gain, reach


_READINGS: tuple[Callable[[Scores], float], ...] = (lambda one: one.peertube.first, lambda one: one.peertube_here.first)


def main(laws: tuple[str, ...] = ()) -> None:
    print("Shares of viewers' bytes: ours, PeerTube, PeerTube counting from the month on, oracle, oracle that fetches")
    for zipf in (0.9, 0.7, 1.1):
        for law in laws or LAWS:
            if law == "power" or zipf == 0.9:
                report(law, zipf, range(1, 6))


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
