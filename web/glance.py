"""The numbers every visit asks for, remembered until the store says they changed: this module keeps them at hand.

While media flows, a thread of the store waits for its turn; what has not changed need not be asked for again.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, cast

from appliance.domain.plan import Disk
from appliance.errors import DiskError
from appliance.store.engine import Session, Touched
from web.services import Services

DISK_SECONDS = 2.0
"""How long a look at the disk is good for."""

T = TypeVar("T")
_MOVES = frozenset({"pin", "pin_state", "cached", "video", "channel", "listing", "plan"})


class Glance:
    """One for each web. Call it from the loop; ``close`` it at the end."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[Callable[[Session], Any], Any] = {}
        self._turn = 0
        self._disk: tuple[float, Disk | None] | None = None
        self._looking: asyncio.Lock = asyncio.Lock()
        self._end: Callable[[], object] = services.store.listen(self._changed)

    def close(self) -> None:
        """Listen no longer. Idempotent."""
        self._end()

    def _changed(self, marks: Touched) -> None:
        if any(kind in _MOVES for kind, _ in marks):
            self._known.clear()
            self._turn += 1

    async def of(self, question: Callable[[Session], T]) -> T:
        """Return the store's answer to a question about channels, videos and pins, asked again once they changed."""
        if question in self._known:
            return cast("T", self._known[question])
        turn = self._turn
        found = await self._services.store.read(question)
        if turn == self._turn:
            self._known[question] = found
        return found

    async def disk(self) -> Disk | None:
        """Return the library's disk as it was at most ``DISK_SECONDS`` ago; None where it is not there."""
        async with self._looking:
            now = self._services.clock.monotonic()
            if self._disk is None or now - self._disk[0] > DISK_SECONDS:
                self._disk = (now, await self._look())
            return self._disk[1]

    async def _look(self) -> Disk | None:
        try:
            return await self._services.keeping.disk()
        except DiskError:
            return None
