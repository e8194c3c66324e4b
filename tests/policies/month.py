"""Thirty days of views of a household's channels, made by chance.

2,000 videos of 0.1 to 2 GB, a budget of a fifth of their bytes. Each video has a total of views drawn by Zipf's law,
half of which it gets in its first seven days. Six tenths of the videos are there on the first day, up to a year old;
the rest are published in the month. Each hour's new views are observed with 10 % of noise. ``LAWS`` say how a video's
views fall with its age: by the family of laws that the policy's estimator knows, or not.

Looks at the channels are an hour apart. A video is published at the very hour of one, which finds it without a view; or
at any moment of the hour before (``anytime``), and who looks hourly holds none from the first. This module stages it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
Law = Callable[[Table], Table]
"""Ages in days → shares of a video's views until then; half of them at seven."""

HOURS = 30 * 24
A_DAY, A_WEEK = 24, 7 * 24


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


def late(ages: Table) -> Table:
    """A Weibull law of shape 3/2: word has to get around, and most look on the fifth day."""
    return _weibull(ages, 1.5)


def _weibull(ages: Table, shape: float) -> Table:
    shares: Table = -np.expm1(-math.log(2.0) * (np.maximum(ages, 0.0) / 7.0) ** shape)
    return shares


LAWS: Mapping[str, Law] = {"power": power, "stretched": stretched, "halving": halving, "late": late}


@dataclass(frozen=True)
class Play:
    """By film: bytes, the hour whose look finds it, true views by hour of the month, and in the seven days before each.

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


def staged(
    seed: int, zipf: float, law: Law = power, count: int = 2000, hours: int = HOURS, *, anytime: bool = False
) -> Play:
    chance = np.random.default_rng(seed)
    old = chance.random(count) < 0.6
    published = np.where(old, -chance.integers(1, 365 * 24, count, endpoint=True), chance.integers(0, hours, count))
    totals = 2_000_000 / (chance.permutation(count) + 1.0) ** zipf
    sizes = (chance.uniform(0.1, 2.0, count) * 1e9).astype(np.int64)
    noise = chance.normal(1.0, 0.1, (count, hours))
    moments = published - (chance.random(count) if anytime else 0.0)
    # Views until the end of each hour from a week before the month on to a day after it.
    clock = np.arange(-A_WEEK, hours + A_DAY + 1)
    until = totals[:, None] * law((clock[None, :] - moments[:, None]) / 24.0)
    views = np.diff(until[:, A_WEEK : A_WEEK + hours + 1])
    here = until - until[:, A_WEEK : A_WEEK + 1]
    noisy = np.maximum(0.0, views * noise)
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
