"""What the channels have and the box does not hold: its pictures and subtitles on televisions, and what they cost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from appliance.domain.traffic import Quota
from appliance.domain.units import ByteCount, ChannelId, VideoId
from appliance.follow.sources import peertube
from appliance.lan.notify import notify
from appliance.outbound.fetch import Fetcher, OutboundOptions
from appliance.pin.errands import OF_ONE_ORIGIN
from appliance.serve.dlna.app import DlnaApp, create_dlna_app
from appliance.serve.media import create_media_app
from appliance.store import channels, screens, videos
from appliance.store.engine import Store
from appliance.swarm.fake import FakeSwarm
from tests.dlna.box import DIDL, IDENT, UPNP
from tests.dlna.box import Box as Screens
from tests.media.shelf import Notes
from tests.unit.box import Box
from tests.unit.house import House, a_house, a_token, address, set_up
from tests.world.media import Layout, make
from tests.world.origin import Origin
from tests.world.published import Published
from tests.world.recorded import Tape
from tests.world.scripted import QuickClock
from tests.world.shapes import dumps
from web.app import create_app

PICTURES, CAPTIONS, LISTS = "/lazy-static/thumbnails/*", "*/video-captions/*", "*/captions"
SEC = "{http://www.sec.co.kr/}"
PV = "{http://www.pv.com/pvns/}"
SAMSUNG = "SEC_HHP_[TV] Samsung Q7 Series (55)/1.0"
KODI = "UPnP/1.0 DLNADOC/1.50 Kodi"


@dataclass
class Scene:
    """A box with its origin. ``ids`` are videos that are not held, in the order of ``published``."""

    tube: Origin
    box: Box
    house: House
    screens: Screens
    notes: Notes
    published: list[Published]
    ids: list[VideoId]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.screens.client

    def asked(self, pattern: str) -> int:
        return len(self.tube.asked(pattern))

    async def captions(self, k: int = 0) -> list[str]:
        """Return the languages that the description of a video names, as a television asks for it."""
        (item,) = (await self.screens.browse(f"all${self.ids[k]}", flag="BrowseMetadata", agent=SAMSUNG)).nodes
        return [one.text or "" for one in item.iter(f"{SEC}CaptionInfoEx")]


@asynccontextmanager
async def a_scene(folder: Path, count: int = 1) -> AsyncIterator[Scene]:
    """Open a box whose catalogue has ``count`` films, with pictures; the first also has subtitles in two languages."""
    made = await asyncio.to_thread(make, Layout.MUXED)
    picture = next(x for x in Tape().all() if x.id == "muxed-thumbnail").path
    with Origin(limit=None) as tube:
        async with (
            a_house(folder) as house,
            FakeSwarm(eager=True) as swarm,
            Fetcher(OutboundOptions(allow_private=True), QuickClock(), chance=lambda: 0.5) as fetcher,
        ):
            box = Box(folder, tube, house.store, swarm, fetcher)
            await asyncio.to_thread(box.library.claim)
            published = [tube.add_video(made, title=f"Film {n}") for n in range(count)]
            for language in ("fr", "en"):
                published[0].caption(language)
            channel, ids = await _known(house.store, box, tube, published, picture)
            notes = Notes()
            async with _served(house, box, notes) as (base, client, app):
                screens = Screens(house, app, box.library, base, client, ids, channel)
                tube.forget()
                yield Scene(tube, box, house, screens, notes, published, ids)


async def _known(
    store: Store, box: Box, tube: Origin, published: list[Published], picture: str
) -> tuple[ChannelId, list[VideoId]]:
    """Have the catalogue know the films, each with a picture of its own address."""
    channel = await store.promise(channels.follow, address(), box.clock.now())
    ids = []
    for n, one in enumerate(published):
        await asyncio.to_thread(box.provide, one)
        detail = peertube.video_detail(dumps(one.detail()), tube.base_url)
        told = replace(detail.summary, thumbnail_url=tube.url(f"{picture}?{n}"), language="en")
        await store.write(videos.put_page, channel, (told,), box.clock.now(), 1)
        await store.write(videos.put_detail, replace(detail, summary=told), None, box.clock.now())
        ids.append(told.id)
    return channel, ids


@asynccontextmanager
async def _served(house: House, box: Box, notes: Notes) -> AsyncIterator[tuple[str, httpx.AsyncClient, DlnaApp]]:
    media = create_media_app(box.shelf, notes, notes.count, notes.throttle)
    app = create_dlna_app(
        house.store,
        house.leases,
        box.library,
        house.clock,
        notify,
        name=lambda: "Box",
        ident=IDENT,
        version="0",
        beside=box.shelf,
    )
    house.services = replace(house.services, dlna=app, media=media, shelf=box.shelf)
    house.web.stop()
    house.web = await asyncio.to_thread(create_app, house.services)
    try:
        async with house.served() as base, set_up(base), httpx.AsyncClient(base_url=base, timeout=30) as client:
            yield base, client, app
    finally:
        media.close()
        await app.close()
        await box.shelf.close()
        await box.keeper.opened.close_all()


async def test_a_list_names_pictures_and_asks_the_origin_for_those_that_a_television_fetches(tmp_path: Path) -> None:
    async with a_scene(tmp_path, 3) as scene:
        listing = await scene.screens.browse("all")
        assert len(listing.nodes) == 3
        assert scene.tube.log == []
        small, large = (one.text or "" for one in listing.nodes[0].findall(f"{UPNP}albumArtURI"))
        answers = await asyncio.gather(*(scene.client.get(small if n % 2 else large) for n in range(5)))
        assert [answer.status_code for answer in answers] == [200] * 5
        assert {answer.headers["content-type"] for answer in answers} == {"image/jpeg"}
        assert scene.asked(PICTURES) == 1
        assert len(answers[1].content) < len(answers[0].content)
        head = await scene.client.head(large)
        assert (head.status_code, head.content) == (200, b"")
        assert (head.headers["content-length"], head.headers["cache-control"]) == (
            str(len(answers[0].content)),
            "private, max-age=3600",
        )
        assert (await scene.client.get(f"/media/{scene.ids[0]}/storyboard.jpg")).status_code == 404
        assert scene.asked("*") == 1
        assert scene.box.keeper.holdings == {}
        assert scene.notes.leases == []


async def test_a_picture_that_cannot_be_had_is_asked_for_once_and_no_screen_remembers_that(tmp_path: Path) -> None:
    async with a_scene(tmp_path, 2) as scene:
        fault = scene.tube.fault(PICTURES, "status", status=404)
        for _ in range(2):
            for path in (f"/media/{scene.ids[0]}/thumbnail.jpg", f"/dlna/art/{scene.ids[0]}.jpg"):
                answer = await scene.client.get(path)
                assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")
        assert scene.asked(PICTURES) == 1
        scene.tube.mend(fault)
        assert (await scene.client.get(f"/dlna/art/{scene.ids[1]}.jpg")).status_code == 200


async def test_an_origin_that_fails_is_not_hammered_by_a_long_list(tmp_path: Path) -> None:
    async with a_scene(tmp_path, 40) as scene:
        scene.tube.fault(PICTURES, "status", status=503)
        paths = [f"/dlna/art/{video}.jpg" for video in scene.ids]
        answers = await asyncio.gather(*map(scene.client.get, paths))
        assert {answer.status_code for answer in answers} == {404}
        assert scene.asked("*") <= OF_ONE_ORIGIN


async def test_nothing_is_asked_once_the_budget_is_used_up(tmp_path: Path) -> None:
    async with a_scene(tmp_path, 2) as scene:
        paths = [f"/media/{video}/thumbnail.jpg" for video in scene.ids]
        assert (await scene.client.get(paths[0])).status_code == 200
        scene.tube.forget()
        now = scene.box.clock.now()
        scene.box.quota = Quota(ByteCount(0), now, "The month's data are used up.", again=now)
        assert [(await scene.client.get(path)).status_code for path in paths] == [200, 404]
        assert await scene.captions() == []
        assert scene.tube.log == []


async def test_the_description_of_a_video_asks_for_its_subtitles_and_a_list_never_does(tmp_path: Path) -> None:
    async with a_scene(tmp_path, 2) as scene:
        await scene.screens.browse("all", agent=SAMSUNG)
        assert scene.tube.log == []
        assert await scene.captions() == [f"{scene.screens.base}/media/{scene.ids[0]}/captions/en.srt"]
        assert await scene.captions(1) == []
        assert (scene.asked(LISTS), scene.asked("*")) == (2, 2)
        listing = await scene.screens.browse("all", agent=SAMSUNG)
        assert sum(1 for node in listing.nodes for _ in node.iter(f"{SEC}CaptionInfoEx")) == 1
        by_kodi = (await scene.screens.browse("all", agent=KODI)).nodes
        films = [res for node in by_kodi for res in node.findall(f"{DIDL}res")]
        base = f"{scene.screens.base}/media/{scene.ids[0]}/captions"
        assert {res.get(f"{PV}subtitleFileUri") for res in films} - {None} == {f"{base}/en.srt"}
        plain = [res.text for res in films if "text/srt" in res.get("protocolInfo", "")]
        assert plain == [f"{base}/en.srt", f"{base}/fr.srt"]
        assert await scene.captions() == [f"{scene.screens.base}/media/{scene.ids[0]}/captions/en.srt"]
        assert scene.asked("*") == 2


async def test_subtitles_are_fetched_when_a_television_asks_and_the_film_is_not_opened_for_them(
    tmp_path: Path,
) -> None:
    async with a_scene(tmp_path) as scene:
        (path,) = await scene.captions()
        answers = await asyncio.gather(*(scene.client.get(path) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        assert "-->" in answers[0].text
        assert not answers[0].text.startswith("WEBVTT")
        assert scene.asked(CAPTIONS) == 1
        assert (await scene.client.get(path.replace("/en.srt", "/xx.srt"))).status_code == 404
        assert scene.box.keeper.holdings == {}
        assert scene.notes.leases == []


async def test_what_is_opened_has_its_subtitles_in_the_playlist_and_in_the_headers_of_its_film(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        base = f"/media/{scene.ids[0]}"
        master = (await scene.client.get(f"{base}/master.m3u8")).text
        for _ in range(20):  # the origin has a third of a second to say so before the playlist goes without
            if "TYPE=SUBTITLES" in master:
                break
            master = (await scene.client.get(f"{base}/master.m3u8")).text
        languages = [line for line in master.splitlines() if "TYPE=SUBTITLES" in line]
        assert ['LANGUAGE="en"' in languages[0], 'LANGUAGE="fr"' in languages[1]] == [True, True]
        assert scene.asked(LISTS) == 1
        assert scene.asked(CAPTIONS) == 0
        listed = await scene.client.get(f"{base}/captions/fr.m3u8")
        assert "fr.vtt" in listed.text
        text = await scene.client.get(f"{base}/captions/fr.vtt")
        assert (text.status_code, text.text[:6]) == (200, "WEBVTT")
        assert scene.asked(CAPTIONS) == 1
        asking = {"getcaptioninfo.sec": "1"}
        head = await scene.client.head(f"{base}/360p.mp4", headers=asking)
        assert head.headers["captioninfo.sec"] == f"{scene.screens.base}{base}/captions/en.srt"
        assert "captioninfo.sec" not in (await scene.client.head(f"{base}/360p.mp4")).headers


async def test_who_came_with_a_token_is_told_of_subtitles_that_it_can_reach(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        token = await a_token(scene.house, "play")
        await scene.captions()
        root = f"/t/{token}/media/{scene.ids[0]}"
        far = {"host": "box.example.org", "x-forwarded-for": "203.0.113.9"}
        head = await scene.client.head(f"{root}/360p.mp4", headers={"getcaptioninfo.sec": "1"})
        told = head.headers["captioninfo.sec"]
        assert told == f"{scene.screens.base}{root}/captions/en.srt"
        path = told.removeprefix(scene.screens.base)
        assert (await scene.client.get(path, headers=far)).status_code == 200
        assert (await scene.client.get(f"{root}/thumbnail.jpg", headers=far)).status_code == 200


@pytest.mark.parametrize("name", ["thumbnail.jpg", "captions/en.srt"])
async def test_who_may_not_play_is_not_shown_pictures_and_nothing_is_asked_for_them(tmp_path: Path, name: str) -> None:
    async with a_scene(tmp_path) as scene:
        path = f"/media/{scene.ids[0]}/{name}"
        for headers in ({"host": "box.example.org"}, {"x-forwarded-for": "203.0.113.9"}):
            assert (await scene.client.get(path, headers=headers)).status_code in (401, 403, 421)
        assert (await scene.client.get(f"/t/wrong{path}")).status_code in (401, 403)
        assert scene.tube.log == []
        assert (await scene.client.get(path)).status_code == 200


async def test_what_is_kept_because_it_was_watched_has_its_picture_and_its_subtitles_too(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        video, base = scene.ids[0], f"/media/{scene.ids[0]}"
        assert (await scene.client.get(f"{base}/master.m3u8")).status_code == 200
        async with asyncio.timeout(20):
            await scene.box.keeper.holdings[video].wait()
        await scene.box.keeper.cache.put_by(video)
        assert scene.box.keeper.holdings == {}
        found = await scene.box.store.read(screens.one, video)
        assert found is not None
        assert found.held
        assert await scene.captions() == [f"{scene.screens.base}{base}/captions/en.srt"]
        for path in (f"{base}/thumbnail.jpg", f"/dlna/art/{video}.jpg", f"{base}/captions/en.srt"):
            assert (await scene.client.get(path)).status_code == 200
        head = await scene.client.head(f"{base}/360p.mp4", headers={"getcaptioninfo.sec": "1"})
        assert head.headers["captioninfo.sec"].endswith(f"{base}/captions/en.srt")
        assert "TYPE=SUBTITLES" in (await scene.client.get(f"{base}/master.m3u8")).text
        assert (scene.asked(PICTURES), scene.asked(CAPTIONS), scene.asked(LISTS)) == (1, 1, 1)
        assert scene.box.keeper.holdings == {}
