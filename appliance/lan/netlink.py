"""What the kernel says of links and addresses (rtnetlink(7)), without root: this module asks it, and hears of changes.

``/sys`` would do on most machines, but it shows the network namespace it was mounted in, and the kernel's own answer is
of the namespace that asks. It also tells a link's *kind* (bridge, veth, wireguard …) in one word.
"""

import contextlib
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface

_HEADER = struct.Struct("=IHHII")
"""``struct nlmsghdr``: length, type, flags, sequence, port."""
_LINK = struct.Struct("=BxHiII")
"""``struct ifinfomsg``: family, type, index, flags, change."""
_ADDRESS = struct.Struct("=BBBBI")
"""``struct ifaddrmsg``: family, prefix, flags, scope, index."""
_ATTRIBUTE = struct.Struct("=HH")
_NEWLINK, _GETLINK, _NEWADDR, _GETADDR, _DONE, _ERROR = 16, 18, 20, 22, 3, 2
_DUMP = 0x1 | 0x300
_INTERRUPTED = 0x10
_IFNAME, _MASTER, _LINKINFO, _KIND = 3, 10, 18, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_UNSURE = 0x40 | 0x08
"""IFA_F_TENTATIVE, IFA_F_DADFAILED: an IPv6 address not ours yet, or not ours at all (RFC 4862, 5.4)."""
_GROUPS = 0x1 | 0x10 | 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR."""
_TRIES = 3
_PATIENCE = 2.0

UP, LOOPBACK, POINT_TO_POINT, RUNNING = 0x1, 0x8, 0x10, 0x40
"""Flags of a link (netdevice(7))."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link. ``type`` is ARPHRD_…, ``kind`` the driver's word for one that is made, empty for hardware; ``master`` the
    index of the bridge or bond it is a port of, else 0; ``flags`` as in ``UP``."""

    name: str
    index: int
    type: int
    flags: int
    kind: str = ""
    master: int = 0
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()


def links() -> tuple[Link, ...]:
    """Return every link with the addresses that are in use, IPv4 first. Raises OSError. Takes about a millisecond."""
    for _ in range(_TRIES):
        with contextlib.suppress(InterruptedError), _opened() as asking:
            found = [_link(body) for body in _dump(asking, _GETLINK, _NEWLINK)]
            held = [_address(body) for body in _dump(asking, _GETADDR, _NEWADDR)]
            return tuple(_with(link, held) for link in found)
    raise OSError("the kernel's interfaces change too fast to be listed")


def changes() -> socket.socket:
    """Return a socket that becomes readable whenever a link or an address comes, goes or changes. Raises OSError."""
    listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    try:
        listening.bind((0, _GROUPS))
    except OSError:
        listening.close()
        raise
    return listening


def _opened() -> socket.socket:
    asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    asking.settimeout(_PATIENCE)
    return asking


def _dump(asking: socket.socket, question: int, answer: int) -> list[bytes]:
    """Return the bodies of all ``answer`` messages. Raises InterruptedError where they changed meanwhile, OSError."""
    asking.send(_HEADER.pack(_HEADER.size + 20, question, _DUMP, question, 0) + bytes(20))
    bodies: list[bytes] = []
    while True:
        for kind, flags, sequence, body in _messages(asking.recv(1 << 18)):
            if sequence != question:
                continue
            if flags & _INTERRUPTED:
                raise InterruptedError
            if kind == _DONE:
                return bodies
            if kind == _ERROR:
                raise OSError(-struct.unpack_from("=i", body)[0], "the kernel does not list its interfaces")
            if kind == answer:
                bodies.append(body)


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, flags, sequence, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found


def _link(body: bytes) -> Link:
    _, hardware, index, flags, _ = _LINK.unpack_from(body)
    said = _attributes(body[_LINK.size :])
    kind = _attributes(said.get(_LINKINFO, b"")).get(_KIND, b"")
    return Link(_text(said.get(_IFNAME, b"")), index, hardware, flags, _text(kind), _number(said.get(_MASTER)))


def _address(body: bytes) -> tuple[int, IPv4Interface | IPv6Interface] | None:
    """Return (index of the link, address), None for one that is not in use."""
    family, prefix, flags, _, index = _ADDRESS.unpack_from(body)
    said = _attributes(body[_ADDRESS.size :])
    if (_number(said.get(_IFA_FLAGS)) or flags) & _UNSURE:
        return None
    own = said.get(_IFA_LOCAL) or said.get(_IFA_ADDRESS) or b""
    if family == socket.AF_INET and len(own) == 4:
        return index, IPv4Interface((own, prefix))
    if family == socket.AF_INET6 and len(own) == 16:
        return index, IPv6Interface((own, prefix))
    return None


def _with(link: Link, held: list[tuple[int, IPv4Interface | IPv6Interface] | None]) -> Link:
    own = [entry[1] for entry in held if entry is not None and entry[0] == link.index]
    return replace(link, addresses=tuple(sorted(own, key=lambda a: a.version)))


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")


def _number(raw: bytes | None) -> int:
    return int.from_bytes(raw, sys.byteorder) if raw else 0
