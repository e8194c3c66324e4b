"""Being found: this module announces ``seedkeep.local``, ``_http._tcp`` and ``_seedkeep._tcp`` (RFC 6762, 6763).

A name that another machine has is never taken. Claiming one takes a second or two, so it runs in a task of its own and
holds nobody up. Who speaks is decided here: the avahi of this machine where it takes our word, else we ourselves.
"""

import asyncio
import importlib
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

from appliance.lan.avahi import NAME, AvahiVoice, BusError, Refused
from appliance.lan.mdns_records import Announced, Announcement, Voice
from appliance.lan.mdns_responder import Responder
from appliance.lan.watch import HouseholdWatch

__all__ = ["Announced", "Announcement", "Mdns", "Voice"]

log = logging.getLogger(__name__)

_SOCKET = Path("/run/dbus/system_bus_socket")
_RESTART = 3.0
"""Seconds avahi is given to come back: it is restarted with every change of its settings."""


class Mdns:
    """Keeps the box announced on the household's interfaces, through address changes and name conflicts.

    An async context manager; entering returns at once, leaving says goodbye. ``announced`` is None until the names are
    ours; ``listen`` tells of every change.
    """

    def __init__(self, announcement: Announcement, network: HouseholdWatch, chance: Callable[[], float]) -> None:
        self._announcement, self._network, self._chance = announcement, network, chance
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[Announced | None], None]] = []
        self._own = Responder(announcement, network, chance, self._tell)
        self.announced: Announced | None = None

    @property
    def trouble(self) -> str:
        """What stands in the way of announcing, empty where nothing does: an interface, and why not there."""
        return self._own.trouble

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep(), name="mdns")
        self._task.add_done_callback(_ended)
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
        while await asyncio.to_thread(_is_bus_there):
            try:
                await self._on_bus()
            except BusError as error:
                log.info("The system bus is of no use: %s", error)
                break
            except Refused as error:
                log.warning("This machine's avahi does not announce us, so we do it beside it: %s", error)
                break
            await asyncio.sleep(_RESTART)
        await self._own.run()

    async def _on_bus(self) -> None:
        """Announce until the system bus is gone: by avahi while it is there. Raises BusError and Refused."""
        await asyncio.to_thread(importlib.import_module, "appliance.lan.system_bus")
        from appliance.lan.system_bus import SystemBus  # only where there is a bus: it is no small one

        turned = asyncio.Event()
        voice = AvahiVoice(self._announcement, self._network, self._tell)

        def turn() -> None:
            turned.set()
            voice.turned()

        async with SystemBus(NAME, voice.heard, turn) as bus:
            while bus.connected:
                turned.clear()
                if bus.owner:
                    await voice.run(bus)
                    if not bus.owner:
                        turned.clear()
                        await _meanwhile(asyncio.sleep(_RESTART), turned)
                else:
                    await _meanwhile(self._own.run(), turned)

    def _tell(self, announced: Announced | None) -> None:
        if announced == self.announced:
            return
        self.announced = announced
        for listener in list(self._listeners):
            listener(announced)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("The box is no longer announced on this network.", exc_info=error)


def _is_bus_there() -> bool:
    return bool(os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")) or _SOCKET.exists()


async def _meanwhile(work: Coroutine[Any, Any, None], end: asyncio.Event) -> None:
    """Do ``work`` until it is done, or ``end`` comes."""
    tasks = {asyncio.create_task(work, name="mdns own"), asyncio.create_task(_come(end))}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _come(event: asyncio.Event) -> None:
    await event.wait()
