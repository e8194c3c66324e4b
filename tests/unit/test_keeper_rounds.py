"""The keeper's rounds: what ends while a round is under way, and what a kill left half done."""

import asyncio
from dataclasses import replace
from pathlib import Path

from appliance.domain.pin import PinState
from appliance.domain.units import ByteCount, VideoId
from appliance.store import pins
from tests.unit.box import Box, a_box
from tests.world.media import make
from tests.world.origin import Origin


def _hold_rounds_up(box: Box) -> None:
    """Have a round that finds somebody at work go on only when nobody is any more."""
    room = box.keeper.opened.room

    async def slowly(but: VideoId | None = None) -> ByteCount:
        if but is None:
            await box.turns(lambda: not box.keeper._turns.taken)
        return await room(but)

    box.keeper.opened.room = slowly  # type: ignore[method-assign]


async def test_what_failed_while_a_round_was_under_way_is_not_begun_again_by_it(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    origin.fault("/lazy-static/torrents/*", "status", status=403)
    async with a_box(tmp_path, origin) as box:
        _hold_rounds_up(box)
        video = await box.know(film)
        await box.want(video)
        pin = await box.until(video, PinState.FAILED)
        await box.quiet()
        assert pin is not None
        assert pin.failures == 1
        box.keeper.wake()
        await box.clock.sleep(60)
        await box.quiet()
        assert len(origin.asked("/lazy-static/torrents/*")) == 1


async def test_a_release_that_was_killed_before_its_last_folder_went_takes_that_too(
    tmp_path: Path, origin: Origin
) -> None:
    film, watched = origin.add_video(make()), "abcdefghijklmnop"
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
        for path in folder.iterdir():
            path.unlink()
    leftover, full = folder.parent / watched, folder.parent / watched[::-1]
    leftover.mkdir()
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    async with a_box(tmp_path, origin) as box:
        await box.until(video, None)
        await box.quiet()
        await asyncio.wait_for(box.keeper.restored.wait(), 10)
        assert not folder.exists()
        assert not leftover.exists()
        assert (full / "mine.txt").read_text() == "mine"
