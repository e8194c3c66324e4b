"""A film that every player can seek in: this module builds a ``moov`` with all samples' places from the fragments.

It is for films whose bytes are all at hand: every fragment's head is read, in a thread. The fragments stay as they lie,
heads and all, inside one ``mdat``; the tables point past the heads (ISO 14496-12 8.1.1 allows any bytes there).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol

from appliance.domain.shelf import PlayableFile
from appliance.serve.film.boxes import (
    LARGEST_SMALL,
    LATEST,
    Box,
    Bytes,
    around,
    head_of,
    made,
    malformed,
    no_room,
    padding,
)
from appliance.serve.film.fragments import Lie, Reel, Want, next_moof, read_moof
from appliance.serve.film.layout import Blank, Footage, Layout, Stretch, Text
from appliance.serve.film.mould import Mould, mould_of
from appliance.serve.film.movie import (
    Edit,
    Movie,
    Rewrite,
    Track,
    edit_list,
    read_movie,
    rewritten,
    with_duration,
    with_number,
)
from appliance.serve.film.reels import Shot, Strip, cut
from appliance.serve.film.tables import Room, Tables

Read = Callable[[PlayableFile, int, int], bytes]
"""(file, offset, length): exactly these bytes."""


class Descriptors(Protocol):
    """Open files."""

    def __getitem__(self, file: PlayableFile, /) -> int: ...


_FTYP = made(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
_AHEAD = 64
"""Segments whose heads a disk is asked for at once, so that it can take them in its own order."""
_SLOW = 0.002
"""Seconds that a head takes at least where it is not in memory."""
_MOULDS = 4
"""Kinds of fragments that one file alternates between."""
_LARGE = 256 * 1024
"""Bytes of a head that is not read at once."""
_SPARE = 1024
"""Bytes that are read with a head more than the last one had."""
_MOST_HEADS = 16 * 1024 * 1024
"""Bytes of fragments' heads that are read box by box of one film."""
_TURNS, _A_SEGMENT = 4096, 16
"""Steps from fragment to fragment within segments of one film at most, and so many more for each segment."""


def classic_layout(strips: Sequence[Strip], size: int, read: Read, soon: Callable[[PlayableFile, int], None]) -> Layout:
    """Return a film of ``size`` bytes made of one strip, or of pictures and sound. Blocks while it reads.

    ``soon`` is told where will be read before long. Raises NotPlayable; DiskError and the like pass through.
    """
    movies = [read_movie(read(s.files[s.init.file], s.init.offset, s.init.length)) for s in strips]
    shots = cut(strips)
    media = shots[-1].position + shots[-1].segment.length
    start = size - media
    room = Room(start - sum(len(m.ftyp) + sum(len(t.trak) for t in m.tracks) for m in movies))
    reels = [{t.number: Reel(Tables(room), t.defaults) for t in m.tracks} for m in movies]
    _gather(shots, start, reels, read, soon)
    moov = _moov(movies, reels, large=size > LARGEST_SMALL)
    front, mdat = [_FTYP, *moov], head_of(b"mdat", media)
    gap = start - sum(map(len, front)) - len(mdat)
    pad = padding(gap)
    stretches: list[Stretch] = [Text(b"".join((*front, pad))), Blank(gap - len(pad)), Text(mdat)]
    stretches += (Footage(s.file, s.segment.offset, s.segment.length) for s in shots)
    return Layout(stretches)


def _gather(
    shots: Sequence[Shot],
    start: int,
    reels: list[dict[int, Reel]],
    read: Read,
    soon: Callable[[PlayableFile, int], None],
) -> None:
    """Read every fragment's head into the tables."""
    patience = _Patience(_TURNS + _A_SEGMENT * len(shots), _MOST_HEADS)
    readers = [_SegmentReader(tracks, read, patience) for tracks in reels]
    cold, ahead = False, 0
    for index, shot in enumerate(shots):
        if cold:
            ahead = max(ahead, index + 1)
            while ahead < min(len(shots), index + _AHEAD):
                soon(shots[ahead].file, shots[ahead].segment.offset)
                ahead += 1
        first, length = shot.segment.offset, shot.segment.length
        begun = monotonic()
        readers[shot.strip].take(shot.file, Lie(start + shot.position - first, first, first + length))
        cold = cold or monotonic() - begun > _SLOW


class _Patience:
    """What reading a film may cost: gigabytes of boxes with nothing in them would keep a thread busy for hours."""

    def __init__(self, turns: int, heads: int) -> None:
        self._turns, self._heads = turns, heads

    def spend(self, head: int) -> None:
        """Count a step, and a head of so many bytes. Raises NotPlayable."""
        self._turns -= 1
        self._heads -= head
        if self._turns < 0 or self._heads < 0:
            no_room()


