"""What televisions list: videos that can be played, searched, sorted, a page at a time. This module answers them.

A video is shown where it is held whole, or where its origin shows it and its renditions are known: then it plays at
once without being held. Live videos, and those a person never wants, are not shown.

What is long is handed over by SQLite as one row of JSON: for each row Python's driver gives up the interpreter and must
get it back, and a busy appliance makes it wait each time.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Integer, bindparam, literal_column, type_coerce
from sqlalchemy.orm import aliased
from sqlmodel import Session, and_, col, func, or_, select

from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Verdict
from appliance.domain.traffic import TrafficClass
from appliance.domain.units import ChannelId, Origin, RenditionName, RuleId, VideoId
from appliance.domain.video import Rendition, Upstream
from appliance.store.alphabet import alphabetical
from appliance.store.columns import pack
from appliance.store.criteria import Field, Sort, Test, ordered, tested
from appliance.store.records import fold
from appliance.store.tables import (
    CachedRow,
    ChannelRow,
    DecisionRow,
    LedgerRow,
    ListedRow,
    PinRow,
    RenditionRow,
    RuleRow,
    VideoRow,
)


@dataclass(frozen=True, slots=True)
class ScreenVideo:
    """One video as a screen shows it. ``promised`` names the renditions that are held, or that the plan chose.

    ``held``: it is on the disk whole, pinned or because it was watched. ``has_picture``: its origin has a thumbnail.
    """

    id: VideoId
    origin: Origin
    title: str
    duration: int
    published_at: datetime
    channel_title: str
    category: str | None
    has_picture: bool
    held: bool
    renditions: tuple[Rendition, ...]
    promised: tuple[RenditionName, ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """A channel or a rule, and how many videos are shown of it."""

    id: str
    title: str
    videos: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Which videos: all that are shown, or those of one channel, those a rule chose, these, or the ``newest`` so many,
    of them those that pass ``test``."""

    channel: ChannelId | None = None
    rule: RuleId | None = None
    among: tuple[VideoId, ...] | None = None
    newest: int | None = None
    test: Test = True


class _Read(msgspec.Struct, array_like=True, frozen=True):
    """A video as SQLite tells it; ``published`` in milliseconds since 1970."""

    id: VideoId
    origin: Origin
    title: str
    duration: int
    published: int
    channel_title: str
    category: str | None
    has_picture: bool
    state: str | None
    pinned: tuple[RenditionName, ...] | None
    decided: tuple[RenditionName, ...] | None
    cached: bool | None
    renditions: tuple[Rendition, ...]


_TOLD = msgspec.json.Decoder(tuple[_Read, ...], strict=False)
"""Not strict: SQLite has no truth values but 0 and 1."""
_IDS = msgspec.json.Decoder(list[VideoId])
_TITLES = msgspec.json.Decoder(tuple[list[VideoId], list[str]])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_listed = aliased(ListedRow)
"""Apart from the one that a query itself joins."""


def order(session: Session, wanted: Choice, sorts: tuple[Sort, ...], most: int = -1) -> tuple[VideoId, ...]:
    """Return all videos of a choice in order. Ties are broken by id, so that pages cut from it never overlap.

    Without ``sorts``, those of ``among`` come in its order, others newest first. ``most`` is for ``prepare``.
    """
    ids = select(VideoRow.id).where(*_conditions(wanted))
    if wanted.among is not None and not sorts:
        found = set(session.exec(ids))
        return tuple(video for video in wanted.among if video in found)
    by_name = sorts[0] if sorts and sorts[0].field is Field.TITLE else None
    rest = sorts if by_name is None else sorts[1:]
    by = [ordered(sort) for sort in rest] or [col(VideoRow.published_at).desc()]
    connection = session.connection()
    if by_name is None:
        inner = ids.order_by(*by, col(VideoRow.id)).limit(most).subquery()
        (told,) = connection.execute(select(func.json_group_array(inner.c.id))).one()
        return tuple(_IDS.decode(told))
    titled = select(VideoRow.id, VideoRow.title_folded).where(*_conditions(wanted)).order_by(*by, col(VideoRow.id))
    both = titled.limit(most).subquery()
    lists = func.json_array(func.json_group_array(both.c.id), func.json_group_array(both.c.title_folded))
    (told,) = connection.execute(select(lists)).one()
    titled_ids, titles = _TITLES.decode(told)
    rows = list(zip(alphabetical(titles), titled_ids, strict=True))
    rows.sort(key=itemgetter(0), reverse=by_name.descending)
    return tuple(video for _, video in rows)


