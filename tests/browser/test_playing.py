"""The pages while somebody plays: who does is shown as it happens, and a video that may not come says why."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from appliance.domain.catalogue import VideoFilter
from appliance.store import lists
from tests.browser.chromium import chromium, tab
from tests.browser.house import house
from tests.browser.sample import Amount

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

DETAIL = "This video is not here, and cannot come now. This month's download is used up until 1 December."


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


async def used_up(scope: Any, receive: Any, send: Any) -> None:
    """Refuse every media request, as the house does while the budget is used up."""
    body = msgspec.json.encode(
        {"status": 503, "code": "quota_used", "title": "No", "detail": DETAIL, "hint": "It plays then."}
    )
    headers = [(b"content-type", b"application/problem+json")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def test_a_screen_that_begins_to_play_appears_on_the_first_page(browser: Browser, tmp_path: Path) -> None:
    async with house(tmp_path, Amount.LITTLE) as opened, tab(browser, opened) as seen:
        await seen.page.goto(opened.url + "/")
        await expect(seen.page.locator(".playing")).to_have_count(0)
        line = (await opened.services.store.read(lists.page, VideoFilter(limit=1))).items[0]
        async with seen.page.expect_response("**/api/v1/events"):
            await seen.page.reload()
        opened.services.leases.renew(line.id, "192.168.1.12")
        await expect(seen.page.locator(".playing-screen")).to_contain_text("at 192.168.1.12")
        await expect(seen.page.locator(".playing a")).to_have_attribute("href", f"./videos/{line.id}")
        assert seen.complaints == []


async def test_a_video_that_may_not_come_says_why_and_until_when(browser: Browser, tmp_path: Path) -> None:
    async with house(tmp_path, Amount.LITTLE, shown=used_up) as opened, tab(browser, opened) as seen:
        line = (await opened.services.store.read(lists.page, VideoFilter(limit=1))).items[0]
        await seen.page.goto(f"{opened.url}/videos/{line.id}")
        await seen.page.locator("#player-start").click()
        await expect(seen.page.locator("#player-note")).to_have_text(f"{DETAIL} It plays then.")
