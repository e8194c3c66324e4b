"""One video made whole: fetched, verified, settled. The work holds the video's door; states are those of STATE.md. This
module does what ``keeper`` has decided.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import msgspec

from appliance.clock import Clock
from appliance.domain.catalogue import VideoRecord
from appliance.domain.pin import Pin, PinState
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.domain.video import RenditionKind
from appliance.errors import (
    BadAnswer,
    DiskError,
    LibraryMissing,
    NoSpace,
    OriginError,
    QuotaUsed,
    SeedkeepError,
    SwarmError,
)
from appliance.library import files
from appliance.library.layout import base_name
from appliance.library.manifest import Manifest, RenditionRecord
from appliance.pin.allowance import Allowance
from appliance.pin.holding import Holding
from appliance.pin.merge import whole
from appliance.pin.opened import Opened
from appliance.pin.opener import Parts, open_holding, picked, record_of, seed, sentence, stored
from appliance.pin.patience import NoSource, why_nothing_comes
from appliance.pin.reconcile import set_back, whole_now
from appliance.pin.releaser import Releaser
from appliance.pin.scrub import rotten
from appliance.pin.stored import comes_without_origin
from appliance.store import cached, pins
from appliance.store.leases import Leases

STALE = timedelta(minutes=30)
"""A detail older than this is asked for again before its addresses are used."""
OnlyNear = Callable[[Pin, VideoRecord], Awaitable[QuotaUsed | None]]
"""Returns why a pin may come from a server on the LAN alone, if so; raises it where it may not come at all."""
_PATIENCE = 3.0
"""Seconds that a resting origin is waited for; one that rests longer is not tried."""


class Resting(Exception):
    """The video's origin is left alone for ``seconds`` more; nothing was tried, nothing was written."""

    def __init__(self, origin: Origin, seconds: float) -> None:
        super().__init__(origin)
        self.origin, self.seconds = origin, seconds


