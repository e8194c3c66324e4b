"""Copies elsewhere: who says that they are there, and who proved it. This module has the noun.

A row without a host is a count (a tracker's, or of peers met); one with a host says how its last challenge ended. What
the origin and its list of mirrors say stands with the video; what all of it comes to says ``trust``.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, col, delete, select, update

from appliance.domain.pin import PinState
from appliance.domain.plan import Copies, CopySource, Observation, Verdict
from appliance.domain.units import ChannelId, Origin, VideoId
from appliance.domain.video import Upstream
from appliance.store import observations, origins
from appliance.store.columns import unpack
from appliance.store.engine import touched
from appliance.store.origins import OriginState
from appliance.store.tables import CopyRow, DecisionRow, ListedRow, PinRow, VideoRow
from appliance.store.trust import PROOF_TRUST, SEEN_TRUST, Line, Shown, summed

_COLUMNS: tuple[Any, ...] = (
    VideoRow.id,
    VideoRow.origin,
    VideoRow.is_live,
    VideoRow.upstream,
    VideoRow.upstream_since,
    VideoRow.detail_at,
    VideoRow.mirrors,
    VideoRow.copies,
    VideoRow.observed_at,
    VideoRow.views,
    VideoRow.likes,
)
_REWRITE_AFTER = timedelta(hours=1)
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Counted:
    """Whole copies of one video that its torrents' trackers and peers show now; None is unknown."""

    tracker: int | None
    peers: int | None


def host_of(url: str) -> str:
    """Return the host of an address, with its port where it names one."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def mirror_hosts(packed: str, origin: str) -> tuple[str, ...]:
    """Return the hosts of a packed list of mirrors, the origin's own left out."""
    if packed == "[]":
        return ()
    hosts = dict.fromkeys(host_of(url) for url in unpack(tuple[str, ...], packed))
    return tuple(host for host in hosts if host and host != origin)


# Reading


def lines(session: Session, videos: Iterable[VideoId] | None = None) -> dict[VideoId, list[Line]]:
    """Return the rows of these videos, or of all."""
    query = select(CopyRow.video, CopyRow.source, CopyRow.host, CopyRow.count, CopyRow.at)  # type: ignore[call-overload]
    found: dict[VideoId, list[Line]] = defaultdict(list)
    ids = None if videos is None else list(videos)
    for start in range(0, 1 if ids is None else len(ids), _AT_ONCE):
        some = query if ids is None else query.where(col(CopyRow.video).in_(ids[start : start + _AT_ONCE]))
        for video, source, host, count, at in session.exec(some):
            found[VideoId(video)].append(Line(CopySource(source), host, count, at))
    return found


def shown(row: Any, states: Mapping[Origin, OriginState]) -> Shown:
    """Return what the catalogue says of one video's copies; ``row`` is its row, or as much of it."""
    return Shown(
        Upstream.LIVE if row.is_live else Upstream(row.upstream),
        row.upstream_since,
        row.detail_at,
        mirror_hosts(row.mirrors, row.origin),
        states.get(Origin(row.origin), origins.UNHEARD),
    )


def of(session: Session, video: VideoId, now: datetime) -> Copies:
    """Return the copies of one video."""
    row = session.get(VideoRow, video)
    if row is None:
        return Copies()
    return summed(lines(session, [video]).get(video, []), shown(row, origins.states(session)), now)


def several(session: Session, videos: Sequence[VideoId], now: datetime) -> dict[VideoId, Copies]:
    """Return the copies of these videos; those the catalogue does not know are left out."""
    known, states = lines(session, videos), origins.states(session)
    found: dict[VideoId, Copies] = {}
    for start in range(0, len(videos), _AT_ONCE):
        some = select(VideoRow).where(col(VideoRow.id).in_(videos[start : start + _AT_ONCE]))
        for row in session.exec(some):
            video = VideoId(row.id)
            found[video] = summed(known.get(video, []), shown(row, states), now)
    return found


# Writing


def note_counted(session: Session, counted: Mapping[VideoId, Counted], now: datetime) -> None:
    """Write down what trackers and peers show, and what that makes of each video's number of copies."""
    states = origins.states(session)
    ids = list(counted)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        known, put = lines(session, some), list[tuple[VideoId, Line]]()
        changes: list[dict[str, object]] = []
        for row in session.exec(select(*_COLUMNS).where(col(VideoRow.id).in_(some))):
            video = VideoId(row.id)
            told, fresh = _counts(known.get(video, []), counted[video], now)
            put.extend((video, line) for line in fresh)
            live = summed(told, shown(row, states), now).live
            if live != row.copies:
                changes.append({"id": row.id, "copies": live, "copies_at": now})
                touched(session, "video", row.id)
            _observe(session, row, counted[video], now)
        _put(session, put)
        if changes:
            session.execute(update(VideoRow), changes)


