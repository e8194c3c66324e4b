"""What is held only because somebody watched it: kept while it fits a budget of its own, and first to go.

A video's door is held while something of it is closed or deleted; this module keeps the books in the store and the
files in step.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from appliance.clock import Clock
from appliance.domain.pin import Cached
from appliance.domain.plan import Rule, Watched
from appliance.domain.units import ByteCount, ChannelId, Origin, VideoId
from appliance.errors import BadAnswer, NotFound, SeedkeepError
from appliance.library import files, release
from appliance.library.manifest import Manifest
from appliance.pin import merge
from appliance.pin.opened import Opened
from appliance.pin.opener import Parts, record_of
from appliance.store import cached, pins, rules, videos
from appliance.store.leases import Leases
from policies.rules import after_watching

_log = logging.getLogger(__name__)

MOST = ByteCount(10 * 1024**3)
SHARE = 20
"""Without a budget of the owner's: one part in so many of what the library may use, at most ``MOST``."""
_NOTED = timedelta(seconds=20)
"""How old the note of who watches may become."""
_SOON = 1.0


class WatchedNow(SeedkeepError):
    """Somebody watches the video at this moment."""

    code = "watched_now"
    retryable = True


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """``size``: bytes that all that is cached may have together; None: a share of the library. ``keep``: whether
    what was watched is kept at all."""

    size: ByteCount | None = None
    keep: bool = True


@dataclass(frozen=True, slots=True)
class _Scope:
    channels: frozenset[ChannelId]
    tags: frozenset[str]


