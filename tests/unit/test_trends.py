"""The origin's own trending order: asked for once a day, and only while a rule ranks by it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.domain.plan import Rule, RuleKind
from appliance.domain.units import RuleId
from appliance.follow.trends import Trends
from appliance.outbound.fetch import Fetcher, OutboundOptions
from appliance.store import census, rules
from appliance.store.engine import Store
from tests.unit.test_follower import Tube, followed, following
from tests.world.scripted import QuickClock, Server

TRENDING = Rule(RuleId("trend"), "Trending", RuleKind.TRENDING)


@pytest.fixture
async def tube() -> AsyncIterator[Tube]:
    server = Server()
    await server.start()
    yield Tube(server)
    await server.stop()


class Quiet:
    """What was followed, with nobody asking by himself."""

    def __init__(self, store: Store, fetcher: Fetcher, clock: QuickClock) -> None:
        self.store, self._fetcher, self._clock = store, fetcher, clock

    def trends(self) -> Trends:
        return Trends(self._fetcher, self.store, self._clock)

    async def ranks(self, tube: Tube) -> dict[int, int | None]:
        now = self._clock.now()
        seen = await self.store.read(census.candidates, now, frozenset(), False, now)
        return {n: c.trend_rank for c in seen for n in tube.numbers if tube.id(n) == c.id}


@asynccontextmanager
async def quiet(folder: Path, tube: Tube) -> AsyncIterator[Quiet]:
    async with following(folder / "catalogue.db") as house:
        await followed(house, tube)
    clock, options = QuickClock(), OutboundOptions(True, "Seedkeep/test")
    async with Store(folder / "catalogue.db") as store, Fetcher(options, clock) as fetcher:
        yield Quiet(store, fetcher, clock)


async def test_the_order_is_asked_for_once_a_day_while_a_rule_ranks_by_it(tmp_path: Path, tube: Tube) -> None:
    tube.numbers = [3, 2, 1]
    async with quiet(tmp_path, tube) as house:
        trends = house.trends()
        await trends.look(tube.origin)
        await house.store.promise(rules.put, Rule(RuleId("new"), "New", RuleKind.RECENT))
        await trends.look(tube.origin)
        assert tube.asked("sort=-trending") == []
        await house.store.promise(rules.put, TRENDING)
        await trends.look(tube.origin)
        assert await house.ranks(tube) == {3: 1, 2: 2, 1: 3}
        assert len(tube.asked("sort=-trending&nsfw=both&isLocal=true")) == 1
        await trends.look(tube.origin)
        await house.trends().look(tube.origin)
        assert len(tube.asked("sort=-trending")) == 1, "not even after a restart"


async def test_an_origin_that_does_not_say_is_left_alone_for_a_day(tmp_path: Path, tube: Tube) -> None:
    tube.numbers = [1]

    async def no() -> tuple[int, bytes]:
        return tube.problem(400, "no such order")

    tube.overrides["sort=-trending"] = no
    async with quiet(tmp_path, tube) as house:
        await house.store.promise(rules.put, TRENDING)
        trends = house.trends()
        await trends.look(tube.origin)
        await trends.look(tube.origin)
        assert len(tube.asked("sort=-trending")) == 1
        assert await house.ranks(tube) == {1: None}
        trends._tried[tube.origin] -= timedelta(days=1)
        await trends.look(tube.origin)
        assert len(tube.asked("sort=-trending")) == 2


async def test_who_follows_asks_by_the_way(tmp_path: Path, tube: Tube) -> None:
    tube.numbers = [2, 1]
    async with following(tmp_path / "catalogue.db") as house:
        await house.store.promise(rules.put, TRENDING)
        channel = await followed(house, tube)
        async with asyncio.timeout(20):
            while not tube.asked("sort=-trending"):  # noqa: ASYNC110 - the origin sends no word
                await asyncio.sleep(0.02)
        before = house.clock.now()
        await house.follower.refresh(channel)
        await house.looked(channel, before)
    assert len(tube.asked("sort=-trending")) == 1
