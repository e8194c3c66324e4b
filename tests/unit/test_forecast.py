"""Where a pace leads: a steady one to its straight line, a nightly one to its nights."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.seed.forecast import forecast
from appliance.seed.period import Period

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MONTH = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def back(hours: int, count: int) -> dict[datetime, int]:
    return {NOW - n * HOUR: count for n in range(1, hours + 1)}


def test_a_steady_pace_goes_on() -> None:
    found = forecast(back(20 * 24, 1000), 492_000, MONTH, UTC, NOW, 700_000)
    assert found is not None
    assert found.expected == 492_000 + 228 * 1000
    assert found.full_at == NOW + 208 * HOUR
    assert (found.line[0], found.line[-1]) == ((NOW, 492_000), (MONTH.end, found.expected))


def test_a_box_that_works_at_night_is_expected_to_work_at_night() -> None:
    nights = {h: n for h, n in back(14 * 24 - 1, 1000).items() if h.hour < 6}
    found = forecast(nights, 0, Period(NOW.replace(hour=0), NOW.replace(hour=0) + DAY), UTC, NOW)
    assert found is not None
    assert found.expected == 0
    month = forecast(nights, 0, MONTH, UTC, NOW)
    assert month is not None
    assert abs(month.expected - 9 * 6 * 1000) <= 3000


def test_nothing_is_foretold_from_nothing() -> None:
    assert forecast({}, 5, MONTH, UTC, NOW) is None
    assert forecast({NOW - timedelta(minutes=20): 5}, 5, MONTH, UTC, NOW) is None


def test_a_budget_that_is_used_up_is_full_now() -> None:
    found = forecast(back(48, 10), 100, MONTH, UTC, NOW, 100)
    assert found is not None
    assert found.full_at == NOW


@given(
    st.dictionaries(st.integers(0, 500).map(lambda n: NOW - n * HOUR), st.integers(0, 10**11), max_size=60),
    st.integers(0, 10**13),
    st.none() | st.integers(0, 10**13),
)
def test_what_is_expected_never_falls_and_says_when_it_is_full(
    hours: dict[datetime, int], used: int, budget: int | None
) -> None:
    found = forecast(hours, used, MONTH, UTC, NOW, budget)
    if found is None:
        return
    counts = [count for _, count in found.line]
    assert counts == sorted(counts)
    assert counts[0] == used
    if budget is not None:
        assert found.full_at is not None or found.expected <= budget
        assert found.full_at is None or NOW <= found.full_at <= MONTH.end
        assert found.full_at is None or found.expected >= budget - 1
