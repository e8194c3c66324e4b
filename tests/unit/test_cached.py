"""What is held only because it was watched: it stays while there is room for it, and is no pin's trouble."""

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Rule, RuleKind, Watched
from appliance.domain.shelf import NotPlayable
from appliance.domain.traffic import Quota
from appliance.domain.units import ByteCount, ChannelId, RuleId, VideoId
from appliance.errors import NotFound
from appliance.library.space import Floor
from appliance.pin.cache import CacheOptions, WatchedNow
from appliance.pin.keeper import KeeperOptions
from appliance.plan import census
from appliance.store import cached, rules, videos
from tests.unit.box import Box, a_box
from tests.world.media import Layout, make
from tests.world.origin import Origin
from tests.world.published import Published


async def _watched(box: Box, film: Published) -> VideoId:
    """Have a video watched to its end, and the viewer leave."""
    video = await box.know(film)
    await _watch(box, video)
    await box.turns(lambda: video not in box.keeper.holdings)
    await box.quiet()
    return video


async def _watch(box: Box, video: VideoId) -> None:
    box.leases.renew(video, "sofa")
    await box.shelf.playable(video)
    holding = box.keeper.holdings.get(video)
    if holding is not None:
        await holding.wait()


async def _cached(box: Box) -> list[VideoId]:
    return [one.video for one in await box.store.read(cached.every)]


def _allow(box: Box, size: int | None, *, keep: bool = True) -> None:
    cache = CacheOptions(None if size is None else ByteCount(size), keep)
    box.keeper.reconfigure(KeeperOptions(3, cache=cache))


@pytest.mark.parametrize("torrents", [True, False])
async def test_what_was_watched_stays_and_plays_again_without_its_origin(
    tmp_path: Path, origin: Origin, torrents: bool
) -> None:
    film = origin.add_video(make(Layout.SPLIT), torrents=torrents)
    async with a_box(tmp_path, origin) as box:
        video = await _watched(box, film)
        assert not box.swarm.statuses()
        assert await box.pin(video) is None
        assert await _cached(box) == [video]
        manifest = await box.manifest(video)
        assert manifest is not None
        assert not manifest.promised
        origin.forget()
        await _watch(box, video)
        assert video not in box.keeper.holdings
        assert isinstance(await box.shelf.file(video, film.made.files[0].parts[0]), Path)
        assert not origin.asked("*")


async def test_what_was_half_watched_goes_on_from_what_is_there(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(seconds=40), torrents=False)
    origin.shape(rate=film.made.size / 5)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        box.leases.renew(video, "sofa")
        await box.shelf.playable(video)
        async with asyncio.timeout(30):
            while len(origin.asked("*-fragmented.mp4")) < 4:
                box.leases.renew(video, "sofa")
                await asyncio.sleep(0.05)
        await box.turns(lambda: video not in box.keeper.holdings)
        begun = origin.media_bytes
        assert begun < film.made.size
        origin.shape()
        await _watch(box, video)
        largest = max(last - first + 1 for f in film.made.files for first, last in _spans(f.sha256))
        assert origin.media_bytes <= film.made.size + 2 * largest + 64 * 1024


def _spans(hashes: dict[str, dict[str, str]]) -> list[tuple[int, int]]:
    keys = [key.partition("-") for spans in hashes.values() for key in spans]
    return [(int(first), int(last)) for first, _, last in keys]


@pytest.mark.parametrize("torrents", [True, False])
async def test_what_is_cached_becomes_a_pin_without_fetching_again(
    tmp_path: Path, origin: Origin, torrents: bool
) -> None:
    film = origin.add_video(make(Layout.SPLIT), torrents=torrents)
    async with a_box(tmp_path, origin) as box:
        video = await _watched(box, film)
        origin.forget()
        taken = origin.media_bytes, dict(box.fetched)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        assert (origin.media_bytes, dict(box.fetched)) == taken
        assert not origin.asked("*-fragmented.mp4")
        assert await _cached(box) == []
        manifest = await box.manifest(video)
        assert manifest is not None
        assert manifest.promised
        assert await asyncio.to_thread(box.same, film, video)


