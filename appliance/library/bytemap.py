"""Playlists as byte ranges: this module reads hostile HLS text (RFC 8216) into a ``ByteMap``, and writes it back. Pure.

Only what can be served again is accepted: ranges that follow one another inside files we know, under names that stay
in the playlist's own folder.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

from appliance.domain.shelf import ByteMap, Segment
from appliance.domain.units import ByteCount
from appliance.errors import BadAnswer
from appliance.library.layout import base_name

MAX_PLAYLIST = 4 * 1024 * 1024
MAX_LINE = 4096
MAX_SEGMENTS = 50_000
MAX_SEGMENT_SECONDS = 600.0
MAX_SIZE = 1 << 50

_ATTRIBUTE = re.compile(r'([A-Z0-9-]{1,60})=("[^"]*"|[^",]*)(?:,|$)')
_RANGE = re.compile(r"(\d{1,15})(?:@(\d{1,15}))?")
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,12})?")
_RESOLUTION = re.compile(r"(\d{1,5})x(\d{1,5})")
_CODECS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._, -]{0,199}")


@dataclass(frozen=True, slots=True)
class Variant:
    """What a master playlist says of one rendition. Unknown is 0 or empty; sizes in pixels as shown on the screen."""

    codecs: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    bandwidth: int = 0
    audio: str = ""
    subtitles: str = ""


@dataclass(frozen=True, slots=True)
class Master:
    """A master playlist: variants and audio groups' playlists, both by the base name of the playlist they name."""

    variants: Mapping[str, Variant] = field(default_factory=dict)
    audio: Mapping[str, str] = field(default_factory=dict)
    """Playlist name to group id."""


def read_master(data: bytes, url: str) -> Master:
    """Read a master playlist that came from ``url``. Raises BadAnswer."""
    variants: dict[str, Variant] = {}
    audio: dict[str, str] = {}
    pending: Variant | None = None
    for line in _lines(data):
        tag, _, rest = line.partition(":")
        if tag == "#EXT-X-STREAM-INF":
            pending = _variant(_attributes(rest))
        elif tag == "#EXT-X-MEDIA":
            attributes = _attributes(rest)
            if attributes.get("TYPE") == "AUDIO" and attributes.get("URI"):
                audio[_name(attributes["URI"], url)] = attributes.get("GROUP-ID", "")
        elif not line.startswith("#") and pending is not None:
            variants[_name(line, url)], pending = pending, None
        if len(variants) + len(audio) > 1000:
            raise BadAnswer("The master playlist lists too many renditions.")
    if not variants:
        raise BadAnswer("The master playlist lists no rendition.")
    return Master(variants, audio)


def read_playlist(data: bytes, url: str, sizes: Mapping[str, ByteCount]) -> ByteMap:
    """Read a rendition's playlist that came from ``url``; ``sizes`` are its files' in bytes. Raises BadAnswer.

    A file that ``sizes`` does not name is refused, unless ``sizes`` is empty: then whole-file segments get length 0.
    """
    parser = _Parser(url, sizes)
    for line in _lines(data):
        parser.take(line)
    return parser.result()


def playlist_text(
    bytemap: ByteMap,
    sizes: Mapping[str, ByteCount],
    address: Callable[[str], str] = quote,
    tags: Sequence[str] = (),
) -> str:
    """Return the VOD playlist of a byte map; ``address`` turns a file's name into what the playlist says.

    ``tags`` are lines that hold for the whole of it. With the default address it is what belongs on the disk: base
    names, which ``read_playlist`` takes with an empty ``url``.
    """
    ranged = any(_is_part(s, sizes) for s in bytemap.segments)
    version = 7 if bytemap.init is not None else 4 if ranged else 3
    out = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{version}",
        f"#EXT-X-TARGETDURATION:{bytemap.target_duration}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        *tags,
    ]
    if bytemap.init is not None:
        span = f',BYTERANGE="{bytemap.init.length}@{bytemap.init.offset}"' if _is_part(bytemap.init, sizes) else ""
        out.append(f'#EXT-X-MAP:URI="{address(bytemap.init.file)}"{span}')
    for segment in bytemap.segments:
        out.append(f"#EXTINF:{segment.duration:.6f},")
        if _is_part(segment, sizes):
            out.append(f"#EXT-X-BYTERANGE:{segment.length}@{segment.offset}")
        out.append(address(segment.file))
    out.append("#EXT-X-ENDLIST")
    return "\n".join(out) + "\n"


