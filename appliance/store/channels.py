"""Channels: followed, checked, left. Functions for ``store.read`` and ``store.write``: this module has the noun."""

from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, delete, select

from appliance.domain.catalogue import ChannelCounts
from appliance.domain.channel import (
    Channel,
    ChannelAddress,
    ChannelInfo,
    ChannelKind,
    ChannelState,
    Trouble,
    WhenGone,
)
from appliance.domain.pin import PinState
from appliance.domain.plan import Verdict
from appliance.domain.units import ByteCount, ChannelId, Origin, VideoId, channel_id
from appliance.store.columns import pack, unpack
from appliance.store.engine import touched
from appliance.store.tables import ChannelRow, DecisionRow, ListedRow, PinRow, VideoRow


def _channel(row: ChannelRow, listed: int) -> Channel:
    return Channel(
        id=ChannelId(row.id),
        info=ChannelInfo(
            address=ChannelAddress(row.base_url, Origin(row.origin), ChannelKind(row.kind), row.name),
            title=row.title,
            description=row.description,
            url=row.url,
            avatar_url=row.avatar_url,
        ),
        state=ChannelState(row.state),
        followed_at=row.followed_at,
        when_gone=WhenGone(row.when_gone),
        web_videos=row.web_videos,
        paused=row.paused,
        trouble=None if row.trouble is None else unpack(Trouble, row.trouble),
        failures=row.failures,
        last_check=row.last_check,
        last_change=row.last_change,
        next_check=row.next_check,
        total=row.total,
        listed=listed,
        listing_etag=row.listing_etag,
    )


def _listed_counts(session: Session) -> dict[str, int]:
    query = (
        select(ListedRow.channel, func.count()).where(col(ListedRow.absent_since).is_(None)).group_by(ListedRow.channel)
    )
    return {channel: int(n) for channel, n in session.exec(query)}


def every(session: Session) -> tuple[Channel, ...]:
    """Return all channels, the last followed first."""
    counts = _listed_counts(session)
    rows = session.exec(select(ChannelRow).order_by(col(ChannelRow.followed_at).desc()))
    return tuple(_channel(row, counts.get(row.id, 0)) for row in rows)


def one(session: Session, channel: ChannelId) -> Channel | None:
    row = session.get(ChannelRow, channel)
    if row is None:
        return None
    listed = session.exec(
        select(func.count()).where(ListedRow.channel == channel, col(ListedRow.absent_since).is_(None))
    ).one()
    return _channel(row, int(listed))


def follow(session: Session, info: ChannelInfo, now: datetime) -> ChannelId:
    """Follow a channel, due at once. One that is followed already keeps its settings and is only made due."""
    address = info.address
    ident = channel_id(address.origin, address.kind.value, address.name)
    row = session.get(ChannelRow, ident)
    if row is None:
        row = ChannelRow(
            id=ident,
            base_url=address.base_url,
            origin=address.origin,
            kind=address.kind.value,
            name=address.name,
            title=info.title,
            state=ChannelState.NEW.value,
            followed_at=now,
            when_gone=WhenGone.KEEP.value,
        )
        touched(session, "listing", ident)
    row.title, row.description, row.url, row.avatar_url = info.title, info.description, info.url, info.avatar_url
    row.next_check = now
    session.add(row)
    touched(session, "channel", ident)
    return ident


def leave(session: Session, channel: ChannelId) -> bool:
    """Stop following. Its videos stay in the catalogue; what no rule wants any more the next plan releases."""
    row = session.get(ChannelRow, channel)
    if row is None:
        return False
    session.exec(delete(ListedRow).where(col(ListedRow.channel) == channel))
    session.delete(row)
    touched(session, "channel", channel)
    touched(session, "listing", channel)
    return True


def change(
    session: Session,
    channel: ChannelId,
    *,
    when_gone: WhenGone | None = None,
    web_videos: bool | None = None,
    paused: bool | None = None,
) -> bool:
    """Change the owner's settings of one channel; None leaves a field as it is."""
    row = session.get(ChannelRow, channel)
    if row is None:
        return False
    if when_gone is not None:
        row.when_gone = when_gone.value
    if web_videos is not None:
        row.web_videos = web_videos
    if paused is not None:
        row.paused = paused
    session.add(row)
    touched(session, "channel", channel)
    touched(session, "listing", channel)
    return True


