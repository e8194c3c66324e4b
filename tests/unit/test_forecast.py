"""Where a pace leads: a steady one to its straight line, a nightly one to its nights."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.traffic import WEEK_HOURS, Profile, Week
from appliance.domain.units import ByteCount, BytesPerSecond
from appliance.seed.forecast import Forecast
from appliance.seed.forecast import forecast as foretold
from appliance.seed.schedule import Allowance, Schedule, Span, Speeds, Way

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""A Saturday; the month has 228 hours more."""
END = datetime(2026, 12, 1, tzinfo=UTC)


def back(hours: int, count: int) -> dict[datetime, int]:
    return {NOW - n * HOUR: count for n in range(1, hours + 1)}


def month(budget: int | None, day: int | None = None, **more: Any) -> Schedule:
    whole = {Span.MONTH: budget, Span.DAY: day}
    allowances = {span: Allowance(up=ByteCount(n)) for span, n in whole.items() if n is not None}
    return Schedule(allowances=allowances, **more)


def forecast(
    schedule: Schedule, hours: dict[datetime, int], used: int = 0, *, today: int = 0, quiet: datetime | None = None
) -> Forecast | None:
    both = {Span.MONTH: (used, 0), Span.DAY: (today, 0)}
    return foretold(schedule, Span.MONTH, Way.UPLOAD, hours, both, NOW, quiet)


def at_weekends(profile: Profile) -> Week:
    return Week(tuple(profile if index // 24 >= 5 else Profile.FULL for index in range(WEEK_HOURS)))


def test_a_steady_pace_goes_on() -> None:
    found = forecast(month(700_000), back(20 * 24, 1000), 492_000)
    assert found is not None
    assert found.expected == 492_000 + 228 * 1000
    assert found.full_at == NOW + 208 * HOUR
    assert (found.line[0], found.line[-1]) == ((NOW, 492_000), (END, found.expected))


def test_a_box_that_works_at_night_is_expected_to_work_at_night() -> None:
    nights = {h: n for h, n in back(14 * 24 - 1, 1000).items() if h.hour < 6}
    today = foretold(Schedule(), Span.DAY, Way.UPLOAD, nights, {}, NOW)
    assert today is not None
    assert today.expected == 0
    found = forecast(Schedule(), nights)
    assert found is not None
    assert abs(found.expected - 9 * 6 * 1000) <= 3000


def test_nothing_is_foretold_from_nothing() -> None:
    assert forecast(Schedule(), {}, 5) is None
    assert forecast(Schedule(), {NOW - timedelta(minutes=20): 5}, 5) is None


def test_a_budget_that_is_used_up_is_full_now() -> None:
    found = forecast(month(100), back(48, 10), 100)
    assert found is not None
    assert found.full_at == NOW


def test_nothing_is_expected_of_hours_that_the_week_stops_and_the_others_keep_their_pace() -> None:
    """This weekend has 36 hours to go, the next one 48 and no more of the month: 144 hours are open."""
    week = at_weekends(Profile.OFF)
    lately = {h: n for h, n in back(14 * 24, 1000).items() if h.weekday() < 5}
    found = forecast(month(None, week=week), lately)
    assert found is not None
    assert found.expected == 144 * 1000
    assert dict(found.line)[NOW + 36 * HOUR] == 0


def test_an_hour_is_not_expected_to_pass_what_its_profile_lets_through() -> None:
    schedule = month(None, week=at_weekends(Profile.NIGHT), night=Speeds(BytesPerSecond(1), None))
    found = forecast(schedule, back(14 * 24, 7200))
    assert found is not None
    assert found.expected == 144 * 7200 + 84 * 3600


def test_nothing_is_expected_while_it_is_quiet() -> None:
    quiet = NOW + timedelta(minutes=150)
    found = forecast(Schedule(), back(14 * 24, 1000), quiet=quiet)
    assert found is not None
    assert dict(found.line)[quiet] == 0
    assert found.expected == 225_500


def test_the_days_budget_holds_the_months_line_back_and_the_months_the_days() -> None:
    """Today 300 are left, each of the nine other days has 5,000 of the 24,000 that it would use."""
    found = forecast(month(60_000, day=5_000), back(14 * 24, 1000), 9_000, today=4_700)
    assert found is not None
    assert found.expected == 9_000 + 300 + 9 * 5_000
    assert found.full_at is None
    both = {Span.MONTH: (59_000, 0), Span.DAY: (0, 0)}
    today = foretold(month(60_000, day=90_000), Span.DAY, Way.UPLOAD, back(14 * 24, 1000), both, NOW)
    assert today is not None
    assert today.expected == 1_000


@given(
    st.dictionaries(st.integers(0, 500).map(lambda n: NOW - n * HOUR), st.integers(0, 10**11), max_size=60),
    st.integers(0, 10**13),
    st.none() | st.integers(0, 10**13),
)
def test_what_is_expected_never_falls_and_says_when_it_is_full(
    hours: dict[datetime, int], used: int, budget: int | None
) -> None:
    found = forecast(month(budget), hours, used)
    if found is None:
        return
    counts = [count for _, count in found.line]
    assert counts == sorted(counts)
    assert counts[0] == used
    if budget is not None:
        assert found.full_at is not None or found.expected <= budget
        assert found.full_at is None or NOW <= found.full_at <= END
        assert found.full_at is None or found.expected >= budget - 1
