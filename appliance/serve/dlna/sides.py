"""Subtitles and pictures of videos: this module knows them, within bounds.

Of what is held they stand in its record, which the catalogue does not know. A page waits a moment for records that were
not read yet; what a slow disk does not tell in time is there when it is asked for again. Of what is not held a page
says what is known by heart; only for a single video is its origin asked, and waited for a moment.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.clock import Clock
from appliance.domain.shelf import Beside
from appliance.domain.units import Origin, RenditionName, VideoId
from appliance.domain.video import RenditionKind
from appliance.errors import SeedkeepError
from appliance.library import files
from appliance.library.manifest import Manifest
from appliance.library.marker import Library
from appliance.serve.insides import insides_at
from appliance.serve.television import familiar
from appliance.store.engine import Store, Touched
from appliance.store.screens import ScreenVideo

log = logging.getLogger(__name__)

_MOST = 20_000
_PATIENCE = 0.4
"""Seconds that a page waits for records."""
_MOMENT = 0.5
"""Seconds that the description of a single video waits for its origin."""
_LASTS, _BARE_LASTS = 3600.0, 60.0
"""Seconds after which a record is read again; subtitles and pictures come some time after a video is whole."""


@dataclass(frozen=True, slots=True)
class Side:
    """What stands beside one video. ``captions``: languages, made by people first; ``thumbnail``: a file's path;
    ``hard``: renditions whose own bytes are of codecs that no common television knows."""

    captions: tuple[str, ...] = ()
    thumbnail: Path | None = None
    hard: frozenset[RenditionName] = frozenset()


NOTHING = Side()


class Sides:
    """See the module. Call it from the loop; ``close`` ends its thread."""

    def __init__(self, library: Library, store: Store, clock: Clock, beside: Beside | None) -> None:
        self._library, self._clock, self._beside = library, clock, beside
        self._known: OrderedDict[VideoId, tuple[Side, float]] = OrderedDict()
        self._reading: dict[VideoId, asyncio.Task[Side]] = {}
        self._thread = ThreadPoolExecutor(1, "dlna-sides")
        self._stop = store.listen(self._heard)

    async def close(self) -> None:
        self._stop()
        for task in list(self._reading.values()):
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _heard(self, touched: Touched) -> None:
        for kind, ident in touched:
            if kind == "pin_state" and ident:
                self._known.pop(VideoId(ident), None)
            elif kind == "pin_state":
                self._known.clear()

    async def of(self, videos: Sequence[ScreenVideo]) -> list[Side]:
        """Return what stands beside each of these, as far as it is known in a moment."""
        now = self._clock.monotonic()
        tasks = [self._task(v.id, v.origin) for v in videos if v.held and self._fresh(v.id, now) is None]
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)
        return [self._completed(v, self._known.get(v.id, (NOTHING, 0.0))[0] if v.held else NOTHING) for v in videos]

    async def of_one(self, video: ScreenVideo) -> list[Side]:
        """Return the same of one that somebody looks at: its origin is asked which subtitles there are."""
        (side,) = await self.of([video])
        if self._beside is not None and not side.captions:
            told = await self._beside.captions(video.id, _MOMENT)
            side = replace(side, captions=tuple(one.language for one in told))
        return [side]

    def _completed(self, video: ScreenVideo, side: Side) -> Side:
        """Add what its origin is known to have where nothing is here."""
        if side.captions or self._beside is None or not (known := self._beside.captions_now(video.id)):
            return side
        return replace(side, captions=tuple(one.language for one in known))

    async def picture(self, video: ScreenVideo) -> Path | None:
        """Return a video's picture, fetched first where it is not here; None where it cannot be had now."""
        held = await self._one(video)
        if held.thumbnail is not None or self._beside is None:
            return held.thumbnail
        return await self._beside.picture(video.id)

    async def _one(self, video: ScreenVideo) -> Side:
        """Return what stands beside one video on the disk, however long it takes."""
        if not video.held:
            return NOTHING
        known = self._fresh(video.id, self._clock.monotonic())
        return known if known is not None else await asyncio.shield(self._task(video.id, video.origin))

    def _fresh(self, video: VideoId, now: float) -> Side | None:
        known = self._known.get(video)
        return known[0] if known is not None and known[1] > now else None

    def _task(self, video: VideoId, origin: Origin) -> "asyncio.Task[Side]":
        task = self._reading.get(video)
        if task is None:
            task = asyncio.create_task(self._read(video, origin), name=f"sides {video}")
            self._reading[video] = task
            task.add_done_callback(lambda _: self._reading.pop(video, None))
        return task

    async def _read(self, video: VideoId, origin: Origin) -> Side:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, _side, self._library, origin, video)
        lasts = _BARE_LASTS if found.thumbnail is None or not found.captions else _LASTS
        self._known[video] = (found, self._clock.monotonic() + lasts)
        self._known.move_to_end(video)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return found


def _side(library: Library, origin: Origin, video: VideoId) -> Side:
    try:
        manifest = files.load(library, origin, video)
    except SeedkeepError as error:
        log.info("The record of %s cannot be read: %s", video, error)
        return NOTHING
    if manifest is None:
        return NOTHING
    spoken = (manifest.language or "").partition("-")[0].lower()
    ordered = sorted(manifest.captions, key=lambda c: (c.automatic, c.language.lower().partition("-")[0] != spoken))
    thumbnail = None
    if manifest.thumbnail is not None:
        thumbnail = library.folder(origin, video) / manifest.thumbnail.file
    languages = tuple(dict.fromkeys(caption.language for caption in ordered))
    return Side(languages, thumbnail, _hard(manifest, library.folder(origin, video)))


def _hard(manifest: Manifest, folder: Path) -> frozenset[RenditionName]:
    """Fragments and segments tell their codecs in their first bytes, a plain file may do so anywhere.

    How large and how fast a family takes pictures is for its quirks to say.
    """
    hard = set()
    for r in manifest.renditions:
        if not r.whole or not r.files or r.kind is not RenditionKind.HLS or not r.has_video:
            continue
        inside = insides_at(folder / r.files[0].name, r.files[0].size)
        if inside is not None and inside.codecs and not familiar(inside.codecs):
            hard.add(RenditionName(r.name))
    return frozenset(hard)
