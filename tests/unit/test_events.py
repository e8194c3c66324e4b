"""Server-sent events: one source for all who listen."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from appliance.store import channels, logins
from tests.unit.house import House, a_house, a_token, address, fill, summary
from web.events import MOST_LISTENERS, Events


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def listening(
    house: House, base: str, token: str = ""
) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, object]]]]:
    """Listen as a browser does; give (name, data) of each event."""
    headers = {"authorization": f"Bearer {token or await a_token(house, 'read')}"}

    async def read(answer: httpx.Response) -> AsyncIterator[tuple[str, dict[str, object]]]:
        name = ""
        async for line in answer.aiter_lines():
            kind, _, rest = line.partition(": ")
            if kind == "event":
                name = rest
            elif kind == "data":
                yield name, msgspec.json.decode(rest, type=dict[str, object])

    async with (
        httpx.AsyncClient(base_url=base, headers=headers) as client,
        client.stream("GET", "/api/v1/events") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read(answer)


async def the_next(events: AsyncIterator[tuple[str, dict[str, object]]], name: str) -> dict[str, object]:
    async with asyncio.timeout(5):
        async for found, data in events:
            if found == name:
                return data
    raise AssertionError("the stream ended")


async def test_rates_come_at_once_and_then_every_second(house: House) -> None:
    async with house.served() as base, listening(house, base) as events:
        first = await the_next(events, "rates")
        assert first["up"] == 1_250_000
        assert first["activity"] == []
        began = time.monotonic()
        await the_next(events, "rates")
        assert 0.5 < time.monotonic() - began < 3


async def test_what_the_store_touched_is_told_by_kind_and_id(house: House) -> None:
    async with house.served() as base, listening(house, base) as events:
        await the_next(events, "rates")
        ident = await house.store.promise(channels.follow, address("boats"), house.clock.now())
        assert (await the_next(events, "changed"))["channel"] == [ident]


async def test_many_changes_come_together_and_a_crowd_of_ids_as_any(house: House) -> None:
    async with house.served() as base, listening(house, base) as events:
        await the_next(events, "rates")
        began = time.monotonic()
        for n in range(300):
            await house.store.write(channels.follow, address(f"channel-{n}"), house.clock.now())
        told: list[dict[str, object]] = []
        seen: set[object] = set()
        while len(seen) < 300 and not any(not data["channel"] for data in told):
            told.append(await the_next(events, "changed"))
            seen |= set(told[-1]["channel"])  # type: ignore[call-overload]
        assert len(told) <= 2 * (time.monotonic() - began) + 2


async def test_another_limit_in_force_is_told_although_no_store_is_touched(house: House) -> None:
    async with house.served() as base, listening(house, base) as events:
        await the_next(events, "rates")
        await house.services.spending.be_quiet(timedelta(hours=2))
        assert await the_next(events, "changed") == {"standing": []}


async def test_a_screen_that_begins_to_play_is_told(house: House) -> None:
    async with house.served() as base, listening(house, base) as events:
        await the_next(events, "rates")
        house.leases.renew(summary(1).id, "192.168.1.23")
        assert await the_next(events, "changed") == {"playing": []}


async def test_two_browsers_hear_the_same_from_one_source(house: House) -> None:
    token = await a_token(house, "read")
    async with house.served() as base, listening(house, base, token) as one, listening(house, base, token) as two:
        await the_next(one, "rates")
        await the_next(two, "rates")
        assert len([t for t in asyncio.all_tasks() if t.get_name() == "events-rates"]) == 1
        await fill(house, 2)
        assert "channel" in await the_next(one, "changed")
        assert "channel" in await the_next(two, "changed")


async def test_nothing_runs_when_nobody_listens(house: House) -> None:
    async with house.served() as base:
        async with listening(house, base) as events:
            await the_next(events, "rates")
            working = [task for task in asyncio.all_tasks() if task.get_name().startswith("events-")]
            assert len(working) == 2
        _, still = await asyncio.wait(working, timeout=5)
        assert not still


async def test_an_open_stream_does_not_delay_the_end(house: House) -> None:
    ended = asyncio.Event()

    async def listen(base: str, started: asyncio.Event) -> None:
        async with listening(house, base) as events:
            await the_next(events, "rates")
            started.set()
            async for _ in events:
                pass
        ended.set()

    started = asyncio.Event()
    async with house.served() as base:
        task = asyncio.create_task(listen(base, started))
        await started.wait()
        began = time.monotonic()
    assert time.monotonic() - began < 2
    await task
    assert ended.is_set()


async def test_a_change_of_logins_ends_every_stream_so_that_each_is_judged_anew(house: House) -> None:
    events = Events(house.services)
    stream = events.listen()
    await anext(stream)
    await house.store.write(logins.close_all_logins)
    async with asyncio.timeout(5):
        assert [event async for event in stream] == []
    events.stop()


async def test_a_slow_browser_is_dropped_and_the_others_are_not(house: House) -> None:
    events = Events(house.services)
    slow, quick = events.listen(), events.listen()
    await anext(slow)
    await anext(quick)
    for n in range(40):
        events._tell(b"event: %d\n\n" % n)
        assert await anext(quick) == b"event: %d\n\n" % n
    assert events.listeners == 1
    assert [event async for event in slow] == []
    await quick.aclose()
    assert events.listeners == 0
    events.stop()


async def test_there_is_an_end_to_listeners(house: House) -> None:
    async with house.served() as base:
        headers = {"authorization": f"Bearer {await a_token(house, 'read')}"}
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=base, headers=headers, limits=limits) as client:
            held = [client.stream("GET", "/api/v1/events") for _ in range(MOST_LISTENERS)]
            opened = [await one.__aenter__() for one in held]
            for answer in opened:
                assert (await anext(answer.aiter_lines())).startswith("retry")
            refused = await client.get("/api/v1/events")
            assert (refused.status_code, refused.json()["code"]) == (503, "too_many_listeners")
            for one in held:
                await one.__aexit__(None, None, None)
