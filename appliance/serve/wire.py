"""A connection of our server on which media may go without being copied: this module has the server's side.

It is ``WireProtocol``, uvicorn's own protocol class with an extension in the ASGI scope. Whoever finds no extension
there, or is given no ``Shipment``, sends with ``pread`` as under any other server: that is so with TLS, and with a
uvicorn whose inside is not as it was in 0.54.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from functools import partial
from http import HTTPStatus
from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_CONGESTION, TCP_NODELAY, socket
from typing import Any, Protocol

from appliance.serve.connections import Door
from appliance.serve.request_heads import BoundedHeads
from appliance.serve.sendfile import Shipment

EXTENSION = "seedkeep.wire"

_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]


class _Cycle(Protocol):
    """What is used of uvicorn's ``RequestResponseCycle`` (0.54). It belongs to no published interface."""

    scope: Any
    disconnected: bool
    response_started: bool
    response_complete: bool
    chunked_encoding: bool | None
    expected_content_length: int
    waiting_for_100_continue: bool
    access_log: bool
    keep_alive: bool
    default_headers: list[tuple[bytes, bytes]]
    flow: Any
    transport: asyncio.Transport
    send: _Send


_USED = tuple(_Cycle.__annotations__)
_ODD_NAME = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_ODD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS = {
    s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode()) for s in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
}


class Wire:
    """The extension: the connection that one answer goes out on."""

    __slots__ = ("cycle", "server")

    def __init__(self, server: "WireProtocol", cycle: _Cycle) -> None:
        self.server, self.cycle = server, cycle

    @property
    def gone(self) -> bool:
        """Whether the viewer has left."""
        return self.cycle.disconnected or self.server.transport.is_closing()

    def take(self, threads: Executor, file: int, count: int) -> Shipment | None:
        """Return the way for a body of ``count`` bytes of an open file, once its head was sent; None where there is
        none. Until it is closed, nothing else may write."""
        cycle, transport = self.cycle, self.server.transport
        ready = (
            cycle.response_started
            and not (cycle.response_complete or self.gone)
            and cycle.chunked_encoding is False
            and cycle.expected_content_length == count
            and transport.get_write_buffer_size() == 0
        )
        theirs = transport.get_extra_info("socket")
        if not ready or theirs is None or os.get_blocking(theirs.fileno()):
            return None
        if not self.server.unpaced:
            self.server.unpaced = True
            _unpace(theirs.fileno())
        shipment = Shipment(self, threads, theirs.fileno(), file)
        self.server.shipment = shipment
        return shipment

    def sent(self, count: int) -> None:
        """Take ``count`` bytes off what the server still expects."""
        self.cycle.expected_content_length -= count

    def done(self, shipment: Shipment) -> None:
        """Let the server write again."""
        if self.server.shipment is shipment:
            self.server.shipment = None


def wire_of(scope: MutableMapping[str, Any]) -> Wire | None:
    """Return the extension of a request's scope."""
    found = (scope.get("extensions") or {}).get(EXTENSION)
    return found if isinstance(found, Wire) else None


class WireProtocol(BoundedHeads):
    """uvicorn's protocol, for ``Config(http=WireProtocol)``: each request without TLS has a ``Wire`` in its scope."""

    shipment: Shipment | None = None
    unpaced = False
    _fits: bool | None = None
    """Whether this server's cycles have what is used of them; None: not looked yet."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        theirs = transport.get_extra_info("socket")
        if theirs is not None and theirs.family in (AF_INET, AF_INET6):
            with socket(fileno=os.dup(theirs.fileno())) as same:
                # Not every loop does it; the end of a body would then wait for an acknowledgement (Nagle).
                same.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        cycle: Any = getattr(self, "cycle", None)
        if self._fits is None and cycle is not None:
            self._fits = all(hasattr(cycle, name) for name in _USED)
        if cycle is not None and self._fits:
            cycle.send = partial(_sent, cycle, cycle.send)
            if cycle.scope.get("scheme") == "http":
                cycle.scope.setdefault("extensions", {})[EXTENSION] = Wire(self, cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.shipment is not None:
            self.shipment.stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read; amid a body, by ending the connection."""
        if self.shipment is None:
            super().send_400_response(msg)
        else:
            self.transport.abort()


def protocol(door: Door) -> type[WireProtocol]:
    """Return the protocol of a server whose connections ``door`` bounds."""
    return type("DoorProtocol", (WireProtocol,), {"door": door})


async def _sent(cycle: _Cycle, send: _Send, message: _Message) -> None:
    if message["type"] != "http.response.start" or not _began(cycle, message):
        await send(message)


def _began(cycle: _Cycle, message: _Message) -> bool:
    """Send the head of an answer of known length as uvicorn would, in a third of its time; tell whether that was done.

    What is not plain is left to it, and so is what it refuses.
    """
    line = _STATUS.get(message["status"])
    if line is None or cycle.response_started or cycle.access_log or cycle.disconnected or cycle.flow.write_paused:
        return False
    headers = [*cycle.default_headers, *message.get("headers", ())]
    named = {name.lower(): value for name, value in headers}
    length = named.get(b"content-length", b"")
    plain = length.isdigit() and b"connection" not in named and b"transfer-encoding" not in named
    if not plain or _ODD_NAME.search(b"".join(named)) or _ODD_VALUE.search(b"".join([value for _, value in headers])):
        return False
    cycle.response_started, cycle.waiting_for_100_continue = True, False
    cycle.chunked_encoding, cycle.expected_content_length = False, int(length)
    fields = [b"%b: %b\r\n" % (name.lower(), value) for name, value in headers]
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.transport.write(b"".join([line, *fields, end]))
    return True


def _unpace(descriptor: int) -> None:
    """Take BBR from a connection within the house, where the host has chosen that for all: its timers for every few
    packets cost a small processor more than the sending, and pay on far ways only."""
    with contextlib.suppress(OSError), socket(fileno=os.dup(descriptor)) as same:
        if same.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16).startswith(b"bbr"):
            for usual in (b"reno", b"cubic"):  # any process may choose the first, and the second mostly
                same.setsockopt(IPPROTO_TCP, TCP_CONGESTION, usual)
