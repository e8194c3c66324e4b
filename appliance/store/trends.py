"""Trends: the order in which an origin lists its videos as trending. This module has the noun."""

from datetime import datetime

from sqlmodel import Session, col, func, select, update

from appliance.domain.units import Origin, VideoId
from appliance.store.engine import touched
from appliance.store.tables import VideoRow


def put(session: Session, origin: Origin, order: tuple[VideoId, ...], now: datetime) -> None:
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


def asked_at(session: Session, origin: Origin) -> datetime | None:
    """Return when an origin was last asked for its trending order."""
    return session.exec(select(func.max(VideoRow.trend_at)).where(VideoRow.origin == origin)).one()