class _SegmentReader:
    """Reads one strip's segments, each as far as its fragments' heads go."""

    def __init__(self, reels: dict[int, Reel], read: Read, patience: _Patience) -> None:
        self._reels, self._read, self._patience = reels, read, patience
        self._guess = 4096
        self._moulds: list[Mould] = []

    def take(self, file: PlayableFile, lie: Lie) -> None:
        data = self._read(file, lie.first, min(self._guess, lie.end - lie.first))
        lengths = (mould.read(data, lie) for mould in self._moulds)
        length = next((length for length in lengths if length is not None), None)
        if length is None:
            length = self._box_by_box(file, lie, data)
        self._guess = length + _SPARE if length < _LARGE else self._guess

    def _box_by_box(self, file: PlayableFile, lie: Lie, data: bytes) -> int:
        """Read it in any case; return how long the head of its first fragment is."""
        at, base, length = lie.first, lie.first, 0
        while (found := next_moof(data, base, at, lie.end)) is not None:
            self._patience.spend(0 if isinstance(found, Want) else found.end - found.start)
            if isinstance(found, Want):
                base = at = found.offset
                data = self._read(file, base, min(found.length + _SPARE, lie.end - base))
                continue
            read_moof(data, found, base, lie, self._reels)
            at = base + found.end
            if not length:
                length = at - lie.first
                self._learn(data, found, base - lie.first)
        return length

    def _learn(self, data: bytes, moof: Box, missing: int) -> None:
        """Remember how a fragment looked; ``missing`` bytes of its segment are not in ``data``."""
        mould = mould_of(data, moof, self._reels) if not missing else None
        if mould is not None:
            self._moulds = [*self._moulds[: _MOULDS - 1], mould]  # the first is the most usual


def _moov(movies: Sequence[Movie], reels: Sequence[dict[int, Reel]], *, large: bool) -> list[Bytes]:
    scale = movies[0].scale
    tracks = [(t, reel[t.number]) for m, reel in zip(movies, reels, strict=True) for t in m.tracks]
    tracks = [(t, reel) for t, reel in tracks if reel.tables.samples]
    if not tracks:
        malformed("it has no fragments")
    longest, traks = 0, list[Bytes]()
    for number, (track, reel) in enumerate(tracks, 1):
        edits = _edits(track, reel, scale)
        length = sum(e.length for e in edits) if edits else _scaled(reel.tables.time, scale, track.scale)
        longest = max(longest, _plausible(length))
        traks += _trak(track, reel.tables, number, edits, length, large=large)
    mvhd = with_duration(movies[0].mvhd, longest, next_track=len(tracks) + 1)
    return around(b"moov", [mvhd, *traks, movies[0].others])


def _edits(track: Track, reel: Reel, scale: int) -> tuple[Edit, ...]:
    """Return a track's edit list with what fragments leave open said: its end, and a beginning later than 0.

    Pictures that come in another order than they are shown are all shown later by the first one's shift.
    """
    edits, end = track.edits, reel.tables.time + reel.tables.first_shift
    if edits and not edits[-1].length:
        shown = max(1, end - max(0, edits[-1].start))
        edits = (*edits[:-1], replace(edits[-1], length=_scaled(shown, scale, track.scale)))
    if reel.start:
        late = Edit(_scaled(reel.start, scale, track.scale), -1, 1 << 16)
        edits = (late, *(edits or (Edit(_scaled(end, scale, track.scale), 0, 1 << 16),)))
    return edits


def _scaled(time: int, scale: int, old: int) -> int:
    """Rounded up, so that no last sample is cut off. Raises NotPlayable."""
    return _plausible(-(-time * scale // old))


def _plausible(time: int) -> int:
    """Return a time as it is. Raises NotPlayable."""
    if not 0 <= time <= LATEST:
        malformed("a time in it is none that a film has")
    return time


_TABLES = (b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"sgpd", b"sbgp")
"""What a track's own tables, or fragments, take the place of."""


def _trak(
    track: Track, tables: Tables, number: int, edits: tuple[Edit, ...], length: int, *, large: bool
) -> list[Bytes]:
    def stbl(old: bytes) -> list[Bytes]:
        described = rewritten(old, {kind: lambda _: [] for kind in _TABLES})
        return around(b"stbl", described[1:] + tables.boxes(large=large))

    def minf(old: bytes) -> list[Bytes]:
        return rewritten(old, {b"stbl": stbl})

    def mdia(old: bytes) -> list[Bytes]:
        return rewritten(old, {b"mdhd": lambda mdhd: [with_duration(mdhd, tables.time)], b"minf": minf})

    changes: Rewrite = {
        b"tkhd": lambda tkhd: [with_number(tkhd, number, length), edit_list(edits)],
        b"edts": lambda _: [],
        b"mdia": mdia,
    }
    return rewritten(track.trak, changes)


def disk_reader(descriptors: Descriptors) -> tuple[Read, Callable[[PlayableFile, int], None]]:
    """Return how to read open files: ``classic_layout``'s ``read`` and ``soon``. ``read`` raises OSError."""

    def read(file: PlayableFile, offset: int, length: int) -> bytes:
        data = os.pread(descriptors[file], length, offset)
        while len(data) < length:
            more = os.pread(descriptors[file], length - len(data), offset + len(data))
            if not more:
                raise OSError("the file is shorter than it should be")
            data += more
        return data

    def soon(file: PlayableFile, offset: int) -> None:
        os.posix_fadvise(descriptors[file], offset, 16 * 1024, os.POSIX_FADV_WILLNEED)

    return read, soon
