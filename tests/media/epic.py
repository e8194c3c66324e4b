"""A film of hours, made of one clip's fragments over and over: this module lays it out as an origin does.

Only fragments' heads are written for each repetition; their data may be holes, which no player can tell from black.
"""

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.domain.shelf import ByteMap, PlayableFile, PlayableRendition, Segment
from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import RenditionKind

SEGMENT = 4


@dataclass(frozen=True, slots=True)
class _Fragment:
    data: bytes
    head: int
    """Bytes up to its media data."""
    times: tuple[tuple[int, int, int], ...]
    """(where a time stands, its track, time units that the track's samples last)."""


def epic(folder: Path, *, seconds: int = 7200, holes: bool = True, fps: int = 30) -> PlayableRendition:
    """Write ``720p.mp4``, as long as told, with pictures shown in another order than they come, and sound."""
    clip = folder / "clip.mp4"
    _clip(clip, fps)
    data = clip.read_bytes()
    clip.unlink()
    init, fragments = _fragments(data)
    segments, clock = [], dict[int, int]()
    path = folder / "720p.mp4"
    with open(path, "wb") as out:
        out.write(init)
        for number in range(seconds // SEGMENT):
            fragment = fragments[number % len(fragments)]
            segments.append(Segment(SEGMENT, path.name, ByteCount(out.tell()), ByteCount(len(fragment.data))))
            written = bytearray(fragment.data)
            for at, track, lasts in fragment.times:
                struct.pack_into(">Q", written, at, clock.get(track, 0))
                clock[track] = clock.get(track, 0) + lasts
            out.write(written[: fragment.head] if holes else written)
            out.seek(segments[-1].offset + len(written))
        out.truncate(out.tell())
    size = ByteCount(path.stat().st_size)
    whole = ByteMap(Segment(0.0, path.name, ByteCount(0), ByteCount(len(init))), tuple(segments), SEGMENT)
    return PlayableRendition(
        name=RenditionName("720p"),
        kind=RenditionKind.HLS,
        width=1280,
        height=720,
        fps=float(fps),
        has_video=True,
        has_audio=True,
        size=size,
        files=(PlayableFile(path.name, size, "identity of an epic"),),
        bytemap=whole,
        codecs="avc1.64001f,mp4a.40.2",
    )


def _clip(target: Path, fps: int) -> None:
    gop = str(fps * SEGMENT)
    command = ["nice", "ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i",
               f"testsrc2=size=640x360:rate={fps}", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "12",
               "-c:v", "libx264", "-preset", "superfast", "-bf", "2", "-pix_fmt", "yuv420p", "-g", gop, "-keyint_min",
               gop, "-sc_threshold", "0", "-b:v", "900k", "-c:a", "aac", "-b:a", "96k", "-ac", "2", "-f", "hls",
               "-hls_time", str(SEGMENT), "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-hls_flags",
               "single_file", "-hls_segment_filename", str(target), str(target.with_suffix(".m3u8"))]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    target.with_suffix(".m3u8").unlink()


def _fragments(data: bytes) -> tuple[bytes, list[_Fragment]]:
    """The initialisation, and each fragment from its ``sidx`` to its media data."""
    starts: list[int] = []
    fragments = []
    previous = b""
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"sidx" and previous != b"sidx":
            starts.append(start)
        if kind == b"moof":
            moof = start, end
        if kind == b"mdat":
            first = starts[-1]
            fragments.append(_Fragment(data[first:end], start + 8 - first, tuple(_times(data, *moof, first))))
        previous = kind
    return data[: starts[0]], fragments


def _times(data: bytes, start: int, end: int, first: int) -> Iterator[tuple[int, int, int]]:
    for kind, traf, traf_end in _boxes(data, start + 8, end):
        if kind == b"traf":
            found = {k: at for k, at, _ in _boxes(data, traf + 8, traf_end)}
            track, duration = struct.unpack_from(">II", data, found[b"tfhd"] + 12)
            (samples,) = struct.unpack_from(">I", data, found[b"trun"] + 12)
            yield found[b"tfdt"] + 12 - first, track, samples * duration


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at, at + size
        at += size
