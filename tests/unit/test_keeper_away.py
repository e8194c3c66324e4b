"""The keeper while an origin is gone, rests or refuses: what lies here is used, and what waits says for whom."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.domain.pin import PinState
from appliance.domain.units import InfoHash, VideoId
from appliance.domain.units import Origin as OriginName
from appliance.outbound.manners import Ask
from appliance.pin import pinner
from tests.unit.box import a_box
from tests.world.media import Layout, make
from tests.world.origin import Origin
from tests.world.published import Published

SIDES = ("/lazy-static/torrents/*", "*.m3u8", "*segments-sha256.json")


async def _begun(folder: Path, origin: Origin, film: Published, resumed: dict[InfoHash, frozenset[int]]) -> VideoId:
    """Pin a video as far as its first piece, then stop."""
    async with a_box(folder, origin, eager=False, resumed=resumed) as box:
        video = await box.know(film)
        await box.want(video)
        first = box.hash_of(film, film.made.files[0].resolution)
        await box.turns(lambda: box.swarm.holds(first) and bool(box.keeper.holdings))
        await box.turns(lambda: box.keeper.holdings[video].started)
        await box.swarm.deliver(first, [0])
    return video


@pytest.mark.parametrize("known", ["lately", "long ago"])
async def test_an_unfinished_pin_goes_on_from_peers_while_its_origin_is_gone(
    tmp_path: Path, origin: Origin, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = origin.add_video(make(Layout.SPLIT))
    resumed: dict[InfoHash, frozenset[int]] = {}
    video = await _begun(tmp_path, origin, film, resumed)
    origin.close()
    if known == "long ago":
        monkeypatch.setattr(pinner, "STALE", timedelta(0))
    async with a_box(tmp_path, origin, resumed=resumed) as box:
        await asyncio.to_thread(box.provide, film)
        await box.pinned(video)
        assert await asyncio.to_thread(box.same, film, video)


async def test_what_was_gathered_before_a_restart_is_not_asked_for_again(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(Layout.SPLIT))
    resumed: dict[InfoHash, frozenset[int]] = {}
    video = await _begun(tmp_path, origin, film, resumed)
    assert all(origin.asked(pattern) for pattern in SIDES)
    origin.forget()
    async with a_box(tmp_path, origin, resumed=resumed) as box:
        await asyncio.to_thread(box.provide, film)
        await box.pinned(video)
        await box.quiet()
        assert await asyncio.to_thread(box.same, film, video)
        manifest = await box.manifest(video)
    assert not origin.asked("/lazy-static/torrents/*")
    assert not origin.asked("*.m3u8")
    assert manifest is not None
    assert set(manifest.digests) >= {r.torrent for r in manifest.renditions}


@pytest.mark.parametrize("pattern", ["*.torrent", "*.m3u8", "*-segments-sha256.json"])
@pytest.mark.parametrize("spoilt", [b"", b"#EXTM3U\n", b"d8:announce0:e"], ids=["empty", "playlist", "torrent"])
async def test_a_spoilt_copy_is_fetched_anew(tmp_path: Path, origin: Origin, pattern: str, spoilt: bytes) -> None:
    film = origin.add_video(make(), torrents=pattern != "*-segments-sha256.json")
    if film.torrents:
        video = await _begun(tmp_path, origin, film, {})
    else:
        origin.shape(rate=film.made.size / 30)
        async with a_box(tmp_path, origin) as box:
            video = await box.know(film)
            await box.want(video)
            await asyncio.to_thread(origin.wait_for, "*-fragmented.mp4", 1)
        origin.shape()
    (name,) = (tmp_path / "library").glob(f"*/*/{pattern}")
    good = name.read_bytes()
    name.write_bytes(spoilt)
    origin.forget()
    async with a_box(tmp_path, origin) as box:
        await asyncio.to_thread(box.provide, film)
        await box.pinned(video)
        await box.quiet()
        assert await asyncio.to_thread(box.same, film, video)
        assert name.read_bytes() == good
    assert origin.asked("*.m3u8")


async def test_what_waits_for_a_resting_origin_says_so_and_until_when(tmp_path: Path, origin: Origin) -> None:
    films = [origin.add_video(make(), title=f"Film {n}") for n in range(6)]
    busy = origin.fault("/lazy-static/torrents/*", "status", status=429, headers={"Retry-After": "600"})
    async with a_box(tmp_path, origin) as box:
        known = [await box.know(film) for film in films]
        await box.want(*known)
        for video in known[3:]:
            pin = await box.until(video, PinState.WAITING)
            assert pin is not None
            assert pin.trouble is not None
            assert pin.trouble.code == "origin_rests"
            assert origin.host in pin.trouble.message
            assert pin.next_try is not None
            assert f"{pin.next_try:%H:%M} UTC" in pin.trouble.hint
            assert pin.failures == 0
        asked = len(origin.asked("/lazy-static/torrents/*"))
        assert asked <= 3
        origin.mend(busy)
        box.fetcher.manners.heard(OriginName(origin.host), Ask.API, 200, {})  # somebody else got an answer
        box.keeper.wake()
        for video in known[3:]:
            await box.pinned(video)


async def test_without_peers_a_pin_says_what_its_origin_answered(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    origin.fault("*-fragmented.mp4", "status", status=429, headers={"Retry-After": "600"})
    async with a_box(tmp_path, origin, eager=False) as box:
        video = await box.know(film)
        await box.want(video)
        pin = await box.until(video, PinState.WAITING)
        assert pin is not None
        assert pin.trouble is not None
        assert pin.next_try is not None
        assert pin.trouble.code == "no_source"
        assert pin.trouble.message == (
            f"No peer sends usable bytes of this video, and {origin.host} asks us to slow down."
        )
        assert f"again at {pin.next_try:%H:%M} UTC" in pin.trouble.hint
        assert pin.next_try - box.clock.now() > timedelta(minutes=8)
