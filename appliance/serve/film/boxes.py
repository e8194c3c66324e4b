"""MP4 boxes (ISO 14496-12 4.2): this module finds them in hostile bytes, and writes new ones. Pure.

Sizes are checked against what encloses a box, their number is bounded, and nothing here recurses by itself. What does
not fit raises ``NotPlayable``.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, NoReturn

from appliance.domain.shelf import NotPlayable

MOST_BOXES = 1000
"""Boxes beside one another inside one that we read."""
LATEST = 1 << 62
"""The latest time that we take for one: what is counted on from it has room in 64 bits."""
LARGEST_SMALL = 0xFFFF_FFFF
"""The largest box whose size has 32 bits."""

HEAD = struct.Struct(">I4s")
U16, U32, U64, I32 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q"), struct.Struct(">i")
_LONG = struct.Struct(">I4sQ")

Bytes = bytes | bytearray | memoryview


class Box(NamedTuple):
    """A box in some bytes: it begins at ``start``, its content at ``body``, and it ends before ``end``."""

    kind: bytes
    start: int
    body: int
    end: int


class NoRoom(NotPlayable):
    """An index is larger than what was reserved for it."""


def no_room() -> NoReturn:
    """Raise NoRoom."""
    raise NoRoom("bad_media", "The video's file has more pictures than its length and rate allow.", "", 415)


def malformed(what: str) -> NoReturn:
    """Raise the NotPlayable of a file that is not what it should be."""
    raise NotPlayable(
        "bad_media", f"The video's file cannot be made into one a TV can seek in: {what}.", "Play master.m3u8.", 415
    )


def box_at(data: Bytes, at: int, end: int) -> Box:
    """Return the box that begins at ``at`` in bytes that reach to ``end``. Raises NotPlayable."""
    if end - at < 8:
        malformed("a box is cut off")
    size, kind = HEAD.unpack_from(data, at)
    body = at + 8
    if size == 1:
        if end - at < _LONG.size:
            malformed("a box is cut off")
        size, body = _LONG.unpack_from(data, at)[2], at + _LONG.size
    elif size == 0:
        size = end - at
    if not body - at <= size <= end - at:
        malformed("a box is larger than what holds it")
    return Box(kind, at, body, at + size)


def boxes(data: Bytes, at: int, end: int) -> Iterator[Box]:
    """Yield the boxes beside one another from ``at`` to ``end``. Raises NotPlayable."""
    for _ in range(MOST_BOXES):
        if at >= end:
            return
        box = box_at(data, at, end)
        yield box
        at = box.end
    malformed("it has too many boxes")


def inside(data: Bytes, box: Box, kind: bytes) -> Box | None:
    """Return the first box of a kind directly inside another. Raises NotPlayable."""
    return next((b for b in boxes(data, box.body, box.end) if b.kind == kind), None)


def needed(data: Bytes, box: Box, kind: bytes) -> Box:
    """Return the first box of a kind directly inside another. Raises NotPlayable where there is none."""
    found = inside(data, box, kind)
    if found is None:
        malformed(f"it lacks a box '{kind.decode('latin-1')}'")
    return found


def raw(data: bytes, box: Box) -> bytes:
    """Return a whole box, under a head of 8 bytes."""
    return made(box.kind, data[box.body : box.end])


def unpacked(form: struct.Struct, data: Bytes, at: int, end: int) -> tuple[int, ...]:
    """Return the numbers at ``at``, which must lie before ``end``. Raises NotPlayable."""
    if at < 0 or at + form.size > end:
        malformed("a box is cut off")
    return form.unpack_from(data, at)


def made(kind: bytes, *parts: Bytes) -> bytes:
    """Return a box around ``parts``. Raises NotPlayable."""
    return b"".join(around(kind, parts))


def around(kind: bytes, pieces: Iterable[Bytes]) -> list[Bytes]:
    """Return a box around what ``pieces`` are together, in pieces. Raises NotPlayable."""
    inner = list(pieces)
    size = HEAD.size + sum(map(len, inner))
    if size > LARGEST_SMALL:
        malformed("its index is too large")
    return [HEAD.pack(size, kind), *inner]


def full(kind: bytes, version: int, flags: int, *parts: Bytes) -> bytes:
    """Return a box that has a version and flags (4.2, FullBox)."""
    return made(kind, U32.pack(version << 24 | flags), *parts)


def head_of(kind: bytes, content: int) -> bytes:
    """Return the head alone of a box with ``content`` bytes, in 64 bits where its size needs them."""
    if content + HEAD.size <= LARGEST_SMALL:
        return HEAD.pack(content + HEAD.size, kind)
    return _LONG.pack(1, kind, content + _LONG.size)


def padding(length: int) -> bytes:
    """Return the beginning of a ``free`` box of ``length`` bytes in all; zeros must follow. Raises NotPlayable."""
    if length < _LONG.size:
        no_room()
    return HEAD.pack(length, b"free") if length <= LARGEST_SMALL else _LONG.pack(1, b"free", length)
