"""Texts with a form of their own that people write in settings: hosts, ports, interfaces, time zones, the week.

This module says what is wrong with one.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from zoneinfo import ZoneInfo, available_timezones

from appliance.domain.traffic import BadWeek, week_of

SHORTEST_PASSWORD = 10
MOST = 32
"""Entries of a list at most."""
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_INTERFACE = re.compile(r"(?![0-9.]+$)[A-Za-z0-9][A-Za-z0-9._@-]{0,14}")
"""A network interface's name on Linux: 15 letters at most (IFNAMSIZ); digits alone are a mistyped address."""
_PATTERN = re.compile(r"[A-Za-z0-9*?._@][A-Za-z0-9*?._@-]{0,14}")


class Unusable(ValueError):
    """A text that is no such address. ``message`` says which part and why, ``hint`` what to write instead."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def nodes(text: str) -> None:
    """Raise Unusable unless ``text`` is a comma-separated list of host:port, or empty."""
    hint = "Write each as host:port, with commas between them: router.bittorrent.com:6881, [2001:db8::1]:6881."
    for entry in _entries(text, hint):
        host, colon, port = entry.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")):
            raise Unusable(f"{quoted(entry)} has no port", hint)
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
            raise Unusable(f"the port of {quoted(entry)} is not a number from 1 to 65535", hint)
        if not _is_host(host):
            raise Unusable(f"{quoted(host)} is not a host name or an address", hint)


def interfaces(text: str) -> None:
    """Raise Unusable unless ``text`` is a comma-separated list of our addresses or interfaces' names, or empty."""
    hint = "Write addresses or names, with commas between them: eth0, 192.168.1.5. The port is swarm.listen_port."
    for entry in _entries(text, hint):
        if not (_is_address(entry.removeprefix("[").removesuffix("]")) or _INTERFACE.fullmatch(entry)):
            raise Unusable(f"{quoted(entry)} is not an address or an interface", hint)


def patterns(text: str) -> None:
    """Raise Unusable unless ``text`` is a comma-separated list of interfaces' names, with ``*`` and ``?``, or empty."""
    hint = "Write names as `ip link` shows them, with commas between them; * stands for any letters: eth0, wlan*."
    for entry in _entries(text, hint):
        if not _PATTERN.fullmatch(entry):
            raise Unusable(f"{quoted(entry)} is not an interface", hint)


def listener(text: str) -> None:
    """Raise Unusable unless ``text`` is an address or a host name to listen on."""
    if not _is_host(text) or text.startswith("["):
        hint = "Write 0.0.0.0 for every interface, 127.0.0.1 for this machine alone, or one of its addresses."
        raise Unusable(f"{quoted(text)} is not an address", hint)


def timezone(text: str) -> None:
    """Raise Unusable unless ``text`` names a time zone of the IANA database, or is empty."""
    hint = "Write it as a continent and a city: Europe/Paris, America/New_York; or UTC."
    if not text:
        return
    try:
        ZoneInfo(text)
    except (ValueError, OSError, LookupError) as error:  # a name it has no file for, or that is a folder, or a path
        raise Unusable(f"{quoted(text)} is not a time zone", _nearest_zone(text) or hint) from error


def _nearest_zone(text: str) -> str:
    """Return a hint where only the city was written, or its letters are in the wrong case."""
    wanted = text.strip().lower().replace(" ", "_")
    for name in sorted(available_timezones()):
        if wanted in (name.lower(), name.lower().rpartition("/")[2]):
            return f"Did you mean {name}?"
    return ""


def week(text: str) -> None:
    """Raise Unusable unless ``text`` is a week of 168 hours, or empty."""
    try:
        week_of(text)
    except BadWeek as error:
        hint = "Write seven words of 24 letters, Monday first: f for full, p for polite, n for night, o for off."
        raise Unusable(str(error), hint) from error


def first_password(text: str) -> None:
    """Raise Unusable for a first password that set-up would not take either; it is not repeated. Empty: none."""
    if text and len(text) < SHORTEST_PASSWORD:
        raise Unusable(f"this is shorter than {SHORTEST_PASSWORD} characters", "Three or four words are good.")


CHECKS: Mapping[str, Callable[[str], None]] = {
    "setup.admin_password": first_password,
    "bandwidth.timezone": timezone,
    "bandwidth.week": week,
    "web.host": listener,
    "swarm.interfaces": interfaces,
    "lan.allow_interfaces": patterns,
    "lan.deny_interfaces": patterns,
    "swarm.dht_bootstrap": nodes,
}
"""What a setting's text must be, by the setting's path."""


def _entries(text: str, hint: str) -> list[str]:
    if not text.strip():
        return []
    entries = [entry.strip() for entry in text.split(",")]
    if len(entries) > MOST:
        raise Unusable(f"these are more than {MOST}", hint)
    if "" in entries:
        raise Unusable("there is nothing between two commas", hint)
    return entries


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    """Tell whether this is an IPv4 address, an IPv6 address (also in brackets), or a name (RFC 1123, 2.1)."""
    if text.startswith("[") and text.endswith("]"):
        return ":" in text and _is_address(text[1:-1])
    if _is_address(text):
        return True
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and not labels[-1].isdigit() and all(_LABEL.fullmatch(label) for label in labels)


def quoted(text: str) -> str:
    """Return what somebody wrote for a sentence about it: in quotes, short, without what cannot be seen."""
    shown = "".join(letter for letter in text if letter.isprintable())
    return f"“{shown[:60]}”"
