"""The week of limits and the budgets of transfer: every instant has exactly one answer, whatever clocks do."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.traffic import BadWeek, Budget, Profile, Week, week_of
from appliance.domain.units import ByteCount, BytesPerSecond
from appliance.seed.period import Period, begin, day_of, month_of, slot
from appliance.seed.schedule import (
    Allowance,
    Schedule,
    Span,
    Speeds,
    Way,
    in_force,
    left,
    next_change,
    profile_at,
    quota,
    told,
)

ZONES = (
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
    "America/Santiago",
)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
zones = st.sampled_from(ZONES).map(ZoneInfo)
profiles = st.sampled_from(Profile)
weeks = st.lists(profiles, min_size=168, max_size=168).map(lambda hours: Week(tuple(hours)))
blocks = st.lists(st.tuples(profiles, st.integers(1, 24)), min_size=1, max_size=12)
instants = st.datetimes(datetime(2011, 1, 1), datetime(2040, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))


def turns(zone: ZoneInfo, year: int) -> list[datetime]:
    """Return the instants at which a zone's offset changes in a year."""
    found, at = [], datetime(year, 1, 1, tzinfo=UTC)
    while at.year == year:
        if at.astimezone(zone).utcoffset() != (at + timedelta(minutes=15)).astimezone(zone).utcoffset():
            found.append(at + timedelta(minutes=15))
        at += timedelta(minutes=15)
    return found


TURNS = [(ZoneInfo(name), turn) for name in ZONES for turn in turns(ZoneInfo(name), 2026)]
near_turns = st.sampled_from(TURNS).flatmap(
    lambda case: st.tuples(
        st.just(case[0]), st.integers(-3 * 86400, 3 * 86400).map(lambda s: case[1] + timedelta(seconds=s))
    )
)
anywhere = st.one_of(st.tuples(zones, instants), near_turns)


@given(weeks)
def test_a_week_is_read_as_it_was_written(week: Week) -> None:
    assert week_of(week.text()) == week
    assert week_of(week.text().replace(" ", ",\n").upper()) == week


@pytest.mark.parametrize(("text", "why"), [("x" * 168, "'x' is not one of"), ("f" * 167, "it has 167 hours")])
def test_what_is_no_week_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadWeek, match=why):
        week_of(text)


@given(weeks, anywhere)
def test_the_profile_is_the_one_painted_for_the_hour_on_the_wall(week: Week, case: tuple[ZoneInfo, datetime]) -> None:
    zone, now = case
    local = now.astimezone(zone)
    assert profile_at(Schedule(week=week, zone=zone), now) is week.hours[local.weekday() * 24 + local.hour]


@given(weeks, anywhere)
def test_nothing_changes_before_the_next_change_and_something_does_then(
    week: Week, case: tuple[ZoneInfo, datetime]
) -> None:
    zone, now = case
    schedule = Schedule(week=week, zone=zone)
    change = next_change(schedule, now)
    present = profile_at(schedule, now)
    if change is None:
        assert set(week.hours) == {present}
        return
    assert now < change <= now + 9 * DAY
    assert profile_at(schedule, change) is not present
    step = max((change - now) / 40, timedelta(seconds=1))
    at = now
    while at < change:
        assert profile_at(schedule, at) is present
        at += step
    assert profile_at(schedule, change - timedelta(microseconds=1)) is present


@given(blocks, st.sampled_from(TURNS))
def test_the_changes_of_a_week_round_a_turn_of_the_clock_are_those_of_each_minute(
    painted: list[tuple[Profile, int]], case: tuple[ZoneInfo, datetime]
) -> None:
    hours = [profile for profile, length in painted for _ in range(length)]
    schedule = Schedule(week=Week(tuple((hours * 168)[:168])), zone=case[0])
    at, end = case[1] - 5 * HOUR, case[1] + 5 * HOUR
    by_minute, by_change = [], []
    minute = at + MINUTE
    while minute <= end:
        if profile_at(schedule, minute) is not profile_at(schedule, minute - MINUTE):
            by_minute.append(minute)
        minute += MINUTE
    change = next_change(schedule, at)
    while change is not None and change <= end:
        by_change.append(change)
        change = next_change(schedule, change)
    assert by_change == by_minute


@given(anywhere, st.integers(1, 31))
def test_every_instant_is_in_exactly_one_day_and_one_month(case: tuple[ZoneInfo, datetime], billing: int) -> None:
    zone, now = case
    day, month = day_of(zone, now), month_of(zone, billing, now)
    ways: tuple[tuple[Period, Callable[[datetime], Period]], ...] = (
        (day, lambda t: day_of(zone, t)),
        (month, lambda t: month_of(zone, billing, t)),
    )
    for period, again in ways:
        assert period.start <= now < period.end
        assert again(period.start) == period
        assert again(period.end).start == period.end
        assert again(period.end - timedelta(microseconds=1)) == period
    assert month.start <= day.start
    assert day.end <= month.end
    assert 27 * DAY < month.end - month.start < 33 * DAY
    assert day.start <= slot(zone, now) <= now
    assert now - slot(zone, now) < HOUR


