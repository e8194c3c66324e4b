"""Origins: what was asked of each today, and whether we leave it in peace. This module has the noun."""

from datetime import datetime

from sqlmodel import Session, col, select

from appliance.domain.catalogue import OriginToday
from appliance.domain.units import ByteCount
from appliance.store.engine import touched
from appliance.store.tables import OriginRow


def put(session: Session, now: datetime, today: tuple[OriginToday, ...]) -> None:
    """Write down the present count of each origin (replaces what stood for today)."""
    for o in today:
        row = session.get(OriginRow, o.origin) or OriginRow(origin=o.origin, day=now.date())
        row.day, row.requests, row.bytes_taken = now.date(), o.requests, o.bytes_taken
        row.failures, row.quiet_until, row.last_ok = o.failures, o.quiet_until, o.last_ok
        session.add(row)
        touched(session, "origin", o.origin)


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
