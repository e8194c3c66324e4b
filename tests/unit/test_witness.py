"""What a request tells of a screen, and that only screens of this network are remembered."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.domain.screen import Act
from tests.unit.house import a_house, set_up
from web.witness import deed


@pytest.mark.parametrize(
    ("method", "path", "act"),
    [
        ("GET", "/dlna/description.xml", Act.DESCRIBED),
        ("HEAD", "/dlna/description.xml", None),
        ("POST", "/dlna/control/ContentDirectory", Act.BROWSED),
        ("POST", "/dlna/control/ConnectionManager", None),
        ("SUBSCRIBE", "/dlna/event/ContentDirectory", Act.SUBSCRIBED),
        ("UNSUBSCRIBE", "/dlna/event/ContentDirectory", None),
        ("GET", "/dlna/icon-48.png", None),
        ("GET", "/media/abc/720p.mp4", Act.FETCHED),
        ("GET", "/media/abc/master.m3u8", Act.FETCHED),
        ("HEAD", "/media/abc/720p.mp4", None),
        ("GET", "/media/abc/thumbnail.jpg", None),
        ("GET", "/media/abc/captions/en.srt", None),
        ("GET", "/videos/abc", None),
        ("POST", "/api/v1/pins", None),
    ],
)
def test_a_request_tells_what_a_screen_does(method: str, path: str, act: Act | None) -> None:
    assert deed(method, path) is act


async def test_screens_of_this_network_are_remembered_and_strangers_are_not(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.served() as base:
        async with set_up(base):
            pass
        for near in (True, False):
            house.lan = frozenset({"10.0.0.9"}) if near else frozenset()
            web: Any = house.web
            transport = httpx.ASGITransport(web, client=("10.0.0.9", 5))
            async with httpx.AsyncClient(transport=transport, base_url="http://192.168.7.7:7333") as screen:
                await screen.get("/media/aaaaaaaaaaaaaaaa/720p.mp4", headers={"user-agent": "TV/1"})
        assert house.presence.saws == [("10.0.0.9", Act.FETCHED, "TV/1")]
