"""What multicast DNS says of the box, and what of it answers a question: this module knows, and sends nothing.

RFC 6762 (mDNS), RFC 6763 (services).
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from appliance.lan.interfaces import Address, Interface, is_household
from appliance.lan.mdns_packets import (
    AAAA,
    ANY,
    HOST_TTL,
    NSEC,
    PTR,
    SRV,
    TTL,
    TXT,
    A,
    Heard,
    Record,
    absent,
    packed_name,
)

HTTP, SEEDKEEP = "_http._tcp.local.", "_seedkeep._tcp.local."
META = "_services._dns-sd._udp.local."
"""What a browser asks to learn which types there are (RFC 6763, 9)."""


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
    found = [Record(names.host, A if a.version == 4 else AAAA, a.packed, HOST_TTL) for a in addresses]
    for kind, facts in texts(said).items():
        full = f"{names.instance}.{kind}"
        text = b"".join(bytes([len(entry)]) + entry for entry in text_entries(facts))
        place = struct.pack("!3H", 0, 0, said.port) + packed_name(names.host)
        found += [
            Record(META, PTR, packed_name(kind), TTL, unique=False),
            Record(kind, PTR, packed_name(full), TTL, unique=False),
            Record(full, SRV, place, HOST_TTL),
            Record(full, TXT, text, TTL),
        ]
    return tuple(found)


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
