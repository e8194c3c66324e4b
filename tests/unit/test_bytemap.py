"""Hostile playlists and hash lists: accepted only where they can be served again."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain.shelf import ByteMap, Segment
from appliance.domain.units import ByteCount
from appliance.errors import BadAnswer
from appliance.library.bytemap import playlist_text, read_master, read_playlist
from appliance.library.hashes import Hashes, sha256_list

RECORDED = Path(__file__).parents[1] / "recorded" / "media"
URL = "https://tube.example/static/streaming-playlists/hls/uuid/a-360.m3u8"
SIZES = {"a.mp4": ByteCount(1000)}

GOOD = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MAP:URI="a.mp4",BYTERANGE="100@0"
#EXTINF:4.000000,
#EXT-X-BYTERANGE:500@100
a.mp4
#EXTINF:0.040000,
#EXT-X-BYTERANGE:400
a.mp4
#EXT-X-ENDLIST
"""

TS = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\ns0.ts\n#EXTINF:2.5,\ns1.ts\n#EXT-X-ENDLIST\n"


def read(text: str, sizes: dict[str, ByteCount] = SIZES, url: str = URL) -> ByteMap:
    return read_playlist(text.encode(), url, sizes)


def test_a_fragmented_playlist_becomes_ranges_that_follow_one_another() -> None:
    found = read(GOOD)
    assert found.init == Segment(0.0, "a.mp4", ByteCount(0), ByteCount(100))
    assert [(s.offset, s.length) for s in found.segments] == [(100, 500), (600, 400)]
    assert found.target_duration == 4
    assert found.duration == pytest.approx(4.04)


def test_transport_stream_segments_are_whole_files() -> None:
    sizes = {"s0.ts": ByteCount(10), "s1.ts": ByteCount(20)}
    found = read(TS, sizes)
    assert found.init is None
    assert [(s.file, s.offset, s.length) for s in found.segments] == [("s0.ts", 0, 10), ("s1.ts", 0, 20)]
    assert [s.length for s in read(TS, {}).segments] == [0, 0]


@pytest.mark.parametrize("sizes", [SIZES, {"s0.ts": ByteCount(10), "s1.ts": ByteCount(20)}])
def test_what_is_written_reads_back_the_same(sizes: dict[str, ByteCount]) -> None:
    found = read(GOOD if "a.mp4" in sizes else TS, sizes)
    assert read_playlist(playlist_text(found, sizes).encode(), "", sizes) == found


def test_the_target_duration_is_our_own_where_the_origins_is_too_small() -> None:
    assert read(GOOD.replace("TARGETDURATION:4", "TARGETDURATION:1")).target_duration == 4
    assert read(GOOD.replace("EXTINF:4.000000", "EXTINF:5.500000")).target_duration == 6


def test_names_are_decoded_once_and_written_back_encoded() -> None:
    sizes = {"a b#1.mp4": ByteCount(1000)}
    found = read(GOOD.replace("a.mp4", "a%20b%231.mp4"), sizes)
    assert found.segments[0].file == "a b#1.mp4"
    assert quote("a b#1.mp4") in playlist_text(found, sizes)


@pytest.mark.parametrize(
    "address",
    [
        "../a.mp4",
        "/a.mp4",
        "sub/a.mp4",
        "https://evil.example/a.mp4",
        "//evil.example/static/streaming-playlists/hls/uuid/a.mp4",
        "http://tube.example/static/streaming-playlists/hls/uuid/a.mp4",
        "file:///etc/passwd",
        "..%2fa.mp4",
        "%2e%2e",
        "..",
        ".hidden.mp4",
        "a.mp4?x=1",
        "a.mp4#x",
        "a%00.mp4",
        "a%5cb.mp4",
        "x" * 300 + ".mp4",
        "video.json",
        "http://[bad/a.mp4",
        "%ff.mp4",
        "b.mp4",
    ],
)
def test_an_address_that_leaves_the_folder_or_is_no_file_of_ours_is_refused(address: str) -> None:
    with pytest.raises(BadAnswer):
        read(GOOD.replace("a.mp4", address))


@pytest.mark.parametrize("address", ["./a.mp4", "/static/streaming-playlists/hls/uuid/a.mp4", "../uuid/a.mp4"])
def test_an_address_that_stays_in_the_folder_is_taken(address: str) -> None:
    assert read(GOOD.replace("a.mp4", address)).segments[0].file == "a.mp4"


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("#EXTM3U", "<html>"),
        ("#EXT-X-ENDLIST\n", ""),
        ("500@100", "500@101"),
        ("500@100", "500@99"),
        ("500@100", "0@100"),
        ("500@100", "-5@100"),
        ("500@100", "99999999999999999999@100"),
        ("BYTERANGE:400", "BYTERANGE:401"),
        ('#EXT-X-MAP:URI="a.mp4",BYTERANGE="100@0"\n', ""),
        ("EXTINF:4.000000", "EXTINF:-4"),
        ("EXTINF:4.000000", "EXTINF:nan"),
        ("EXTINF:4.000000", "EXTINF:inf"),
        ("EXTINF:4.000000", "EXTINF:9999"),
        ("#EXTINF:4.000000,\n", ""),
        ("#EXT-X-VERSION:7", '#EXT-X-KEY:METHOD=AES-128,URI="key"'),
        ("#EXTINF:0.04", "#EXT-X-DISCONTINUITY\n#EXTINF:0.04"),
        ("#EXTINF:0.04", '#EXT-X-MAP:URI="a.mp4"\n#EXTINF:0.04'),
        ("#EXT-X-VERSION:7", "#EXT-X-STREAM-INF:BANDWIDTH=1"),
        ("#EXT-X-VERSION:7", "#" + "x" * 5000),
    ],
)
def test_a_playlist_that_cannot_be_true_is_refused_in_a_sentence(what: str, instead: str) -> None:
    assert what in GOOD
    with pytest.raises(BadAnswer) as caught:
        read(GOOD.replace(what, instead))
    assert caught.value.message.endswith(".")


