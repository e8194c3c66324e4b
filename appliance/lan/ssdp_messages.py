"""SSDP's messages (UPnP Device Architecture 1.1, 1.2 and 1.3): this module writes ours and reads searches. It is pure.

A search comes from anybody on the network: what is too long, or no search at all, is None.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from enum import StrEnum
from functools import lru_cache

GROUP, PORT = "239.255.255.250", 1900
MAX_AGE = 1800
"""Seconds for which a control point believes an announcement."""
MEDIA_SERVER = "urn:schemas-upnp-org:device:MediaServer:1"
MEDIA_RENDERER = "urn:schemas-upnp-org:device:MediaRenderer:1"
SERVICES = (
    "urn:schemas-upnp-org:service:ContentDirectory:1",
    "urn:schemas-upnp-org:service:ConnectionManager:1",
    "urn:microsoft.com:service:X_MS_MediaReceiverRegistrar:1",
)
ROOT, ALL = "upnp:rootdevice", "ssdp:all"

MOST_DELAY = 5.0
"""Seconds of delay at most that a search can ask us for (MX)."""
MOST_BYTES = 1500
"""Bytes of a search that are looked at: one Ethernet frame holds a whole one."""
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Advert:
    """What is announced: a root device without others inside it.

    ``ident`` is its lasting UUID, ``path`` where its description is on the web server at ``port``, ``server`` the
    text of the SERVER header, ``config`` the number of its description's version (0 to 2**24 - 1).
    """

    ident: str
    port: int
    path: str = "/dlna/description.xml"
    server: str = "Linux/1 UPnP/1.1 Seedkeep/1"
    config: int = 1
    device: str = MEDIA_SERVER
    services: tuple[str, ...] = SERVICES

    def targets(self) -> tuple[str, ...]:
        """Return the whole set that is announced: root, UUID, device type, each service."""
        return (ROOT, f"uuid:{self.ident}", self.device, *self.services)

    def location(self, address: str) -> str:
        """Return where the description is for those who reach us by ``address`` (IPv4)."""
        return f"http://{address}:{self.port}{self.path}"

    def usn(self, target: str) -> str:
        """Return the unique service name that goes with one of our targets."""
        return target if target.startswith("uuid:") else f"uuid:{self.ident}::{target}"


class Kind(StrEnum):
    """What a notification says."""

    ALIVE = "ssdp:alive"
    BYEBYE = "ssdp:byebye"
    UPDATE = "ssdp:update"


@dataclass(frozen=True, slots=True)
class Search:
    """An M-SEARCH, read. ``delay``: seconds within which to answer, 0 where none are given; ``agent`` may be empty."""

    target: str
    delay: float
    agent: str = ""


def notifications(kind: Kind, advert: Advert, address: str, boot: int, coming: int = 0) -> Iterator[bytes]:
    """Yield the whole set. ``boot`` counts our starts and moves; an update names the ``coming`` one too."""
    for target in advert.targets():
        lines = ["NOTIFY * HTTP/1.1", f"HOST: {GROUP}:{PORT}"]
        if kind is Kind.ALIVE:
            lines += [f"CACHE-CONTROL: max-age={MAX_AGE}", f"SERVER: {advert.server}"]
        if kind is not Kind.BYEBYE:
            lines.append(f"LOCATION: {advert.location(address)}")
        lines += [f"NT: {target}", f"NTS: {kind}", f"USN: {advert.usn(target)}", f"BOOTID.UPNP.ORG: {boot}"]
        lines.append(f"CONFIGID.UPNP.ORG: {advert.config}")
        if kind is Kind.UPDATE:
            lines.append(f"NEXTBOOTID.UPNP.ORG: {coming}")
        yield _packed(lines)


def answer(advert: Advert, said: str, address: str, boot: int, now: datetime) -> bytes:
    """Return the answer to a search under the name ``said``: one of our targets, or an older version of one."""
    return _answer(advert, said, address, boot, now.replace(microsecond=0))


@lru_cache(32)
def _answer(advert: Advert, said: str, address: str, boot: int, now: datetime) -> bytes:
    lines = [
        "HTTP/1.1 200 OK",
        f"CACHE-CONTROL: max-age={MAX_AGE}",
        f"DATE: {format_datetime(now, usegmt=True)}",
        "EXT:",
        f"LOCATION: {advert.location(address)}",
        f"SERVER: {advert.server}",
        f"ST: {said}",
        f"USN: {advert.usn(said)}",
        f"BOOTID.UPNP.ORG: {boot}",
        f"CONFIGID.UPNP.ORG: {advert.config}",
    ]
    return _packed(lines)


def search(target: str, seconds: int, agent: str, host: str = f"{GROUP}:{PORT}") -> bytes:
    """Return a search of our own; who is found answers within ``seconds``."""
    lines = ["M-SEARCH * HTTP/1.1", f"HOST: {host}", 'MAN: "ssdp:discover"', f"MX: {seconds}", f"ST: {target}"]
    return _packed([*lines, f"USER-AGENT: {agent}"])


def read_search(data: bytes) -> Search | None:
    """Read a search; None for what is none, or asks for something else than discovery."""
    lines = data[:MOST_BYTES].split(b"\r\n" if b"\r\n" in data else b"\n")
    if not lines[0].upper().startswith(b"M-SEARCH * HTTP/1."):
        return None
    found = fields(lines[1:])
    target = found.get("st", "")
    if found.get("man", "").strip('"').lower() != "ssdp:discover" or not target:
        return None
    return Search(target, _delay(found.get("mx", "")), found.get("user-agent", ""))


def fields(lines: Iterable[bytes]) -> dict[str, str]:
    """Return headers by their lower-case names, up to the empty line; what is not printable is left out of values."""
    found: dict[str, str] = {}
    for line in lines:
        if not line or len(found) >= 32:
            break
        name, colon, value = line.partition(b":")
        if colon and len(name) <= 40:
            text = value[: 4 * _MOST_TEXT].decode("utf-8", "replace").strip()
            found[name.strip().decode("latin-1").lower()] = "".join(c for c in text if c.isprintable())[:_MOST_TEXT]
    return found


def answered(advert: Advert, target: str) -> tuple[str, ...]:
    """Return the names under which a search for ``target`` is answered: none where it means others.

    Who asks for an older version of a type gets that version back (1.3.3); nobody gets a newer one than there is.
    """
    ours = advert.targets()
    if target == ALL:
        return ours
    if target in ours:
        return (target,)
    if target.lower() == f"uuid:{advert.ident}".lower():
        return (f"uuid:{advert.ident}",)
    kind, _, version = target.rpartition(":")
    for one in (advert.device, *advert.services):
        mine, _, newest = one.rpartition(":")
        if kind == mine and version.isascii() and version.isdecimal() and 1 <= int(version[:9]) <= int(newest):
            return (target,)
    return ()


def _delay(text: str) -> float:
    """Return the seconds of an MX header: whole ones, at most ``MOST_DELAY``; 0 where it is missing or no number."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        return 0.0
    return min(float(text), MOST_DELAY)


def _packed(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("ascii", "replace")
