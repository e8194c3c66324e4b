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

_PAIR, _TRIPLE = struct.Struct(">II"), struct.Struct(">III")
_SYNC_BIT = bytes(0 if value & 1 else 1 for value in range(256))
_SAME = re.compile(rb"(.{4})\1*", re.DOTALL)
"""A number of a column, and the equal ones that follow it."""


class Tables:
    """One track's tables, run by run in play order. ``room``: bytes that they may take at most."""

    def __init__(self, room: int) -> None:
        self.samples = 0
        self.time = 0
        """Time units that the samples so far last."""
        self._room = room
        self._durations: list[list[int]] = []
        self._sizes: list[bytes] = []
        self._shifts: list[bytes] = []
        self._shifted = self._signed = False
        self._syncs: list[int] = []
        self._all_sync = True
        """Whether each sample so far can be begun with; then they are not listed."""
        self._chunks: list[int] = []
        self._chunk_runs: list[tuple[int, int]] = []

    @property
    def first_shift(self) -> int:
        """The composition offset of the first sample."""
        return int.from_bytes(self._shifts[0][:4], "big", signed=self._signed) if self._shifts else 0

    def lasts_until(self, time: int) -> None:
        """Make the last sample last until ``time``, where the next fragment begins; as short as it can be at least."""
        if self.time == time or not self.samples:
            return
        last = self._durations[-1]
        count, duration = last
        changed = min(max(0, duration + time - self.time), LARGEST_SMALL)
        if count > 1:
            last[0] -= 1
            self._durations.append([1, changed])
        else:
            last[1] = changed
        self.time += changed - duration

    def add_chunk(self, position: int, samples: int) -> None:
        """Begin a run of ``samples`` that lie one after another from ``position``. Its columns must follow.

        Raises NotPlayable where the tables grow too large.
        """
        if not self._chunk_runs or self._chunk_runs[-1][1] != samples:
            self._chunk_runs.append((len(self._chunks) + 1, samples))
        self._chunks.append(position)
        self._room -= 12 + 4 * samples
        if self._room < 0:
            no_room()
        self.samples += samples

    def add_durations(self, samples: int, duration: int, column: bytes | None) -> None:
        """Add how long a run's samples last: each ``duration``, or as the column says."""
        if column is None or column == column[:4] * samples:
            self._lasting(samples, duration if column is None else U32.unpack_from(column)[0])
            return
        self._room -= len(column)
        for same in _SAME.finditer(column):
            self._lasting(len(same[0]) // 4, U32.unpack(same[1])[0])

    def _lasting(self, samples: int, duration: int) -> None:
        if self._durations and self._durations[-1][1] == duration:
            self._durations[-1][0] += samples
        else:
            self._durations.append([samples, duration])
        self.time += samples * duration

    def add_sizes(self, samples: int, size: int, column: bytes | None) -> None:
        self._sizes.append(U32.pack(size) * samples if column is None else column)

    def add_shifts(self, samples: int, column: bytes | None, *, signed: bool) -> None:
        """Add the composition offsets of a run: none, or as the column says."""
        if column is None:
            self._shifts.append(bytes(4 * samples))
            return
        self._shifted = True
        if not column[::4].isascii():  # some number's highest bit is set
            if not signed:
                malformed("a picture is shown later than any film lasts")
            self._signed = True
        self._shifts.append(column)

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
        durations = [_PAIR.pack(*line) for line in self._durations]
        out = self._box(b"stts", 0, U32.pack(len(durations)), durations)
        if self._shifted:
            out += self._shift_box()
        if not self._all_sync:
            out += self._box(b"stss", 0, U32.pack(len(self._syncs)), [_packed(self._syncs, 4)])
        runs = [_TRIPLE.pack(first, samples, 1) for first, samples in self._chunk_runs]
        out += self._box(b"stsc", 0, U32.pack(len(runs)), runs)
        out += self._box(b"stsz", 0, _PAIR.pack(0, self.samples), self._sizes)
        kind, width = (b"co64", 8) if large else (b"stco", 4)
        return out + self._box(kind, 0, U32.pack(len(self._chunks)), [_packed(self._chunks, width)])

    def _box(self, kind: bytes, version: int, head: bytes, lines: Sequence[Bytes]) -> list[Bytes]:
        return around(kind, (U32.pack(version << 24), head, *lines))

    def _shift_box(self) -> list[Bytes]:
        columns = b"".join(self._shifts)
        version = int(self._signed)
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


def _packed(numbers: list[int], width: int) -> bytes:
    out = array("Q" if width == 8 else "I", numbers)
    if sys.byteorder == "little":
        out.byteswap()
    return out.tobytes()