class Pinner:
    """See the module. ``adorn`` is told of videos whose captions and pictures are to be fetched."""

    def __init__(
        self,
        parts: Parts,
        opened: Opened,
        leases: Leases,
        releaser: Releaser,
        clock: Clock,
        chance: Callable[[], float],
        adorn: Callable[[VideoId], None],
    ) -> None:
        self._parts, self._opened, self._leases, self._releaser = parts, opened, leases, releaser
        self._clock, self._chance, self._adorn = clock, chance, adorn

    async def promise(self, video: VideoId, renditions: tuple[RenditionName, ...], size: int, now: Pin | None) -> None:
        """Write a pin as queued, with other renditions where there is one already.

        What is here of it because somebody watched it is here already.
        """
        done = await self._cached_bytes(video, renditions) if now is None else now.done
        fresh = Pin(
            video=video,
            state=PinState.QUEUED,
            renditions=renditions,
            size=ByteCount(size),
            done=ByteCount(min(size, done)),
            since=self._clock.now() if now is None else now.since,
        )
        await self._put(fresh)

    async def _cached_bytes(self, video: VideoId, renditions: tuple[RenditionName, ...]) -> ByteCount:
        if await self._parts.store.read(cached.one, video) is None:
            return ByteCount(0)
        record = await record_of(self._parts, video)
        try:
            return await asyncio.to_thread(self._on_disk, record.summary.origin, video, frozenset(renditions))
        except (BadAnswer, DiskError):
            return ByteCount(0)

    def _on_disk(self, origin: Origin, video: VideoId, names: frozenset[str]) -> ByteCount:
        manifest = files.load(self._parts.library, origin, video)
        if manifest is None:
            return ByteCount(0)
        of_these = tuple(r for r in manifest.renditions if r.name in names)
        media = {f.name for r in of_these for f in r.files}
        return files.used(self._parts.library, manifest, media)

    async def fetch(self, pin: Pin, allowance: Allowance, only_near: OnlyNear) -> None:
        """Make a pin whole, or write down why it is not. Raises Resting."""
        async with self._opened.door(pin.video):
            try:
                await self._fetch(pin, allowance, only_near)
            except SeedkeepError as error:
                await self._set_back(pin, await self._named(error))
            except Resting:
                raise
            except Exception as error:
                await self._set_back(pin, sentence(error))
                raise

    async def _fetch(self, pin: Pin, allowance: Allowance, only_near: OnlyNear) -> None:
        await asyncio.to_thread(self._parts.library.require)
        record = await record_of(self._parts, pin.video)
        if await self._is_whole_already(pin, record):
            return
        near = await only_near(pin, record)
        await allowance.require(record.summary.origin)
        rest = self._parts.fetcher.manners.rest(record.summary.origin)
        if rest > _PATIENCE and not await self._goes_without_origin(pin, record):
            raise Resting(record.summary.origin, rest)
        await self._opened.require_room(pin.video, ByteCount(max(0, pin.size - pin.done)))
        await self._put(replace(pin, state=PinState.PINNING, trouble=None, next_try=None))
        try:
            holding = await self._holding(pin, record, near is not None)
        except SwarmError:
            if near is not None:
                raise near from None  # what cannot be checked without its torrent waits with the others
            raise
        await self._opened.go_on(holding)
        try:
            await holding.wait()
        except NoSource:
            raise await why_nothing_comes(self._parts.fetcher, holding.addresses[0]) from None
        await self._finish(pin, holding)

    async def _named(self, error: SeedkeepError) -> SeedkeepError:
        """An error of the disk is the missing library's where the library is missing."""
        if isinstance(error, DiskError) and not isinstance(error, NoSpace):
            try:
                await asyncio.to_thread(self._parts.library.require)
            except LibraryMissing as missing:
                return missing
        return error

    async def _is_whole_already(self, pin: Pin, record: VideoRecord) -> bool:
        """Pin from what lies on the disk, where an earlier attempt left it whole: no origin is needed for that."""
        if pin.video in self._opened.holdings:
            return False
        try:
            manifest = await asyncio.to_thread(files.load, self._parts.library, record.summary.origin, pin.video)
        except BadAnswer:
            return False
        if manifest is None or not _fits(manifest, pin, record):
            return False
        for name in pin.renditions:
            held = manifest.rendition(name)
            if held is None or (not held.whole and await asyncio.to_thread(rotten, self._parts, manifest, held) > 0):
                return False
        manifest = whole(manifest, frozenset(str(n) for n in pin.renditions))
        manifest = msgspec.structs.replace(manifest, promised=True)  # it may have been held for who watched it
        seeding = await seed(self._parts, pin, record, manifest)
        self._opened.own(pin.video, seeding.torrents)
        if seeding.lost:
            await self._opened.drop_torrents(pin.video)
            return False
        await asyncio.to_thread(files.save, self._parts.library, manifest)
        await self._settle(pin, manifest)
        if seeding.bare:
            self._adorn(pin.video)
        return True

    async def _holding(self, pin: Pin, record: VideoRecord, near: bool) -> Holding:
        """Return the video open: as a viewer left it where it holds what the pin wants, else opened now.

        ``near``: it comes from its origin alone, without torrents.
        """
        if (open_now := self._opened.holdings.get(pin.video)) is not None:
            if open_now.renditions >= frozenset(pin.renditions) and not (near and open_now.info_hashes):
                await open_now.promise()
                return open_now
            await self._opened.close(pin.video, keep_torrents=False)
        if record.detail_at is None or self._clock.now() - record.detail_at > STALE:
            try:
                await self._parts.sources.detail(pin.video)
            except OriginError as error:
                if not (error.retryable and await self._goes_without_origin(pin, record)):
                    raise
            record = await record_of(self._parts, pin.video)
        chosen = picked(record, pin.renditions)
        urgent, owner = self._leases.held(pin.video), self._opened.owner
        holding = await open_holding(
            self._parts,
            record,
            chosen,
            promised=True,
            urgent=urgent,
            owner=owner,
            anew=_led_nowhere(pin),
            torrents=not near,
        )
        self._opened.take(holding)
        return holding

    async def _goes_without_origin(self, pin: Pin, record: VideoRecord) -> bool:
        """Tell whether all that peers can be asked with lies here."""
        try:
            there = await stored(self._parts, record, picked(record, pin.renditions))
        except OriginError:
            return False
        return there is not None and comes_without_origin(there) and not _led_nowhere(pin)

    async def _finish(self, pin: Pin, holding: Holding) -> None:
        await holding.secure()
        manifest = whole(holding.manifest, frozenset(str(n) for n in pin.renditions))
        await asyncio.to_thread(files.save, self._parts.library, manifest)
        holding.manifest = manifest
        await self._settle(pin, manifest)
        if not self._leases.held(pin.video):
            await self._opened.close(pin.video, keep_torrents=True)
        if frozenset(r.info_hash for r in manifest.renditions if r.torrent) - frozenset(holding.info_hashes.values()):
            # It came by ranges, for another video has its torrent: it is that one's heir, or there is none any more.
            seeding = await seed(self._parts, pin, await record_of(self._parts, pin.video), manifest)
            self._opened.own(pin.video, seeding.torrents)
        self._adorn(pin.video)

    async def _settle(self, pin: Pin, manifest: Manifest) -> None:
        """Everything is here and lasts: write the pin as pinned, then delete what nobody wants any more."""
        size = ByteCount(sum(r.size for r in manifest.renditions if r.name in pin.renditions))
        await self._put(whole_now(pin, size, self._clock.now()))
        await self._releaser.drop_surplus(manifest, pin)
        self._opened.tell(pin.video)

    async def _set_back(self, pin: Pin, error: SeedkeepError) -> None:
        """Write down why a pin does not go on; what it has stays on the disk, its torrents stop."""
        holding = self._opened.holdings.get(pin.video)
        standing = set_back(pin, error, self._clock.now(), self._chance())
        if holding is not None:
            standing = replace(standing, done=holding.done, size=holding.size)
            if not self._leases.held(pin.video):
                await self._opened.close(pin.video, keep_torrents=False)
            elif isinstance(error, NoSpace | LibraryMissing):
                await holding.pause()
        await self._put(standing)

    async def _put(self, pin: Pin) -> None:
        await self._parts.store.promise(pins.put, pin)


def _led_nowhere(pin: Pin) -> bool:
    """Tell whether what was gathered for the last attempt may be to blame for its end."""
    return pin.trouble is not None and pin.trouble.code in (BadAnswer.code, SwarmError.code)


def _fits(manifest: Manifest, pin: Pin, record: VideoRecord) -> bool:
    """Tell whether the record on the disk says that all the pin wants is whole, and of the origin's present files."""
    theirs = {r.name: r for r in record.renditions}
    for name in pin.renditions:
        held = manifest.rendition(name)
        if held is None or not (held.whole or (pin.pinned_at is not None and _can_be_verified(held))):
            return False
        now = theirs.get(name)
        if now is not None and not now.file_url.endswith("/") and held.files[0].name != base_name(now.file_url):
            return False
    return bool(pin.renditions)


def _can_be_verified(held: RenditionRecord) -> bool:
    """HLS without a torrent is only ever kept with the SHA-256 of each segment; plain MP4 has none."""
    return held.torrent is not None or held.kind is RenditionKind.HLS
