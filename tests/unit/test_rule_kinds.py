"""Rule kinds of other packages: a package is laid out as an installer would, and found."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.domain.plan import Rule
from appliance.domain.units import RuleId
from appliance.plan import kinds
from policies import plan
from policies.worth import BUILT_IN
from tests.policies.worlds import NOW, candidate, world

MODULE = """
def longest(rule, video, now):
    return video.duration

def fails(rule, video, now):
    raise RuntimeError

number = 7
"""
POINTS = """[seedkeep.rule_kinds]
longest = seedkeep_longest:longest
fails = seedkeep_longest:fails
number = seedkeep_longest:number
missing = seedkeep_longest:missing
absent = seedkeep_absent:rank
recent = seedkeep_longest:longest
Loud Name = seedkeep_longest:longest
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    info = tmp_path / "seedkeep_longest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: seedkeep-longest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "seedkeep_longest.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("seedkeep_longest", None)


def test_a_kind_of_an_installed_package_ranks_and_a_broken_one_is_named_and_left_out(
    package: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = kinds.every()
    assert set(found) - set(BUILT_IN) == {"longest", "fails"}
    assert found["recent"] is BUILT_IN["recent"]
    for name in ("number", "missing", "absent", "recent", "Loud Name"):
        assert any(f"'{name}'" in line for line in caplog.messages), name
    videos = world(candidate("long", duration=900), candidate("short", duration=60))
    ranks = {d.video: d.rank for d in plan(videos, [Rule(RuleId("x"), "X", "longest")], NOW, found).decisions}
    assert ranks == {"long": 1, "short": 2}
    assert all(d.value == 0 for d in plan(videos, [Rule(RuleId("x"), "X", "fails")], NOW, found).decisions)


def test_without_further_packages_there_are_the_kinds_built_in() -> None:
    assert dict(kinds.kinds(())) == dict(BUILT_IN)
