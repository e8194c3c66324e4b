"""How one origin is treated: paced, shared, left alone, and what is kept of that."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from appliance.clock import ManualClock
from appliance.domain.catalogue import OriginToday
from appliance.domain.units import ByteCount, Origin
from appliance.errors import Throttled, Unreachable
from appliance.outbound.lane import Lane
from appliance.outbound.manners import FIRST_REST, LONGEST_REST, Ask, Manners

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
TUBE = Origin("tube.example")


class JumpingClock(ManualClock):
    """A clock whose sleepers wake at once, the time having passed."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(NOW)


@pytest.fixture
def manners(clock: JumpingClock) -> Manners:
    return Manners(clock, lambda: 0.5)


async def ask(manners: Manners, kind: Ask = Ask.API, status: int = 200, priority: bool = False, **headers: str) -> None:
    async with manners.turn(TUBE, kind, priority):
        manners.heard(TUBE, kind, status, {k.replace("_", "-"): v for k, v in headers.items()})


async def times(manners: Manners, clock: JumpingClock, count: int, **headers: str) -> list[float]:
    found = []
    for _ in range(count):
        async with manners.turn(TUBE, Ask.API):
            found.append(clock.monotonic())
            reset = {k: str(v) for k, v in headers.items()}
            manners.heard(TUBE, Ask.API, 200, {k.replace("_", "-"): v for k, v in reset.items()})
    return found


async def test_the_api_is_asked_at_most_once_a_second(manners: Manners, clock: JumpingClock) -> None:
    at = await times(manners, clock, 20)
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(at))
    assert at[-1] < 20 * 1.25


async def test_small_files_and_media_are_not_paced(manners: Manners, clock: JumpingClock) -> None:
    for _ in range(20):
        await ask(manners, Ask.SIDE)
        await ask(manners, Ask.MEDIA)
    assert clock.monotonic() == 0


async def test_no_more_than_a_quarter_of_the_announced_limit_is_used(manners: Manners, clock: JumpingClock) -> None:
    window = 60.0
    at = []
    for _ in range(30):
        async with manners.turn(TUBE, Ask.API):
            now = clock.now().timestamp()
            ends = now - now % window + window
            at.append(now)
            manners.heard(
                TUBE,
                Ask.API,
                200,
                {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "19", "x-ratelimit-reset": str(ends)},
            )
    used = [sum(1 for t in at if t // window == w) for w in {t // window for t in at}]
    assert max(used) <= 5
    assert at[-1] - at[0] >= window * 5


async def test_a_household_that_uses_the_limit_comes_first(manners: Manners, clock: JumpingClock) -> None:
    reset = str(NOW.timestamp() + 8)
    await ask(manners, x_ratelimit_limit="50", x_ratelimit_remaining="3", x_ratelimit_reset=reset)
    at = await times(manners, clock, 1)
    assert at[0] >= 8


async def test_a_wrong_clock_at_the_origin_does_not_stop_us(manners: Manners, clock: JumpingClock) -> None:
    there = NOW + timedelta(days=400)
    await ask(
        manners,
        x_ratelimit_limit="4",
        x_ratelimit_remaining="0",
        x_ratelimit_reset=str(there.timestamp() + 10),
        date=there.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    )
    at = await times(manners, clock, 1)
    assert 9 <= at[0] <= 11


@pytest.mark.parametrize("reset", ["1e300", "-1", "nan", "inf", "soon", "9999999999999"])
async def test_absurd_limits_hold_us_a_quarter_of_an_hour_at_most(
    manners: Manners, clock: JumpingClock, reset: str
) -> None:
    await ask(manners, x_ratelimit_limit="1", x_ratelimit_remaining="0", x_ratelimit_reset=reset)
    at = await times(manners, clock, 1)
    assert at[0] <= 15 * 60 + 2


async def test_a_failing_origin_is_left_alone_twice_as_long_each_time(manners: Manners, clock: JumpingClock) -> None:
    rests = []
    for _ in range(14):
        clock.advance(manners.rest(TUBE))
        await ask(manners, status=502)
        rests.append(manners.rest(TUBE))
    assert rests[:3] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]
    assert rests[-1] == LONGEST_REST


async def test_while_it_is_left_alone_nothing_is_asked(manners: Manners) -> None:
    await ask(manners, status=500)
    for kind in Ask:
        with pytest.raises(Throttled, match="left alone") as caught:
            await ask(manners, kind)
        assert caught.value.after == pytest.approx(FIRST_REST)
    assert manners.asked_today(TUBE).api == 1


async def test_a_viewer_does_not_wait_out_our_own_back_off_but_what_the_origin_asked_for(manners: Manners) -> None:
    await ask(manners, status=500)
    await ask(manners, Ask.MEDIA, status=429, priority=True, retry_after="60")
    with pytest.raises(Throttled):
        await ask(manners, Ask.MEDIA, priority=True)


async def test_retry_after_is_obeyed_to_the_second(manners: Manners, clock: JumpingClock) -> None:
    await ask(manners, status=429, retry_after="30")
    assert 30 <= manners.rest(TUBE) <= 31
    clock.advance(29)
    started = clock.monotonic()
    await ask(manners)
    assert clock.monotonic() - started >= 1
    assert manners.rest(TUBE) == 0


async def test_an_answer_ends_the_back_off(manners: Manners, clock: JumpingClock) -> None:
    for _ in range(3):
        clock.advance(manners.rest(TUBE))
        await ask(manners, status=500)
    clock.advance(manners.rest(TUBE))
    await ask(manners, status=404)
    assert manners.rest(TUBE) == 0
    await ask(manners, status=500)
    assert manners.rest(TUBE) == FIRST_REST


async def test_a_time_out_counts_as_a_failure(manners: Manners) -> None:
    with pytest.raises(Unreachable):
        async with manners.turn(TUBE, Ask.API):
            raise Unreachable("gone")
    assert manners.rest(TUBE) == FIRST_REST


async def test_what_is_known_of_an_origin_outlives_the_process(manners: Manners, clock: JumpingClock) -> None:
    await ask(manners)
    await ask(manners, Ask.MEDIA)
    manners.received(TUBE, 5000)
    await ask(manners, status=500)
    kept = manners.export()
    assert kept == (
        OriginToday(TUBE, 3, ByteCount(5000), 1, clock.now() + timedelta(seconds=FIRST_REST), kept[0].last_ok),
    )
    again = Manners(clock, lambda: 0.5)
    again.restore(kept)
    assert again.rest(TUBE) == FIRST_REST
    with pytest.raises(Throttled):
        await ask(again)
    clock.advance(FIRST_REST)
    await ask(again, status=500)
    assert again.rest(TUBE) == 2 * FIRST_REST


async def test_the_count_begins_anew_with_the_day(manners: Manners, clock: JumpingClock) -> None:
    await ask(manners)
    await ask(manners, Ask.SIDE)
    manners.received(TUBE, 77)
    assert (manners.asked_today(TUBE).api, manners.asked_today(TUBE).other, manners.asked_today(TUBE).received) == (
        1,
        1,
        77,
    )
    clock.advance(15 * 3600)
    asked = manners.asked_today(TUBE)
    assert (asked.day, asked.api, asked.other, asked.received) == (NOW.date() + timedelta(days=1), 0, 0, 0)


async def test_origins_do_not_wait_for_each_other(manners: Manners, clock: JumpingClock) -> None:
    await ask(manners, status=500)
    async with manners.turn(Origin("other.example"), Ask.API):
        assert clock.monotonic() == 0


# Who goes first


async def most_at_once(lane: Lane, jobs: list[bool]) -> tuple[int, list[bool]]:
    inside = most = 0
    order: list[bool] = []

    async def job(priority: bool) -> None:
        nonlocal inside, most
        await lane.enter(priority)
        order.append(priority)
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001)
        inside -= 1
        lane.leave()

    await asyncio.gather(*map(job, jobs))
    return most, order


