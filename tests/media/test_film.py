"""Films: what a TV gets of each layout, held and arriving, is one file of a size known before, alike at any range."""

import asyncio
import json
import subprocess
import threading
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.domain.shelf import Playable, PlayableCaption, PlayableFile
from appliance.domain.units import ByteCount
from appliance.domain.viewer import Viewer
from appliance.serve.film.classic import classic_layout
from appliance.serve.film.films import Films
from appliance.serve.film.headers import CONTENT_FEATURES
from appliance.serve.film.size import film_offer
from appliance.serve.media import create_media_app
from appliance.serve.source import MediaPool, Source
from appliance.serve.subtitles import srt
from tests.media.epic import epic
from tests.media.filming import Shelf, cinema, shelf
from tests.media.shelf import VIDEO, Notes, seen_as, served, serving, with_caption
from tests.world.media import Layout, Made, made
from tests.world.media import Recipe as What

LAYOUTS = [Layout.MUXED, Layout.SPLIT, Layout.TS, Layout.WEB]
FORMS = [(layout, arriving) for layout in LAYOUTS for arriving in (False, True)]
IDS = [f"{layout}-{'arriving' if arriving else 'held'}" for layout, arriving in FORMS]
SECONDS = 9


def film(layout: Layout) -> Made:
    return made(What(layout, (360,), SECONDS, segment=2))


def name_of(layout: Layout) -> str:
    return "360p.ts" if layout is Layout.TS else "360p.mp4"


@dataclass
class Film:
    """A film as it was read from its first byte to its last."""

    shelf: Shelf
    name: str
    data: bytes
    tag: str
    path: Path


def whole(layout: Layout, arriving: bool, folder: Path) -> Film:
    place = shelf(film(layout), arriving=arriving)
    name = name_of(layout)

    async def read() -> httpx.Response:
        async with cinema(place, name) as shown, httpx.AsyncClient() as client:
            return await client.get(shown.url)

    answer = asyncio.run(read())
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == int(answer.headers["content-length"])
    path = folder / f"{layout}-{arriving}-{name}"
    path.write_bytes(answer.content)
    return Film(place, name, answer.content, answer.headers["etag"], path)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Layout, bool], Film]:
    folder = tmp_path_factory.mktemp("films")
    return {form: whole(*form, folder) for form in FORMS}


