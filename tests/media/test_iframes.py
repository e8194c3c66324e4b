"""Lists of single pictures: what they name can be shown alone, and nothing is listed that costs or that is not so."""

import asyncio
import json
import random
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from appliance.domain.shelf import ByteMap, NotPlayable, PlayableFile, PlayableRendition, Segment
from appliance.domain.units import ByteCount
from appliance.library.bytemap import read_playlist
from appliance.serve.film.movie import Track
from appliance.serve.iframes import IFrames
from appliance.serve.key_pictures import Opening, frame_rate, opening_of, picture_track, stills_of
from appliance.serve.playlist import Findings, wound_through
from appliance.serve.source import MediaPool
from tests.media.made_shelf import shelf_of
from tests.media.rules import MediaPlaylist, check_stills, parse_master, parse_media
from tests.media.shelf import VIDEO, FedReader, Notes, StandInShelf, empty_shelf, rendition, serving
from tests.world.media import Layout, make

T = TypeVar("T")

RECORDED = Path(__file__).parents[1] / "recorded" / "media"
ROOT = f"/media/{VIDEO}"
FRAGMENTED = (Layout.MUXED, Layout.SPLIT)
FIRST_FLAGS, NOT_SYNC = b"\x02\0\0\0", b"\x01\x01\0\0"
"""A first sample's flags as ffmpeg writes them: depends on no other; depends on others, is no sync sample."""


def film(folder: Path, layout: Layout) -> StandInShelf:
    return shelf_of(make(layout, (360, 240)), folder)


def recorded(slug: str, height: int) -> tuple[PlayableRendition, bytes]:
    """A rendition that a PeerTube server made."""
    [path] = (RECORDED / slug).glob(f"*-{height}-fragmented.mp4")
    size = ByteCount(path.stat().st_size)
    text = (path.parent / path.name.replace("-fragmented.mp4", ".m3u8")).read_bytes()
    found = rendition(f"{height}p", height, path.read_bytes())
    file = PlayableFile(path.name, size, path.name)
    return replace(found, files=(file,), bytemap=read_playlist(text, "", {path.name: size})), path.read_bytes()


async def got(shelf: StandInShelf, *names: str) -> list[httpx.Response]:
    async with serving(shelf, Notes()) as (host, port), httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        return [await client.get(f"{ROOT}/{name}") for name in names]


def pictures_in(data: bytes) -> list[dict[str, object]]:
    """What ffprobe decodes of some bytes."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_frames", "-show_entries",
               "frame=pict_type,key_frame", "-of", "json", "-"]  # fmt: skip
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    found: list[dict[str, object]] = json.loads(done.stdout)["frames"]
    return found


def ends_of_keys(path: Path) -> list[int]:
    """Where each picture that can be shown alone ends in a file, by ffprobe."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_packets", "-show_entries",
               "packet=pos,size,flags", "-of", "json", str(path)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True)
    packets = json.loads(done.stdout)["packets"]
    return [int(p["pos"]) + int(p["size"]) for p in packets if "K" in p["flags"]]


def parts(playlist: MediaPlaylist, data: bytes) -> list[bytes]:
    """Each picture as a player puts it together: the initialisation part, then the range."""
    assert playlist.map is not None
    _, offset, length = playlist.map
    assert offset is not None
    assert length is not None
    init = data[offset : offset + length]
    return [init + data[p.offset or 0 : (p.offset or 0) + (p.length or 0)] for p in playlist.parts]


@pytest.mark.parametrize("layout", FRAGMENTED)
async def test_each_range_of_the_list_is_one_whole_picture_that_needs_no_other(tmp_path: Path, layout: Layout) -> None:
    shelf = film(tmp_path, layout)
    held = shelf.playing.renditions[1]
    master, listed, media = await got(shelf, "master.m3u8", "240p.iframes.m3u8", "240p.m3u8")
    playlist = parse_media(listed.text)
    check_stills(playlist, parse_media(media.text), {f"file/{held.files[0].name}": held.size})
    assert "#EXT-X-I-FRAMES-ONLY" in listed.text.splitlines()
    path = tmp_path / held.files[0].name
    ends = await asyncio.to_thread(ends_of_keys, path)
    assert [(p.offset or 0) + (p.length or 0) for p in playlist.parts] == ends
    for part in parts(playlist, path.read_bytes()):
        [picture] = await asyncio.to_thread(pictures_in, part)
        assert (picture["key_frame"], picture["pict_type"]) == (1, "I")
    told = parse_master(master.text)
    assert [a["URI"] for a in told.stills] == ["240p.iframes.m3u8", "360p.iframes.m3u8"]
    assert [a["CODECS"] for a in told.stills] == [r.codecs.split(",")[0] for r in shelf.playing.renditions[1::-1]]
    peak = max(8 * (p.length or 0) / p.duration for p in playlist.parts)
    assert peak <= int(told.stills[0]["BANDWIDTH"]) <= peak + 2
    assert told.independent


