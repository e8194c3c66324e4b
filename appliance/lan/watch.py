"""The household's interfaces while they come, go and change their addresses: this module follows them.

The kernel says when (rtnetlink(7)); a burst of changes, as when a cable is put in, is one change.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Self

from appliance.lan import netlink
from appliance.lan.interfaces import NO_CHOICE, Choice, Household, household, is_loopback

log = logging.getLogger(__name__)

_SETTLE = 0.2
"""Seconds to let a burst of changes pass."""

Listener = Callable[[Household], None]


class HouseholdWatch:
    """The one place that knows the household's interfaces now. An async context manager.

    ``household`` is true once it is entered; ``listen`` tells of every change after that, within half a second. Where
    the kernel tells nothing (no netlink), it stays as it was.
    """

    def __init__(self, choice: Choice = NO_CHOICE, find: Callable[[Choice], Household] = household) -> None:
        self._choice, self._find = choice, find
        self._listeners: list[Listener] = []
        self._stirred = asyncio.Event()
        self._changes: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self.household = Household(())

    async def __aenter__(self) -> Self:
        try:
            self._subscribe()
            await self._look()
        except BaseException:
            self._unsubscribe()
            raise
        self._task = asyncio.create_task(self._follow(), name="interfaces")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` on the loop, with the new household, whenever it changes; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def is_household(self, address: str) -> bool:
        """Whether ``address`` (with or without a scope) is of the LAN, or this machine itself."""
        return is_loopback(address) or self.household.is_lan(address)

    def reconfigure(self, choice: Choice) -> None:
        """Take the owner's new choice; listeners hear of it where it makes a difference."""
        self._choice = choice
        self._stirred.set()

    async def _follow(self) -> None:
        while True:
            await self._stirred.wait()
            await asyncio.sleep(_SETTLE)
            self._stirred.clear()
            await self._look()

    def _subscribe(self) -> None:
        with contextlib.suppress(OSError):
            self._changes = netlink.changes()
            asyncio.get_running_loop().add_reader(self._changes.fileno(), self._read, self._changes)

    def _unsubscribe(self) -> None:
        if self._changes is not None:
            asyncio.get_running_loop().remove_reader(self._changes.fileno())
            self._changes.close()
            self._changes = None

    def _read(self, changes: socket.socket) -> None:
        self._stirred.set()
        with contextlib.suppress(OSError):  # ENOBUFS: changes were lost, which is a change
            while changes.recv(65536):
                pass

    async def _look(self) -> None:
        try:
            found = await asyncio.to_thread(self._find, self._choice)
        except OSError as error:
            log.warning("This machine's network interfaces cannot be listed: %s", error)
            return
        if found == self.household:
            return
        self.household = found
        for listener in list(self._listeners):
            try:
                listener(found)
            except Exception:
                log.exception("a listener to changes of the network failed")
