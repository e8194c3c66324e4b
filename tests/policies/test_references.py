"""Plans against what no plan could exceed, and against what others would have held."""

from statistics import median

import pytest

from tests.policies.reference import compared, random_world


def _ratios(count: int, largest: float) -> list[float]:
    return sorted(compared(*random_world(seed, largest=largest)).ratio for seed in range(count))


def _report(what: str, ratios: list[float]) -> None:
    print(f"{what}: of the bound at least {ratios[0]:.4f}, median {median(ratios):.4f}, {len(ratios)} worlds")


def test_a_few_random_worlds_are_filled_nearly_as_well_as_videos_kept_in_part_would() -> None:
    ratios = _ratios(12, 0.02)
    assert ratios[0] >= 0.97, ratios
    assert ratios[-1] <= 1 + 1e-6


@pytest.mark.trial
def test_two_hundred_random_worlds_are_filled_nearly_as_well_as_videos_kept_in_part_would() -> None:
    ratios = _ratios(200, 0.02)
    _report("no video above 2 % of a budget", ratios)
    assert ratios[-1] <= 1 + 1e-6
    assert sum(ratio >= 0.97 for ratio in ratios) >= 198, ratios[:5]
    assert ratios[0] >= 0.95, ratios[:5]
    for largest in (0.1, 0.5):
        _report(f"videos up to {largest:.0%} of a budget", _ratios(50, largest))
