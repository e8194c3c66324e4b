"""The heads of requests, which anybody may send before anything is decided: this module bounds them.

uvicorn with httptools takes an address and headers of any length, and waits for their end for ever.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_HEAD = 64 * 1024
"""Bytes of a request's head, counted by what comes in at once: a few more than these may be taken."""
HEAD_SECONDS = 30.0
"""Seconds that a head may take, from its first byte or the connection's beginning on."""


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol with bounded heads."""

    _in_head = False
    _head_bytes = 0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD:
            self._refuse()
        elif self._late is None:
            self._wait()

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
