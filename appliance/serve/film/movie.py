"""What a fragmented MP4 says before its fragments: this module reads ``ftyp`` and ``moov``, and rewrites them. Pure.

Of a ``moov`` only what a rewritten one needs is understood; the rest is passed on as it lies. The source is ISO
14496-12, chapters 4.3 and 8.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from appliance.serve.film.boxes import (
    LARGEST_SMALL,
    U32,
    U64,
    Box,
    Bytes,
    around,
    boxes,
    full,
    inside,
    made,
    malformed,
    needed,
    raw,
)
from appliance.serve.film.boxes import unpacked as _unpacked

MOST_INIT = 2 * 1024 * 1024
"""Bytes before the first fragment."""
MOST_TRACKS = 8

_TREX = struct.Struct(">5I")
_EDIT_SMALL, _EDIT_LARGE = struct.Struct(">IiI"), struct.Struct(">QqI")
_PLACE_SMALL, _PLACE_LARGE = struct.Struct(">5I"), struct.Struct(">QQIIQ")
_TIMES_SMALL, _TIMES_LARGE = struct.Struct(">4I"), struct.Struct(">QQIQ")


class Defaults(NamedTuple):
    """What a track's fragments leave unsaid (8.8.3)."""

    duration: int
    size: int
    flags: int


@dataclass(frozen=True, slots=True)
class Edit:
    """One line of an edit list (8.6.6): ``length`` in the movie's time, ``start`` in the track's, -1 for nothing."""

    length: int
    start: int
    rate: int


@dataclass(frozen=True, slots=True)
class Track:
    """A track: ``trak`` is its whole box, ``scale`` its time units a second."""

    number: int
    handler: bytes
    scale: int
    trak: bytes
    defaults: Defaults
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Movie:
    """What comes before the fragments. ``scale`` is the movie's time units a second."""

    ftyp: bytes
    mvhd: bytes
    scale: int
    tracks: tuple[Track, ...]
    others: bytes


def read_movie(data: bytes) -> Movie:
    """Read an initialisation part. Raises NotPlayable."""
    if len(data) > MOST_INIT:
        malformed("what comes before its fragments is too large")
    top = {box.kind: box for box in boxes(data, 0, len(data))}
    if b"moov" not in top:
        malformed("it has no 'moov'")
    moov = top[b"moov"]
    mvhd = needed(data, moov, b"mvhd")
    scale = _times(data, mvhd)[0]
    mvex = inside(data, moov, b"mvex")
    if mvex is None:
        malformed("it is not fragmented")
    defaults = _defaults(data, mvex)
    found = [b for b in boxes(data, moov.body, moov.end) if b.kind == b"trak"]
    if not 1 <= len(found) <= MOST_TRACKS:
        malformed("it has no track, or too many")
    tracks = tuple(_track(data, trak, defaults) for trak in found)
    if len({t.number for t in tracks}) != len(tracks):
        malformed("two of its tracks have one number")
    ftyp = raw(data, top[b"ftyp"]) if b"ftyp" in top else made(b"ftyp", b"iso5", U32.pack(512), b"iso5iso6mp41")
    known = (b"mvhd", b"mvex", b"trak")
    others = b"".join(raw(data, b) for b in boxes(data, moov.body, moov.end) if b.kind not in known)
    return Movie(ftyp, raw(data, mvhd), scale, tracks, others)


def _defaults(data: bytes, mvex: Box) -> dict[int, Defaults]:
    out = {}
    for box in boxes(data, mvex.body, mvex.end):
        if box.kind == b"trex":
            number, _, duration, size, flags = _unpacked(_TREX, data, box.body + 4, box.end)
            out[number] = Defaults(duration, size, flags)
    return out


def _track(data: bytes, trak: Box, defaults: dict[int, Defaults]) -> Track:
    tkhd = needed(data, trak, b"tkhd")
    mdia = needed(data, trak, b"mdia")
    hdlr = needed(data, mdia, b"hdlr")
    minf = needed(data, mdia, b"minf")
    needed(data, needed(data, minf, b"stbl"), b"stsd")
    number = _unpacked(U32, data, tkhd.body + (20 if _version(data, tkhd) else 12), tkhd.end)[0]
    if number not in defaults:
        malformed("a track's fragments are not announced")
    _unpacked(U64, data, hdlr.body + 4, hdlr.end)
    edts = inside(data, trak, b"edts")
    elst = inside(data, edts, b"elst") if edts is not None else None
    return Track(
        number=number,
        handler=data[hdlr.body + 8 : hdlr.body + 12],
        scale=_times(data, needed(data, mdia, b"mdhd"))[0],
        trak=raw(data, trak),
        defaults=defaults[number],
        edits=() if elst is None else _edits(data, elst),
    )


