"""Pictures of channels: fetched once for each address, and checked by their bytes."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.clock import RealClock
from appliance.domain.channel import Channel, ChannelAddress, ChannelInfo, ChannelKind, ChannelState, Portrait
from appliance.domain.picture import kind_of
from appliance.domain.units import ChannelId, Origin
from appliance.follow.portraits import MOST_BYTES, Portraits
from appliance.outbound.fetch import Fetcher, OutboundOptions
from tests.world.http import Reply, Request, Server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
JPEG = b"\xff\xd8\xff\xe0" + bytes(40)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


class Host:
    """A server of pictures: what it answers by path, and what it was asked."""

    def __init__(self) -> None:
        self.pictures: dict[str, Reply] = {}
        self.asked: list[str] = []
        self.server = Server(self._answer, "127.0.0.1", (0,))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.ports[0]}{path}"

    def _answer(self, request: Request) -> Reply:
        self.asked.append(request.path)
        return self.pictures.get(request.path, Reply(404, {}, b""))


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    made.server.start()
    try:
        yield made
    finally:
        made.server.close()


@pytest.fixture
async def portraits(tmp_path: Path) -> AsyncIterator[Portraits]:
    async with Fetcher(OutboundOptions(True, "Seedkeep/test"), RealClock()) as fetcher:
        yield Portraits(fetcher, tmp_path / "portraits")


def channel(url: str | None, ident: str = "films") -> Channel:
    place = ChannelAddress("http://127.0.0.1", Origin("127.0.0.1"), ChannelKind.CHANNEL, ident)
    info = ChannelInfo(place, "Films", avatar_url=url)
    return Channel(ChannelId(ident), info, ChannelState.FOLLOWED, datetime(2026, 11, 21, tzinfo=UTC))


async def test_a_picture_is_asked_for_once_and_again_when_its_address_changes(
    host: Host, portraits: Portraits, tmp_path: Path
) -> None:
    host.pictures = {"/a": Reply(200, {"Content-Type": "text/html"}, PNG), "/b": Reply(200, {}, JPEG)}
    first = channel(host.url("/a"))
    assert await portraits.of(first.id) is None
    assert await portraits.look(first)
    assert not await portraits.look(first)
    assert await portraits.of(first.id) == Portrait("image/png", PNG)
    second = channel(host.url("/b"))
    assert await portraits.look(second)
    assert await portraits.of(first.id) == Portrait("image/jpeg", JPEG)
    assert host.asked == ["/a", "/b"]
    assert len(list((tmp_path / "portraits").iterdir())) == 1
    assert await portraits.look(replace(second, info=replace(second.info, avatar_url=None)))
    assert await portraits.of(first.id) is None


@pytest.mark.parametrize(
    "answer",
    [Reply(200, {"Content-Type": "image/png"}, SVG), Reply(200, {}, PNG + bytes(MOST_BYTES)), Reply(404, {}, b"")],
)
async def test_what_is_no_picture_leaves_the_one_before_and_is_not_asked_for_again(
    host: Host, portraits: Portraits, answer: Reply
) -> None:
    host.pictures = {"/a": Reply(200, {}, PNG), "/b": answer}
    assert await portraits.look(channel(host.url("/a")))
    for _ in range(3):
        assert not await portraits.look(channel(host.url("/b")))
    assert await portraits.of(ChannelId("films")) == Portrait("image/png", PNG)
    assert host.asked == ["/a", "/b"]


async def test_pictures_of_channels_that_were_left_go(host: Host, portraits: Portraits, tmp_path: Path) -> None:
    host.pictures = {"/a": Reply(200, {}, PNG)}
    for ident in ("films", "talks"):
        await portraits.look(channel(host.url("/a"), ident))
    (tmp_path / "portraits" / ".seedkeep-new-talks.x").write_bytes(b"half")
    await portraits.sweep({ChannelId("talks")})
    assert await portraits.of(ChannelId("films")) is None
    assert await portraits.of(ChannelId("talks")) == Portrait("image/png", PNG)
    assert len(list((tmp_path / "portraits").iterdir())) == 1


async def test_no_name_leads_out_of_the_folder(portraits: Portraits, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(PNG)
    for name in ("../secret", "..", "", ".", "/etc/passwd", "films\x00"):
        assert await portraits.of(ChannelId(name)) is None


def test_a_picture_is_known_by_its_first_bytes() -> None:
    webp = b"RIFF\x00\x00\x00\x00WEBPVP8 "
    assert [kind_of(data) for data in (PNG, JPEG, webp, b"GIF89a..")] == [
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
    ]
    assert [kind_of(data) for data in (SVG, b"", b"RIFF\x00\x00\x00\x00WAVE", b"<html>")] == [None] * 4
