"""One of the household's interfaces as multicast DNS uses it: this module has its socket.

It is bound to the group, not to every address: other responders of this machine share the port, and unicast that is
meant for them must not end here.
"""

import contextlib
import logging
import socket
import struct
from collections.abc import Iterator

from appliance.lan.interfaces import Household, Interface, is_household
from appliance.lan.mdns_packets import MOST, PORT, Record
from appliance.lan.mdns_records import addresses_of

log = logging.getLogger(__name__)

_V4, _V6 = "224.0.0.251", "ff02::fb"
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
"""Off: only what comes by the interface on which this socket joined (ip(7))."""
_HOPS = 255
_TURN = 32
"""Packets read in one go."""

Place = tuple[Interface, int]
"""An interface, and 4 or 6."""


def places(home: Household) -> Iterator[Place]:
    """Return where to speak: by IPv4 and by IPv6 on each interface that has something to say."""
    for interface in home.interfaces:
        if addresses_of(interface):
            for version in sorted({a.version for a in interface.addresses if is_household(a)}):
                yield interface, version


class Link:
    """A socket on one interface, by IPv4 or by IPv6. ``ready`` once our names are ours here; ``records`` are what is
    said, ``sent`` when each was (the loop's time)."""

    def __init__(self, interface: Interface, version: int) -> None:
        """Open it. Raises OSError."""
        self.interface, self.version = interface, version
        self.records: tuple[Record, ...] = ()
        self.sent: dict[tuple[str, int, bytes], float] = {}
        self.ready = False
        self._socket = _opened_v4(interface.index) if version == 4 else _opened_v6(interface.index)
        self._group: tuple[str, int] | tuple[str, int, int, int]
        self._group = (_V4, PORT) if version == 4 else (_V6, PORT, 0, interface.index)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, packet: bytes) -> None:
        """Send to everybody on this link, as well as it goes: the interface may be leaving just now."""
        self._send(packet, self._group)

    def send_to(self, packet: bytes, source: tuple[str, int]) -> None:
        host, port = source
        self._send(packet, (host, port) if self.version == 4 else (host, port, 0, self.interface.index))

    def _send(self, packet: bytes, to: tuple[str, int] | tuple[str, int, int, int]) -> None:
        try:
            self._socket.sendto(packet, to)
        except OSError as error:
            log.debug("multicast DNS on %s: %s", self.interface.name, error)

    def received(self) -> Iterator[tuple[bytes, tuple[str, int]]]:
        """Return some of the packets that wait, each with its sender's address and port."""
        with contextlib.suppress(OSError):
            for _ in range(_TURN):
                packet, source = self._socket.recvfrom(MOST)
                yield packet, (source[0].partition("%")[0], source[1])

    def close(self) -> None:
        self._socket.close()


def _opened_v4(index: int) -> socket.socket:
    with _shared(socket.AF_INET) as made:
        member = struct.pack("=4s4si", socket.inet_aton(_V4), bytes(4), index)
        made.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, _HOPS)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, member)
        made.bind((_V4, PORT))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        return made


def _opened_v6(index: int) -> socket.socket:
    with _shared(socket.AF_INET6) as made:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with contextlib.suppress(OSError):  # kernels before 4.20; bound to the interface below as well
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, _HOPS)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        made.bind((_V6, PORT, 0, index))
        member = socket.inet_pton(socket.AF_INET6, _V6) + struct.pack("=i", index)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
        return made


@contextlib.contextmanager
def _shared(family: int) -> Iterator[socket.socket]:
    """Make a socket that shares its port; closed where it cannot be finished."""
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield made
    except BaseException:
        made.close()
        raise
