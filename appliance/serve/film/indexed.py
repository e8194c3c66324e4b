"""A film of fragments under one index: this module builds it from the playlist and the initialisation parts alone.

It is for films whose bytes are still arriving: no fragment needs to be here. One ``sidx`` (ISO 14496-12 8.16.3) over
the whole film tells players where each second lies; the fragments follow as they are. Where a separate sound has the
pictures' track number, its fragments' heads are rewritten in passing, by a few bytes that keep their length.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.serve.film.boxes import (
    U32,
    U64,
    Box,
    boxes,
    full,
    made,
    malformed,
    needed,
    no_room,
    padding,
    unpacked,
)
from appliance.serve.film.layout import Blank, Footage, Layout, Stretch, Text
from appliance.serve.film.movie import Movie, Track, read_movie, rewritten, with_duration, with_number
from appliance.serve.film.reels import Shot, Strip, cut

_REFERENCE = struct.Struct(">III")
_SIDX = struct.Struct(">IIQQHH")
_MOST_REFERENCES = 0xFFFF
_LARGEST_REFERENCE = 0x7FFF_FFFF
_STARTS_WITH_SAP = 0x9000_0000
"""Each subsegment begins with a stream access point of type 1 (8.16.3.3)."""
_TREX = struct.Struct(">5I")


@dataclass(frozen=True, slots=True)
class Renumbering:
    """Track numbers of a strip as they lie, and as the film has them."""

    numbers: tuple[tuple[int, int], ...]

    def new(self, old: int) -> int:
        return dict(self.numbers).get(old, old)

    @property
    def changes(self) -> bool:
        return any(old != new for old, new in self.numbers)


def indexed_layout(strips: Sequence[Strip], inits: Sequence[bytes], size: int) -> tuple[Layout, dict[str, Renumbering]]:
    """Return a film of ``size`` bytes, and by file name how heads are rewritten. ``inits`` are the strips'
    initialisation parts. Raises NotPlayable."""
    movies = [read_movie(data) for data in inits]
    renumberings = _renumberings(movies)
    shots = cut(strips)
    media = shots[-1].position + shots[-1].segment.length
    start = size - media
    front = movies[0].ftyp + _moov(movies, renumberings, max(s.starts[-1] for s in strips))
    lead = next((t for t in movies[0].tracks if t.handler == b"vide"), movies[0].tracks[0])
    most = min(_MOST_REFERENCES, (start - len(front) - 64) // _REFERENCE.size)
    references = _references(strips[0], shots, media, lead.scale, most)
    sidx_size = 12 + _SIDX.size + len(references) * _REFERENCE.size
    gap = start - len(front) - sidx_size
    pad = padding(gap)
    sidx = full(
        b"sidx",
        1,
        0,
        _SIDX.pack(renumberings[0].new(lead.number), lead.scale, 0, gap, 0, len(references)),
        b"".join(_REFERENCE.pack(length, lasts, _STARTS_WITH_SAP) for length, lasts in references),
    )
    stretches: list[Stretch] = [Text(front + sidx + pad), Blank(gap - len(pad))]
    stretches += (Footage(s.file, s.segment.offset, s.segment.length, renumberings[s.strip].changes) for s in shots)
    changed = {
        name: renumbering
        for strip, renumbering in zip(strips, renumberings, strict=True)
        if renumbering.changes
        for name in strip.files
    }
    return Layout(stretches), changed


def _renumberings(movies: Sequence[Movie]) -> list[Renumbering]:
    out, taken = [], set[int]()
    for movie in movies:
        numbers = []
        for track in movie.tracks:
            number = track.number if track.number not in taken else max(taken) + 1
            taken.add(number)
            numbers.append((track.number, number))
        out.append(Renumbering(tuple(numbers)))
    return out


def _references(strip: Strip, shots: Sequence[Shot], media: int, scale: int, most: int) -> list[tuple[int, int]]:
    """(bytes, time units) of each part of the film that begins with a segment of the first strip.

    Neighbours become one where there would be more than ``most``.
    """
    leads = [s for s in shots if s.strip == 0]
    if most < 1:
        no_room()
    step = -(-len(leads) // most)
    leads = leads[::step]
    places = [0, *(s.position for s in leads[1:]), media]
    times = [round(strip.starts[s.number] * scale) for s in leads] + [round(strip.starts[-1] * scale)]
    out = [(places[n + 1] - places[n], times[n + 1] - times[n]) for n in range(len(leads))]
    if any(length > _LARGEST_REFERENCE or not 0 <= lasts <= 0xFFFF_FFFF for length, lasts in out):
        malformed("a segment is too large")
    return out


def _moov(movies: Sequence[Movie], renumberings: Sequence[Renumbering], seconds: float) -> bytes:
    scale = movies[0].scale
    traks, extends, highest = [], [], 0
    for movie, renumbering in zip(movies, renumberings, strict=True):
        for track in movie.tracks:
            number = renumbering.new(track.number)
            highest = max(highest, number)
            traks.append(_trak(track, number))
            told = track.defaults
            extends.append(full(b"trex", 0, 0, _TREX.pack(number, 1, told.duration, told.size, told.flags)))
    lasts = min(int(seconds * scale) + 1, (1 << 63) - 1)
    mehd = full(b"mehd", 1, 0, U64.pack(lasts))
    mvhd = with_duration(movies[0].mvhd, 0, next_track=highest + 1)
    return made(b"moov", mvhd, *traks, made(b"mvex", mehd, *extends), movies[0].others)


def _trak(track: Track, number: int) -> bytes:
    return rewritten(track.trak, {b"tkhd": lambda tkhd: with_number(tkhd, number)})


def mended(segment: bytes, renumbering: Renumbering) -> bytes:
    """Return a segment with the film's track numbers in its fragments. Raises NotPlayable."""
    out = bytearray(segment)
    for box in boxes(segment, 0, len(segment)):
        if box.kind == b"sidx":
            _renumber(out, box, renumbering)
        elif box.kind == b"moof":
            for traf in boxes(segment, box.body, box.end):
                if traf.kind == b"traf":
                    _renumber(out, needed(segment, traf, b"tfhd"), renumbering)
    return bytes(out)


def counts_from_the_beginning(data: bytes, moof: Box) -> bool:
    """Tell whether a fragment says its place by the file's beginning (8.8.7): it cannot be moved as it is."""
    trafs = [box for box in boxes(data, moof.body, moof.end) if box.kind == b"traf"]
    headers = [needed(data, traf, b"tfhd") for traf in trafs]
    return any(unpacked(U32, data, tfhd.body, tfhd.end)[0] & 1 for tfhd in headers)


def _renumber(data: bytearray, box: Box, renumbering: Renumbering) -> None:
    """Change the track number of a ``tfhd`` or a ``sidx``: both have it first."""
    at = box.body + 4
    number = unpacked(U32, data, at, box.end)[0]
    U32.pack_into(data, at, renumbering.new(number))
