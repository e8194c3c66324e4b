"""A catalogue of very many videos, made without a network: this module fills a data folder's database with them."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from appliance.domain.units import video_id
from tests.bench.stock import BASE, HOST, NOW, stock

HEIGHTS = (1080, 720, 480)


def fill(data: Path, count: int) -> None:
    """Make a new data folder whose one channel lists ``count`` videos of three renditions each; one is pinned.

    The one rule there is is paused, so that nothing is fetched.
    """
    (first,) = asyncio.run(stock(data, 1))
    with closing(sqlite3.connect(data / "catalogue.db")) as base, base:
        base.execute("UPDATE rules SET body = json_set(body, '$.paused', json('true'))")
        base.execute("UPDATE videos SET detail_due = 0")
        (channel,) = base.execute("SELECT id FROM channels").fetchone()
        video, listed, rendition = (
            _row(base, table, column, first)
            for table, column in (("videos", "id"), ("listed", "video"), ("renditions", "video"))
        )
        assert listed["channel"] == channel
        uuids = [hashlib.md5(str(n).encode()).hexdigest() for n in range(1, count)]
        ids = [video_id(HOST, uuid) for uuid in uuids]
        _insert(base, "videos", (_video(video, n, *pair) for n, pair in enumerate(zip(uuids, ids, strict=True), 1)))
        _insert(base, "listed", (listed | {"video": ident} for ident in ids))
        _insert(base, "renditions", (_rendition(rendition, n, x, h) for n, x in enumerate(ids, 1) for h in HEIGHTS))


def _row(base: sqlite3.Connection, table: str, column: str, ident: str) -> dict[str, object]:
    found = base.execute(f"SELECT * FROM {table} WHERE {column} = ?", (ident,))
    return dict(zip((name for name, *_ in found.description), found.fetchone(), strict=True))


def _video(like: dict[str, object], n: int, uuid: str, ident: str) -> dict[str, object]:
    published = NOW - timedelta(hours=1 + n % 9600)
    named = {"id": ident, "uuid": uuid, "url": f"{BASE}/videos/watch/{uuid}", "title": f"Film {n}"}
    when = int(published.timestamp() * 1000)
    return like | named | {"title_folded": f"film {n}", "views": n * 7919 % 10_007, "published_at": when}


def _rendition(like: dict[str, object], n: int, ident: str, height: int) -> dict[str, object]:
    size = (n % 90 + 10) * height * 1000
    return like | {"video": ident, "name": f"{height}p", "height": height, "width": height * 16 // 9, "size": size}


def _insert(base: sqlite3.Connection, table: str, rows: Iterator[dict[str, object]]) -> None:
    first = next(rows)
    columns = ", ".join(first)
    marks = ", ".join("?" * len(first))
    base.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(first.values()))
    base.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", (tuple(row.values()) for row in rows))
