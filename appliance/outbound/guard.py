"""Addresses we refuse to connect to, checked at the moment of connecting: this module is that check.

A name is resolved here and the connection goes to the address that was checked, so neither a redirect nor a DNS answer
that changes between two questions leads inside the house (SSRF, DNS rebinding).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Coroutine, Iterable

import httpcore

from appliance.errors import Refused, Unreachable

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOOKUP_SECONDS = 10.0
_STAGGER_SECONDS = 0.3
_MOST_ADDRESSES = 6


def embedded(address: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: IpAddress) -> bool:
    """Whether ``address`` is an ordinary one of the internet (IANA special-purpose registries, RFC 6890)."""
    inner = embedded(address)
    if inner.is_multicast or inner.is_unspecified or inner.is_reserved or inner.is_link_local or inner.is_loopback:
        return False
    if isinstance(inner, ipaddress.IPv6Address) and (inner.is_site_local or inner.teredo is not None):
        return False
    return inner.is_global and not inner.is_private


def is_allowed(address: IpAddress, allow_private: bool) -> bool:
    """Whether we may connect to ``address``; multicast, broadcast and unspecified ones never."""
    if is_public(address):
        return True
    inner = embedded(address)
    if inner.is_multicast or inner.is_unspecified or inner == ipaddress.IPv4Address("255.255.255.255"):
        return False
    return allow_private


def parsed_address(text: str) -> IpAddress | None:
    """Return ``text`` as an address (a zone as in ``fe80::1%eth0`` left out), None where it is a name."""
    try:
        return ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return None


def refused(host: str) -> Refused:
    """Return the error for a host on an address that we don't go to."""
    return Refused(
        f"{host} is on a private network, and Seedkeep only goes there when told to.",
        hint="If this server is yours, switch on 'private origins' in the settings.",
    )


async def addresses_of(host: str, port: int) -> list[str]:
    """Return what ``host`` resolves to now, off the loop's thread. Raises Unreachable."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOKUP_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except TimeoutError as error:
        raise Unreachable(f"The name {host} could not be looked up in time.", hint="Check the network.") from error
    except (OSError, UnicodeError) as error:
        raise Unreachable(
            f"No server with the name {host} was found.", hint="Check the address for typing errors."
        ) from error
    unique = dict.fromkeys(str(info[4][0]) for info in found)
    return list(unique)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore, to allowed addresses only.

    ``allow_private`` is asked at each connection, so a changed setting holds at once.
    """

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._allow_private = allow_private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the allowed addresses of ``host``. Raises Refused, Unreachable, httpcore's errors."""
        found = [host] if parsed_address(host) else await addresses_of(host, port)
        allowed = [text for text in found if self._may(text)][:_MOST_ADDRESSES]
        if not allowed:
            raise refused(host)
        attempts = [self._attempt(text, n * _STAGGER_SECONDS, port, timeout) for n, text in enumerate(allowed)]
        return await _first(attempts)

    def _may(self, text: str) -> bool:
        address = parsed_address(text)
        return address is not None and is_allowed(address, self._allow_private())

    async def _attempt(
        self, address: str, delay: float, port: int, timeout: float | None
    ) -> httpcore.AsyncNetworkStream:
        await asyncio.sleep(delay)
        return await self._inner.connect_tcp(address, port, timeout=timeout)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        raise refused(path)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _first(
    attempts: list[Coroutine[None, None, httpcore.AsyncNetworkStream]],
) -> httpcore.AsyncNetworkStream:
    """Return the first connection made; the other attempts are cancelled and their connections closed."""
    tasks = [asyncio.create_task(attempt, name="connect") for attempt in attempts]
    try:
        for done in asyncio.as_completed(tasks):
            try:
                return await done
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                last = error
        raise last
    finally:
        await _give_up_rest(tasks)


async def _give_up_rest(tasks: list[asyncio.Task[httpcore.AsyncNetworkStream]]) -> None:
    kept = False
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException):
            continue
        if kept:
            await outcome.aclose()
        kept = True
