"""Thirty days of a household's channels, played hour by hour: what share of viewers' bytes was held by whom.

What is played is staged by ``month``.

Five boxes play: *trending* as planned by the policy each hour; PeerTube's published algorithm (its trending strategy:
once an hour one of the five with most views over the last seven days, at random, that it does not have; what it has
longest goes, once older than ten hours, to make room), once where those who count its views did so before the month
too, once where they began with it; an oracle that knows the next 24 hours' views and has its choice at once; and one
that knows them but must fetch, which says what can be reached at all. All but the first oracle fetch at 20 Mbit/s, one
video after another. This module plays them.
"""

import gc
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median

import numpy as np

from appliance.domain.plan import Candidate, Held, Observation, Rule, RuleKind, Verdict
from appliance.domain.units import ByteCount, RenditionName, RuleId, VideoId
from appliance.domain.video import Rendition, Upstream
from policies import plan
from tests.policies.month import A_WEEK, LAWS, Play, Table, staged
from tests.policies.worlds import NEWS, NOW, rendition, world

FETCHED_AN_HOUR = 20_000_000 // 8 * 3600
MIN_STAY = 10
"""Hours that PeerTube keeps a video at least, in production."""


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
        rates = np.where(published <= hour, week[:, hour], -1.0)
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
        """Observe every film that is out."""
        at = NOW + timedelta(hours=hour)
        for film, mine in enumerate(self.looks):
            if self.play.published[film] <= hour:
                mine.append(Observation(at, self.play.seen[film][hour]))

    def world_videos(self, hour: int) -> Iterator[Candidate]:
        for film, published in enumerate(self.play.published):
            if published <= hour:
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


def report(law: str, zipf: float, seeds: range, *, anytime: bool = False) -> tuple[float, float, float]:
    """Print all for each seed, and the medians against the bars; return those: over PeerTube twice, of the oracle."""
    every, what = [], f"{law} {zipf}" + (" anytime" if anytime else "")
    for seed in seeds:
        found = played(staged(seed, zipf, LAWS[law], anytime=anytime), seed)
        every.append(found)
        rows = (found.ours, found.peertube, found.peertube_here, found.oracle, found.fetching)
        first, fourth = (" ".join(f"{getattr(row, week):.3f}" for row in rows) for week in ("first", "fourth"))
        ratios = f"{found.gain:.3f} × PeerTube's, {found.reach:.3f} of the oracle"
        print(f"{what} seed {seed}: first week {first}, fourth {fourth}; {ratios}", flush=True)
    gain, reach = median(one.gain for one in every), median(one.reach for one in every)
    here = median(one.ours.first / one.peertube_here.first for one in every)
    most = [median(one.fetching.first / theirs(one) for one in every) for theirs in _READINGS]
    print(
        f"{what}: medians: first week {gain:.3f} × PeerTube's (to reach 1.5; {most[0]:.3f} is the most), "
        f"{here:.3f} × where it counts views from the month on ({most[1]:.3f} is the most); "
        f"fourth week {reach:.3f} of the oracle (to reach 0.85)",
        flush=True,
    )
    return gain, here, reach


_READINGS: tuple[Callable[[Scores], float], ...] = (lambda one: one.peertube.first, lambda one: one.peertube_here.first)


ROWS: tuple[tuple[str, float, bool], ...] = (
    ("power", 0.9, False),
    ("power", 0.9, True),
    ("power", 0.7, False),
    ("power", 1.1, False),
    *((law, 0.9, False) for law in LAWS if law != "power"),
)


def main(laws: tuple[str, ...] = ()) -> None:
    print("Shares of viewers' bytes: ours, PeerTube, PeerTube counting from the month on, oracle, oracle that fetches")
    for law, zipf, anytime in ROWS:
        if not laws or law in laws:
            report(law, zipf, range(1, 6), anytime=anytime)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
