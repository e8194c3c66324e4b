"""Host, Origin and forwarding headers → whether they are ours. This module reads them, and is pure.

A stranger's page can make a browser send us requests under a name whose DNS it controls (rebinding): such a name is
in the Host header. A literal address cannot be rebound, so it passes here; what is played without a login asks for
one of our own names and addresses all the same.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

Headers = Mapping[bytes, bytes]
"""Lower-case names; of a repeated header the last."""

_FORWARDING = (b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip")


def host_of(header: bytes | None) -> str:
    """Return the host of a Host header, lower case, without port, brackets, zone or final dot; empty if malformed."""
    if header is None or len(header) > 300:
        return ""
    try:
        text = header.decode("ascii").strip().lower()
    except UnicodeDecodeError:
        return ""
    if text.startswith("["):
        inside, bracket, port = text[1:].partition("]")
        return inside.partition("%")[0] if bracket and _is_port(port) else ""
    name, colon, port = text.partition(":")
    if ":" in port or not _is_port(colon + port) or any(c in name for c in "/@\\ ?#,"):
        return ""
    return name.removesuffix(".")


def _is_port(text: str) -> bool:
    return text == "" or (text[0] == ":" and (text[1:] == "" or (text[1:].isdigit() and len(text) <= 6)))


@lru_cache(1024)
def address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address a text is, an IPv4 address mapped into IPv6 as the former, or None."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def is_loopback(source: str) -> bool:
    found = address(source)
    return found is not None and found.is_loopback


def is_home(host: str, ours: Collection[str]) -> bool:
    """Say whether a host is this machine by one of its own names or addresses."""
    if host in ("localhost", "") or host.endswith(".localhost"):
        return host != ""
    if is_loopback(host):
        return True
    found = address(host)
    if found is not None:
        return any(address(one) == found for one in ours)
    return host in {one.lower().removesuffix(".") for one in ours}


def public_host(public_url: str) -> str:
    """Return the host of ``web.public_url``, or an empty text."""
    try:
        return (urlsplit(public_url).hostname or "").lower().removesuffix(".")
    except ValueError:
        return ""


def is_ours(host: str, ours: Collection[str], public_url: str) -> bool:
    """Say whether a host cannot have been chosen by a stranger's DNS."""
    if not host:
        return False
    return address(host) is not None or is_home(host, ours) or host == public_host(public_url)


def is_forwarded(headers: Headers) -> bool:
    """Say whether a proxy says that it passed the request on: then the connection's address is not the asker's."""
    return any(name in _FORWARDING or name.startswith(b"x-forwarded") for name in headers)


def is_secure(headers: Headers, scheme: str, host: str, public_url: str) -> bool:
    """Say whether the browser speaks https with us: directly, or by the word of the proxy under our public address."""
    if scheme == "https":
        return True
    said = headers.get(b"x-forwarded-proto", b"").strip().lower() == b"https"
    return said and public_url.lower().startswith("https://") and host == public_host(public_url)


def is_cross_site(headers: Headers, host: str, public_url: str) -> bool:
    """Say whether a browser tells us that another site's page makes this request.

    Browsers send ``Sec-Fetch-Site`` on secure connections, and ``Origin`` with every unsafe request (Fetch standard);
    programs send neither.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site.strip().lower() not in (b"same-origin", b"none")
    said = headers.get(b"origin")
    if said is None:
        return False
    try:
        parts = urlsplit(said.decode("ascii").strip())
        named, port = (parts.hostname or "").removesuffix("."), parts.port
    except (UnicodeDecodeError, ValueError):
        return True
    if named and named == public_host(public_url):
        return False
    return named != host or not named or _other_port(headers, parts.scheme, port)


def _other_port(headers: Headers, scheme: str, port: int | None) -> bool:
    """Say whether an Origin's port is another than the Host's; both without one are the same."""
    text = headers.get(b"host", b"").decode("ascii", "replace").rpartition("]")[2].rpartition(":")
    own = int(text[2]) if text[1] and text[2].isdigit() else None
    usual = {"http": 80, "https": 443}.get(scheme)
    return (port or usual) != (own or usual)
