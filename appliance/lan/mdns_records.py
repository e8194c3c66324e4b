"""What multicast DNS says of the box, and how it stands in a packet: this module makes records and reads questions.

RFC 6762 (mDNS), RFC 6763 (services), RFC 1035 (the packet). Packets from the network are read by python-zeroconf, which
bounds names, pointers and counts; ours are written here, since it cannot write a probe.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from zeroconf._dns import DNSAddress, DNSHinfo, DNSPointer, DNSRecord, DNSService, DNSText
from zeroconf._protocol.incoming import DNSIncoming

from appliance.lan.interfaces import Address, Interface, is_household

A, PTR, HINFO, TXT, AAAA, SRV, NSEC, ANY = 1, 12, 13, 16, 28, 33, 47, 255
HTTP, SEEDKEEP = "_http._tcp.local.", "_seedkeep._tcp.local."
META = "_services._dns-sd._udp.local."
"""What a browser asks to learn which types there are (RFC 6763, 9)."""
PORT = 5353
MOST = 9000
"""Bytes of a packet at most (RFC 6762, 17)."""
_IN, _TOP = 1, 0x8000
"""The class; its top bit asks for a unicast answer in a question, and flushes caches in an answer (5.4, 10.2)."""
_RESPONSE = 0x8400
_HOST_TTL, _TTL, _LEGACY_TTL = 120, 4500, 10
"""Seconds (10; 6.7)."""
_POINTER_REACH = 0x3FFF


@dataclass(frozen=True, slots=True)
class Announcement:
    """What to say of the box. ``name`` is the host label wished for, ``box`` its lasting id."""

    name: str
    port: int
    box: str
    version: str
    path: str = "/"
    tls: bool = False


class Voice(Enum):
    """Who speaks for us: ourselves, or the avahi of this machine."""

    OWN = auto()
    AVAHI = auto()


@dataclass(frozen=True, slots=True)
class Announced:
    """What is announced now: ``seedkeep.local``, the instance name, the addresses it stands for, and by whom."""

    host: str
    instance: str
    addresses: tuple[str, ...]
    by: Voice = Voice.OWN


@dataclass(frozen=True, slots=True)
class Names:
    """The names to claim together: the host's label and the services' instance."""

    label: str
    instance: str

    @property
    def host(self) -> str:
        return f"{self.label}.local."

    def unique(self) -> tuple[str, ...]:
        """Return every name that must be ours alone, in small letters, the one that decides first."""
        return self.host, f"{self.instance}.{SEEDKEEP}".lower(), f"{self.instance}.{HTTP}".lower()


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


def host_label(name: str) -> str:
    """Return ``name`` as one label of a host name: letters, digits and hyphens, at most 50 (RFC 1123)."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-") or "seedkeep"


def names_for(wish: str, attempt: int) -> Names:
    """Return the ``attempt``-th names (from 1) to try for a box called ``wish``: ``seedkeep``, ``seedkeep-2`` …"""
    label, instance = host_label(wish), wish.replace(".", "-")[:50]
    return Names(label, instance) if attempt == 1 else Names(f"{label}-{attempt}", f"{instance} ({attempt})")


def addresses_of(interface: Interface) -> tuple[Address, ...]:
    """Return what the host name stands for on ``interface``; link-local addresses only where there is no other."""
    ours = [a.ip for a in interface.addresses if is_household(a)]
    lasting = [a for a in ours if not a.is_link_local]
    return tuple(lasting or ours)


def texts(said: Announcement) -> dict[str, dict[str, str]]:
    """Return each service type with the facts of its TXT record (RFC 6763, 6), each under 256 bytes."""
    facts = {
        HTTP: {"path": said.path},
        SEEDKEEP: {
            "api": "1",
            "id": said.box,
            "ver": said.version,
            "tls": "1" if said.tls else "0",
            "path": f"{said.path.rstrip('/')}/api",
        },
    }
    return {kind: {key: value[:200] for key, value in about.items()} for kind, about in facts.items()}


