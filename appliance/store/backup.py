"""Copies of the catalogue: made while it is in use, put back while it is not. This module needs no SQLModel."""

import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import BadInput, SchemaTooNew, StoreError

NEWEST = "0003"


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy holds: its schema, followed channels, videos known, pins."""

    schema: str
    channels: int
    videos: int
    pins: int


def write(database: Path, target: Path) -> Copy:
    """Write a consistent copy of ``database`` to ``target`` (SQLite's online backup). Raises BadInput, StoreError."""
    if not database.exists():
        raise StoreError(f"There is no catalogue at {database}.", hint="Name the data folder with --data.")
    if target.exists():
        raise BadInput(f"{target} is there already.", hint="Choose another name: a backup never overwrites.")
    unfinished = target.with_name(target.name + ".new")
    try:
        source, copy = sqlite3.connect(database), sqlite3.connect(unfinished)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
            source.close()
        os.replace(unfinished, target)
    except (OSError, sqlite3.Error) as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(f"The backup could not be written: {error}.") from error
    return look(target)


def look(file: Path) -> Copy:
    """Return what a copy holds. Raises BadInput for what is no backup of ours, SchemaTooNew."""
    if not file.is_file():
        raise BadInput(f"There is no file {file}.")
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            numbers = [
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("channels", "videos", "pins")
            ]
        finally:
            connection.close()
    except (sqlite3.Error, TypeError) as error:
        raise BadInput(f"{file} is not a backup of Seedkeep.", hint="`seedkeep backup FILE` makes one.") from error
    if schema > NEWEST:
        raise SchemaTooNew(f"{file} was written by a newer Seedkeep (schema {schema}).", hint="Install that version.")
    return Copy(schema, *numbers)


def restore(file: Path, database: Path) -> Path | None:
    """Put a copy in the place of the catalogue; return where the old one lies now, None where there was none.

    The service must not be running. Raises BadInput, SchemaTooNew, StoreError.
    """
    look(file)
    kept: Path | None = None
    unfinished = database.with_suffix(".restoring")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, unfinished)
        with open(unfinished, "rb") as written:
            os.fsync(written.fileno())
        if database.exists():
            _settle(database)
            kept = database.with_suffix(".before-restore.db")
            os.replace(database, kept)
        for side in ("-wal", "-shm"):
            Path(f"{database}{side}").unlink(missing_ok=True)
        os.replace(unfinished, database)
    except OSError as error:
        raise StoreError(f"The backup could not be put back: {error}.") from error
    return kept


def _settle(database: Path) -> None:
    """Take what is in the write-ahead log into the file, so that the file alone is whole."""
    try:
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    except sqlite3.Error:
        return
