"""What an origin says of single videos: this module asks and writes it down."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from appliance.clock import Clock
from appliance.domain.catalogue import VideoRecord
from appliance.domain.channel import Trouble
from appliance.domain.units import Origin, VideoId
from appliance.domain.video import Caption, Extras, Upstream, VideoDetail
from appliance.errors import BadAnswer, Forbidden, NotFound, OriginError, SeedkeepError, StoreError, Throttled
from appliance.follow.cadence import LATEST, detail_retry
from appliance.follow.sources import peertube, peertube_side
from appliance.outbound.fetch import Answer, Fetcher
from appliance.store import details, videos
from appliance.store.engine import Store

FRESH = timedelta(minutes=1)
MOST_BYTES = 2 * 1024 * 1024
_INLINE_BYTES = 128 * 1024
_ABSENCES = frozenset({401, 403, 404, 410})
_MOST_REMEMBERED = 10_000
_log = logging.getLogger(__name__)


def trouble_of(error: SeedkeepError) -> Trouble:
    """Return what a person is told of an error."""
    return Trouble(error.code, error.message, error.hint)


def bug() -> Trouble:
    """Return what a person is told of an error that is ours."""
    return Trouble(
        "internal",
        "Something went wrong inside Seedkeep.",
        "It is tried again later; the log has the details for a report.",
    )


class Details:
    """Asks for details, one video at a time. ``chance`` gives numbers from 0 to 1."""

    def __init__(self, fetcher: Fetcher, store: Store, clock: Clock, chance: Callable[[], float]) -> None:
        self._fetcher, self._store, self._clock, self._chance = fetcher, store, clock, chance
        self._failures: dict[VideoId, int] = {}

    async def ask_most_wanted(self, origin: Origin, most: int) -> int:
        """Ask for up to ``most`` details of ``origin`` in the plan's order; return how many were asked for.

        Failures end on the video. Raises Throttled where the origin has to be left alone, StoreError.
        """
        wanted = await self._store.read(details.wanted, origin, self._clock.now(), most)
        for video in wanted:
            try:
                await self.ask(video)
            except Throttled:
                raise
            except OriginError:
                continue
            except StoreError:
                raise
            except Exception:  # noqa: BLE001 - the edge of one unit of work: one video
                _log.exception("asking for the detail of video %s failed", video)
                await self._note_trouble(video, bug(), retry=True)
        return len(wanted)

    async def ask(self, video: VideoId, *, priority: bool = False, max_age: timedelta = timedelta(0)) -> VideoDetail:
        """Return what the origin says now, written down; what is younger than ``max_age`` is not asked for again.

        Raises OriginError, which is on the video too; NotFound for a video that is unknown here or gone there.
        """
        record = await self._store.read(videos.one, video)
        if record is None:
            raise NotFound("There is no such video in the catalogue.")
        if _is_young(record, self._clock.now() - max_age):
            return _recorded(record)
        try:
            detail = await self._asked(record, priority)
        except Throttled as error:
            again = self._clock.now() + timedelta(seconds=error.after)
            await self._store.write(details.note_trouble, video, trouble_of(error), again)
            raise
        except OriginError as error:
            await self._record_failure(video, error)
            raise
        self._failures.pop(video, None)
        return detail

    async def extras(self, video: VideoId, *, priority: bool = False) -> Extras:
        """Return the captions and the storyboard of a video; a missing list counts as empty. Raises OriginError."""
        record = await self._store.read(videos.one, video)
        if record is None:
            raise NotFound("There is no such video in the catalogue.")
        base, uuid = record.summary.base_url, record.summary.uuid
        captions = await self.captions(video, priority=priority)
        storyboards = await self._beside(peertube.video_url(base, uuid, "storyboards"), priority)
        return Extras(captions, None if storyboards is None else peertube_side.storyboards(storyboards.body, base))

    async def captions(self, video: VideoId, *, priority: bool = False) -> tuple[Caption, ...]:
        """Return the captions of a video; a missing list counts as empty. Raises OriginError."""
        record = await self._store.read(videos.one, video)
        if record is None:
            raise NotFound("There is no such video in the catalogue.")
        base, uuid = record.summary.base_url, record.summary.uuid
        told = await self._beside(peertube.video_url(base, uuid, "captions"), priority)
        return () if told is None else peertube_side.captions(told.body, base)

    async def _beside(self, url: str, priority: bool) -> Answer | None:
        try:
            return await self._fetcher.get(url, max_bytes=MOST_BYTES, priority=priority)
        except NotFound:
            return None

    async def _asked(self, record: VideoRecord, priority: bool) -> VideoDetail:
        summary = record.summary
        settled = record.upstream in (Upstream.PUBLISHED, Upstream.LIVE)
        answer = await self._fetcher.get(
            peertube.video_url(summary.base_url, summary.uuid),
            etag=record.detail_etag if settled and record.detail_at is not None else None,
            max_bytes=MOST_BYTES,
            priority=priority,
            expect=_ABSENCES,
        )
        now = self._clock.now()
        if answer.not_modified:
            await self._store.write(details.unchanged, summary.id, now)
            return _recorded(record)
        if answer.status in _ABSENCES:
            raise await self._absent(record, answer)
        if len(answer.body) > _INLINE_BYTES:
            detail = await asyncio.to_thread(peertube.video_detail, answer.body, summary.base_url)
        else:
            detail = peertube.video_detail(answer.body, summary.base_url)
        if detail.summary.id != summary.id:
            raise BadAnswer(f"{summary.origin} answered with another video.", hint="Its owner has to look into that.")
        await self._store.write(videos.put_detail, detail, answer.etag, now)
        return detail

    async def _absent(self, record: VideoRecord, answer: Answer) -> OriginError:
        """Note that a video is gone or hidden and return the error that says so.

        Only PeerTube's own words count: a parked domain or a gate in front answers 404 and 403 to everything.
        """
        summary = record.summary
        problem = peertube.problem(answer.body, answer.content_type)
        if not problem.detail:
            return BadAnswer(
                f"{summary.origin} no longer answers as a PeerTube server does.",
                hint="What is pinned stays. Nothing to do: Seedkeep looks again tomorrow.",
            )
        gone = answer.status in (404, 410)
        error: OriginError
        if gone:
            error = NotFound(f"{summary.origin} no longer has this video.", hint="Its owner removed it.")
        else:
            error = Forbidden(f"{summary.origin} no longer shows this video to everyone.", hint="Its owner hid it.")
        upstream = Upstream.GONE if gone else Upstream.HIDDEN
        await self._store.write(details.note_upstream, summary.id, upstream, trouble_of(error), self._clock.now())
        return error

    async def _record_failure(self, video: VideoId, error: OriginError) -> None:
        if isinstance(error, NotFound | Forbidden):
            return
        await self._note_trouble(video, trouble_of(error), retry=error.retryable)

    async def _note_trouble(self, video: VideoId, trouble: Trouble, *, retry: bool) -> None:
        if len(self._failures) > _MOST_REMEMBERED:
            self._failures.clear()
        failures = self._failures[video] = self._failures.get(video, 0) + 1
        now = self._clock.now()
        next_try = detail_retry(now, failures, self._chance()) if retry else now + LATEST
        await self._store.write(details.note_trouble, video, trouble, next_try)


def _is_young(record: VideoRecord, since: datetime) -> bool:
    """Whether the detail on record was asked for after ``since`` and says that the video can be had."""
    return record.upstream is Upstream.PUBLISHED and record.detail_at is not None and record.detail_at > since


def _recorded(record: VideoRecord) -> VideoDetail:
    return VideoDetail(
        summary=record.summary,
        upstream=record.upstream,
        renditions=record.renditions,
        master_url=record.master_url,
        sha256_url=record.sha256_url,
        trackers=record.trackers,
        mirrors=record.mirrors,
        replaced_at=record.replaced_at,
    )
