"""Plans against what no plan could exceed, and against what others would have held."""

from statistics import median

import pytest

from tests.policies import trace
from tests.policies.month import staged
from tests.policies.reference import compared, random_world


def _ratios(seeds: range, largest: float) -> list[float]:
    return sorted(compared(*random_world(seed, largest=largest)).ratio for seed in seeds)


def _report(what: str, ratios: list[float]) -> None:
    print(f"{what}: of the bound at least {ratios[0]:.4f}, median {median(ratios):.4f}, {len(ratios)} worlds")


def test_a_few_random_worlds_are_filled_nearly_as_well_as_videos_kept_in_part_would() -> None:
    ratios = sorted([*_ratios(range(10), 0.02), *_ratios(range(157, 158), 0.02)])
    assert ratios[0] >= 0.97, ratios
    assert ratios[-1] <= 1 + 1e-6


@pytest.mark.trial
@pytest.mark.parametrize("first", [0, 1000])
def test_two_hundred_random_worlds_are_filled_nearly_as_well_as_videos_kept_in_part_would(first: int) -> None:
    ratios = _ratios(range(first, first + 200), 0.02)
    _report("no video above 2 % of a budget", ratios)
    assert ratios[-1] <= 1 + 1e-6
    assert ratios[0] >= 0.97, ratios[:5]
    for largest in (0.1, 0.5):
        _report(f"videos up to {largest:.0%} of a budget", _ratios(range(first, first + 50), largest))


def test_in_a_few_days_of_views_trending_serves_far_more_than_peertube_and_nearly_what_an_oracle_would() -> None:
    play = staged(1, 0.9, count=400, hours=6 * 24)
    ours, theirs, best = (
        box.over(2 * 24, 6 * 24)
        for box in (trace.trending(play), trace.peertube(play, 1, play.week), trace.oracle(play))
    )
    assert ours >= 1.2 * theirs
    assert ours >= 0.97 * best, "without an idea of what new videos get, the first hour of each is lost"


@pytest.mark.trial
def test_in_thirty_days_of_views_trending_serves_half_as_much_again_as_peertube_and_nearly_what_an_oracle_would() -> (
    None
):
    gain, here, reach = trace.report("power", 0.9, range(1, 6))
    assert min(gain, here) >= 1.5
    assert reach >= 0.85
