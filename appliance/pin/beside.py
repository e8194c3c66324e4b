"""What stands beside a video at its origin and not on our disk: its picture, and its subtitles. Nothing is fetched
before somebody wants to see it. This module knows what there is; ``errands`` brings it.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.clock import Clock
from appliance.domain.catalogue import VideoRecord
from appliance.domain.shelf import PlayableCaption
from appliance.domain.units import VideoId
from appliance.domain.video import Caption, Upstream
from appliance.errors import BadAnswer, OriginError, SeedkeepError
from appliance.library.layout import base_name
from appliance.pin.adornment import is_image, is_vtt
from appliance.pin.errands import Errands, Wanted
from appliance.store import videos
from appliance.store.engine import Store

PATIENCE = 4.0
"""Seconds that a screen waits for a picture or a file of subtitles."""
MOST_BYTES = 2 * 1024 * 1024
"""Of a picture, or a file of subtitles: what is only looked at may be smaller than what is kept."""
MOST_LANGUAGES = 40
_ASKED_AT_ONCE = 8
_LOOKS, _LOOKS_IN = 60, 600.0
"""How many lists of subtitles are asked for in so many seconds only because somebody looks at a video."""
_LASTS, _BARE_LASTS, _FAILED_LASTS = 6 * 3600.0, 3600.0, 120.0
_REMEMBERED = 2000

_log = logging.getLogger(__name__)

Lists = Callable[[VideoId, bool], Awaitable[tuple[Caption, ...]]]
"""(video, whether a viewer waits) → what subtitles its origin has. Raises OriginError."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Subtitles as they are offered, and where each file is, until when this counts."""

    offered: tuple[PlayableCaption, ...]
    urls: tuple[str, ...]
    until: float


_NOTHING = _Known((), (), 0.0)


class Beside:
    """See the module. Call it from the loop. ``may`` says whether anything may come from the internet now."""

    def __init__(
        self, store: Store, errands: Errands, lists: Lists, clock: Clock, may: Callable[[], bool] = lambda: True
    ) -> None:
        self._store, self._errands, self._lists, self._clock, self._may = store, errands, lists, clock, may
        self._known: OrderedDict[VideoId, _Known] = OrderedDict()
        self._asking: dict[VideoId, asyncio.Task[None]] = {}
        self._looks: deque[float] = deque(maxlen=_LOOKS)

    async def close(self) -> None:
        """Ask nothing more."""
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        await self._errands.close()

    async def picture(self, video: VideoId) -> Path | None:
        """Return the video's picture, fetched first where it is not here; None where it cannot be had in time."""
        url, upstream = await self._store.read(videos.thumbnail, video)
        if url is None or upstream in (Upstream.GONE, Upstream.HIDDEN):
            return None if url is None else await self._errands.find(url)
        return await self._errands.bring(Wanted(url, MOST_BYTES, is_image), PATIENCE)

    # Subtitles

    def captions_now(self, video: VideoId) -> tuple[PlayableCaption, ...]:
        """Return the subtitles that its origin is known to have, the most useful first."""
        return self._known.get(video, _NOTHING).offered

    def ask(self, video: VideoId, *, watched: bool = False) -> asyncio.Task[None] | None:
        """Begin to ask which subtitles there are, unless that is known; ``watched``: somebody plays the video.

        Return the asking, None where there is none.
        """
        now = self._clock.monotonic()
        asking = self._asking.get(video)
        if asking is not None or self._known.get(video, _NOTHING).until > now:
            return asking
        if len(self._asking) >= _ASKED_AT_ONCE or not self._may() or not (watched or self._may_look(now)):
            return None
        asking = self._asking[video] = asyncio.create_task(self._ask(video, watched), name=f"subtitles of {video}")
        asking.add_done_callback(lambda _: self._asking.pop(video, None))
        return asking

    async def captions(self, video: VideoId, patience: float) -> tuple[PlayableCaption, ...]:
        """Return the subtitles that its origin has, as far as it says so within ``patience`` seconds."""
        asking = self.ask(video)
        if asking is not None:
            await asyncio.wait({asking}, timeout=patience)
        return self.captions_now(video)

    async def caption(self, video: VideoId, fits: Callable[[PlayableCaption], bool]) -> Path | None:
        """Return the file of the first subtitles that fit, fetched first where it is not here; None where it cannot
        be had in time."""
        if not self.captions_now(video):
            await self.captions(video, PATIENCE)
        known = self._known.get(video, _NOTHING)
        url = next((url for one, url in zip(known.offered, known.urls, strict=True) if fits(one)), None)
        return None if url is None else await self._errands.bring(Wanted(url, MOST_BYTES, is_vtt), PATIENCE)

    def _may_look(self, now: float) -> bool:
        if len(self._looks) == _LOOKS and now - self._looks[0] < _LOOKS_IN:
            return False
        self._looks.append(now)
        return True

    async def _ask(self, video: VideoId, watched: bool) -> None:
        before = self._known.get(video, _NOTHING)
        lasts = _FAILED_LASTS
        found = (before.offered, before.urls)
        try:
            record = await self._store.read(videos.one, video)
            if record is not None and record.upstream is Upstream.PUBLISHED:
                found = _offered(record, await self._lists(video, watched))
                lasts = _LASTS if found[0] else _BARE_LASTS
        except OriginError as error:
            _log.info("%s: which subtitles there are is not known: %s", video, error.message)
        except SeedkeepError as error:
            _log.warning("%s: which subtitles there are cannot be asked: %s", video, error.message)
        except Exception:  # noqa: BLE001 - the edge of one unit of work: one video
            _log.exception("asking for the subtitles of %s failed", video)
        self._known[video] = _Known(*found, self._clock.monotonic() + lasts)
        self._known.move_to_end(video)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _offered(record: VideoRecord, told: tuple[Caption, ...]) -> tuple[tuple[PlayableCaption, ...], tuple[str, ...]]:
    """Return the subtitles and their addresses: a person's before a machine's, those in what is spoken first."""
    spoken = (record.summary.language or "").partition("-")[0].lower()
    ordered = sorted(told, key=lambda c: (c.automatic, c.language.lower().partition("-")[0] != spoken))
    found: dict[str, tuple[PlayableCaption, str]] = {}
    for one in ordered[:MOST_LANGUAGES]:
        try:
            name = base_name(one.url)
        except BadAnswer:
            continue
        found.setdefault(one.language, (PlayableCaption(one.language, one.label, name, one.automatic), one.url))
    return tuple(c for c, _ in found.values()), tuple(url for _, url in found.values())
