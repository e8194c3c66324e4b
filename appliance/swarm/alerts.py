"""libtorrent's alerts on the asyncio loop: this module wakes by a pipe and hands each alert to its handler.

Nothing polls. An alert dies at the next ``pop_alerts``, so a handler copies what it keeps; the next pop waits until
every alert of the last one was handled, in slices that leave the loop free.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import libtorrent as lt

_SLICE = 200

Handlers = Mapping[type, Callable[[Any], None]]


class Alerts:
    """The one reader of a session's alerts. ``close`` must be called before the session goes."""

    def __init__(self, session: lt.session, handlers: Handlers) -> None:
        self._session, self._handlers = session, handlers
        self._waiting: deque[lt.alert] = deque()
        self._loop = asyncio.get_running_loop()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._closed = False
        self._loop.add_reader(self._read, self._wake)
        session.set_alert_fd(self._write)

    def _wake(self) -> None:
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass
        if not self._waiting:
            self._waiting.extend(self._session.pop_alerts())
            self._work()

    def _work(self) -> None:
        if self._closed:
            return
        for _ in range(min(_SLICE, len(self._waiting))):
            alert = self._waiting.popleft()
            if handler := self._handlers.get(type(alert)):
                try:
                    handler(alert)
                except Exception as bug:  # noqa: BLE001 - one bad alert must not stop the rest
                    context = {"message": f"handling {type(alert).__name__} failed", "exception": bug}
                    self._loop.call_exception_handler(context)
        if self._waiting:
            self._loop.call_soon(self._work)
            return
        # libtorrent wakes again only once the queue was found empty, so look once more
        self._waiting.extend(self._session.pop_alerts())
        if self._waiting:
            self._loop.call_soon(self._work)

    def close(self) -> None:
        """Stop listening; alerts not handled yet are dropped. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._waiting.clear()
        self._session.set_alert_fd(-1)
        self._loop.remove_reader(self._read)
        os.close(self._read)
        os.close(self._write)
