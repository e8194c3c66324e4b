"""The kernel says when an address or a link comes or goes (rtnetlink(7)): this module listens for that."""

import asyncio
import contextlib
import socket
from typing import Self

_GROUPS = 0x1 | 0x10 | 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR."""


class AddressWatch:
    """An async context manager; ``changed`` waits for the next change; without netlink it never ends."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._event = asyncio.Event()

    async def __aenter__(self) -> Self:
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
            )
            self._socket.bind((0, _GROUPS))
        except OSError:
            self._close()
        else:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._close()

    async def changed(self) -> None:
        """Return at the next change, or at once where one came since the last call."""
        await self._event.wait()
        self._event.clear()

    def _read(self) -> None:
        self._event.set()
        with contextlib.suppress(OSError):  # ENOBUFS: changes were lost, which is a change
            while self._socket is not None and self._socket.recv(65536):
                pass

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
