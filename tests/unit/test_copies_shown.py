"""Copies elsewhere as a person and a program read them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from appliance.clock import RealClock
from appliance.domain.plan import Copies, CopyReport, CopySource
from appliance.store import copies as store
from appliance.store.copies import Counted
from tests.unit.house import a_house, a_token, fill, summary
from web.views import copies

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def test_copies_elsewhere_are_told_with_who_says_so_and_how_long_ago() -> None:
    hour = timedelta(hours=1)
    tracker = CopyReport(CopySource.TRACKER, 2, NOW - hour)
    origin = CopyReport(CopySource.ORIGIN, 1, NOW - hour)
    assert copies.line(Copies(), NOW) == "unknown"
    assert copies.line(Copies(0, 0, (replace(origin, count=0),)), NOW) == "none known (not the origin, 1\u00a0hour ago)"
    assert copies.line(Copies(3, 2, (tracker, origin)), NOW) == (
        "3, 2 verified (2 by the tracker, 1\u00a0hour ago; the origin, 1\u00a0hour ago)"
    )


async def test_a_video_names_its_copies_with_source_count_age_and_proof(tmp_path: Path) -> None:
    async with a_house(tmp_path, clock=RealClock()) as house:
        await fill(house, 2)
        video, now = summary(1).id, house.clock.now()
        await house.store.write(store.note_counted, {video: Counted(4, 3)}, now - timedelta(hours=1))
        await house.store.write(store.note_answer, video, CopySource.PEERS, "9.9.9.9", now, right=True)
        headers = {"authorization": f"Bearer {await a_token(house)}"}
        async with house.served() as base, httpx.AsyncClient(base_url=base, headers=headers) as client:
            found = (await client.get(f"/api/v1/videos/{video}")).json()
    told = {by["source"]: (by["count"], 3590 < by["age"] < 3700) for by in found["copies_by"]}
    assert told == {"tracker": (4, True), "peers": (3, True)}
    assert (found["copies"], found["copies_verified"]) == (4, 1)
