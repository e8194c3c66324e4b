"""The tender: limits handed to every spender, and a ledger that counts each byte once and outlives the process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.clock import ManualClock
from appliance.domain.traffic import Budget, Profile, TrafficClass, Week
from appliance.domain.units import ByteCount, BytesPerSecond, InfoHash, Origin, RenditionName, VideoId
from appliance.outbound.fetch import Fetcher, OutboundOptions
from appliance.seed.schedule import Allowance, Schedule, Span
from appliance.seed.tender import Tender
from appliance.store import ledger
from appliance.store.engine import Store
from appliance.swarm.fake import FakeSwarm
from appliance.swarm.port import Flow

START = datetime(2026, 11, 21, 23, 59, tzinfo=UTC)
DAY = START.date()
VIDEO, NAME, HASH, HOST = VideoId("v"), RenditionName("720p"), InfoHash("ab" * 20), Origin("tube.example.org")
PEERS, PLAYERS = TrafficClass.INTERNET_PEERS, TrafficClass.LAN_PLAYERS


class Scene:
    def __init__(self, store: Store, swarm: FakeSwarm, budget: Budget) -> None:
        self.store, self.swarm, self.clock = store, swarm, ManualClock(START)
        self.fetcher = Fetcher(OutboundOptions(), self.clock)
        self.known = {HASH: (VIDEO, NAME)}
        self.tender = Tender(store, swarm, self.fetcher, self.clock, Schedule(full=budget), self.known.get)

    async def seconds(self, count: int) -> None:
        for _ in range(count):
            await self.at_rest()
            self.clock.advance(1)
        await self.at_rest()

    async def at_rest(self) -> None:
        """Wait until the tender sleeps: it writes in a thread."""
        async with asyncio.timeout(10):
            while not self.clock.sleepers:  # noqa: ASYNC110 - a test's clock tells nobody who begins to sleep
                await asyncio.sleep(0.001)

    def flow(self, up: int, down: int, traffic: TrafficClass = PEERS) -> None:
        self.swarm._flows.append(Flow(HASH, traffic, ByteCount(up), ByteCount(down)))

    async def days(self) -> dict[TrafficClass, tuple[ByteCount, ByteCount]]:
        found = await self.store.read(ledger.days, DAY, DAY + timedelta(days=1))
        total: dict[TrafficClass, tuple[ByteCount, ByteCount]] = {}
        for classes in found.values():
            for traffic, (up, down) in classes.items():
                before = total.get(traffic, (0, 0))
                total[traffic] = ByteCount(before[0] + up), ByteCount(before[1] + down)
        return total


@asynccontextmanager
async def a_scene(folder: Path, budget: Budget | None = None, *, running: bool = True) -> AsyncIterator[Scene]:
    async with Store(folder / "catalogue.db") as store, FakeSwarm() as swarm:
        scene = Scene(store, swarm, budget or Budget())
        task = asyncio.create_task(scene.tender.run()) if running else None
        try:
            yield scene
        finally:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def test_bytes_are_counted_by_class_and_rendition_and_outlive_the_process(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        scene.flow(1000, 200)
        scene.flow(50, 0, TrafficClass.LAN_PEERS)
        scene.tender.count_player(VIDEO, NAME, True, 300)
        scene.tender.count_player(VIDEO, NAME, False, 40)
        await scene.seconds(2)
        await scene.tender.close()
    async with a_scene(tmp_path) as scene:
        assert await scene.days() == {
            PEERS: (1000, 200),
            TrafficClass.LAN_PEERS: (50, 0),
            PLAYERS: (300, 0),
            TrafficClass.WAN_PLAYERS: (40, 0),
        }
        assert await scene.store.read(ledger.of_video, VIDEO) == (1390, 200)


async def test_what_came_over_http_is_named_and_not_counted_twice(tmp_path: Path) -> None:
    async with a_scene(tmp_path, running=False) as scene:
        scene.tender.count_origin(HOST, 500)
        scene.tender.count_origin(HOST, 1000)
        scene.tender.count_fetched(VIDEO, NAME, 900)
        await scene.tender.flush()
        scene.tender.count_origin(HOST, 100)
        await scene.tender.flush()
        scene.tender.count_fetched(VIDEO, NAME, 100)
        scene.tender.count_origin(HOST, 70)
        scene.tender.count_origin(HOST, 70)
        await scene.tender.close()
        assert (await scene.days())[TrafficClass.ORIGINS] == (0, 1740)
        assert await scene.store.read(ledger.of_video, VIDEO) == (0, 1000)


async def test_what_came_from_a_server_on_the_lan_costs_no_budget(tmp_path: Path) -> None:
    async with a_scene(tmp_path, running=False) as scene:
        await scene.tender.open()
        scene.tender.count_origin(HOST, 300)
        before = scene.tender.purse.used()
        scene.tender.count_origin(HOST, 5000, near=True)
        scene.tender.count_fetched(VIDEO, NAME, 4000)
        assert scene.tender.purse.used() == before
        await scene.tender.close()
        days = await scene.days()
        assert (days[TrafficClass.ORIGINS], days[TrafficClass.LAN_PEERS]) == ((0, 300), (0, 5000))
        assert await scene.store.read(ledger.of_video, VIDEO) == (0, 4000)


async def test_the_ledger_is_written_each_minute_and_a_day_ends_at_midnight(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        scene.flow(10, 0)
        await scene.seconds(2)
        written = asyncio.Event()
        end = scene.store.listen(lambda marks: written.set() if ("ledger", "") in marks else None)
        await scene.seconds(60)
        scene.flow(7, 0)
        await scene.seconds(2)
        await asyncio.wait_for(written.wait(), 5)
        end()
        await scene.tender.close()
        found = await scene.store.read(ledger.days, DAY, DAY + timedelta(days=1))
        assert found[DAY][PEERS] == (10, 0)
        assert found[DAY + timedelta(days=1)][PEERS] == (7, 0)


async def test_what_left_with_a_torrent_that_is_gone_is_still_its_videos(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        scene.flow(5, 0)
        await scene.seconds(2)
        scene.known.clear()
        scene.flow(6, 0)
        await scene.seconds(2)
        await scene.tender.close()
        assert await scene.store.read(ledger.of_video, VIDEO) == (11, 0)


async def test_a_ledger_that_cannot_be_written_keeps_its_counts(tmp_path: Path) -> None:
    async with a_scene(tmp_path, running=False) as scene:
        scene.tender.count_player(VIDEO, NAME, True, 300)
        real, scene.tender._store = scene.store, None  # type: ignore[assignment]
        with suppress(AttributeError):
            await scene.tender.flush()
        scene.tender._store = real
        scene.tender.count_player(VIDEO, NAME, True, 1)
        await scene.tender.close()
        assert (await scene.days())[PLAYERS] == (301, 0)


async def test_new_limits_are_in_force_at_once(tmp_path: Path) -> None:
    async with a_scene(tmp_path, Budget(upload=BytesPerSecond(1000))) as scene:
        await scene.seconds(2)
        assert scene.swarm.budget.upload == 1000
        await scene.tender.reconfigure(Schedule(full=Budget(BytesPerSecond(77), lan_upload=BytesPerSecond(5))))
        assert (scene.swarm.budget.upload, scene.swarm.budget.lan_upload) == (77, 5)


async def test_a_player_elsewhere_takes_its_share_from_the_swarm_before_its_first_byte(tmp_path: Path) -> None:
    async with a_scene(tmp_path, Budget(upload=BytesPerSecond(1000))) as scene:
        await scene.seconds(2)
        await asyncio.wait_for(scene.tender.pace_player(False, 50), 5)
        assert scene.swarm.budget.upload == 900
        await asyncio.wait_for(scene.tender.pace_player(True, 10**9), 5)
        scene.tender.count_player(VIDEO, NAME, False, 400)
        await scene.seconds(1)
        assert scene.swarm.budget.upload == 200
        await scene.seconds(3)
        assert scene.swarm.budget.upload == 1000


async def test_a_viewer_who_waits_for_an_origin_takes_its_share_from_the_swarm_at_once(tmp_path: Path) -> None:
    async with a_scene(tmp_path, Budget(download=BytesPerSecond(1000))) as scene:
        await scene.seconds(2)
        assert scene.swarm.budget.download == 900
        meter = scene.fetcher._meter
        meter.note(5000)
        pinning = asyncio.create_task(meter.go_on(False))
        await asyncio.sleep(0.01)
        assert scene.swarm.budget.download == 900
        viewer = asyncio.create_task(meter.go_on(True))
        async with asyncio.timeout(10):
            while scene.swarm.budget.download != 100:  # noqa: ASYNC110 - the swarm tells nobody of its limits
                await asyncio.sleep(0)
        await scene.seconds(1)
        assert scene.swarm.budget.download == 100
        for waiting in (viewer, pinning):
            waiting.cancel()
        await scene.seconds(3)
        assert scene.swarm.budget.download == 900


async def test_a_month_used_up_stays_so_over_a_restart_and_a_set_clock_and_begins_anew_in_time(tmp_path: Path) -> None:
    stirred: list[str] = []

    @asynccontextmanager
    async def running(now: datetime) -> AsyncIterator[Scene]:
        async with Store(tmp_path / "catalogue.db") as store, FakeSwarm() as swarm:
            scene = Scene(store, swarm, Budget())
            scene.clock = ManualClock(now)
            scene.tender = Tender(
                store,
                swarm,
                scene.fetcher,
                scene.clock,
                Schedule(allowances={Span.MONTH: Allowance(ByteCount(10**10), ByteCount(10**10))}, billing_day=3),
                scene.known.get,
                stirred=lambda: stirred.append(quota.why if (quota := scene.tender.quota()) else ""),
            )
            task = asyncio.create_task(scene.tender.run())
            yield scene
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async with running(START) as scene:
        await scene.seconds(2)
        assert scene.swarm.budget.upload is None
        scene.flow(10**10, 10**10)
        await scene.seconds(1)
        assert scene.swarm.budget == Budget(BytesPerSecond(0), BytesPerSecond(0))
        assert stirred == ["This month's download is used up until 3 December."]
        scene.clock.set(START + timedelta(days=40))
        await scene.seconds(1)
        assert scene.swarm.budget.upload == 0, "setting the clock is not the month's end"
        scene.clock.set(START + timedelta(seconds=9))
        await scene.seconds(1)
        assert scene.swarm.budget.upload == 0
    async with running(START + timedelta(hours=1)) as scene:
        await scene.seconds(1)
        assert (scene.swarm.budget.upload, scene.fetcher.stopped) == (0, True)
        await asyncio.wait_for(scene.tender.pace_player(True, 10**9), 5)
        scene.tender.count_player(VIDEO, NAME, True, 10**9)
        scene.clock.advance(11 * 86_400)
        await scene.seconds(1)
        assert scene.swarm.budget.upload is None
        assert not scene.fetcher.stopped
        assert stirred[-1] == ""


async def test_limits_change_at_the_hour_and_not_at_the_next_second(tmp_path: Path) -> None:
    async with Store(tmp_path / "catalogue.db") as store, FakeSwarm() as swarm:
        scene = Scene(store, swarm, Budget())
        scene.clock = ManualClock(datetime(2026, 11, 21, 12, 59, 59, 750_000, tzinfo=UTC))
        week = Week().painted(frozenset({5 * 24 + 13}), Profile.OFF)
        scene.tender = Tender(store, swarm, scene.fetcher, scene.clock, Schedule(week=week), scene.known.get)
        task = asyncio.create_task(scene.tender.run())
        await scene.at_rest()
        assert swarm.budget.upload is None
        scene.clock.advance(0.25)
        await scene.at_rest()
        assert swarm.budget.upload == 0
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_brake_holds_upload_back_and_nothing_else(tmp_path: Path) -> None:
    async with Store(tmp_path / "catalogue.db") as store, FakeSwarm() as swarm:
        scene = Scene(store, swarm, Budget())
        tender = Tender(
            store, swarm, scene.fetcher, scene.clock, Schedule(), scene.known.get, brake=lambda: BytesPerSecond(500)
        )
        await tender.open()
        assert (swarm.budget.upload, swarm.budget.download) == (500, None)
