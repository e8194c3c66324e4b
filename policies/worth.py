"""What keeping one byte of a video is worth to a rule.

A rule ranks by *value*, which is worth per byte: keeping a video is worth value × size. So the most worth inside a
budget is found best value first, and for popularity it says what is meant: the share of viewers' bytes that are held.

everything    1, whatever the video
recent        1 / (1 + age in days); *last N per channel* likewise, and ``claims`` counts to N
most viewed   views, all time
trending      views a day, now: an exponentially decayed rate, see ``trend``
rare first    1 / (1 + copies elsewhere), see ``rarity``

Further kinds come as functions of the same form; one that raises, or answers what is no number from 0 up, counts as 0.
This module computes values; comparing rules with one another is done in ``claims``.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from appliance.domain.plan import Candidate, Copies, Observation, Rule, RuleKind
from policies.newcomers import AGEING_FROM, Newcomers, exposure

Ranking = Callable[[Rule, Candidate, datetime], float]
"""A rule kind: the worth of one byte of the video to the rule, at least 0, the same for the same arguments."""

HALF_LIFE = timedelta(days=2)
PRIOR_WEIGHT = 0.2
"""The exposure, in days, that the prior counts for beside what was observed."""
PRIOR_VIEWS, PRIOR_AGES = 0.5, (1 / 12, 0.5)
"""What is usual of a new video counts beside its own views as so many views do, and as so many days at least and most.

