"""Pins: what we promised to hold, and how far it is. Every change of state is written with ``store.promise``.

This module has the noun.
"""

from datetime import datetime

from sqlmodel import Session, col, func, select, update

from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.errors import NoSpace
from appliance.store import cached
from appliance.store.columns import pack, unpack
from appliance.store.engine import touched
from appliance.store.tables import PinRow, VideoRow


def _pin(row: PinRow) -> Pin:
    return Pin(
        video=VideoId(row.video),
        state=PinState(row.state),
        renditions=unpack(tuple[RenditionName, ...], row.renditions),
        size=ByteCount(row.size),
        done=ByteCount(row.done),
        since=row.since,
        pinned_at=row.pinned_at,
        trouble=None if row.trouble is None else unpack(Trouble, row.trouble),
        failures=row.failures,
        next_try=row.next_try,
    )


def every(session: Session) -> tuple[Pin, ...]:
    """Return all pins, the oldest promise first."""
    return tuple(_pin(r) for r in session.exec(select(PinRow).order_by(col(PinRow.since), col(PinRow.video))))


def held_bytes(session: Session) -> ByteCount:
    """Return the verified bytes of all pins together."""
    return ByteCount(int(session.exec(select(func.coalesce(func.sum(PinRow.done), 0))).one()))


def waiting_for_room(session: Session) -> int:
    """Return how many pins wait until something fits on the disk."""
    lacks = col(PinRow.trouble).contains(f'"{NoSpace.code}"')
    query = select(func.count()).select_from(PinRow).where(PinRow.state == PinState.WAITING.value, lacks)
    return int(session.exec(query).one())


def one(session: Session, video: VideoId) -> Pin | None:
    row = session.get(PinRow, video)
    return None if row is None else _pin(row)


def put(session: Session, pin: Pin) -> None:
    """Write a pin as it now is."""
    row = session.get(PinRow, pin.video)
    if row is None:
        row = PinRow(video=pin.video, state="", renditions="", size=0, since=pin.since)
        cached.drop(session, pin.video)
    moved = row.state != pin.state.value
    row.state, row.renditions = pin.state.value, pack(pin.renditions)
    row.size, row.done, row.since, row.pinned_at = pin.size, pin.done, pin.since, pin.pinned_at
    row.trouble = None if pin.trouble is None else pack(pin.trouble)
    row.failures, row.next_try = pin.failures, pin.next_try
    session.add(row)
    touched(session, "pin", pin.video)
    if moved:
        touched(session, "pin_state", pin.video)


def note_done(session: Session, done: dict[VideoId, ByteCount]) -> None:
    """Write down progress; an observation, not a promise."""
    for video, n in done.items():
        session.exec(update(PinRow).where(col(PinRow.video) == video).values(done=n))
        touched(session, "pin", video)


def drop(session: Session, video: VideoId) -> None:
    """The pin is released: nothing of it is on the disk any more."""
    row = session.get(PinRow, video)
    if row is not None:
        session.delete(row)
        touched(session, "pin", video)
        touched(session, "pin_state", video)


def next_try(session: Session, now: datetime) -> datetime | None:
    """Return when the next backed-off pin falls due after ``now``."""
    return session.exec(
        select(PinRow.next_try).where(col(PinRow.next_try) > now).order_by(col(PinRow.next_try)).limit(1)
    ).first()


def let_wait(session: Session, video: VideoId, origin: Origin, trouble: Trouble, until: datetime) -> None:
    """Have a pin wait for its origin until then, and with it all of that origin that was never begun."""
    query = select(PinRow).join(VideoRow, col(VideoRow.id) == col(PinRow.video)).where(VideoRow.origin == origin)
    fresh = (col(PinRow.state) == PinState.QUEUED.value) & (col(PinRow.done) == 0)
    for row in session.exec(query.where(fresh | (col(PinRow.video) == video))):
        row.state, row.trouble, row.next_try = PinState.WAITING.value, pack(trouble), until
        _told(session, row)


def go_on(session: Session, origin: Origin, code: str) -> None:
    """Have what waits at an origin for the trouble of this code have its turn again."""
    query = select(PinRow).join(VideoRow, col(VideoRow.id) == col(PinRow.video)).where(VideoRow.origin == origin)
    for row in session.exec(query.where(PinRow.state == PinState.WAITING.value)):
        if row.trouble is not None and unpack(Trouble, row.trouble).code == code:
            row.state, row.trouble, row.next_try = PinState.QUEUED.value, None, None
            _told(session, row)


def begin_wait(session: Session, trouble: Trouble, until: datetime, busy: frozenset[VideoId]) -> None:
    """Have every pin that would be fetched, save the busy ones, wait until then."""
    coming = (PinState.QUEUED.value, PinState.PINNING.value)
    for row in session.exec(select(PinRow).where(col(PinRow.state).in_(coming))):
        if row.video not in busy:
            row.state, row.trouble, row.next_try = PinState.WAITING.value, pack(trouble), until
            _told(session, row)


def waiting_for(session: Session, code: str) -> tuple[tuple[VideoId, Origin], ...]:
    """Return the pins that wait for the trouble of this code, with whose they are."""
    query = select(PinRow.video, VideoRow.origin).join(VideoRow, col(VideoRow.id) == col(PinRow.video))
    waits = (col(PinRow.state) == PinState.WAITING.value) & col(PinRow.trouble).contains(f'"{code}"')
    return tuple((VideoId(video), Origin(origin)) for video, origin in session.exec(query.where(waits)))


def go_on_with(session: Session, videos: frozenset[VideoId], code: str) -> None:
    """Have those of these that wait for the trouble of this code have their turn again."""
    for video in videos:
        row = session.get(PinRow, video)
        if row is None or row.state != PinState.WAITING.value or row.trouble is None:
            continue
        if unpack(Trouble, row.trouble).code == code:
            row.state, row.trouble, row.next_try = PinState.QUEUED.value, None, None
            _told(session, row)


def end_wait(session: Session, code: str) -> None:
    """Have every pin that waits for the trouble of this code have its turn again."""
    for row in session.exec(select(PinRow).where(PinRow.state == PinState.WAITING.value)):
        if row.trouble is not None and unpack(Trouble, row.trouble).code == code:
            row.state, row.trouble, row.next_try = PinState.QUEUED.value, None, None
            _told(session, row)


def _told(session: Session, row: PinRow) -> None:
    session.add(row)
    touched(session, "pin", row.video)
    touched(session, "pin_state", row.video)
