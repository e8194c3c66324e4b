"""A connection of our server on which media may go without being copied: this module has the server's side.

It is ``WireProtocol``, uvicorn's own protocol class with an extension in the ASGI scope. Whoever finds no extension
there, or is given no ``Shipment``, sends with ``pread`` as under any other server: that is so with TLS, and with a
uvicorn whose inside is not as it was in 0.54.
"""

import asyncio
import contextlib
import os
from collections.abc import MutableMapping
from concurrent.futures import Executor
from http import HTTPStatus
from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_CONGESTION, TCP_NODELAY, socket
from typing import Any, Protocol

from appliance.serve.connections import Door
from appliance.serve.request_heads import BoundedHeads
from appliance.serve.sendfile import Shipment

EXTENSION = "seedkeep.wire"


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


_USED = tuple(_Cycle.__annotations__)
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

    def begin(self, status: int, headers: list[tuple[bytes, bytes]], count: int) -> bool:
        """Send the head of an answer of ``count`` bytes, in a third of the server's time for it; tell whether it was
        sent. ``headers`` have the length, and nothing of how the connection goes on."""
        cycle, line = self.cycle, _STATUS.get(status)
        if line is None or cycle.response_started or cycle.access_log or cycle.flow.write_paused or self.gone:
            return False
        lines = [*cycle.default_headers, *headers]
        head = b"".join([line, *[b"%b: %b\r\n" % pair for pair in lines]])
        if head.count(b"\n") != 1 + len(lines):
            return False  # a line's end within a header: the server refuses it
        cycle.response_started, cycle.waiting_for_100_continue = True, False
        cycle.chunked_encoding, cycle.expected_content_length = False, count
        self.server.transport.write(head + (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"))
        return True

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
        if cycle is not None and self._fits and cycle.scope.get("scheme") == "http":
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


def _unpace(descriptor: int) -> None:
    """Let a connection within the house go without BBR, where the host has chosen that for all: it paces with a timer
    for every few packets, which costs a small processor more than the sending, and pays on far ways only."""
    with contextlib.suppress(OSError), socket(fileno=os.dup(descriptor)) as same:
        if same.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16).startswith(b"bbr"):
            same.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"reno")  # the one that every process may choose
