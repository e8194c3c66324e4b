"""What HLS playlists must obey: this module is an independent, small checker, written from RFC 8216."""

import re
from dataclasses import dataclass, field


@dataclass
class Part:
    uri: str
    duration: float
    offset: int | None
    length: int | None


@dataclass
class MediaPlaylist:
    target: int = 0
    map: tuple[str, int | None, int | None] | None = None
    parts: list[Part] = field(default_factory=list)
    ended: bool = False
    independent: bool = False
    stills_only: bool = False


@dataclass
class MasterPlaylist:
    variants: list[tuple[dict[str, str], str]] = field(default_factory=list)
    media: list[dict[str, str]] = field(default_factory=list)
    stills: list[dict[str, str]] = field(default_factory=list)
    independent: bool = False


def attributes(text: str) -> dict[str, str]:
    found = re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', text)
    assert ",".join(f"{k}={v}" for k, v in found) == text, f"not an attribute list: {text}"
    return {k: v.strip('"') for k, v in found}


def parse_master(text: str) -> MasterPlaylist:
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    out = MasterPlaylist()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("#EXT-X-STREAM-INF:"):
            assert after
            assert not after.startswith("#")
            out.variants.append((attributes(line.partition(":")[2]), after))
        elif line.startswith("#EXT-X-MEDIA:"):
            out.media.append(attributes(line.partition(":")[2]))
        elif line.startswith("#EXT-X-I-FRAME-STREAM-INF:"):
            out.stills.append(attributes(line.partition(":")[2]))
        elif line == "#EXT-X-INDEPENDENT-SEGMENTS":
            out.independent = True
    groups = {(m["TYPE"], m["GROUP-ID"]) for m in out.media}
    for variant, _ in out.variants:
        for kind in ("AUDIO", "SUBTITLES"):
            assert kind not in variant or (kind, variant[kind]) in groups, "a group that does not exist"
    names = [(m["TYPE"], m["GROUP-ID"], m["NAME"]) for m in out.media]
    assert len(names) == len(set(names)), "two members of a group with one name"
    return out


def parse_media(text: str) -> MediaPlaylist:
    assert text.startswith("#EXTM3U\n")
    out, duration, span = MediaPlaylist(), None, None
    for line in text.splitlines():
        if line.startswith("#EXT-X-TARGETDURATION:"):
            out.target = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-MAP:"):
            found = attributes(line.partition(":")[2])
            length, _, offset = found.get("BYTERANGE", "").partition("@")
            out.map = (found["URI"], int(offset) if offset else None, int(length) if length else None)
        elif line.startswith("#EXTINF:"):
            duration = float(line.partition(":")[2].partition(",")[0])
        elif line.startswith("#EXT-X-BYTERANGE:"):
            length, _, offset = line.partition(":")[2].partition("@")
            span = (int(length), int(offset))
        elif line == "#EXT-X-ENDLIST":
            out.ended = True
        elif line == "#EXT-X-INDEPENDENT-SEGMENTS":
            out.independent = True
        elif line == "#EXT-X-I-FRAMES-ONLY":
            out.stills_only = True
        elif line and not line.startswith("#"):
            assert duration is not None
            out.parts.append(Part(line, duration, span[1] if span else None, span[0] if span else None))
            duration = span = None
    return out


def check_media(playlist: MediaPlaylist, sizes: dict[str, int]) -> None:
    """Assert what a VOD playlist must obey; ``sizes`` are the files' by the address the playlist gives them."""
    assert playlist.ended
    assert playlist.parts
    assert all(round(p.duration) <= playlist.target for p in playlist.parts)
    ends: dict[str, int] = {}
    if playlist.map and playlist.map[2] is not None:
        ends[playlist.map[0]] = (playlist.map[1] or 0) + playlist.map[2]
    for part in playlist.parts:
        assert part.uri in sizes
        if part.length is None:
            assert part.uri not in ends
            continue
        assert part.offset == ends.get(part.uri, 0), "ranges are not contiguous"
        ends[part.uri] = part.offset + part.length
        assert ends[part.uri] <= sizes[part.uri], "a range ends past the file"


def check_stills(stills: MediaPlaylist, media: MediaPlaylist, sizes: dict[str, int]) -> None:
    """Assert what a list of single pictures must obey, beside the playlist of the rendition that they are from."""
    assert stills.ended
    assert stills.stills_only
    assert stills.map == media.map
    assert all(round(p.duration) <= stills.target for p in stills.parts)
    assert abs(sum(p.duration for p in stills.parts) - sum(p.duration for p in media.parts)) < 0.001
    times, time = {}, 0.0
    for part in media.parts:
        times[round(time, 3)], time = part, time + part.duration
    time = 0.0
    for still in stills.parts:
        segment = times[round(time, 3)]
        assert still.uri == segment.uri
        assert still.length
        first, end = segment.offset or 0, (segment.offset or 0) + (segment.length or sizes[segment.uri])
        assert first <= (still.offset or 0) < (still.offset or 0) + still.length <= end, "not inside its segment"
        time += still.duration


def peak(playlist: MediaPlaylist, sizes: dict[str, int]) -> float:
    """The highest rate of any single segment that lasts at least half a target duration, in bits/s."""
    rates = [
        8 * (p.length if p.length is not None else sizes[p.uri]) / p.duration
        for p in playlist.parts
        if p.duration >= playlist.target / 2
    ]
    return max(rates, default=0.0)