class _Parser:
    """Reads one media playlist line by line; what a line can't be refused for, ``result`` judges."""

    def __init__(self, url: str, sizes: Mapping[str, ByteCount]) -> None:
        self._url, self._sizes = url, sizes
        self._init: Segment | None = None
        self._segments: list[Segment] = []
        self._target = 0
        self._duration: float | None = None
        self._range: tuple[int, int | None] | None = None
        self._end: dict[str, int] = {}
        self._ended = False

    def take(self, line: str) -> None:
        tag, _, rest = line.partition(":")
        match tag:
            case "#EXTINF":
                self._duration = _seconds(rest.partition(",")[0])
            case "#EXT-X-BYTERANGE":
                self._range = _byte_range(rest)
            case "#EXT-X-MAP":
                self._take_init(_attributes(rest))
            case "#EXT-X-TARGETDURATION":
                self._target = min(round(_seconds(rest)), int(MAX_SEGMENT_SECONDS))
            case "#EXT-X-ENDLIST":
                self._ended = True
            case "#EXT-X-STREAM-INF":
                raise BadAnswer("This is a master playlist where a rendition's was expected.")
            case "#EXT-X-KEY" if _attributes(rest).get("METHOD") != "NONE":
                raise BadAnswer("The rendition is encrypted.", hint="Encrypted videos cannot be kept.")
            case "#EXT-X-DISCONTINUITY" | "#EXT-X-GAP":
                raise BadAnswer("The playlist has gaps or joins that cannot be served again.")
            case _ if not line.startswith("#"):
                self._take_segment(line)

    def _take_init(self, attributes: Mapping[str, str]) -> None:
        if self._init is not None or self._segments:
            raise BadAnswer("The playlist has more than one initialisation part.")
        name = _name(attributes.get("URI", ""), self._url)
        span = _byte_range(attributes["BYTERANGE"]) if "BYTERANGE" in attributes else None
        self._init = self._slice(0.0, name, span)

    def _take_segment(self, uri: str) -> None:
        if self._duration is None:
            raise BadAnswer("A segment of the playlist has no duration.")
        if len(self._segments) >= MAX_SEGMENTS:
            raise BadAnswer("The playlist has too many segments.")
        self._segments.append(self._slice(self._duration, _name(uri, self._url), self._range))
        self._duration = self._range = None

    def _slice(self, duration: float, name: str, span: tuple[int, int | None] | None) -> Segment:
        """One slice of a file: it starts where the last one of that file ended and ends inside the file."""
        size = self._sizes.get(name)
        if size is None and self._sizes:
            raise BadAnswer("The playlist names a file that is not part of the rendition.")
        end = self._end.get(name, 0)
        if span is None:
            if end:
                raise BadAnswer("The playlist repeats a file.")
            self._end[name] = size or MAX_SIZE
            return Segment(duration, name, ByteCount(0), ByteCount(size or 0))
        length, start = span
        offset = end if start is None else start
        if length < 1 or offset != end:
            raise BadAnswer("The playlist's byte ranges do not follow one another.")
        if offset + length > (MAX_SIZE if size is None else size):
            raise BadAnswer("The playlist reaches past the end of a file.")
        self._end[name] = offset + length
        return Segment(duration, name, ByteCount(offset), ByteCount(length))

    def result(self) -> ByteMap:
        if not self._segments:
            raise BadAnswer("The playlist has no segments.")
        if not self._ended:
            raise BadAnswer("The playlist is not finished.", hint="The video may still be live or being processed.")
        if self._init is None and any(not s.file.lower().endswith(".ts") for s in self._segments):
            raise BadAnswer("The playlist lacks the initialisation part that fragmented MP4 needs.")
        longest = max(s.duration for s in self._segments)
        if not any(s.duration > 0 for s in self._segments):
            raise BadAnswer("The playlist has no duration.")
        # RFC 8216 4.3.3.1: each duration, rounded to the nearest integer, is at most the target. We write our own.
        target = max(1, self._target, math.floor(longest + 0.5))
        return ByteMap(self._init, tuple(self._segments), target)


