"""Origins: what was asked of each today, and whether we leave it in peace. This module has the noun."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from appliance.domain.catalogue import OriginToday, SilentChannel, SilentOrigin
from appliance.domain.channel import ChannelState
from appliance.domain.pin import PinState
from appliance.domain.units import ByteCount, ChannelId, Origin
from appliance.store.columns import pack, unpack
from appliance.store.engine import touched
from appliance.store.tables import ChannelRow, ListedRow, OriginRow, PinRow, SavedRow, VideoRow

_FAILING = "origins_failing"
_BROKEN = (ChannelState.FAILING.value, ChannelState.GONE.value)


@dataclass(frozen=True, slots=True)
class OriginState:
    """When it last answered anything, and since when it fails (None: it does not)."""

    last_ok: datetime | None = None
    failing: datetime | None = None


UNHEARD = OriginState()


def put(session: Session, now: datetime, today: tuple[OriginToday, ...]) -> None:
    """Write down the present count of each origin (replaces what stood for today)."""
    for o in today:
        row = session.get(OriginRow, o.origin) or OriginRow(origin=o.origin, day=now.date())
        row.day, row.requests, row.bytes_taken = now.date(), o.requests, o.bytes_taken
        row.failures, row.quiet_until, row.last_ok = o.failures, o.quiet_until, o.last_ok
        session.add(row)
        touched(session, "origin", o.origin)
    _note_failing(session, now, today)


def _note_failing(session: Session, now: datetime, today: tuple[OriginToday, ...]) -> None:
    """Remember since when each origin fails: its last request did, or no channel of ours there can be read."""
    followed: dict[str, list[bool]] = defaultdict(list)
    for origin, state in session.exec(select(ChannelRow.origin, ChannelRow.state).where(~col(ChannelRow.paused))):
        followed[origin].append(state in _BROKEN)
    failing = {o.origin for o in today if o.failures} | {origin for origin, broken in followed.items() if all(broken)}
    before = _failing(session)
    after = {origin: before.get(Origin(origin), now) for origin in sorted(failing)}
    if after != before:
        body = pack(after)
        session.merge(SavedRow(name=_FAILING, body=body))


def _failing(session: Session) -> dict[Origin, datetime]:
    row = session.get(SavedRow, _FAILING)
    return {} if row is None else unpack(dict[Origin, datetime], row.body)


def states(session: Session) -> dict[Origin, OriginState]:
    """Return how each origin answers."""
    failing = _failing(session)
    answered = {Origin(o): last_ok for o, last_ok in session.exec(select(OriginRow.origin, OriginRow.last_ok))}
    return {o: OriginState(answered.get(o), failing.get(o)) for o in answered.keys() | failing.keys()}


def every(session: Session, now: datetime) -> tuple[OriginToday, ...]:
    """Return all origins; counts of an earlier day are zero."""
    rows = session.exec(select(OriginRow).order_by(col(OriginRow.origin)))
    return tuple(
        OriginToday(
            origin=r.origin,
            requests=r.requests if r.day == now.date() else 0,
            bytes_taken=ByteCount(r.bytes_taken if r.day == now.date() else 0),
            failures=r.failures,
            quiet_until=r.quiet_until,
            last_ok=r.last_ok,
        )
        for r in rows
    )


def silent(session: Session, before: datetime) -> tuple[SilentOrigin, ...]:
    """Return the origins that have failed since ``before`` or longer and of which we hold whole videos."""
    since = {origin: at for origin, at in _failing(session).items() if at <= before}
    if not since:
        return ()
    whole = col(PinRow.state) == PinState.PINNED.value
    held = session.exec(
        select(VideoRow.origin, func.count(), func.sum(PinRow.done))
        .join(PinRow, col(PinRow.video) == col(VideoRow.id))
        .where(whole, col(VideoRow.origin).in_(list(since)))
        .group_by(VideoRow.origin)
    ).all()
    listing = session.exec(
        select(ChannelRow.origin, ChannelRow.id, ChannelRow.title, ChannelRow.name, func.count())  # type: ignore[call-overload]
        .join(ListedRow, col(ListedRow.channel) == col(ChannelRow.id))
        .join(PinRow, col(PinRow.video) == col(ListedRow.video))
        .where(whole, col(ChannelRow.origin).in_(list(since)))
        .group_by(ChannelRow.id)
    ).all()
    channels: dict[str, list[SilentChannel]] = defaultdict(list)
    for origin, ident, title, name, count in listing:
        channels[origin].append(SilentChannel(ChannelId(ident), title or name, int(count)))
    return tuple(
        SilentOrigin(Origin(o), since[Origin(o)], int(n), ByteCount(int(size or 0)), tuple(channels[o]))
        for o, n, size in sorted(held)
    )