@pytest.mark.parametrize(("slug", "height"), [("muxed", 240), ("muxed", 360), ("split", 240), ("split", 360)])
async def test_a_peertube_servers_files_give_pictures_to_wind_by(tmp_path: Path, slug: str, height: int) -> None:
    held, data = recorded(slug, height)
    shelf = empty_shelf(tmp_path)
    (tmp_path / held.files[0].name).write_bytes(data)
    shelf.add(held)
    master, listed = await got(shelf, "master.m3u8", f"{height}p.iframes.m3u8")
    playlist = parse_media(listed.text)
    assert held.bytemap is not None
    assert len(playlist.parts) == len(held.bytemap.segments)
    for part in (parts(playlist, data)[0], parts(playlist, data)[-1]):
        assert len(await asyncio.to_thread(pictures_in, part)) == 1
    assert parse_master(master.text).independent


async def test_what_is_still_arriving_has_no_list_and_none_of_it_is_asked_for(tmp_path: Path) -> None:
    shelf = film(tmp_path, Layout.MUXED)
    readers = {f.name: FedReader(b"") for r in shelf.playing.renditions for f in r.files}
    shelf.readers.update(readers)
    master, media, listed = await got(shelf, "master.m3u8", "360p.m3u8", "360p.iframes.m3u8")
    told = parse_master(master.text)
    assert told.variants
    assert not told.stills
    assert not told.independent
    assert "INDEPENDENT" not in media.text
    assert (listed.status_code, listed.json()["code"]) == (404, "no_playlist")
    assert not any(reader.reads for reader in readers.values())


async def test_transport_streams_and_plain_files_have_no_list(tmp_path: Path) -> None:
    (tmp_path / "ts").mkdir()
    (tmp_path / "web").mkdir()
    master, listed = await got(film(tmp_path / "ts", Layout.TS), "master.m3u8", "360p.iframes.m3u8")
    assert listed.status_code == 404
    assert "I-FRAME" not in master.text
    assert "INDEPENDENT" not in master.text
    [listed] = await got(film(tmp_path / "web", Layout.WEB), "360p.iframes.m3u8")
    assert listed.status_code == 404


@pytest.mark.parametrize("layout", FRAGMENTED)
async def test_a_segment_that_cannot_be_begun_with_is_left_out_and_not_called_independent(
    tmp_path: Path, layout: Layout
) -> None:
    shelf = film(tmp_path, layout)
    held = shelf.playing.renditions[1]
    assert held.bytemap is not None
    spoil(tmp_path / held.files[0].name, held.bytemap.segments[1])
    master, listed, media = await got(shelf, "master.m3u8", "240p.iframes.m3u8", "240p.m3u8")
    first, _, last = held.bytemap.segments
    assert [p.duration for p in parse_media(listed.text).parts] == [8.0, 4.0]
    assert first.offset < (parse_media(listed.text).parts[0].offset or 0) < first.offset + first.length
    assert last.offset < (parse_media(listed.text).parts[1].offset or 0)
    assert "INDEPENDENT" not in media.text
    assert not parse_master(master.text).independent
    assert len(parse_master(master.text).stills) == 2


def spoil(path: Path, segment: Segment) -> None:
    """Say of a segment's first picture that it needs others."""
    data = bytearray(path.read_bytes())
    at = data.index(FIRST_FLAGS, data.index(b"trun", segment.offset), segment.offset + segment.length)
    data[at : at + 4] = NOT_SYNC
    path.unlink()  # it is a link to what other tests use
    path.write_bytes(data)


async def test_without_a_first_picture_there_is_no_list(tmp_path: Path) -> None:
    shelf = film(tmp_path, Layout.SPLIT)
    held = shelf.playing.renditions[1]
    assert held.bytemap is not None
    spoil(tmp_path / held.files[0].name, held.bytemap.segments[0])
    master, listed = await got(shelf, "master.m3u8", "240p.iframes.m3u8")
    assert listed.status_code == 404
    assert [a["URI"] for a in parse_master(master.text).stills] == ["360p.iframes.m3u8"]


async def test_where_sound_lies_before_the_pictures_there_is_no_list_but_the_segments_are_independent() -> None:
    held, data = recorded("muxed", 240)
    assert held.bytemap is not None
    track, segment = track_of(held.bytemap, data), held.bytemap.segments[0]
    found = opening_of(segment, track, reader(data))
    assert found.still is not None
    at = data.index(b"trun", segment.offset) + 12
    moved = bytearray(data)
    moved[at : at + 4] = (int.from_bytes(data[at : at + 4]) + 1000).to_bytes(4)
    assert opening_of(segment, track, reader(bytes(moved))) == Opening(is_key=True, still=None)


