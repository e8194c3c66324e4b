"""Enough taken from one origin today: its pins wait until midnight UTC, and say so."""

from pathlib import Path

from appliance.domain.pin import PinState
from appliance.domain.traffic import Entry, TrafficClass
from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.units import Origin as Host
from appliance.pin.keeper import KeeperOptions
from appliance.store import ledger
from tests.unit.box import a_box
from tests.world.media import make
from tests.world.origin import Origin


async def test_an_origin_that_gave_enough_today_is_asked_for_no_more(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(), torrents=False)
    async with a_box(tmp_path, origin, running=False) as box:
        video = await box.know(film)
        today, some = box.clock.now().date(), ByteCount(5_000_000)
        taken = Entry(today, video, RenditionName("360p"), TrafficClass.ORIGINS, ByteCount(0), some)
        await box.store.write(ledger.add, [taken])
        assert await box.store.read(ledger.taken_from, Host(origin.host), today) == some
    async with a_box(tmp_path, origin) as box:
        box.keeper.reconfigure(KeeperOptions(3, origin_daily_bytes=some))
        await box.want(video)
        pin = await box.until(video, PinState.WAITING)
        assert pin is not None
        assert pin.trouble is not None
        assert pin.trouble.code == "origin_budget"
        assert origin.host in pin.trouble.message
        assert pin.failures == 0
        assert pin.next_try is not None
        assert pin.next_try.isoformat() == "2026-11-22T00:00:00+00:00"
        assert not origin.asked("*.mp4")
        box.keeper.reconfigure(KeeperOptions(3))
        await box.pinned(video)
