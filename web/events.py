"""Server-sent events: one source for every browser. This module counts once and tells all who listen.

``rates`` comes once a second while anyone listens; ``changed`` names the kinds and ids that the store touched, at
most twice a second, ``standing`` where another limit came in force, ``playing`` where other screens play; a comment
goes out where nothing else did, so that a dead connection is noticed.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import msgspec

from appliance.store.engine import Touched
from web.problems import Problem, Refusal
from web.services import Services
from web.views import week
from web.views.playing import arrives

MOST_LISTENERS = 50
HEARTBEAT = 15.0
_RATES_EVERY, _CHANGES_EVERY = 1.0, 0.5
_QUEUED = 32
"""Events that wait for a slow browser; with more than these it is dropped, and comes again by itself."""
_MOST_IDS = 100
"""With more changed ids of a kind than this, the kind is told with an empty list: any of it."""
_TOLD = frozenset(
    {
        "channel",
        "listing",
        "video",
        "detail",
        "wish",
        "pin",
        "pin_state",
        "cached",
        "decision",
        "plan",
        "rule",
        "ledger",
    }
)


def framed(name: str, data: object) -> bytes:
    """Return one event as it goes over the wire (HTML standard, 9.2)."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


class Events:
    """Call it from the loop only. Its tasks live while someone listens."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._changed: dict[str, set[str]] = defaultdict(set)
        self._touched = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._end = services.store.listen(self._note)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def stop(self) -> None:
        """End every stream. Idempotent."""
        self._stopped = True
        self._end()
        for queue in list(self._listeners):
            _finish(queue)
        self._rest()

    def listen(self) -> AsyncGenerator[bytes, None]:
        """Return one browser's stream; it ends when the browser is too slow, or at ``stop``. Raises Refusal."""
        if self._stopped or len(self._listeners) >= MOST_LISTENERS:
            raise Refusal(Problem(503, "too_many_listeners", "No more live updates now.", "Close a page.", after=30))
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED)
        return self._stream(queue)

    async def _stream(self, queue: asyncio.Queue[bytes | None]) -> AsyncGenerator[bytes, None]:
        self._listeners.add(queue)
        try:
            self._work()
            yield b"retry: 3000\n\n" + framed("rates", self._rates())
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        event = await queue.get()
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    return
                yield event
        finally:
            self._listeners.discard(queue)
            if not self._listeners:
                self._rest()

    def _work(self) -> None:
        if not self._tasks and not self._stopped:
            self._tasks = [
                asyncio.create_task(self._tell_rates(), name="events-rates"),
                asyncio.create_task(self._tell_changes(), name="events-changes"),
            ]

    def _rest(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._changed.clear()

    def _rates(self) -> dict[str, Any]:
        spending = self._services.spending
        return {
            **msgspec.to_builtins(spending.rates()),
            "activity": [msgspec.to_builtins(one) for one in spending.activity()[:100]],
        }

    async def _tell_rates(self) -> None:
        standing, playing = self._standing(), self._playing()
        while True:
            await self._services.clock.sleep(_RATES_EVERY)
            self._tell(framed("rates", self._rates()))
            before, standing = standing, self._standing()
            if standing != before:  # by the clock, by what was spent, or by somebody's word: no store is touched
                self._changed["standing"].add("")
                self._touched.set()
            was, playing = playing, self._playing()
            if playing != was:
                self._changed["playing"].add("")
                self._touched.set()

    def _standing(self) -> object:
        return replace(week.in_force(self._services.spending.ration()), yields="")

    def _playing(self) -> object:
        """Return who plays what, and what of it is still arriving."""
        leases = frozenset((lease.video, lease.holder) for lease in self._services.leases.every())
        coming = frozenset(a.video for a in self._services.spending.activity() if arrives(a)) if leases else frozenset()
        return leases, coming & {video for video, _ in leases}

    async def _tell_changes(self) -> None:
        while True:
            await self._touched.wait()
            self._touched.clear()
            changed, self._changed = self._changed, defaultdict(set)
            if changed:
                told = {k: [] if "" in ids or len(ids) > _MOST_IDS else sorted(ids) for k, ids in changed.items()}
                self._tell(framed("changed", told))
                await self._services.clock.sleep(_CHANGES_EVERY)

    def _note(self, touched: Touched) -> None:
        if not self._listeners:
            return
        if any(kind in ("login", "token") for kind, _ in touched):
            for queue in list(self._listeners):
                _finish(queue)
        for kind, ident in touched:
            if kind in _TOLD:
                self._changed[kind].add(ident)
        self._touched.set()

    def _tell(self, event: bytes) -> None:
        for queue in list(self._listeners):
            if queue.full():
                _finish(queue)
                self._listeners.discard(queue)
            else:
                queue.put_nowait(event)


def _finish(queue: asyncio.Queue[bytes | None]) -> None:
    """Put the end before all that waits."""
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