@pytest.mark.parametrize(
    ("billing", "today", "first", "last"),
    [
        (31, date(2026, 2, 15), date(2026, 1, 31), date(2026, 2, 28)),
        (31, date(2026, 2, 28), date(2026, 2, 28), date(2026, 3, 31)),
        (30, date(2028, 2, 29), date(2028, 2, 29), date(2028, 3, 30)),
        (3, date(2026, 12, 31), date(2026, 12, 3), date(2027, 1, 3)),
        (15, date(2026, 1, 14), date(2025, 12, 15), date(2026, 1, 15)),
    ],
)
def test_a_billing_day_that_a_month_lacks_is_its_last(billing: int, today: date, first: date, last: date) -> None:
    zone = ZoneInfo("Europe/Paris")
    found = month_of(zone, billing, begin(zone, today) + 12 * HOUR)
    assert (found.start, found.end) == (begin(zone, first), begin(zone, last))


rates = st.none() | st.integers(0, 10**9).map(BytesPerSecond)
bytes_ = st.none() | st.integers(0, 10**13).map(ByteCount)
spent = st.tuples(st.integers(0, 10**13), st.integers(0, 10**13))


@given(
    st.builds(Budget, rates, rates, rates, rates),
    st.builds(Speeds, rates, rates),
    weeks,
    st.builds(Allowance, bytes_, bytes_),
    st.builds(Allowance, bytes_, bytes_),
    spent,
    spent,
    anywhere,
)
def test_limits_never_pass_the_profile_nor_what_is_left(
    full: Budget,
    polite: Speeds,
    week: Week,
    daily: Allowance,
    monthly: Allowance,
    today: tuple[int, int],
    this_month: tuple[int, int],
    case: tuple[ZoneInfo, datetime],
) -> None:
    zone, now = case
    schedule = Schedule(full, week, polite, polite, zone, {Span.DAY: daily, Span.MONTH: monthly})
    used = {Span.DAY: today, Span.MONTH: this_month}
    standing = in_force(schedule, used, None, now)
    speeds = schedule.speeds(profile_at(schedule, now))
    for way, limit, most in (
        (Way.UPLOAD, standing.budget.upload, speeds.up),
        (Way.DOWNLOAD, standing.budget.download, speeds.down),
    ):
        rests = left(schedule, used, way)
        over = [s for s in standing.spent if s.way is way]
        assert most is None or (limit is not None and limit <= most)
        if any(rest == 0 for rest in rests.values()):
            assert limit == 0
            assert over
        for s in over:
            assert now < s.until == schedule.period(s.span, now).end
        if rests and min(rests.values()) < 10**9:
            assert limit is not None
            assert 0 <= limit <= max(min(rests.values()), 1)
    assert (standing.budget.lan_upload, standing.budget.lan_download) == (full.lan_upload, full.lan_download)
    told(standing, schedule, now)
    found = quota(schedule, used, now)
    assert (found is None) == (daily.down is None and monthly.down is None)
    if found is not None:
        assert now < found.reset
        assert bool(found.why) == (found.again is not None) == any(s.way is Way.DOWNLOAD for s in standing.spent)


PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 11, 21, 12, tzinfo=PARIS)
"""A Saturday."""


def test_quiet_is_above_the_week_and_ends_by_itself() -> None:
    schedule = Schedule(full=Budget(BytesPerSecond(9), None, BytesPerSecond(7)), zone=PARIS)
    quiet = in_force(schedule, {}, NOON + 2 * HOUR, NOON)
    assert quiet.budget == Budget(BytesPerSecond(0), BytesPerSecond(0), BytesPerSecond(7))
    assert told(quiet, schedule, NOON) == "Quiet until 14:00."
    after = in_force(schedule, {}, NOON + 2 * HOUR, NOON + 2 * HOUR)
    assert (after.budget.upload, after.quiet) == (9, False)


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (range(5 * 24 + 8, 5 * 24 + 23), "Polite until 23:00."),
        (range(5 * 24 + 8, 6 * 24), "Polite until midnight."),
        (range(5 * 24 + 8, 6 * 24 + 7), "Polite until tomorrow 07:00."),
        (range(6 * 24 + 7, 6 * 24 + 9), "Full speed until tomorrow 07:00."),
        (range(24, 30), "Full speed until 24 November."),
        (range(25, 30), "Full speed until Tuesday 01:00."),
        (range(0), "Full speed, all week."),
    ],
)
def test_what_is_in_force_is_said_in_a_sentence(hours: range, said: str) -> None:
    schedule = Schedule(week=Week().painted(frozenset(hours), Profile.POLITE), zone=PARIS)
    assert told(in_force(schedule, {}, None, NOON), schedule, NOON) == said


def test_a_used_up_budget_says_until_when() -> None:
    schedule = Schedule(
        zone=PARIS, allowances={Span.DAY: Allowance(ByteCount(10)), Span.MONTH: Allowance(None, ByteCount(10**12))}
    )
    standing = in_force(schedule, {Span.DAY: (10, 0), Span.MONTH: (10, 10**12)}, None, NOON)
    assert told(standing, schedule, NOON) == (
        "Today's upload is used up until midnight. This month's download is used up until 1 December."
    )
    assert (standing.budget.upload, standing.budget.download) == (0, 0)


def test_a_daily_budget_alone_is_planned_with_for_a_week() -> None:
    schedule = Schedule(zone=PARIS, allowances={Span.DAY: Allowance(None, ByteCount(10**9))})
    found = quota(schedule, {Span.DAY: (0, 4 * 10**8)}, NOON)
    assert found is not None
    assert (found.left, found.reset) == (66 * 10**8, datetime(2026, 11, 28, tzinfo=PARIS))
