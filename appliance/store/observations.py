"""Observations: views, likes, copies over time, thinned as they age. This module has the noun."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, col, select

from appliance.domain.plan import Observation
from appliance.domain.units import VideoId
from appliance.store.tables import ObservationRow

AT_MOST_EVERY = timedelta(minutes=20)


def due(last: datetime | None, now: datetime) -> bool:
    """Tell whether a video is observed again that was last observed at ``last``."""
    return last is None or now - last >= AT_MOST_EVERY


def add(session: Session, video: VideoId, seen: Observation) -> None:
    values = {
        "video": video,
        "at": seen.at,
        "views": seen.views,
        "likes": seen.likes,
        "seeds": seen.seeds,
        "mirrors": seen.mirrors,
    }
    session.execute(insert(ObservationRow).values(values).on_conflict_do_nothing())


def of(session: Session, video: VideoId, since: datetime | None = None) -> tuple[Observation, ...]:
    """Return what was observed of one video, oldest first."""
    query = select(ObservationRow).where(ObservationRow.video == video).order_by(col(ObservationRow.at))
    if since is not None:
        query = query.where(ObservationRow.at >= since)
    return tuple(_observation(r) for r in session.exec(query))


def _observation(r: ObservationRow) -> Observation:
    return Observation(r.at, r.views, r.likes, r.seeds, r.mirrors)


def recent(session: Session, since: datetime) -> dict[VideoId, tuple[Observation, ...]]:
    """Return what was observed of every video since then, oldest first."""
    query = (
        select(
            ObservationRow.video,
            ObservationRow.at,
            ObservationRow.views,
            ObservationRow.likes,
        )
        .where(ObservationRow.at >= since)
        .order_by(col(ObservationRow.video), col(ObservationRow.at))
    )
    found: dict[VideoId, list[Observation]] = defaultdict(list)
    for video, at, views, likes in session.exec(query):
        found[VideoId(video)].append(Observation(at, views, likes))
    return {video: tuple(seen) for video, seen in found.items()}


def thin(session: Session, now: datetime) -> int:
    """Keep all of two days, one an hour for two weeks, one a day after that; return how many went."""
    gone = 0
    for older, newest, bucket in _ages(now):
        done = session.connection().execute(
            text(
                "DELETE FROM observations WHERE at < :older AND at >= :newest AND EXISTS (SELECT 1 FROM observations o "
                "WHERE o.video = observations.video AND o.at > observations.at AND o.at < :older "
                "AND o.at / :bucket = observations.at / :bucket)"
            ),
            {"older": older, "newest": newest, "bucket": bucket},
        )
        gone += int(done.rowcount)
    return gone


def _ages(now: datetime) -> Iterable[tuple[int, int, int]]:
    def ms(t: datetime) -> int:
        return int(t.timestamp() * 1000)

    yield ms(now - timedelta(days=2)), ms(now - timedelta(days=14)), 3_600_000
    yield ms(now - timedelta(days=14)), 0, 86_400_000
