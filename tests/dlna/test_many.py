"""Ten thousand videos: a page of a hundred costs little, wherever it lies (``make trial``)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from appliance.domain.units import ChannelId
from appliance.library.marker import Library
from appliance.serve.dlna.app import create_dlna_app
from tests.bench.catalogue import fill
from tests.dlna.box import IDENT, Box, Post
from tests.unit.house import a_house, set_up
from web.app import create_app

COUNT, PAGE = 10_000, 100
MOST = 0.050
"""Seconds of processor time for one page, that of asking for it and reading it included."""


@pytest.mark.alone
@pytest.mark.trial
async def test_a_page_of_a_hundred_out_of_ten_thousand_takes_less_than_50_ms(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await asyncio.to_thread(fill, data, COUNT)
    async with a_house(data) as house:
        library = Library(tmp_path / "library", "ab" * 16)
        app = create_dlna_app(
            house.store, house.leases, library, house.clock, Post(), name=lambda: "Box", ident=IDENT, version="0"
        )
        house.services = replace(house.services, dlna=app)
        house.web.stop()
        house.web = await asyncio.to_thread(create_app, house.services)
        try:
            async with house.served() as base, set_up(base), httpx.AsyncClient(base_url=base) as client:
                box = Box(house, app, library, base, client, [], ChannelId(""))
                await _pages(box)
        finally:
            await app.close()


async def _pages(box: Box) -> None:
    (channel,) = (await box.browse("channels")).ids
    for folder in ("all", channel):
        seen: list[str] = []
        first = await box.browse(folder, count=PAGE)
        assert first.total == COUNT
        costs = [await _cost(partial(_page, box, folder, n, seen)) for n in range(COUNT // PAGE)]
        assert len(set(seen)) == COUNT, "pages neither overlap nor leave anything out"
        costs.sort()
        print(f"{folder}: median {costs[len(costs) // 2] * 1e3:.1f} ms, slowest {costs[-1] * 1e3:.1f} ms")
        assert costs[len(costs) // 2] < MOST


async def _page(box: Box, folder: str, number: int, seen: list[str]) -> None:
    page = await box.browse(folder, start=number * PAGE, count=PAGE)
    assert page.returned == PAGE
    seen += page.ids


async def _cost(ask: Callable[[], Awaitable[None]]) -> float:
    before = time.process_time()
    await ask()
    return time.process_time() - before
