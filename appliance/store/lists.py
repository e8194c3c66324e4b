"""Lists of videos for people and programs: filtered, sorted, a page at a time. This module answers them."""

from typing import Any

from sqlmodel import Session, col, func, or_, select

from appliance.domain.catalogue import Holdings, VideoFilter, VideoLine, VideoPage, VideoSort
from appliance.domain.channel import Trouble
from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Decision
from appliance.domain.units import ByteCount, VideoId
from appliance.domain.video import Upstream
from appliance.store.columns import unpack
from appliance.store.records import fold
from appliance.store.tables import CachedRow, ChannelRow, DecisionRow, ListedRow, PinRow, VideoRow

_LINE = (
    VideoRow.id,
    VideoRow.title,
    VideoRow.origin,
    VideoRow.channel_title,
    VideoRow.duration,
    VideoRow.published_at,
    VideoRow.views,
    VideoRow.upstream,
    VideoRow.thumbnail_url,
    VideoRow.wish,
    VideoRow.trouble,
    VideoRow.copies,
    DecisionRow.body,
    PinRow.state,
    PinRow.done,
    PinRow.size,
    PinRow.trouble,
    CachedRow.size,
)


def _order(sort: VideoSort) -> tuple[Any, ...]:
    tie = (col(VideoRow.published_at).desc(), col(VideoRow.id))
    match sort:
        case VideoSort.NEWEST:
            return tie
        case VideoSort.OLDEST:
            return (col(VideoRow.published_at).asc(), col(VideoRow.id))
        case VideoSort.VIEWS:
            return (col(VideoRow.views).desc(), *tie)
        case VideoSort.TITLE:
            return (col(VideoRow.title_folded).asc(), *tie)
        case VideoSort.SIZE:
            return (func.coalesce(PinRow.size, 0).desc(), *tie)
        case VideoSort.RANK:
            return (func.coalesce(DecisionRow.position, 1 << 40).asc(), *tie)


def _belongs() -> Any:
    """Tell of a video whether a followed channel lists or listed it, a person said something of it, or we hold some.

    What only channels listed that were left stays in the catalogue, in case they are followed again, and is shown
    nowhere.
    """
    return or_(
        col(VideoRow.id).in_(select(ListedRow.video)),
        col(VideoRow.wish).is_not(None),
        # Of all pins: where a list is joined with them, a bare subquery would be taken for the joined row.
        col(VideoRow.id).in_(select(PinRow.video).correlate(None)),
        col(VideoRow.id).in_(select(CachedRow.video).correlate(None)),
    )


def _conditions(wanted: VideoFilter) -> list[Any]:
    tests: list[Any] = []
    if wanted.channel is not None:
        listed = select(ListedRow.video).where(
            ListedRow.channel == wanted.channel, col(ListedRow.absent_since).is_(None)
        )
        tests.append(col(VideoRow.id).in_(listed))
    else:
        tests.append(_belongs())
    if wanted.verdict is not None:
        tests.append(DecisionRow.verdict == wanted.verdict.value)
    if wanted.pin_state is not None:
        tests.append(PinRow.state == wanted.pin_state.value)
    if wanted.cached:
        tests.append(col(CachedRow.video).is_not(None))
    if wanted.upstream is not None:
        tests.append(VideoRow.upstream == wanted.upstream.value)
    if wanted.text.strip():
        tests.append(col(VideoRow.title_folded).contains(fold(wanted.text.strip()), autoescape=True))
    return tests


def _line(r: Any) -> VideoLine:
    trouble = r[16] or r[10]
    return VideoLine(
        id=VideoId(r[0]),
        title=r[1],
        origin=r[2],
        channel_title=r[3],
        duration=r[4],
        published_at=r[5],
        views=r[6],
        upstream=Upstream(r[7]),
        thumbnail_url=r[8],
        wish=None if r[9] is None else Wish(r[9]),
        trouble=None if trouble is None else unpack(Trouble, trouble),
        copies=r[11],
        decision=None if r[12] is None else unpack(Decision, r[12]),
        pin_state=None if r[13] is None else PinState(r[13]),
        done=ByteCount(r[14] or 0),
        size=ByteCount(r[15] or 0),
        cached=None if r[17] is None else ByteCount(r[17]),
    )


def page(session: Session, wanted: VideoFilter) -> VideoPage:
    """Return one page of the videos that fit the filter, and how many fit in all."""
    tests = _conditions(wanted)
    joined = (
        select(*_LINE)  # type: ignore[call-overload]
        .select_from(VideoRow)
        .outerjoin(DecisionRow, col(DecisionRow.video) == col(VideoRow.id))
        .outerjoin(PinRow, col(PinRow.video) == col(VideoRow.id))
        .outerjoin(CachedRow, col(CachedRow.video) == col(VideoRow.id))
        .where(*tests)
    )
    total = (
        select(func.count())
        .select_from(VideoRow)
        .outerjoin(DecisionRow, col(DecisionRow.video) == col(VideoRow.id))
        .outerjoin(PinRow, col(PinRow.video) == col(VideoRow.id))
        .outerjoin(CachedRow, col(CachedRow.video) == col(VideoRow.id))
        .where(*tests)
    )
    rows = session.exec(joined.order_by(*_order(wanted.sort)).limit(wanted.limit).offset(wanted.offset))
    return VideoPage(tuple(_line(r) for r in rows), int(session.exec(total).one()))


def lines(session: Session, videos: tuple[VideoId, ...]) -> tuple[VideoLine, ...]:
    """Return the lines of these videos, in this order; unknown ones are left out."""
    if not videos:
        return ()
    rows = session.exec(
        select(*_LINE)  # type: ignore[call-overload]
        .select_from(VideoRow)
        .outerjoin(DecisionRow, col(DecisionRow.video) == col(VideoRow.id))
        .outerjoin(PinRow, col(PinRow.video) == col(VideoRow.id))
        .outerjoin(CachedRow, col(CachedRow.video) == col(VideoRow.id))
        .where(col(VideoRow.id).in_(videos))
    )
    by_id = {line.id: line for line in map(_line, rows)}
    return tuple(by_id[v] for v in videos if v in by_id)


def holdings(session: Session) -> Holdings:
    """Return all pins together, and how many videos and channels there are to keep."""
    rows = session.exec(
        select(PinRow.state, func.count(), func.sum(PinRow.done), func.sum(PinRow.size)).group_by(PinRow.state)
    )
    by_state: dict[PinState, int] = {}
    done = size = 0
    for state, n, d, s in rows:
        by_state[PinState(state)] = int(n)
        done, size = done + int(d or 0), size + int(s or 0)
    counted = select(
        select(func.count()).select_from(VideoRow).where(_belongs()).scalar_subquery(),
        select(func.count()).select_from(ChannelRow).scalar_subquery(),
    )
    videos, channels = session.exec(counted).one()
    return Holdings(by_state, ByteCount(done), ByteCount(size), int(videos), int(channels))
