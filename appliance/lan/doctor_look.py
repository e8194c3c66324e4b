"""What this machine's own files say about its network: this module looks, as far as it may. It blocks; use a thread.

Of the namespace that asks, and without root: whose a port is, is then known by its user at least.
"""

import contextlib
import json
import pwd
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from appliance.lan.ssdp_messages import GROUP

SSDP, MDNS = 1900, 5353
_PROC = Path("/proc")
_NET = Path("/proc/thread-self/net")
_SYS = Path("/sys/class/net")
_GROUP_HEX = f"{int.from_bytes(socket.inet_aton(GROUP), 'little'):08X}"
_COMMAND_SECONDS = 2.0
_MOST = 512 * 1024
_SERVICES = (("ufw", Path("/etc/ufw/ufw.conf"), re.compile(r"^\s*ENABLED\s*=\s*yes", re.M | re.I)),)
_RULERS = ("firewalld",)


@dataclass(frozen=True, slots=True)
class PortUser:
    """A socket on one of the two ports. ``program`` and ``user`` are empty where they cannot be seen."""

    port: int
    program: str
    user: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Firewall:
    """``readable``: whether its rules could be read. ``drops``: what no rule lets in is dropped; ``ports``: those that
    some rule names. ``program``: who rules it, where that is known."""

    readable: bool
    drops: bool = False
    ports: frozenset[int] = frozenset()
    program: str = ""


def port_users() -> tuple[PortUser, ...]:
    """Return who has a socket on UDP 1900 or 5353, each program once a port."""
    owners: dict[str, tuple[int, int]] = {}
    for table in ("udp", "udp6"):
        for line in _text(_NET / table).splitlines()[1:]:
            parts = line.split()
            if len(parts) > 9 and (port := int(parts[1].rpartition(":")[2], 16)) in (SSDP, MDNS):
                owners[parts[9]] = (port, int(parts[7]))
    programs = _programs(frozenset(owners))
    found = {
        PortUser(port, *programs[inode]) if inode in programs else PortUser(port, "", _user(uid), ours=False)
        for inode, (port, uid) in owners.items()
    }
    return tuple(sorted(found, key=lambda u: (u.port, u.program, u.user)))


def _programs(inodes: frozenset[str]) -> dict[str, tuple[str, str, bool]]:
    """Return (program, user, ours) of the sockets that belong to processes we may look into."""
    found: dict[str, tuple[str, str, bool]] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    own = (_PROC / "self").resolve().name
    for process in _PROC.iterdir() if wanted else ():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):  # another user's, or gone meanwhile
                for descriptor in (process / "fd").iterdir():
                    inode = wanted.get(str(descriptor.readlink()))
                    if inode is not None:
                        owner = _user(process.stat().st_uid)
                        found[inode] = (_text(process / "comm").strip()[:32], owner, process.name == own)
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def members() -> frozenset[str]:
    """Return the names of the interfaces on which this machine has joined the group of SSDP (``/proc/net/igmp``)."""
    found, name = set(), ""
    for line in _text(_NET / "igmp").splitlines()[1:]:
        parts = line.split()
        if line[:1].isdigit() and len(parts) > 1:
            name = parts[1].rstrip(":")
        elif parts and parts[0] == _GROUP_HEX:
            found.add(name)
    return frozenset(found)


def snoops_alone(interface: str) -> bool:
    """Tell whether an interface is a bridge that passes on only what was asked for, while nobody asks who asks."""
    bridge = _SYS / interface / "bridge"
    snooping, querier = (_text(bridge / name).strip() for name in ("multicast_snooping", "multicast_querier"))
    return (snooping, querier) == ("1", "0")


def container() -> str:
    """Return which kind of container this is, empty for none that is known."""
    for mark, kind in ((Path("/.dockerenv"), "Docker"), (Path("/run/.containerenv"), "Podman")):
        if mark.exists():
            return kind
    return ""


def firewall() -> Firewall:
    """Read what lets packets in: nftables, else iptables, else only which program rules it."""
    program = next((name for name, file, on in _SERVICES if on.search(_text(file))), "") or _ruler()
    text = _output("nft", "-j", "list", "ruleset")
    if text is not None:
        return Firewall(True, _nft_drops(text), _ports(text), program)
    text = _output("iptables", "-S")
    if text is not None:
        return Firewall(True, "-P INPUT DROP" in text or "-P INPUT REJECT" in text, _ports(text), program)
    return Firewall(False, program=program)


def _ruler() -> str:
    for process in _PROC.iterdir():
        if process.name.isdecimal() and (name := _text(process / "comm").strip()) in _RULERS:
            return name
    return ""


def _nft_drops(text: str) -> bool:
    try:
        rules = json.loads(text)["nftables"]
        chains = [rule["chain"] for rule in rules if isinstance(rule, dict) and "chain" in rule]
        return any(chain.get("hook") == "input" and chain.get("policy") == "drop" for chain in chains)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _ports(text: str) -> frozenset[int]:
    return frozenset(int(number) for number in re.findall(r"(?<![\d.])\d{2,5}(?![\d.])", text))


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout[:_MOST].decode("utf-8", "replace") if done.returncode == 0 else None


def _text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MOST)
    except OSError:
        return ""
