"""Codecs read from media's own bytes: what a server named, what ffmpeg made, and what means harm."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.library.bytemap import read_master
from appliance.serve.codecs import ENOUGH, codecs_of_mp4
from appliance.serve.transport import codecs_of_ts, first_pts

RECORDED = Path(__file__).parents[1] / "recorded" / "media"
FOLDERS = sorted(f.name for f in RECORDED.iterdir() if list(f.glob("*master.m3u8")))


def beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(ENOUGH)


def recorded(folder: str) -> dict[str, str]:
    """By playlist name, what the server said; none where it said nothing."""
    [path] = (RECORDED / folder).glob("*master.m3u8")
    variants = read_master(path.read_bytes(), f"https://origin.example/{path.name}").variants
    return {name: variant.codecs for name, variant in variants.items() if variant.codecs}


@pytest.mark.parametrize("folder", FOLDERS)
def test_recorded_media_have_the_codecs_that_their_server_named(folder: str) -> None:
    for playlist, said in recorded(folder).items():
        found = codecs_of_mp4(beginning(RECORDED / folder / playlist.replace(".m3u8", "-fragmented.mp4")))
        # Where the sound is apart, a variant's line names it with the pictures (RFC 8216 4.3.4.2).
        assert found == said if folder != "split" else found in said.split(",")


def encoded(folder: Path, name: str, *options: str) -> bytes:
    sources = ("-f", "lavfi", "-i", "testsrc2=s=192x108:r=25:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4:r=48000")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *sources, *options, folder / name], check=True, timeout=60)
    return beginning(folder / name)


@pytest.mark.parametrize(
    ("options", "codecs"),
    [
        # From H.265 and VP9 specifications; ffmpeg's own HLS writer names HEVC by a fixed text.
        (("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1", "-c:a", "aac"), "hvc1.1.6.L30.90"),
        (("-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"), "vp09.00.10.08"),
        (("-c:v", "libx264", "-profile:v", "baseline", "-level", "3.0", "-c:a", "ac3"), "avc1.42c01e"),
    ],
)
def test_other_codecs_are_named_as_their_specifications_say(
    tmp_path: Path, options: tuple[str, ...], codecs: str
) -> None:
    head = encoded(tmp_path, "a.mp4", *options, "-movflags", "+frag_keyframe+delay_moov+default_base_moof")
    sound = {"aac": "mp4a.40.2", "libopus": "Opus", "ac3": "ac-3"}[options[-1]]
    assert codecs_of_mp4(head) == f"{codecs},{sound}"


def started(path: Path) -> int:
    """What ffprobe says of the pictures' first time, in 90 kHz ticks."""
    wanted = ("-select_streams", "v", "-show_entries", "stream=start_pts", "-of", "csv=p=0")
    asked = subprocess.run(["ffprobe", "-v", "error", *wanted, path], check=True, capture_output=True, timeout=60)
    return int(asked.stdout.split()[0].rstrip(b","))


def test_transport_streams_are_read_too(tmp_path: Path) -> None:
    ordinary = ("-c:v", "libx264", "-profile:v", "main", "-level", "3.1", "-pix_fmt", "yuv420p", "-c:a", "aac")
    assert codecs_of_ts(encoded(tmp_path, "a.ts", *ordinary)) == "avc1.4d401f,mp4a.40.2"
    assert first_pts(beginning(tmp_path / "a.ts")) == started(tmp_path / "a.ts")
    assert codecs_of_ts(encoded(tmp_path, "b.ts", "-vn", "-c:a", "aac")) == "mp4a.40.2"
    assert codecs_of_ts(encoded(tmp_path, "c.ts", "-c:v", "mpeg2video", "-an")) == ""


A_FILE = beginning(next((RECORDED / "muxed").glob("*.mp4")))


@given(st.binary(max_size=400), st.integers(0, 1500), st.integers(0, 1500))
def test_hostile_bytes_are_no_codecs_and_no_errors(noise: bytes, at: int, to: int) -> None:
    for head in (noise, A_FILE[:at] + noise + A_FILE[to:2000], A_FILE[:at]):
        assert isinstance(codecs_of_mp4(head), str)
        padded = b"".join(b"\x47\x40\0\x10" + (noise * 2)[n : n + 184].ljust(184, b"\xff") for n in range(8))
        assert isinstance(codecs_of_ts(padded), str)
        assert 0 <= (first_pts(padded) or 0) < 1 << 33
