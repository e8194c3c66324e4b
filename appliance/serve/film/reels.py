"""The order of a film's segments: this module lays a picture's and a sound's segments one after another. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import accumulate

from appliance.domain.shelf import PlayableFile, PlayableRendition, Segment
from appliance.serve.film.boxes import malformed


@dataclass(frozen=True, slots=True)
class Strip:
    """One fragmented rendition: where its initialisation lies, its segments, and when each of them begins."""

    files: dict[str, PlayableFile]
    init: Segment
    segments: tuple[Segment, ...]
    starts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Shot:
    """A segment in its place: of which strip, which one, and its position among the film's media bytes."""

    strip: int
    number: int
    segment: Segment
    file: PlayableFile
    position: int


def strip_of(rendition: PlayableRendition) -> Strip:
    """Return a rendition as a strip. Raises NotPlayable where it is not fragmented MP4."""
    bytemap = rendition.bytemap
    if bytemap is None or bytemap.init is None:
        malformed("it is not fragmented")
    files = {f.name: f for f in rendition.files}
    for segment in (bytemap.init, *bytemap.segments):
        file = files.get(segment.file)
        if file is None or not 0 < segment.length <= file.size - segment.offset or segment.offset < 0:
            malformed("its playlist does not fit its file")
    starts = tuple(accumulate((s.duration for s in bytemap.segments), initial=0.0))
    return Strip(files, bytemap.init, bytemap.segments, starts)


def cut(strips: Sequence[Strip]) -> tuple[Shot, ...]:
    """Return all segments in the order of time, pictures first: a player that reads on has both."""
    out, position = [], 0
    for _, strip, number in merge(*(_timed(n, s) for n, s in enumerate(strips))):
        segment = strips[strip].segments[number]
        out.append(Shot(strip, number, segment, strips[strip].files[segment.file], position))
        position += segment.length
    return tuple(out)


def _timed(index: int, strip: Strip) -> Iterator[tuple[float, int, int]]:
    return ((strip.starts[n], index, n) for n in range(len(strip.segments)))
