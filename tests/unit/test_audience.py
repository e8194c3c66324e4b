"""Who is at a video: hopping and a full buffer are no leaving, a closed connection is one after a moment."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.domain.shelf import Reader
from appliance.domain.units import VideoId
from appliance.store import audience as module
from appliance.store import leases
from appliance.store.audience import Audience
from tests.unit.box import Box, a_box
from tests.world.media import make
from tests.world.origin import Origin

A, B = VideoId("a" * 16), VideoId("b" * 16)


class Wire:
    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def when_lost(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def close(self) -> None:
        assert len(self._listeners) == 1
        self._listeners.pop()()


class Hall:
    """An audience, and a queue of the videos that were left by all."""

    def __init__(self) -> None:
        self.audience, self.left = Audience(), asyncio.Queue[VideoId]()
        self.audience.listen(self.left.put_nowait)

    async def leaves(self) -> VideoId:
        async with asyncio.timeout(10):
            return await self.left.get()


@pytest.fixture
async def hall(monkeypatch: pytest.MonkeyPatch) -> Hall:
    monkeypatch.setattr(module, "LEFT_SECONDS", 0.05)
    return Hall()


async def test_a_viewer_leaves_a_moment_after_the_last_connection_closed(hall: Hall) -> None:
    wires = [Wire() for _ in range(3)]
    for wire in wires:
        with hall.audience.attending(A, wire):
            assert hall.audience.present(A)
    with hall.audience.attending(A, wires[0]):
        pass
    for wire in wires[1:]:
        wire.close()
    await asyncio.sleep(0.1)
    assert hall.left.empty()
    wires[0].close()
    assert hall.audience.present(A)
    assert await hall.leaves() == A
    assert not hall.audience.present(A)


async def test_who_hops_to_another_connection_stays(hall: Hall) -> None:
    for _ in range(5):
        wire = Wire()
        with hall.audience.attending(A, wire):
            pass
        wire.close()
    with hall.audience.attending(A, None):
        await asyncio.sleep(0.1)
        assert hall.left.empty()
    assert await hall.leaves() == A
    assert hall.left.empty()


async def test_a_connection_that_goes_on_to_another_video_or_falls_silent_is_at_the_first_no_more(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire()
    with hall.audience.attending(A, wire):
        pass
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.02)
    with hall.audience.attending(B, wire):
        assert await hall.leaves() == A
    assert await hall.leaves() == B
    wire.close()
    assert not hall.audience.present(B)


async def test_a_connection_lost_amid_an_answer_counts_until_that_has_ended(hall: Hall) -> None:
    wire = Wire()
    with hall.audience.attending(A, wire):
        wire.close()
        await asyncio.sleep(0.1)
        assert hall.left.empty()
    assert await hall.leaves() == A


# What is fetched for viewers


async def _watch(box: Box, video: VideoId) -> Reader:
    """Open a video as a viewer does, and read of it."""
    box.leases.renew(video, "sofa")
    playable = await box.shelf.playable(video)
    source = await box.shelf.file(video, playable.renditions[0].files[0].name)
    assert not isinstance(source, Path)
    return source


@pytest.mark.parametrize("torrents", [True, False], ids=["torrent", "http"])
async def test_when_the_last_viewer_has_left_nothing_more_is_fetched_until_one_comes(
    tmp_path: Path, origin: Origin, torrents: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEFT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "SILENCE", 100_000.0)  # the box's clock is a quick one
    async with a_box(tmp_path, origin, eager=False) as box:
        video = await box.know(origin.add_video(make(kbits=1500), torrents=torrents))
        origin.shape(rate=100_000)
        one, other = Wire(), Wire()
        with box.keeper.audience.attending(video, one), box.keeper.audience.attending(video, other):
            source = await _watch(box, video)
        holding = box.keeper.holdings[video]
        one.close()
        await asyncio.sleep(0.1)
        assert holding.started
        await source.close()
        other.close()
        await box.turns(lambda: not holding.started)
        await box.quiet()
        assert box.leases.held(video)
        assert not holding.asks_ranges
        with box.keeper.audience.attending(video, None):
            await (await _watch(box, video)).close()
            assert box.keeper.holdings[video] is holding
            assert holding.started
