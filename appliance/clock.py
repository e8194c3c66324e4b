"""Time, where it can't be an argument: now, a monotonic count, sleep. This module has the real clock and a test's."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place that asks

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def since_boot() -> float:
    """Return the seconds since this machine started, those it slept too; setting the clock does not move them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ManualClock:
    """A test's clock: it stands until ``advance`` moves it, which wakes the sleepers whose time has come."""

    def __init__(self, start: datetime) -> None:
        self._start = self._now = start
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self._now + timedelta(seconds=seconds), woken))
        await woken.wait()

    @property
    def sleepers(self) -> int:
        """How many sleep."""
        return len(self._sleepers)

    def set(self, now: datetime) -> None:
        """Set the clock, as a person or the network may; nobody slept for it."""
        jump = now - self._now
        self._now, self._start = now, self._start + jump
        self._sleepers = [(due + jump, woken) for due, woken in self._sleepers]

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        due = [s for s in self._sleepers if s[0] <= self._now]
        self._sleepers = [s for s in self._sleepers if s[0] > self._now]
        for _, woken in due:
            woken.set()