def prepare(session: Session, orders: tuple[tuple[Choice, tuple[Sort, ...]], ...]) -> None:
    """Have the statements at hand that these are asked with: writing one anew takes as long as it takes to run."""
    for wanted, sorts in orders:
        order(session, wanted, sorts, most=1)
    channels(session)
    rules(session)
    session.connection().execute(_videos(), {"ids": "[]"}).one()


def videos(session: Session, ids: tuple[VideoId, ...]) -> tuple[ScreenVideo, ...]:
    """Return these videos in this order; unknown ones are left out."""
    if not ids:
        return ()
    (told,) = session.connection().execute(_videos(), {"ids": pack(ids)}).one()
    found = {read.id: _video(read) for read in _TOLD.decode(told)}
    return tuple(found[ident] for ident in ids if ident in found)


@cache
def _videos() -> Any:
    """Return the statement that tells the videos with ``ids``, a list as JSON; no torrents: a screen needs none."""
    pairs: list[Any] = []
    for name in Rendition.__dataclass_fields__:
        if name != "torrent":
            pairs += [literal_column(f"'{name}'"), getattr(RenditionRow, name)]
    encodings = (
        select(func.json_group_array(func.json_object(*pairs)))
        .where(RenditionRow.video == VideoRow.id)
        .correlate(VideoRow)
        .scalar_subquery()
    )
    told = func.json_array(
        VideoRow.id,
        VideoRow.origin,
        VideoRow.title,
        VideoRow.duration,
        type_coerce(VideoRow.published_at, Integer),
        VideoRow.channel_title,
        VideoRow.category,
        col(VideoRow.thumbnail_url).is_not(None),
        PinRow.state,
        func.json(PinRow.renditions),
        func.json(func.json_extract(DecisionRow.body, "$.renditions")),
        CachedRow.whole,
        func.json(encodings),
    )
    asked = func.json_each(bindparam("ids")).table_valued("value")
    return (
        select(func.json_group_array(told))
        .select_from(VideoRow)
        .outerjoin(PinRow, col(PinRow.video) == col(VideoRow.id))
        .outerjoin(DecisionRow, col(DecisionRow.video) == col(VideoRow.id))
        .outerjoin(CachedRow, col(CachedRow.video) == col(VideoRow.id))
        .where(col(VideoRow.id).in_(select(asked.c.value)))
    )


def one(session: Session, video: VideoId) -> ScreenVideo | None:
    """Return a video that is shown, else None."""
    shown = select(VideoRow.id).where(VideoRow.id == video, *_shown())
    return None if session.exec(shown).first() is None else videos(session, (video,))[0]


def channels(session: Session) -> tuple[Folder, ...]:
    """Return the followed channels by title, each with how many of its videos are shown."""
    counts = dict(
        session.exec(
            select(ListedRow.channel, func.count())
            .join(VideoRow, col(VideoRow.id) == col(ListedRow.video))
            .where(col(ListedRow.absent_since).is_(None), *_shown())
            .group_by(col(ListedRow.channel))
        ).all()
    )
    rows = session.exec(select(ChannelRow.id, ChannelRow.title, ChannelRow.name))
    found = (Folder(ident, title or name, int(counts.get(ident, 0))) for ident, title, name in rows)
    return tuple(sorted(found, key=lambda f: (fold(f.title), f.id)))


