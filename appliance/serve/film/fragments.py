"""Fragments as runs of samples: this module reads ``moof`` boxes (ISO 14496-12 8.8) into a track's tables. Pure.

Every number in them is hostile: counts are checked against the bytes that carry them, positions against the segment.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from appliance.serve.film.boxes import HEAD, I32, MOST_BOXES, U32, U64, Box, Bytes, box_at, malformed, unpacked
from appliance.serve.film.movie import Defaults
from appliance.serve.film.tables import Tables, total

MOST_HEAD = 4 * 1024 * 1024
"""Bytes of a fragment's ``moof``, and of what stands before it."""
MOST_RUNS = 10_000
"""Runs of one fragment."""
_HEAD = 16
"""Bytes of a box's head at most."""
_GLANCE = 4096
"""Bytes asked for where it is not known how long a head is."""

_BASE, _DESCRIPTION, _DURATION, _SIZE, _FLAGS, MOOF_BASE = 0x1, 0x2, 0x8, 0x10, 0x20, 0x20000
OFFSET, FIRST, COLUMNS = 0x1, 0x4, 0xF00
TOLD = _DURATION | _SIZE | _FLAGS
_PAIR, _TIME = struct.Struct(">II"), struct.Struct(">IQ")
_TOLD_FORMS = tuple(struct.Struct(">" + "I" * n) for n in range(4))
_UNKNOWN = "a fragment does not say which track it belongs to"


@dataclass(slots=True)
class Reel:
    """A track's tables, and what its fragments leave unsaid."""

    tables: Tables
    defaults: Defaults
    start: int | None = None
    """The track's time at its first sample, once there was one."""


class Lie(NamedTuple):
    """Where a fragment's file lies in the film: ``shift`` is added to positions, which must be in [first, end)."""

    shift: int
    first: int
    end: int


def read_moof(data: Bytes, moof: Box, base: int, lie: Lie, reels: dict[int, Reel]) -> None:
    """Add a fragment's runs to its tracks' tables. ``data`` begins at ``base`` in the file. Raises NotPlayable."""
    at, end = moof.body, moof.end
    start = base + moof.start
    before = _nothing(start)
    while at < end:
        box = box_at(data, at, end)
        if box.kind == b"traf":
            before = _read_traf(data, box, start, before, lie, reels)
        at = box.end


class Run(NamedTuple):
    """Samples that lie one after another: from where, how many, and of which size each where ``sizes`` is None."""

    position: int
    samples: int
    size: int
    sizes: bytes | None

    @property
    def end(self) -> int:
        """Where the next one lies that does not say so. Summed up only when it is asked for."""
        return self.position + (self.samples * self.size if self.sizes is None else total(self.sizes))


def _nothing(position: int) -> Run:
    return Run(position, 0, 0, None)


class _Header(NamedTuple):
    """What a ``tfhd`` says (8.8.7): where its data lie if a run does not say, and each sample's defaults."""

    reel: Reel
    base: int | None
    defaults: Defaults


def _read_traf(data: Bytes, traf: Box, moof: int, before: Run, lie: Lie, reels: dict[int, Reel]) -> Run:
    """Read one track's part of a fragment; return its last run, which the next track's may follow."""
    at, end, runs = traf.body, traf.end, 0
    header: _Header | None = None
    last = before
    while at < end:
        # As ``box_at`` does; this is the innermost loop of opening a film, and most boxes are plain.
        size, kind = HEAD.unpack_from(data, at) if end - at >= 8 else (0, b"")
        body, stop = at + 8, at + size
        if size < 8 or stop > end:
            _, body, stop = box_at(data, at, end)[1:]
        at = stop
        if kind == b"trun":
            if header is None:
                malformed(_UNKNOWN)
            runs += 1
            if runs > MOST_RUNS:
                malformed("a fragment has too many runs")
            last = _run(data, body, stop, header, before if runs == 1 else last, before, lie)
        elif kind == b"tfdt":
            if header is None:
                malformed(_UNKNOWN)
            large = stop - body >= _TIME.size and data[body] == 1
            begin(header.reel, unpacked(_TIME if large else _PAIR, data, body, stop)[1])
        elif kind == b"tfhd" and header is None:
            header = _header(data, body, stop, moof, reels)
    return last


def _header(data: Bytes, at: int, end: int, moof: int, reels: dict[int, Reel]) -> _Header:
    word, number = unpacked(_PAIR, data, at, end)
    at += 8
    reel = reels.get(number)
    if reel is None:
        malformed("a fragment belongs to no track of it")
    base = moof if word & MOOF_BASE else None
    if word & _BASE:
        base, at = unpacked(U64, data, at, end)[0], at + 8
    if word & _DESCRIPTION:
        at += 4
    told = word & TOLD
    return _Header(reel, base, defaults_in(reel.defaults, told, unpacked(_TOLD_FORMS[told.bit_count()], data, at, end)))