@pytest.mark.parametrize("watching", [True, False])
async def test_after_a_restart_what_was_watched_is_known_again(tmp_path: Path, origin: Origin, watching: bool) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        if watching:
            await _watch(box, video)
        else:
            await _watched(box, film)
        # As a killed process leaves it: the catalogue may know nothing, or less.
        if watching:
            await box.store.promise(cached.drop, video)
    async with a_box(tmp_path, origin) as box:
        beside = box.lies_at(video) / "notes.txt"
        beside.write_text("mine")
        await box.keeper.restored.wait()
        assert await _cached(box) == [video]
        await box.quiet()
        assert not box.swarm.statuses()
        await box.keeper.cache.let_go(video)
        assert [p.name for p in box.lies_at(video).iterdir()] == ["notes.txt"]


async def test_what_a_kill_left_half_deleted_is_played_by_fetching_the_rest(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(Layout.SPLIT), torrents=False)
    async with a_box(tmp_path, origin) as box:
        video = await _watched(box, film)
        (box.lies_at(video) / film.made.files[0].parts[0]).unlink()
    async with a_box(tmp_path, origin) as box:
        await box.keeper.restored.wait()
        await _watch(box, video)
        assert video in box.keeper.holdings
        assert await asyncio.to_thread(box.same, film, video)


async def test_a_line_without_files_and_files_of_an_unknown_video_are_cleared_away(
    tmp_path: Path, origin: Origin
) -> None:
    film, other = origin.add_video(make()), origin.add_video(make(Layout.SPLIT))
    async with a_box(tmp_path, origin) as box:
        gone = await box.know(other)
        await box.store.promise(cached.put, gone, ByteCount(9), box.clock.now())
        video = await box.know(film)
        await _watch(box, video)
    (tmp_path / "catalogue.db").rename(tmp_path / "lost.db")
    library = tmp_path / "library"
    (library / "holiday.jpg").write_text("mine")
    async with a_box(tmp_path, origin, running=False) as box:
        await box.know(other)
        await box.keeper.cache.restore(frozenset())
        assert await _cached(box) == []
        assert not box.lies_at(video).exists()
        assert (library / "holiday.jpg").exists()


