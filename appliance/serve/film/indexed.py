"""A film of fragments under one index: this module builds it from the playlist and the initialisation parts alone.

It is for films whose bytes are still arriving: only the first fragment's head needs to be here. Indexes over the whole
film, a ``sidx`` for each track (ISO 14496-12 8.16.3), tell players where each second lies; the fragments follow as they
are. Where a separate sound has the pictures' track number, its fragments are rewritten in passing, by a few bytes that
keep their length; so is the index that each segment has of itself, which players (ffmpeg) take for the whole film's.
Each place in an index is a ``moof``, not what stands before it: VLC 3 takes nothing else. All segments of a file are
taken to have as much before it as the first has, as they do that one program wrote. The same places stand in an
``mfra`` (8.8.9) at the film's end: players that only look whether there is one need not wait for the last bytes of a
file that is still arriving.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from appliance.serve.film.boxes import (
    HEAD,
    LARGEST_SMALL,
    LATEST,
    U32,
    U64,
    Box,
    box_at,
    boxes,
    full,
    made,
    malformed,
    needed,
    no_room,
    padding,
    unpacked,
)
from appliance.serve.film.fragments import MOST_HEAD, Lie, Reel, read_moof
from appliance.serve.film.layout import Blank, Footage, Layout, Stretch, Text
from appliance.serve.film.movie import Movie, Track, read_movie, rewritten, with_duration, with_number
from appliance.serve.film.reels import Shot, Strip, cut
from appliance.serve.film.tables import Room, Tables

_REFERENCE = struct.Struct(">III")
_SIDX = struct.Struct(">IIQQHH")
_ACCESS = struct.Struct(">QQBBB")
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


@dataclass(frozen=True, slots=True)
class Opening:
    """What must be here of a strip: its initialisation, and ``moof``, the first in ``head``, where segments begin."""

    init: bytes
    head: bytes
    moof: Box


def indexed_layout(
    strips: Sequence[Strip], openings: Sequence[Opening], size: int
) -> tuple[Layout, dict[str, Renumbering]]:
    """Return a film of ``size`` bytes, and by file name how segments are rewritten. Raises NotPlayable."""
    movies = [read_movie(opening.init) for opening in openings]
    begins = [_begins(movie, opening) for movie, opening in zip(movies, openings, strict=True)]
    renumberings = _renumberings(movies)
    shots = cut(strips)
    media = shots[-1].position + shots[-1].segment.length
    front = movies[0].ftyp + _moov(movies, renumberings, max(s.starts[-1] for s in strips))
    tail = _Tail(movies, strips, size - media - len(front))
    start = size - tail.length - media
    threads = [
        _Thread(
            renumberings[n].new(track.number),
            track.scale,
            begins[n][track.number],
            [start + openings[n].moof.start + shot.position for shot in shots if shot.strip == n],
            strips[n].starts,
        )
        for n, movie in enumerate(movies)
        for track in movie.tracks
    ]
    indexes = _indexes(threads, len(front), start, start + media)
    gap = start - len(front) - len(indexes)
    pad = padding(gap)
    stretches: list[Stretch] = [Text(front + indexes + pad), Blank(gap - len(pad))]
    for shot in shots:
        stretches += _footage(shot, openings[shot.strip].moof.start, renumberings[shot.strip])
    stretches.append(Text(tail.box(threads)))
    rewriting = {name: r for strip, r in zip(strips, renumberings, strict=True) for name in strip.files}
    return Layout(stretches), rewriting


def _footage(shot: Shot, before: int, renumbering: Renumbering) -> tuple[Footage, ...]:
    """Return a segment: rewritten as a whole, or only what stands before its fragment."""
    offset, length = shot.segment.offset, shot.segment.length
    if renumbering.changes or not 0 < before < length:
        return (Footage(shot.file, offset, length, mended=renumbering.changes),)
    return Footage(shot.file, offset, before, mended=True), Footage(shot.file, offset + before, length - before)


@dataclass(frozen=True, slots=True)
class _Thread:
    """A track through the film: its number, time units a second, and time at its first sample; where its fragments lie
    and when, in seconds, each begins, and the last one ends."""

    number: int
    scale: int
    begin: int
    places: list[int]
    starts: tuple[float, ...]

    def time(self, index: int) -> int:
        return round(self.starts[index] * self.scale)


class _Tail:
    """The box at the film's end that lists each track's fragments (8.8.9 to 8.8.11); empty where it would be large."""

    def __init__(self, movies: Sequence[Movie], strips: Sequence[Strip], room: int) -> None:
        lines = sum(len(m.tracks) * (24 + len(s.segments) * _ACCESS.size) for m, s in zip(movies, strips, strict=True))
        self._full = lines <= room // 4
        self.length = 8 + (lines if self._full else 0) + 16

    def box(self, threads: Sequence[_Thread]) -> bytes:
        lists = [self._list(thread) for thread in threads] if self._full else []
        return made(b"mfra", *lists, full(b"mfro", 0, 0, U32.pack(self.length)))

    def _list(self, thread: _Thread) -> bytes:
        lines = (_ACCESS.pack(thread.begin + thread.time(n), at, 1, 1, 1) for n, at in enumerate(thread.places))
        return full(b"tfra", 1, 0, _REFERENCE.pack(thread.number, 0, len(thread.places)), *lines)


def _indexes(threads: Sequence[_Thread], at: int, start: int, end: int) -> bytes:
    """Return a ``sidx`` for each track, to stand one after another at ``at`` before media from ``start`` to ``end``."""
    most = min(_MOST_REFERENCES, (start - at) // len(threads) // _REFERENCE.size - 10)
    if most < 1:
        no_room()
    references = [_references(thread, end, most) for thread in threads]
    sizes = [12 + _SIDX.size + len(lines) * _REFERENCE.size for lines in references]
    out = []
    for thread, lines, size in zip(threads, references, sizes, strict=True):
        at += size
        head = _SIDX.pack(thread.number, thread.scale, thread.begin, thread.places[0] - at, 0, len(lines))
        out.append(full(b"sidx", 1, 0, head, *(_REFERENCE.pack(*line, _STARTS_WITH_SAP) for line in lines)))
    return b"".join(out)


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


def _begins(movie: Movie, opening: Opening) -> dict[int, int]:
    """Return by track number when its first sample is shown, in its time units; check that fragments can be moved.

    Edit lists count (8.16.3.3: presentation time): they delay pictures until the sound's first samples, which only
    prepare the decoder, are over.
    """
    if counts_from_the_beginning(opening.head, opening.moof):
        malformed("its fragments count from the file's beginning")
    room = Room(MOST_HEAD)
    reels = {t.number: Reel(Tables(room), t.defaults) for t in movie.tracks}
    read_moof(opening.head, opening.moof, 0, Lie(0, 0, 1 << 62), reels)
    out = {}
    for track in movie.tracks:
        reel = reels[track.number]
        late = sum(e.length for e in track.edits if e.start == -1) * track.scale // movie.scale
        skipped = next((e.start for e in track.edits if e.start >= 0), 0)
        begin = max(0, (reel.start or 0) + reel.tables.first_shift + late - skipped)
        if begin > LATEST:
            malformed("it begins later than any film ends")
        out[track.number] = begin
    return out


def _references(thread: _Thread, end: int, most: int) -> list[tuple[int, int]]:
    """(bytes, time units) from each fragment of a track to the next, and to the ``end`` of the film's media.

    Neighbours become one where there would be more than ``most``.
    """
    chosen = range(0, len(thread.places), -(-len(thread.places) // most))
    places = [*(thread.places[n] for n in chosen), end]
    times = [*(thread.time(n) for n in chosen), thread.time(-1)]
    spans = zip(pairwise(places), pairwise(times), strict=True)
    out = [(stop - start, until - time) for (start, stop), (time, until) in spans]
    if any(not 0 < length <= _LARGEST_REFERENCE or not 0 <= lasts <= LARGEST_SMALL for length, lasts in out):
        malformed("a segment is too large, or too small")
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
    return b"".join(rewritten(track.trak, {b"tkhd": lambda tkhd: [with_number(tkhd, number)]}))


def mended(data: bytes, renumbering: Renumbering) -> bytes:
    """Return a segment, or its beginning, without an index of its own and with the film's track numbers.

    Raises NotPlayable.
    """
    out, at = bytearray(data), 0
    while at + HEAD.size <= len(data):
        size, kind = HEAD.unpack_from(data, at)
        if kind == b"sidx":
            out[at + 4 : at + HEAD.size] = b"free"
        elif kind == b"moof":
            moof = box_at(data, at, len(data))
            for traf in boxes(data, moof.body, moof.end):
                if traf.kind == b"traf":
                    _renumber(out, needed(data, traf, b"tfhd"), renumbering)
        if size < HEAD.size:
            break  # media data to the end, or of more than 4 GiB: nothing follows that is of interest
        at += size
    return bytes(out)


def counts_from_the_beginning(data: bytes, moof: Box) -> bool:
    """Tell whether a fragment says its place by the file's beginning (8.8.7): it cannot be moved as it is."""
    trafs = [box for box in boxes(data, moof.body, moof.end) if box.kind == b"traf"]
    headers = [needed(data, traf, b"tfhd") for traf in trafs]
    return any(unpacked(U32, data, tfhd.body, tfhd.end)[0] & 1 for tfhd in headers)


def _renumber(data: bytearray, box: Box, renumbering: Renumbering) -> None:
    """Change the track number of a ``tfhd``."""
    at = box.body + 4
    number = unpacked(U32, data, at, box.end)[0]
    U32.pack_into(data, at, renumbering.new(number))