def track_of(bytemap: ByteMap, data: bytes) -> Track:
    assert bytemap.init is not None
    track = picture_track(data[bytemap.init.offset : bytemap.init.offset + bytemap.init.length])
    assert track is not None
    return track


def reader(data: bytes) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        found = data[offset : offset + length]
        if len(found) != length:
            raise OSError("too short")
        return found

    return read


def test_any_byte_of_a_fragments_head_may_lie() -> None:
    chance = random.Random(7)
    held, data = recorded("muxed", 240)
    bytemap = held.bytemap
    assert bytemap is not None
    assert bytemap.init is not None
    track, segment = track_of(bytemap, data), bytemap.segments[0]
    head = segment.offset + 3000
    outcomes = set()
    for _ in range(1000):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 2, 5))):
            value = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
            broken[chance.randrange(segment.offset, head)] = value
        outcomes.add(outcome(partial(opening_of, segment, track, reader(bytes(broken)))))
        broken[chance.randrange(bytemap.init.length)] = chance.randrange(256)
        outcomes.add(outcome(partial(picture_track, bytes(broken[: bytemap.init.length]))))
        assert 0 <= frame_rate(bytes(broken[:65536]), bytemap) <= 300
    assert outcomes == {"read", "refused"}


def outcome(work: Callable[[], object]) -> str:
    try:
        work()
    except (NotPlayable, OSError):
        return "refused"
    return "read"


def test_a_picture_is_listed_only_inside_its_segment() -> None:
    held, data = recorded("split", 240)
    assert held.bytemap is not None
    short = replace(held.bytemap.segments[0], length=ByteCount(2000))
    assert opening_of(short, track_of(held.bytemap, data), reader(data)) == Opening(is_key=True, still=None)
    assert stills_of(held.bytemap, [Opening(is_key=True, still=None)] * len(held.bytemap.segments)) is None


async def test_a_damaged_file_still_plays_without_a_list(tmp_path: Path) -> None:
    shelf = film(tmp_path, Layout.SPLIT)
    held = shelf.playing.renditions[1]
    path = tmp_path / held.files[0].name
    path.unlink()
    path.write_bytes(bytes(held.size))
    master, media, listed = await got(shelf, "master.m3u8", "240p.m3u8", "240p.iframes.m3u8")
    assert [r.status_code for r in (master, media, listed)] == [200, 200, 404]
    path.write_bytes(b"short")
    master, media, listed = await got(shelf, "master.m3u8", "240p.m3u8", "240p.iframes.m3u8")
    assert [r.status_code for r in (master, media, listed)] == [200, 200, 404]


class Stuck(MediaPool):
    """A disk that hangs."""

    async def run(self, work: Callable[[], T]) -> T:
        await asyncio.Event().wait()
        return work()


async def test_a_master_playlist_does_not_wait_for_a_slow_disk(tmp_path: Path) -> None:
    shelf, pool = film(tmp_path, Layout.MUXED), Stuck()
    iframes = IFrames(shelf, pool)
    try:
        async with asyncio.timeout(10):
            assert await iframes.soon(shelf.playing, wound_through(shelf.playing)) == {}
            assert await iframes.soon(shelf.playing, wound_through(shelf.playing)) == {}
    finally:
        iframes.close()
        pool.close()


async def test_who_asks_at_once_shares_one_reading_and_it_is_remembered(tmp_path: Path) -> None:
    shelf, pool = film(tmp_path, Layout.MUXED), MediaPool()
    iframes, [held, _] = IFrames(shelf, pool), shelf.playing.renditions
    try:
        first, second = await asyncio.gather(*(iframes.findings(shelf.playing, held) for _ in range(2)))
        assert first is second
        assert first.independent
        (tmp_path / held.files[0].name).unlink()
        assert await iframes.findings(shelf.playing, held) is first
        known = await iframes.soon(shelf.playing, [])
        assert known == {held.name: first}
        assert await iframes.findings(shelf.playing, replace(held, files=(shelf.playing.renditions[1].files[0],))) == (
            Findings()
        )
    finally:
        iframes.close()
        pool.close()


@pytest.mark.parametrize("layout", FRAGMENTED)
async def test_pictures_a_second_are_counted_where_the_origin_told_none(tmp_path: Path, layout: Layout) -> None:
    shelf = film(tmp_path, layout)
    silent = tuple(replace(r, fps=0.0) for r in shelf.playing.renditions)
    shelf.playing = replace(shelf.playing, renditions=silent)
    [master] = await got(shelf, "master.m3u8")
    assert {a["FRAME-RATE"] for a, _ in parse_master(master.text).variants} == {"25.000"}
    for name in [f.name for r in silent for f in r.files]:
        shelf.readers[name] = FedReader(b"")
    [master] = await got(shelf, "master.m3u8")
    assert not any("FRAME-RATE" in a for a, _ in parse_master(master.text).variants)
