"""Fragments that look like the one before: this module reads their heads several times as fast as box by box.

One program wrote all fragments of a file, so their boxes stand in the same order with the same flags, and only times,
sizes, counts and places differ. A *mould* is taken of a fragment that was understood. What fits it exactly is read by
it, what does not is left to ``fragments``, with nothing taken from it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.serve.film.boxes import HEAD, U32, Box, Bytes, boxes
from appliance.serve.film.fragments import (
    COLUMNS,
    MOOF_BASE,
    OFFSET,
    TOLD,
    Lie,
    Reel,
    begin,
    defaults_in,
    take,
)

_PLAIN_TFHD = MOOF_BASE | TOLD
_PLAIN_TRUN = COLUMNS | OFFSET | 0x4


@dataclass(slots=True)
class _Part:
    """What stands before a run's columns: from the segment's beginning, or from the end of the columns before."""

    length: int
    mask: int
    value: int
    fields: struct.Struct
    reel: Reel
    word: int
    """The run's version and flags."""
    told: int
    before_run: int
    """Bytes of a ``traf`` that are not of its ``trun``."""
    fixed: int
    """Bytes of a ``trun`` that are not columns."""
    row: int
    """Bytes of a sample's columns."""


@dataclass(frozen=True, slots=True)
class Mould:
    """See the module."""

    parts: tuple[_Part, ...]
    moof: int
    """Bytes before the ``moof``."""

    def read(self, data: bytes, lie: Lie) -> int | None:
        """Add a segment of one fragment to its tracks' tables, if it fits; return how long its head is.

        ``data`` is its beginning. Raises NotPlayable.
        """
        at, moof_size, found = 0, 0, []
        for part in self.parts:
            stop = at + part.length
            if stop > len(data) or int.from_bytes(data[at:stop]) & part.mask != part.value:
                return None
            values = part.fields.unpack_from(data, at)
            if not at:
                moof_size, values = values[0], values[1:]
            size, samples = values[-1 - (part.word >> 2 & 1) - 2], values[-1 - (part.word >> 2 & 1) - 1]
            at = stop + samples * part.row
            if size != part.fixed + samples * part.row or values[0] != part.before_run + size or not samples:
                return None
            found.append((part, stop, at, values))
        if moof_size != at - self.moof or not self._is_end(data, at, lie):
            return None
        for part, first, last, values in found:
            self._add(data, part, first, last, values, lie)
        return at

    def _is_end(self, data: bytes, at: int, lie: Lie) -> bool:
        """Tell whether the fragment's media data come next, and end the segment."""
        if at + HEAD.size > len(data):
            return False
        size, kind = HEAD.unpack_from(data, at)
        return bool(kind == b"mdat" and at + size == lie.end - lie.first)

    def _add(self, data: bytes, part: _Part, first: int, last: int, values: tuple[int, ...], lie: Lie) -> None:
        flag = values[-1] if part.word & 0x4 else None
        rest = values[:-1] if flag is not None else values
        told, (time, _, samples, offset) = rest[1:-4], rest[-4:]
        begin(part.reel, time)
        position = lie.first + self.moof + (offset - (1 << 32) if offset >> 31 else offset)
        defaults = defaults_in(part.reel.defaults, part.told, told)
        take(data, first, last, part.reel, defaults, part.word, samples, position, flag, lie)


def mould_of(data: bytes, moof: Box, reels: dict[int, Reel]) -> Mould | None:
    """Take a mould of a segment's first fragment, which was read; None where it is of an unusual kind.

    ``data`` is the segment's beginning.
    """
    maker = _Maker(data)
    for box in boxes(data, 0, moof.start):
        maker.keep(box.start, HEAD.size)
    maker.vary(moof.start, "I")
    maker.keep(moof.start + 4, 4)
    parts = []
    for box in boxes(data, moof.body, moof.end):
        if box.kind == b"mfhd":
            maker.keep(box.start, box.body - box.start)
        elif box.kind == b"traf":
            part = maker.traf(box, reels)
            if part is None:
                return None
            parts.append(part)
        else:
            return None
    return Mould(tuple(parts), moof.start) if parts else None


class _Maker:
    """Gathers what must be the same, and what varies, of the part that is being made."""

    def __init__(self, data: Bytes) -> None:
        self._data, self._start = data, 0
        self._same: list[tuple[int, int]] = []
        self._fields: list[tuple[int, str]] = []

    def keep(self, at: int, length: int) -> None:
        self._same.append((at, length))

    def vary(self, at: int, code: str) -> None:
        self._fields.append((at, code))

    def traf(self, traf: Box, reels: dict[int, Reel]) -> _Part | None:
        inner = list(boxes(self._data, traf.body, traf.end))
        if [b.kind for b in inner] != [b"tfhd", b"tfdt", b"trun"] or traf.body - traf.start != HEAD.size:
            return None
        tfhd, tfdt, trun = inner
        flags, number = struct.unpack_from(">II", self._data, tfhd.body)
        word = U32.unpack_from(self._data, trun.body)[0]
        plain = (
            flags & ~_PLAIN_TFHD == 0
            and flags & MOOF_BASE
            and tfhd.end - tfhd.start == 16 + 4 * (flags & TOLD).bit_count()
            and tfdt.end - tfdt.start == 20
            and word & 0xFFFFFF & ~_PLAIN_TRUN == 0
            and word & OFFSET
        )
        if not plain:
            return None
        self.vary(traf.start, "I")
        self.keep(traf.start + 4, 4 + 16)
        for n in range((flags & TOLD).bit_count()):
            self.vary(tfhd.body + 8 + 4 * n, "I")
        self.keep(tfdt.start, 12)
        self.vary(tfdt.start + 12, "Q")
        self.vary(trun.start, "I")
        self.keep(trun.start + 4, 8)
        for n in range(3 if word & 0x4 else 2):
            self.vary(trun.start + 12 + 4 * n, "I")
        return self._part(trun, traf, reels[number], word, flags & TOLD)

    def _part(self, trun: Box, traf: Box, reel: Reel, word: int, told: int) -> _Part:
        fixed = 24 if word & 0x4 else 20
        end = trun.start + fixed
        mask = bytearray(end - self._start)
        for at, length in self._same:
            mask[at - self._start : at - self._start + length] = b"\xff" * length
        same = int.from_bytes(mask)
        value = int.from_bytes(bytes(self._data[self._start : end])) & same
        part = _Part(
            length=end - self._start,
            mask=same,
            value=value,
            fields=struct.Struct(">" + "".join(self._format())),
            reel=reel,
            word=word,
            told=told,
            before_run=trun.start - traf.start,
            fixed=fixed,
            row=4 * (word & COLUMNS).bit_count(),
        )
        self._start, self._same, self._fields = trun.end, [], []
        return part

    def _format(self) -> Iterator[str]:
        at = self._start
        for place, code in self._fields:
            yield f"{place - at}x{code}"
            at = place + struct.calcsize(">" + code)
