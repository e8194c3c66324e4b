"""Bytes that crossed the uplink, by UTC hour: what budgets of transfer are held against. This module has the noun."""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, col, func, select

from appliance.domain.units import ByteCount
from appliance.store import saved
from appliance.store.engine import touched
from appliance.store.tables import TransferRow

_AHEAD = "transfer_ahead"

Bytes = tuple[ByteCount, ByteCount]
"""Bytes up and down."""


def note(session: Session, changes: Mapping[datetime, tuple[int, int]], ahead: Bytes) -> None:
    """Add bytes (up, down) to UTC hours, and remember how many more may be spent before the next note.

    Changes may be negative (bytes move to another hour); an hour never falls below nothing.
    """
    for hour, (up, down) in changes.items():
        if not up and not down:
            continue
        statement = insert(TransferRow).values(hour=hour, up=max(up, 0), down=max(down, 0))
        sums = {"up": _plus("up", up), "down": _plus("down", down)}
        session.execute(statement.on_conflict_do_update(index_elements=["hour"], set_=sums))
    saved.put(session, _AHEAD, json.dumps(ahead))
    touched(session, "transfer")


def _plus(name: str, count: int) -> object:
    return func.max(0, getattr(TransferRow, name) + count)


def ahead(session: Session) -> Bytes:
    """Return how many bytes may have been spent since the last note: nothing after an orderly end."""
    text = saved.get(session, _AHEAD)
    if text is None:
        return ByteCount(0), ByteCount(0)
    up, down = json.loads(text)
    return ByteCount(int(up)), ByteCount(int(down))


def since(session: Session, first: datetime) -> dict[datetime, Bytes]:
    """Return bytes by UTC hour from ``first`` on, hours that a clock ahead of its time wrote included."""
    rows = session.exec(select(TransferRow).where(col(TransferRow.hour) >= first).order_by(col(TransferRow.hour)))
    return {row.hour: (ByteCount(row.up), ByteCount(row.down)) for row in rows}
