"""Letting go: exactly what a video's record lists is deleted, nothing else. The video's door is held meanwhile; this
module does what ``keeper`` has decided.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

from appliance.clock import Clock
from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.units import Origin, RenditionName, VideoId
from appliance.errors import BadAnswer, DiskError, LibraryMissing, SeedkeepError
from appliance.library import files, release
from appliance.library.manifest import Manifest
from appliance.pin.opened import Opened
from appliance.pin.opener import Parts, record_of
from appliance.store import pins
from appliance.store.leases import Leases

_STUCK = timedelta(hours=6)
"""How soon a release that a person has to help with is tried again."""


class Releaser:
    """See the module."""

    def __init__(self, parts: Parts, opened: Opened, leases: Leases, clock: Clock) -> None:
        self._parts, self._opened, self._leases, self._clock = parts, opened, leases, clock

    async def release(self, pin: Pin) -> None:
        """Delete exactly what the video's record lists, then drop the pin. Goes on after any kill."""
        async with self._opened.door(pin.video):
            if pin.state is not PinState.RELEASING:
                pin = replace(pin, state=PinState.RELEASING, trouble=None, next_try=None)
                await self._parts.store.promise(pins.put, pin)
            await asyncio.to_thread(self._parts.library.require)
            await self._opened.close(pin.video, keep_torrents=False)
            await self._opened.drop_torrents(pin.video)
            record = await record_of(self._parts, pin.video)
            try:
                manifest = await asyncio.to_thread(files.load, self._parts.library, record.summary.origin, pin.video)
                if manifest is not None:
                    await asyncio.to_thread(release.release, self._parts.library, manifest)
                else:
                    folder = self._parts.library.folder(record.summary.origin, pin.video)
                    await asyncio.to_thread(release.remove_empty, self._parts.library, folder)
            except (BadAnswer, DiskError) as error:
                await self._stick(pin, record.summary.origin, error)
                return
            await self._parts.store.promise(pins.drop, pin.video)
            self._opened.tell(pin.video)

    async def _stick(self, pin: Pin, origin: Origin, error: SeedkeepError) -> None:
        """What a damaged record listed cannot be known, so nothing is deleted; a person has to look."""
        if isinstance(error, LibraryMissing):
            raise error
        folder = self._parts.library.folder(origin, pin.video)
        trouble = Trouble(error.code, f"This video cannot be deleted. {error.message}", f"Delete {folder} yourself.")
        await self._parts.store.promise(pins.put, replace(pin, trouble=trouble, next_try=self._clock.now() + _STUCK))

    async def drop_surplus(self, manifest: Manifest, pin: Pin) -> None:
        """Delete renditions that the pin does not want, and files that were replaced. The caller holds the door."""
        surplus = [RenditionName(r.name) for r in manifest.renditions if r.name not in pin.renditions]
        if pin.video in self._opened.holdings and self._leases.held(pin.video):
            surplus = []
        rest = release.without(manifest, surplus)
        ours = frozenset(r.info_hash for r in rest.renditions if r.info_hash is not None)
        await self._opened.drop_torrents(pin.video, ours)
        if surplus:
            await asyncio.to_thread(release.release, self._parts.library, manifest, surplus)
        await asyncio.to_thread(release.prune, self._parts.library, rest)

    async def put_away(self, video: VideoId, *, keep_torrents: bool) -> None:
        """Close a pinned video that nobody watches any more and nobody fetches."""
        async with self._opened.door(video):
            if not self._leases.held(video):
                await self._opened.close(video, keep_torrents=keep_torrents)
