"""Packets of multicast DNS: this module writes ours and reads those from the network.

RFC 6762, and RFC 1035 for the packet itself. Packets from the network are read by python-zeroconf, which bounds names,
pointers and counts; ours are written here, since it cannot write a probe.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from zeroconf._dns import DNSAddress, DNSHinfo, DNSPointer, DNSRecord, DNSService, DNSText
from zeroconf._protocol.incoming import DNSIncoming

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
    message = DNSIncoming(data)
    if not message.valid:
        return None
    records = tuple(_records(message.answers()))
    asked = tuple(Question(_dotted(q.name), q.type, bool(q.unique)) for q in message.questions)
    query = message.is_query()
    return Heard(message.id, not query, query and message.num_authorities > 0, message.truncated, asked, records)


def _records(found: Iterable[DNSRecord]) -> Iterator[Record]:
    for record in found:
        try:
            data = _data(record)
        except ValueError:
            continue  # a name that could not be said
        if data is not None:
            yield Record(_dotted(record.name), record.type, data, int(record.ttl), bool(record.unique))


def _dotted(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _data(record: DNSRecord) -> bytes | None:
    match record:
        case DNSAddress():
            return record.address
        case DNSPointer():
            return packed_name(record.alias)
        case DNSService():
            return struct.pack("!3H", record.priority, record.weight, record.port) + packed_name(record.server)
        case DNSText():
            return record.text
        case DNSHinfo():
            said = (str(record.cpu).encode()[:255], str(record.os).encode()[:255])
            return b"".join(bytes([len(text)]) + text for text in said)
        case _:
            return None


def absent(name: str, records: Iterable[Record]) -> Record:
    """Return the record that says: of ``name`` there are these and no others (6.1), so that nobody waits for more."""
    bits = bytearray(32)
    for record in records:
        bits[record.type // 8] |= 0x80 >> record.type % 8
    bitmap = bytes(bits).rstrip(b"\0")
    return Record(name, NSEC, packed_name(name) + bytes([0, len(bitmap)]) + bitmap, HOST_TTL)
