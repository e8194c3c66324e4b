"""Logins and tokens. Secrets are kept as digests only: this module has both nouns."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, delete, select

from appliance.store.engine import touched
from appliance.store.tables import SessionRow, TokenRow

_SEEN_AT_MOST_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Login:
    """One logged-in browser. ``digest`` is the SHA-256 of its cookie in hex."""

    digest: str
    csrf: str
    created_at: datetime
    last_seen: datetime
    expires_at: datetime
    label: str


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token of a program: its scope is one of play, read, pin, admin."""

    id: str
    name: str
    scope: str
    created_at: datetime
    last_used: datetime | None


def _login(r: SessionRow) -> Login:
    return Login(r.digest, r.csrf, r.created_at, r.last_seen, r.expires_at, r.label)


def open_login(session: Session, login: Login) -> None:
    session.add(
        SessionRow(
            digest=login.digest,
            csrf=login.csrf,
            created_at=login.created_at,
            last_seen=login.last_seen,
            expires_at=login.expires_at,
            label=login.label,
        )
    )
    touched(session, "login")


def login(session: Session, digest: str, now: datetime) -> Login | None:
    """Return the login of a cookie, unless it has run out."""
    row = session.get(SessionRow, digest)
    return None if row is None or row.expires_at <= now else _login(row)


def logins(session: Session, now: datetime) -> tuple[Login, ...]:
    rows = session.exec(
        select(SessionRow).where(SessionRow.expires_at > now).order_by(col(SessionRow.last_seen).desc())
    )
    return tuple(_login(r) for r in rows)


def renew_login(session: Session, digest: str, now: datetime, expires_at: datetime) -> None:
    row = session.get(SessionRow, digest)
    if row is not None and now - row.last_seen >= _SEEN_AT_MOST_EVERY:
        row.last_seen, row.expires_at = now, expires_at
        session.add(row)


def close_login(session: Session, digest: str) -> None:
    session.exec(delete(SessionRow).where(col(SessionRow.digest) == digest))
    touched(session, "login")


def close_all_logins(session: Session, *, but: str = "") -> None:
    session.exec(delete(SessionRow).where(col(SessionRow.digest) != but))
    touched(session, "login")


def sweep(session: Session, now: datetime) -> None:
    """Forget logins that have run out."""
    session.exec(delete(SessionRow).where(col(SessionRow.expires_at) <= now))


def _token(r: TokenRow) -> Token:
    return Token(r.id, r.name, r.scope, r.created_at, r.last_used)


def add_token(session: Session, token: Token, digest: str) -> None:
    session.add(TokenRow(id=token.id, digest=digest, name=token.name, scope=token.scope, created_at=token.created_at))
    touched(session, "token")


def tokens(session: Session) -> tuple[Token, ...]:
    return tuple(_token(r) for r in session.exec(select(TokenRow).order_by(col(TokenRow.created_at))))


def token(session: Session, digest: str) -> Token | None:
    row = session.exec(select(TokenRow).where(TokenRow.digest == digest)).first()
    return None if row is None else _token(row)


def use_token(session: Session, ident: str, now: datetime) -> None:
    row = session.get(TokenRow, ident)
    if row is not None and (row.last_used is None or now - row.last_used >= _SEEN_AT_MOST_EVERY):
        row.last_used = now
        session.add(row)


def drop_token(session: Session, ident: str) -> bool:
    row = session.get(TokenRow, ident)
    if row is None:
        return False
    session.delete(row)
    touched(session, "token")
    return True
