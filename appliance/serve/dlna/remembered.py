"""What was read from the catalogue and takes long to read again: this module remembers it, within bounds.

Once something has changed, what is long is given out as it was until it is read again in the background, at once: a
page then is a moment older than the catalogue. While changes go on, the time between two readings is such that they
take a small share of the processor. What is short, and what nobody asked for lately, is forgotten instead.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from appliance.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

LONG = 1000
"""Videos that must be counted or sorted for what then takes a noticeable time to read."""
_MOST, _MOST_VIDEOS = 24, 400_000
_LATELY, _MOST_RENEWED = 600.0, 4
"""What was asked for within so many seconds is read again in the background, of it so many at most."""
PAUSE, _IDLE = 1.0, 20
"""Seconds between two rounds of reading at least, and how many times as long as the round before took."""


@dataclass(slots=True)
class _Known:
    """``videos``: how many it is about; ``asked``: when it last was, in monotonic seconds; ``old``: something has
    changed since it was read; ``late``: it was given out nevertheless."""

    value: tuple[Any, ...]
    videos: int
    read: Callable[[], Awaitable[tuple[Any, ...]]]
    asked: float
    old: bool
    late: bool = False


class Remembered:
    """See the module. Call it from the loop; ``close`` ends its reading."""

    def __init__(self, clock: Clock, corrected: Callable[[Hashable], None]) -> None:
        """``corrected`` is called with what was given out although it was no longer so, once that is read again."""
        self._clock, self._corrected = clock, corrected
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()
        self._reading: dict[Hashable, asyncio.Task[tuple[Any, ...]]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._turn = 0

    async def close(self) -> None:
        tasks = [*self._reading.values(), *([] if self._renewing is None else [self._renewing])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def get(
        self,
        key: Hashable,
        read: Callable[[], Awaitable[tuple[T, ...]]],
        videos: Callable[[tuple[T, ...]], int] = len,
        *,
        keep: bool = True,
    ) -> tuple[T, ...]:
        """Return what ``read`` answers; all who ask for the same at once share one reading. Raises StoreError.

        ``videos`` tells how many an answer is about; without ``keep`` it is not remembered.
        """
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            known.asked, known.late = self._clock.monotonic(), known.late or known.old
            return known.value
        task = self._reading.get(key)
        if task is None:
            task = asyncio.create_task(self._read(key, read, videos, keep), name="a listing")
            self._reading[key] = task
            task.add_done_callback(lambda done: self._reading.pop(key) if self._reading.get(key) is done else None)
        return await asyncio.shield(task)

    async def _read(
        self,
        key: Hashable,
        read: Callable[[], Awaitable[tuple[T, ...]]],
        videos: Callable[[tuple[T, ...]], int],
        keep: bool,
    ) -> tuple[T, ...]:
        turn = self._turn
        value = await read()
        about = videos(value)
        if keep and (turn == self._turn or about >= LONG):
            self._known[key] = _Known(value, about, read, self._clock.monotonic(), turn != self._turn)
            while len(self._known) > _MOST or sum(one.videos for one in self._known.values()) > _MOST_VIDEOS:
                self._known.popitem(last=False)
            self._renew()
        return value

    def changed(self, concerns: Callable[[Hashable], bool]) -> None:
        """Tell that what ``concerns`` says yes to may be no longer so."""
        self._turn += 1
        self._reading.clear()  # who asks from now on wants what is there now
        left, since = _MOST_RENEWED, self._clock.monotonic() - _LATELY
        for key in [key for key in reversed(self._known) if concerns(key)]:
            known = self._known[key]
            if known.videos >= LONG and known.asked >= since and left:
                known.old, left = True, left - 1
            else:
                del self._known[key]
        self._renew()

    def _renew(self) -> None:
        idle = self._renewing is None or self._renewing.done()
        if idle and any(known.old for known in self._known.values()):
            self._renewing = asyncio.create_task(self._renew_all(), name="listings read again")

    async def _renew_all(self) -> None:
        while old := [key for key, known in reversed(self._known.items()) if known.old]:
            begun = self._clock.monotonic()
            for key in old:
                await self._renew_one(key)
            await self._clock.sleep(max(PAUSE, _IDLE * (self._clock.monotonic() - begun)))

    async def _renew_one(self, key: Hashable) -> None:
        known = self._known.get(key)
        if known is None:
            return
        turn = self._turn
        try:
            value = await known.read()
        except Exception:  # whoever asks for it next is told
            log.exception("A listing cannot be read again")
            self._known.pop(key, None)
            return
        if self._known.get(key) is known:
            corrected, known.late = known.late and value != known.value, False
            known.value, known.old = value, turn != self._turn
            if corrected:
                self._corrected(key)
