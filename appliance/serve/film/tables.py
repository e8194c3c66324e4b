"""A track's classic sample tables, made of its fragments' runs: this module gathers them (ISO 14496-12 8.6, 8.7). Pure.

Two hours have half a million samples, so nothing here looks at one sample at a time: columns of a run's table are cut
out and put together as bytes, in the byte order that both ends share.
"""

import re
import struct
import sys
from array import array
from collections.abc import Sequence

from appliance.serve.film.boxes import LARGEST_SMALL, U32, Bytes, around, malformed, no_room

NOT_SYNC = 0x00010000
"""The flag of a sample that depends on others (8.8.3.1)."""

MOST_TABLES = 16 * 1024 * 1024
"""Bytes of a film's tables at most, whatever length and rate its origin says: half a day at 60 pictures a second."""

_PAIR = struct.Struct(">II")
_SYNC_BIT = bytes(0 if value & 1 else 1 for value in range(256))
_SAME = re.compile(rb"(.{4})\1*", re.DOTALL)
"""A number of a column, and the equal ones that follow it."""


class Room:
    """Bytes that the tables of all of a film's tracks may take, together."""

    def __init__(self, size: int) -> None:
        self._left = min(size, MOST_TABLES)

    def take(self, size: int) -> None:
        """Raise NotPlayable where so much is not left."""
        self._left -= size
        if self._left < 0:
            no_room()


class Tables:
    """One track's tables, run by run in play order, in a ``room`` that others may be in too."""

    def __init__(self, room: Room) -> None:
        self.samples = 0
        self.time = 0
        """Time units that the samples so far last."""
        self._room = room
        self._counts, self._durations = array("I"), array("I")
        self._sizes, self._shifts = bytearray(), bytearray()
        self._shifted = self._signed = False
        self._syncs = array("I")
        self._all_sync = True
        """Whether each sample so far can be begun with; then they are not listed."""
        self._chunks = array("Q")
        self._chunk_runs = array("I")
        """Pairs: the first of some chunks alike (from 1), and how many samples each of them has."""

    @property
    def first_shift(self) -> int:
        """The composition offset of the first sample."""
        return int.from_bytes(self._shifts[:4], "big", signed=self._signed)

    def lasts_until(self, time: int) -> None:
        """Make the last sample last until ``time``, where the next fragment begins; as short as it can be at least."""
        if self.time == time or not self.samples:
            return
        duration = self._durations[-1]
        changed = min(max(0, duration + time - self.time), LARGEST_SMALL)
        if self._counts[-1] > 1:
            self._counts[-1] -= 1
            self._counts.append(1)
            self._durations.append(changed)
        else:
            self._durations[-1] = changed
        self.time += changed - duration

    def add_chunk(self, position: int, samples: int) -> None:
        """Begin a run of ``samples`` that lie one after another from ``position``. Its columns must follow.

        Raises NotPlayable where the tables grow too large.
        """
        self._room.take(12 + 4 * samples)
        if not self._chunk_runs or self._chunk_runs[-1] != samples:
            self._chunk_runs.extend((len(self._chunks) + 1, samples))
        self._chunks.append(position)
        self.samples += samples

    def add_durations(self, samples: int, duration: int, column: bytes | None) -> None:
        """Add how long a run's samples last: each ``duration``, or as the column says."""
        if column is None or column == column[:4] * samples:
            self._lasting(samples, duration if column is None else U32.unpack_from(column)[0])
            return
        self._room.take(len(column))
        for same in _SAME.finditer(column):
            self._lasting(len(same[0]) // 4, U32.unpack(same[1])[0])

    def _lasting(self, samples: int, duration: int) -> None:
        if self._durations and self._durations[-1] == duration:
            self._counts[-1] += samples
        else:
            self._counts.append(samples)
            self._durations.append(duration)
        self.time += samples * duration

    def add_sizes(self, samples: int, size: int, column: bytes | None) -> None:
        self._sizes += U32.pack(size) * samples if column is None else column

    def add_shifts(self, samples: int, column: bytes | None, *, signed: bool) -> None:
        """Add the composition offsets of a run: none, or as the column says."""
        if column is None:
            self._shifts += bytes(4 * samples)
            return
        self._shifted = True
        if not column[::4].isascii():  # some number's highest bit is set
            if not signed:
                malformed("a picture is shown later than any film lasts")
            self._signed = True
        self._shifts += column

    def add_syncs(self, samples: int, flags: int, first: int | None, column: bytes | None) -> None:
        """Add which of a run's samples can be begun with. ``samples`` were counted by ``add_chunk`` already."""
        before = self.samples - samples
        if column is not None:
            marks = bytearray(column[1::4].translate(_SYNC_BIT))
        elif flags & NOT_SYNC:
            marks = bytearray(1)  # the first can be another than the rest
        elif first is None or not first & NOT_SYNC:
            if not self._all_sync:
                self._syncs.extend(range(before + 1, before + samples + 1))
            return
        else:
            marks = bytearray(b"\1") * samples
        if self._all_sync:
            self._syncs.extend(range(1, before + 1))
            self._all_sync = False
        if first is not None:
            marks[0] = 0 if first & NOT_SYNC else 1
        at = marks.find(1)
        while at >= 0:
            self._syncs.append(before + at + 1)
            at = marks.find(1, at + 1)

    def boxes(self, *, large: bool) -> list[Bytes]:
        """Return the tables as boxes, in pieces; ``large``: positions in 64 bits."""
        durations = array("I", bytes(8 * len(self._counts)))
        durations[::2], durations[1::2] = self._counts, self._durations
        out = self._box(b"stts", 0, U32.pack(len(self._counts)), [_packed(durations)])
        if self._shifted:
            out += self._shift_box()
        if not self._all_sync:
            out += self._box(b"stss", 0, U32.pack(len(self._syncs)), [_packed(self._syncs)])
        firsts = self._chunk_runs[::2]
        runs = array("I", bytes(12 * len(firsts)))
        runs[::3], runs[1::3], runs[2::3] = firsts, self._chunk_runs[1::2], array("I", [1]) * len(firsts)
        out += self._box(b"stsc", 0, U32.pack(len(firsts)), [_packed(runs)])
        out += self._box(b"stsz", 0, _PAIR.pack(0, self.samples), [self._sizes])
        kind, chunks = (b"co64", self._chunks) if large else (b"stco", array("I", self._chunks))
        return out + self._box(kind, 0, U32.pack(len(chunks)), [_packed(chunks)])

    def _box(self, kind: bytes, version: int, head: bytes, lines: Sequence[Bytes]) -> list[Bytes]:
        return around(kind, (U32.pack(version << 24), head, *lines))

    def _shift_box(self) -> list[Bytes]:
        columns, version = self._shifts, int(self._signed)
        if columns == columns[:4] * self.samples:
            return self._box(b"ctts", version, U32.pack(1), [U32.pack(self.samples), columns[:4]])
        lines = bytearray(U32.pack(1)) * (2 * self.samples)
        pairs = memoryview(lines).cast("I")
        pairs[1::2] = memoryview(columns).cast("I")
        pairs.release()
        return self._box(b"ctts", version, U32.pack(self.samples), [lines])


def _numbers(column: bytes) -> "array[int]":
    out = array("I", column)
    if sys.byteorder == "little":
        out.byteswap()
    return out


def total(column: bytes) -> int:
    """Return the sum of a column of big-endian numbers."""
    return sum(_numbers(column))


def _packed(numbers: "array[int]") -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