def make_due(session: Session, channel: ChannelId, now: datetime) -> bool:
    """Have the channel looked at now, whatever its back-off."""
    row = session.get(ChannelRow, channel)
    if row is None:
        return False
    row.next_check = now
    session.add(row)
    touched(session, "channel", channel)
    return True


def note_portrait(session: Session, channel: ChannelId) -> None:
    """The channel's picture is another one; it lies beside the database, and pages show it anew."""
    touched(session, "channel", channel)


def note_check(
    session: Session,
    channel: ChannelId,
    now: datetime,
    *,
    state: ChannelState,
    next_check: datetime,
    trouble: Trouble | None = None,
    failures: int = 0,
    changed: bool = False,
    total: int | None = None,
    etag: str | None = None,
) -> None:
    """Write down how one look at the channel went."""
    row = session.get(ChannelRow, channel)
    if row is None:
        return
    row.state, row.next_check, row.last_check = state.value, next_check, now
    row.trouble, row.failures = None if trouble is None else pack(trouble), failures
    if changed:
        row.last_change = now
    if total is not None:
        row.total = total
    if etag is not None:
        row.listing_etag = etag
    session.add(row)
    touched(session, "channel", channel)


def due(session: Session, now: datetime) -> tuple[tuple[Channel, ...], datetime | None]:
    """Return the channels to look at now, the longest due first, and when the next one after them falls due."""
    rows = session.exec(
        select(ChannelRow).where(col(ChannelRow.paused).is_(False)).order_by(col(ChannelRow.next_check).asc())
    ).all()
    ready = tuple(_channel(r, 0) for r in rows if r.next_check is None or r.next_check <= now)
    later = [r.next_check for r in rows if r.next_check is not None and r.next_check > now]
    return ready, min(later, default=None)


def counts(session: Session) -> dict[ChannelId, ChannelCounts]:
    """Return how much of each channel is listed, wanted and held."""
    listed = _listed_counts(session)
    held_query = (
        select(ListedRow.channel, func.count(), func.sum(PinRow.done))
        .join(PinRow, col(PinRow.video) == col(ListedRow.video))
        .where(PinRow.state == PinState.PINNED.value)
        .group_by(ListedRow.channel)
    )
    held = {channel: (int(n), int(size or 0)) for channel, n, size in session.exec(held_query)}
    wanted_query = (
        select(ListedRow.channel, func.count())
        .join(DecisionRow, col(DecisionRow.video) == col(ListedRow.video))
        .where(DecisionRow.verdict == Verdict.PIN.value)
        .group_by(ListedRow.channel)
    )
    wanted = {channel: int(n) for channel, n in session.exec(wanted_query)}
    return {
        ChannelId(ident): ChannelCounts(
            listed=listed.get(ident, 0),
            wanted=wanted.get(ident, 0),
            held=held.get(ident, (0, 0))[0],
            held_bytes=ByteCount(held.get(ident, (0, 0))[1]),
        )
        for ident in session.exec(select(ChannelRow.id))
    }


def of_video(session: Session, video: str) -> tuple[Channel, ...]:
    """Return the channels that list a video now."""
    rows = session.exec(
        select(ChannelRow)
        .join(ListedRow, col(ListedRow.channel) == col(ChannelRow.id))
        .where(ListedRow.video == video, col(ListedRow.absent_since).is_(None))
    )
    return tuple(_channel(r, 0) for r in rows)


def held(session: Session, channel: ChannelId) -> tuple[tuple[Origin, VideoId], ...]:
    """Return the videos of a channel that we hold whole, also those it lists no longer, the newest first."""
    rows = session.exec(
        select(VideoRow.origin, VideoRow.id)
        .join(ListedRow, col(ListedRow.video) == col(VideoRow.id))
        .join(PinRow, col(PinRow.video) == col(VideoRow.id))
        .where(ListedRow.channel == channel, PinRow.state == PinState.PINNED.value)
        .order_by(col(VideoRow.published_at).desc(), col(VideoRow.id))
    )
    return tuple((Origin(origin), VideoId(video)) for origin, video in rows)
