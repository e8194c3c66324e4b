"""Why a screen does not find or play from the box: this module examines this network as the box sees it.

``judge`` is pure: what is known and what was seen → findings, each a code with numbers; sentences and cures are the
web's. ``examine`` sees and judges; it blocks for some seconds, so call it in a thread.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.lan import doctor_look, netlink
from appliance.lan.doctor_look import MDNS, SSDP, Firewall, PortUser
from appliance.lan.interfaces import Household, is_loopback
from appliance.lan.ssdp import Standing
from appliance.lan.ssdp_links import Place, places
from appliance.lan.ssdp_look import Echo, echo

_QUIET = 600.0
"""Seconds after which it means something that nobody searched."""


class Severity(StrEnum):
    OK = "ok"
    HINT = "hint"
    TROUBLE = "trouble"


class Code(StrEnum):
    """What was found."""

    NO_NETWORK = "no_network"
    CONTAINER = "container"
    NO_IPV4 = "no_ipv4"
    IPV6 = "ipv6"
    LOOPBACK_ONLY = "loopback_only"
    OTHER_ADDRESS = "other_address"
    LISTENS = "listens"
    DLNA_OFF = "dlna_off"
    LOGIN_NEEDED = "login_needed"
    NOT_OPENED = "not_opened"
    NO_ECHO = "no_echo"
    NO_ANSWER = "no_answer"
    ANSWERS = "answers"
    NOT_MEMBER = "not_member"
    SNOOPING = "snooping"
    NOBODY_ASKED = "nobody_asked"
    PORT_SHARED = "port_shared"
    PORT_OURS = "port_ours"
    FIREWALL_DROPS = "firewall_drops"
    FIREWALL_OPEN = "firewall_open"
    FIREWALL_UNSEEN = "firewall_unseen"
    MDNS_OFF = "mdns_off"
    NO_NAME = "no_name"
    NAME_TAKEN = "name_taken"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found out, on one ``interface`` or, where that is empty, altogether; ``facts`` are its numbers."""

    code: Code
    severity: Severity
    interface: str = ""
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What the house knows of itself. ``host`` is the name announced, None for none yet; ``standing`` is SSDP's own,
    None where no service is there to ask; ``seconds`` since it began to listen, ``searched`` how often others searched
    since; ``ident`` the device's UUID."""

    home: Household
    listens: str
    port: int
    dlna: bool
    play: bool
    mdns: bool
    name: str
    host: str | None = None
    standing: tuple[Standing, ...] | None = None
    seconds: float = 0.0
    searched: int = 0
    ident: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of the machine. ``skipped`` are interfaces with addresses that are not the household's; ``alone``
    bridges that hold multicast back (``doctor_look.snoops_alone``)."""

    skipped: tuple[str, ...] = ()
    echoes: Mapping[str, Echo] = field(default_factory=dict)
    members: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()
    users: tuple[PortUser, ...] = ()
    firewall: Firewall = Firewall(False)
    container: str = ""


def examine(known: Known, agent: str) -> tuple[Finding, ...]:
    """Look at everything and judge it. ``agent`` is what our own searches call us. Blocks for two seconds or so."""
    where = places(known.home, known.listens)
    with ThreadPoolExecutor(8) as threads:
        asking = {}
        if known.standing is not None and known.dlna and known.play:
            asking = {place.name: threads.submit(echo, place, known.ident, agent) for place in where}
        walls = threads.submit(doctor_look.firewall)
        seen = Seen(
            skipped=_skipped(known.home),
            members=doctor_look.members(),
            alone=frozenset(p.name for p in where if doctor_look.snoops_alone(p.name)),
            users=doctor_look.port_users(),
            container=doctor_look.container(),
            firewall=walls.result(),
            echoes={name: asked.result() for name, asked in asking.items()},
        )
    return judge(known, seen)


def _skipped(home: Household) -> tuple[str, ...]:
    taken = {interface.name for interface in home.interfaces}
    try:
        return tuple(
            link.name
            for link in netlink.links()
            if link.addresses and link.name not in taken and not link.flags & netlink.LOOPBACK
        )
    except OSError:
        return ()


def judge(known: Known, seen: Seen) -> tuple[Finding, ...]:
    """Return every finding, troubles first. Pure."""
    found = [*_reach(known, seen), *_switches(known), *_ways(known, seen), *_neighbours(known, seen)]
    found += [_wall(known, seen), *_names(known)]
    return tuple(sorted(found, key=lambda f: (Severity.TROUBLE, Severity.HINT, Severity.OK).index(f.severity)))


def _reach(known: Known, seen: Seen) -> Iterator[Finding]:
    """Whether the household can reach the dashboard at all."""
    addresses = known.home.addresses()
    if not addresses:
        if seen.container and not known.home.by_choice:
            yield Finding(Code.CONTAINER, Severity.TROUBLE, facts={"kind": seen.container})
        else:
            skipped = ", ".join(seen.skipped[:8])
            chosen = int(known.home.by_choice)
            yield Finding(Code.NO_NETWORK, Severity.TROUBLE, facts={"skipped": skipped, "by_choice": chosen})
    elif not places(known.home):
        yield Finding(Code.NO_IPV4, Severity.TROUBLE)
    facts: dict[str, str | int] = {"listens": known.listens, "port": known.port}
    if known.listens == "localhost" or is_loopback(known.listens):
        yield Finding(Code.LOOPBACK_ONLY, Severity.TROUBLE, facts=facts)
    elif places(known.home) and not places(known.home, known.listens):
        yield Finding(Code.OTHER_ADDRESS, Severity.TROUBLE, facts=facts)
    elif addresses:
        yield Finding(Code.LISTENS, Severity.OK, facts=facts)
    if any(address.version == 6 for address in addresses):
        yield Finding(Code.IPV6, Severity.OK)


def _switches(known: Known) -> Iterator[Finding]:
    if not known.dlna:
        yield Finding(Code.DLNA_OFF, Severity.HINT)
    if not known.play:
        yield Finding(Code.LOGIN_NEEDED, Severity.TROUBLE)


def _ways(known: Known, seen: Seen) -> Iterator[Finding]:
    """Each interface: whether searches come in and our answers go out."""
    if known.standing is None or not (known.dlna and known.play):
        return
    closed = {s.interface: s.trouble for s in known.standing if s.trouble}
    for place in places(known.home, known.listens):
        yield _way(place, closed.get(place.name, ""), seen)
        if place.name in seen.alone:
            yield Finding(Code.SNOOPING, Severity.HINT, place.name)
    well = all(e.answered for e in seen.echoes.values())
    if known.standing and well and not known.searched and known.seconds >= _QUIET:
        yield Finding(Code.NOBODY_ASKED, Severity.HINT, facts={"minutes": int(known.seconds // 60)})


def _way(place: Place, closed: str, seen: Seen) -> Finding:
    got = seen.echoes.get(place.name, Echo(False, False))
    facts: dict[str, str | int] = {"address": str(place.addresses[0].ip), "why": closed or got.trouble}
    if got.heard and got.answered:
        return Finding(Code.ANSWERS, Severity.OK, place.name, facts)
    if closed or got.trouble:
        return Finding(Code.NOT_OPENED, Severity.TROUBLE, place.name, facts)
    if place.name not in seen.members:
        return Finding(Code.NOT_MEMBER, Severity.TROUBLE, place.name, facts)
    return Finding(Code.NO_ANSWER if got.heard else Code.NO_ECHO, Severity.TROUBLE, place.name, facts)


def _neighbours(known: Known, seen: Seen) -> Iterator[Finding]:
    """Who else has the ports of discovery: that is allowed, and only worth a word where we could not open ours."""
    for port in (SSDP, MDNS):
        others = [user for user in seen.users if user.port == port and not user.ours]
        shut = port == SSDP and any(s.trouble for s in known.standing or ())
        for user in others:
            facts: dict[str, str | int] = {"port": port, "program": user.program, "user": user.user}
            yield Finding(Code.PORT_SHARED, Severity.HINT if shut else Severity.OK, facts=facts)
        if not others and any(user.port == port for user in seen.users):
            yield Finding(Code.PORT_OURS, Severity.OK, facts={"port": port})


def _wall(known: Known, seen: Seen) -> Finding:
    wall = seen.firewall
    named = {SSDP, known.port} <= wall.ports
    facts: dict[str, str | int] = {"program": wall.program, "port": known.port}
    if wall.readable and wall.drops:
        return Finding(Code.FIREWALL_DROPS, Severity.OK if named else Severity.HINT, facts=facts)
    if wall.readable:
        return Finding(Code.FIREWALL_OPEN, Severity.OK, facts=facts)
    return Finding(Code.FIREWALL_UNSEEN, Severity.HINT if wall.program else Severity.OK, facts=facts)


def _names(known: Known) -> Iterator[Finding]:
    wished = f"{known.name.lower().strip('-')}.local"
    if not known.mdns:
        yield Finding(Code.MDNS_OFF, Severity.HINT)
    elif known.standing is None:
        return
    elif known.host is None:
        yield Finding(Code.NO_NAME, Severity.HINT, facts={"wished": wished})
    elif known.host.rstrip(".") != wished:
        yield Finding(Code.NAME_TAKEN, Severity.HINT, facts={"wished": wished, "host": known.host.rstrip(".")})
    else:
        yield Finding(Code.NAME, Severity.OK, facts={"host": wished})
