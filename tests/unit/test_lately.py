"""Room that others took of the disk lately is remembered for some hours, over restarts too."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.domain.plan import Disk
from appliance.domain.units import ByteCount
from appliance.plan.lately import LONG, RoomLately

GB = 10**9
THEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def disk(total: int = 100 * GB) -> Disk:
    return Disk(ByteCount(total), ByteCount(50 * GB), ByteCount(2 * GB), ByteCount(0))


def seen() -> RoomLately:
    lately = RoomLately()
    assert [lately.note(disk(), room, THEN) for room in (40 * GB, 40 * GB)] == [0, 0]
    return lately


def test_what_others_took_counts_for_hours_and_then_no_more() -> None:
    lately = seen()
    assert lately.note(disk(), 10 * GB, THEN + timedelta(hours=1)) == 30 * GB
    assert lately.note(disk(), 10 * GB, THEN + LONG) == 30 * GB
    assert lately.note(disk(), 10 * GB, THEN + LONG + timedelta(hours=1)) == 0


def test_what_comes_back_is_not_taken() -> None:
    lately = seen()
    assert lately.note(disk(), 10 * GB, THEN) == 30 * GB
    assert lately.note(disk(), 40 * GB, THEN) == 0


def test_a_single_look_between_a_change_and_its_record_does_not_count() -> None:
    lately = seen()
    lately.note(disk(), 90 * GB, THEN)
    assert lately.note(disk(), 40 * GB, THEN) == 0


def test_what_always_comes_and_goes_is_nothing() -> None:
    assert seen().note(disk(), 40 * GB - 1_000_000, THEN) == 0


def test_a_disk_of_another_size_is_another_disk() -> None:
    assert seen().note(disk(30 * GB), 10 * GB, THEN) == 0


def test_it_is_remembered_over_a_restart() -> None:
    lately = RoomLately()
    lately.read(seen().written())
    assert 29 * GB < lately.note(disk(), 10 * GB, THEN + timedelta(hours=2)) <= 30 * GB


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"total": 1, "hours": {"x": 1}}', '{"total": 1, "hours": []}', "7"])
def test_what_cannot_be_read_is_as_nothing(text: str) -> None:
    lately = RoomLately()
    lately.read(text)
    assert lately.note(disk(), GB, THEN) == 0
