"""Small named JSON values: the settings that the dashboard saved, the library's id. This module has the noun."""

from sqlmodel import Session

from appliance.store.engine import touched
from appliance.store.tables import SavedRow


def get(session: Session, name: str) -> str | None:
    """Return the JSON text under a name, or None."""
    row = session.get(SavedRow, name)
    return None if row is None else row.body


def put(session: Session, name: str, body: str) -> None:
    row = session.get(SavedRow, name) or SavedRow(name=name, body="")
    row.body = body
    session.add(row)
    touched(session, "saved", name)


def drop(session: Session, name: str) -> None:
    row = session.get(SavedRow, name)
    if row is not None:
        session.delete(row)
        touched(session, "saved", name)
