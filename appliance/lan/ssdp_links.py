"""One of the household's interfaces as SSDP uses it: this module has its sockets, and who is near by it.

A socket for each interface that hears the group there and nowhere else, and one for each of its addresses that sends.
IPv4 alone: televisions that look for servers do it there, and whoever speaks IPv6 on a home network speaks both.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Interface

from appliance.lan.interfaces import Household, is_household, parsed
from appliance.lan.ssdp_messages import GROUP, MOST_BYTES, PORT

TTL = 2
_MULTICAST_ALL = 49
"""IP_MULTICAST_ALL of ip(7), which Python has no name for: hear also what others on this machine joined."""
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """An interface and its household addresses, IPv4."""

    name: str
    index: int
    addresses: tuple[IPv4Interface, ...]


def places(home: Household, listens: str = "") -> tuple[Place, ...]:
    """Return where SSDP is spoken: where a web server that listens on the address ``listens`` is reached by others."""
    found = []
    for interface in home.interfaces:
        ours = tuple(a for a in interface.addresses if isinstance(a, IPv4Interface) and is_household(a))
        ours = tuple(a for a in ours if is_reached(listens, a))
        if ours:
            found.append(Place(interface.name, interface.index, ours))
    return tuple(found)


def is_reached(listens: str, address: IPv4Interface) -> bool:
    """Tell whether who listens on ``listens`` (an address, or empty for every one) is reached by ``address``."""
    if listens == "localhost":
        return False
    found = parsed(listens)
    return found is None or found.is_unspecified or found == address.ip


class Link:
    """A place with open sockets. ``close`` it. Raises OSError where the port is taken or the interface is gone."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.trouble = ""
        self.heard = self.answered = 0
        self._near: dict[str, str] = {}
        self._senders: dict[str, socket.socket] = {}
        self.listener = listener(place)
        try:
            for address in place.addresses:
                self._senders[str(address.ip)] = sender(place, address)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        for each in (self.listener, *self._senders.values()):
            each.close()

    def take(self, most: int, took: Callable[["Link", bytes, str, int], None]) -> None:
        """Hand on what has come in, ``most`` packets at a time."""
        receive = self.listener.recvfrom
        with contextlib.suppress(OSError):  # BlockingIOError: nothing more; else the next address change mends it
            for _ in range(most):
                data, (source, port) = receive(MOST_BYTES)
                took(self, data, source, port)

    def facing(self, source: str) -> str:
        """Return our address in the subnet of ``source``; empty for who is in none: never answer the internet."""
        found = self._near.get(source)
        if found is None:
            if len(self._near) >= _REMEMBERED:
                self._near.clear()
            found = self._near[source] = facing(source, self.place.addresses)
        return found

    def send(self, data: bytes, address: str, to: tuple[str, int] = (GROUP, PORT)) -> bool:
        """Send from one of our addresses, and tell whether it went; what stood in the way is ``trouble``."""
        try:
            self._senders[address].sendto(data, to)
        except OSError as error:
            self.trouble = os.strerror(error.errno or 0)
            return False
        self.trouble = ""
        return True


def sender(place: Place, address: IPv4Interface) -> socket.socket:
    """Return a socket that sends to the group on one interface, heard by this machine's own programs too."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _request("0.0.0.0", address, place.index))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, TTL)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        made.bind((str(address.ip), 0))
    except OSError:
        made.close()
        raise
    return made


def listener(place: Place) -> socket.socket:
    """Return a socket that hears the group on one interface. Raises OSError where the port is taken for good."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.setsockopt(socket.IPPROTO_IP, _MULTICAST_ALL, 0)
        made.bind((GROUP, PORT))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _request(GROUP, place.addresses[0], place.index))
    except OSError:
        made.close()
        raise
    return made


def _request(group: str, address: IPv4Interface, index: int) -> bytes:
    """Return an ip_mreqn of ip(7): the interface is named by its index, whatever its addresses are."""
    return struct.pack("4s4si", socket.inet_aton(group), address.ip.packed, index)


def facing(source: str, addresses: tuple[IPv4Interface, ...]) -> str:
    """Return which of ``addresses`` is in one subnet with ``source``; empty for none."""
    try:
        asked = int.from_bytes(socket.inet_aton(source), "big")
    except OSError:
        return ""
    for address in addresses:
        if asked & int(address.netmask) == int(address.network.network_address):
            return str(address.ip)
    return ""
