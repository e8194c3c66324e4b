"""Details: whose is to be asked for and when, and what came of asking where it was none. This module has the noun.

What an origin says in a detail is taken in by ``videos.put_detail``.
"""

from datetime import datetime

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, func, or_, select, update

from appliance.domain.channel import Trouble
from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Verdict
from appliance.domain.units import Origin, VideoId
from appliance.domain.video import Upstream
from appliance.store.columns import pack
from appliance.store.engine import touched
from appliance.store.tables import DecisionRow, ListedRow, PinRow, VideoRow


def unchanged(session: Session, video: VideoId, now: datetime) -> None:
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


def note_trouble(session: Session, video: VideoId, trouble: Trouble, next_try: datetime | None) -> None:
    """A detail could not be had; ``next_try`` None means asking again would not help until the listing changes."""
    row = session.get(VideoRow, video)
    if row is None:
        return
    row.trouble, row.detail_failures = pack(trouble), row.detail_failures + 1
    row.detail_due, row.detail_next = next_try is not None, next_try
    session.add(row)
    touched(session, "video", video)


def make_due(session: Session, videos: tuple[VideoId, ...]) -> None:
    """Have these asked for at once."""
    session.exec(update(VideoRow).where(col(VideoRow.id).in_(videos)).values(detail_due=True, detail_next=None))


def refresh_stale(session: Session, older_than: datetime) -> int:
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


def wanted(session: Session, origin: Origin, now: datetime, limit: int) -> tuple[VideoId, ...]:
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


def origins(session: Session, now: datetime) -> tuple[tuple[Origin, ...], datetime | None]:
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
