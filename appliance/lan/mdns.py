"""Being found: this module announces ``seedkeep.local``, ``_http._tcp`` and ``_seedkeep._tcp`` (RFC 6762, 6763).

A name that another machine has is never taken: it is asked for first, and where two boxes took it at once the one with
the greater addresses keeps it. Announcing takes seconds, so it runs in a task of its own and holds nobody up.
"""

import asyncio
import contextlib
import ipaddress
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, RecordUpdate, RecordUpdateListener, ServiceInfo, Zeroconf
from zeroconf._dns import DNSAddress
from zeroconf._services.info import AddressResolver
from zeroconf.asyncio import AsyncZeroconf

from appliance.lan.interfaces import Address, Household, parsed
from appliance.lan.watch import HouseholdWatch

log = logging.getLogger(__name__)

_TYPES = ("_http._tcp.local.", "_seedkeep._tcp.local.")
_PROBE_MS = 900
_RETRY = 30.0
_TRIES = 50
_STOP = 3.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """What to say of the box. ``name`` is the host label wished for, ``box`` its lasting id."""

    name: str
    port: int
    box: str
    version: str
    path: str = "/"
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Announced:
    """What is announced now: ``seedkeep.local``, the instance name, and the addresses it stands for."""

    host: str
    instance: str
    addresses: tuple[str, ...]


class Mdns:
    """Keeps the box announced on the household's interfaces, through address changes and name conflicts.

    An async context manager; entering returns at once, leaving says goodbye. ``announced`` is None until the names are
    ours; ``listen`` tells of every change.
    """

    def __init__(self, announcement: Announcement, network: HouseholdWatch, chance: Callable[[], float]) -> None:
        self._announcement, self._network, self._chance = announcement, network, chance
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[Announced | None], None]] = []
        self.announced: Announced | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep(), name="mdns")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def listen(self, listener: Callable[[Announced | None], None]) -> Callable[[], None]:
        """Call ``listener`` on the loop whenever ``announced`` changes; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def _keep(self) -> None:
        attempt = 1
        with contextlib.ExitStack() as stack:
            stack.callback(self._network.listen(lambda _: self._moved.set()))
            while True:
                self._moved.clear()
                home = self._network.household
                conflict = asyncio.Event()
                try:
                    if not home.addresses():
                        await self._moved.wait()
                        continue
                    async with self._on_air(home, attempt, conflict) as attempt:
                        lost = await self._until(conflict)
                    attempt = attempt + 1 if lost else 1
                except (ZeroconfError, OSError, TimeoutError) as error:
                    log.warning("The box cannot be announced on this network: %s", error)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_RETRY):
                            await self._moved.wait()

    async def _until(self, conflict: asyncio.Event) -> bool:
        """Return False once our interfaces are others, True once our name is lost."""
        waits = {asyncio.create_task(conflict.wait()), asyncio.create_task(self._moved.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return conflict.is_set()
        finally:
            for wait in waits:
                wait.cancel()

    @asynccontextmanager
    async def _on_air(self, home: Household, attempt: int, conflict: asyncio.Event) -> AsyncIterator[int]:
        """Claim a name from the ``attempt``-th on, announce, and say goodbye at the end; give the attempt it took."""
        own = home.addresses()
        zeroconf = _opened(home)
        try:
            await zeroconf.zeroconf.async_wait_for_start()
            label, attempt = await self._free_name(zeroconf.zeroconf, own, attempt)
            guard = _Guard(f"{label}.local.", own, conflict)
            zeroconf.zeroconf.async_add_listener(guard, None)
            services = self._services(label, own)
            await asyncio.gather(*(_register(zeroconf, service) for service in services))
            instance = services[0].name.removesuffix(f".{_TYPES[0]}")
            self._tell(Announced(f"{label}.local", instance, tuple(str(a) for a in own)))
            yield attempt
        finally:
            self._tell(None)
            await _goodbye(zeroconf)

    async def _free_name(self, zeroconf: Zeroconf, own: tuple[Address, ...], attempt: int) -> tuple[str, int]:
        base = host_label(self._announcement.name)
        for number in range(attempt, attempt + _TRIES):
            label = base if number == 1 else f"{base}-{number}"
            resolver = AddressResolver(f"{label}.local.")
            await resolver.async_request(zeroconf, _PROBE_MS)
            if not others(resolver.parsed_addresses(), own):
                return label, number
            log.info("The name %s.local is taken on this network.", label)
        raise TimeoutError("no name is free")

    def _services(self, label: str, own: tuple[Address, ...]) -> list[ServiceInfo]:
        said = self._announcement
        instance = said.name if label == host_label(said.name) else f"{said.name} ({label.rpartition('-')[2]})"
        about = {
            _TYPES[0]: {"path": said.path},
            _TYPES[1]: {
                "api": "1",
                "id": said.box,
                "ver": said.version,
                "tls": "1" if said.tls else "0",
                "path": f"{said.path.rstrip('/')}/api",
            },
        }
        return [
            ServiceInfo(
                kind,
                f"{instance.replace('.', '-')[:50]}.{kind}",
                port=said.port,
                properties={key: value[:200] for key, value in facts.items()},
                server=f"{label}.local.",
                parsed_addresses=[str(a) for a in own],
            )
            for kind, facts in about.items()
        ]

    def _tell(self, announced: Announced | None) -> None:
        if announced == self.announced:
            return
        self.announced = announced
        for listener in list(self._listeners):
            listener(announced)


class _Guard(RecordUpdateListener):
    """Sees another machine announce our name, and says so where the name is to be given up."""

    def __init__(self, host: str, own: tuple[Address, ...], conflict: asyncio.Event) -> None:
        super().__init__()
        self._host, self._own, self._conflict = host.lower(), own, conflict

    def async_update_records(self, _zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        theirs = [
            address
            for record in (update.new for update in records)
            if isinstance(record, DNSAddress) and record.name.lower() == self._host and not record.is_expired(now)
            for address in [parsed(_text(record.address))]
            if address is not None and address not in self._own and not address.is_link_local
        ]
        if theirs and yields(self._own, theirs):
            log.warning("Another machine uses the name %s too; we take another one.", self._host)
            self._conflict.set()


def host_label(name: str) -> str:
    """Return ``name`` as one label of a host name: letters, digits and hyphens, at most 50 (RFC 1123)."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-") or "seedkeep"


