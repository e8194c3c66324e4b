"""Work beside fetching that waits for no plan: pictures, scrub, copies, progress. This module has each as a loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from appliance.clock import Clock
from appliance.domain.pin import PinState
from appliance.domain.units import ByteCount, VideoId
from appliance.pin.opened import Opened
from appliance.pin.opener import Parts
from appliance.store import cached, copies, pins
from appliance.store.copies import Counted
from appliance.store.engine import Session
from appliance.swarm.port import TorrentPhase

PROGRESS = 3.0
COUNT_COPIES = 120.0
_AT_ONCE = 500
"""Videos counted in one transaction, so that no other writer waits long."""

Guarded = Callable[[str, Coroutine[Any, Any, None]], Coroutine[Any, Any, None]]
Work = Callable[[VideoId], Coroutine[Any, Any, None]]


class Line:
    """Videos that wait for one kind of work, each at most once."""

    def __init__(self) -> None:
        self._waiting: dict[VideoId, None] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, video: VideoId) -> None:
        self._waiting[video] = None
        self._news.set()

    async def next(self) -> VideoId:
        """Wait for a video and take it."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        video = next(iter(self._waiting))
        del self._waiting[video]
        return video


class Chores:
    """``guarded`` runs one unit of work and takes note of what goes wrong in it."""

    def __init__(self, parts: Parts, opened: Opened, clock: Clock, guarded: Guarded) -> None:
        self._parts, self._opened, self._clock, self._guarded = parts, opened, clock, guarded
        self.unadorned, self.unscrubbed = Line(), Line()
        self._noted: dict[VideoId, ByteCount] = {}

    async def one_by_one(self, line: Line, what: str, work: Work) -> None:
        """Work through a line, one video at a time: no media waits for it."""
        while True:
            video = await line.next()
            await self._guarded(f"{what} {video}", work(video))

    async def scrub(self) -> int:
        """Have everything that is pinned hashed again; return how many videos that is."""
        held = [p.video for p in await self._parts.store.read(pins.every) if p.state is PinState.PINNED]
        for video in held:
            self.unscrubbed.put(video)
        return len(held)

    async def note_progress(self, watch_disk: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Every few seconds, while something is fetched: write down how far it came, and look at the disk."""
        while True:
            await self._clock.sleep(PROGRESS)
            await self._guarded("progress", self._note_progress())
            await self._guarded("disk", watch_disk())

    async def _note_progress(self) -> None:
        now = {video: holding.done for video, holding in self._opened.holdings.items()}
        moved = {v: n for v, n in now.items() if self._noted.get(v) != n}
        if moved:
            await self._parts.store.write(_note_done, moved)
        self._noted = now

    async def count_copies(self) -> None:
        """Every few minutes: write down how many live copies the swarm and the trackers show."""
        while True:
            await self._clock.sleep(COUNT_COPIES)
            await self._guarded("copies", self._count())

    async def _count(self) -> None:
        seen: dict[VideoId, Counted] = {}
        for info_hash, video in self._opened.owners():
            status = self._parts.swarm.status(info_hash)
            if status is None or status.phase not in (TorrentPhase.WHOLE, TorrentPhase.DOWNLOADING):
                continue
            now, before = Counted(status.complete, status.whole_peers or None), seen.get(video)
            # A copy has every rendition, so the one that has the fewest counts.
            if before is not None:
                now = Counted(_fewest(now.tracker, before.tracker), _fewest(now.peers, before.peers))
            seen[video] = now
        found = list(seen.items())
        for start in range(0, len(found), _AT_ONCE):
            some = dict(found[start : start + _AT_ONCE])
            await self._parts.store.write(copies.note_counted, some, self._clock.now())


def _note_done(session: Session, done: dict[VideoId, ByteCount]) -> None:
    pins.note_done(session, done)
    cached.note_size(session, done)


def _fewest(one: int | None, other: int | None) -> int | None:
    """Return the smaller of two counts; one that is unknown makes it unknown."""
    return None if one is None or other is None else min(one, other)
