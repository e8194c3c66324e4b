"""The ledger: bytes given and taken by day, rendition and class. This module has the noun."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, col, func, select

from appliance.domain.traffic import Entry, TrafficClass
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.store.engine import touched
from appliance.store.tables import LedgerRow, VideoRow


def add(session: Session, entries: Iterable[Entry]) -> None:
    """Add these bytes to what stands."""
    values = [
        {
            "day": e.day,
            "video": e.video,
            "rendition": e.rendition,
            "traffic": e.traffic.value,
            "up": e.up,
            "down": e.down,
        }
        for e in entries
        if e.up or e.down
    ]
    if not values:
        return
    statement = insert(LedgerRow)
    statement = statement.on_conflict_do_update(
        index_elements=["day", "video", "rendition", "traffic"],
        set_={"up": LedgerRow.up + statement.excluded.up, "down": LedgerRow.down + statement.excluded.down},
    )
    session.execute(statement, values)
    touched(session, "ledger")


def days(session: Session, first: date, last: date) -> dict[date, dict[TrafficClass, tuple[ByteCount, ByteCount]]]:
    """Return (up, down) bytes by day and class, both days included."""
    query = (
        select(  # type: ignore[call-overload]
            LedgerRow.day, LedgerRow.traffic, func.sum(LedgerRow.up), func.sum(LedgerRow.down)
        )
        .where(LedgerRow.day >= first, LedgerRow.day <= last)
        .group_by(col(LedgerRow.day), col(LedgerRow.traffic))
    )
    found: dict[date, dict[TrafficClass, tuple[ByteCount, ByteCount]]] = defaultdict(dict)
    for day, traffic, up, down in session.exec(query):
        found[day][TrafficClass(traffic)] = (ByteCount(int(up)), ByteCount(int(down)))
    return dict(found)


def by_rendition(session: Session, first: date, last: date, limit: int, offset: int = 0) -> tuple[Entry, ...]:
    """Return each rendition's bytes by class over these days, the most given first; ``day`` is the last of them."""
    query = (
        select(  # type: ignore[call-overload]
            LedgerRow.video, LedgerRow.rendition, LedgerRow.traffic, func.sum(LedgerRow.up), func.sum(LedgerRow.down)
        )
        .where(LedgerRow.day >= first, LedgerRow.day <= last)
        .group_by(col(LedgerRow.video), col(LedgerRow.rendition), col(LedgerRow.traffic))
        .order_by(func.sum(LedgerRow.up).desc())
        .limit(limit)
        .offset(offset)
    )
    return tuple(
        Entry(last, VideoId(v), RenditionName(r), TrafficClass(t), ByteCount(int(up)), ByteCount(int(down)))
        for v, r, t, up, down in session.exec(query)
    )


def taken(session: Session, first: date) -> dict[VideoId, ByteCount]:
    """Return the bytes taken from peers and origins for each video, from this day on."""
    sources = (TrafficClass.INTERNET_PEERS.value, TrafficClass.LAN_PEERS.value, TrafficClass.ORIGINS.value)
    query = (
        select(LedgerRow.video, func.sum(LedgerRow.down))
        .where(LedgerRow.day >= first, col(LedgerRow.traffic).in_(sources), LedgerRow.video != "")
        .group_by(col(LedgerRow.video))
    )
    return {VideoId(video): ByteCount(int(down)) for video, down in session.exec(query) if down}


def taken_from(session: Session, origin: Origin, day: date) -> ByteCount:
    """Return the media bytes that came over HTTP on this day for the videos of one origin."""
    query = (
        select(func.coalesce(func.sum(LedgerRow.down), 0))
        .join(VideoRow, col(VideoRow.id) == col(LedgerRow.video))
        .where(LedgerRow.day == day, LedgerRow.traffic == TrafficClass.ORIGINS.value, VideoRow.origin == origin)
    )
    return ByteCount(int(session.exec(query).one()))


def of_video(session: Session, video: VideoId) -> tuple[ByteCount, ByteCount]:
    """Return all bytes ever (up, down) of one video."""
    up, down = session.exec(
        select(func.sum(LedgerRow.up), func.sum(LedgerRow.down)).where(LedgerRow.video == video)
    ).one()
    return ByteCount(int(up or 0)), ByteCount(int(down or 0))
