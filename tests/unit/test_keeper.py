"""The keeper over real HTTP, store and disk: states, restarts, releases, and origins that lie (pin/STATE.md)."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from appliance.domain.pin import PinState
from appliance.domain.shelf import NotPlayable
from appliance.domain.units import InfoHash
from appliance.store import pins
from tests.unit.box import EVERYTHING, NOTHING, a_box
from tests.world.media import Layout, make
from tests.world.origin import Origin


async def test_a_wanted_video_is_fetched_whole_and_seeds(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(Layout.SPLIT))
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        pin = await box.pinned(video)
        assert pin.done == pin.size == film.made.size
        assert pin.pinned_at is not None
        assert await asyncio.to_thread(box.same, film, video)
        assert all(box.swarm.holds(box.hash_of(film, f.resolution)) for f in film.made.files)
        await box.quiet()
        manifest = await box.manifest(video)
        assert manifest is not None
        assert all(r.whole for r in manifest.renditions)
        assert not box.keeper.holdings
        assert not box.keeper.troubles


async def test_without_torrents_the_same_video_comes_over_http(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(Layout.SPLIT), torrents=False)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        assert await asyncio.to_thread(box.same, film, video)
        assert sum(box.fetched.values()) == film.made.size == origin.media_bytes


async def test_after_a_restart_an_unfinished_fetch_goes_on_and_fetches_only_what_is_missing(
    tmp_path: Path, origin: Origin
) -> None:
    film = origin.add_video(make(seconds=40), torrents=False)
    size = film.made.size
    origin.shape(rate=size / 2)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await asyncio.to_thread(origin.wait_for, "*-fragmented.mp4", 4)
    begun = origin.media_bytes
    assert 0 < begun < size
    origin.shape()
    async with a_box(tmp_path, origin) as box:
        await box.pinned(video)
        assert await asyncio.to_thread(box.same, film, video)
        largest = max(e - s + 1 for f in film.made.files for span in f.sha256.values() for s, e in _spans(span))
        assert origin.media_bytes <= size + 2 * largest + 64 * 1024


def _spans(hashes: dict[str, str]) -> list[tuple[int, int]]:
    return [(int(first), int(last)) for first, _, last in (key.partition("-") for key in hashes)]


async def test_a_pinned_video_seeds_again_after_a_restart_without_asking_the_origin(
    tmp_path: Path, origin: Origin
) -> None:
    film = origin.add_video(make())
    resumed: dict[InfoHash, frozenset[int]] = {}
    async with a_box(tmp_path, origin, resumed=resumed) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
    origin.forget()
    async with a_box(tmp_path, origin, resumed=resumed) as box:
        await box.keeper.restored.wait()
        await box.quiet()
        assert box.swarm.holds(box.hash_of(film, 360))
        assert not origin.asked("*")
        pin = await box.pin(video)
        assert pin is not None
        assert pin.state is PinState.PINNED


async def test_what_is_whole_on_the_disk_is_pinned_without_its_origin(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        name = film.made.files[0].parts[0]
        (box.lies_at(video) / name).rename(tmp_path / "aside")
    origin.close()
    async with a_box(tmp_path, origin) as box:
        pin = await box.until(video, PinState.WAITING)
        assert pin is not None
        assert pin.trouble is not None
        assert pin.trouble.code in ("unreachable", "throttled", "no_source")
        folder = box.lies_at(video)
    (tmp_path / "aside").replace(folder / name)
    async with a_box(tmp_path, origin) as box:
        await box.pinned(video)


async def test_releasing_deletes_exactly_what_is_listed(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(Layout.SPLIT))
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        folder = box.lies_at(video)
        mine, beside = folder / "notes.txt", box.library.root / "holiday.jpg"
        mine.write_text("mine")
        beside.write_text("mine too")
        await box.let_go(video)
        await box.until(video, None)
        left = sorted(p.relative_to(box.library.root).as_posix() for p in box.library.root.rglob("*") if p.is_file())
        assert left == sorted([".seedkeep", "holiday.jpg", mine.relative_to(box.library.root).as_posix()])
        assert not box.swarm.statuses()


async def test_a_release_goes_on_after_a_restart(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        folder = box.lies_at(video)
    async with a_box(tmp_path, origin, running=False) as box:
        pin = await box.pin(video)
        assert pin is not None
        await box.store.promise(pins.put, replace(pin, state=PinState.RELEASING))
        (folder / film.made.files[0].parts[0]).unlink()
    async with a_box(tmp_path, origin) as box:
        await box.until(video, None)
        assert not folder.exists()


async def test_a_damaged_record_is_never_released_and_says_so(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        before = sorted(p.name for p in box.lies_at(video).iterdir())
        (box.lies_at(video) / "video.json").write_text("{")
        await box.let_go(video)
        pin = await box.until(video, PinState.RELEASING)
        await box.quiet()
        pin = await box.pin(video)
        assert pin is not None
        assert pin.trouble is not None
        assert "cannot be deleted" in pin.trouble.message
        assert str(box.lies_at(video)) in pin.trouble.hint
        assert sorted(p.name for p in box.lies_at(video).iterdir()) == before


async def test_letting_go_while_fetching_stops_the_fetch_at_once(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(seconds=40), torrents=False)
    origin.shape(rate=film.made.size / 60)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await asyncio.to_thread(origin.wait_for, "*.m3u8", 2)
        await box.until(video, PinState.PINNING)
        await box.let_go(video)
        await box.until(video, None)
        assert not box.lies_at(video).exists()


async def test_without_room_a_pin_waits_asks_nobody_and_goes_on_by_itself(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin, floor=EVERYTHING) as box:
        video = await box.know(film)
        await box.want(video)
        pin = await box.until(video, PinState.WAITING)
        assert pin is not None
        assert pin.trouble is not None
        assert pin.trouble.code == "no_space"
        assert pin.failures == 0
        written: list[object] = []
        end = box.store.listen(lambda marks: written.extend(marks))
        await box.clock.sleep(150)
        end()
        assert not origin.asked("*")
        assert not written
        box.space.reconfigure(NOTHING)
        box.keeper.wake()
        await box.pinned(video)


async def test_at_the_floor_a_running_fetch_stops_and_goes_on(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(seconds=40), torrents=False)
    origin.shape(rate=film.made.size / 20)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await asyncio.to_thread(origin.wait_for, "*-fragmented.mp4", 1)
        box.space.reconfigure(EVERYTHING)
        await box.until(video, PinState.WAITING)
        assert not box.keeper.holdings
        origin.shape()
        box.space.reconfigure(NOTHING)
        box.keeper.wake()
        await box.pinned(video)
        assert await asyncio.to_thread(box.same, film, video)


async def test_an_unplugged_library_changes_no_state_and_is_taken_up_again(tmp_path: Path, origin: Origin) -> None:
    film, other = origin.add_video(make()), origin.add_video(make(variant=1))
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        await asyncio.to_thread(box.unplug)
        box.keeper.wake()
        second = await box.know(other)
        await box.want(second)
        box.swarm.fail(box.hash_of(film, 360), "Input/output error")
        await box.clock.sleep(120)
        pin = await box.pin(video)
        assert pin is not None
        assert pin.state is PinState.PINNED
        assert list(box.library.root.iterdir()) == []
        assert any("marker" in t for t in box.keeper.troubles.values())
        await asyncio.to_thread(box.plug)
        box.keeper.wake()
        await box.pinned(second)
        await box.quiet()
        status = box.swarm.status(box.hash_of(film, 360))
        assert status is not None
        assert not status.fault
        assert not box.keeper.troubles
        assert (await box.pinned(video)).pinned_at == pin.pinned_at


async def test_a_library_that_is_missing_at_the_start_is_restored_when_it_comes(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
    async with a_box(tmp_path, origin, running=False) as box:
        await asyncio.to_thread(box.unplug)
    async with a_box(tmp_path, origin) as box:
        await box.clock.sleep(60)
        assert not box.keeper.restored.is_set()
        assert not box.swarm.statuses()
        await asyncio.to_thread(box.plug)
        async with asyncio.timeout(10):
            await box.keeper.restored.wait()
        await box.quiet()
        assert box.swarm.holds(box.hash_of(film, 360))


async def test_a_rename_fetches_no_media_byte(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(Layout.SPLIT))
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        before = {f.resolution: box.hash_of(film, f.resolution) for f in film.made.files}
        box.swarm.drain()
        origin.forget()
        film.rename("Another title")
        await box.know(film)
        await asyncio.to_thread(origin.wait_for, "/lazy-static/torrents/*", len(before))
        await box.quiet()
        after = {f.resolution: box.hash_of(film, f.resolution) for f in film.made.files}
        assert set(after.values()).isdisjoint(before.values())
        assert all(box.swarm.holds(h) for h in after.values())
        assert not any(box.swarm.holds(h) for h in before.values())
        assert origin.media_bytes == 0
        assert not box.swarm.drain()
        manifest = await box.manifest(video)
        assert manifest is not None
        assert not manifest.others
        assert manifest.title == "Another title"
        torrents = sorted(p.name for p in box.lies_at(video).glob("*.torrent"))
        assert torrents == sorted(r.torrent for r in manifest.renditions if r.torrent)


async def test_new_subtitles_come_without_a_media_byte(tmp_path: Path, origin: Origin) -> None:
    """The origin then gives its playlist and its list of hashes other addresses, of the same bytes."""
    film = origin.add_video(make(Layout.SPLIT))
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        box.swarm.drain()
        origin.forget()
        film.caption("fr")
        film.rename("The same with subtitles")  # a detail that is otherwise unchanged is not asked for at once
        await box.know(film)
        await asyncio.to_thread(origin.wait_for, "*-fr.vtt")
        await box.quiet()
        manifest = await box.manifest(video)
        assert manifest is not None
        assert [caption.language for caption in manifest.captions] == ["fr"]
        assert all(r.whole for r in manifest.renditions)
        assert origin.media_bytes == 0
        assert not box.swarm.drain()
        assert box.same(film, video)


async def test_a_replaced_file_is_served_until_the_new_one_is_whole(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(), torrents=False)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        old = film.made.files[0].parts[0]
        new = make(variant=3)
        origin.shape(rate=new.size / 4)
        film.replace_by(new)
        await box.know(film)
        await box.want(video)
        await box.until(video, PinState.PINNING)
        assert isinstance(await box.shelf.file(video, old), Path)
        origin.shape()
        await box.pinned(video)
        await box.quiet()
        assert await asyncio.to_thread(box.same, film, video)
        assert not (box.lies_at(video) / old).exists()


async def test_what_was_watched_becomes_a_pin_without_fetching_again(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(), torrents=False)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        box.leases.renew(video, "sofa")
        await box.shelf.playable(video)
        name = film.made.files[0].parts[0]
        source = await box.shelf.file(video, name)
        if not isinstance(source, Path):
            assert await source.read(0, 1000) == film.made.path(name).read_bytes()[:1000]
            await source.close()
        assert await box.pin(video) is None
        await box.want(video)
        await box.pinned(video)
        assert origin.media_bytes == film.made.size
        manifest = await box.manifest(video)
        assert manifest is not None
        assert manifest.promised


async def test_without_room_a_viewer_is_told_so(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin, floor=EVERYTHING) as box:
        video = await box.know(film)
        with pytest.raises(NotPlayable) as refusal:
            await box.shelf.playable(video)
        assert refusal.value.status == 507


@pytest.mark.parametrize(("gone", "status"), [("deleted", 404), ("private", 404), ("away", 503)])
async def test_a_viewer_of_what_its_origin_has_no_more_is_told_that_it_is_gone_and_not_to_come_again(
    tmp_path: Path, origin: Origin, gone: str, status: int
) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        match gone:
            case "deleted":
                film.delete()
            case "private":
                film.make_private()
            case _:
                origin.fault("*", "deaf")
        with pytest.raises(NotPlayable) as refusal:
            await box.shelf.playable(video)
        assert refusal.value.status == status, refusal.value.message


async def test_a_video_being_watched_is_released_when_the_viewer_leaves(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        box.leases.renew(video, "sofa")
        await box.let_go(video)
        await box.clock.sleep(20)
        pin = await box.pin(video)
        assert pin is not None
        assert pin.state is PinState.PINNED
        await box.until(video, None)


async def test_a_lost_file_is_noticed_and_fetched_again(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        (box.lies_at(video) / film.made.files[0].parts[0]).unlink()
    async with a_box(tmp_path, origin) as box:
        await asyncio.to_thread(box.provide, film)
        await box.until(video, PinState.MISSING, PinState.PINNING)
        await box.pinned(video)
        assert await asyncio.to_thread(box.same, film, video)


@pytest.mark.parametrize("torrents", [True, False])
async def test_a_scrub_finds_rot_and_has_it_mended(tmp_path: Path, origin: Origin, torrents: bool) -> None:
    film = origin.add_video(make(), torrents=torrents)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        path = box.lies_at(video) / film.made.files[0].parts[0]
        path.write_bytes(path.read_bytes()[:50_000] + b"rot" + path.read_bytes()[50_003:])
        assert await box.keeper.scrub() == 1
        await box.until(video, PinState.MISSING, PinState.PINNING)
        await box.pinned(video)
        assert await asyncio.to_thread(box.same, film, video)


async def test_while_the_origin_is_away_pins_wait_and_then_go_on(tmp_path: Path, origin: Origin) -> None:
    films = [origin.add_video(make(variant=n)) for n in range(2)]
    away = origin.fault("/lazy-static/*", "status", status=503)
    async with a_box(tmp_path, origin) as box:
        known = [await box.know(film) for film in films]
        await box.want(*known)
        pin = await box.until(known[0], PinState.WAITING)
        assert pin is not None
        assert pin.trouble is not None
        assert pin.next_try is not None
        origin.mend(away)
        for video in known:
            await box.pinned(video)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({b"files": [{b"length": 1, b"path": [b"a"]}, {b"length": 2, b"path": [b"b"]}]}, "files"),
        ({b"name": b"../../etc/passwd"}, "elsewhere"),
        ({b"pieces": b"x" * 20}, "pieces"),
        ({b"length": 12345}, "pieces"),
    ],
    ids=["two files", "a name that escapes", "too few pieces", "another size"],
)
async def test_a_hostile_torrent_ends_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, origin: Origin, change: dict[bytes, object], words: str
) -> None:
    film = origin.add_video(make())
    whole: Any = lt.bdecode(film.torrent(360))
    info = whole[b"info"] | change
    if b"files" in change:
        del info[b"length"]
        info[b"pieces"] = b"x" * 20
    origin.fault("/lazy-static/torrents/*", "replaced", body=lt.bencode(whole | {b"info": info}))
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        pin = await box.until(video, PinState.FAILED)
        assert pin is not None
        assert pin.trouble is not None
        assert words in pin.trouble.message
        assert pin.trouble.message.count("\n") == 0
        assert pin.trouble.hint
        assert pin.next_try is None
        await box.quiet()
        assert not box.lies_at(video).exists()
        assert not box.swarm.statuses()
        assert not (tmp_path / "etc").exists()
        asked = len(origin.asked("/lazy-static/torrents/*"))
        await box.clock.sleep(90)
        assert len(origin.asked("/lazy-static/torrents/*")) == asked
        origin.mend()
        film.rename("Mended")
        await box.know(film)
        await box.pinned(video)


async def test_a_torrent_of_another_size_than_announced_is_refused(tmp_path: Path, origin: Origin) -> None:
    film, other = origin.add_video(make()), origin.add_video(make(seconds=16))
    origin.fault("/lazy-static/torrents/*", "replaced", body=other.torrent(360))
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        pin = await box.until(video, PinState.FAILED)
        assert pin is not None
        assert pin.trouble is not None
        assert "announced" in pin.trouble.message
        assert not box.lies_at(video).exists()


async def test_without_torrent_and_hashes_nothing_is_kept(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(), torrents=False)
    origin.fault("*-segments-sha256.json", "status", status=404)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        pin = await box.until(video, PinState.FAILED)
        assert pin is not None
        assert pin.trouble is not None
        assert "hashes" in pin.trouble.message
        assert not box.lies_at(video).exists()
        assert origin.media_bytes == 0


async def test_with_torrents_a_missing_list_of_hashes_does_no_harm(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    origin.fault("*-segments-sha256.json", "status", status=404)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)


async def test_a_playlist_that_points_elsewhere_is_refused(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    text = film.made.files[0].playlist.replace(film.made.files[0].parts[0], "http://127.0.0.1:1/other.mp4")
    origin.fault(f"*{film.made.files[0].stem}.m3u8", "replaced", body=text)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        pin = await box.until(video, PinState.FAILED)
        assert pin is not None
        assert pin.trouble is not None
        assert pin.trouble.message.startswith("Rendition")
        assert not box.lies_at(video).exists()


async def test_bytes_with_wrong_hashes_are_never_kept(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(), torrents=False)
    origin.fault("*-fragmented.mp4", "corrupt", after=-1)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        pin = await box.until(video, PinState.FAILED)
        assert pin is not None
        assert pin.trouble is not None
        with pytest.raises(AssertionError):
            assert await asyncio.to_thread(box.same, film, video)


async def test_a_video_that_is_gone_stays_pinned_and_is_announced_no_more(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        await box.quiet()
        film.delete()
        await box.is_gone(video)
        await box.clock.sleep(5)
        await box.quiet()
        pin = await box.pin(video)
        assert pin is not None
        assert pin.state is PinState.PINNED
        assert box.swarm._torrents[box.hash_of(film, 360)].trackers == ()


async def test_when_the_plan_wants_other_renditions_the_old_ones_go_once_the_new_are_whole(
    tmp_path: Path, origin: Origin
) -> None:
    film = origin.add_video(make(heights=(360, 240)))
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video, names=["360p"])
        await box.pinned(video)
        await box.quiet()
        high, low = (f.parts[0] for f in film.made.files)
        assert (box.lies_at(video) / high).exists()
        assert not (box.lies_at(video) / low).exists()
        await box.want(video, names=["240p"])
        await box.turns(lambda: not (box.lies_at(video) / high).exists())
        await box.pinned(video)
        await box.quiet()
        assert (box.lies_at(video) / low).exists()
        assert box.swarm.holds(box.hash_of(film, 240))
        assert not box.swarm.holds(box.hash_of(film, 360))


async def test_a_viewer_of_an_unfinished_pin_reads_what_arrives(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(seconds=40), torrents=False)
    origin.shape(rate=film.made.size / 6)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.until(video, PinState.PINNING)
        box.leases.renew(video, "sofa")
        name, size = film.made.files[0].parts[0], film.made.files[0].size
        playable = await box.shelf.playable(video)
        assert playable.renditions
        source = await box.shelf.file(video, name)
        assert not isinstance(source, Path)
        tail = await source.read(size - 100, 100)
        assert tail == film.made.path(name).read_bytes()[-100:][: len(tail)]
        await source.close()
