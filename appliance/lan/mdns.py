"""Being found: this module announces ``seedkeep.local``, ``_http._tcp`` and ``_seedkeep._tcp`` (RFC 6762, 6763).

A name that another machine has is never taken. Claiming one takes a second or two, so it runs in a task of its own and
holds nobody up. Who speaks is decided here: the avahi of this machine where it takes our word, else we ourselves.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Self

from appliance.lan.mdns_records import Announced, Announcement, Voice
from appliance.lan.mdns_responder import Responder
from appliance.lan.watch import HouseholdWatch

__all__ = ["Announced", "Announcement", "Mdns", "Voice"]

log = logging.getLogger(__name__)


class Mdns:
    """Keeps the box announced on the household's interfaces, through address changes and name conflicts.

    An async context manager; entering returns at once, leaving says goodbye. ``announced`` is None until the names are
    ours; ``listen`` tells of every change.
    """

    def __init__(self, announcement: Announcement, network: HouseholdWatch, chance: Callable[[], float]) -> None:
        self._announcement, self._network, self._chance = announcement, network, chance
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
        await Responder(self._announcement, self._network, self._chance, self._tell).run()

    def _tell(self, announced: Announced | None) -> None:
        if announced == self.announced:
            return
        self.announced = announced
        for listener in list(self._listeners):
            listener(announced)