def defaults_in(defaults: Defaults, told: int, values: Sequence[int]) -> Defaults:
    """Return a track's defaults with those ``values`` that a fragment tells by its flags, in their order."""
    match told:
        case 0:
            return defaults
        case 0x38:
            return Defaults(*values)
    found = iter(values)
    duration = next(found) if told & _DURATION else defaults.duration
    size = next(found) if told & _SIZE else defaults.size
    return Defaults(duration, size, next(found) if told & _FLAGS else defaults.flags)


def begin(reel: Reel, time: int) -> None:
    """Take a track's time at which a fragment begins (8.8.12)."""
    if reel.start is None:
        reel.start = time
    reel.tables.lasts_until(time - reel.start)


def _run(data: Bytes, at: int, end: int, header: _Header, previous: Run, before: Run, lie: Lie) -> Run:
    """Add a run (8.8.8). ``previous`` is the one before it, ``before`` the last one of another track."""
    word, samples = unpacked(_PAIR, data, at, end)
    at += 8
    if word & OFFSET:
        base = before.end if header.base is None else header.base
        position, at = base + unpacked(I32, data, at, end)[0], at + 4
    elif previous is before and header.base is not None:
        position = header.base
    else:
        position = previous.end
    first: int | None = None
    if word & FIRST:
        first, at = unpacked(U32, data, at, end)[0], at + 4
    if not samples:
        return _nothing(position)
    return take(data, at, end, header.reel, header.defaults, word, samples, position, first, lie)


def take(
    data: Bytes,
    at: int,
    end: int,
    reel: Reel,
    defaults: Defaults,
    word: int,
    samples: int,
    position: int,
    first: int | None,
    lie: Lie,
) -> Run:
    """Add ``samples`` that lie from ``position`` in the file; their columns are in ``data`` from ``at``.

    ``word`` is the run's version and flags, ``first`` the flags of the first sample where it has its own. Raises
    NotPlayable.
    """
    if not lie.first <= position <= lie.end:
        malformed("a fragment points outside itself")
    columns = _columns(data, at, end, samples, word)
    if reel.start is None:
        reel.start = 0
    tables = reel.tables
    tables.add_chunk(position + lie.shift, samples)
    tables.add_durations(samples, defaults.duration, columns[0])
    tables.add_sizes(samples, defaults.size, columns[1])
    tables.add_shifts(samples, columns[3], signed=bool(word >> 24))
    tables.add_syncs(samples, defaults.flags, first, columns[2])
    return Run(position, samples, defaults.size, columns[1])


def _columns(data: Bytes, at: int, end: int, samples: int, word: int) -> list[bytes | None]:
    """Duration, size, flags and shift of each sample, as far as a run says them."""
    out: list[bytes | None] = [None] * 4
    wide = (word & COLUMNS).bit_count()
    if not wide:
        return out
    stop = at + 4 * wide * samples
    if stop > end:
        malformed("a fragment lists more than it holds")
    if wide == 1:
        out[(word >> 8 & 15).bit_length() - 1] = bytes(data[at:stop])
        return out
    rows = memoryview(data)[at:stop].cast("I")
    column = 0
    for index in range(4):
        if word & 0x100 << index:
            out[index] = rows[column::wide].tobytes()
            column += 1
    return out


@dataclass(frozen=True, slots=True)
class Want:
    """Bytes of the file that are needed to go on."""

    offset: int
    length: int


def next_moof(data: Bytes, base: int, at: int, end: int) -> Box | Want | None:
    """Return the first ``moof`` in a segment from ``at`` on, whole and placed in ``data``, which begins at ``base``.

    ``at``, ``base`` and ``end`` count in the file. Returns what to read first, or None where there is none any more.
    Raises NotPlayable.
    """
    for _ in range(MOST_BOXES):
        if at + HEAD.size >= end:
            return None
        have = base + len(data)
        if not base <= at <= have - min(_HEAD, end - at):
            return Want(at, min(end - at, _GLANCE))
        size, kind = HEAD.unpack_from(data, at - base)
        if size == 1 and end - at >= _HEAD:
            size = U64.unpack_from(data, at - base + HEAD.size)[0]
        elif size == 0:
            size = end - at
        if size < HEAD.size or at + size > end:
            malformed("a fragment reaches past its segment")
        if kind == b"moof":
            if size > MOST_HEAD:
                malformed("a fragment's head is too large")
            return box_at(data, at - base, at - base + size) if at + size <= have else Want(at, size)
        at += size
    return malformed("a segment has too many boxes")
