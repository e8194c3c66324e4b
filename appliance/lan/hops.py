"""How long a packet takes to the first hop beyond the household's router, and back: this module asks, without root.

A UDP datagram with a small TTL dies on its way, and the router at which it dies says so (ICMP *time exceeded*, RFC 792;
RFC 4443 for IPv6). Linux hands that answer to the socket that sent it once it asks for ``IP_RECVERR`` (ip(7)), as
traceroute and mtr do without privileges. What waits in the router's queue towards the internet delays the datagram, so
the time it takes over its quiet value is how long everybody else in the household waits as well.
"""

import contextlib
import errno
import ipaddress
import select
import socket
import struct
import time
from dataclasses import dataclass

_PORT = 33434
"""Where traceroute begins: nobody listens there, and routers know it."""
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_ERROR = struct.Struct("=IBBBBII")
"""``struct sock_extended_err`` of linux/errqueue.h: errno, origin, type, code, padding, info, data."""
_PROBES = 2
"""A second. Linux answers one a second to each, after a burst of six (icmp_ratelimit): what is over is lost."""
_APART = 0.03
_FARTHEST = 5
_DEAD = frozenset({errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ENETUNREACH, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Hop:
    """Who answered, and after how many seconds. ``reached``: it is the target itself."""

    address: str
    seconds: float
    reached: bool


def measure(target: str, ttl: int, patience: float = 1.0) -> Hop | None:
    """Return the quickest of a few answers from the hop ``ttl`` steps towards ``target`` (an address), or None.

    ``patience`` in seconds. Blocks as long: run it in a thread. None too where this machine has no way there, or
    nobody answers: many routers limit how often they do.
    """
    with contextlib.suppress(OSError, ValueError), _socket(target, ttl) as probe:
        return _quickest(probe, target, patience)
    return None


def beyond_router(target: str, patience: float = 1.0) -> int:
    """Return the TTL of the first hop that is not of a household, or of the target; 2 where nobody says.

    The first hop is the router; a second router of the household has a private address too. Addresses that providers
    share among customers (RFC 6598) are beyond.
    """
    for ttl in range(2, _FARTHEST + 1):
        hop = measure(target, ttl, patience)
        if hop is not None and (hop.reached or not _is_household(hop.address)):
            return ttl
    return 2


def _is_household(address: str) -> bool:
    found = ipaddress.ip_address(address)
    shared = ipaddress.ip_network("100.64.0.0/10")
    return found.is_private and not (found.version == 4 and found in shared)


def _socket(target: str, ttl: int) -> socket.socket:
    v6 = ":" in target
    probe = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if v6:
            probe.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        else:
            probe.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        probe.setblocking(False)
    except OSError:
        probe.close()
        raise
    return probe


def _quickest(probe: socket.socket, target: str, patience: float) -> Hop | None:
    """Send a few probes, each to a port of its own, and take the quickest answer."""
    waiting = select.poll()
    waiting.register(probe, 0)  # errors are told without being asked for
    began = time.monotonic()
    sent: dict[int, float] = {}
    best: Hop | None = None
    while (now := time.monotonic()) < began + patience + _APART * _PROBES:
        if len(sent) < _PROBES and now >= began + _APART * len(sent):
            port = _PORT + len(sent)
            _send(probe, target, port)
            sent[port] = time.monotonic()
        due = _APART * len(sent) if len(sent) < _PROBES else patience
        if not waiting.poll(max(0.0, began + due - time.monotonic()) * 1000):
            if len(sent) == _PROBES:
                break
            continue
        best = _quicker(best, _answer(probe), sent)
        if len(sent) == _PROBES and best is not None:
            return best  # the others can only be slower, or are as quick
    return best


def _send(probe: socket.socket, target: str, port: int) -> None:
    try:
        probe.sendto(b"seedkeep", (target, port))
    except OSError as trouble:  # an answer to an earlier probe is told here, once; it is in the queue as well
        if trouble.errno not in _DEAD:
            raise
        probe.sendto(b"seedkeep", (target, port))


def _quicker(best: Hop | None, heard: tuple[str, int, bool] | None, sent: dict[int, float]) -> Hop | None:
    if heard is None or heard[1] not in sent:
        return best
    who, port, reached = heard
    took = time.monotonic() - sent[port]
    return Hop(who, took, reached) if best is None or took < best.seconds else best


def _answer(probe: socket.socket) -> tuple[str, int, bool] | None:
    """Return (who, the port it was about, whether it is the target) from the queue of errors, if that says so."""
    try:
        _, ancillary, _, address = probe.recvmsg(512, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    for _, _, data in ancillary:
        if len(data) < _ERROR.size + 8:
            continue
        number = _ERROR.unpack_from(data)[0]
        who = _address(data[_ERROR.size :])
        if who is not None and number in _DEAD:
            return who, address[1], number == errno.ECONNREFUSED
    return None


def _address(data: bytes) -> str | None:
    """Return the address in a ``sockaddr_in`` or ``sockaddr_in6``."""
    family = struct.unpack_from("=H", data)[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, data[4:8])
    if family == socket.AF_INET6 and len(data) >= 24:
        return socket.inet_ntop(socket.AF_INET6, data[8:24])
    return None