def _version(data: Bytes, box: Box) -> int:
    version = _unpacked(U32, data, box.body, box.end)[0] >> 24
    if version > 1:
        malformed("a box has a version we do not know")
    return version


def _times(data: Bytes, box: Box) -> tuple[int, int]:
    """(time units a second, duration) of an ``mvhd`` or ``mdhd`` (8.2.2, 8.4.2)."""
    form = _TIMES_LARGE if _version(data, box) else _TIMES_SMALL
    _, _, scale, duration = _unpacked(form, data, box.body + 4, box.end)
    if not scale:
        malformed("a track has no time scale")
    return scale, duration


def _edits(data: bytes, elst: Box) -> tuple[Edit, ...]:
    form = _EDIT_LARGE if _version(data, elst) else _EDIT_SMALL
    count = _unpacked(U32, data, elst.body + 4, elst.end)[0]
    if count > 100 or elst.body + 8 + count * form.size > elst.end:
        malformed("an edit list does not fit its box")
    return tuple(Edit(*form.unpack_from(data, elst.body + 8 + n * form.size)) for n in range(count))


# What is written


def with_duration(header: bytes, duration: int, *, next_track: int | None = None) -> bytes:
    """Return an ``mvhd`` or ``mdhd`` that says how long it lasts, with 64 bits where it needs them."""
    large, times = header[8] == 1, _TIMES_LARGE if header[8] == 1 else _TIMES_SMALL
    created, changed, scale, _ = times.unpack_from(header, 12)
    rest = header[12 + times.size :]
    if next_track is not None:
        if len(rest) < 4:
            malformed("a box is cut off")
        rest = rest[:-4] + U32.pack(next_track)
    large = large or duration > LARGEST_SMALL
    form = _TIMES_LARGE if large else _TIMES_SMALL
    return full(header[4:8], int(large), 0, form.pack(created, changed, scale, duration), rest)


def with_number(tkhd: bytes, number: int, duration: int | None = None) -> bytes:
    """Return a ``tkhd`` (8.3.2) of another track number, and of ``duration`` in the movie's time where told."""
    form = _PLACE_LARGE if tkhd[8] == 1 else _PLACE_SMALL
    created, changed, _, unused, lasts = _unpacked(form, tkhd, 12, len(tkhd))
    rest = tkhd[12 + form.size :]
    lasts = lasts if duration is None else duration
    large = tkhd[8] == 1 or lasts > LARGEST_SMALL
    flags = U32.unpack_from(tkhd, 8)[0] & 0xFFFFFF
    form = _PLACE_LARGE if large else _PLACE_SMALL
    return full(b"tkhd", int(large), flags, form.pack(created, changed, number, unused, lasts), rest)


def edit_list(edits: tuple[Edit, ...]) -> bytes:
    """Return ``edts`` with an edit list, empty where there is none."""
    if not edits:
        return b""
    large = any(e.length > LARGEST_SMALL or not -(1 << 31) <= e.start < 1 << 31 for e in edits)
    form = _EDIT_LARGE if large else _EDIT_SMALL
    lines = b"".join(form.pack(e.length, e.start, e.rate) for e in edits)
    return made(b"edts", full(b"elst", int(large), 0, U32.pack(len(edits)), lines))


Rewrite = dict[bytes, Callable[[bytes], list[Bytes]]]
"""By kind of box what becomes of one: pieces, to be joined once, since a film's tables are millions of bytes."""


def rewritten(whole: bytes, changes: Rewrite) -> list[Bytes]:
    """Return a box with the boxes directly inside it changed by kind, in pieces."""
    box = next(boxes(whole, 0, len(whole)))
    out: list[Bytes] = []
    for inner in boxes(whole, box.body, box.end):
        change = changes.get(inner.kind)
        out += [raw(whole, inner)] if change is None else change(raw(whole, inner))
    return around(box.kind, out)
