"""One video that is open: its record, its torrents and ranges, and the readers on them. This module fetches it whole.

A holding exists while a video is fetched or watched; what is whole and pinned needs none, only its files.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from appliance.domain.shelf import ByteMap, Reader
from appliance.domain.units import ByteCount, InfoHash, Origin, RenditionName, VideoId
from appliance.errors import BadAnswer, SeedkeepError
from appliance.library import files, release
from appliance.library.manifest import Manifest
from appliance.library.marker import Library
from appliance.outbound.fetch import Fetcher
from appliance.pin.assembly import Gathered
from appliance.pin.merge import merged, not_whole
from appliance.pin.ranges import OpenRanges, to_its_end
from appliance.pin.torrents import Carriers, OpenTorrents, Owner
from appliance.swarm.port import Swarm

_log = logging.getLogger(__name__)


class Holding:
    """See the module. Made by ``open_holding``; ``close`` it when it is whole or no longer wanted."""

    def __init__(
        self,
        library: Library,
        swarm: Swarm,
        fetcher: Fetcher,
        gathered: Gathered,
        spend: Callable[[VideoId, RenditionName, int], None],
        carriers: Carriers,
        owner: Owner,
    ) -> None:
        self._library, self._gathered = library, gathered
        self.manifest = gathered.manifest
        self._news = asyncio.Event()
        self._torrents = OpenTorrents(swarm, fetcher, gathered, spend, carriers, owner, self._news.set)
        self._ranges = OpenRanges(library, fetcher, gathered, spend, self._news.set)
        self._trouble: SeedkeepError | None = None
        self._switch = asyncio.Lock()
        self._counted = 0
        self.started = False

    @property
    def video(self) -> VideoId:
        return self.manifest.video

    @property
    def opened(self) -> Manifest:
        """The record of what this holding opened, without what else its folder has."""
        return self._gathered.manifest

    @property
    def renditions(self) -> frozenset[RenditionName]:
        return frozenset(RenditionName(r.name) for r in self._gathered.manifest.renditions)

    @property
    def bytemaps(self) -> Mapping[RenditionName, ByteMap]:
        return self._gathered.bytemaps

    @property
    def info_hashes(self) -> dict[RenditionName, InfoHash]:
        return self._torrents.info_hashes

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where its origin has the files that come by torrent."""
        return self._torrents.addresses

    @property
    def away(self) -> bool:
        """Whether its torrents go without the origin, which is left alone."""
        return self._torrents.away

    def welcome(self) -> None:
        """The origin, which was left alone, may be asked for bytes again."""
        self._torrents.welcome()

    @property
    def size(self) -> ByteCount:
        """Media bytes of all its renditions."""
        return ByteCount(sum(r.size for r in self._gathered.manifest.renditions))

    @property
    def done(self) -> ByteCount:
        """Verified media bytes."""
        return ByteCount(self._torrents.done + self._ranges.done)

    @property
    def whole_names(self) -> frozenset[str]:
        """The renditions of which every byte is here and verified."""
        opened = self._gathered.manifest.renditions
        return frozenset(r.name for r in opened if self._torrents.has_whole(r) or self._ranges.has_whole(r))

    @property
    def received(self) -> ByteCount:
        """Bytes that its torrents were sent since they were added, usable or not."""
        return self._torrents.received

    def newly_taken(self) -> int:
        """Return the bytes that came since this was last asked, usable or not; a viewer's own ranges left out."""
        total = self._torrents.received + self._ranges.taken
        new, self._counted = max(0, total - self._counted), total
        return new

    @property
    def asks_ranges(self) -> bool:
        """Whether ranges are being fetched: those have time limits of their own."""
        return self._ranges.busy

    async def open(self, *, sequential: bool) -> None:
        """List, then add everything stopped; what lies on the disk is verified. Raises SeedkeepError."""
        self._torrents.listen()
        old = await asyncio.to_thread(_load, self._library, self.manifest)
        self.manifest = merged(old, self.manifest)
        folder = await to_its_end(asyncio.to_thread(self._list))  # a thread goes on writing, and we may be let go
        enter = partial(self._library.enter, Origin(self.manifest.origin), self.video)
        for record in self._gathered.manifest.renditions:
            if not await self._torrents.add(record, folder, enter, sequential=sequential):
                await self._ranges.add(record, self.manifest)
        await self._say_what_is_not_whole()

    def _list(self) -> Path:
        """Write the record, then the small files it lists."""
        folder = files.save(self._library, self.manifest)
        release.clear_temporaries(self._library, self.manifest)
        for name, data in self._gathered.sides.items():
            files.write_side(self._library, self.manifest, name, data)
        return folder

    async def _say_what_is_not_whole(self) -> None:
        """What was said to be whole and is not, once verified, is no longer served from the disk."""
        said = frozenset(r.name for r in self.manifest.renditions if r.whole and r.name in self.renditions)
        lost = said - self.whole_names
        if lost:
            self.manifest = not_whole(self.manifest, lost)
            await to_its_end(asyncio.to_thread(files.save, self._library, self.manifest))

    async def promise(self) -> None:
        """A pin stands behind it from now on. Raises LibraryMissing, DiskError."""
        if not self.manifest.promised:
            self.manifest = msgspec.structs.replace(self.manifest, promised=True)
            await asyncio.to_thread(files.save, self._library, self.manifest)

    async def start(self) -> None:
        """Begin to fetch what is missing, or go on where a part had stopped by itself."""
        async with self._switch:
            if not self.started:
                self._trouble = None
            await self._torrents.start(anew=not self.started)
            self._ranges.start()
            self.started = True

    async def pause(self) -> None:
        """Stop fetching; what came stays."""
        async with self._switch:
            self.started = False
            await self._ranges.stop()
            await self._torrents.stop()

    async def wait(self) -> None:
        """Return once every byte is here and verified. Raises the first SeedkeepError that stops a part of it."""
        while True:
            self._news.clear()
            if self._trouble is not None:
                error, self._trouble = self._trouble, None
                raise error
            if (failure := self._torrents.failure or self._ranges.failure) is not None:
                raise failure
            if self._torrents.whole and self._ranges.whole:
                return
            await self._news.wait()

    def fail(self, error: SeedkeepError) -> None:
        """Have ``wait`` raise ``error``: the disk is full, the library is gone."""
        self._trouble = error
        self._news.set()

    async def secure(self) -> None:
        """Make everything that is here last: media files, then resume data. Raises DiskError."""
        names = [f.name for r in self._gathered.manifest.renditions for f in r.files]
        await asyncio.to_thread(files.fsync_files, self._library, self.manifest, names)
        await self._torrents.save()

    async def file(self, name: str) -> Path | Reader | None:
        """Return a media file of this holding: a path where it is whole, else a reader. None: not one of its files."""
        path = self._library.folder(Origin(self.manifest.origin), self.video) / name
        if (work := self._ranges.file(name)) is not None:
            return path if work.whole else work.reader()
        return await self._torrents.file(name, path)

    async def close(self, *, keep_torrents: bool) -> None:
        """End the fetching. Torrents go on seeding, or are forgotten; files stay either way."""
        await to_its_end(self._close(keep_torrents))

    async def _close(self, keep_torrents: bool) -> None:
        self.started = False
        self._torrents.close()
        await self._ranges.close()
        if not keep_torrents:
            await self._torrents.remove()


def _load(library: Library, like: Manifest) -> Manifest | None:
    """Return the record that is there. One that is damaged is written anew: nothing it may have listed is deleted."""
    try:
        return files.load(library, Origin(like.origin), like.video)
    except BadAnswer as error:
        _log.warning("%s: its record is damaged and is made anew: %s", like.video, error.message)
        return None
