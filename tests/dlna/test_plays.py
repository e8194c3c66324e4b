"""What a listing promises, serve keeps: every layout's film has the size, type and features that its ``res`` says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import Rendition, RenditionKind, Upstream, VideoDetail
from appliance.library.marker import Library
from appliance.serve.dlna.actions import SOURCE
from appliance.serve.dlna.app import create_dlna_app
from appliance.serve.dlna.films import films
from appliance.serve.media import create_media_app
from appliance.store import channels, videos
from appliance.store.screens import ScreenVideo
from tests.dlna.box import DIDL, IDENT, NOW, Box, Post
from tests.media.made_shelf import shelf_of
from tests.media.shelf import VIDEO, Notes, empty_shelf, serving
from tests.media.shelf import rendition as playable
from tests.unit.house import HOST, a_house, address, set_up, summary
from tests.world.media import Layout, Made, MadeFile, make
from web.app import create_app


def _rendition(made: Made, file: MadeFile) -> Rendition:
    parted = made.recipe.layout is Layout.TS
    return Rendition(
        name=RenditionName(f"{file.height}p" if file.has_video else "audio"),
        kind=RenditionKind.WEB if made.recipe.layout is Layout.WEB else RenditionKind.HLS,
        height=file.height if file.has_video else 0,
        width=file.width if file.has_video else 0,
        fps=file.fps,
        has_video=file.has_video,
        has_audio=file.has_audio,
        size=ByteCount(file.size),
        file_url=f"https://{HOST}/media/{file.stem}/" if parted else f"https://{HOST}/media/{file.parts[0]}",
    )


@asynccontextmanager
async def _a_box_with(made: Made, folder: Path) -> AsyncIterator[Box]:
    (folder / "files").mkdir()
    notes = Notes()
    media = create_media_app(shelf_of(made, folder / "files"), notes, notes.count, notes.throttle)
    library = Library(folder / "library", "ab" * 16)
    async with a_house(folder, media=media) as house:
        channel = await house.store.promise(channels.follow, address(), NOW)
        one = replace(summary(0, now=NOW), id=VIDEO, duration=made.recipe.seconds)
        await house.store.write(videos.put_page, channel, (one,), NOW, 1)
        every = tuple(_rendition(made, file) for file in made.files)
        await house.store.write(videos.put_detail, VideoDetail(one, Upstream.PUBLISHED, every), None, NOW)
        app = create_dlna_app(
            house.store, house.leases, library, house.clock, Post(), name=lambda: "Box", ident=IDENT, version="0"
        )
        house.services = replace(house.services, dlna=app)
        house.web.stop()
        house.web = await asyncio.to_thread(create_app, house.services)
        try:
            async with house.served() as base, set_up(base), httpx.AsyncClient(base_url=base) as client:
                yield Box(house, app, library, base, client, [VIDEO], channel)
        finally:
            await app.close()
            media.close()


@pytest.mark.parametrize("layout", [Layout.MUXED, Layout.SPLIT, Layout.TS, Layout.WEB])
async def test_the_film_that_is_listed_is_the_film_that_is_served(tmp_path: Path, layout: Layout) -> None:
    made = await asyncio.to_thread(make, layout)
    async with _a_box_with(made, tmp_path) as box:
        (item,) = (await box.browse("all")).nodes
        res = item.find(f"{DIDL}res")
        assert res is not None
        _, _, kind, features = res.get("protocolInfo", "").split(":", 3)
        answer = await box.client.get(res.text or "", headers={"range": "bytes=0-"})
        assert answer.status_code == 206
        assert (answer.headers["content-type"], answer.headers["contentfeatures.dlna.org"]) == (kind, features)
        assert len(answer.content) == int(res.get("size", 0))
        film = tmp_path / "film"
        await asyncio.to_thread(film.write_bytes, answer.content)
        probe = await asyncio.create_subprocess_exec(
            *(
                "ffprobe",
                "-v",
                "error",
                "-show_entries",
                "stream=codec_type:format=duration",
                "-of",
                "csv=p=0",
                str(film),
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        said = (await probe.communicate())[0].decode().split()
        assert {"video", "audio"} <= set(said)
        assert abs(float(said[-1]) - made.recipe.seconds) < 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a-720.mp4", "video/mp4"),
        ("a-720.WEBM", "video/webm"),
        ("a-720.mkv", "video/x-matroska"),
        ("a-720.mov", "video/quicktime"),
        ("a-720", "video/mp4"),
    ],
)
async def test_a_plain_file_is_listed_as_what_it_is_served_as(tmp_path: Path, name: str, kind: str) -> None:
    shelf, data = empty_shelf(tmp_path), b"x" * 500
    made = playable("720p-web", 720, data)
    held = replace(made, kind=RenditionKind.WEB, bytemap=None, files=(replace(made.files[0], name=name),))
    shelf.add(held, data)
    listed = Rendition(
        name=held.name,
        kind=RenditionKind.WEB,
        height=720,
        width=1280,
        fps=25,
        has_video=True,
        has_audio=True,
        size=held.size,
        file_url=f"https://{HOST}/static/{name}?token=a.b",
    )
    video = ScreenVideo(VIDEO, summary(0).origin, "", 60, NOW, "", None, False, True, (listed,), (listed.name,))
    (film,) = films(video, 1080, 60, 3)
    assert (film.offer.content_type, film.offer.size) == (kind, 500)
    assert f"http-get:*:{kind}:" in SOURCE
    async with serving(shelf, Notes()) as (host, port), httpx.AsyncClient() as client:
        answer = await client.head(f"http://{host}:{port}/media/{VIDEO}/{film.offer.address}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
