"""Playlists of every layout as an HTTP client gets them, read by a parser that is not ours (``m3u8``), strictly."""

import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import m3u8
import pytest

from appliance.domain.shelf import ByteMap, PlayableCaption, PlayableFile, PlayableRendition, Segment
from appliance.domain.units import ByteCount
from tests.media.made_shelf import shelf_of
from tests.media.rules import check_media, check_stills, parse_master, parse_media, peak
from tests.media.shelf import VIDEO, Notes, StandInShelf, serving, with_caption
from tests.world.media import Layout, make

SEVERAL_FILES = "several files"
"""Fragmented MP4 in a file a segment: no origin that we know writes it, but a playlist may say it."""
LAYOUTS = (Layout.MUXED, Layout.SPLIT, Layout.TS, SEVERAL_FILES)
FRAGMENTED = (Layout.MUXED, Layout.SPLIT, SEVERAL_FILES)


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def shelf(folder: Path, layout: str) -> StandInShelf:
    out = shelf_of(make(Layout.SPLIT if layout == SEVERAL_FILES else layout, (360, 240)), folder)
    if layout == SEVERAL_FILES:
        out.playing = replace(out.playing, renditions=tuple(in_parts(folder, r) for r in out.playing.renditions))
    vtt = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
    with_caption(out, PlayableCaption("en", "English", "en.vtt"), vtt)
    with_caption(out, PlayableCaption("zh-Hans", 'Chinese, "simplified"', "zh.vtt", automatic=True), vtt)
    out.playing = replace(out.playing, language="en")
    return out


def in_parts(folder: Path, held: PlayableRendition) -> PlayableRendition:
    """Cut a rendition's file into one for its initialisation and one for each segment."""
    assert held.bytemap is not None
    assert held.bytemap.init is not None
    data = (folder / held.files[0].name).read_bytes()
    files, cut = [], []
    for number, segment in enumerate((held.bytemap.init, *held.bytemap.segments)):
        name = f"{held.name}-{number}.m4s" if number else f"{held.name}-init.mp4"
        (folder / name).write_bytes(data[segment.offset : segment.offset + segment.length])
        files.append(PlayableFile(name, segment.length, f"{held.files[0].identity} {number}"))
        cut.append(Segment(segment.duration, name, ByteCount(0), segment.length))
    bytemap = ByteMap(cut[0], tuple(cut[1:]), held.bytemap.target_duration)
    return replace(held, files=tuple(files), bytemap=bytemap)


@asynccontextmanager
async def client_of(shelf: StandInShelf) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(shelf, Notes()) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}/media/{VIDEO}/") as client,
    ):
        yield client


async def text(client: httpx.AsyncClient, address: str) -> str:
    answer = await client.get(address)
    assert answer.status_code == 200, (address, answer.text)
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    return answer.text


def read(playlist: str) -> Any:
    m3u8.parse(playlist, strict=True)
    return m3u8.loads(playlist)


def named(master: Any) -> list[str]:
    """Every playlist that a master names."""
    media = (m.uri for m in master.media)
    return [*(p.uri for p in master.playlists), *media, *(p.uri for p in master.iframe_playlists)]


async def test_a_strict_reader_finds_in_every_layout_all_that_is_promised(tmp_path: Path, layout: str) -> None:
    held = shelf(tmp_path, layout)
    async with client_of(held) as client:
        master = read(await text(client, "master.m3u8"))
        assert master.is_variant
        sounds = [(m.language, m.channels) for m in master.media if m.type == "AUDIO"]
        assert sounds == ([("en", "2")] if layout in (Layout.SPLIT, SEVERAL_FILES) else [])
        assert [p.uri for p in master.playlists] == ["360p.m3u8", "240p.m3u8"]
        assert all(p.stream_info.subtitles == "subtitles" for p in master.playlists)
        assert [p.stream_info.audio for p in master.playlists] == [
            "audio" if layout in (Layout.SPLIT, SEVERAL_FILES) else None
        ] * 2
        for address in named(master):
            playlist = read(await text(client, address))
            assert playlist.is_endlist
            assert playlist.playlist_type == "vod"
            await all_there(client, address, playlist)


async def all_there(client: httpx.AsyncClient, address: str, playlist: Any) -> None:
    """Ask for the first and last byte of every range that a playlist names."""
    folder = address.rpartition("/")[0]
    for part in (*playlist.segment_map, *playlist.segments):
        uri = f"{folder}/{part.uri}".lstrip("/")
        if part.byterange is None:
            answer = await client.head(uri)
            assert (answer.status_code, int(answer.headers["content-length"]) > 0) == (200, True), uri
            continue
        length, _, first = part.byterange.partition("@")
        for at in (int(first), int(first) + int(length) - 1):
            answer = await client.get(uri, headers={"range": f"bytes={at}-{at}"})
            assert answer.status_code == 206, (uri, part.byterange)


