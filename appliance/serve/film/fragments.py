"""Fragments as runs of samples: this module reads ``moof`` boxes (ISO 14496-12 8.8) into a track's tables. Pure.

Every number in them is hostile: counts are checked against the bytes that carry them, positions against the segment.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

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

_BASE, _DESCRIPTION, _DURATION, _SIZE, _FLAGS, _MOOF_BASE = 0x1, 0x2, 0x8, 0x10, 0x20, 0x20000
_OFFSET, _FIRST, _COLUMNS = 0x1, 0x4, 0xF00
_TRUN = struct.Struct(">II")


@dataclass(slots=True)
class Reel:
    """A track's tables, and what its fragments leave unsaid."""

    tables: Tables
    defaults: Defaults
    start: int | None = None
    """The track's time at its first sample, once there was one."""


@dataclass(frozen=True, slots=True)
class Lie:
    """Where a fragment's file lies in the film: ``shift`` is added to positions, which must be in [first, end)."""

    shift: int
    first: int
    end: int


def read_moof(data: Bytes, moof: Box, base: int, lie: Lie, reels: dict[int, Reel]) -> None:
    """Add a fragment's runs to its tracks' tables. ``data`` begins at ``base`` in the file. Raises NotPlayable."""
    at, end = moof.body, moof.end
    previous = base + moof.start
    while at < end:
        box = box_at(data, at, end)
        if box.kind == b"traf":
            previous = _Traf(data, base, base + moof.start, lie, reels).read(box, previous)
        at = box.end


class _Traf:
    """One track's part of a fragment."""

    def __init__(self, data: Bytes, base: int, moof: int, lie: Lie, reels: dict[int, Reel]) -> None:
        self._data, self._base, self._moof, self._lie, self._reels = data, base, moof, lie, reels
        self._reel: Reel | None = None
        self._duration = self._size = self._flags = 0
        self._position = 0
        self._last: Callable[[], int] | None = None

    def read(self, traf: Box, previous: int) -> int:
        """Read it; ``previous`` is where the data of the track before ended, the result where this one's end."""
        data, at, end, runs = self._data, traf.body, traf.end, 0
        while at < end:
            box = box_at(data, at, end)
            if box.kind == b"trun":
                runs += 1
                if runs > MOST_RUNS:
                    malformed("a fragment has too many runs")
                self._run(box)
            elif box.kind == b"tfhd":
                self._header(box, previous)
            elif box.kind == b"tfdt":
                self._time(box)
            at = box.end
        return self._end_of_last() if runs else previous

    def _header(self, box: Box, previous: int) -> None:
        data, at, end = self._data, box.body, box.end
        word, number = unpacked(_TRUN, data, at, end)
        flags, at = word & 0xFFFFFF, at + 8
        reel = self._reels.get(number)
        if reel is None or self._reel is not None:
            malformed("a fragment belongs to no track of it")
        self._reel = reel
        self._position = self._moof if flags & _MOOF_BASE else previous
        if flags & _BASE:
            self._position, at = unpacked(U64, data, at, end)[0], at + 8
        defaults = reel.defaults
        values = [defaults.duration, defaults.size, defaults.flags]
        at += 4 if flags & _DESCRIPTION else 0
        for index, flag in enumerate((_DURATION, _SIZE, _FLAGS)):
            if flags & flag:
                values[index], at = unpacked(U32, data, at, end)[0], at + 4
        self._duration, self._size, self._flags = values
        self._data_base = self._position

    def _time(self, box: Box) -> None:
        reel = self._known()
        large = unpacked(U32, self._data, box.body, box.end)[0] >> 24 == 1
        time = unpacked(U64 if large else U32, self._data, box.body + 4, box.end)[0]
        if reel.start is None:
            reel.start = time
        reel.tables.lasts_until(time - reel.start)

    def _known(self) -> Reel:
        if self._reel is None:
            malformed("a fragment does not say which track it belongs to")
        return self._reel

    def _run(self, box: Box) -> None:
        reel, data, at, end = self._known(), self._data, box.body, box.end
        word, samples = unpacked(_TRUN, data, at, end)
        at += 8
        flags = word & 0xFFFFFF
        if flags & _OFFSET:
            position, at = self._data_base + unpacked(I32, data, at, end)[0], at + 4
        else:
            position = self._end_of_last()
        first: int | None = None
        if flags & _FIRST:
            first, at = unpacked(U32, data, at, end)[0], at + 4
        wide = (flags & _COLUMNS).bit_count()
        if wide and at + 4 * wide * samples > end:
            malformed("a fragment lists more than it holds")
        if not self._lie.first <= position <= self._lie.end:
            malformed("a fragment points outside itself")
        self._position, self._last = position, None
        if not samples:
            return
        reel.start = reel.start or 0
        tables = reel.tables
        tables.add_chunk(position + self._lie.shift, samples)
        columns = self._columns(at, wide, samples, flags)
        tables.add_durations(samples, self._duration, columns[0])
        tables.add_sizes(samples, self._size, columns[1])
        tables.add_shifts(samples, columns[3], signed=bool(word >> 24))
        tables.add_syncs(samples, self._flags, first, columns[2])
        sizes, size = columns[1], self._size
        self._last = lambda: size * samples if sizes is None else total(sizes)

    def _columns(self, at: int, wide: int, samples: int, flags: int) -> list[bytes | None]:
        """Duration, size, flags and shift of each sample, as far as the run says them."""
        out: list[bytes | None] = [None] * 4
        if not wide:
            return out
        rows = memoryview(self._data)[at : at + 4 * wide * samples].cast("B").cast("I")
        column = 0
        for index in range(4):
            if flags & 0x100 << index:
                out[index] = rows[column::wide].tobytes()
                column += 1
        return out

    def _end_of_last(self) -> int:
        return self._position + (self._last() if self._last is not None else 0)


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
