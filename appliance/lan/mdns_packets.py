"""Packets of multicast DNS: this module writes ours and reads those from the network.

RFC 6762, and RFC 1035 for the packet itself, which ``mdns_reading`` takes apart.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from appliance.lan.mdns_reading import Malformed, Packet, target

A, PTR, HINFO, TXT, AAAA, SRV, NSEC, ANY = 1, 12, 13, 16, 28, 33, 47, 255
PORT = 5353
MOST = 9000
"""Bytes of a packet at most (RFC 6762, 17)."""
HOST_TTL, TTL = 120, 4500
"""Seconds: records with a host's name or address, and others (10)."""
_LEGACY_TTL = 10
_IN, _TOP = 1, 0x8000
"""The class; its top bit asks for a unicast answer in a question, and flushes caches in an answer (5.4, 10.2)."""
_RESPONSE = 0x8400
_POINTER_REACH = 0x3FFF
_LENGTHS = {A: 4, AAAA: 16}
"""Bytes of an address."""


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record of class IN. ``unique``: no other host has records of this name and type."""

    name: str
    type: int
    data: bytes
    ttl: int
    unique: bool = True

    @property
    def identity(self) -> tuple[str, int, bytes]:
        """What is compared: names are alike in great and small letters."""
        at = {PTR: 0, SRV: 6}.get(self.type, len(self.data))
        return self.name.lower(), self.type, self.data[:at] + self.data[at:].lower()


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    type: int
    unicast: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A packet. ``probe``: it asks whether a name is free, and ``records`` are then what the asker would say of it."""

    ident: int
    response: bool
    probe: bool
    truncated: bool
    questions: tuple[Question, ...]
    records: tuple[Record, ...]


def packed_name(name: str) -> bytes:
    """Return a name as labels. Raises ValueError where one is empty or longer than 63 bytes."""
    out = b""
    for label in name.rstrip(".").split("."):
        raw = label.encode()
        if not 0 < len(raw) < 64:
            raise ValueError(f"{label!r} is no label")
        out += bytes([len(raw)]) + raw
    return out + b"\0"


def probe(names: tuple[str, ...], records: Iterable[Record]) -> bytes:
    """Return a probe for ``names``, of which the first is the host's (8.1): who has them, and what we would say.

    Addresses are asked for by their own types as well, for responders that leave ANY unanswered. Answers are wanted by
    multicast: port 5353 is shared with other programs of this machine, and unicast reaches only one of them (15.1).
    """
    host, *services = names
    asked = [Question(host, ANY), Question(host, A), Question(host, AAAA), *(Question(s, ANY) for s in services)]
    unique = [replace(r, unique=False) for r in records if r.unique]
    return _packet(0, 0, asked, [], unique)


def response(answers: Iterable[Record], additional: Iterable[Record] = ()) -> bytes:
    """Return an answer for everybody (6), or an announcement."""
    return _packet(0, _RESPONSE, [], list(answers), [], list(additional))


def goodbye(records: Iterable[Record]) -> bytes:
    """Return an announcement that ``records`` are no more (10.1)."""
    return response(replace(r, ttl=0) for r in records)


def legacy_response(heard: Heard, answers: Iterable[Record], additional: Iterable[Record]) -> bytes:
    """Return an answer for a simple resolver, which asked from a port of its own: brief, with its question (6.7)."""

    def plain(records: Iterable[Record]) -> list[Record]:
        return [replace(r, ttl=min(r.ttl, _LEGACY_TTL), unique=False) for r in records]

    return _packet(heard.ident, _RESPONSE, list(heard.questions), plain(answers), [], plain(additional))


def _packet(
    ident: int,
    flags: int,
    questions: list[Question],
    answers: list[Record],
    authorities: list[Record],
    additional: list[Record] | None = None,
) -> bytes:
    extra = additional or []
    out = bytearray(struct.pack("!6H", ident, flags, len(questions), len(answers), len(authorities), len(extra)))
    places: dict[str, int] = {}
    for question in questions:
        _put_name(out, question.name, places)
        out += struct.pack("!2H", question.type, _IN | (_TOP if question.unicast else 0))
    for record in (*answers, *authorities, *extra):
        _put_name(out, record.name, places)
        out += struct.pack("!2HIH", record.type, _IN | (_TOP if record.unique else 0), record.ttl, len(record.data))
        out += record.data
    return bytes(out)


def _put_name(out: bytearray, name: str, places: dict[str, int]) -> None:
    """Append a name, by a pointer to an earlier one where its end is there already (RFC 1035, 4.1.4)."""
    labels = name.rstrip(".").split(".")
    for at in range(len(labels)):
        rest = ".".join(labels[at:])
        if rest in places:
            out += struct.pack("!H", 0xC000 | places[rest])
            return
        if len(out) <= _POINTER_REACH:
            places[rest] = len(out)
        raw = labels[at].encode()
        out += bytes([len(raw)]) + raw
    out += b"\0"


def read(data: bytes) -> Heard | None:
    """Return what a packet says, without records of kinds we have no use for; None for what is none."""
    try:
        packet = Packet(data)
        questions = tuple(Question(*asked) for asked in packet.questions())
        records = tuple(_records(packet))
    except Malformed:
        return None
    probing = not packet.response and packet.counts[2] > 0
    return Heard(packet.ident, packet.response, probing, packet.truncated, questions, records)


def _records(packet: Packet) -> Iterator[Record]:
    for name, kind, ttl, unique, begin, end in packet.records():
        data = _data(packet, kind, begin, end)
        if data is not None:
            yield Record(name, kind, data, ttl, unique)


def _data(packet: Packet, kind: int, begin: int, end: int) -> bytes | None:
    data = packet.data[begin:end]
    if kind == PTR:
        return target(packet, begin, end, packed_name)
    if kind == SRV:
        server = target(packet, begin + 6, end, packed_name) if len(data) > 6 else None
        return None if server is None else data[:6] + server
    if kind in _LENGTHS:
        return data if len(data) == _LENGTHS[kind] else None
    return data if kind in (TXT, HINFO) else None


def absent(name: str, records: Iterable[Record]) -> Record:
    """Return the record that says: of ``name`` there are these and no others (6.1), so that nobody waits for more."""
    bits = bytearray(32)
    for record in records:
        bits[record.type // 8] |= 0x80 >> record.type % 8
    bitmap = bytes(bits).rstrip(b"\0")
    return Record(name, NSEC, packed_name(name) + bytes([0, len(bitmap)]) + bitmap, HOST_TTL)