def _lines(data: bytes) -> Iterator[str]:
    """Yield the lines that say something, without their ends. Raises BadAnswer for what is no playlist."""
    if len(data) > MAX_PLAYLIST:
        raise BadAnswer("The playlist is too large.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadAnswer("The playlist is not text.") from error
    first = True
    for raw in text.split("\n"):
        line = raw.strip(" \t\r")
        if first and line != "#EXTM3U":
            raise BadAnswer("This is not a playlist.")
        first = False
        if len(line) > MAX_LINE:
            raise BadAnswer("A line of the playlist is too long.")
        if line:
            yield line


def _attributes(text: str) -> dict[str, str]:
    """Return an attribute list (RFC 8216 4.2) as a dict, quotes taken off; the first of equal names counts."""
    out: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        out.setdefault(match[1], match[2].strip('"'))
    return out


def _variant(attributes: Mapping[str, str]) -> Variant:
    size = _RESOLUTION.fullmatch(attributes.get("RESOLUTION", ""))
    codecs = attributes.get("CODECS", "")
    bandwidth = attributes.get("BANDWIDTH", "")
    fps = attributes.get("FRAME-RATE", "")
    return Variant(
        codecs=codecs if _CODECS.fullmatch(codecs) else "",
        width=int(size[1]) if size else 0,
        height=int(size[2]) if size else 0,
        fps=min(float(fps), 1000.0) if _SECONDS.fullmatch(fps) else 0.0,
        bandwidth=int(bandwidth) if re.fullmatch(r"[0-9]{1,12}", bandwidth) else 0,
        audio=attributes.get("AUDIO", ""),
        subtitles=attributes.get("SUBTITLES", ""),
    )


def _name(uri: str, url: str) -> str:
    """Return the base name an URI of the playlist stands for, refusing what leaves the playlist's own folder."""
    if not uri or any(not c.isprintable() for c in uri):
        raise BadAnswer("The playlist has an address that cannot be read.")
    try:
        base, full = urlsplit(url), urlsplit(urljoin(url, uri))
    except ValueError as error:
        raise BadAnswer("The playlist has an address that cannot be read.") from error
    same_place = (base.scheme, base.netloc) == (full.scheme, full.netloc)
    if not same_place or base.path.rpartition("/")[0] != full.path.rpartition("/")[0] or full.query or full.fragment:
        raise BadAnswer("The playlist points to another place.")
    return base_name(full.path)


def _byte_range(text: str) -> tuple[int, int | None]:
    match = _RANGE.fullmatch(text.strip())
    if not match:
        raise BadAnswer("The playlist has a byte range that cannot be read.")
    return int(match[1]), None if match[2] is None else int(match[2])


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text.strip()) or (seconds := float(text)) > MAX_SEGMENT_SECONDS:
        raise BadAnswer("The playlist has a duration that cannot be true.")
    return seconds


def _is_part(segment: Segment, sizes: Mapping[str, ByteCount]) -> bool:
    """Whether a slice is less than its whole file."""
    whole = segment.offset == 0 and segment.length in (0, sizes.get(segment.file, -1))
    return not whole
