"""Who plays now, and what is here because somebody watched it, on the pages."""

import re
from datetime import timedelta
from pathlib import Path

from appliance.domain.pin import PinState
from appliance.domain.screen import Act
from appliance.domain.units import ByteCount, BytesPerSecond
from appliance.store import cached
from appliance.store.sightings import Sightings
from tests.unit.house import a_house, fill, set_up, summary
from web.services import Activity
from web.views import playing


def test_a_screen_is_called_by_what_is_known_of_it() -> None:
    assert playing.screen("192.168.1.23", "Samsung television") == "Samsung television at 192.168.1.23"
    assert playing.screen("192.168.1.23", "") == "A screen at 192.168.1.23"
    assert playing.screen("fe80::1", "Kodi") == "Kodi at fe80::1"
    assert playing.screen("127.0.0.1", "") == "This machine"
    assert playing.screen("kitchen", "") == "With the token “kitchen”"


async def test_the_first_page_says_which_screen_plays_what_and_from_where(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.served() as base, set_up(base) as browser:
        await fill(house, 12)
        assert "plays now" not in (await browser.get("/")).text
        seen = Sightings(house.clock)
        seen.saw("192.168.1.23", Act.FETCHED, "DLNADOC/1.50 SEC_HHP_[TV] Samsung")
        house.presence.screens = seen.every()
        house.leases.renew(summary(1).id, "192.168.1.23")
        house.leases.renew(summary(11).id, "192.168.1.40")
        house.leases.renew(summary(99).id, "192.168.1.41")
        size = ByteCount(1000)
        house.spending.busy = (
            Activity(
                summary(11).id,
                PinState.PINNING,
                ByteCount(10),
                size,
                BytesPerSecond(1_830_000),
                BytesPerSecond(0),
                3,
                9,
            ),
        )
        page = _text((await browser.get("/")).text)
        assert "2 screens play now" in page
        assert "Film 1 Samsung television at 192.168.1.23 just begun from the disk" in page
        assert "Film 11 A screen at 192.168.1.40 just begun arriving: 1.8 MB/s" in page
        assert "192.168.1.41" not in page


async def test_what_is_cached_says_so_on_its_page_and_is_let_go_there(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.served() as base, set_up(base) as browser:
        await fill(house, 12)
        video = summary(11).id
        watched_at = house.clock.now() - timedelta(hours=3)
        await house.store.promise(cached.put, video, ByteCount(5_000_000), watched_at, whole=True)
        page = (await browser.get(f"/videos/{video}")).text
        assert "It is here because somebody watched it 3 hours ago." in _text(page)
        assert "arrives while you watch" not in page
        assert "cached" in _text((await browser.get("/videos?state=cached")).text)
        form = re.search(r'action="([^"]+/drop)"><input type="hidden" name="csrf" value="([^"]+)"', page)
        assert form is not None
        house.keeping.watched.add(video)
        answer = await browser.post(f"/videos/{video}/drop", data={"csrf": form[2]}, follow_redirects=True)
        assert "Somebody is watching it." in answer.text
        house.keeping.watched.clear()
        answer = await browser.post(f"/videos/{video}/drop", data={"csrf": form[2]}, follow_redirects=True)
        assert "Gone." in answer.text
        assert "because somebody watched it" not in answer.text


def _text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("\u00a0", " ").split())