def others(found: Iterable[str], own: tuple[Address, ...]) -> list[Address]:
    """Return the addresses in ``found`` that are not our own; link-local ones say nothing about whose they are."""
    addresses = (parsed(text) for text in found)
    return [a for a in addresses if a is not None and a not in own and not (a.version == 6 and a.is_link_local)]


def yields(own: Iterable[Address], theirs: Iterable[Address]) -> bool:
    """Whether we give a name up to ``theirs``: the greater addresses keep it, as in RFC 6762 8.2, so one side does."""
    mine, foreign = list(own), list(theirs)
    for version in (4, 6):
        left, right = (sorted(int(a) for a in side if a.version == version) for side in (mine, foreign))
        if left and right:
            return right > left
    return True


def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def _opened(home: Household) -> AsyncZeroconf:
    """Open the sockets: by address for IPv4, by interface for IPv6, and on no other interface."""
    v4 = [str(a.ip) for i in home.interfaces for a in i.addresses if a.version == 4]
    v6 = [i.index for i in home.interfaces if any(a.version == 6 for a in i.addresses)]
    version = IPVersion.All if v4 and v6 else IPVersion.V4Only if v4 else IPVersion.V6Only
    return AsyncZeroconf(interfaces=[*v4, *v6], ip_version=version)


async def _register(zeroconf: AsyncZeroconf, service: ServiceInfo) -> None:
    """Probe and announce one service; it gets another instance name where another host has it."""
    await (await zeroconf.async_register_service(service, allow_name_change=True))


async def _goodbye(zeroconf: AsyncZeroconf) -> None:
    with contextlib.suppress(TimeoutError, ZeroconfError, OSError):
        async with asyncio.timeout(_STOP):
            await zeroconf.async_unregister_all_services()
    with contextlib.suppress(TimeoutError, ZeroconfError, OSError):
        async with asyncio.timeout(_STOP):
            await zeroconf.async_close()
