"""A box with a media server for tests: the real web, store and library, served over HTTP on loopback.

``async with a_box(folder) as box`` gives one that is set up; ``box.base`` is its address.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx

from appliance.clock import Clock
from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Decision, Plan, Reason, ReasonCode, Rule, RuleKind, Verdict
from appliance.domain.units import ByteCount, ChannelId, RenditionName, RuleId, VideoId
from appliance.domain.video import Rendition, RenditionKind, Upstream, VideoDetail, VideoSummary
from appliance.lan.notify import Callback
from appliance.library import files
from appliance.library.manifest import CaptionRecord, Manifest, MediaFile, RenditionRecord, SideFile
from appliance.library.marker import Library
from appliance.serve.dlna.app import DlnaApp, create_dlna_app
from appliance.serve.dlna.events import Notify
from appliance.store import channels, decisions, pins, rules, videos
from appliance.store.engine import Store
from tests.unit.house import HOST, House, a_house, set_up, summary
from web.app import create_app

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
IDENT = "c0ffee00-1234-5678-9abc-def012345678"
DIDL = "{urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/}"
DC = "{http://purl.org/dc/elements/1.1/}"
UPNP = "{urn:schemas-upnp-org:metadata-1-0/upnp/}"
"""Name spaces, as ElementTree writes them."""


@dataclass
class Posted:
    """One NOTIFY that was handed over."""

    callback: Callback
    headers: dict[str, str]
    values: dict[str, str]


@dataclass
class Post:
    """Stands in for the sender of NOTIFY; ``taken`` is what it answers."""

    sent: list[Posted] = field(default_factory=list)
    taken: bool = True

    async def __call__(self, callback: Callback, headers: tuple[tuple[str, str], ...], body: bytes) -> bool:
        root = ElementTree.fromstring(body)
        values = {inner.tag: inner.text or "" for each in root for inner in each}
        self.sent.append(Posted(callback, dict(headers), values))
        return self.taken


@dataclass
class Box:
    """``ids`` are the videos, the newest first."""

    house: House
    app: DlnaApp
    library: Library
    base: str
    client: httpx.AsyncClient
    ids: list[VideoId]
    channel: ChannelId

    async def ask(
        self, service: str, action: str, headers: dict[str, str] | None = None, /, **given: str
    ) -> httpx.Response:
        """Call an action."""
        inner = "".join(f"<{name}>{_escaped(value)}</{name}>" for name, value in given.items())
        kind = f"urn:schemas-upnp-org:service:{service}:1"
        if service == "MediaReceiverRegistrar":
            kind = "urn:microsoft.com:service:X_MS_MediaReceiverRegistrar:1"
        body = envelope(f'<u:{action} xmlns:u="{kind}">{inner}</u:{action}>')
        said = {"content-type": 'text/xml; charset="utf-8"', "soapaction": f'"{kind}#{action}"'}
        return await self.client.post(f"/dlna/control/{service}", content=body, headers=said | (headers or {}))

    async def browse(
        self,
        ident: str,
        *,
        start: int = 0,
        count: int = 0,
        asked: str = "*",
        sort: str = "",
        flag: str = "BrowseDirectChildren",
        agent: str = "SomeTV/1.0",
    ) -> "Listing":
        answer = await self.ask(
            "ContentDirectory",
            "Browse",
            {"user-agent": agent},
            ObjectID=ident,
            BrowseFlag=flag,
            Filter=asked,
            StartingIndex=str(start),
            RequestedCount=str(count),
            SortCriteria=sort,
        )
        assert answer.status_code == 200, answer.text
        return listing(answer)

    async def search(self, criteria: str, ident: str = "0", *, sort: str = "", count: int = 0) -> "Listing":
        answer = await self.ask(
            "ContentDirectory",
            "Search",
            ContainerID=ident,
            SearchCriteria=criteria,
            Filter="*",
            StartingIndex="0",
            RequestedCount=str(count),
            SortCriteria=sort,
        )
        assert answer.status_code == 200, answer.text
        return listing(answer)


@dataclass
class Listing:
    """One page: its document, its nodes, the numbers that came with it."""

    text: str
    nodes: list[ElementTree.Element]
    returned: int
    total: int
    update: int

    @property
    def titles(self) -> list[str]:
        return [node.findtext(f"{DC}title", "") for node in self.nodes]

    @property
    def ids(self) -> list[str]:
        return [node.get("id", "") for node in self.nodes]


def listing(answer: httpx.Response) -> Listing:
    root = ElementTree.fromstring(answer.content)
    text = root.findtext(".//Result") or ""
    numbers = [int(root.findtext(f".//{name}") or -1) for name in ("NumberReturned", "TotalMatches", "UpdateID")]
    return Listing(text, list(ElementTree.fromstring(text)), *numbers)


def envelope(inner: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        f's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>{inner}</s:Body></s:Envelope>'
    ).encode()


def fault_of(answer: httpx.Response) -> int:
    """Return the number of the UPnP error that an answer tells."""
    assert answer.status_code == 500, answer.text
    return int(ElementTree.fromstring(answer.content).findtext(".//{urn:schemas-upnp-org:control-1-0}errorCode") or 0)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


PICTURE = Path(__file__).parent / "picture.jpg"
TITLES = ("Äpfel & Birnen", "Bergwandern", "Citizen <Science>", "Dampflok", "Eulen", "Fjorde")


def _rendition(n: int, height: int, name: str = "", **more: Any) -> Rendition:
    values: dict[str, Any] = {
        "name": RenditionName(name or f"{height}p"),
        "kind": RenditionKind.HLS,
        "height": height,
        "width": height * 16 // 9,
        "fps": 25,
        "has_video": True,
        "has_audio": True,
        "size": ByteCount(height * 100_000),
        "file_url": f"https://{HOST}/static/{n}-{height}.mp4",
        "playlist_url": f"https://{HOST}/static/{n}-{height}.m3u8",
    }
    return Rendition(**(values | more))


async def fill(store: Store, library: Library) -> tuple[ChannelId, list[VideoId]]:
    """Put six videos of one channel into the store; two are held whole, the first with pictures and subtitles."""
    info = ChannelInfo(ChannelAddress(f"https://{HOST}", HOST, ChannelKind.CHANNEL, "films"), title="Films")
    channel = await store.promise(channels.follow, info, NOW)
    found = [summary(n, title, NOW) for n, title in enumerate(TITLES)]
    await store.write(videos.put_page, channel, tuple(found), NOW, 1)
    for n, one in enumerate(found):
        every = tuple(_rendition(n, height) for height in (2160, 1080, 720, 360))
        if n == 3:  # sound in a rendition of its own
            silent = [_rendition(n, height, has_audio=False) for height in (1080, 480)]
            sound = _rendition(n, 0, "audio", has_video=False, width=0, size=ByteCount(5_000_000))
            every = (*silent, sound)
        if n == 4:  # the folder of an origin that cuts its media
            every = (_rendition(n, 720, file_url=f"https://{HOST}/static/{n}/"),)
        await store.write(videos.put_detail, VideoDetail(one, Upstream.PUBLISHED, every), None, NOW)
    await store.promise(rules.put, Rule(RuleId("recent"), "What is new", RuleKind.RECENT, budget_share=0.5))
    chosen = tuple(
        Decision(
            one.id,
            Verdict.KEEP,
            (Reason(ReasonCode.CHOSEN),),
            tuple(RenditionName(name) for name in ("2160p", "1080p", "720p", "360p")),
            rule=RuleId("recent"),
        )
        for one in found[:2]
    )
    await store.write(decisions.put_plan, Plan(chosen, (), ByteCount(0), ByteCount(0), ByteCount(0)), NOW)
    for one in found[:2]:
        names = tuple(RenditionName(name) for name in ("2160p", "1080p", "720p"))
        size = ByteCount(72_000_000)
        await store.promise(pins.put, Pin(one.id, PinState.PINNED, names, size, size, NOW, NOW))
    await asyncio.to_thread(_keep, library, found[0])
    return channel, [one.id for one in found]


def _keep(library: Library, video: VideoSummary) -> None:
    """Write the record, picture and subtitles of a video that is held."""
    captions = tuple(
        CaptionRecord(language=language, label=language, file=f"{language}.vtt", automatic=language == "en")
        for language in ("en", "fr", "de")
    )
    manifest = Manifest(
        id=video.id,
        origin=video.origin,
        uuid=video.uuid,
        title=video.title,
        duration=video.duration,
        language="de",
        renditions=(
            RenditionRecord(
                name="720p",
                kind=RenditionKind.HLS,
                size=72_000_000,
                files=(MediaFile(name="720.mp4", size=72_000_000),),
                whole=True,
            ),
        ),
        captions=captions,
        thumbnail=SideFile(file="picture.jpg"),
    )
    files.save(library, manifest)
    files.write_side(library, manifest, "picture.jpg", PICTURE.read_bytes())


@asynccontextmanager
async def a_box(folder: Path, *, clock: Clock | None = None, post: Notify | None = None) -> AsyncIterator[Box]:
    """Open a box that is set up, with six videos."""
    library = Library(folder / "library", "ab" * 16)
    await asyncio.to_thread(library.claim)
    async with a_house(folder, clock=clock) as house:
        channel, ids = await fill(house.store, library)
        app = create_dlna_app(
            house.store,
            house.leases,
            library,
            house.clock,
            post or Post(),
            name=lambda: "Attic & Co",
            ident=IDENT,
            version="0.1.0",
        )
        house.services = replace(house.services, dlna=app)
        house.web.stop()
        house.web = await asyncio.to_thread(create_app, house.services)
        try:
            async with house.served() as base, set_up(base), httpx.AsyncClient(base_url=base) as client:
                yield Box(house, app, library, base, client, ids, channel)
        finally:
            await app.close()
