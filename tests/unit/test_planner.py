"""The planner over a real store: it plans at each change, writes decisions down, and gives the first rule once."""

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind
from appliance.domain.pin import Wish
from appliance.domain.plan import Candidate, Disk, ReasonCode, Rule, RuleKind, Verdict
from appliance.domain.units import ByteCount, Origin, RenditionName, RuleId, VideoId, video_id
from appliance.domain.video import Rendition, RenditionKind, Upstream, VideoDetail, VideoSummary
from appliance.errors import LibraryMissing
from appliance.plan import census
from appliance.plan.planner import Planner, PlannerOptions
from appliance.store import channels, decisions, rules, videos
from appliance.store.engine import Store
from appliance.store.leases import Leases
from policies.worth import BUILT_IN, Ranking
from tests.bench.catalogue import fill
from tests.world.scripted import QuickClock

HOST = Origin("tube.example.org")
CHANNEL = ChannelInfo(ChannelAddress(f"https://{HOST}", HOST, ChannelKind.CHANNEL, "films"), title="Films")
GB = 10**9
THEN = datetime(2026, 11, 20, tzinfo=UTC)


def summary(n: int) -> VideoSummary:
    return VideoSummary(
        id=video_id(HOST, f"u{n}"),
        origin=HOST,
        base_url=f"https://{HOST}",
        uuid=f"u{n}",
        url=f"https://{HOST}/w/{n}",
        title=f"Film {n}",
        description="",
        duration=600,
        published_at=THEN - timedelta(days=n),
        views=n,
        likes=0,
        is_live=False,
        nsfw=False,
    )


def rendition(size: int) -> Rendition:
    url = f"https://{HOST}/static/a.mp4"
    return Rendition(RenditionName("720p"), RenditionKind.HLS, 720, 1280, 25, True, True, ByteCount(size), url)


class Scene:
    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, QuickClock()
        self.leases = Leases(self.clock)
        self.free, self.away = 10 * GB, False
        self.planner = Planner(store, self.leases, self._disk, self.clock, PlannerOptions())

    def again(self, offered: Callable[[], Mapping[str, Ranking]]) -> Planner:
        """Return another planner of the same world, which knows these kinds."""
        return Planner(self.store, self.leases, self._disk, self.clock, PlannerOptions(), offered=offered)

    async def _disk(self) -> Disk:
        if self.away:
            raise LibraryMissing("The library is not there.")
        return Disk(ByteCount(20 * GB), ByteCount(self.free), ByteCount(GB), ByteCount(0))

    async def channel(self, count: int, size: int = GB) -> list[VideoId]:
        """Follow a channel with ``count`` videos of ``size`` bytes, newest first."""
        now = self.clock.now()
        ident = await self.store.promise(channels.follow, CHANNEL, now)
        found = tuple(summary(n) for n in range(count))
        await self.store.write(videos.put_page, ident, found, now, 1)
        for one in found:
            detail = VideoDetail(one, Upstream.PUBLISHED, (rendition(size),))
            await self.store.write(videos.put_detail, detail, None, now)
        return [one.id for one in found]

    async def until(self, video: VideoId, verdict: Verdict) -> None:
        news = asyncio.Event()
        end = self.store.listen(lambda _: news.set())
        async with asyncio.timeout(10):
            while True:
                news.clear()
                found = await self.store.read(decisions.one, video)
                if found is not None and found.verdict is verdict:
                    break
                await news.wait()
        end()


@asynccontextmanager
async def a_scene(folder: Path, *, running: bool = False) -> AsyncIterator[Scene]:
    async with Store(folder / "catalogue.db") as store:
        scene = Scene(store)
        async with planning(scene) if running else nullcontext():
            yield scene


