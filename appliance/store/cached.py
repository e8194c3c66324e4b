"""Cached videos: held only because somebody watched them, without promise. This module has the noun.

A video with a pin is never cached: the transaction that writes its pin drops its line here (``pins.put``).
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlmodel import Session, col, func, select, update

from appliance.domain.pin import Cached, Wish
from appliance.domain.units import ByteCount, VideoId
from appliance.store.engine import touched
from appliance.store.tables import CachedRow, PinRow, VideoRow


def every(session: Session) -> tuple[Cached, ...]:
    """Return all that is cached, the least recently watched first."""
    query = (
        select(CachedRow, VideoRow.wish)
        .join(VideoRow, col(VideoRow.id) == col(CachedRow.video))
        .order_by(col(CachedRow.watched_at), col(CachedRow.video))
    )
    return tuple(_cached(row, wish) for row, wish in session.exec(query))


def one(session: Session, video: VideoId) -> Cached | None:
    row = session.get(CachedRow, video)
    return None if row is None else _cached(row, None)


def _cached(row: CachedRow, wish: str | None) -> Cached:
    return Cached(
        VideoId(row.video), ByteCount(row.size), row.watched_at, whole=row.whole, barred=wish == Wish.NEVER.value
    )


def held_bytes(session: Session) -> ByteCount:
    """Return the bytes of all that is cached together."""
    return ByteCount(int(session.exec(select(func.coalesce(func.sum(CachedRow.size), 0))).one()))


def put(session: Session, video: VideoId, size: ByteCount, watched_at: datetime, *, whole: bool = False) -> bool:
    """Write that a video is held without promise, ``whole`` where it plays from the disk.

    Tell whether it is so: one with a pin is not, nor an unknown one.
    """
    if session.get(PinRow, video) is not None or session.get(VideoRow, video) is None:
        return False
    row = session.get(CachedRow, video) or CachedRow(video=video, watched_at=watched_at)
    row.size, row.whole, row.watched_at = size, whole, max(row.watched_at, watched_at)
    session.add(row)
    touched(session, "cached", video)
    return True


def note_size(session: Session, sizes: Mapping[VideoId, ByteCount]) -> None:
    """Write down how much came of what is being watched; an observation. Videos that are not cached are left out."""
    for video, size in sizes.items():
        session.exec(update(CachedRow).where(col(CachedRow.video) == video).values(size=size))


def note_watched(session: Session, videos: Collection[VideoId], at: datetime) -> None:
    """Write down that these are being watched; an observation."""
    session.exec(update(CachedRow).where(col(CachedRow.video).in_(videos)).values(watched_at=at))


def drop(session: Session, video: VideoId) -> None:
    """Nothing of it is on the disk any more, or a pin stands behind it now."""
    row = session.get(CachedRow, video)
    if row is not None:
        session.delete(row)
        touched(session, "cached", video)
