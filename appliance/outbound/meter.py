"""The bytes we take from the world: how fast they may come and how fast they do. This module counts and holds back."""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable

from appliance.domain.units import BytesPerSecond

_BURST_SECONDS = 0.25
_LEAST_BURST = 64 * 1024
_SLICE_SECONDS = 0.05
_HURRY_SECONDS = 0.5
"""How long after a viewer's read the others take only what the viewer leaves over."""
_SHORT_SECONDS = 1.5
"""How long after a viewer had to wait the rate counts as too small for viewers."""


async def _nobody() -> None:
    """Tell nobody."""


class Meter:
    """A token bucket over everything received, for all origins together.

    Bytes are paid for after they came (so the bucket may go below zero) and before more are read, which lets TCP
    slow the sender down. ``seconds`` is a monotonic clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._rate: int | None = None
        self._tokens = 0.0
        self._filled = seconds()
        self._changed = asyncio.Event()
        self._hurry_until = self._filled
        self._waiting: list[tuple[bool, int]] = []
        self._tickets = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._short_until = self._filled
        self.when_short: Callable[[], Awaitable[None]] = _nobody
        """Awaited when a viewer has to wait who did not just before: whoever sets the rate may have more to give."""

    @property
    def is_short(self) -> bool:
        """Whether a viewer had to wait a moment ago."""
        return self._seconds() < self._short_until

    @property
    def rate(self) -> BytesPerSecond | None:
        return None if self._rate is None else BytesPerSecond(self._rate)

    def set_rate(self, rate: BytesPerSecond | None) -> None:
        """Let ``rate`` bytes/s through from now on; None is unlimited, 0 stops."""
        self._refill()
        self._rate = rate
        self._tokens = min(self._tokens, self._burst())
        self._wake()

    def received_rate(self) -> BytesPerSecond:
        """Return the bytes received in the last second."""
        self._forget(self._seconds())
        return BytesPerSecond(sum(count for _, count in self._recent))

    def note(self, count: int) -> None:
        """Count ``count`` bytes as received."""
        now = self._seconds()
        if self._recent and now - self._recent[-1][0] < _SLICE_SECONDS:
            self._recent[-1] = (self._recent[-1][0], self._recent[-1][1] + count)
        else:
            self._recent.append((now, count))
            self._forget(now)
        if self._rate is not None:
            self._refill()
            self._tokens -= count

    def may_go_on(self, priority: bool) -> bool:
        """Whether more may be read at once."""
        return self._rate is None or (not self._waiting and self._has_tokens(priority))

    async def go_on(self, priority: bool) -> None:
        """Wait until more may be read; those with ``priority`` go first."""
        if priority:
            self._hurry_until = self._seconds() + _HURRY_SECONDS
        if self.may_go_on(priority):
            return
        if priority:
            was_short, self._short_until = self.is_short, self._seconds() + _SHORT_SECONDS
            if not was_short:
                await self.when_short()
        self._tickets += 1
        ticket = (not priority, self._tickets)
        heapq.heappush(self._waiting, ticket)
        try:
            while not (self._rate is None or (self._waiting[0] == ticket and self._has_tokens(priority))):
                await self._until_change(self._delay(priority) if self._waiting[0] == ticket else None)
        finally:
            self._waiting.remove(ticket)
            heapq.heapify(self._waiting)
            self._wake()

    def _has_tokens(self, priority: bool) -> bool:
        self._refill()
        return bool(self._rate) and self._tokens >= self._needed(priority)

    def _needed(self, priority: bool) -> float:
        hurried = not priority and self._seconds() < self._hurry_until
        return self._burst() / 2 if hurried else 0.0

    def _delay(self, priority: bool) -> float | None:
        """Return the seconds until there are tokens again, None where only a new rate brings them."""
        return max((self._needed(priority) - self._tokens) / self._rate, 0.001) if self._rate else None

    async def _until_change(self, seconds: float | None) -> None:
        changed = self._changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            pass

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _burst(self) -> float:
        return 0.0 if self._rate is None else max(self._rate * _BURST_SECONDS, min(_LEAST_BURST, self._rate))

    def _refill(self) -> None:
        now = self._seconds()
        if self._rate is not None:
            self._tokens = min(self._tokens + (now - self._filled) * self._rate, self._burst())
        self._filled = now

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] <= now - 1.0:
            self._recent.popleft()
