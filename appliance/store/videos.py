"""Videos: taken from listings and details, looked up, wished for. This module has the noun.

Functions for ``store.read`` and ``store.write``, as everywhere in this room.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlmodel import Session, col, delete, select

from appliance.domain.catalogue import VideoRecord
from appliance.domain.channel import Trouble
from appliance.domain.pin import Wish
from appliance.domain.plan import Observation
from appliance.domain.units import ChannelId, VideoId
from appliance.domain.video import Rendition, Upstream, VideoDetail, VideoSummary
from appliance.store import observations
from appliance.store.columns import pack, unpack
from appliance.store.details import make_due
from appliance.store.engine import touched
from appliance.store.records import fill, new_row, rendition_of, rendition_order, rendition_row, summary_of
from appliance.store.tables import ListedRow, RenditionRow, VideoRow

TOUCHED_RESTS = timedelta(hours=6)
"""How long a known detail rests where only the time of its last change moved."""


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """What one page of a listing brought: videos never seen on this channel, and known ones whose element changed."""

    new: tuple[VideoId, ...]
    changed: tuple[VideoId, ...]
    known: int


def _fingerprint(summary: VideoSummary) -> str:
    """What of a listing element calls for a new look at the detail when it changes: not the counters."""
    return pack((summary.title, summary.updated_at, summary.duration, summary.is_live, summary.thumbnail_url))


def _next_detail(row: VideoRow, mark: str) -> datetime | None:
    """Return when the detail of a changed element may be asked for; None: now.

    ``updated_at`` moves with every view (PeerTube), so where nothing else changed a known detail may rest a while.
    """
    if row.detail_at is None or not row.fingerprint:
        return None
    before, after = msgspec.json.decode(row.fingerprint), msgspec.json.decode(mark)
    before[1] = after[1] = None
    return row.detail_at + TOUCHED_RESTS if before == after else None


def _observe(session: Session, row: VideoRow, s: VideoSummary, now: datetime, mirrors: int | None = None) -> None:
    if observations.due(row.observed_at, now):
        row.observed_at = now
        observations.add(session, s.id, Observation(now, s.views, s.likes, mirrors=mirrors))


def put_page(
    session: Session, channel: ChannelId, summaries: tuple[VideoSummary, ...], now: datetime, reading: int
) -> PageOutcome:
    """Take one page of a channel's listing into the catalogue. ``reading`` numbers this read of the whole listing."""
    ids = [s.id for s in summaries]
    rows = {r.id: r for r in session.exec(select(VideoRow).where(col(VideoRow.id).in_(ids)))}
    listed = {
        r.video: r
        for r in session.exec(select(ListedRow).where(ListedRow.channel == channel, col(ListedRow.video).in_(ids)))
    }
    new: list[VideoId] = []
    changed: list[VideoId] = []
    for s in summaries:
        row = rows.get(s.id)
        if row is None:
            row = rows[s.id] = new_row(s, now)
            session.add(row)
            session.flush()
        if _take(session, row, s, now):
            changed.append(s.id)
        line = listed.get(s.id)
        if line is None:
            new.append(s.id)
            line = listed[s.id] = ListedRow(channel=channel, video=s.id)
        line.absent_since, line.seen_round = None, reading
        session.add(line)
    if new:
        touched(session, "listing", channel)
    return PageOutcome(tuple(new), tuple(changed), len(summaries) - len(new))


def _take(session: Session, row: VideoRow, s: VideoSummary, now: datetime) -> bool:
    """Take one element of a listing; answer whether it was known and is another now."""
    mark = _fingerprint(s)
    other = row.fingerprint != mark
    changed = other and row.fingerprint != ""
    if other:
        row.detail_due, row.detail_next = not s.is_live, _next_detail(row, mark)
        row.fingerprint = mark
        fill(row, s)
        touched(session, "video", s.id)
    if row.upstream in (Upstream.GONE.value, Upstream.HIDDEN.value):
        row.upstream, row.upstream_since, row.detail_due = Upstream.PUBLISHED.value, now, True
        touched(session, "video", s.id)
    _observe(session, row, s, now)
    row.views = s.views
    session.add(row)
    return changed


def close_listing(session: Session, channel: ChannelId, reading: int, now: datetime) -> tuple[VideoId, ...]:
    """The whole listing was read: return the videos listed before and not now, marked absent, their details due."""
    absent = session.exec(
        select(ListedRow).where(
            ListedRow.channel == channel, col(ListedRow.absent_since).is_(None), ListedRow.seen_round != reading
        )
    ).all()
    for line in absent:
        line.absent_since = now
        session.add(line)
    ids = tuple(VideoId(line.video) for line in absent)
    if ids:
        make_due(session, ids)
        touched(session, "listing", channel)
    return ids


