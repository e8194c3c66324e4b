"""Bring a database up to the newest schema. This module is imported only when there is something to do."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

_HERE = Path(__file__).parent


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    return config


def known_versions() -> frozenset[str]:
    """Return every schema version this Seedkeep knows."""
    return frozenset(r.revision for r in ScriptDirectory.from_config(_config()).walk_revisions())


def upgrade(path: Path) -> None:
    """Run the migrations that are missing, each in its own transaction."""
    config = _config()
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()
