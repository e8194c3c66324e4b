"""The household's network as this machine sees it: this module tells its interfaces from bridges and tunnels.

An address is *of the LAN* when it lies in a subnet of one of these interfaces that only a household has: private IPv4,
IPv6 link-local, unique local, or a delegated /64. Loopback is asked for apart.
"""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path

import ifaddr

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = IPv4Network | IPv6Network

SKIPPED = (
    *("docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "podman", "cni", "flannel", "cali", "kube", "lxc", "lxd"),
    *("incus", "nerdctl", "tun", "tap", "utun", "wg", "tailscale", "zt", "nebula", "ppp", "ipsec", "gre", "sit"),
    *("dummy", "ifb", "awdl", "llw", "wwan", "rmnet", "p2p"),
)
"""What the names of containers', virtual machines' and tunnels' interfaces start with (after what others skip)."""

_HOUSEHOLD_V4 = tuple(
    ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
)
_LINK_LOCAL_V6 = IPv6Network("fe80::/10")
_SYS = Path("/sys/class/net")
_ETHERNET, _UP, _POINT_TO_POINT = 1, 0x1, 0x10


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface with its addresses, IPv4 before IPv6."""

    name: str
    index: int
    addresses: tuple[IPv4Interface | IPv6Interface, ...]


@dataclass(frozen=True, slots=True)
class Household:
    """The interfaces on which the household is, at one instant."""

    interfaces: tuple[Interface, ...]

    def networks(self) -> tuple[Network, ...]:
        """Return the subnets that are the LAN, each once."""
        found: dict[Network, None] = {}
        for interface in self.interfaces:
            for address in interface.addresses:
                if is_household(address):
                    found[_LINK_LOCAL_V6 if address.ip.is_link_local and address.version == 6 else address.network] = (
                        None
                    )
        return tuple(found)

    def addresses(self) -> tuple[Address, ...]:
        """Return our own addresses that others on the LAN reach us by (link-local ones left out), IPv4 first."""
        found = {a.ip: None for i in self.interfaces for a in i.addresses if is_household(a) and not a.ip.is_link_local}
        return tuple(sorted(found, key=lambda a: (a.version, int(a))))

    def is_lan(self, address: str) -> bool:
        """Whether ``address`` (with or without a scope, IPv4 in IPv6 or not) is in one of our subnets."""
        found = parsed(address)
        return found is not None and any(found in n for n in self.networks() if n.version == found.version)

    def ranges(self) -> tuple[tuple[str, str], ...]:
        """Return (first, last) address of each LAN subnet, for libtorrent's filter of peer classes."""
        return tuple((str(n.network_address), str(n.broadcast_address)) for n in self.networks())


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


def household(allow: frozenset[str] = frozenset(), deny: frozenset[str] = frozenset()) -> Household:
    """Return the household's interfaces now. Reads ``/sys``, so call it in a thread.

    ``allow`` names the only interfaces to take, whatever they are; ``deny`` names some never to take.
    """
    found = [Interface(a.name, a.index or 0, _addresses(a)) for a in ifaddr.get_adapters()]
    return Household(tuple(i for i in found if i.addresses and _is_chosen(i, allow, deny)))


def _is_chosen(interface: Interface, allow: frozenset[str], deny: frozenset[str]) -> bool:
    if interface.name in deny or all(a.ip.is_loopback for a in interface.addresses):
        return False
    if allow:
        return interface.name in allow
    return not interface.name.lower().startswith(SKIPPED) and _is_physical(_SYS / interface.name)


def _is_physical(entry: Path) -> bool:
    """Judge by kind: Ethernet and Wi-Fi (a container's end of a cable too), and bridges that have such a member."""
    if not entry.exists():
        return True  # another network namespace's /sys: nothing to judge by
    if _number(entry / "type", _ETHERNET) != _ETHERNET or (entry / "tun_flags").exists():
        return False
    if _number(entry / "flags", 0) & _POINT_TO_POINT:
        return False
    if not (entry / "bridge").exists():
        return True
    return any(
        (member / "port" / "device").exists() or _has_device(member.name) for member in (entry / "brif").iterdir()
    )


def _has_device(name: str) -> bool:
    return (_SYS / name / "device").exists()


def _number(path: Path, default: int) -> int:
    try:
        return int(path.read_text().strip(), 0)
    except (OSError, ValueError):
        return default


def _addresses(adapter: ifaddr.Adapter) -> tuple[IPv4Interface | IPv6Interface, ...]:
    out: list[IPv4Interface | IPv6Interface] = []
    for ip in adapter.ips:
        if isinstance(ip.ip, str):
            out.append(IPv4Interface(f"{ip.ip}/{ip.network_prefix}"))
        else:
            out.append(IPv6Interface(f"{ip.ip[0].partition('%')[0]}/{ip.network_prefix}"))
    return tuple(sorted(out, key=lambda a: (a.version, int(a.ip))))
