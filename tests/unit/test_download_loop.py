"""A video that is taken again and again, and never becomes whole, is left alone for a day."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.domain.pin import PinState
from appliance.domain.traffic import Entry, TrafficClass
from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.pin import takings
from appliance.pin.takings import LEAST, TIMES, WINDOW, Takings
from appliance.store import ledger, pins
from tests.unit.box import a_box
from tests.world.media import make
from tests.world.origin import Origin

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
FILM = VideoId("film")
LARGE = ByteCount(100 * LEAST)


@pytest.mark.parametrize(("size", "most"), [(LARGE, TIMES * LARGE), (ByteCount(1), LEAST)], ids=["large", "small"])
def test_three_times_its_size_is_borne_and_no_more(size: ByteCount, most: int) -> None:
    takings = Takings()
    for _ in range(4):
        takings.note(FILM, most // 4, NOW)
    assert takings.trouble(FILM, size, NOW) is None
    takings.note(FILM, 1, NOW)
    trouble = takings.trouble(FILM, size, NOW)
    assert trouble is not None
    assert f"{most >> 20} MiB were taken" in trouble.message


def test_what_came_more_than_a_day_ago_counts_no_longer() -> None:
    takings = Takings()
    for hour in range(72):
        takings.note(FILM, LARGE * TIMES // 30, NOW + timedelta(hours=hour))
    assert takings.trouble(FILM, LARGE, NOW + timedelta(hours=72)) is None
    takings.note(FILM, LARGE, NOW + timedelta(hours=72))
    assert takings.trouble(FILM, LARGE, NOW + timedelta(hours=72)) is not None
    takings.forget(FILM)
    assert takings.trouble(FILM, LARGE, NOW + timedelta(hours=72)) is None


@pytest.mark.parametrize("past", [True, False], ids=["before a restart", "now"])
async def test_a_video_taken_too_often_fails_with_a_sentence_and_is_left_alone_for_a_day(
    tmp_path: Path, origin: Origin, past: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = origin.add_video(make(seconds=40), torrents=False)
    origin.shape(rate=film.made.size / 20)
    async with a_box(tmp_path, origin) as box:
        video = await box.know(film)
        await box.want(video)
        await box.until(video, PinState.PINNING)
        await asyncio.to_thread(origin.wait_for, "*-fragmented.mp4", 1)
        if past:
            taken = Entry(
                box.clock.now().date(), video, RenditionName("360p"), TrafficClass.ORIGINS, ByteCount(0), LEAST
            )
            await box.store.write(ledger.add, [taken])
    if not past:
        monkeypatch.setattr(takings, "TIMES", 0)
        monkeypatch.setattr(takings, "LEAST", 64 * 1024)
    async with a_box(tmp_path, origin) as box:
        pin = await box.until(video, PinState.FAILED)
        assert pin is not None
        assert pin.trouble is not None
        assert pin.trouble.code == "download_loop"
        assert pin.trouble.hint
        assert pin.next_try is not None
        assert WINDOW - timedelta(minutes=30) < pin.next_try - box.clock.now() <= WINDOW
        await box.quiet()
        assert not box.keeper.holdings
        origin.shape()
        monkeypatch.undo()
        box.keeper._lookout.takings.forget(video)
        await box.store.promise(pins.put, replace(pin, state=PinState.QUEUED, trouble=None, next_try=None))
        await box.pinned(video)