def rules(session: Session) -> tuple[Folder, ...]:
    """Return the rules in the owner's order, each with how many videos are shown that it chose."""
    rule = func.json_extract(DecisionRow.body, "$.rule")
    counts = dict(
        session.exec(
            select(rule, func.count())
            .select_from(DecisionRow)
            .join(VideoRow, col(VideoRow.id) == col(DecisionRow.video))
            .where(_chosen(), *_shown())
            .group_by(rule)
        ).all()
    )
    rows = session.exec(
        select(RuleRow.id, func.json_extract(RuleRow.body, "$.name")).order_by(col(RuleRow.position), col(RuleRow.id))
    )
    return tuple(Folder(ident, str(name or ident), int(counts.get(ident, 0))) for ident, name in rows)


def watched(session: Session, since: date, limit: int) -> tuple[VideoId, ...]:
    """Return the videos that screens in the house played since that day, the latest first."""
    last = func.max(LedgerRow.day)
    query = (
        select(LedgerRow.video)
        .where(
            LedgerRow.traffic == TrafficClass.LAN_PLAYERS.value,
            LedgerRow.day >= since,
            LedgerRow.up > 0,
            LedgerRow.video != "",
        )
        .group_by(col(LedgerRow.video))
        .order_by(last.desc(), func.sum(LedgerRow.up).desc())
        .limit(limit)
    )
    return tuple(VideoId(video) for video in session.exec(query))


def _video(read: _Read) -> ScreenVideo:
    names = read.decided if read.state is None or read.state == PinState.RELEASING.value else read.pinned
    return ScreenVideo(
        id=read.id,
        origin=read.origin,
        title=read.title,
        duration=read.duration,
        published_at=_EPOCH + timedelta(milliseconds=read.published),
        channel_title=read.channel_title,
        category=read.category,
        has_picture=read.has_picture,
        held=read.state == PinState.PINNED.value or bool(read.cached),
        renditions=read.renditions,
        promised=names or (),
    )


def _shown() -> tuple[ColumnElement[bool], ...]:
    pinned = select(PinRow.video).where(PinRow.video == VideoRow.id, PinRow.state == PinState.PINNED.value)
    cached = select(CachedRow.video).where(CachedRow.video == VideoRow.id, col(CachedRow.whole).is_(True))
    held = or_(pinned.correlate(VideoRow).exists(), cached.correlate(VideoRow).exists())
    listed = select(_listed.video).where(_listed.video == VideoRow.id).correlate(VideoRow).exists()
    known = select(RenditionRow.video).where(RenditionRow.video == VideoRow.id).correlate(VideoRow).exists()
    published = col(VideoRow.upstream) == Upstream.PUBLISHED.value
    wished = col(VideoRow.wish).is_not(None)
    return (
        or_(and_(published, known, or_(listed, wished)), held),
        col(VideoRow.is_live).is_(False),
        func.coalesce(VideoRow.wish, "") != Wish.NEVER.value,
    )


def _chosen() -> ColumnElement[bool]:
    return col(DecisionRow.verdict).in_((Verdict.KEEP.value, Verdict.PIN.value))


def _conditions(wanted: Choice) -> tuple[ColumnElement[bool], ...]:
    tests = [*_shown()]
    if wanted.channel is not None:
        listed = select(ListedRow.video).where(
            ListedRow.channel == wanted.channel, col(ListedRow.absent_since).is_(None)
        )
        tests.append(col(VideoRow.id).in_(listed))
    if wanted.rule is not None:
        by_rule = func.json_extract(DecisionRow.body, "$.rule") == wanted.rule
        tests.append(col(VideoRow.id).in_(select(DecisionRow.video).where(_chosen(), by_rule)))
    if wanted.among is not None:
        tests.append(col(VideoRow.id).in_(wanted.among))
    if wanted.newest is not None:
        newest = select(VideoRow.id).where(*_shown()).order_by(col(VideoRow.published_at).desc(), col(VideoRow.id))
        tests.append(col(VideoRow.id).in_(newest.limit(wanted.newest).correlate(None)))
    if wanted.test is not True:
        tests.append(tested(wanted.test))
    return tuple(tests)
