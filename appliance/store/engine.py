"""One writer thread, a few readers, and listeners that are told what changed: this module runs every query.

``fn(session, *args)`` is a plain function that answers plain values. Writers mark what they touched with
``touched``; after the commit the store calls its listeners on the loop with those kinds and ids.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlmodel import Session, create_engine

from appliance.errors import SchemaTooNew, StoreError
from appliance.store.backup import NEWEST

__all__ = ["SCHEMA", "Listener", "Session", "Store", "Touched", "touched"]

P = ParamSpec("P")
T = TypeVar("T")
Touched = frozenset[tuple[str, str]]
Listener = Callable[[Touched], None]

SCHEMA = NEWEST
"""The newest migration; a database that says so needs no Alembic (whose import alone takes 0.1 s)."""

_READERS = 3
_PRAGMAS = (
    "journal_mode=WAL",
    "busy_timeout=5000",
    "foreign_keys=ON",
    "cache_size=-8000",
    "mmap_size=0",
    "temp_store=MEMORY",
)
_DISK = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT})
_ANY_MORE_IDS = 500
"""With more changed ids than this of one kind, listeners get the kind with an empty id: everything of it."""


def touched(session: Session, kind: str, ident: str = "") -> None:
    """Mark ``ident`` of ``kind`` as changed by this transaction; an empty ``ident`` means any of that kind."""
    session.info.setdefault("touched", set()).add((kind, ident))


def _engine(path: Path, *, read_only: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"check_same_thread": False},
        poolclass=QueuePool,
        pool_size=_READERS if read_only else 1,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def pragmas(connection: sqlite3.Connection, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, f"synchronous={'NORMAL'}", *(("query_only=ON",) if read_only else ())):
            cursor.execute("PRAGMA " + pragma)
        cursor.close()

    return engine


@contextmanager
def _naming_disk_errors(what: str) -> Iterator[None]:
    """Turn what SQLite says of its disk into StoreError; the transaction is undone, and what it was for stays undone.

    Everything else that SQLite complains of is a bug of ours (https://www.sqlite.org/rescode.html).
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        primary = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if primary == sqlite3.SQLITE_FULL:
            raise StoreError(
                f"The database cannot be {what}: its disk is full.",
                hint="Free some space where the data folder is. It goes on by itself.",
            ) from error
        if primary in _DISK:
            raise StoreError(
                f"The database cannot be {what}: {cause}.", hint="Look at the disk with the data folder."
            ) from error
        raise


class Store:
    """The catalogue, open for the length of ``async with Store(path)``. Times in it are UTC, sizes bytes.

    Every method raises StoreError where the database's disk fails or is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = ThreadPoolExecutor(1, "db-write")
        self._readers = ThreadPoolExecutor(_READERS, "db-read")
        self._write_engine = _engine(path, read_only=False)
        self._read_engine = _engine(path, read_only=True)
        self._listeners: list[Listener] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: set[tuple[str, str]] = set()
        self.trouble: str | None = None
        """Why nothing can be written at the moment."""

    async def __aenter__(self) -> Self:
        """Migrate if needed, after a copy of the database. Raises SchemaTooNew, StoreError."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._loop.run_in_executor(self._writer, _prepare, self.path)
        except BaseException:
            self._writer.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        def close() -> None:
            self._write_engine.dispose()
            self._read_engine.dispose()

        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, close)
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    async def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn`` in one transaction; a power cut may lose the last of these, never corrupt."""
        return await self._write(False, fn, args, kwargs)

    async def promise(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn`` in one transaction that is on the disk when this returns: what a person did, a pin's state."""
        return await self._write(True, fn, args, kwargs)

    async def read(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn`` on a connection that cannot write."""

        def run() -> T:
            with _naming_disk_errors("read"), Session(self._read_engine) as session:
                return fn(session, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` on the loop after commits, coalesced; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def _write(self, durable: bool, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        def run() -> tuple[T, set[tuple[str, str]]]:
            with (
                _naming_disk_errors("written"),
                Session(self._write_engine, expire_on_commit=False) as session,
            ):
                raw = session.connection().connection.dbapi_connection
                assert isinstance(raw, sqlite3.Connection)
                raw.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                answer = fn(session, *args, **kwargs)
                session.commit()
                return answer, session.info.get("touched", set())

        try:
            answer, marks = await asyncio.get_running_loop().run_in_executor(self._writer, run)
        except StoreError as error:
            self.trouble = error.message
            raise
        self.trouble = None
        if marks:
            self._tell(marks)
        return answer

    def _tell(self, marks: set[tuple[str, str]]) -> None:
        if not self._pending and self._loop is not None:
            self._loop.call_soon(self._flush)
        self._pending |= marks

    def _flush(self) -> None:
        marks, self._pending = self._pending, set()
        crowded = {kind for kind, _ in marks if sum(1 for k, _ in marks if k == kind) > _ANY_MORE_IDS}
        told = frozenset({(kind, "" if kind in crowded else ident) for kind, ident in marks})
        for listener in list(self._listeners):
            listener(told)


def _version(path: Path) -> str | None:
    connection = sqlite3.connect(path)
    try:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name='alembic_version'").fetchone() is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"The database {path.name} cannot be read: {error}.",
            hint="Restore a backup with `seedkeep restore`, or move the file away to begin with an empty catalogue.",
        ) from error
    finally:
        connection.close()


def _prepare(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    version = _version(path)
    if version == SCHEMA:
        return
    from appliance.store.migrations.run import known_versions, upgrade

    if version is not None:
        if version not in known_versions():
            raise SchemaTooNew(
                f"The database was written by a newer Seedkeep (schema {version}, this one knows up to {SCHEMA}).",
                hint="Install that version again, or restore a backup made before it.",
            )
        shutil.copy2(path, path.with_suffix(f".before-{SCHEMA}.db"))
    upgrade(path)
