"""What a video usually gets in its first days, learnt from others: what is expected of one that nobody has seen yet.

An empirical Bayes prior (Efron and Morris, JASA 70, 1975; Gelman et al., Bayesian Data Analysis, ch. 5). Of each of the
newest videos the count nearest to one day of age says what its rate was at first: views / E(age), where E is the days
that its age comes to if views fall by the power law that ``worth.trend`` documents, weighed by min(age, 1 / √age). What
such videos have in common is the mean of the square roots, squared: one that went round the world says little about the
next. Each channel's own mean is drawn to that of all. Nothing of it depends on what is held. This module learns it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from appliance.domain.plan import Candidate
from appliance.domain.units import ChannelId

AGEING_FROM = 2.0
"""Views of a video fall with its age t in days as 1 / (t + this)."""
LEARNT_FROM = 2000
"""Of how many videos at most, the newest, is learnt: it is they that have counts of their first days."""
LEAST_AGE = 1 / 24
"""A count of a younger video, in days, says nothing yet."""
DRAWN = 0.3
"""How much the mean of all counts beside a channel's own: one video seen at one day counts 1, one of a year 0.05.

What videos of one channel get differs less than what channels get, so a few of its own say more than all others.
"""

_DAY = 86_400.0


def exposure(age: float) -> float:
    """Return the days that a video of this age would have taken at its first rate to have the views that it has."""
    return AGEING_FROM * math.log1p(age / AGEING_FROM)


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    weight: float = 0.0

    def add(self, total: float, weight: float) -> None:
        self.total += total
        self.weight += weight


@dataclass(slots=True)
class Newcomers:
    """First rates of videos, by channel and of all: sums of the roots of views a day, and of their weights."""

    every: _Mean = field(default_factory=_Mean)
    channels: dict[ChannelId, _Mean] = field(default_factory=dict)
    known: dict[frozenset[ChannelId], float] = field(default_factory=dict)

    def rate(self, channels: frozenset[ChannelId]) -> float:
        """Return the rate at which views of a new video that these channels list usually begin; 0 where none is known.

        It never falls where any video had more views.
        """
        found = self.known.get(channels)
        if found is None:
            found = self.known[channels] = self._rate(channels)
        return found

    def _rate(self, channels: frozenset[ChannelId]) -> float:
        if not self.every.weight:
            return 0.0
        usual = self.every.total / self.every.weight
        mine = _Mean(usual * DRAWN, DRAWN)
        for channel in sorted(channels & self.channels.keys()):
            mine.add(self.channels[channel].total, self.channels[channel].weight)
        return (mine.total / mine.weight) ** 2


def newcomers(newest: Iterable[Candidate], now: datetime) -> Newcomers:
    """Return what is learnt from the first ``LEARNT_FROM`` of these videos."""
    found = Newcomers()
    for video in islice(newest, LEARNT_FROM):
        weight, views, age = _nearest(video, now)
        if not weight:
            continue
        root = weight * math.sqrt(views / exposure(age))
        found.every.add(root, weight)
        for channel in video.channels:
            found.channels.setdefault(channel, _Mean()).add(root, weight)
    return found


def _nearest(video: Candidate, now: datetime) -> tuple[float, int, float]:
    """Return the weight, views and age of the count that says most of a video's first day."""
    published = video.published_at
    best = _weighed(max(0, video.views), (now - published).total_seconds() / _DAY)
    for seen in video.history:
        if published < seen.at <= now:
            best = max(best, _weighed(max(0, seen.views), (seen.at - published).total_seconds() / _DAY))
    return best


def _weighed(views: int, age: float) -> tuple[float, int, float]:
    return (0.0 if age < LEAST_AGE else min(age, age**-0.5), views, age)