def put_summary(session: Session, summary: VideoSummary, now: datetime) -> None:
    """Take a single video into the catalogue, listed by no channel of ours."""
    row = session.get(VideoRow, summary.id)
    if row is None:
        row = new_row(summary, now)
    row.fingerprint = _fingerprint(summary)
    fill(row, summary)
    row.views = summary.views
    session.add(row)
    touched(session, "video", summary.id)


def put_detail(session: Session, detail: VideoDetail, etag: str | None, now: datetime) -> bool:
    """Write down what the origin said of one video; answer whether its renditions or state changed."""
    s = detail.summary
    row = session.get(VideoRow, s.id)
    if row is None:
        put_summary(session, s, now)
        row = session.get_one(VideoRow, s.id)
    before = renditions(session, s.id)
    changed = before != detail.renditions or row.upstream != detail.upstream.value
    fill(row, s)
    if row.upstream != detail.upstream.value:
        row.upstream, row.upstream_since = detail.upstream.value, now
    row.views, row.detail_at, row.detail_etag = s.views, now, etag
    row.detail_due, row.detail_failures, row.detail_next, row.trouble = False, 0, None, None
    if detail.upstream is Upstream.PROCESSING:
        row.detail_due, row.detail_next = True, now + timedelta(minutes=10)
    row.master_url, row.sha256_url, row.replaced_at = detail.master_url, detail.sha256_url, detail.replaced_at
    row.trackers, row.mirrors = pack(detail.trackers), pack(detail.mirrors)
    _observe(session, row, s, now, len(detail.mirrors))
    session.add(row)
    if before != detail.renditions:
        session.exec(delete(RenditionRow).where(col(RenditionRow.video) == s.id))
        session.add_all(rendition_row(s.id, r) for r in detail.renditions)
    touched(session, "video", s.id)
    touched(session, "confirmed", s.id)
    if changed:
        touched(session, "detail", s.id)
    return changed


def renditions(session: Session, video: VideoId) -> tuple[Rendition, ...]:
    """Return the known renditions, tallest first, plain web files after HLS."""
    rows = session.exec(select(RenditionRow).where(RenditionRow.video == video))
    return tuple(sorted((rendition_of(r) for r in rows), key=rendition_order))


def thumbnail(session: Session, video: VideoId) -> tuple[str | None, Upstream]:
    """Return where the picture of a video is, if it has one, and what its origin says of it; gone for unknown ones."""
    row = session.exec(select(VideoRow.thumbnail_url, VideoRow.upstream).where(VideoRow.id == video)).first()
    return (None, Upstream.GONE) if row is None else (row[0], Upstream(row[1]))


def one(session: Session, video: VideoId) -> VideoRecord | None:
    """Return all the catalogue knows of one video."""
    row = session.get(VideoRow, video)
    if row is None:
        return None
    channels = session.exec(
        select(ListedRow.channel).where(ListedRow.video == video, col(ListedRow.absent_since).is_(None))
    )
    return VideoRecord(
        summary=summary_of(row),
        upstream=Upstream(row.upstream),
        upstream_since=row.upstream_since,
        first_seen=row.first_seen,
        channels=tuple(ChannelId(c) for c in channels),
        renditions=renditions(session, video),
        master_url=row.master_url,
        sha256_url=row.sha256_url,
        trackers=unpack(tuple[str, ...], row.trackers),
        mirrors=unpack(tuple[str, ...], row.mirrors),
        replaced_at=row.replaced_at,
        detail_at=row.detail_at,
        detail_etag=row.detail_etag,
        trouble=None if row.trouble is None else unpack(Trouble, row.trouble),
        copies=row.copies,
        copies_at=row.copies_at,
        wish=None if row.wish is None else Wish(row.wish),
    )


def wish(session: Session, video: VideoId, what: Wish | None) -> bool:
    """Write down what a person wants of a video; None withdraws it. Answer False where the video is unknown."""
    row = session.get(VideoRow, video)
    if row is None:
        return False
    row.wish = None if what is None else what.value
    if what is Wish.PIN and row.detail_at is None:
        row.detail_due, row.detail_next = True, None
    session.add(row)
    touched(session, "video", video)
    touched(session, "wish", video)
    return True
