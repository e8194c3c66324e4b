"""The system's message bus: this module calls one program on it and hears what that one signals (D-Bus specification).

Imported only where the bus is there: dbus-fast weighs 4 MB in memory, which a box without avahi need not carry.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Self

from dbus_fast import AuthError, BusType, InvalidAddressError, Message, MessageFlag, MessageType
from dbus_fast.aio import MessageBus

from appliance.lan.avahi import BusError

_PATIENCE = 5.0
_BUS, _BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"


class SystemBus:
    """A connection, on which ``peer`` (a well-known name) is called. An async context manager; entering it raises
    BusError. ``owner`` is the peer's present connection, empty while it does not run. ``heard`` gets (path, member,
    arguments) of each of the peer's signals, ``turned`` a call whenever the owner is another, or the bus is gone."""

    def __init__(self, peer: str, heard: Callable[[str, str, list[Any]], None], turned: Callable[[], None]) -> None:
        self._peer, self._heard, self._turned = peer, heard, turned
        self._bus: MessageBus | None = None
        self._lost: asyncio.Task[None] | None = None
        self.owner = ""

    @property
    def connected(self) -> bool:
        return self._bus is not None and self._bus.connected

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_PATIENCE):
                self._bus = await MessageBus(bus_type=BusType.SYSTEM, auth_timeout=_PATIENCE).connect()
            self._bus.add_message_handler(self._receive)
            for rule in (
                f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{self._peer}'",
                f"type='signal',sender='{self._peer}'",
            ):
                await self._ask_bus("AddMatch", rule)
            try:
                self.owner = str((await self._ask_bus("GetNameOwner", self._peer))[0])
            except BusError:
                self.owner = ""
        except (OSError, TimeoutError, AuthError, InvalidAddressError, BusError, EOFError) as error:
            self._close()
            raise BusError("Unreachable", str(error)) from error
        except BaseException:
            self._close()
            raise
        self._lost = asyncio.create_task(self._watch(self._bus), name="system bus")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._close()
        if self._lost is not None:
            self._lost.cancel()
            await asyncio.wait({self._lost})

    def _close(self) -> None:
        if self._bus is not None:
            self._bus.disconnect()

    async def _watch(self, bus: MessageBus) -> None:
        try:
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except (OSError, EOFError):
            pass
        self.owner = ""
        self._turned()

    async def call(self, path: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        """Call ``interface.Member`` of the peer and return what it answers. It is not started for that. Raises
        BusError."""
        interface, _, name = member.rpartition(".")
        return await self._call(self._peer, path, interface, name, signature, list(body))

    async def _ask_bus(self, member: str, argument: str) -> list[Any]:
        return await self._call(_BUS, _BUS_PATH, _BUS, member, "s", [argument])

    async def _call(
        self, to: str, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> list[Any]:
        if self._bus is None or not self._bus.connected:
            raise BusError("Disconnected", "the system bus is gone")
        message = Message(
            destination=to,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body,
            flags=MessageFlag.NO_AUTOSTART,
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                reply = await self._bus.call(message)
        except (OSError, EOFError, TimeoutError) as error:
            raise BusError("NoReply", str(error)) from error
        if reply.message_type is MessageType.ERROR:
            raise BusError(reply.error_name or "", str(reply.body[0]) if reply.body else "")
        return list(reply.body)

    def _receive(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.sender == _BUS and message.member == "NameOwnerChanged" and message.body[:1] == [self._peer]:
            self.owner = str(message.body[2])
            self._turned()
        elif message.sender and message.sender == self.owner:  # anybody may send us signals
            self._heard(message.path or "", message.member or "", list(message.body))
