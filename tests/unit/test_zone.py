"""The machine's time zone, however its distribution keeps it."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appliance.host.zone import host_zone

PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path


def test_the_zone_is_the_link_of_localtime(root: Path) -> None:
    (root / "etc/localtime").symlink_to("../usr/share/zoneinfo/Europe/Paris")
    assert host_zone({}, root) is PARIS


def test_the_zone_is_what_etc_timezone_names(root: Path) -> None:
    (root / "etc/timezone").write_text("Europe/Paris\n")
    assert host_zone({}, root) is PARIS


def test_the_environment_wins(root: Path) -> None:
    (root / "etc/timezone").write_text("America/Lima\n")
    assert host_zone({"TZ": ":Europe/Paris"}, root) is PARIS


def test_nonsense_is_utc(root: Path) -> None:
    (root / "etc/timezone").write_text("../../etc/passwd\n")
    (root / "etc/localtime").write_text("no zone")
    assert host_zone({"TZ": "Nowhere/At all"}, root) is UTC


def test_a_copied_localtime_is_read_without_its_name(root: Path) -> None:
    from importlib.resources import files

    (root / "etc/localtime").write_bytes((files("tzdata") / "zoneinfo" / "Asia" / "Kolkata").read_bytes())
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert noon.astimezone(host_zone({}, root)).strftime("%H:%M") == "17:30"