def text_entries(facts: dict[str, str]) -> list[bytes]:
    return [f"{key}={value}".encode()[:255] for key, value in facts.items()]


def records_for(said: Announcement, names: Names, addresses: Iterable[Address]) -> tuple[Record, ...]:
    """Return all that is said on an interface with these ``addresses``."""
    found = [Record(names.host, A if a.version == 4 else AAAA, a.packed, _HOST_TTL) for a in addresses]
    for kind, facts in texts(said).items():
        full = f"{names.instance}.{kind}"
        text = b"".join(bytes([len(entry)]) + entry for entry in text_entries(facts))
        place = struct.pack("!3H", 0, 0, said.port) + packed_name(names.host)
        found += [
            Record(META, PTR, packed_name(kind), _TTL, unique=False),
            Record(kind, PTR, packed_name(full), _TTL, unique=False),
            Record(full, SRV, place, _HOST_TTL),
            Record(full, TXT, text, _TTL),
        ]
    return tuple(found)


def packed_name(name: str) -> bytes:
    """Return a name as labels. Raises ValueError where one is empty or longer than 63 bytes."""
    out = b""
    for label in name.rstrip(".").split("."):
        raw = label.encode()
        if not 0 < len(raw) < 64:
            raise ValueError(f"{label!r} is no label")
        out += bytes([len(raw)]) + raw
    return out + b"\0"


def probe(names: Names, records: Iterable[Record]) -> bytes:
    """Return a probe for ``names`` (8.1): who has them, and what we would say.

    Addresses are asked for by their own types as well, for responders that leave ANY unanswered. Answers are wanted by
    multicast: port 5353 is shared with other programs of this machine, and unicast reaches only one of them (15.1).
    """
    host, *services = names.unique()
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
    return Record(name, NSEC, packed_name(name) + bytes([0, len(bitmap)]) + bitmap, _HOST_TTL)


def answers_to(heard: Heard, records: tuple[Record, ...]) -> tuple[list[Record], list[Record]]:
    """Return (answers, additional records) to a query out of ``records``, without what the asker knows (7.1)."""
    found: dict[tuple[str, int, bytes], Record] = {}
    for question in heard.questions:
        named = [r for r in records if r.name.lower() == question.name.lower()]
        fitting = [r for r in named if question.type in (r.type, ANY)]
        if not fitting and named and named[0].unique:
            fitting = [absent(named[0].name, named)]
        found |= {r.identity: r for r in fitting}
    if not heard.probe:
        for known in heard.records:
            if (ours := found.get(known.identity)) is not None and known.ttl * 2 >= ours.ttl:
                del found[known.identity]
    answers = list(found.values())
    return answers, _additional(answers, records) if answers else []


def _additional(answers: list[Record], records: tuple[Record, ...]) -> list[Record]:
    """Return what is asked next by those who asked for ``answers`` (RFC 6763, 12)."""
    named: set[str] = set()
    for answer in answers:
        if answer.type == PTR:
            named |= {r.name for r in records if r.type == SRV and packed_name(r.name) == answer.data}
    host = {r.name for r in records if r.type in (A, AAAA)}
    if named or any(a.type in (SRV, A, AAAA) for a in answers):
        named |= host
    given = {a.identity for a in answers}
    extra = [r for r in records if r.name in named and r.identity not in given]
    hosted = [r for r in records if r.name in host]
    if named & host and len({r.type for r in hosted}) == 1 and all(a.type != NSEC for a in answers):
        extra.append(absent(hosted[0].name, hosted))
    return extra


def loses(theirs: Iterable[Record], ours: Iterable[Record], names: Names) -> bool:
    """Whether a probe with ``theirs`` takes the names before one with ``ours``, both sent at once (8.2).

    The greater list of (type, data) wins. The names are claimed together, so the first one to differ decides for all:
    else two boxes could each win one and never end.
    """
    for name in names.unique():
        left, right = (
            sorted((r.type, r.data) for r in side if r.name.lower() == name) for side in (list(theirs), list(ours))
        )
        if left and right and left != right:
            return left > right
    return False
