"""The token bucket: so many bytes a second, on a clock that stands until it is moved."""

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from appliance.clock import ManualClock
from appliance.domain.units import BytesPerSecond
from appliance.seed.bucket import Bucket

START = datetime(2026, 11, 21, tzinfo=UTC)


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_without_a_limit_nobody_waits() -> None:
    bucket = Bucket(ManualClock(START))
    await asyncio.wait_for(bucket.take(10**12), 1)


async def test_zero_stops_until_the_limit_is_lifted() -> None:
    clock = ManualClock(START)
    bucket = Bucket(clock)
    bucket.set_rate(BytesPerSecond(0))
    taking = asyncio.create_task(bucket.take(1))
    for _ in range(20):
        await _settled()
        clock.advance(1)
    assert not taking.done()
    bucket.set_rate(None)
    await _settled()
    clock.advance(1)
    await asyncio.wait_for(taking, 1)


async def _taken(rate: int, counts: list[int], seconds: int) -> int:
    clock = ManualClock(START)
    bucket = Bucket(clock)
    bucket.set_rate(BytesPerSecond(rate))
    taken = 0

    async def take() -> None:
        nonlocal taken
        for n in range(10**6):
            count = counts[n % len(counts)]
            await bucket.take(count)
            taken += count

    taking = asyncio.create_task(take())
    for _ in range(seconds * 20):
        await _settled()
        clock.advance(0.05)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    return taken


@given(rate=st.integers(1000, 10**7), shares=st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_over_ten_seconds_the_limit_holds_and_is_used(rate: int, shares: list[int]) -> None:
    counts = [max(1, rate * share // 100) for share in shares]
    taken = asyncio.run(_taken(rate, counts, 10))
    assert taken <= 11 * rate + max(counts)
    assert taken >= 8 * rate
