"""Who may ask an origin next: this module is a counted gate that lets a viewer's request go first."""

import asyncio
import heapq
from contextlib import suppress


class Lane:
    """At most ``width`` users at once, ``extra`` more that have priority; first come, first served in each class."""

    def __init__(self, width: int, extra: int = 0) -> None:
        self._width, self._extra = width, extra
        self._busy = 0
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._tickets = 0

    @property
    def idle(self) -> bool:
        return self._busy == 0 and not self._waiting

    async def enter(self, priority: bool = False) -> None:
        """Wait for a place. Whoever enters must ``leave``."""
        if not self._waiting and self._has_place(priority):
            self._busy += 1
            return
        self._tickets += 1
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = (not priority, self._tickets, place)
        heapq.heappush(self._waiting, ticket)
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            with suppress(ValueError):
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
            self._admit()
            raise

    def leave(self) -> None:
        """Give the place to the next in line."""
        self._busy -= 1
        self._admit()

    def _has_place(self, priority: bool) -> bool:
        return self._busy < self._width + (self._extra if priority else 0)

    def _admit(self) -> None:
        while self._waiting and self._has_place(not self._waiting[0][0]):
            place = heapq.heappop(self._waiting)[2]
            if not place.done():
                self._busy += 1
                place.set_result(None)