def _counts(known: list[Line], counted: Counted, now: datetime) -> tuple[list[Line], list[Line]]:
    """Return all lines as they are now, and those of them to write: counts that changed or grew old."""
    told, fresh = {(line.source, line.host): line for line in known}, []
    for source, count in ((CopySource.TRACKER, counted.tracker), (CopySource.PEERS, counted.peers)):
        before = told.get((source, ""))
        if count is None or (before and before.count == count and now - before.at < _REWRITE_AFTER):
            continue
        told[source, ""] = Line(source, "", count, now)
        fresh.append(told[source, ""])
    return list(told.values()), fresh


def _put(session: Session, put: Iterable[tuple[VideoId, Line]]) -> None:
    values = [
        {"video": video, "source": line.source.value, "host": line.host, "count": line.count, "at": line.at}
        for video, line in put
    ]
    if not values:
        return
    statement = insert(CopyRow)
    statement = statement.on_conflict_do_update(
        index_elements=["video", "source", "host"],
        set_={"count": statement.excluded["count"], "at": statement.excluded.at},
    )
    session.execute(statement, values)


def _observe(session: Session, row: Any, counted: Counted, now: datetime) -> None:
    seeds = max((n for n in (counted.tracker, counted.peers) if n is not None), default=None)
    if seeds is not None and observations.due(row.observed_at, now):
        session.execute(update(VideoRow).where(col(VideoRow.id) == row.id).values(observed_at=now))
        observations.add(session, VideoId(row.id), Observation(now, row.views, row.likes, seeds))


def note_answer(session: Session, video: VideoId, source: CopySource, host: str, now: datetime, *, right: bool) -> None:
    """Write down how a challenge of one host ended."""
    row = session.get(VideoRow, video)
    if row is None:
        return
    states = origins.states(session)
    before = lines(session, [video]).get(video, [])
    line = Line(source, host, int(right), now)
    after = [other for other in before if (other.source, other.host) != (source, host)] + [line]
    _put(session, [(video, line)])
    had, has = (summed(them, shown(row, states), now) for them in (before, after))
    if has.live != row.copies:
        row.copies, row.copies_at = has.live, now
        session.add(row)
        touched(session, "video", video)
    if had.verified != has.verified:
        touched(session, "copies", video)
        touched(session, "video", video)


def sweep(session: Session, now: datetime) -> None:
    """Drop what is so old that it counts no more."""
    session.exec(delete(CopyRow).where(col(CopyRow.host) == "", col(CopyRow.at) < now - 2 * SEEN_TRUST))
    session.exec(delete(CopyRow).where(col(CopyRow.host) != "", col(CopyRow.at) < now - 2 * PROOF_TRUST))


# What a survey looks at


@dataclass(frozen=True, slots=True)
class Subject:
    """A video whose copies may matter. ``held``: pinned whole; else the plan would fetch it. ``tags`` are case-folded.

    ``origin`` is empty where it no longer shows the video; ``mirrors`` are addresses.
    """

    video: VideoId
    held: bool
    channels: frozenset[ChannelId]
    tags: frozenset[str]
    copies: Copies
    origin: str
    mirrors: tuple[str, ...]
    lines: tuple[Line, ...]


def subjects(session: Session, now: datetime) -> tuple[Subject, ...]:
    """Return all videos that are pinned whole and those the plan would fetch."""
    held = set(session.exec(select(PinRow.video).where(PinRow.state == PinState.PINNED.value)))
    wanted = set(session.exec(select(DecisionRow.video).where(DecisionRow.verdict == Verdict.PIN.value)))
    listed: dict[str, set[ChannelId]] = defaultdict(set)
    for channel, video in session.exec(select(ListedRow.channel, ListedRow.video)):
        listed[video].add(ChannelId(channel))
    ids, states, found = sorted(held | wanted), origins.states(session), []
    told = lines(session, map(VideoId, ids))
    for start in range(0, len(ids), _AT_ONCE):
        for row in session.exec(select(VideoRow).where(col(VideoRow.id).in_(ids[start : start + _AT_ONCE]))):
            video, says = VideoId(row.id), shown(row, states)
            own = told.get(video, [])
            found.append(
                Subject(
                    video=video,
                    held=row.id in held,
                    channels=frozenset(listed.get(row.id, ())),
                    tags=frozenset(tag.casefold() for tag in unpack(tuple[str, ...], row.tags)),
                    copies=summed(own, says, now),
                    origin=row.origin if says.upstream is Upstream.PUBLISHED else "",
                    mirrors=unpack(tuple[str, ...], row.mirrors),
                    lines=tuple(own),
                )
            )
    return tuple(found)
