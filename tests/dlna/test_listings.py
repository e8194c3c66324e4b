"""Listings are read once for all their pages, and again once something changed that a screen can see."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.clock import ManualClock, RealClock
from appliance.domain.pin import Wish
from appliance.domain.plan import Plan
from appliance.domain.units import ByteCount, RuleId
from appliance.serve.dlna import remembered
from appliance.serve.dlna.app import create_dlna_app
from appliance.serve.dlna.listings import Listings
from appliance.store import decisions, videos
from appliance.store.alphabet import alphabetical
from appliance.store.criteria import Field, Relation, Says, Sort
from appliance.store.engine import Store
from appliance.store.records import fold
from appliance.store.screens import Choice
from tests.dlna.box import IDENT, NOW, Box, Post, a_box
from web.app import create_app


class _Counting:
    """A store that counts what is read, while its gate is open."""

    def __init__(self, store: Store) -> None:
        self._store, self.reads = store, Counter[str]()
        self.listen = store.listen
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        self.reads[fn.__name__] += 1
        await self.gate.wait()
        return await self._store.read(fn, *args)


async def test_a_listing_is_read_once_for_all_its_pages(tmp_path: Path) -> None:
    async with a_box(tmp_path) as box:
        counting = _Counting(box.house.store)
        told = asyncio.Event()
        listings = Listings(counting, RealClock(), told.set)  # type: ignore[arg-type]
        by_name, recent = (Sort(Field.TITLE),), Choice(rule=RuleId("recent"))
        assert set(map(len, await asyncio.gather(*(listings.ids(Choice(), by_name) for _ in range(9))))) == {6}
        for _ in range(20):
            assert len(await listings.ids(Choice(), by_name)) == 6
            assert len(await listings.ids(recent, ())) == 2
            assert len(await listings.channels()) == 1
        assert counting.reads == {"order": 2, "channels": 1}
        before = listings.update_id
        await box.house.store.promise(videos.wish, box.ids[0], Wish.NEVER)
        await told.wait()
        assert len(await listings.ids(Choice(), by_name)) == 5
        assert counting.reads["order"] == 3
        assert listings.update_id > before
        assert f"all,{listings.update_id}" in listings.containers()
        await listings.ids(recent, ())
        told.clear()
        empty = Plan((), (), ByteCount(0), ByteCount(0), ByteCount(0))
        await box.house.store.write(decisions.put_plan, empty, NOW)
        await told.wait()
        assert await listings.ids(recent, ()) == ()
        assert len(await listings.ids(Choice(), by_name)) == 5
        assert counting.reads["order"] == 5, "a new plan has only the rules' folders read again"
        await listings.close()


async def test_who_took_an_old_page_is_told_of_a_change_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "LONG", 1)
    async with a_box(tmp_path) as box, asyncio.timeout(30):
        counting, updates, by_name = _Counting(box.house.store), asyncio.Queue[int](), (Sort(Field.TITLE),)
        listings = Listings(
            counting,  # type: ignore[arg-type]
            RealClock(),
            lambda: updates.put_nowait(listings.update_id),
        )
        assert len(await listings.ids(Choice(), by_name)) == 6
        counting.gate.clear()
        await box.house.store.promise(videos.wish, box.ids[0], Wish.NEVER)
        first = await updates.get()
        assert len(await listings.ids(Choice(), by_name)) == 6, "as it was, while it is read again"
        counting.gate.set()
        assert await updates.get() > first
        assert len(await listings.ids(Choice(), by_name)) == 5
        await listings.close()


async def test_the_first_screen_waits_for_no_statement_to_be_written(tmp_path: Path) -> None:
    async with a_box(tmp_path) as box:
        engine: Any = box.house.store._read_engine
        await box.app.prepare()
        known = len(engine._compiled_cache)
        assert (await box.browse("all")).returned == 6
        assert (await box.browse("new")).returned == 6
        assert (await box.browse("0")).returned == 5
        assert len(engine._compiled_cache) == known + 1, "but that of what was watched"


async def test_subtitles_that_come_after_a_video_is_whole_are_found_in_time(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    async with a_box(tmp_path, clock=clock) as box:
        (record,) = await asyncio.to_thread(lambda: list(box.library.root.glob("*/*/video.json")))
        later = record.with_name("later.json")
        await asyncio.to_thread(record.rename, later)

        async def told() -> bool:
            return "captions/de.srt" in (await box.browse(f"all${box.ids[0]}", flag="BrowseMetadata")).text

        assert not await told()
        await asyncio.to_thread(later.rename, record)
        assert not await told(), "a bare record is remembered for a moment"
        clock.advance(61)
        assert await told()


def test_titles_are_in_the_order_in_which_people_look_for_them() -> None:
    wanted = [
        "9 Leben",
        "10 Dinge",
        "“Anna”",
        "Äpfel",
        "apfel 2",
        "Épices",
        "étude",
        "film 9",
        "Film 10",
        "Zoo",
        "日本",
    ]
    folded = [fold(title) for title in reversed(wanted)]
    ordered = sorted(zip(alphabetical(folded), folded, strict=True))
    assert [title for _, title in ordered] == [fold(title) for title in wanted]
    assert alphabetical([]) == []
    assert alphabetical(["two\nlines", "¿a", ""]) == ["two lines", "a", ""]


async def test_the_number_of_changes_does_not_go_back_at_a_restart(tmp_path: Path) -> None:
    """A whole channel that is read for the first time changes something many times a second."""
    clock = ManualClock(NOW)
    async with a_box(tmp_path, clock=clock) as box:
        before = Listings(box.house.store, clock, lambda: None)
        for _ in range(60):
            clock.advance(1)
            for _ in range(10):
                before.stir("all")
        last, told = before.update_id, before.containers()
        assert f"all,{last}" in told
        await before.close()
        clock.advance(1)
        after = Listings(box.house.store, clock, lambda: None)
        assert last < after.update_id < 2**32
        await after.close()


async def test_many_searches_at_once_keep_nobody_from_the_catalogue(tmp_path: Path) -> None:
    async with a_box(tmp_path) as box:
        counting = _Counting(box.house.store)
        listings = Listings(counting, RealClock(), lambda: None)  # type: ignore[arg-type]
        counting.gate.clear()
        tests = [Says(Field.TITLE, Relation.CONTAINS, str(n)) for n in range(9)]
        searches = [asyncio.create_task(listings.ids(Choice(test=test), ())) for test in tests]
        folder = asyncio.create_task(listings.ids(Choice(), ()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert counting.reads == {"order": 2}  # one search, and what somebody opens
        counting.gate.set()
        assert len(await folder) == 6
        assert await asyncio.gather(*searches) == [()] * 9
        assert counting.reads == {"order": 10}
        await listings.close()


async def test_every_object_has_the_same_id_after_a_restart(tmp_path: Path) -> None:
    """Screens remember where they were, and open it again by its id."""

    async def ids(box: Box) -> list[str]:
        found, waiting = list[str](), ["0"]
        while waiting:
            page = await box.browse(waiting.pop())
            found += page.ids
            waiting += [ident for ident in page.ids if "$" not in ident]
        return found

    async with a_box(tmp_path) as box:
        before = await ids(box)
        again = create_dlna_app(
            *(box.house.store, box.house.leases, box.library, box.house.clock, Post()),
            name=lambda: "Another name",
            ident=IDENT,
            version="0.2.0",
        )
        box.house.services = replace(box.house.services, dlna=again)
        box.house.web.stop()
        first, box.house.web = box.house.web, await asyncio.to_thread(create_app, box.house.services)
        assert first is not box.house.web
        async with box.house.served() as base, httpx.AsyncClient(base_url=base) as client:
            after = await ids(replace(box, base=base, client=client))
        await again.close()
    assert after == before
    assert len(set(before)) == len(before) > 20
