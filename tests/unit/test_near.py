"""While the budget for the internet is used up, pins go on whose every byte comes from a server on the LAN."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.domain.pin import PinState
from appliance.domain.traffic import Quota
from appliance.domain.units import ByteCount, BytesPerSecond
from appliance.swarm.port import TorrentPhase
from tests.unit.box import Box, a_box
from tests.world.media import Layout, make
from tests.world.origin import Origin

UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
USED_UP = Quota(ByteCount(0), UNTIL, "This month's download is used up until 1 January.", UNTIL)
LEFT = Quota(ByteCount(10**12), UNTIL)


def _use_up(box: Box) -> None:
    box.quota = USED_UP
    box.fetcher.set_rate(BytesPerSecond(0))
    box.keeper.wake()


def _give(box: Box) -> None:
    box.quota = LEFT
    box.fetcher.set_rate(None)
    box.keeper.wake()


def _at_home(_: str) -> bool:
    return True


def _away(_: str) -> bool:
    return False


@pytest.mark.parametrize("torrents", [True, False])
async def test_a_video_on_the_lan_is_pinned_without_peers_and_seeded_then(
    tmp_path: Path, origin: Origin, torrents: bool
) -> None:
    film = origin.add_video(make(Layout.SPLIT), torrents=torrents)
    async with a_box(tmp_path, origin, eager=False, is_lan=_at_home) as box:
        _use_up(box)
        video = await box.know(film)
        await box.want(video)
        await box.pinned(video)
        assert box.same(film, video)
        assert origin.media_bytes >= film.made.size
        await box.quiet()
        phases = {status.phase for status in box.swarm.statuses().values()}
        assert phases == ({TorrentPhase.WHOLE} if torrents else set())


async def test_what_peers_had_begun_to_bring_goes_on_from_the_lan_when_the_budget_ends(
    tmp_path: Path, origin: Origin
) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin, eager=False, is_lan=_at_home) as box:
        video = await box.know(film)
        await box.want(video)
        await box.turns(lambda: video in box.keeper.holdings and box.keeper.holdings[video].started)
        assert not origin.media_bytes
        _use_up(box)
        await box.pinned(video)
        assert box.same(film, video)


@pytest.mark.parametrize("torrents", [True, False])
async def test_elsewhere_nothing_is_asked_for_until_there_is_a_budget_again(
    tmp_path: Path, origin: Origin, torrents: bool
) -> None:
    film = origin.add_video(make(), torrents=torrents)
    async with a_box(tmp_path, origin, is_lan=_away) as box:
        _use_up(box)
        video = await box.know(film)
        await box.want(video)
        waiting = await box.until(video, PinState.WAITING)
        assert waiting is not None
        assert waiting.trouble is not None
        assert (waiting.trouble.code, waiting.next_try) == ("quota_used", UNTIL)
        await box.quiet()
        assert not origin.media_bytes
        assert not box.keeper.holdings
        _give(box)
        await box.pinned(video)


async def test_what_its_origin_sends_on_to_the_internet_waits(tmp_path: Path, origin: Origin) -> None:
    """Its name is of the LAN, and the connection goes elsewhere."""
    film = origin.add_video(make(), torrents=False)
    seen: list[str] = []

    def is_lan(address: str) -> bool:
        seen.append(address)
        return len(seen) < 3

    async with a_box(tmp_path, origin, is_lan=is_lan) as box:
        _use_up(box)
        video = await box.know(film)
        await box.want(video)
        await box.until(video, PinState.WAITING, PinState.PINNING)
        await box.turns(lambda: len(seen) >= 3)
        assert origin.media_bytes < film.made.size


_KINDS: tuple[Callable[[str], bool], ...] = (_at_home, _away)


@pytest.mark.parametrize("is_lan", _KINDS)
async def test_nobody_runs_in_circles_while_the_budget_is_used_up(
    tmp_path: Path, origin: Origin, is_lan: Callable[[str], bool]
) -> None:
    """A plain MP4 with a torrent has no hashes to check its ranges by: it waits with the others."""
    film = origin.add_video(make(Layout.WEB))
    async with a_box(tmp_path, origin, eager=False, is_lan=is_lan) as box:
        _use_up(box)
        video = await box.know(film)
        await box.want(video)
        await box.until(video, PinState.WAITING)
        for _ in range(5):
            box.keeper.wake()
            await box.quiet()
        pin = await box.until(video, PinState.WAITING)
        assert pin is not None
        assert pin.trouble is not None
        assert (pin.state, pin.trouble.code, pin.failures) == (PinState.WAITING, "quota_used", 0)
        assert not origin.media_bytes


async def test_a_torrent_without_a_list_of_hashes_waits_with_the_others(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    origin.fault("*-segments-sha256.json", "status", status=404)
    async with a_box(tmp_path, origin, eager=False, is_lan=_at_home) as box:
        _use_up(box)
        video = await box.know(film)
        await box.want(video)
        waiting = await box.until(video, PinState.WAITING, PinState.FAILED)
        await box.quiet()
        assert waiting is not None
        assert waiting.trouble is not None
        assert waiting.trouble.code == "quota_used"
        assert not origin.media_bytes
