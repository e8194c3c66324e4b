"""What keeping one byte of a video is worth to a rule.

A rule ranks by *value*, which is worth per byte: keeping a video is worth value × size. So the most worth inside a
budget is found best value first, and for popularity it says what is meant: the share of viewers' bytes that are held.

everything    1, whatever the video
recent        1 / (1 + age in days)
most viewed   views, all time
trending      views a day, now: an exponentially decayed rate, see ``trend``

This module computes them; comparing rules with one another is done by rank, in ``claims``.
"""

import math
from datetime import datetime, timedelta

from appliance.domain.plan import Candidate, Observation, Rule, RuleKind

HALF_LIFE = timedelta(days=3)
PRIOR_WEIGHT = 0.5
"""The exposure, in days, that the lifetime average counts for when few observations are there."""

_DAY = 86_400.0


def value(rule: Rule, video: Candidate, now: datetime) -> float:
    """Return the worth of one byte of the video to the rule: at least 0, in the unit of the rule's kind."""
    match rule.kind:
        case RuleKind.EVERYTHING:
            return 1.0
        case RuleKind.RECENT:
            return 1.0 / (1.0 + age_days(video, now))
        case RuleKind.MOST_VIEWED:
            return float(max(0, video.views))
        case RuleKind.TRENDING:
            return trend(video, now)
        case _:
            return 0.0


def age_days(video: Candidate, now: datetime) -> float:
    """Return the days since the video was published; 0 for one dated in the future."""
    return max(0.0, (now - video.published_at).total_seconds() / _DAY)


def trend(video: Candidate, now: datetime) -> float:
    """Return an estimate of the video's present views a day.

    New views between two observations are taken as spread evenly, and every moment of the past weighs
    ``2 ** (-age / HALF_LIFE)``. With D_i new views over the interval i, of length T_i and decayed length
    E_i = ∫ weight dt:

        rate = (Σ D_i · E_i / T_i + PRIOR_WEIGHT · r0) / (Σ E_i + PRIOR_WEIGHT)

    which is the maximum-likelihood rate of a Poisson process under exponential forgetting, with a Gamma prior whose
    mean r0 is the lifetime average, views / (age + 1 day). So a video never observed twice has that average, and
    evidence takes over within a day. New views are counted above the highest number seen so far: a counter that goes
    back, or back and forth, makes nobody trend.
    """
    prior = max(0, video.views) / (age_days(video, now) + 1.0)
    gained, exposed = _decayed(video.history, now)
    return (gained + PRIOR_WEIGHT * prior) / (exposed + PRIOR_WEIGHT)


def _decayed(history: tuple[Observation, ...], now: datetime) -> tuple[float, float]:
    """Return decayed new views and decayed days of observation. Intervals in the future or of no length count 0."""
    if len(history) < 2:
        return 0.0, 0.0
    rate = math.log(2) / (HALF_LIFE.total_seconds() / _DAY)
    ordered = sorted(history, key=lambda seen: seen.at)
    gained = exposed = 0.0
    peak, before = ordered[0].views, (ordered[0].at - now).total_seconds() / _DAY
    remembered = math.exp(rate * min(0.0, before))
    for seen in ordered[1:]:
        at = (seen.at - now).total_seconds() / _DAY
        if at > 0:
            break
        memory = math.exp(rate * at)
        new, peak = max(0, seen.views - peak), max(peak, seen.views)
        if at > before:
            decayed = (memory - remembered) / rate
            gained += new * decayed / (at - before)
            exposed += decayed
        before, remembered = at, memory
    return gained, exposed
