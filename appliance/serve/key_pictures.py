"""The pictures that a player can show without any other: this module finds them in fragments. Pure, for hostile bytes.

Only what stands at the beginning of a segment is looked at: there a player begins, and there a byte range that holds
one such picture and nothing else can be cut (RFC 8216 4.3.3.6, ISO 14496-12 8.8).
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import floor

from appliance.domain.shelf import ByteMap, NotPlayable, Segment
from appliance.domain.units import ByteCount
from appliance.serve.film.boxes import I32, U32, U64, Box, boxes, inside, malformed, needed, unpacked
from appliance.serve.film.fragments import FIRST, MOOF_BASE, OFFSET, TOLD, Lie, Reel, Want, defaults_in, next_moof
from appliance.serve.film.fragments import read_moof as read_samples
from appliance.serve.film.movie import Defaults, Track, read_movie
from appliance.serve.film.tables import NOT_SYNC, Room, Tables

Read = Callable[[int, int], bytes]
"""(offset, length): exactly these bytes of the segment's file."""

_BASE, _DESCRIPTION = 0x1, 0x2
_DURATIONS, _SIZES, _FLAGS = 0x100, 0x200, 0x400
_PAIR = struct.Struct(">II")
_TOLD_FORMS = tuple(struct.Struct(">" + "I" * n) for n in range(4))
_GLANCE = 4096
_MOST_READS = 64
"""Readings of one segment's beginning."""
_MDAT_HEAD = 16
_MOST_RATE = 300.0


@dataclass(frozen=True, slots=True)
class Opening:
    """How a segment begins. ``still`` is its first picture alone, with the head that describes it: None where other
    data lie between them."""

    is_key: bool
    still: Segment | None


@dataclass(frozen=True, slots=True)
class _Picture:
    """A fragment's first picture: where it lies in the file, and whether it can be shown by itself."""

    first: int
    end: int
    is_key: bool


def picture_track(init: bytes) -> Track | None:
    """Return the track of pictures in an initialisation part, None where there is none. Raises NotPlayable."""
    return next((t for t in read_movie(init).tracks if t.handler == b"vide"), None)


def opening_of(segment: Segment, track: Track, read: Read) -> Opening:
    """Read how a segment begins. Raises NotPlayable for what is no fragment; what ``read`` raises passes through."""
    at, base, end = int(segment.offset), int(segment.offset), segment.offset + segment.length
    data = read(base, min(_GLANCE, segment.length))
    for _ in range(_MOST_READS):
        found = next_moof(data, base, at, end)
        match found:
            case None:
                return Opening(is_key=False, still=None)
            case Want():
                at = base = found.offset
                data = read(base, min(found.length, end - base))
            case Box():
                picture = _first_picture(data, found, base, track)
                if picture is not None:
                    return _opening(segment, base + found.start, base + found.end, picture)
                at = base + found.end
    return malformed("a segment has too many boxes")


def _opening(segment: Segment, first: int, after: int, picture: _Picture) -> Opening:
    end = segment.offset + segment.length
    alone = picture.is_key and after < picture.first <= after + _MDAT_HEAD and picture.first < picture.end <= end
    if not alone:
        return Opening(picture.is_key, None)
    still = Segment(segment.duration, segment.file, ByteCount(first), ByteCount(picture.end - first))
    return Opening(is_key=True, still=still)


def _first_picture(data: bytes, moof: Box, base: int, track: Track) -> _Picture | None:
    """The first picture of a fragment whose ``moof`` is in ``data``, which begins at ``base`` in the file."""
    for traf in boxes(data, moof.body, moof.end):
        if traf.kind != b"traf":
            continue
        tfhd = needed(data, traf, b"tfhd")
        if unpacked(_PAIR, data, tfhd.body, tfhd.end)[1] != track.number:
            continue
        trun = inside(data, traf, b"trun")
        if trun is None:
            return None
        origin, defaults = _header(data, tfhd, base + moof.start, track.defaults)
        return _first_sample(data, trun, origin, defaults)
    return None


def _header(data: bytes, tfhd: Box, moof: int, defaults: Defaults) -> tuple[int | None, Defaults]:
    """What a ``tfhd`` says (8.8.7): from where runs count, None where that is another track's end, and defaults."""
    word = unpacked(U32, data, tfhd.body, tfhd.end)[0]
    at, origin = tfhd.body + 8, moof if word & MOOF_BASE else None
    if word & _BASE:
        origin, at = unpacked(U64, data, at, tfhd.end)[0], at + 8
    if word & _DESCRIPTION:
        at += 4
    told = word & TOLD
    return origin, defaults_in(defaults, told, unpacked(_TOLD_FORMS[told.bit_count()], data, at, tfhd.end))


def _first_sample(data: bytes, trun: Box, origin: int | None, defaults: Defaults) -> _Picture | None:
    """What a ``trun`` says of its first sample (8.8.8)."""
    word, samples = unpacked(_PAIR, data, trun.body, trun.end)
    if not samples:
        return None
    at, size, flags, own = trun.body + 8, defaults.size, defaults.flags, None
    first = 0  # where it is not said, other data come before
    if word & OFFSET:
        first, at = (origin or 0) + unpacked(I32, data, at, trun.end)[0] if origin is not None else 0, at + 4
    if word & FIRST:
        own, at = unpacked(U32, data, at, trun.end)[0], at + 4
    if word & _DURATIONS:
        at += 4
    if word & _SIZES:
        size, at = unpacked(U32, data, at, trun.end)[0], at + 4
    if word & _FLAGS:
        flags = unpacked(U32, data, at, trun.end)[0]
    return _Picture(first, first + size, is_key=not (flags if own is None else own) & NOT_SYNC)


def stills_of(bytemap: ByteMap, openings: Sequence[Opening]) -> ByteMap | None:
    """Return the segments' first pictures alone as a byte map, None where the first of all is missing.

    One whose segment begins otherwise is left out; the one before it lasts so much longer.
    """
    out: list[Segment] = []
    for segment, opening in zip(bytemap.segments, openings, strict=True):
        if opening.still is not None:
            out.append(opening.still)
        elif out:
            out[-1] = replace(out[-1], duration=out[-1].duration + segment.duration)
        else:
            return None
    if bytemap.init is None or not out:
        return None
    longest = max(s.duration for s in out)
    return ByteMap(bytemap.init, tuple(out), max(1, floor(longest + 0.5)))


def frame_rate(head: bytes, bytemap: ByteMap) -> float:
    """Return pictures a second in the first fragment; 0 where they are not to be seen.

    ``head`` is a rendition's beginning, from its initialisation part on.
    """
    init = bytemap.init
    first = bytemap.segments[0]
    if init is None or first.file != init.file or first.offset != init.offset + init.length:
        return 0.0
    try:
        movie = read_movie(head[: init.length])
        found = next_moof(head, 0, init.length, init.length + first.length)
        if not isinstance(found, Box):
            return 0.0
        room = Room(len(head))
        reels = {t.number: Reel(Tables(room), t.defaults) for t in movie.tracks}
        read_samples(head, found, 0, Lie(0, init.length, init.length + first.length), reels)
    except NotPlayable:
        return 0.0
    track = next((t for t in movie.tracks if t.handler == b"vide"), None)
    if track is None or not reels[track.number].tables.time:
        return 0.0
    tables = reels[track.number].tables
    rate = tables.samples * track.scale / tables.time
    return rate if 0 < rate <= _MOST_RATE else 0.0
