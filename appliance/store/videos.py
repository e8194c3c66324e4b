"""Videos: listed, detailed, looked up. Functions for ``store.read`` and ``store.write``: this module has the noun."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, col, delete, func, or_, select, update

from appliance.domain.catalogue import VideoRecord
from appliance.domain.channel import Trouble
from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Verdict
from appliance.domain.units import ByteCount, ChannelId, InfoHash, Origin, RenditionName, VideoId
from appliance.domain.video import Rendition, RenditionKind, TorrentCarrier, Upstream, VideoDetail, VideoSummary
from appliance.store.columns import pack, unpack
from appliance.store.engine import touched
from appliance.store.tables import DecisionRow, ListedRow, ObservationRow, PinRow, RenditionRow, VideoRow

OBSERVE_AT_MOST_EVERY = timedelta(minutes=20)
TOUCHED_RESTS = timedelta(hours=6)
"""How long a known detail rests where only the time of its last change moved."""


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """What one page of a listing brought: videos never seen on this channel, and known ones whose element changed."""

    new: tuple[VideoId, ...]
    changed: tuple[VideoId, ...]
    known: int


def fold(text: str) -> str:
    """Return text as it is searched: case-folded."""
    return text.casefold()


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


def _fill(row: VideoRow, s: VideoSummary) -> None:
    row.url, row.title, row.title_folded, row.description = s.url, s.title, fold(s.title), s.description
    row.duration, row.published_at, row.updated_at = s.duration, s.published_at, s.updated_at
    row.originally_published_at = s.originally_published_at
    row.likes, row.is_live, row.nsfw = s.likes, s.is_live, s.nsfw
    row.language, row.category, row.thumbnail_url = s.language, s.category, s.thumbnail_url
    row.channel_name, row.channel_title, row.tags = s.channel_name, s.channel_title, pack(s.tags)


def _new_row(s: VideoSummary, now: datetime) -> VideoRow:
    row = VideoRow(
        id=s.id,
        origin=s.origin,
        base_url=s.base_url,
        uuid=s.uuid,
        url=s.url,
        title=s.title,
        title_folded=fold(s.title),
        duration=s.duration,
        published_at=s.published_at,
        views=s.views,
        first_seen=now,
        upstream=(Upstream.LIVE if s.is_live else Upstream.PUBLISHED).value,
        upstream_since=now,
        detail_due=not s.is_live,
    )
    _fill(row, s)
    return row


def _observe(session: Session, row: VideoRow, s: VideoSummary, now: datetime, mirrors: int | None = None) -> None:
    if row.observed_at is not None and now - row.observed_at < OBSERVE_AT_MOST_EVERY:
        return
    row.observed_at = now
    values = {"video": s.id, "at": now, "views": s.views, "likes": s.likes, "mirrors": mirrors}
    session.execute(insert(ObservationRow).values(values).on_conflict_do_nothing())


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
            row = rows[s.id] = _new_row(s, now)
            session.add(row)
            session.flush()
        mark = _fingerprint(s)
        if row.fingerprint != mark:
            if row.fingerprint:
                changed.append(s.id)
            row.detail_due, row.detail_next = not s.is_live, _next_detail(row, mark)
            row.fingerprint = mark
            _fill(row, s)
            touched(session, "video", s.id)
        if row.upstream in (Upstream.GONE.value, Upstream.HIDDEN.value):
            row.upstream, row.upstream_since, row.detail_due = Upstream.PUBLISHED.value, now, True
            touched(session, "video", s.id)
        _observe(session, row, s, now)
        row.views = s.views
        session.add(row)
        line = listed.get(s.id)
        if line is None:
            new.append(s.id)
            line = listed[s.id] = ListedRow(channel=channel, video=s.id)
        line.absent_since, line.seen_round = None, reading
        session.add(line)
    if new:
        touched(session, "listing", channel)
    return PageOutcome(tuple(new), tuple(changed), len(summaries) - len(new))


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
        session.exec(update(VideoRow).where(col(VideoRow.id).in_(ids)).values(detail_due=True, detail_next=None))
        touched(session, "listing", channel)
    return ids


def put_summary(session: Session, summary: VideoSummary, now: datetime) -> None:
    """Take a single video into the catalogue, listed by no channel of ours."""
    row = session.get(VideoRow, summary.id)
    if row is None:
        row = _new_row(summary, now)
    row.fingerprint = _fingerprint(summary)
    _fill(row, summary)
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
    _fill(row, s)
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
        session.add_all(_rendition_row(s.id, r) for r in detail.renditions)
    touched(session, "video", s.id)
    touched(session, "confirmed", s.id)
    if changed:
        touched(session, "detail", s.id)
    return changed


def detail_unchanged(session: Session, video: VideoId, now: datetime) -> None:
    """The origin answered 304: what we know of the video still holds."""
    session.exec(
        update(VideoRow)
        .where(col(VideoRow.id) == video)
        .values(detail_due=False, detail_at=now, detail_failures=0, detail_next=None, trouble=None)
    )
    touched(session, "confirmed", video)


def note_upstream(session: Session, video: VideoId, upstream: Upstream, trouble: Trouble | None, now: datetime) -> None:
    """The origin no longer shows a video, or shows it again."""
    row = session.get(VideoRow, video)
    if row is None:
        return
    if row.upstream != upstream.value:
        row.upstream, row.upstream_since = upstream.value, now
    row.detail_due, row.detail_at, row.detail_failures, row.detail_next = False, now, 0, None
    row.trouble = None if trouble is None else pack(trouble)
    session.add(row)
    touched(session, "video", video)
    touched(session, "detail", video)


def note_detail_trouble(session: Session, video: VideoId, trouble: Trouble, next_try: datetime | None) -> None:
    """A detail could not be had; ``next_try`` None means asking again would not help until the listing changes."""
    row = session.get(VideoRow, video)
    if row is None:
        return
    row.trouble, row.detail_failures = pack(trouble), row.detail_failures + 1
    row.detail_due, row.detail_next = next_try is not None, next_try
    session.add(row)
    touched(session, "video", video)


def make_detail_due(session: Session, videos: tuple[VideoId, ...]) -> None:
    session.exec(update(VideoRow).where(col(VideoRow.id).in_(videos)).values(detail_due=True, detail_next=None))


def refresh_stale_details(session: Session, older_than: datetime) -> int:
    """Make due the details of what is pinned or wanted that were last asked for before ``older_than``."""
    ours = select(PinRow.video).where(PinRow.state != PinState.RELEASING.value)
    wanted = select(DecisionRow.video).where(DecisionRow.verdict == Verdict.PIN.value)
    done = session.exec(
        update(VideoRow)
        .where(
            (col(VideoRow.id).in_(ours)) | (col(VideoRow.id).in_(wanted)),
            col(VideoRow.detail_due).is_(False),
            col(VideoRow.detail_at) < older_than,
            col(VideoRow.is_live).is_(False),
        )
        .values(detail_due=True, detail_next=None)
    )
    return int(done.rowcount)


def _concerns_us() -> ColumnElement[bool]:
    """A video that a followed channel lists, that is pinned or wished for: nothing is asked about those we left."""
    return or_(
        col(VideoRow.id).in_(select(ListedRow.video)),
        col(VideoRow.id).in_(select(PinRow.video)),
        col(VideoRow.wish) == Wish.PIN.value,
    )


def details_wanted(session: Session, origin: Origin, now: datetime, limit: int) -> tuple[VideoId, ...]:
    """Return videos of ``origin`` whose detail is due, in the order the plan wants them, hand pins first."""
    query = (
        select(VideoRow.id)
        .outerjoin(DecisionRow, col(DecisionRow.video) == col(VideoRow.id))
        .where(
            VideoRow.origin == origin,
            col(VideoRow.detail_due).is_(True),
            _concerns_us(),
            (col(VideoRow.detail_next).is_(None)) | (col(VideoRow.detail_next) <= now),
        )
        .order_by(
            (col(VideoRow.wish) == Wish.PIN.value).desc(),
            (col(DecisionRow.verdict).in_((Verdict.PIN.value, Verdict.KEEP.value))).desc(),
            col(DecisionRow.position).asc(),
            col(VideoRow.published_at).desc(),
        )
        .limit(limit)
    )
    return tuple(VideoId(i) for i in session.exec(query))


def detail_origins(session: Session, now: datetime) -> tuple[tuple[Origin, ...], datetime | None]:
    """Return the origins that have details due now, and when the next one after them falls due."""
    due = (
        select(VideoRow.origin)
        .where(
            col(VideoRow.detail_due).is_(True),
            _concerns_us(),
            (col(VideoRow.detail_next).is_(None)) | (col(VideoRow.detail_next) <= now),
        )
        .distinct()
    )
    later = select(func.min(VideoRow.detail_next)).where(
        col(VideoRow.detail_due).is_(True), col(VideoRow.detail_next) > now, _concerns_us()
    )
    return tuple(Origin(o) for o in session.exec(due)), session.exec(later).one()


def renditions(session: Session, video: VideoId) -> tuple[Rendition, ...]:
    """Return the known renditions, tallest first, plain web files after HLS."""
    rows = session.exec(select(RenditionRow).where(RenditionRow.video == video))
    return tuple(sorted((rendition_of(r) for r in rows), key=_rendition_order))


def _rendition_order(r: Rendition) -> tuple[bool, int, int, str]:
    return (r.kind is RenditionKind.WEB, -r.height, -r.fps, r.name)


def rendition_of(r: RenditionRow) -> Rendition:
    return Rendition(
        name=RenditionName(r.name),
        kind=RenditionKind(r.kind),
        height=r.height,
        width=r.width,
        fps=r.fps,
        has_video=r.has_video,
        has_audio=r.has_audio,
        size=ByteCount(r.size),
        file_url=r.file_url,
        playlist_url=r.playlist_url,
        torrent=None
        if r.torrent_url is None
        else TorrentCarrier(r.torrent_url, None if r.info_hash is None else InfoHash(r.info_hash)),
    )


def _rendition_row(video: VideoId, r: Rendition) -> RenditionRow:
    return RenditionRow(
        video=video,
        name=r.name,
        kind=r.kind.value,
        height=r.height,
        width=r.width,
        fps=r.fps,
        has_video=r.has_video,
        has_audio=r.has_audio,
        size=r.size,
        file_url=r.file_url,
        playlist_url=r.playlist_url,
        torrent_url=None if r.torrent is None else r.torrent.torrent_url,
        info_hash=None if r.torrent is None else r.torrent.info_hash,
    )


def summary_of(row: VideoRow) -> VideoSummary:
    return VideoSummary(
        id=VideoId(row.id),
        origin=Origin(row.origin),
        base_url=row.base_url,
        uuid=row.uuid,
        url=row.url,
        title=row.title,
        description=row.description,
        duration=row.duration,
        published_at=row.published_at,
        views=row.views,
        likes=row.likes,
        is_live=row.is_live,
        nsfw=row.nsfw,
        updated_at=row.updated_at,
        originally_published_at=row.originally_published_at,
        language=row.language,
        category=row.category,
        thumbnail_url=row.thumbnail_url,
        channel_name=row.channel_name,
        channel_title=row.channel_title,
        tags=unpack(tuple[str, ...], row.tags),
    )


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


def by_uuid(session: Session, origin: Origin, uuid: str) -> VideoId | None:
    found = session.exec(select(VideoRow.id).where(VideoRow.origin == origin, VideoRow.uuid == uuid)).first()
    return None if found is None else VideoId(found)


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


# The origin's trending order


def put_trend(session: Session, origin: Origin, order: tuple[VideoId, ...], now: datetime) -> None:
    """Write down an origin's trending order; its videos that are not in it have no place."""
    before = {
        VideoId(ident): rank
        for ident, rank in session.exec(
            select(VideoRow.id, VideoRow.trend_rank).where(
                VideoRow.origin == origin, col(VideoRow.trend_rank).is_not(None)
            )
        )
    }
    session.exec(update(VideoRow).where(col(VideoRow.origin) == origin).values(trend_rank=None, trend_at=now))
    for rank, video in enumerate(order, 1):
        session.exec(
            update(VideoRow).where(col(VideoRow.id) == video, col(VideoRow.origin) == origin).values(trend_rank=rank)
        )
    if before != dict(zip(order, range(1, len(order) + 1), strict=True)):
        touched(session, "trend", origin)


def trend_at(session: Session, origin: Origin) -> datetime | None:
    """Return when an origin was last asked for its trending order."""
    return session.exec(select(func.max(VideoRow.trend_at)).where(VideoRow.origin == origin)).one()
