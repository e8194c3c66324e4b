"""How long a packet takes to the first hop beyond the household's router, and back: this module asks, without root.

A UDP datagram with a small TTL dies on its way, and the router at which it dies says so (ICMP *time exceeded*, RFC 792;
RFC 4443 for IPv6). Linux hands that answer to the socket that sent it once it asks for ``IP_RECVERR`` (ip(7)), as
traceroute and mtr do without privileges. What waits in the router's queue towards the internet delays the datagram, so
the time it takes over its quiet value is how long everybody else in the household waits as well.

The kernel says when the datagram left and when the answer came (``SO_TIMESTAMPING``, its
Documentation/networking/timestamping.rst). Were they timed here, a busy processor would look like a queue in the
router: it lets this thread wait before it sends, and again when there is an answer to read.
"""

import contextlib
import errno
import ipaddress
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

_PORT = 33434
"""Where traceroute begins: nobody listens there, and routers know it."""
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_TOLD = frozenset({(socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)})
_ERROR = struct.Struct("=IBBBBII")
"""``struct sock_extended_err`` of linux/errqueue.h: errno, origin, type, code, padding, info, data."""
_ORIGIN_STAMP = 4
"""``SO_EE_ORIGIN_TIMESTAMPING``: no error, but when a datagram of ours left."""
_SO_TIMESTAMPING = 37
_STAMP = struct.Struct("=qq")
"""The first of ``struct scm_timestamping``: seconds and nanoseconds of the wall clock; zero: no stamp."""
_STAMPS = 1 << 8 | 1 << 3 | 1 << 4 | 1 << 11
"""``SOF_TIMESTAMPING_*`` of linux/net_tstamp.h: TX_SCHED (handed to the interface: every driver has it, and what waits
in this machine's own queue counts, as it must where this machine is the router), RX_SOFTWARE, SOFTWARE, and OPT_TSONLY
(without the datagram)."""
_WARM_UP = 0.01
"""Seconds that the kernel may take to begin with stamps of arrival, when nobody else on the machine wants any."""
_PROBES = 2
"""A second. Linux answers one a second to each, after a burst of six (icmp_ratelimit): what is over is lost."""
_APART = 0.03
_FARTHEST = 5
_DEAD = frozenset({errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ENETUNREACH, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Hop:
    """Who answered, and after how many seconds. ``reached``: it is the target itself; ``stamped``: the kernel timed it,
    not this process."""

    address: str
    seconds: float
    reached: bool
    stamped: bool = False


def measure(target: str, ttl: int, patience: float = 1.0) -> Hop | None:
    """Return the quickest of a few answers from the hop ``ttl`` steps towards ``target`` (an address), or None.

    ``patience`` in seconds. Blocks as long: run it in a thread. None too where this machine has no way there, or
    nobody answers: many routers limit how often they do.
    """
    with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as open_ones:
        probes = [_Probe(open_ones.enter_context(_socket(target, ttl)), (target, _PORT + n)) for n in range(_PROBES)]
        return _quickest(probes, patience)
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
        with contextlib.suppress(OSError):  # a kernel without stamps: then we look at the clock ourselves
            probe.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _STAMPS)
        probe.setblocking(False)
    except OSError:
        probe.close()
        raise
    return probe


def _quickest(probes: list["_Probe"], patience: float) -> Hop | None:
    """Send each probe in its turn, wait for all answers together, and return the quickest."""
    waiting = select.poll()
    for probe in probes:
        waiting.register(probe.socket, 0)  # errors are told without being asked for
    began = time.monotonic() + _WARM_UP
    end = began + _APART * len(probes) + patience
    unsent = [(began + _APART * n, probe) for n, probe in enumerate(probes)]
    while (now := time.monotonic()) < end:
        while unsent and unsent[0][0] <= now:
            unsent.pop(0)[1].send()
        found = [hop for probe in probes if (hop := probe.hop) is not None]
        if found and not unsent:
            return min(found, key=lambda hop: hop.seconds)  # the others can only be slower, or are as quick
        until = unsent[0][0] if unsent else end
        waiting.poll(max(0.0, until - time.monotonic()) * 1000)
        for probe in probes:
            probe.hear()
    return None


@dataclass(slots=True)
class _Probe:
    """One datagram and what became of it. It has a socket, and so a queue of errors, of its own."""

    socket: socket.socket
    to: tuple[str, int]
    hop: Hop | None = None
    _sent: float | None = None
    _left: float | None = None

    def send(self) -> None:
        self._sent = time.monotonic()
        self.socket.sendto(b"seedkeep", self.to)

    def hear(self) -> None:
        """Take what the queue of errors has: when the datagram left, and who answered when."""
        for error, stamp in _told(self.socket):
            number, origin = _ERROR.unpack_from(error)[:2]
            if origin == _ORIGIN_STAMP:
                self._left = stamp
            elif self._sent is not None and number in _DEAD and (who := _address(error[_ERROR.size :])):
                took, stamped = _took(time.monotonic() - self._sent, self._left, stamp)
                self.hop = Hop(who, took, number == errno.ECONNREFUSED, stamped)


def _told(probe: socket.socket) -> Iterator[tuple[bytes, float | None]]:
    """Yield all that waits in the queue of errors, each with the kernel's stamp on it."""
    while True:
        try:
            _, ancillary, _, _ = probe.recvmsg(512, 1024, socket.MSG_ERRQUEUE)
        except OSError:
            return
        error, stamp = b"", None
        for level, kind, data in ancillary:
            if (level, kind) in _TOLD:
                error = data
            elif (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPING):
                stamp = _stamp(data)
        if len(error) >= _ERROR.size:
            yield error, stamp


def _stamp(data: bytes) -> float | None:
    if len(data) < _STAMP.size:
        return None
    seconds, nanoseconds = _STAMP.unpack_from(data)
    return seconds + nanoseconds / 1e9 or None


def _took(seen: float, left: float | None, came: float | None) -> tuple[float, bool]:
    """Return the seconds between two stamps of the kernel and True; ``seen`` by ourselves and False, where one is
    missing or the clock was set meanwhile."""
    if left is None or came is None or not 0 <= came - left <= seen:
        return seen, False
    return came - left, True


def _address(data: bytes) -> str | None:
    """Return the address in a ``sockaddr_in`` or ``sockaddr_in6``."""
    if len(data) < 8:
        return None
    family = struct.unpack_from("=H", data)[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, data[4:8])
    if family == socket.AF_INET6 and len(data) >= 24:
        return socket.inet_ntop(socket.AF_INET6, data[8:24])
    return None
