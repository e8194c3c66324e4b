"""Thirty days of a household's channels, played hour by hour: what share of viewers' bytes was held by whom.

2,000 videos of 0.1 to 2 GB, a budget of a fifth of their bytes, 20 Mbit/s to fetch with. Views: each video has a total
drawn by Zipf's law, half of which it gets in its first seven days, at a rate that falls as 1 / (age + τ) does (Cha et
al., IMC 2007), with the τ that gives just that half of a year's. Six tenths of the videos are there on the first day,
up to a year old; the rest are published in the month. Each hour's new views are observed with 10 % of noise.

Three boxes play: *trending* as planned by the policy each hour; PeerTube's published algorithm (its trending strategy:
once an hour one of the five with most views over the last seven days, at random, that it does not have; what it has
longest goes, once older than ten hours, to make room); and an oracle that knows the next 24 hours' views and has
its choice at once. The first two fetch at 20 Mbit/s, one video after another. This module plays them.
"""

import math
import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import accumulate, pairwise
from statistics import median

from appliance.domain.plan import Candidate, Held, Observation, Rule, RuleKind, Verdict
from appliance.domain.units import ByteCount, RenditionName, RuleId
from policies import plan
from tests.policies.worlds import NOW, candidate, held, world

HOURS = 30 * 24
A_DAY, A_WEEK = 24, 7 * 24
FETCHED_AN_HOUR = 20_000_000 // 8 * 3600
MIN_STAY = 10
"""Hours that PeerTube keeps a video at least, in production."""


@dataclass(frozen=True)
class Film:
    number: int
    size: int
    published: int
    views: list[float]
    """New views in each hour of the month."""
    before: float
    """Views when the month begins."""
    week: list[float]
    """Views in the seven days before each hour, those before the month too."""

    def lately(self, hour: int) -> float:
        return self.week[hour]


@dataclass
class Play:
    """``films`` with their true views; ``seen`` are counters as observed at the end of each hour, by film."""

    films: list[Film]
    seen: list[list[int]]
    budget: int


def share_of_views(age: float) -> float:
    """Return the share of a year's views that a video has at an age in days: half of them at seven."""
    tau = 7.0 * 7.0 / (365.0 - 14.0)
    return math.log1p(max(0.0, min(age, 365.0)) / tau) / math.log1p(365.0 / tau)


