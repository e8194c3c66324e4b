"""Budgets of transfer outlive restarts, kills and clocks that are set: nothing is reset or counted twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.clock import ManualClock
from appliance.domain.traffic import Budget, TrafficClass
from appliance.domain.units import ByteCount, BytesPerSecond
from appliance.errors import BadInput
from appliance.seed.purse import Purse
from appliance.seed.schedule import Allowance, Schedule, Span
from appliance.seed.tally import Tally
from appliance.store.engine import Store

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONTHLY = Schedule(
    full=Budget(BytesPerSecond(1000), BytesPerSecond(1000)),
    zone=PARIS,
    allowances={Span.MONTH: Allowance(ByteCount(10**9), ByteCount(10**9))},
)
PEERS, ORIGINS = TrafficClass.INTERNET_PEERS, TrafficClass.ORIGINS


class Steady:
    """Seconds since boot, whatever the clock says."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def a_purse(folder: Path, clock: ManualClock, steady: Steady, *, ends: bool = True) -> AsyncIterator[Purse]:
    """Open the purse as a process does; without ``ends`` the process is killed."""
    async with Store(folder / "catalogue.db") as store:
        purse = Purse(store, clock, MONTHLY, steady)
        await purse.open()
        yield purse
        if ends:
            await purse.note(last=True)


def pass_time(clock: ManualClock, steady: Steady, seconds: float) -> None:
    clock.advance(seconds)
    steady.seconds += seconds


async def test_only_what_crosses_the_uplink_counts(tmp_path: Path) -> None:
    async with a_purse(tmp_path, ManualClock(NOW), Steady()) as purse:
        for traffic in TrafficClass:
            purse.count(traffic, 1, 10)
        assert purse.used() == {Span.DAY: (2, 20), Span.MONTH: (2, 20)}


async def test_what_was_spent_outlives_an_orderly_end_to_the_byte(tmp_path: Path) -> None:
    clock, steady = ManualClock(NOW), Steady()
    async with a_purse(tmp_path, clock, steady) as purse:
        purse.count(PEERS, 123, 45)
        await purse.keep()
        purse.count(ORIGINS, 0, 6)
    async with a_purse(tmp_path, clock, steady) as purse:
        assert purse.used()[Span.MONTH] == (123, 51)


async def test_what_a_killed_process_spent_unwritten_counts_and_a_little_more(tmp_path: Path) -> None:
    clock, steady = ManualClock(NOW), Steady()
    spent = 0
    async with a_purse(tmp_path, clock, steady, ends=False) as purse:
        for second in range(200):
            pass_time(clock, steady, 1)
            purse.count(PEERS, 10_000 * second, 0)
            spent += 10_000 * second
            await purse.keep()
    for _ in range(3):
        async with a_purse(tmp_path, clock, steady) as purse:
            counted = purse.used()[Span.MONTH][0]
            assert spent <= counted <= spent + 60 * 10_000 * 200


async def test_a_used_up_month_begins_anew_on_its_day_after_a_restart(tmp_path: Path) -> None:
    clock, steady = ManualClock(NOW), Steady()
    async with a_purse(tmp_path, clock, steady) as purse:
        purse.count(PEERS, 10**9, 0)
        assert purse.standing().budget.upload == 0
        assert purse.standing().budget.download == 1000
    clock.advance(2 * 86_400)
    async with a_purse(tmp_path, clock, steady) as purse:
        assert purse.told().startswith("This month's upload is used up until 1 December.")
    clock.advance(8 * 86_400)
    async with a_purse(tmp_path, clock, steady) as purse:
        assert purse.standing().budget.upload == 1000
        assert purse.used()[Span.MONTH] == (0, 0)


@pytest.mark.parametrize("jump", [40 * DAY, -40 * DAY, 10 * 365 * DAY, -2 * HOUR, -400 * DAY])
async def test_setting_the_clock_neither_resets_nor_doubles_what_this_process_counted(
    tmp_path: Path, jump: timedelta
) -> None:
    clock, steady = ManualClock(NOW), Steady()
    async with a_purse(tmp_path, clock, steady) as purse:
        purse.count(PEERS, 10**9, 7)
        pass_time(clock, steady, 90)
        await purse.keep()
        clock.set(NOW + jump)
        await purse.keep()
        assert purse.used()[Span.MONTH] == (10**9, 7)
        assert purse.standing().budget.upload == 0
        pass_time(clock, steady, 90)
        purse.count(PEERS, 1, 1)
        clock.set(NOW + timedelta(minutes=10))
        await purse.keep()
        assert purse.used()[Span.MONTH] == (10**9 + 1, 8)
    async with a_purse(tmp_path, clock, steady) as purse:
        assert purse.used()[Span.MONTH] == (10**9 + 1, 8)