Videos of one channel differ by far more than chance has their viewers differ, hence so few views. And origins write
their counters in batches (PeerTube's ``views.videos.local_buffer_update_interval``, half an hour), between looks up to
an hour apart: that a counter is still at 0 says little for two hours.
"""
TREND_PULL = 2.0
"""How much the first in an origin's own trending list has its prior raised; the next by half, a third and so on."""

UNKNOWN_COPIES = 1.5
"""Unknown is not zero: worth less than the rescue of a single copy, more than what is known to have two."""
UNVERIFIED = 0.75
"""What a copy that somebody only claims counts for, where one that answered a challenge counts 1."""

_DAY = 86_400.0


def safe_value(ranking: Ranking, rule: Rule, video: Candidate, now: datetime) -> float:
    """Return the value a ranking gives; 0 where it fails or answers what is no finite number from 0 up."""
    try:
        found = float(ranking(rule, video, now))
    except Exception:  # noqa: BLE001 - a further kind's fault costs its own rule its ranking, never the plan
        return 0.0
    return found if 0.0 <= found < math.inf else 0.0


def age_days(video: Candidate, now: datetime) -> float:
    """Return the days since the video was published; 0 for one dated in the future."""
    return max(0.0, (now - video.published_at).total_seconds() / _DAY)


def rarity(copies: Copies) -> float:
    """Return 1 / (1 + copies elsewhere): 1 for none, falling with each.

    A verified copy counts 1 and one that is only claimed ``UNVERIFIED``; an unknown number counts ``UNKNOWN_COPIES``,
    or as many as were verified where that is more.
    """
    verified = max(0, copies.verified)
    if copies.live is None:
        return 1.0 / (1.0 + max(UNKNOWN_COPIES, float(verified)))
    return 1.0 / (1.0 + verified + UNVERIFIED * max(0, copies.live - verified))


def trend(video: Candidate, now: datetime, half_life: timedelta | None = None, usual: float = 0.0) -> float:
    """Return an estimate of the video's present views a day.

    New views between two observations are taken as spread evenly, and every moment of the past weighs
    ``2 ** (-age / half_life)``. With D_i new views over the interval i, of length T_i and decayed length
    E_i = ∫ weight dt, and with A the video's ageing over the time observed (the decayed mean of how much higher its
    rate was then than now, by the power law 1 / (days + AGEING_FROM) that views follow in a video's first weeks):

        rate = (Σ D_i · E_i / T_i + PRIOR_WEIGHT · r0) / (A · Σ E_i + PRIOR_WEIGHT)

    which is the posterior mean of the rate of a Poisson process under exponential forgetting whose intensity falls as
    the power law says, with a Gamma(PRIOR_WEIGHT · r0, PRIOR_WEIGHT) prior (Gelman et al., Bayesian Data Analysis,
    ch. 2.6; forgetting as in West and Harrison, Bayesian Forecasting and Dynamic Models, ch. 10.8; the power law as
    Cha et al., I Tube, You Tube, Everybody Tubes, IMC 2007 and Szabo and Huberman, CACM 53(8), 2010 measure it).

    The prior's mean r0 is the rate over the video's life, brought to the present by the ageing since it was published,
    and raised by ``1 + TREND_PULL / rank`` where the origin's own trending list has the video. That rate has a Gamma
    prior in its turn, of mean ``usual``: what new videos of its channels get, in views a day, as ``newcomers`` learns
    it. It counts for b days, PRIOR_VIEWS / usual kept within PRIOR_AGES:

        r0 = (views + b · usual) / (age + b) / ageing · (1 + TREND_PULL / rank)

    So a video that nobody has seen yet has what is usual, one never observed twice what its views say, and evidence
    takes over within hours. New views are counted above the highest number seen so far: a counter that goes back, or
    back and forth, makes nobody trend. More views seen never lower the rate, nor does more that is usual.
    """
    age = age_days(video, now)
    life = HALF_LIFE if half_life is None or half_life <= timedelta(0) else half_life
    pull = 1.0 if video.trend_rank is None else 1.0 + TREND_PULL / max(1, video.trend_rank)
    least, most = PRIOR_AGES
    days = most if usual * most < PRIOR_VIEWS else max(least, PRIOR_VIEWS / usual)
    prior = pull * (max(0, video.views) + days * usual) / (age + days) / _ageing(age)
    if len(video.history) < 2:
        return prior
    gained, exposed = _decayed(video.history, now, age, life.total_seconds() / _DAY)
    return (gained + PRIOR_WEIGHT * prior) / (exposed + PRIOR_WEIGHT)


def trend_among(newcomers: Newcomers, now: datetime, half_life: timedelta | None) -> Callable[[Candidate], float]:
    """Return ``trend`` with what is usual where a video is listed as a prior."""
    rate = newcomers.rate
    return lambda video: trend(video, now, half_life, rate(video.channels))


def _ageing(age: float) -> float:
    """Return how much higher than now, at this age in days, the mean rate since the video was published is."""
    return exposure(age) / age * (1.0 + age / AGEING_FROM) if age > 1e-6 else 1.0


def _decayed(history: tuple[Observation, ...], now: datetime, age: float, life: float) -> tuple[float, float]:
    """Return decayed new views, and decayed days of observation each times its ageing.

    Intervals in the future or of no length count 0.
    """
    rate = math.log(2) / life
    ordered = sorted(history, key=_when)
    gained = exposed = 0.0
    peak, before = ordered[0].views, (ordered[0].at - now).total_seconds() / _DAY
    remembered = math.exp(rate * min(0.0, before))
    present = age + AGEING_FROM
    for seen in ordered[1:]:
        at = (seen.at - now).total_seconds() / _DAY
        if at > 0:
            break
        memory = math.exp(rate * at)
        views = seen.views
        if at > before:
            decayed = (memory - remembered) / rate
            # The rate in the middle of the interval against now's; an interval before its publication is taken as it.
            exposed += decayed * present / max(AGEING_FROM, present + (at + before) / 2)
            if views > peak:
                gained += (views - peak) * decayed / (at - before)
        if views > peak:
            peak = views
        before, remembered = at, memory
    return gained, exposed


def _when(seen: Observation) -> datetime:
    return seen.at


BUILT_IN: Mapping[str, Ranking] = MappingProxyType(
    {
        RuleKind.EVERYTHING.value: lambda _, __, ___: 1.0,
        RuleKind.RECENT.value: lambda _, video, now: 1.0 / (1.0 + age_days(video, now)),
        RuleKind.LAST_N.value: lambda _, video, now: 1.0 / (1.0 + age_days(video, now)),
        RuleKind.TRENDING.value: lambda rule, video, now: trend(video, now, rule.half_life),
        RuleKind.MOST_VIEWED.value: lambda _, video, __: float(max(0, video.views)),
        RuleKind.RARE_FIRST.value: lambda _, video, __: rarity(video.copies),
    }
)
"""The kinds that come with the house."""