def ran(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def streams(path: Path) -> dict[str, tuple[str, int, float]]:
    """What ffprobe says: codec, frames, seconds; complaints are failures."""
    entries = "stream=codec_type,codec_name,nb_read_frames,duration"
    command = ["ffprobe", "-v", "warning", "-count_frames", "-show_entries", entries, "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    found = json.loads(done.stdout)["streams"]
    return {s["codec_type"]: (s["codec_name"], int(s["nb_read_frames"]), float(s["duration"])) for s in found}


@cache
def frames(path: Path, kind: str) -> list[str]:
    """Return the hash of each decoded frame."""
    lines = ran("ffmpeg", "-v", "error", "-i", path, "-map", f"0:{kind}", "-f", "framemd5", "-").splitlines()
    return [line.rpartition(",")[2].strip() for line in lines if not line.startswith("#")]


def keyframes(path: Path) -> list[float]:
    told = ran("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,flags", "-of",
               "csv=p=0", path)  # fmt: skip
    rows = [line.split(",") for line in told.splitlines()]
    return [round(float(row[0]), 3) for row in rows if "K" in row[1]]


def source(layout: Layout, kind: str) -> Path:
    """The original that a film's pictures or sound must equal."""
    video = film(layout)
    if layout is Layout.TS:
        listed = video.folder / f"{video.files[0].stem}.m3u8"
        assert listed.exists()
        return listed
    file = video.files[-1] if kind == "a" else video.files[0]
    return video.path(file.parts[0])


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_a_film_has_exactly_the_size_that_the_catalogue_foretells(
    films: dict[tuple[Layout, bool], Film], form: tuple[Layout, bool]
) -> None:
    video = film(form[0])
    rendition, *_ = everything = films[form].shelf.playing.renditions
    offer = film_offer(rendition, everything, video.recipe.seconds, in_parts=form[0] is Layout.TS)
    assert offer.size == len(films[form].data)
    assert offer.address == films[form].name
    media = sum(f.size for f in video.files)
    assert media <= len(films[form].data) < media + 128 * 1024


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_every_range_of_a_film_is_what_its_full_read_gives(
    films: dict[tuple[Layout, bool], Film], form: tuple[Layout, bool]
) -> None:
    shown = films[form]
    size = len(shown.data)
    edges = st.integers(0, size - 1)
    ranges: list[tuple[int, int]] = []

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(edges, st.one_of(st.integers(0, 3000), st.integers(0, size)))
    def gather(first: int, more: int) -> None:
        ranges.append((first, min(size - 1, first + more)))

    gather()

    async def ask() -> None:
        async with cinema(shown.shelf, shown.name) as place, httpx.AsyncClient() as client:
            for first, last in [*ranges, (0, 0), (size - 1, size - 1), (0, size - 1)]:
                answer = await client.get(place.url, headers={"Range": f"bytes={first}-{last}"})
                assert answer.status_code == 206
                assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
                assert answer.headers["etag"] == shown.tag
                assert answer.content == shown.data[first : last + 1], (first, last)

    asyncio.run(ask())


FRAGMENTS = [f for f in FORMS if f[0] in (Layout.MUXED, Layout.SPLIT)]
OTHERS = [pytest.param(f, marks=pytest.mark.trial) for f in FORMS if f not in FRAGMENTS]


@pytest.mark.parametrize("form", [*FRAGMENTS, *OTHERS], ids=lambda form: f"{form[0]}-{form[1]}")
def test_a_film_has_the_streams_frames_and_keyframes_of_its_source(
    films: dict[tuple[Layout, bool], Film], form: tuple[Layout, bool]
) -> None:
    path, layout = films[form].path, form[0]
    found = streams(path)
    assert set(found) == {"video", "audio"}
    assert found["video"][:2] == ("h264", SECONDS * 25)
    assert found["audio"][0] == "aac"
    near = 0.3 if layout is Layout.TS else 0.1  # ffprobe knows a transport stream by its last packets only
    assert all(abs(seconds - SECONDS) < near for _, _, seconds in found.values())
    assert frames(path, "v") == frames(source(layout, "v"), "v")
    assert frames(path, "a") == frames(source(layout, "a"), "a")
    if layout is not Layout.TS:
        assert keyframes(path) == keyframes(source(layout, "v"))
        assert len(keyframes(path)) >= SECONDS // 2


def test_a_held_film_of_fragments_is_one_that_old_players_seek_in(films: dict[tuple[Layout, bool], Film]) -> None:
    for layout in (Layout.MUXED, Layout.SPLIT):
        told = ran("ffprobe", "-v", "trace", films[layout, False].path, "-show_entries", "format=duration") or ""
        assert float(told.split("duration=")[1].split()[0]) >= SECONDS
        data = films[layout, False].data
        boxes = top(data)
        assert [kind for kind, _ in boxes] == [b"ftyp", b"moov", b"free", b"mdat"]
        moov = dict(boxes)[b"moov"]
        assert b"mvex" not in moov
        assert moov.count(b"stsz") == 2
        arriving = dict(top(films[layout, True].data)[:3])
        assert b"mvex" in arriving[b"moov"]


def top(data: bytes) -> list[tuple[bytes, bytes]]:
    at, out = 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        out.append((data[at + 4 : at + 8], data[at : at + size]))
        at += size
    return out


async def test_a_film_that_was_begun_arriving_stays_as_it_is_for_that_viewer_only(
    films: dict[tuple[Layout, bool], Film],
) -> None:
    held, arriving = films[Layout.SPLIT, False], films[Layout.SPLIT, True]
    assert held.tag != arriving.tag
    assert len(held.data) == len(arriving.data)
    place, notes = shelf(film(Layout.SPLIT), arriving=True), Notes()
    app = create_media_app(place, notes, notes.count, notes.throttle)
    viewer = "tv"

    async def ask(client: httpx.AsyncClient, who: str, **headers: str) -> httpx.Response:
        nonlocal viewer
        viewer = who
        return await client.get(f"/media/{VIDEO}/360p.mp4", headers=headers)

    async with (
        served(seen_as(app, lambda: Viewer(name=viewer))) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        assert (await ask(client, "tv", Range="bytes=0-99")).headers["etag"] == arriving.tag
        place.arriving = False
        again = await ask(client, "tv", Range="bytes=200000-", **{"If-Range": arriving.tag})
        assert (again.status_code, again.headers["etag"]) == (206, arriving.tag)
        assert again.content == arriving.data[200_000:]
        assert (await ask(client, "phone")).content == held.data
    app.close()


async def test_a_film_answers_as_dlna_players_need_it_and_past_its_end_with_416() -> None:
    place = shelf(film(Layout.MUXED))
    with_caption(place, PlayableCaption("en", "English", "x-en.vtt"), VTT)
    try:
        async with cinema(place, "360p.mp4") as shown, httpx.AsyncClient() as client:
            head = await client.head(shown.url, headers={"getCaptionInfo.sec": "1"})
            size = int(head.headers["content-length"])
            assert head.headers["content-type"] == "video/mp4"
            assert head.headers["accept-ranges"] == "bytes"
            assert head.headers["transferMode.dlna.org"] == "Streaming"
            assert head.headers["contentFeatures.dlna.org"] == CONTENT_FEATURES
            assert head.headers["realTimeInfo.dlna.org"] == "DLNA.ORG_TLAG=*"
            assert head.headers["CaptionInfo.sec"] == f"{shown.base}captions/en.srt"
            text = await client.get(head.headers["CaptionInfo.sec"])
            assert text.headers["content-type"] == "text/srt; charset=utf-8"
            assert text.text == SRT
            for asked, told in (("Background", "Background"), ("Streaming", "Streaming"), ("Interactive", "Streaming")):
                said = await client.head(shown.url, headers={"transferMode.dlna.org": asked})
                assert said.headers["transferMode.dlna.org"] == told
            past = await client.get(shown.url, headers={"Range": f"bytes={size}-"})
            assert (past.status_code, past.headers["content-range"]) == (416, f"bytes */{size}")
            same = await client.get(shown.url, headers={"If-None-Match": head.headers["etag"]})
            assert same.status_code == 304
            stale = await client.get(shown.url, headers={"Range": "bytes=5-9", "If-Range": '"old"'})
            assert (stale.status_code, len(stale.content)) == (200, size)
            assert "CaptionInfo.sec" not in stale.headers
    finally:
        (place.folder / "x-en.vtt").unlink()


VTT = b"""WEBVTT
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:129930

NOTE nothing to see

1
00:01.000 --> 00:02.500 align:start
<v Ann>Fish &amp; <i>chips</i></v>

01:00:03.000 --> 01:00:04.000
two
lines --> here
"""
SRT = """1
00:00:01,000 --> 00:00:02,500
Fish & <i>chips</i>

2
01:00:03,000 --> 01:00:04,000
two
lines -> here
"""


@given(st.binary(max_size=400))
def test_any_bytes_make_subtitles_or_none(data: bytes) -> None:
    srt(b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + data).decode()


async def test_a_viewer_beyond_the_lan_gets_the_same_film_at_the_metered_pace(
    films: dict[tuple[Layout, bool], Film],
) -> None:
    notes, place = Notes(), films[Layout.SPLIT, False]
    away = Viewer(is_lan=False, name="token")
    async with serving(place.shelf, notes, viewer=away) as (host, port), httpx.AsyncClient() as client:
        answer = await client.get(f"http://{host}:{port}/media/{place.shelf.playing.video}/360p.mp4")
    assert answer.content == place.data
    assert sum(notes.throttled) == notes.given("360p") == len(place.data)
    assert max(notes.throttled) <= 64 * 1024


async def test_a_film_goes_out_whole_under_other_servers_too(films: dict[tuple[Layout, bool], Film]) -> None:
    for form in ((Layout.SPLIT, False), (Layout.TS, False)):
        shown = films[form]
        async with cinema(shown.shelf, shown.name, http="h11") as place, httpx.AsyncClient() as client:
            assert (await client.get(place.url)).content == shown.data
        assert place.given == len(shown.data)


async def test_a_file_that_is_no_film_is_refused_in_a_sentence(tmp_path: Path) -> None:
    place = shelf(film(Layout.MUXED))
    rendition = place.playing.renditions[0]
    (tmp_path / rendition.files[0].name).write_bytes(b"\0" * rendition.size)
    place.folder = tmp_path
    async with cinema(place, "360p.mp4") as shown, httpx.AsyncClient() as client:
        answer = await client.get(shown.url)
        assert (answer.status_code, answer.json()["code"]) == (415, "bad_media")
        assert "cannot be made into one a TV can seek in" in answer.json()["detail"]
        for name in ("360p.ts", "720p.mp4", "audio.mp4"):
            assert (await client.get(shown.base + name)).status_code == 404


async def test_a_film_with_more_pictures_than_its_rate_allows_still_plays(
    films: dict[tuple[Layout, bool], Film],
) -> None:
    place = shelf(film(Layout.MUXED))
    place.playing = replace(place.playing, duration=0, renditions=(replace(place.playing.renditions[0], fps=1.0),))
    async with cinema(place, "360p.mp4") as shown, httpx.AsyncClient() as client:
        answer = await client.get(shown.url)
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert ByteCount(len(answer.content)) > place.playing.renditions[0].size


async def test_a_disk_too_slow_for_a_classic_film_gives_another_now_and_that_one_later(
    films: dict[tuple[Layout, bool], Film], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = threading.Event()

    def slow(*arguments: Any) -> Any:
        assert disk.wait(20)
        return classic_layout(*arguments)

    monkeypatch.setattr("appliance.serve.film.films.classic_layout", slow)
    video, pool = shelf(film(Layout.MUXED)), MediaPool()
    theatre = Films(video, pool, patience=0.01)
    (rendition,) = video.playing.renditions

    async def opened(file: PlayableFile, first: int) -> Source:
        return await pool.open(video.folder / file.name, file, first)

    try:
        first = await theatre.film(video.playing, rendition, "tv", opened)
        disk.set()
        monkeypatch.setattr(theatre, "_patience", 20)
        later = await theatre.film(video.playing, rendition, "phone", opened)
        assert [first.identity.split("\n")[1], later.identity.split("\n")[1]] == ["indexed", "classic"]
        assert (await theatre.film(video.playing, rendition, "tv", opened)).identity == first.identity
    finally:
        theatre.close()
        pool.close()


async def test_a_classic_film_goes_on_when_its_files_went_and_arrive_again(
    films: dict[tuple[Layout, bool], Film],
) -> None:
    place, held, arriving = shelf(film(Layout.SPLIT)), films[Layout.SPLIT, False], films[Layout.SPLIT, True]
    async with cinema(place, "360p.mp4") as shown, httpx.AsyncClient() as client:
        assert (await client.get(shown.url)).content == held.data
        place.arriving = True
        assert (await client.get(shown.url)).content == held.data
    async with cinema(place, "360p.mp4") as shown, httpx.AsyncClient() as client:
        assert (await client.get(shown.url)).content == arriving.data


@pytest.mark.parametrize("arriving", [False, True])
async def test_sound_alone_and_pictures_that_never_had_a_sound_are_films_too(arriving: bool, tmp_path: Path) -> None:
    place = shelf(film(Layout.SPLIT), arriving=arriving)
    async with cinema(place, "audio.mp4") as shown, httpx.AsyncClient() as client:
        answer = await client.get(shown.url)
        assert answer.headers["content-type"] == "audio/mp4"
        place.playing = replace(place.playing, renditions=place.playing.renditions[:1])
        silent = await client.get(shown.base + "360p.mp4")
        assert silent.headers["content-type"] == "video/mp4"
    for name, data, kind in (("sound", answer.content, "audio"), ("silent", silent.content, "video")):
        (tmp_path / name).write_bytes(data)
        assert set(streams(tmp_path / name)) == {kind}


@pytest.mark.parametrize("arriving", [False, True])
async def test_pictures_that_are_shown_in_another_order_than_they_come_keep_their_times(
    arriving: bool, tmp_path: Path
) -> None:
    rendition = await asyncio.to_thread(partial(epic, tmp_path, seconds=20, holes=False))
    place = Shelf(tmp_path, Playable(VIDEO, "An epic", 20, (rendition,)), arriving=arriving)
    async with cinema(place, "720p.mp4") as shown, httpx.AsyncClient() as client:
        (tmp_path / "film.mp4").write_bytes((await client.get(shown.url)).content)
    film, original = tmp_path / "film.mp4", tmp_path / "720p.mp4"
    for kind in ("v", "a"):
        assert await asyncio.to_thread(packets, film, kind) == await asyncio.to_thread(packets, original, kind)
    assert await asyncio.to_thread(frames, film, "v") == await asyncio.to_thread(frames, original, "v")


def packets(path: Path, kind: str) -> list[tuple[float, float, str]]:
    """When each packet is decoded and shown, in seconds, and whether one can begin with it."""
    told = ran("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time,dts_time,flags",
               "-of", "csv=p=0", path)  # fmt: skip
    rows = [line.split(",") for line in told.splitlines() if line]
    return [(round(float(pts), 4), round(float(dts), 4), flags[:1]) for pts, dts, flags, *_ in rows]
