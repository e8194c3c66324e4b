"""What the doctor of this network found, and the cure, in sentences."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from appliance.lan.doctor import Code, Finding, Severity
from web.views import words
from web.views.states import Badge


@dataclass(frozen=True, slots=True)
class Told:
    """A finding in words. ``where`` is an interface or empty; ``cure`` is empty where nothing is to be done, and so is
    ``command``, which a cure says to type."""

    code: str
    severity: str
    where: str
    text: str
    cure: str
    command: str
    badge: Badge


_BADGES = {
    Severity.OK: Badge("fine", "good", "check"),
    Severity.HINT: Badge("hint", "calm", "leaf"),
    Severity.TROUBLE: Badge("trouble", "warn", "alert"),
}


def told(findings: Iterable[Finding]) -> tuple[Told, ...]:
    return tuple(_told(one) for one in findings)


def summary(findings: Iterable[Finding]) -> str:
    """Return all findings in one sentence."""
    every = list(findings)
    troubles = sum(f.severity is Severity.TROUBLE for f in every)
    hints = sum(f.severity is Severity.HINT for f in every)
    if troubles:
        return f"{words.many(troubles, 'thing')} in the way of screens."
    if hints:
        return f"Nothing in the way; {words.many(hints, 'hint')}."
    return "Nothing is in the way of screens."


def _told(one: Finding) -> Told:
    text, cure = _SENTENCES[one.code](one)
    command = _COMMANDS[one.code].format(interface=one.interface) if one.code in _COMMANDS else ""
    return Told(one.code.value, one.severity.value, one.interface, text, cure, command, _BADGES[one.severity])


def _let_in(one: Finding) -> str:
    return f"let in UDP ports 1900 and 5353 and TCP port {one.facts['port']} from this network"


def _firewall(one: Finding) -> str:
    program = one.facts.get("program", "")
    return f"A firewall on this machine ({program})" if program else "A firewall on this machine"


def _shared(one: Finding) -> tuple[str, str]:
    program, user, port = one.facts["program"], one.facts["user"], one.facts["port"]
    who = str(program) or f"A program of the user {user}"
    if one.severity is Severity.HINT:
        return f"{who} holds UDP port {port} too, and perhaps for itself.", "Stop it, or have it share the port."
    what = "answers searches for media servers too" if port == 1900 else "announces names too"
    return f"{who} {what} (UDP port {port}). Both are heard.", ""


def _unseen(one: Finding) -> tuple[str, str]:
    if one.facts.get("program"):
        return (
            f"{one.facts['program']} is switched on; its rules cannot be read without root.",
            f"If screens find nothing, {_let_in(one)}.",
        )
    return "Whether a firewall of this machine stands in the way cannot be seen without root.", ""


def _no_network(one: Finding) -> tuple[str, str]:
    if one.facts.get("by_choice"):
        there = f" This machine has {one.facts['skipped']}." if one.facts.get("skipped") else ""
        return (
            f"No interface of this machine is left that the settings let in.{there}",
            "Look at Interfaces of this network and Interfaces left out in the settings; empty, Seedkeep chooses.",
        )
    skipped = f" Left out as virtual: {one.facts['skipped']}." if one.facts.get("skipped") else ""
    return (
        f"No network of a household was found on this machine.{skipped}",
        "Plug in a cable or join the Wi-Fi. If the right one is left out, name it in the settings: "
        "Interfaces of this network.",
    )


_SENTENCES: Mapping[Code, Callable[[Finding], tuple[str, str]]] = {
    Code.NO_NETWORK: _no_network,
    Code.CONTAINER: lambda f: (
        f"This is a {f.facts['kind']} container with a network of its own: no screen's search gets in.",
        "Give it the host's network: network_mode: host in compose.yml, or --network host.",
    ),
    Code.NO_IPV4: lambda _: (
        "The network gave this machine no IPv4 address, and televisions look for servers by IPv4.",
        "Look at the DHCP settings of the router.",
    ),
    Code.IPV6: lambda _: ("This machine has IPv6 too. Televisions find it by IPv4.", ""),
    Code.LOOPBACK_ONLY: lambda f: (
        f"The dashboard listens on {f.facts['listens']}: only this machine itself reaches it.",
        "Set the listen address (web.host) to 0.0.0.0 and start Seedkeep again.",
    ),
    Code.OTHER_ADDRESS: lambda f: (
        f"The dashboard listens on {f.facts['listens']}, which is no address of this network.",
        "Set the listen address (web.host) to 0.0.0.0 and start Seedkeep again.",
    ),
    Code.LISTENS: lambda f: (f"The dashboard listens to this network on port {f.facts['port']}.", ""),
    Code.DLNA_OFF: lambda _: (
        "Showing on televisions is switched off.",
        "Switch it on in the settings: Show on televisions (DLNA).",
    ),
    Code.LOGIN_NEEDED: lambda _: (
        "Playing needs a login, and a television cannot log in: it would find this box and play nothing.",
        "Switch on “Play without a login” in the settings. It holds for this network alone.",
    ),
    Code.NOT_OPENED: lambda f: (
        f"Searches cannot be heard here: {f.facts['why']}.",
        "Below is who else uses UDP port 1900; it is tried again every minute.",
    ),
    Code.NO_ECHO: lambda _: (
        "A search that this machine sent did not come back to it: nobody else's is likely to come in.",
        "Let UDP port 1900 in through this machine's firewall. With ufw, for example:",
    ),
    Code.NO_ANSWER: lambda _: (
        "A search came in and was not answered.",
        "Examine it again in a minute; if it stays so, the log may say why.",
    ),
    Code.ANSWERS: lambda f: (f"Searches come in and are answered, with the address {f.facts['address']}.", ""),
    Code.NOT_MEMBER: lambda _: (
        "This machine has not joined the group to which screens search (239.255.255.250).",
        "Start Seedkeep again; on a bridge, look whether it takes part in multicast.",
    ),
    Code.SNOOPING: lambda _: (
        "This bridge passes multicast only to those who asked for it, and nobody on it asks who does "
        "(IGMP snooping without a querier): after some minutes screens are not heard any more.",
        "Have the bridge ask, as root:",
    ),
    Code.NOBODY_ASKED: lambda f: (
        f"No screen has searched in {words.many(int(f.facts['minutes']), 'minute')}.",
        "If a television is on and does not show this box, the network keeps the two apart: both must be in one "
        "network, not in a guest Wi-Fi, and the router's “AP isolation” and IGMP snooping should be off.",
    ),
    Code.PORT_SHARED: _shared,
    Code.PORT_OURS: lambda f: (f"Nobody else uses UDP port {f.facts['port']}.", ""),
    Code.FIREWALL_DROPS: lambda f: (
        f"{_firewall(f)} drops what no rule lets in.",
        "" if f.severity is Severity.OK else f"See that some rules {_let_in(f)}.",
    ),
    Code.FIREWALL_OPEN: lambda _: ("No firewall of this machine stands in the way.", ""),
    Code.FIREWALL_UNSEEN: _unseen,
    Code.MDNS_OFF: lambda _: (
        "This box has no .local name, as that is switched off.",
        "Switch it on in the settings: Announce on this network.",
    ),
    Code.NO_NAME: lambda f: (f"The name {f.facts['wished']} is not announced yet.", "Examine it again in a moment."),
    Code.NAME_TAKEN: lambda f: (
        f"Another machine is called {f.facts['wished']}; this one is {f.facts['host']}.",
        "Use that name, or choose another in the settings: Name of this box.",
    ),
    Code.NAME: lambda f: (f"This box is called {f.facts['host']}.", ""),
}

_COMMANDS = {
    Code.NO_ECHO: "ufw allow proto udp from 192.168.0.0/16 to any port 1900",
    Code.SNOOPING: "echo 1 > /sys/class/net/{interface}/bridge/multicast_querier",
}
