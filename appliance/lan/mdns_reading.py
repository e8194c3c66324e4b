"""A packet of multicast DNS from the network: this module reads it. Pure, for hostile bytes.

RFC 1035 §4.1 and RFC 6762 §18. A packet that is wrong anywhere is none at all; records that nobody here has a use for
are passed over. A pointer leads backwards each time, so that no name goes round in a circle, and what all names of a
packet take together is bounded.
"""

import struct
from collections.abc import Callable, Iterator

MOST_NAMES = 64 * 1024
"""Bytes of all names of a packet, pointers followed: an honest one has a few hundred."""
_LONGEST_NAME = 255
_POINTER, _CLASS, _TOP, _IN, _ANY_CLASS = 0xC0, 0x7FFF, 0x8000, 1, 255
_RESPONSE, _TRUNCATED, _MUST_BE_ZERO = 0x8000, 0x0200, 0x780F
"""Of the flags; what must be zero is the operation and the error (§18.3, §18.11)."""


class Malformed(Exception):
    """Not a packet of multicast DNS."""


class Packet:
    """A packet's head, and a reader of what follows. Raises Malformed, here and from everything it has."""

    def __init__(self, data: bytes) -> None:
        self.data, self._spent = data, 0
        self.ident, flags, *self.counts = self._numbers("!6H", 0)
        if flags & _MUST_BE_ZERO:
            raise Malformed
        self.response, self.truncated = bool(flags & _RESPONSE), bool(flags & _TRUNCATED)
        self._at = 12

    def questions(self) -> Iterator[tuple[str, int, bool]]:
        """Yield (name, type, whether a unicast answer is wanted). Read them before the records."""
        for _ in range(self.counts[0]):
            name, at = self.name(self._at)
            kind, among = self._numbers("!2H", at)
            self._at = at + 4
            if among & _CLASS in (_IN, _ANY_CLASS):
                yield name, kind, bool(among & _TOP)

    def records(self) -> Iterator[tuple[str, int, int, bool, int, int]]:
        """Yield (name, type, ttl in seconds, unique, first byte of its data, byte after it) of all three sections."""
        for _ in range(sum(self.counts[1:])):
            name, at = self.name(self._at)
            kind, among, ttl, length = self._numbers("!2HIH", at)
            begin = at + 10
            self._at = begin + length
            if self._at > len(self.data):
                raise Malformed
            if among & _CLASS == _IN:
                yield name, kind, ttl, bool(among & _TOP), begin, self._at

    def name(self, at: int) -> tuple[str, int]:
        """Return the name at a place, with a dot at its end, and the place after it."""
        labels: list[str] = []
        length, after, bound = 0, 0, at
        while size := self._byte(at):
            if size & _POINTER == _POINTER:
                after = after or at + 2
                at = (size & 0x3F) << 8 | self._byte(at + 1)
                if at >= bound:
                    raise Malformed
                bound = at
                continue
            raw = self.data[at + 1 : at + 1 + size]
            length += size + 1
            self._spent += size + 1
            if size & _POINTER or len(raw) < size or length > _LONGEST_NAME or self._spent > MOST_NAMES:
                raise Malformed
            labels.append(raw.decode("utf-8", "replace"))
            at += size + 1
        return ".".join(labels) + ".", after or at + 1

    def _byte(self, at: int) -> int:
        if at >= len(self.data):
            raise Malformed
        return self.data[at]

    def _numbers(self, form: str, at: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(form, self.data, at)
        except struct.error as error:
            raise Malformed from error


def target(packet: Packet, begin: int, end: int, pack: Callable[[str], bytes]) -> bytes | None:
    """Return a name that stands in a record's data as ``pack`` writes it; None where it cannot be said again."""
    name, after = packet.name(begin)
    if after != end:
        raise Malformed
    try:
        return pack(name)
    except ValueError:
        return None