def staged(seed: int, zipf: float, count: int = 2000, hours: int = HOURS) -> Play:
    chance = random.Random(seed)
    order = list(range(count))
    chance.shuffle(order)
    films, seen = [], []
    for number in range(count):
        published = -chance.randint(1, 365 * 24) if chance.random() < 0.6 else chance.randint(0, hours - 1)
        total = 2_000_000 / (order[number] + 1) ** zipf
        shares = [share_of_views((hour - published) / 24) for hour in range(hours + 1)]
        views = [total * (b - a) for a, b in pairwise(shares)]
        week = [total * (share - share_of_views((hour - A_WEEK - published) / 24)) for hour, share in enumerate(shares)]
        films.append(Film(number, int(chance.uniform(0.1, 2.0) * 1e9), published, views, total * shares[0], week))
        noisy = accumulate((max(0.0, v * chance.gauss(1.0, 0.1)) for v in views), initial=films[-1].before)
        seen.append([int(v) for v in noisy])
    return Play(films, seen, sum(f.size for f in films) // 5)


@dataclass
class Box:
    """What one box holds, by film the hour since when; ``share`` is what it held of viewers' bytes, by hour."""

    holds: dict[int, int] = field(default_factory=dict)
    share: list[tuple[float, float]] = field(default_factory=list)
    purse: float = 0.0

    def count(self, play: Play, hour: int) -> None:
        served = sum(play.films[n].views[hour] * play.films[n].size for n in self.holds)
        self.share.append((served, sum(f.views[hour] * f.size for f in play.films)))

    def over(self, start: int, end: int) -> float:
        served = sum(served for served, _ in self.share[start:end])
        return served / sum(asked for _, asked in self.share[start:end])


def oracle(play: Play, hours: int = HOURS) -> Box:
    box = Box()
    for hour in range(hours):
        ahead = {f.number: sum(f.views[hour : hour + A_DAY]) for f in play.films if f.published <= hour}
        left, box.holds = play.budget, {}
        for number in sorted(ahead, key=ahead.__getitem__, reverse=True):
            if play.films[number].size <= left:
                left -= play.films[number].size
                box.holds[number] = hour
        box.count(play, hour)
    return box


def peertube(play: Play, seed: int, hours: int = HOURS) -> Box:
    """The origin tells it of the true views of seven days, those before the month too."""
    chance, box, used = random.Random(seed), Box(), 0
    for hour in range(hours):
        rates = {f.number: f.lately(hour) for f in play.films}
        offered = (f.number for f in play.films if f.published < hour and f.number not in box.holds)
        best = sorted(offered, key=rates.__getitem__, reverse=True)[:5]
        if best:
            chosen = chance.choice(best)
            size = play.films[chosen].size
            while used + size > play.budget:
                old = next((n for n, at in box.holds.items() if hour - at >= MIN_STAY), None)
                if old is None:
                    break
                used -= play.films[old].size
                del box.holds[old]
            if used + size <= play.budget:
                box.holds[chosen] = hour
                used += size
        box.count(play, hour)
    return box


def trending(play: Play, hours: int = HOURS, every: int = 1) -> Box:
    """Play the policy. Fetching goes in the order of the plan; what is not whole yet serves nobody."""
    box, done = Box(), {f.number: 0 for f in play.films}
    rule = Rule(RuleId("t"), "Trending", RuleKind.TRENDING, budget=ByteCount(play.budget))
    queue: list[int] = []
    for hour in range(hours):
        if hour % every == 0:
            queue = _planned(play, box, done, rule, hour)
        left = FETCHED_AN_HOUR
        for number in queue:
            got = min(left, play.films[number].size - done[number])
            done[number] += got
            left -= got
            if done[number] == play.films[number].size:
                box.holds.setdefault(number, hour)
        queue = [n for n in queue if n not in box.holds]
        box.count(play, hour)
    return box


def _planned(play: Play, box: Box, done: dict[int, int], rule: Rule, hour: int) -> list[int]:
    known = [
        _candidate(play, f, done[f.number], hour, whole=f.number in box.holds) for f in play.films if f.published < hour
    ]
    total = int(play.budget * 10)
    found = plan(world(*known, free=total, floor=0), [rule], NOW)
    for line in found.decisions:
        if line.verdict is Verdict.RELEASE:
            box.holds.pop(int(line.video[1:]), None)
            done[int(line.video[1:])] = 0
    return [int(line.video[1:]) for line in found.decisions if line.verdict is Verdict.PIN]


_LOOKS = sorted({*range(13), 15, 18, 24, 30, 36, 48, 72, 96, 120, 168, 240, 336}, reverse=True)
"""Hours ago of the observations that are kept, thinner the older: what they add is spread evenly between them."""


def _candidate(play: Play, film: Film, done: int, hour: int, *, whole: bool) -> Candidate:
    seen = play.seen[film.number]
    first = max(0, film.published)
    at = [hour - ago for ago in _LOOKS if hour - ago >= first]
    history = tuple(Observation(NOW - timedelta(hours=hour - h), seen[h]) for h in at)
    made = candidate(
        f"v{film.number:04}",
        days=(hour - film.published) / 24,
        size=film.size,
        views=seen[hour],
        history=history,
    )
    if whole:
        return held(made, days=1, rule="t")
    if done:
        return replace(
            made, held=Held((RenditionName("720p"),), ByteCount(film.size), ByteCount(done), None, RuleId("t"))
        )
    return made


@dataclass(frozen=True)
class Score:
    """Shares of viewers' bytes, in the first week and the fourth."""

    first: float
    fourth: float


def score(box: Box) -> Score:
    return Score(box.over(0, A_WEEK), box.over(3 * A_WEEK, 4 * A_WEEK))


def main() -> None:
    """Print all three for five seeds and three skews, and the medians against the bars."""
    for zipf in (0.9, 0.7, 1.1):
        gains, reaches = [], []
        for seed in range(1, 6):
            play = staged(seed, zipf)
            best, theirs, ours = score(oracle(play)), score(peertube(play, seed)), score(trending(play))
            gains.append(ours.first / theirs.first)
            reaches.append(ours.fourth / best.fourth)
            print(
                f"Zipf {zipf} seed {seed}: first week ours {ours.first:.3f} PeerTube {theirs.first:.3f} oracle "
                f"{best.first:.3f}; fourth week {ours.fourth:.3f} {theirs.fourth:.3f} {best.fourth:.3f}",
                flush=True,
            )
        print(f"Zipf {zipf}: medians {median(gains):.3f} × PeerTube's (to reach 1.5) in the first week,", end=" ")
        print(f"{median(reaches):.3f} of the oracle (to reach 0.85) in the fourth", flush=True)
