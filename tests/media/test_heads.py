"""What players are told of codecs and of captions' time: by the media, not by the origin."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from appliance.domain.shelf import ByteMap, PlayableCaption, PlayableFile, Segment
from appliance.domain.units import ByteCount
from appliance.serve.heads import pictures_a_second, shifted
from appliance.serve.transport import first_pts
from tests.media.rules import parse_master
from tests.media.shelf import VIDEO, FedReader, Notes, StandInShelf, empty_shelf, rendition, serving, with_caption
from tests.world.media import Layout, make

ROOT = f"/media/{VIDEO}"
WRONG = "avc1.42c00a,mp4a.40.5"


def shelf_of(folder: Path, layout: Layout) -> StandInShelf:
    """One made rendition, which the origin described wrongly."""
    media = make(layout)
    made, shelf = media.files[0], empty_shelf(folder)
    files = tuple(PlayableFile(n, ByteCount(s), n) for n, s in zip(made.parts, made.sizes, strict=True))
    whole = tuple(Segment(4.0, f.name, ByteCount(0), f.size) for f in files)
    init = None if layout is Layout.TS else Segment(0.0, files[0].name, ByteCount(0), ByteCount(1500))
    for part in made.parts:
        (folder / part).write_bytes(media.path(part).read_bytes())
    shelf.add(replace(rendition("360p", 360, b"x" * 1000), files=files, bytemap=ByteMap(init, whole, 4), codecs=WRONG))
    return shelf


async def codecs_told(shelf: StandInShelf) -> str:
    async with serving(shelf, Notes()) as (host, port), httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        [(attributes, _)] = parse_master((await client.get(f"{ROOT}/master.m3u8")).text).variants
        return attributes["CODECS"]


@pytest.mark.parametrize("layout", [Layout.MUXED, Layout.TS])
async def test_a_wrong_word_of_the_origin_on_codecs_is_put_right(tmp_path: Path, layout: Layout) -> None:
    assert await codecs_told(shelf_of(tmp_path, layout)) == make(layout).files[0].codecs


async def test_of_what_is_still_arriving_or_unreadable_the_origins_word_counts(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, Layout.MUXED)
    [file] = shelf.playing.renditions[0].files
    shelf.readers[file.name] = FedReader(b"")
    assert await codecs_told(shelf) == WRONG
    del shelf.readers[file.name]
    (tmp_path / file.name).unlink()
    assert await codecs_told(shelf) == WRONG


@pytest.mark.parametrize(
    ("said", "counted", "told"),
    [
        (30, 30000 / 1001, "29.970"),
        (60, 60000 / 1001, "59.940"),
        (24, 24000 / 1001, "23.976"),
        (24, 23.976, "23.976"),
        (30, 30.0, "30.000"),
        (25, 25.0, "25.000"),
        (30, 29.5, "30.000"),
        (30, 15.0, "30.000"),
        (30, 0.0, "30.000"),
        (0, 30000 / 1001, "29.970"),
        (0, 0.0, "0.000"),
    ],
)
def test_a_rate_that_an_origin_rounded_is_told_as_it_is(said: float, counted: float, told: str) -> None:
    assert f"{pictures_a_second(said, counted):.3f}" == told


async def test_captions_beside_transport_streams_say_at_which_tick_they_begin(tmp_path: Path) -> None:
    text = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
    media = make(Layout.TS)
    begins = first_pts(media.path(media.files[0].parts[0]).read_bytes())
    assert begins
    for layout, expected in ((Layout.TS, shifted(text, begins)), (Layout.MUXED, text)):
        shelf = shelf_of(tmp_path, layout)
        with_caption(shelf, PlayableCaption("en", "English", "en.vtt"), text)
        async with serving(shelf, Notes()) as (host, port), httpx.AsyncClient() as client:
            assert (await client.get(f"http://{host}:{port}{ROOT}/captions/en.vtt")).content == expected


def test_the_map_is_added_once_and_to_captions_only() -> None:
    text = b"\xef\xbb\xbfWEBVTT - a title\r\n\r\n00:01.000 --> 00:02.000\r\nHello\r\n"
    once = shifted(text, 90000)
    assert b"\nX-TIMESTAMP-MAP=MPEGTS:90000,LOCAL:00:00:00.000\n" in once
    assert shifted(once, 5) == once
    assert shifted(b"<html>", 5) == b"<html>"
    assert shifted(b"WEBVTT", 5) == b"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:5,LOCAL:00:00:00.000\n"