def test_limits_hold() -> None:
    with pytest.raises(BadAnswer, match="too large"):
        read_playlist(b"#EXTM3U\n" + b"#\n" * (3 * 1024 * 1024), URL, SIZES)
    many = "#EXTM3U\n" + "".join(f"#EXTINF:1,\ns{n}.ts\n" for n in range(50_001)) + "#EXT-X-ENDLIST\n"
    with pytest.raises(BadAnswer, match="too many"):
        read(many, {})
    with pytest.raises(BadAnswer, match="not text"):
        read_playlist(b"#EXTM3U\n\xff\xfe", URL, SIZES)


@settings(max_examples=300)
@given(st.data())
def test_no_bytes_get_more_than_a_refusal(data: st.DataObject) -> None:
    """Whatever comes in: a byte map that can be served, or BadAnswer."""
    lines = data.draw(
        st.lists(
            st.one_of(
                st.sampled_from([*GOOD.splitlines(), *TS.splitlines(), "#EXT-X-BYTERANGE:", "#EXTINF:", "#EXT-X-MAP:"]),
                st.text(max_size=30),
            ),
            max_size=20,
        )
    )
    raw = ("#EXTM3U\n" + "\n".join(lines)).encode("utf-8", "surrogatepass")
    for reader in (lambda: read_playlist(raw, URL, SIZES), lambda: read_master(raw, URL), lambda: sha256_list(raw)):
        try:
            found = reader()
        except BadAnswer:
            continue
        if isinstance(found, ByteMap):
            assert all(s.offset + s.length <= 1000 for s in found.segments)
            assert read_playlist(playlist_text(found, SIZES).encode(), "", SIZES).segments == found.segments


def listed(found: ByteMap, hashes: Hashes) -> tuple[str | None, ...]:
    """Return what the list says of each segment, in play order."""
    return tuple(hashes.get(s.file, {}).get((s.offset, s.offset + s.length - 1)) for s in found.segments)


def test_a_list_of_hashes_is_read_and_fits_its_playlist() -> None:
    digest = "ab" * 32
    text = json.dumps({"a.mp4": {"100-599": digest, "600-999": digest.upper()}})
    hashes = sha256_list(text.encode())
    assert listed(read(GOOD), hashes) == (digest, digest)


def test_a_list_that_names_whole_files_is_read_where_their_sizes_are_known() -> None:
    text = json.dumps({"s0.ts": "ab" * 32, "s1.ts": "cd" * 32, "else.ts": "ef" * 32}).encode()
    sizes = {"s0.ts": ByteCount(10), "s1.ts": ByteCount(20)}
    assert listed(read(TS, sizes), sha256_list(text, sizes)) == ("ab" * 32, "cd" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"a.mp4": 5}',
        '{"../a.mp4": {}}',
        '{"a.mp4": {"5-1": "' + "a" * 64 + '"}}',
        '{"a.mp4": {"1-5": "short"}}',
        '{"a.mp4": {"x": "' + "a" * 64 + '"}}',
        '{"a.mp4":' * 5000,
    ],
)
def test_a_list_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        sha256_list(text.encode())


def test_a_master_playlist_gives_each_renditions_attributes() -> None:
    text = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Audio, really",AUTOSELECT=YES,DEFAULT=YES,URI="s-0.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=260286,RESOLUTION=240x426,FRAME-RATE=29.97,CODECS="avc1.640015,mp4a.40.2",AUDIO="audio"
v-240.m3u8
"""
    master = read_master(text.encode(), URL)
    variant = master.variants["v-240.m3u8"]
    assert (variant.width, variant.height, variant.fps) == (240, 426, 29.97)
    assert (variant.codecs, variant.audio, variant.bandwidth) == ("avc1.640015,mp4a.40.2", "audio", 260286)
    assert master.audio == {"s-0.m3u8": "audio"}


@pytest.mark.parametrize("text", ["", "#EXTM3U\n", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n../x.m3u8\n"])
def test_a_master_playlist_that_lists_nothing_or_leaves_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        read_master(text.encode(), URL)


@pytest.mark.parametrize("slug", ["muxed", "split"])
def test_recorded_playlists_and_hash_lists_fit_one_another_and_their_files(slug: str) -> None:
    folder = RECORDED / slug
    sizes = {p.name: ByteCount(p.stat().st_size) for p in folder.glob("*-fragmented.mp4")}
    hashes = sha256_list(next(folder.glob("*-segments-sha256.json")).read_bytes())
    base = "http://127.0.0.1:9001/static/streaming-playlists/hls/uuid/"
    master = read_master(next(folder.glob("*-master.m3u8")).read_bytes(), base + "master.m3u8")
    playlists = [*master.variants, *master.audio]
    assert len(playlists) == len(sizes)
    for name in playlists:
        found = read_playlist((folder / name).read_bytes(), base + name, sizes)
        assert found.segments[-1].offset + found.segments[-1].length == sizes[found.segments[-1].file]
        assert all(listed(found, hashes))
    assert all(v.codecs and v.width and v.fps == 25 for v in master.variants.values())