async def test_media_uses_two_connections_and_one_more_for_a_viewer() -> None:
    assert (await most_at_once(Lane(2, 1), [False] * 10))[0] == 2
    assert (await most_at_once(Lane(2, 1), [False] * 5 + [True] * 5))[0] == 3


async def test_a_viewer_goes_first() -> None:
    _, order = await most_at_once(Lane(1), [False] * 5 + [True] * 3)
    assert order == [False] + [True] * 3 + [False] * 4


async def test_the_api_is_asked_one_thing_at_a_time(manners: Manners) -> None:
    inside = 0

    async def one() -> None:
        nonlocal inside
        async with manners.turn(TUBE, Ask.API):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(5)))


@pytest.mark.parametrize("when", ["waiting", "admitted"])
async def test_whoever_gives_up_waiting_leaves_no_gap(when: str) -> None:
    lane = Lane(1)
    await lane.enter()
    waiting = asyncio.ensure_future(lane.enter())
    await asyncio.sleep(0)
    if when == "admitted":
        lane.leave()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if when == "waiting":
        lane.leave()
    assert lane.idle
    await asyncio.wait_for(lane.enter(), 1)


def _crowded(left: int) -> dict[str, str]:
    reset = str(NOW.timestamp() + 10)
    return {"x-ratelimit-limit": "50", "x-ratelimit-remaining": str(left), "x-ratelimit-reset": reset}


@pytest.mark.parametrize(("left", "waits"), [(5, False), (0, True)], ids=["some of the limit left", "nothing left"])
async def test_a_person_goes_before_our_own_questions_within_the_limit(left: int, waits: bool) -> None:
    clock = ManualClock(NOW)
    manners, order = Manners(clock, lambda: 0.5), list[str]()

    async def question(name: str, priority: bool) -> None:
        async with manners.turn(TUBE, Ask.API, priority):
            order.append(f"{name} at {clock.monotonic():.0f}")
            manners.heard(TUBE, Ask.API, 200, _crowded(left - 1 if left else 0))

    async with manners.turn(TUBE, Ask.API):
        manners.heard(TUBE, Ask.API, 200, _crowded(left))
    ours = [asyncio.create_task(question(f"ours {n}", False)) for n in range(2)]
    await asyncio.sleep(0.01)
    person = asyncio.create_task(question("person", True))
    for _ in range(30):
        await asyncio.sleep(0.001)
        clock.advance(0.5)
    await asyncio.gather(person, *ours)
    assert waits or order[0].startswith("person")
    asked = float(next(line for line in order if "person" in line).rpartition(" at ")[2])
    assert asked >= 10 if waits else 1 <= asked <= 2
    times_asked = [float(line.rpartition(" at ")[2]) for line in order]
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times_asked))


async def test_an_answer_to_an_older_question_does_not_end_a_rest(manners: Manners) -> None:
    async with manners.turn(TUBE, Ask.SIDE) as older, manners.turn(TUBE, Ask.SIDE) as newer:
        manners.heard(TUBE, Ask.SIDE, 429, {"retry-after": "600"}, newer)
        manners.heard(TUBE, Ask.SIDE, 200, {}, older)
    assert manners.rest(TUBE) >= 600
    manners.heard(TUBE, Ask.SIDE, 200, {}, newer + 1)
    assert manners.rest(TUBE) == 0
