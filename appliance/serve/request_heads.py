"""The heads of requests, which anybody may send before anything is decided: this module bounds them.

uvicorn with httptools takes an address and headers of any length, waits for their end for ever, and takes any number
of connections: a server's ``Door`` bounds those.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from appliance.serve.connections import Door

EXTENSION = "seedkeep.connection"
MOST_HEAD = 64 * 1024
"""Bytes of a request's head, counted by what comes in at once: a few more than these may be taken."""
HEAD_SECONDS = 30.0
"""Seconds that a head may take, from its first byte or the connection's beginning on."""
_BUSY = b"Too many connections are open.\n"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)


def connection_of(scope: MutableMapping[str, Any]) -> "BoundedHeads | None":
    """Return the connection that a request came on, where its server says so."""
    found = (scope.get("extensions") or {}).get(EXTENSION)
    return found if isinstance(found, BoundedHeads) else None


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol with bounded heads. Each request's scope has it as an extension, to hear when it is lost."""

    door: ClassVar[Door | None] = None
    """Bounds the connections; None: as many as come."""
    _in_head = False
    _head_bytes = 0
    _late: asyncio.TimerHandle | None = None
    _heard = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._heard = self.loop.time()
        self._lost: list[Callable[[], None]] = []
        if self.door is not None and not self.door.admit(self):
            transport.write(_REFUSAL)
            transport.close()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self.door is not None:
            self.door.leave(self)
        super().connection_lost(exc)
        lost, self._lost = self._lost, []
        for listener in lost:
            listener()

    def when_lost(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` once the connection is gone."""
        self._lost.append(listener)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()
        cycle: Any = self.cycle
        if cycle is not None:
            cycle.scope.setdefault("extensions", {})[EXTENSION] = self

    def on_response_complete(self) -> None:
        self._heard = self.loop.time()
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD:
            self._refuse()
        elif self._late is None:
            self._wait()

    # What the door asks (``connections.Connection``)

    @property
    def source(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def idle_since(self) -> float | None:
        cycle: RequestResponseCycle | None = self.cycle
        answering = (cycle is not None and not cycle.response_complete) or bool(self.pipeline)
        return None if answering or self.unsent else self._heard

    @property
    def body_since(self) -> float | None:
        cycle: RequestResponseCycle | None = self.cycle
        awaited = cycle is not None and cycle.more_body and not cycle.response_complete and not self.flow.read_paused
        return self._heard if awaited else None

    @property
    def unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def end(self) -> None:
        if self.idle_since is None:
            self.transport.abort()
        else:
            self.transport.close()

    def _wait(self) -> None:
        self._late = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._refuse)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self) -> None:
        """End the connection; with a word, unless an answer to the request before is still on its way."""
        self._stop_waiting()
        cycle: RequestResponseCycle | None = self.cycle
        if self._in_head and (cycle is None or cycle.response_complete):
            self.send_400_response("The head of the request is too long, or takes too long.")
        else:
            self.transport.abort()