@asynccontextmanager
async def planning(scene: Scene) -> AsyncIterator[None]:
    task = asyncio.create_task(scene.planner.keep_planning())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_first_channel_brings_a_rule_of_half_the_space_newest_first(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.planner.run()
        assert await scene.store.read(rules.every) == ()
        ids = await scene.channel(9)
        plan = await scene.planner.run()
        (rule,) = await scene.store.read(rules.every)
        assert rule.kind == RuleKind.RECENT
        assert [d.video for d in plan.decisions if d.verdict is Verdict.PIN] == ids[:4]
        assert plan.fetched == 4 * GB
        assert await scene.store.read(decisions.every) == plan.decisions


async def test_a_default_rule_that_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.channel(1)
        await scene.planner.run()
        (rule,) = await scene.store.read(rules.every)
        await scene.store.promise(rules.drop, rule.id)
        plan = await scene.planner.run()
        assert await scene.store.read(rules.every) == ()
        assert [d.verdict for d in plan.decisions] == [Verdict.LEAVE]


async def test_it_plans_by_itself_when_something_changes(tmp_path: Path) -> None:
    async with a_scene(tmp_path, running=True) as scene:
        ids = await scene.channel(6)
        await scene.until(ids[0], Verdict.PIN)
        await scene.until(ids[5], Verdict.LEAVE)
        await scene.store.promise(videos.wish, ids[5], Wish.PIN)
        await scene.until(ids[5], Verdict.PIN)
        await scene.store.promise(videos.wish, ids[0], Wish.NEVER)
        await scene.until(ids[0], Verdict.LEAVE)
        found = await scene.store.read(decisions.one, ids[0])
        assert found is not None
        assert found.reasons[0].code is ReasonCode.NEVER


async def test_without_its_library_the_last_plan_stands_and_the_trouble_is_told(tmp_path: Path) -> None:
    async with a_scene(tmp_path, running=True) as scene:
        ids = await scene.channel(1)
        await scene.until(ids[0], Verdict.PIN)
        scene.away = True
        scene.planner.wake()
        async with asyncio.timeout(10):
            while scene.planner.trouble is None:  # noqa: ASYNC110 - it sends no word of it
                await asyncio.sleep(0.01)
        await scene.until(ids[0], Verdict.PIN)
        scene.away = False
        await scene.store.promise(videos.wish, ids[0], Wish.NEVER)
        await scene.until(ids[0], Verdict.LEAVE)
        assert scene.planner.trouble is None


async def test_a_plan_that_failed_is_tried_again_though_nothing_changes(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        scene.away = True
        ids = await scene.channel(1)
        async with planning(scene):
            async with asyncio.timeout(10):
                while scene.planner.trouble is None:  # noqa: ASYNC110 - it sends no word of it
                    await asyncio.sleep(0.01)
            scene.away = False
            await scene.until(ids[0], Verdict.PIN)
            assert scene.planner.trouble is None


async def test_a_preview_changes_nothing(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.channel(6)
        await scene.planner.run()
        before = await scene.store.read(decisions.every)
        plan = await scene.planner.preview((Rule(RuleId("all"), "All", RuleKind.EVERYTHING),))
        assert sum(d.verdict is Verdict.PIN for d in plan.decisions) == 6
        assert await scene.store.read(decisions.every) == before


async def test_a_rule_of_a_kind_from_another_package_is_planned_by_it(tmp_path: Path) -> None:
    on_the_loop = []

    def offered() -> Mapping[str, Ranking]:
        on_the_loop.append(threading.current_thread() is threading.main_thread())
        return {**BUILT_IN, "least_viewed": lambda _, video, __: 1.0 / (1 + video.views)}

    async with a_scene(tmp_path) as scene:
        planner = scene.again(offered)
        made = await scene.channel(3)
        plan = await planner.preview((Rule(RuleId("x"), "Overlooked", "least_viewed"),))
        assert [d.video for d in plan.decisions] == made
        assert await planner.kinds() == {*BUILT_IN, "least_viewed"}
    assert on_the_loop == [False]


async def test_no_garbage_is_looked_for_while_a_plan_is_made_and_it_is_afterwards(tmp_path: Path) -> None:
    seen: list[tuple[bool, float]] = []

    def spy(_: Rule, __: Candidate, ___: datetime) -> float:
        seen.append((gc.isenabled(), sys.getswitchinterval()))
        return 1.0

    before = 0.005
    sys.setswitchinterval(before)  # whatever an earlier test left
    async with a_scene(tmp_path) as scene:
        planner = scene.again(lambda: {**BUILT_IN, "spy": spy})
        await scene.channel(2)
        await planner.preview((Rule(RuleId("x"), "Spy", "spy"),))
    assert [looking for looking, _ in seen] == [False, False]
    assert all(turn < before for _, turn in seen)
    assert gc.isenabled()
    assert sys.getswitchinterval() == before


async def test_a_census_of_five_thousand_renditions_does_not_hold_the_loop(tmp_path: Path) -> None:
    """What holds it for 50 ms of its own thread's time fails any test; here it must also have its turns meanwhile."""
    await asyncio.to_thread(fill, tmp_path / "many", 1667)
    async with Store(tmp_path / "many" / "catalogue.db") as store:
        clock = QuickClock()
        disk = Disk(ByteCount(20 * GB), ByteCount(10 * GB), ByteCount(GB), ByteCount(0))
        taking = asyncio.create_task(
            census.take(store, Leases(clock), disk, clock, web_videos=False, protect_after=timedelta(days=7))
        )
        turns = 0
        while not taking.done():
            turns += 1
            await asyncio.sleep(0)
        found = await taking
    assert sum(len(video.renditions) for video in found.videos) >= 4_999
    assert turns > 20
