"""One pinned video looked after: seeded, kept up with its origin, adorned, scrubbed, said to be missing where it is.

Each method is one unit of work and holds the video's door. This module does what ``keeper`` has decided.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.errors import BadAnswer
from appliance.library import files
from appliance.library.manifest import Manifest
from appliance.pin import upkeep
from appliance.pin.merge import not_whole
from appliance.pin.opened import Opened
from appliance.pin.opener import Parts, record_of, seed
from appliance.pin.pinner import Pinner
from appliance.pin.releaser import Releaser
from appliance.pin.scrub import scrub
from appliance.store import pins


class Warden:
    """See the module. ``adorn`` is told of videos whose captions and pictures are to be fetched."""

    def __init__(
        self, parts: Parts, opened: Opened, pinner: Pinner, releaser: Releaser, adorn: Callable[[VideoId], None]
    ) -> None:
        self._parts, self._opened, self._adorn = parts, opened, adorn
        self._pinner, self._releaser = pinner, releaser

    async def seed(self, pin: Pin) -> None:
        """Put a pinned video into the swarm after a start."""
        async with self._opened.door(pin.video):
            if (pin.video in self._opened.holdings) or not await self._still(pin):
                return
            seeding = await seed(self._parts, pin, await record_of(self._parts, pin.video))
            self._opened.own(pin.video, seeding.torrents)
            if seeding.lost:
                await self._lose(pin.video, seeding.lost, seeding.lost_rendition)
                return
            if seeding.manifest is not None and _has_surplus(seeding.manifest, pin):
                await self._releaser.drop_surplus(seeding.manifest, pin)

    async def _still(self, pin: Pin) -> bool:
        now = await self._parts.store.read(pins.one, pin.video)
        return now is not None and now.state is pin.state

    async def keep_up(self, pin: Pin) -> None:
        """Follow what the origin just said of a pinned video."""
        async with self._opened.door(pin.video):
            if not await self._still(pin):
                return
            record = await record_of(self._parts, pin.video)
            try:
                kept = await upkeep.keep_up(self._parts, pin, record, self._opened.is_anothers)
            except BadAnswer as error:
                await self._lose(pin.video, error.message, None)
                return
            if kept is None:
                return
            self._opened.own(pin.video, kept.torrents)
            self._opened.settle(pin.video)
            self._opened.tell(pin.video)
            if kept.replaced:
                size = sum(r.size for r in record.renditions if r.name in pin.renditions)
                await self._pinner.promise(pin.video, pin.renditions, size, replace(pin, done=ByteCount(0)))
            elif kept.stale_sides:
                self._adorn(pin.video)

    async def enrich(self, video: VideoId) -> None:
        """Fetch captions and pictures of a pinned video."""
        async with self._opened.door(video):
            pin = await self._parts.store.read(pins.one, video)
            if pin is not None and pin.state is PinState.PINNED:
                await upkeep.enrich(self._parts, pin, await record_of(self._parts, video))
                self._opened.tell(video)

    async def scrub(self, video: VideoId) -> None:
        """Hash a pinned video again; what is rotten is fetched again."""
        async with self._opened.door(video):
            pin = await self._parts.store.read(pins.one, video)
            if pin is None or pin.state is not PinState.PINNED:
                return
            rot = await scrub(self._parts, pin, await record_of(self._parts, video), self._opened.is_anothers)
            if rot is not None:
                await self._lose(video, rot.why, rot.rendition)

    async def lose(self, video: VideoId, why: str, rendition: RenditionName | None) -> None:
        """Something of a pinned video is not there: say so, and let the plan have it fetched again."""
        async with self._opened.door(video):
            await self._lose(video, why, rendition)

    async def _lose(self, video: VideoId, why: str, rendition: RenditionName | None) -> None:
        await asyncio.to_thread(self._parts.library.require)
        pin = await self._parts.store.read(pins.one, video)
        if pin is None or pin.state is not PinState.PINNED:
            return
        trouble = Trouble("missing", f"Part of this video is missing. {why}", "It is fetched again if a rule wants it.")
        await self._parts.store.promise(pins.put, replace(pin, state=PinState.MISSING, trouble=trouble))
        await self._opened.drop_torrents(video)
        record = await record_of(self._parts, video)
        await asyncio.to_thread(self._mark, record.summary.origin, pin, rendition)
        self._opened.tell(video)

    def _mark(self, origin: Origin, pin: Pin, rendition: RenditionName | None) -> None:
        """Have what is lost no longer served from the disk."""
        try:
            manifest = files.load(self._parts.library, origin, pin.video)
        except BadAnswer:
            return
        if manifest is not None:
            names = frozenset(str(n) for n in ((rendition,) if rendition is not None else pin.renditions))
            files.save(self._parts.library, not_whole(manifest, names))


def _has_surplus(manifest: Manifest, pin: Pin) -> bool:
    return bool(manifest.others) or any(r.name not in pin.renditions for r in manifest.renditions)