async def test_a_board_without_a_battery_boots_in_the_past_and_is_then_told_the_time(tmp_path: Path) -> None:
    clock, steady = ManualClock(NOW), Steady()
    async with a_purse(tmp_path, clock, steady) as purse:
        purse.count(PEERS, 900_000_000, 0)
    clock, steady = ManualClock(datetime(1970, 1, 1, tzinfo=UTC)), Steady()
    async with a_purse(tmp_path, clock, steady) as purse:
        assert purse.used()[Span.MONTH] == (900_000_000, 0), "what is dated later counts as now"
        purse.count(PEERS, 50, 0)
        pass_time(clock, steady, 20)
        clock.set(NOW + HOUR)
        await purse.keep()
        assert purse.used()[Span.MONTH] == (900_000_050, 0)
    clock, steady = ManualClock(NOW - 3 * DAY), Steady()
    async with a_purse(tmp_path, clock, steady) as purse:
        clock.set(datetime(2026, 12, 2, tzinfo=UTC))
        await purse.keep()
        assert purse.used()[Span.MONTH] == (0, 0), "the month did end while the board was off"


async def test_what_an_earlier_process_dated_ahead_of_time_counts_once(tmp_path: Path) -> None:
    steady = Steady()
    async with a_purse(tmp_path, ManualClock(NOW - 2 * DAY), steady) as purse:
        purse.count(PEERS, 5, 0)
    async with a_purse(tmp_path, ManualClock(NOW + 300 * DAY), steady) as purse:
        purse.count(PEERS, 7, 0)
    clock = ManualClock(NOW)
    async with a_purse(tmp_path, clock, steady) as purse:
        assert purse.used()[Span.MONTH] == (12, 0)
        pass_time(clock, steady, 3700)
        await purse.keep()
        assert purse.used()[Span.MONTH] == (12, 0)
    for later in (30 * DAY, 300 * DAY):
        async with a_purse(tmp_path, ManualClock(NOW + later), steady) as purse:
            assert purse.used()[Span.MONTH] == (0, 0)


async def test_quiet_outlives_a_restart_and_ends_by_itself(tmp_path: Path) -> None:
    clock, steady = ManualClock(NOW), Steady()
    async with a_purse(tmp_path, clock, steady) as purse:
        with pytest.raises(BadInput):
            await purse.be_quiet(timedelta(hours=25))
        await purse.be_quiet(timedelta(hours=2))
        assert purse.told() == "Quiet until 15:30."
    async with a_purse(tmp_path, clock, steady) as purse:
        assert purse.standing().budget.upload == 0
        pass_time(clock, steady, 7200)
        assert purse.standing().budget.upload == 1000
        assert purse.quiet_until is None
        await purse.be_quiet(timedelta(hours=2))
        await purse.end_quiet()
        assert purse.standing().budget.upload == 1000


steps = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), st.integers(0, 10**9)),
        st.tuples(st.just("pass"), st.integers(0, 3 * 86_400)),
        st.tuples(st.just("set"), st.integers(-90 * 86_400, 90 * 86_400)),
    ),
    max_size=30,
)


@given(steps, st.sampled_from(("UTC", "Europe/Paris", "Asia/Kolkata", "Australia/Lord_Howe")))
def test_no_history_of_clocks_loses_or_makes_a_byte(history: list[tuple[str, int]], zone: str) -> None:
    now, steady, total = NOW, 0.0, 0
    tally = Tally({}, ZoneInfo(zone), now, steady)
    for what, n in history:
        if what == "spend":
            tally.add(n, 0, now)
            total += n
        elif what == "pass":
            now, steady = now + timedelta(seconds=n), steady + n
        else:
            now += timedelta(seconds=n)
        tally.watch(now, steady)
        assert tally.since(datetime(1900, 1, 1, tzinfo=UTC)) == (total, 0)
        assert all(up >= 0 for up, _ in tally.hours().values())
    written = tally.changes()
    assert sum(up for up, _ in written.values()) == total
    tally.written(written, (0, 0))
    assert tally.changes() == {}
