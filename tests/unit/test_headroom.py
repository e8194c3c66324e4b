"""Room on a disk, noticed: a plan that lacked space is made anew soon after somebody frees some."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState, Wish
from appliance.domain.plan import Decision, Disk, Plan, Reason, ReasonCode, Verdict
from appliance.domain.units import ByteCount, RenditionName
from appliance.library.space import Floor, Space
from appliance.pin.headroom import WORTH_A_PLAN, Headroom, lack
from appliance.plan.planner import Planner, PlannerOptions
from appliance.store import decisions, pins, videos
from appliance.store.engine import Store
from tests.unit.box import a_box
from tests.unit.house import renditions, summary
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.scripted import QuickClock

EMPTY = Floor(ByteCount(0), 0.0)


def _full(space: Space, room: int) -> Floor:
    """Return a floor that leaves so much room."""
    return Floor(ByteCount(max(0, space._measure()[1] - room)), 0.0)


@asynccontextmanager
async def _watching(headroom: Headroom) -> AsyncIterator[None]:
    task = asyncio.create_task(headroom.keep_watching())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_lacks_space_is_planned_and_fetched_soon_after_there_is_room(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        full = await asyncio.to_thread(_full, box.space, 0)
        box.space.reconfigure(Floor(ByteCount(full.size + (1 << 40)), 0.0))
        await box.store.promise(videos.wish, video, Wish.PIN)
        planner = Planner(box.store, box.leases, box.keeper.disk, box.clock, PlannerOptions())
        await planner.run()
        decision = await box.store.read(decisions.one, video)
        assert decision is not None
        assert decision.verdict is Verdict.LEAVE
        planning = asyncio.create_task(planner.keep_planning())

        def wake() -> None:
            planner.wake()
            box.keeper.wake()

        try:
            async with _watching(Headroom(box.space, box.store, box.clock, wake)):
                await box.clock.sleep(40)
                assert not origin.asked("/static/*")
                box.space.reconfigure(EMPTY)
                begun = box.clock.monotonic()
                await box.pinned(video)
                assert box.clock.monotonic() - begun < 300
        finally:
            planning.cancel()
            with suppress(asyncio.CancelledError):
                await planning


async def _decided(store: Store, clock: QuickClock, reason: ReasonCode, verdict: Verdict) -> None:
    one = summary(1)
    await store.promise(videos.put_summary, one, clock.now())
    line = Decision(one.id, verdict, (Reason(reason),), tuple(r.name for r in renditions(1)), ByteCount(1))
    nothing = ByteCount(0)
    await store.write(decisions.put_plan, Plan((line,), (), nothing, nothing, nothing), clock.now())


async def test_nobody_is_woken_while_nothing_waits_for_room_or_little_came(tmp_path: Path) -> None:
    clock, woken = QuickClock(), asyncio.Event()
    space = Space(tmp_path, EMPTY)
    some = 1 << 30
    space.reconfigure(await asyncio.to_thread(_full, space, some))
    async with Store(tmp_path / "catalogue.db") as store:
        await _decided(store, clock, ReasonCode.NO_RULE, Verdict.LEAVE)
        async with _watching(Headroom(space, store, clock, woken.set)):
            await clock.sleep(20)
            space.reconfigure(await asyncio.to_thread(_full, space, some + 4 * WORTH_A_PLAN))
            await clock.sleep(60)
            assert not woken.is_set()
            await _decided(store, clock, ReasonCode.OUTRANKED, Verdict.LEAVE)
            space.reconfigure(await asyncio.to_thread(_full, space, some + 40 * WORTH_A_PLAN))
            async with asyncio.timeout(5):
                await woken.wait()


async def test_a_pin_that_waits_for_room_counts_as_waiting(tmp_path: Path) -> None:
    async with Store(tmp_path / "catalogue.db") as store:
        clock = QuickClock()
        await _decided(store, clock, ReasonCode.CHOSEN, Verdict.PIN)
        assert not await store.read(decisions.want_room)
        pin = Pin(
            summary(1).id,
            PinState.WAITING,
            (RenditionName("720p"),),
            ByteCount(5),
            ByteCount(0),
            clock.now(),
            trouble=Trouble("no_space", "The disk is full."),
        )
        await store.promise(pins.put, pin)
        assert await store.read(decisions.want_room)


def test_a_disk_that_others_filled_is_said_and_one_that_we_filled_up_to_its_floor_is_not() -> None:
    gib = 1 << 30

    def disk(free: int, floor: int) -> Disk:
        return Disk(total=ByteCount(100 * gib), free=ByteCount(free), floor=ByteCount(floor), used=ByteCount(0))

    assert lack(disk(2 * gib - 4096, 2 * gib), 0) is None
    assert "less free space" in str(lack(disk(gib, 2 * gib), 0))
    assert "less free space" in str(lack(disk(0, 0), 0))
    assert "no room for 1 video " in str(lack(disk(50 * gib, 2 * gib), 1))
    assert "no room for 3 videos " in str(lack(disk(gib, 2 * gib), 3))