class Cache:
    """See the module; ``Opened`` asks it for room. Call it from the loop."""

    def __init__(self, parts: Parts, opened: Opened, leases: Leases, clock: Clock, options: CacheOptions) -> None:
        self._parts, self._opened, self._leases, self._clock = parts, opened, leases, clock
        self.options = options

    async def budget(self) -> ByteCount:
        """Return the bytes that all that is cached may have. Raises DiskError."""
        if self.options.size is not None:
            return self.options.size
        held, there = await self._parts.store.read(pins.held_bytes), await self._parts.store.read(cached.held_bytes)
        room = await self._opened.space.room()
        return ByteCount(min(MOST, (held + there + room) // SHARE))

    # Watching begins and ends

    async def begin(self, video: VideoId) -> None:
        """A video that nobody promised is about to be opened for a viewer: known before its first file is there."""
        now = await self._parts.store.read(cached.one, video)
        size = ByteCount(0) if now is None else now.size
        await self._parts.store.promise(cached.put, video, size, self._clock.now())

    async def put_by(self, video: VideoId) -> None:
        """Close a video that nobody watches any more; what came of it stays as far as it fits."""
        async with self._opened.door(video):
            holding = self._opened.holdings.get(video)
            if holding is None or self._leases.held(video) or await self._promised(video):
                return
            manifest, whole_now, done = holding.manifest, holding.whole_names, holding.done
            await self._opened.close(video, keep_torrents=False)
            await self._opened.drop_torrents(video)
            if done and whole_now and await self.budget() > 0 and await self._stays(video, await self._saying()):
                manifest = await asyncio.to_thread(self._settled, manifest, whole_now)
            if not done or not await self._note(manifest, self._clock.now()):
                await self._delete(video, manifest)
        await self.trim()

    def _settled(self, manifest: Manifest, names: frozenset[str]) -> Manifest:
        """Make what is whole last, and say so: from now on it plays from the disk."""
        media = [f.name for r in manifest.renditions if r.name in names for f in r.files]
        files.fsync_files(self._parts.library, manifest, media)
        manifest = merge.whole(manifest, names)
        files.save(self._parts.library, manifest)
        return manifest

    async def _note(self, manifest: Manifest, watched_at: datetime) -> bool:
        """Write down what is on the disk of a video; tell whether it may stay: it is known, and fits by itself."""
        size = await asyncio.to_thread(files.used, self._parts.library, manifest)
        if size > await self.budget() or not await self._stays(manifest.video, await self._saying()):
            return False
        whole = any(r.whole for r in manifest.renditions)
        return await self._parts.store.promise(cached.put, manifest.video, size, watched_at, whole=whole)

    async def _saying(self) -> tuple[Rule, ...]:
        """Return the rules that say what becomes of what was watched."""
        return tuple(r for r in await self._parts.store.read(rules.every) if r.watched is not None)

    async def _stays(self, video: VideoId, saying: tuple[Rule, ...]) -> bool:
        """Tell whether a video that was only watched stays at all: by a rule that says so, else by the settings."""
        found = await self._parts.store.read(videos.one, video) if saying else None
        if found is None:
            return self.options.keep
        scope = _Scope(frozenset(found.channels), frozenset(tag.casefold() for tag in found.summary.tags))
        said = after_watching(saying, scope)
        return self.options.keep if said is None else said is Watched.KEEP

    async def _promised(self, video: VideoId) -> bool:
        return await self._parts.store.read(pins.one, video) is not None

    # Going

    def _idle(self, video: VideoId) -> bool:
        busy = video in self._opened.holdings or self._opened.door(video).locked()
        return not busy and not self._leases.held(video)

    async def _idle_ones(self, but: VideoId | None = None) -> list[Cached]:
        found = await self._parts.store.read(cached.every)
        return [one for one in found if one.video != but and self._idle(one.video)]

    async def size(self, but: VideoId | None) -> ByteCount:
        """Return the bytes that can go at once."""
        return ByteCount(sum(one.size for one in await self._idle_ones(but)))

    async def give(self, size: ByteCount, but: VideoId | None) -> None:
        """Let so many bytes go, the least recently watched first, or all there are."""
        left = int(size)
        for one in await self._idle_ones(but):
            if left <= 0:
                return
            left -= one.size if await self._drop(one.video) else 0

    async def trim(self) -> None:
        """Note what is being watched; then delete what was barred or is not to stay, what does not fit the budget, and
        what stands on the floor. Raises DiskError."""
        if not (found := await self._parts.store.read(cached.every)):
            return
        await self._note_watched(found)
        idle = [one for one in found if self._idle(one.video)]
        saying = await self._saying()
        left = sum(int(one.size) for one in idle)
        for one in idle:
            if (one.barred or not await self._stays(one.video, saying)) and await self._drop(one.video):
                left -= one.size
        disk = await self._opened.space.disk(ByteCount(0))
        over = left - await self.budget()
        await self.give(ByteCount(max(over, disk.floor - disk.free)), None)

    async def _note_watched(self, found: tuple[Cached, ...]) -> None:
        now = self._clock.now()
        stale = [c.video for c in found if now - c.watched_at > _NOTED and self._leases.held(c.video)]
        if stale:
            await self._parts.store.write(cached.note_watched, stale, now)

    async def let_go(self, video: VideoId) -> None:
        """Delete what is cached of a video now. Raises NotFound, WatchedNow, DiskError."""
        if await self._parts.store.read(cached.one, video) is None:
            raise NotFound("Nothing of this video is kept from watching it.")
        if self._leases.held(video):
            raise WatchedNow("Somebody is watching this video.", hint="Try again a minute after they have stopped.")
        if video in self._opened.holdings:
            await self.put_by(video)
        if not await self._drop(video):
            raise WatchedNow("Somebody is at work on this video.", hint="Try again in a moment.")

    async def _drop(self, video: VideoId) -> bool:
        """Delete what is cached of a video, unless somebody is at it; tell whether it is gone."""
        if not self._idle(video):
            return False
        door = self._opened.door(video)
        try:
            async with asyncio.timeout(_SOON):
                await door.acquire()  # it may be about to go to who waited for it, and that one may wait for us
        except TimeoutError:
            return False
        try:
            if self._leases.held(video) or await self._promised(video):
                return False
            record = await record_of(self._parts, video)
            try:
                manifest = await asyncio.to_thread(files.load, self._parts.library, record.summary.origin, video)
            except BadAnswer as error:
                _log.warning("%s: its record is damaged, its files are left: %s", video, error.message)
                manifest = None
            await self._delete(video, manifest)
            return True
        finally:
            door.release()

    async def _delete(self, video: VideoId, manifest: Manifest | None) -> None:
        """Delete what the record lists, then forget it. The caller holds the door. Goes on after any kill."""
        if manifest is not None and not manifest.promised:
            await asyncio.to_thread(release.release, self._parts.library, manifest)
        await self._parts.store.promise(cached.drop, video)
        self._opened.tell(video)

    # After a start

    async def restore(self, ours: frozenset[VideoId]) -> None:
        """Know again what earlier runs left without a promise; ``ours`` are those that pins stand behind, or will."""
        found = {m.video: m for m in await asyncio.to_thread(self._unpromised, ours)}
        known = {one.video: one for one in await self._parts.store.read(cached.every)}
        for video, manifest in found.items():
            await self._know_again(manifest, known.get(video))
        for video in known.keys() - found.keys() - ours:
            if self._idle(video):
                await self._parts.store.promise(cached.drop, video)
        for video, folder in await asyncio.to_thread(lambda: list(files.empty_folders(self._parts.library))):
            async with self._opened.door(video):
                await asyncio.to_thread(release.remove_empty, self._parts.library, folder)
        await self.trim()

    async def _know_again(self, manifest: Manifest, known: Cached | None) -> None:
        async with self._opened.door(manifest.video):
            if manifest.video in self._opened.holdings or await self._promised(manifest.video):
                return
            watched_at = await asyncio.to_thread(self._last_written, manifest) if known is None else known.watched_at
            manifest = await asyncio.to_thread(self._as_it_lies, manifest)
            if not await self._note(manifest, watched_at):
                await self._delete(manifest.video, manifest)

    def _last_written(self, manifest: Manifest) -> datetime:
        folder = self._parts.library.folder(Origin(manifest.origin), manifest.video)
        try:
            return min(datetime.fromtimestamp(folder.stat().st_mtime, UTC), self._clock.now())
        except OSError:
            return self._clock.now()

    def _as_it_lies(self, manifest: Manifest) -> Manifest:
        """Say no longer whole what is not there: a kill in the midst of a deletion leaves that."""
        sizes = files.present_names(self._parts.library, manifest)
        lost = {r.name for r in manifest.renditions if r.whole and any(sizes.get(f.name) != f.size for f in r.files)}
        if lost:
            manifest = merge.not_whole(manifest, frozenset(lost))
            files.save(self._parts.library, manifest)
        return manifest

    def _unpromised(self, ours: frozenset[VideoId]) -> list[Manifest]:
        found = files.load_all(self._parts.library)
        return [m for m in found if isinstance(m, Manifest) and not m.promised and m.video not in ours]
