"""What a run of all tests saves changes nothing that they show."""

import asyncio
import sqlite3
from pathlib import Path

from appliance.store.engine import Store
from appliance.store.migrations.run import upgrade
from tests.world.thrift import passwords_at_their_cost
from web.access import keys


def _schema(path: Path) -> list[tuple[str, ...]]:
    database = sqlite3.connect(path)
    try:
        schema = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        return [*schema, *database.execute("SELECT * FROM alembic_version"), *database.execute("PRAGMA journal_mode")]
    finally:
        database.close()


async def test_a_copied_empty_catalogue_is_what_the_migrations_make(tmp_path: Path) -> None:
    for name in ("one.db", "two.db"):
        async with Store(tmp_path / name):
            pass
    await asyncio.to_thread(upgrade, tmp_path / "made.db")
    schemas = [await asyncio.to_thread(_schema, tmp_path / name) for name in ("one.db", "two.db", "made.db")]
    assert schemas[0] == schemas[1] == schemas[2]


async def test_a_password_is_kept_at_the_cost_of_a_person_who_waits_and_known_again() -> None:
    with passwords_at_their_cost():
        kept = await keys.hash_password("correct horse")
        assert kept.startswith("$argon2id$v=19$m=65536,t=2,p=1$")
        assert await keys.is_password(kept, "correct horse")
        assert not await keys.is_password(kept, "correct house")
