"""What is open now, whose torrents are whose, and the one door to each video. This module keeps these books.

Whoever opens, fetches, changes or deletes something of a video holds its ``door`` meanwhile.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol
from weakref import WeakValueDictionary

from appliance.domain.units import ByteCount, InfoHash, RenditionName, VideoId
from appliance.library.space import Space
from appliance.pin.holding import Holding
from appliance.swarm.port import Swarm

IsAnothers = Callable[[InfoHash, VideoId], bool]
"""Whether a torrent in the swarm is another video's than this: it stands over that one's files."""


class Spare(Protocol):
    """What is on the disk without a promise, and goes where room is needed."""

    async def size(self, but: VideoId | None) -> ByteCount:
        """Return the bytes that can go at once, those of ``but`` left out."""
        ...

    async def give(self, size: ByteCount, but: VideoId | None) -> None:
        """Let so many bytes go, or all there are, those of ``but`` left out."""
        ...


class Opened:
    """See the module. Call it from the loop. ``spare`` gives room; it is set once there is one."""

    spare: Spare | None = None

    def __init__(self, swarm: Swarm, space: Space) -> None:
        self._swarm, self.space = swarm, space
        self.holdings: dict[VideoId, Holding] = {}
        self._owners: dict[InfoHash, tuple[VideoId, RenditionName]] = {}
        self._heirs: dict[InfoHash, set[VideoId]] = {}
        self.heirs: set[VideoId] = set()
        """Pinned videos whose torrent has left the swarm with the video that had it: they may seed it now."""
        self._doors: WeakValueDictionary[VideoId, asyncio.Lock] = WeakValueDictionary()
        self._listeners: list[Callable[[VideoId], None]] = []
        self._counters: list[Callable[[Holding], None]] = []

    def door(self, video: VideoId) -> asyncio.Lock:
        """Return the lock that is held by whoever works on a video's files or torrents."""
        lock = self._doors.get(video)
        if lock is None:
            lock = self._doors[video] = asyncio.Lock()
        return lock

    # Who is told

    def on_change(self, listener: Callable[[VideoId], None]) -> None:
        """Call ``listener`` when what is on the disk of a video changed."""
        self._listeners.append(listener)

    def on_close(self, counter: Callable[[Holding], None]) -> None:
        """Call ``counter`` with a holding just before it is closed."""
        self._counters.append(counter)

    def tell(self, video: VideoId) -> None:
        for listener in self._listeners:
            listener(video)

    # Torrents

    def owner(self, info_hash: InfoHash) -> tuple[VideoId, RenditionName] | None:
        """Return whose torrent it is."""
        return self._owners.get(info_hash)

    def owners(self) -> tuple[tuple[InfoHash, VideoId], ...]:
        return tuple((info_hash, video) for info_hash, (video, _) in self._owners.items())

    def own(self, video: VideoId, torrents: dict[RenditionName, InfoHash]) -> None:
        """Note whose torrents these are; one that is another video's already stays that one's, as its files do.

        Who comes second is its heir.
        """
        for name, info_hash in torrents.items():
            if self.is_anothers(info_hash, video):
                self._heirs.setdefault(info_hash, set()).add(video)
            else:
                self._owners[info_hash] = (video, name)

    def is_anothers(self, info_hash: InfoHash, video: VideoId) -> bool:
        """Tell whether the torrent is noted as another video's than this."""
        owner = self._owners.get(info_hash)
        return owner is not None and owner[0] != video

    def settle(self, video: VideoId) -> None:
        """Forget which torrents were a video's and have left the swarm; somebody may have waited for them."""
        for info_hash in [h for h, owner in self._owners.items() if owner[0] == video and not self._swarm.holds(h)]:
            del self._owners[info_hash]
            self.heirs |= self._heirs.pop(info_hash, set()) - {video}

    async def drop_torrents(self, video: VideoId, but: frozenset[InfoHash] = frozenset()) -> None:
        """Take a video's torrents, save those in ``but``, out of the swarm. Files stay."""
        for info_hash in [h for h, owner in self._owners.items() if owner[0] == video and h not in but]:
            await self._swarm.remove(info_hash)
        self.settle(video)

    # Holdings

    def take(self, holding: Holding) -> None:
        """Have a video that was opened among ours."""
        self.holdings[holding.video] = holding
        self.own(holding.video, holding.info_hashes)
        self.tell(holding.video)

    async def close(self, video: VideoId, *, keep_torrents: bool) -> None:
        """Close a video, if it is open. Its torrents go on as they are, or leave the swarm."""
        holding = self.holdings.pop(video, None)
        if holding is not None:
            for counter in self._counters:
                counter(holding)
            await holding.close(keep_torrents=keep_torrents)
            self.settle(video)
        self.tell(video)

    async def give_way(self, video: VideoId) -> None:
        """Give the link to who waits for ``video``: what is open only for a viewer goes on when that one asks again."""
        for other in list(self.holdings.values()):
            if other.video != video and other.started and not other.manifest.promised:
                await other.pause()

    async def close_all(self) -> None:
        """End all fetching by range; torrents stay in the swarm, which saves them as it stops."""
        for video in list(self.holdings):
            await self.close(video, keep_torrents=True)

    # Room

    async def room(self, but: VideoId | None = None) -> ByteCount:
        """Return the bytes that may be filled and nobody (save ``but``) is about to: above the floor, or to be had.

        Raises DiskError.
        """
        spare = 0 if self.spare is None else await self.spare.size(but)
        return ByteCount(await self._free(but) + spare)

    async def _free(self, but: VideoId | None) -> ByteCount:
        reserved = sum(max(0, h.size - h.done) for v, h in self.holdings.items() if v != but and h.started)
        return ByteCount(max(0, await self.space.room() - reserved))

    async def require_room(self, video: VideoId, size: ByteCount) -> None:
        """Raise NoSpace unless ``size`` more bytes of a video fit beside what is being fetched.

        What is held without a promise goes for it.
        """
        if self.spare is not None and (short := size - await self._free(video)) > 0:
            await self.spare.give(ByteCount(short), video)
        if size > await self._free(video):
            await self.space.require(ByteCount(await self.space.room() + 1))

    async def require_any(self, wanted: ByteCount) -> None:
        """Raise NoSpace, LibraryMissing at the floor, once what is held without a promise has gone for ``wanted``."""
        if self.spare is not None and await self.space.room() < 1:
            await self.spare.give(wanted, None)
        await self.space.require(ByteCount(1))

    async def go_on(self, holding: Holding) -> None:
        """Have an open video fetched, or fetched again where that had stopped. Raises NoSpace, DiskError."""
        if not holding.started:
            await self.require_room(holding.video, ByteCount(max(0, holding.size - holding.done)))
        await holding.start()