async def test_the_least_recently_watched_goes_first(tmp_path: Path, origin: Origin) -> None:
    films = [origin.add_video(make(), title=f"Film {k}") for k in range(3)]
    async with a_box(tmp_path, origin) as box:
        first = await _watched(box, films[0])
        size = (await box.store.read(cached.every))[0].size
        _allow(box, size * 5 // 2)
        second = await _watched(box, films[1])
        await box.clock.sleep(300)
        await _watch(box, first)
        await box.clock.sleep(45)
        third = await _watched(box, films[2])
        assert await _cached(box) == [first, third]
        assert not box.lies_at(second).exists()
        _allow(box, 0)
        await box.turns(lambda: not box.lies_at(first).exists() and not box.lies_at(third).exists())


async def test_what_is_larger_than_the_budget_pushes_nothing_else_out(tmp_path: Path, origin: Origin) -> None:
    small, large = origin.add_video(make()), origin.add_video(make(seconds=40))
    async with a_box(tmp_path, origin) as box:
        kept = await _watched(box, small)
        _allow(box, (await box.store.read(cached.every))[0].size + 4096)
        dropped = await _watched(box, large)
        assert await _cached(box) == [kept]
        assert not box.lies_at(dropped).exists()


async def test_an_owner_may_have_nothing_kept_that_was_only_watched(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        _allow(box, None, keep=False)
        video = await _watched(box, film)
        assert not box.lies_at(video).exists()
        assert not box.swarm.statuses()
        assert await _cached(box) == []


@pytest.mark.parametrize("setting", [True, False])
async def test_a_rule_may_say_what_becomes_of_what_was_watched(tmp_path: Path, origin: Origin, setting: bool) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        _allow(box, None, keep=setting)
        rule = Rule(RuleId("r"), "R", RuleKind.RECENT, watched=Watched.DROP if setting else Watched.KEEP)
        elsewhere = replace(rule, id=RuleId("e"), weight=9.0, channels=frozenset({ChannelId("other")}))
        await box.store.promise(rules.put, rule)
        await box.store.promise(rules.put, replace(elsewhere, watched=Watched.KEEP if setting else Watched.DROP))
        video = await _watched(box, film)
        assert box.lies_at(video).exists() is not setting
        await box.store.promise(rules.put, replace(rule, watched=None))
        box.keeper.wake()
        await box.turns(lambda: not box.lies_at(video).exists())


async def test_a_pin_never_waits_for_what_is_cached(tmp_path: Path, origin: Origin) -> None:
    watched, wanted = origin.add_video(make()), origin.add_video(make(Layout.SPLIT))
    async with a_box(tmp_path, origin) as box:
        first = await _watched(box, watched)
        size = (await box.store.read(cached.every))[0].size
        await _leave(box, max(0, wanted.made.size - size // 2))
        video = await box.know(wanted)
        waited: list[PinState] = []
        await box.want(video)
        pin = await box.until(video, PinState.PINNED, PinState.WAITING, PinState.FAILED)
        assert pin is not None
        waited.append(pin.state)
        assert waited == [PinState.PINNED]
        assert await _cached(box) == []
        assert not box.lies_at(first).exists()


async def _leave(box: Box, room: int) -> None:
    """Let so much room be left above the floor, on a disk that only the box takes from and gives back to."""
    free = 1 << 40
    before = await asyncio.to_thread(_taken, box.library.root)

    def measure() -> tuple[int, int]:
        return 2 * free, free + before - _taken(box.library.root)

    box.space._measure = measure  # type: ignore[method-assign]
    box.space.reconfigure(Floor(ByteCount(free - room), 0.0))


def _taken(folder: Path) -> int:
    taken = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                taken += os.stat(os.path.join(where, name)).st_blocks * 512
    return taken


async def test_what_stands_on_the_floor_goes_and_a_viewer_of_it_is_not_robbed(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await _watched(box, film)
        await _watch(box, video)
        await _leave(box, -(1 << 30))
        await box.keeper.cache.trim()
        assert box.lies_at(video).exists()
        box.keeper.wake()
        await box.turns(lambda: not box.lies_at(video).exists())


async def test_a_plan_counts_what_is_cached_as_free(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        await _watched(box, film)
        disk = await box.keeper.disk()
        assert disk.cached >= film.made.size
        assert disk.used == 0
        days = timedelta(days=7)
        world = await census.take(box.store, box.leases, disk, box.clock, web_videos=False, protect_after=days)
        assert world.disk.free == disk.free + disk.cached


async def test_what_is_watched_is_not_let_go_by_hand_and_what_is_not_cached_is_not_found(
    tmp_path: Path, origin: Origin
) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        with pytest.raises(NotFound):
            await box.keeper.cache.let_go(video)
        await _watch(box, video)
        with pytest.raises(WatchedNow):
            await box.keeper.cache.let_go(video)
        assert box.lies_at(video).exists()
        await box.clock.sleep(70)
        await box.keeper.cache.let_go(video)
        assert not box.lies_at(video).exists()
        assert not box.swarm.statuses()


async def test_what_a_person_bars_is_not_kept_from_watching_it(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await _watched(box, film)
        await box.store.promise(videos.wish, video, Wish.NEVER)
        box.keeper.wake()
        await box.turns(lambda: not box.lies_at(video).exists())


async def test_a_used_up_budget_says_so_to_a_viewer_and_spares_what_is_here(tmp_path: Path, origin: Origin) -> None:
    here, away = origin.add_video(make()), origin.add_video(make(Layout.SPLIT), torrents=False)
    async with a_box(tmp_path, origin) as box:
        mine = await _watched(box, here)
        until = datetime(2026, 12, 1, tzinfo=UTC)
        box.quota = Quota(ByteCount(0), until, "This month's download is used up until 1 December.", until)
        assert (await box.shelf.playable(mine)).video == mine
        video = await box.know(away)
        origin.forget()
        with pytest.raises(NotPlayable) as refusal:
            await box.shelf.playable(video)
        assert (refusal.value.code, refusal.value.status) == ("quota_used", 503)
        assert "1 December" in refusal.value.message
        assert not origin.asked("*")
        box.quota = replace(box.quota, again=None, why="")
        origin.shape(rate=away.made.size / 100)
        box.leases.renew(video, "sofa")
        await box.shelf.playable(video)
        source = await box.shelf.file(video, away.made.files[-1].parts[0])
        assert not isinstance(source, Path)
        box.quota = Quota(ByteCount(0), until, "This month's download is used up until 1 December.", until)
        with pytest.raises(NotPlayable) as refusal:
            await source.read(source.size - 1, 1)
        assert refusal.value.code == "quota_used"
        await source.close()
