"""How often a channel is looked at."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.follow.cadence import FIRST_RETRY, LATEST, SOONEST, backoff, detail_retry, interval, next_check

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def every(gap: timedelta, silence: timedelta | None = None) -> list[datetime]:
    newest = NOW - (gap / 2 if silence is None else silence)
    return [newest - gap * n for n in range(10)]


@pytest.mark.parametrize(
    ("gap", "least", "most"),
    [
        (timedelta(hours=1), 15, 15),
        (timedelta(hours=12), 15, 15),
        (timedelta(days=1), 25, 35),
        (timedelta(days=7), 180, 240),
        (timedelta(days=30), 800, 1000),
        (timedelta(days=365), 1440, 1440),
    ],
)
def test_a_busy_channel_is_looked_at_often_and_a_quiet_one_rarely(gap: timedelta, least: int, most: int) -> None:
    assert least <= interval(NOW, every(gap), None) / timedelta(minutes=1) <= most


def test_a_channel_that_fell_silent_is_asked_less() -> None:
    assert interval(NOW, every(timedelta(days=1), silence=timedelta(days=90)), None) == LATEST


def test_a_channel_that_just_changed_is_looked_at_soon() -> None:
    asleep = every(timedelta(days=300))
    assert interval(NOW, asleep, NOW - timedelta(hours=1)) == SOONEST
    assert interval(NOW, asleep, NOW - timedelta(days=1)) == LATEST


def test_an_empty_channel_is_asked_now_and_then() -> None:
    assert interval(NOW, [], None) == timedelta(minutes=30)
    assert interval(NOW, [], NOW - timedelta(days=400)) == LATEST


def test_dates_in_the_future_are_not_believed() -> None:
    future = [NOW + timedelta(days=n) for n in range(1, 10)]
    assert interval(NOW, [*future, *every(timedelta(days=7))], None) == interval(NOW, every(timedelta(days=7)), None)


def test_a_failing_channel_is_left_alone_longer_each_time() -> None:
    assert [backoff(n) / FIRST_RETRY for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert backoff(50) == LATEST


def test_what_the_origin_asked_for_is_the_least() -> None:
    asked = timedelta(hours=3)
    assert next_check(NOW, every(timedelta(hours=1)), None, 1, 0.0, asked) == NOW + asked
    assert detail_retry(NOW, 1, 0.5, asked) == NOW + asked
    assert detail_retry(NOW, 2, 0.5) == NOW + 2 * FIRST_RETRY


@given(
    published=st.lists(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2199, 1, 1)), max_size=20),
    failures=st.integers(0, 1000),
    jitter=st.floats(0, 1),
)
def test_the_next_look_is_never_sooner_than_minutes_nor_later_than_a_day_and_a_bit(
    published: list[datetime], failures: int, jitter: float
) -> None:
    found = next_check(NOW, [p.replace(tzinfo=UTC) for p in published], None, failures, jitter)
    assert timedelta(minutes=4) <= found - NOW <= LATEST * 1.2 + timedelta(seconds=1)


def test_two_boxes_do_not_ask_at_the_same_moment() -> None:
    early, late = (next_check(NOW, every(timedelta(days=7)), None, 0, j) - NOW for j in (0.0, 1.0))
    assert late / early == pytest.approx(1.2 / 0.8)
