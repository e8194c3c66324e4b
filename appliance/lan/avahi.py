"""The avahi of this machine says our names: this module asks it to over the system bus, and follows what becomes of it.

avahi holds port 5353 on Raspberry Pi OS and most desktops, and is better not contradicted from beside it. It probes,
announces, defends and says goodbye as we would; where a name is another's we hear of it and ask for the next. Its
interface is ``org.freedesktop.Avahi.{Server,EntryGroup}`` of avahi 0.6 and later.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from appliance.lan.interfaces import Household
from appliance.lan.mdns_records import (
    Announced,
    Announcement,
    Names,
    Voice,
    addresses_of,
    names_for,
    text_entries,
    texts,
)
from appliance.lan.watch import HouseholdWatch

NAME = "org.freedesktop.Avahi"
_SERVER, _GROUP = f"{NAME}.Server", f"{NAME}.EntryGroup"
_ANY_PROTOCOL, _NO_REVERSE = -1, 16
"""AVAHI_PROTO_UNSPEC; AVAHI_PUBLISH_NO_REVERSE: our addresses' own names stay avahi's host name's."""
_ESTABLISHED, _COLLISION, _FAILURE = 2, 3, 4
"""AvahiEntryGroupState."""
_COLLIDES = f"{NAME}.CollisionError"
_PATIENCE, _NEWS = 15.0, 1.0
_CONFLICTS, _WITHIN, _SLOW = 15, 10.0, 5.0

Key = tuple[int, str]
"""An interface, and an address of its or empty for the services: what is published and withdrawn as one."""


class BusError(Exception):
    """A call failed. ``name`` is the error's own, as ``org.freedesktop.Avahi.CollisionError``."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name.rpartition('.')[2]}: {message}")
        self.name = name


class Bus(Protocol):
    """As ``system_bus.SystemBus``."""

    @property
    def owner(self) -> str: ...

    async def call(self, path: str, member: str, signature: str = "", *body: Any) -> list[Any]: ...


class Refused(Exception):
    """This avahi does not take our word: by its settings or the bus' policy, or it is too old."""


class Collision(Exception):
    """A name is another's."""


class AvahiVoice:
    """Speaks for the box through a bus while ``run`` runs. ``heard`` and ``turned`` are to be called as the bus hears
    and turns."""

    def __init__(
        self,
        said: Announcement,
        network: HouseholdWatch,
        tell: Callable[[Announced | None], None],
    ) -> None:
        self._said, self._network, self._tell = said, network, tell
        self._stirred = asyncio.Event()
        self._states: dict[str, int] = {}
        self._groups: dict[Key, str] = {}
        self._attempt = 1
        self._conflicts: deque[float] = deque(maxlen=_CONFLICTS)

    def heard(self, path: str, member: str, arguments: list[Any]) -> None:
        """Take a signal of avahi's."""
        if member == "StateChanged" and path in self._groups.values():
            self._states[path] = int(arguments[0])
            self._stirred.set()

    def turned(self) -> None:
        """Look anew: avahi came or went."""
        self._stirred.set()

    async def run(self, bus: Bus) -> None:
        """Keep the box announced until avahi is gone or we are cancelled. Raises Refused."""
        owner = bus.owner
        end = self._network.listen(lambda _: self._stirred.set())
        try:
            while bus.owner == owner:
                self._stirred.clear()
                try:
                    await self._publish(bus, owner)
                except Collision:
                    await self._rename(bus)
                    continue
                except BusError as error:
                    await self._news()
                    if bus.owner == owner:
                        raise Refused(str(error)) from error
                    return
                if bus.owner == owner:
                    await self._stirred.wait()
        finally:
            end()
            self._tell(None)
            if bus.owner == owner:
                await self._withdraw(bus, list(self._groups))
            self._groups.clear()

    async def _news(self) -> None:
        """Wait a moment after a call failed: that avahi is gone may be told after that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NEWS):
                await self._stirred.wait()

    async def _publish(self, bus: Bus, owner: str) -> None:
        """Make avahi's groups match what is to be said; wait until they stand. Raises Collision, Refused, BusError."""
        home, names = self._network.household, names_for(self._said.name, self._attempt)
        wanted = _wanted(home)
        if self._groups and not any(key in wanted for key in self._groups):
            self._attempt, names = 1, names_for(self._said.name, 1)  # another network: the first name may be free there
        await self._withdraw(bus, [key for key in self._groups if key not in wanted])
        for key in wanted:
            if key not in self._groups:
                await self._add(bus, key, names)
        if not wanted:
            self._tell(None)
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                while bus.owner == owner and not self._stands():
                    await self._stirred.wait()
                    self._stirred.clear()
        except TimeoutError as error:
            raise Refused("it took our records and never published them") from error
        if bus.owner == owner:
            shown = home.addresses() or tuple(a for i in home.interfaces for a in addresses_of(i))
            addresses = tuple(dict.fromkeys(map(str, shown)))
            self._tell(Announced(names.host.rstrip("."), names.instance, addresses, Voice.AVAHI))
            if self._network.household != home:
                self._stirred.set()

    def _stands(self) -> bool:
        """Whether every group is established. Raises Collision where one cannot be."""
        states = {self._states.get(group, 0) for group in self._groups.values()}
        if _COLLISION in states:
            raise Collision
        if _FAILURE in states:
            raise Refused("it failed to publish our records")
        return states == {_ESTABLISHED}

    async def _add(self, bus: Bus, key: Key, names: Names) -> None:
        group = str((await bus.call("/", f"{_SERVER}.EntryGroupNew"))[0])
        self._groups[key] = group
        self._states[group] = 0
        index, address = key
        host = names.host.rstrip(".")
        try:
            if address:
                to_say = (index, _ANY_PROTOCOL, _NO_REVERSE, host, address)
                await bus.call(group, f"{_GROUP}.AddAddress", "iiuss", *to_say)
            else:
                for kind, facts in texts(self._said).items():
                    what = (names.instance, kind.removesuffix(".local."), "local", host, self._said.port)
                    entries = text_entries(facts)
                    await bus.call(
                        group, f"{_GROUP}.AddService", "iiussssqaay", index, _ANY_PROTOCOL, 0, *what, entries
                    )
            await bus.call(group, f"{_GROUP}.Commit")
        except BusError as error:
            if error.name == _COLLIDES:
                raise Collision from error
            raise

    async def _rename(self, bus: Bus) -> None:
        """Withdraw what is said under these names, and take the next; more slowly after many (RFC 6762, 8.1)."""
        now = asyncio.get_running_loop().time()
        self._conflicts.append(now)
        await self._withdraw(bus, list(self._groups))
        if len(self._conflicts) == _CONFLICTS and now - self._conflicts[0] < _WITHIN:
            await asyncio.sleep(_SLOW)
        self._attempt += 1

    async def _withdraw(self, bus: Bus, keys: list[Key]) -> None:
        """Give groups back; avahi says goodbye for them."""
        for key in keys:
            group = self._groups.pop(key)
            self._states.pop(group, None)
            with contextlib.suppress(BusError):
                await bus.call(group, f"{_GROUP}.Free")


def _wanted(home: Household) -> tuple[Key, ...]:
    """Return what is to be said: each address on its interface, and the services on each interface with one."""
    found: list[Key] = []
    for interface in home.interfaces:
        addresses = addresses_of(interface)
        found += [(interface.index, str(address)) for address in addresses]
        found += [(interface.index, "")] if addresses else []
    return tuple(found)
