"""The household's network as this machine sees it: this module tells its interfaces from bridges and tunnels.

``watch.HouseholdWatch`` follows them while they change. An address is *of the LAN* when it lies in a subnet of one of
these interfaces that only a household has: private IPv4, IPv6 link-local, unique local, or a delegated /64. Loopback
is asked for apart.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path

from appliance.lan import netlink
from appliance.lan.netlink import Link

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = IPv4Network | IPv6Network

SKIPPED = (
    *("docker", "veth", "virbr", "vmnet", "vboxnet", "podman", "cni", "flannel", "cali", "kube", "lxcbr", "lxdbr"),
    *("incusbr", "nerdctl", "tun", "tap", "utun", "wg", "tailscale", "zt", "nebula", "ppp", "ipsec", "gre", "sit"),
    *("dummy", "ifb", "awdl", "llw", "wwan", "wwp", "wwx", "rmnet", "p2p"),
)
"""What the names of containers', virtual machines', tunnels' and mobile links start with; some have no kind."""
REAL = frozenset({"", "vlan", "macvlan", "macvtap", "ipvlan", "bond", "team", "dsa", "openvswitch", "batadv"})
"""Kinds of links that the household may be on: hardware, and what is laid over or ties together hardware. The ports of
an Open vSwitch are where some storage boxes have their address; a macvlan is how containers stand in the LAN."""
LENT = frozenset({"veth", "tun"})
"""A cable's end, or a tap that stands for a card: all the network a container or a small virtual machine may have."""

_HOUSEHOLD_V4 = tuple(
    ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
)
_LINK_LOCAL_V6 = IPv6Network("fe80::/10")
_ETHERNET = 1
"""ARPHRD_ETHER: Ethernet and Wi-Fi."""
_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that say: this is a container of Docker's or Podman's."""
_CONTAINERS = (IPv4Network("172.16.0.0/12"), IPv4Network("10.88.0.0/16"))
"""Where those two put their containers. Behind their bridge the whole world may come as the bridge's own address."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The owner's choice, by names in which ``*`` and ``?`` stand for more. ``allow`` names the only interfaces to
    take, whatever they are; ``deny`` some never to take, even so."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


NO_CHOICE = Choice()
"""Every interface is judged by what it is."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface with its addresses, IPv4 before IPv6."""

    name: str
    index: int
    addresses: tuple[IPv4Interface | IPv6Interface, ...]


@dataclass(frozen=True, slots=True)
class Household:
    """The interfaces on which the household is, now; ``by_choice``: the owner named some to take or leave."""

    interfaces: tuple[Interface, ...]
    by_choice: bool = False

    def networks(self) -> tuple[Network, ...]:
        """Return the subnets that are the LAN, each once."""
        return _networks(self.interfaces)

    def addresses(self) -> tuple[Address, ...]:
        """Return our own addresses that others on the LAN reach us by (link-local ones left out), IPv4 first."""
        found = {a.ip: None for i in self.interfaces for a in i.addresses if is_household(a) and not a.ip.is_link_local}
        return tuple(sorted(found, key=lambda a: (a.version, int(a))))

    def is_lan(self, address: str) -> bool:
        """Whether ``address`` (with or without a scope, IPv4 in IPv6 or not) is in one of our subnets."""
        found = parsed(address)
        return found is not None and any(found in n for n in self.networks() if n.version == found.version)

    def facing(self, address: str) -> Address | None:
        """Return our address in the subnet that ``address`` is in, None where it is in none of ours."""
        found = parsed(address)
        if found is None:
            return None
        held = (a for i in self.interfaces for a in i.addresses if is_household(a) and a.version == found.version)
        return next((a.ip for a in held if found in a.network), None)

    def ranges(self) -> tuple[tuple[str, str], ...]:
        """Return (first, last) address of each LAN subnet, for libtorrent's filter of peer classes."""
        return tuple((str(n.network_address), str(n.broadcast_address)) for n in self.networks())


@lru_cache(8)  # asked at every request, and the same for days
def _networks(interfaces: tuple[Interface, ...]) -> tuple[Network, ...]:
    ours = (a for interface in interfaces for a in interface.addresses if is_household(a))
    return tuple(dict.fromkeys(_LINK_LOCAL_V6 if a.version == 6 and a.ip.is_link_local else a.network for a in ours))


def is_loopback(address: str) -> bool:
    """Whether ``address`` is this machine talking to itself."""
    found = parsed(address)
    return found is not None and found.is_loopback


def is_household(address: IPv4Interface | IPv6Interface) -> bool:
    """Whether an interface's subnet is a household's: strangers share a public IPv4 subnet."""
    if isinstance(address, IPv4Interface):
        return any(address.ip in n for n in _HOUSEHOLD_V4) and address.network.prefixlen >= 8
    return not address.ip.is_loopback and address.network.prefixlen >= 48


@lru_cache(1024)
def parsed(address: str) -> Address | None:
    """Return an address without its scope, IPv4 where it is IPv4 mapped into IPv6; None for what is none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def household(choice: Choice = NO_CHOICE) -> Household:
    """Return the household's interfaces now. Raises OSError. Asks the kernel, so call it in a thread."""
    return chosen(netlink.links(), choice, contained=any(mark.exists() for mark in _MARKS))


def chosen(links: Iterable[Link], choice: Choice, *, contained: bool = False) -> Household:
    """Return the links that the household is on: those that run, have an address, and are chosen or judged real.

    ``contained``: we are in a container of Docker's or Podman's, where a cable leads to a bridge of the host's.
    """
    every = tuple(links)
    machine = any(link.kind == "" and _is_ethernet(link) for link in every)
    found = (
        link
        for link in every
        if link.addresses and _runs(link) and _is_chosen(link, choice, every, machine=machine, contained=contained)
    )
    taken = tuple(Interface(link.name, link.index, link.addresses) for link in found)
    return Household(taken, choice != NO_CHOICE)


def _runs(link: Link) -> bool:
    """Whether it is up and has a carrier, and is not loopback."""
    needed = netlink.UP | netlink.RUNNING
    return link.flags & (needed | netlink.LOOPBACK) == needed


def _is_ethernet(link: Link) -> bool:
    return link.type == _ETHERNET and not link.flags & (netlink.LOOPBACK | netlink.POINT_TO_POINT)


def _is_chosen(link: Link, choice: Choice, every: tuple[Link, ...], *, machine: bool, contained: bool) -> bool:
    if _named(link.name, choice.deny):
        return False
    if choice.allow:
        return _named(link.name, choice.allow)
    if not _is_ethernet(link):
        return False
    if link.kind == "bridge":
        return any(port.master == link.index and _is_real(port) for port in every)
    if link.kind in LENT and not machine and not link.master:
        return not _is_virtual(link.name) and not (contained and _is_a_containers(link))
    return _is_real(link)


def _is_real(link: Link) -> bool:
    return link.kind in REAL and _is_ethernet(link) and not _is_virtual(link.name)


def _is_virtual(name: str) -> bool:
    return name.lower().startswith(SKIPPED)


def _is_a_containers(link: Link) -> bool:
    return any(a.ip in n for a in link.addresses for n in _CONTAINERS if a.version == 4)


def _named(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
