"""The shelf that ``serve`` reads from: held files by their path, open ones by readers, others opened at the first ask.

This module implements ``domain.shelf.ReadyShelf``.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.domain.pin import PinState
from appliance.domain.shelf import NotPlayable, Playable, PlayableCaption, Reader
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.domain.video import Rendition, Upstream
from appliance.errors import LibraryMissing, NoSpace, NotFound, OriginError, QuotaUsed, SeedkeepError
from appliance.library import files
from appliance.library.manifest import Manifest, media_names, to_playable
from appliance.pin.beside import Beside
from appliance.pin.holding import Holding
from appliance.pin.keeper import Keeper
from appliance.pin.merge import served
from appliance.pin.opener import open_holding, record_of
from appliance.pin.rationed import QuotaReader
from appliance.store import decisions, pins
from policies.renditions import chosen

_REMEMBERED = 64
_OPEN_AT_ONCE = 4
_OPEN_SECONDS = 25.0
_WATCH_HEIGHT = 720
"""The tallest rendition opened for a viewer where no rule has chosen one: it starts soon on a small uplink."""


@dataclass(frozen=True, slots=True)
class _OnDisk:
    manifest: Manifest
    present: Mapping[str, ByteCount]
    shown: Playable | None
    """None where it does not play by what is whole."""
    paths: Mapping[str, Path]
    """Where the files are that may be served."""


class HouseShelf:
    """See the module. Call it from the loop."""

    def __init__(self, keeper: Keeper, beside: Beside) -> None:
        self._parts, self._beside = keeper.parts, beside
        self._disk: OrderedDict[VideoId, _OnDisk] = OrderedDict()
        self._changes = 0
        self._opening: dict[VideoId, asyncio.Task[Holding]] = {}
        self._opened, self._cache, self._quota = keeper.opened, keeper.cache, keeper.quota
        self._opened.on_change(self._forget)

    def _forget(self, video: VideoId) -> None:
        self._disk.pop(video, None)
        self._changes += 1

    async def close(self) -> None:
        """Give up what is being opened."""
        for task in list(self._opening.values()):
            task.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await self._beside.close()

    def playable_now(self, video: VideoId) -> Playable | None:
        known = self._disk.get(video)
        return None if known is None or known.shown is None else self._titled(known.shown)

    def file_now(self, video: VideoId, name: str) -> Path | None:
        known = self._disk.get(video)
        if known is None or video in self._opened.holdings:
            return None
        self._disk.move_to_end(video)
        return known.paths.get(name)

    async def playable(self, video: VideoId) -> Playable:
        holding = self._opened.holdings.get(video)
        on_disk = await self._on_disk(video)
        if on_disk is not None and on_disk.shown is not None:
            if not on_disk.manifest.promised and not on_disk.shown.captions:
                self._beside.ask(video, watched=True)
            return self._titled(on_disk.shown)
        if holding is None:
            holding = await self._open(video)
        await self._go_on(holding)
        sides = frozenset() if on_disk is None else frozenset(on_disk.present) - media_names(on_disk.manifest)
        return self._titled(to_playable(holding.opened, holding.bytemaps, sides, partial=True))

    def _titled(self, playable: Playable) -> Playable:
        """Add the subtitles that its origin is known to have, where none are here."""
        if playable.captions or not (known := self._beside.captions_now(playable.video)):
            return playable
        return replace(playable, captions=known)

    # Beside the video

    async def picture(self, video: VideoId) -> Path | None:
        held = await self._if_there(video)
        if held is not None and held.manifest.thumbnail is not None:
            path = held.paths.get(held.manifest.thumbnail.file)
            if path is not None:
                return path
        return await self._beside.picture(video)

    async def storyboard(self, video: VideoId) -> Path | None:
        held = await self._if_there(video)
        board = None if held is None else held.manifest.storyboard
        return None if held is None or board is None else held.paths.get(board.file)

    def captions_now(self, video: VideoId) -> tuple[PlayableCaption, ...]:
        return self._beside.captions_now(video)

    async def captions(self, video: VideoId, patience: float) -> tuple[PlayableCaption, ...]:
        held = await self._if_there(video)
        if held is not None and held.shown is not None and (held.shown.captions or held.manifest.promised):
            return held.shown.captions
        return await self._beside.captions(video, patience)

    async def caption(self, video: VideoId, language: str) -> Path | None:
        held = await self._if_there(video)
        for one in () if held is None else held.manifest.captions:
            if held is not None and one.language == language and (path := held.paths.get(one.file)) is not None:
                return path
        return await self._beside.caption(video, lambda one: one.language == language)

    async def _if_there(self, video: VideoId) -> _OnDisk | None:
        """Return what is on the disk of a video; nothing where the disk cannot be read, or the video is unknown."""
        try:
            return await self._on_disk(video)
        except NotPlayable:
            return None

    # Its bytes

    async def file(self, video: VideoId, name: str) -> Path | Reader:
        holding = self._opened.holdings.get(video)
        if holding is not None:
            await self._go_on(holding)
            found = await holding.file(name)
            if found is not None:
                return self._within_quota(found)
        on_disk = await self._on_disk(video)
        if on_disk is not None and (path := on_disk.paths.get(name)) is not None:
            return path
        if any(name == one.file for one in self._beside.captions_now(video)):
            if (found := await self._beside.caption(video, lambda one: one.file == name)) is not None:
                return found
            raise NotPlayable("no_such_file", "These subtitles cannot be had now.", "Try again in a minute.", 503)
        if holding is None and (on_disk is None or name in media_names(on_disk.manifest)):
            found = await (await self._open(video)).file(name)
            if found is not None:
                return self._within_quota(found)
        raise NotPlayable("no_such_file", "This video has no file of that name.")

    def _refusal(self) -> NotPlayable | None:
        """Return what is said to a viewer while nothing may come from the internet."""
        quota = self._quota()
        if quota is None or quota.again is None:
            return None
        return NotPlayable(
            QuotaUsed.code,
            f"This video is not here, and cannot come now. {quota.why}",
            "It plays then, or when the owner gives more on the bandwidth page. What is kept here plays meanwhile.",
            503,
        )

    def _within_quota(self, found: Path | Reader) -> Path | Reader:
        return found if isinstance(found, Path) or self._quota() is None else QuotaReader(found, self._refusal)

    async def _go_on(self, holding: Holding) -> None:
        try:
            await self._opened.go_on(holding)
        except NoSpace as error:
            raise NotPlayable(error.code, error.message, error.hint, 507) from error

    async def _on_disk(self, video: VideoId) -> _OnDisk | None:
        if (known := self._disk.get(video)) is not None:
            self._disk.move_to_end(video)
            return known
        changes = self._changes
        try:
            record = await record_of(self._parts, video)
            found = await asyncio.to_thread(self._read, record.summary.origin, video)
        except NotFound:
            raise NotPlayable("no_such_video", "There is no such video here.") from None
        except LibraryMissing as error:
            raise NotPlayable("library_missing", error.message, error.hint, 503) from error
        except SeedkeepError as error:
            raise NotPlayable(error.code, error.message, error.hint, 503) from error
        if found is None:
            return None
        if changes == self._changes:
            self._disk[video] = found
        while len(self._disk) > _REMEMBERED:
            self._disk.popitem(last=False)
        return found

    def _read(self, origin: Origin, video: VideoId) -> _OnDisk | None:
        manifest = files.load(self._parts.library, origin, video)
        if manifest is None:
            return None
        manifest = served(manifest)
        bytemaps = files.read_bytemaps(self._parts.library, manifest)
        present = files.present_names(self._parts.library, manifest)
        sides = frozenset(present) - media_names(manifest)
        shown = to_playable(manifest, bytemaps, sides) if _plays(manifest) else None
        folder = self._parts.library.folder(Origin(manifest.origin), video)
        refused = _refused(manifest)
        paths = {name: folder / name for name in present if name not in refused}
        return _OnDisk(manifest, present, shown, paths)

    async def _open(self, video: VideoId) -> Holding:
        """Open a video for a viewer; all who ask meanwhile share it. Raises NotPlayable."""
        task = self._opening.get(video)
        if task is None:
            if len(self._opening) >= _OPEN_AT_ONCE:
                raise NotPlayable("busy", "Too many videos are being opened at once.", "Try again in a moment.", 503)
            task = asyncio.create_task(self._open_now(video), name=f"open {video}")
            self._opening[video] = task
            task.add_done_callback(lambda _: self._opening.pop(video, None))
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError:
            raise NotPlayable(
                "slow_origin", "The video's origin takes too long to answer.", "Try again in a minute.", 504
            ) from None
        except NoSpace as error:
            raise NotPlayable(error.code, error.message, error.hint, 507) from error
        except SeedkeepError as error:
            # What its origin no longer has, or keeps for others, is as gone as what was never there: asking again is
            # of no use, and a screen that is told "later" does ask again.
            gone = isinstance(error, OriginError) and not error.retryable
            raise NotPlayable(error.code, error.message, error.hint, 404 if gone else 503) from error

    async def _open_now(self, video: VideoId) -> Holding:
        async with self._opened.door(video):
            if (holding := self._opened.holdings.get(video)) is not None:
                return holding
            await asyncio.to_thread(self._parts.library.require)
            if (refusal := self._refusal()) is not None:
                raise refusal
            await self._opened.give_way(video)
            self._beside.ask(video, watched=True)
            record = await record_of(self._parts, video)
            if not record.renditions and record.upstream is not Upstream.LIVE:
                await self._parts.sources.detail(video, priority=True)
                record = await record_of(self._parts, video)
            if record.upstream is not Upstream.PUBLISHED:
                raise NotFound(
                    _why_not(record.upstream), hint="What is held of it plays; the rest cannot be fetched now."
                )
            wanted = await self._wanted(video, record.renditions)
            if not wanted:
                raise NotFound("The origin offers no rendition of this video that can be played.")
            await self._opened.require_room(video, ByteCount(sum(r.size for r in wanted)))
            pin = await self._parts.store.read(pins.one, video)
            promised, owner = pin is not None, self._opened.owner
            if not promised:
                await self._cache.begin(video)
            holding = await open_holding(self._parts, record, wanted, promised=promised, urgent=True, owner=owner)
            self._opened.take(holding)
            await holding.start()
            return holding

    async def _wanted(self, video: VideoId, renditions: tuple[Rendition, ...]) -> tuple[Rendition, ...]:
        pin = await self._parts.store.read(pins.one, video)
        decision = await self._parts.store.read(decisions.one, video)
        names: tuple[RenditionName, ...] = ()
        if pin is not None and pin.state is not PinState.RELEASING:
            names = pin.renditions
        elif decision is not None:
            names = decision.renditions
        picked = tuple(r for r in renditions if r.name in names)
        return (
            picked or chosen(renditions, _WATCH_HEIGHT, web_videos=False) or chosen(renditions, None, web_videos=False)
        )


def _plays(manifest: Manifest) -> bool:
    """Tell whether what is whole makes a picture with its sound, or a sound where there is no picture at all."""
    there = [r for r in manifest.renditions if r.whole]
    sound = any(r.has_audio and not r.has_video for r in there)
    pictures = [r for r in manifest.renditions if r.has_video]
    parted = any(r.has_audio and not r.has_video for r in manifest.renditions)
    if not pictures:
        return sound
    return any(r.whole and (r.has_audio or sound or not parted) for r in pictures)


def _refused(manifest: Manifest) -> set[str]:
    """Return the media files of renditions that are not whole, and of no whole one."""
    whole = {f.name for r in manifest.renditions if r.whole for f in r.files}
    return {f.name for r in manifest.renditions for f in r.files} - whole


def _why_not(upstream: Upstream) -> str:
    match upstream:
        case Upstream.LIVE:
            return "Live videos are not played yet."
        case Upstream.PROCESSING:
            return "The origin is still processing this video."
        case Upstream.HIDDEN:
            return "The origin no longer shows this video."
        case Upstream.GONE:
            return "The origin has removed this video."
        case Upstream.PUBLISHED:
            return "This video cannot be opened."