async def test_what_the_master_says_of_each_rendition_is_what_its_playlist_and_bytes_say(
    tmp_path: Path, layout: str
) -> None:
    held = shelf(tmp_path, layout)
    made = {f"{r.name}.m3u8": r for r in held.playing.renditions}
    sizes: dict[str, int] = {f"file/{f.name}": f.size for r in held.playing.renditions for f in r.files}
    async with client_of(held) as client:
        master = read(await text(client, "master.m3u8"))
        sound = 0.0
        for address in (m.uri for m in master.media if m.type == "AUDIO"):
            sound = peak(parse_media(await text(client, address)), sizes)
        targets = set()
        for variant in master.playlists:
            said, own = variant.stream_info, parse_media(await text(client, variant.uri))
            check_media(own, sizes)
            targets.add(own.target)
            assert said.bandwidth >= peak(own, sizes) + sound
            assert 0 < said.average_bandwidth <= said.bandwidth
            rendition = made[variant.uri]
            assert said.resolution == (rendition.width, rendition.height)
            assert said.frame_rate == rendition.fps == 25
            assert sorted(said.codecs.split(",")) == sorted({c for r in together(held, rendition) for c in r})
            assert own.independent == (layout in FRAGMENTED)
        assert len(targets) == 1
        assert bool(master.is_independent_segments) == (layout in FRAGMENTED)
        assert len(master.iframe_playlists) == (2 if layout in FRAGMENTED else 0)
        for listed in master.iframe_playlists:
            stills = parse_media(await text(client, listed.uri))
            check_stills(stills, parse_media(await text(client, listed.uri.replace(".iframes", ""))), sizes)
            assert listed.iframe_stream_info.bandwidth >= peak(stills, sizes)
            assert listed.iframe_stream_info.codecs.startswith("avc1.")


def together(shelf: StandInShelf, rendition: PlayableRendition) -> Iterable[list[str]]:
    sounds = [] if rendition.has_audio else [r for r in shelf.playing.renditions if not r.has_video]
    return [r.codecs.split(",") for r in (rendition, *sounds)]


async def test_subtitles_say_their_language_and_who_wrote_them(tmp_path: Path, layout: str) -> None:
    async with client_of(shelf(tmp_path, layout)) as client:
        master = read(await text(client, "master.m3u8"))
        told = [m for m in master.media if m.type == "SUBTITLES"]
        assert [(m.language, m.name, m.default, m.autoselect, m.forced, m.characteristics) for m in told] == [
            ("en", "English", "NO", "YES", "NO", None),
            ("zh-Hans", "Chinese, 'simplified'", "NO", "NO", "NO", "public.machine-generated"),
        ]
        for one in told:
            playlist = read(await text(client, one.uri))
            captions = (await client.get(f"captions/{playlist.segments[0].uri}")).text
            assert captions.startswith("WEBVTT")
            assert ("X-TIMESTAMP-MAP" in captions) == (layout == Layout.TS)


async def test_old_players_are_not_told_of_a_version_that_is_not_needed(tmp_path: Path) -> None:
    (tmp_path / "ts").mkdir()
    streams = shelf_of(make(Layout.TS, (360, 240)), tmp_path / "ts")
    async with client_of(streams) as client:
        assert read(await text(client, "master.m3u8")).version == 3
        assert read(await text(client, "360p.m3u8")).version == 3
    async with client_of(shelf(tmp_path, Layout.MUXED)) as client:
        assert read(await text(client, "master.m3u8")).version == 7
        assert read(await text(client, "240p.iframes.m3u8")).version == 7


async def test_an_audio_group_has_one_member_that_plays_unless_another_is_chosen(tmp_path: Path) -> None:
    held = shelf(tmp_path, Layout.SPLIT)
    *_, sound = held.playing.renditions
    shutil.copyfile(tmp_path / sound.files[0].name, tmp_path / "other.mp4")
    assert sound.bytemap is not None
    bytemap = ByteMap(
        replace(sound.bytemap.init, file="other.mp4") if sound.bytemap.init else None,
        tuple(replace(s, file="other.mp4") for s in sound.bytemap.segments),
        sound.bytemap.target_duration,
    )
    other = PlayableFile("other.mp4", sound.size, "another")
    held.add(replace(sound, name=type(sound.name)("audio2"), files=(other,), bytemap=bytemap))
    async with client_of(held) as client:
        told = [m for m in parse_master(await text(client, "master.m3u8")).media if m["TYPE"] == "AUDIO"]
    assert [(m["NAME"], m["DEFAULT"], m["AUTOSELECT"], m["URI"]) for m in told] == [
        ("Audio", "YES", "YES", "audio.m3u8"),
        ("Audio 2", "NO", "NO", "audio2.m3u8"),
    ]
