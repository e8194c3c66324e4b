"""A copy for televisions on the video's page and in the API."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from appliance.domain.channel import Trouble
from appliance.domain.television import CopyState, TelevisionCopy
from appliance.domain.units import ByteCount, VideoId
from appliance.store import videos
from tests.unit.house import a_house, set_up, summary
from web.app import create_app
from web.views.television import line

FAILED = TelevisionCopy(
    CopyState.FAILED, trouble=Trouble("copy_failed", "No copy could be made.", "It is tried again later.")
)


@pytest.mark.parametrize(
    ("copy", "said"),
    [
        (None, ""),
        (TelevisionCopy(CopyState.WAITING), "waits for its turn."),
        (TelevisionCopy(CopyState.MAKING, 40.7), "is being made, 40\u00a0%."),
        (TelevisionCopy(CopyState.RESTING, 40.7), "40\u00a0%; it rests while a screen plays or the machine is busy."),
        (
            TelevisionCopy(CopyState.READY, size=ByteCount(1_200_000_000)),
            "There is a copy for televisions, 1.2\u00a0GB.",
        ),
        (FAILED, "No copy could be made. It is tried again later."),
    ],
)
def test_a_copy_is_one_plain_sentence(copy: TelevisionCopy | None, said: str) -> None:
    assert line(copy).endswith(said)


@dataclass
class Copying:
    told: TelevisionCopy | None = None

    def status(self, video: VideoId) -> TelevisionCopy | None:
        return self.told


async def test_the_page_and_the_api_say_how_far_a_copy_is(tmp_path: Path) -> None:
    copying = Copying()
    async with a_house(tmp_path) as house:
        house.web.stop()
        house.web = await asyncio.to_thread(create_app, replace(house.services, copying=copying))
        one = summary(1)
        await house.store.promise(videos.put_summary, one, house.clock.now())
        async with house.served() as base, set_up(base) as browser:
            await shown(browser, one.id, "tv-copy", None, inside=False)
            copying.told = TelevisionCopy(CopyState.MAKING, 40.71)
            told = {"state": "making", "percent": 40.7, "size": None, "trouble": None}
            await shown(browser, one.id, "is being made, 40\u00a0%.", told)
            copying.told = FAILED
            trouble = {"code": "copy_failed", "message": "No copy could be made.", "hint": "It is tried again later."}
            told = {"state": "failed", "percent": None, "size": None, "trouble": trouble}
            await shown(browser, one.id, "No copy could be made. It is tried again later.", told)


async def shown(
    browser: httpx.AsyncClient, ident: VideoId, text: str, told: dict[str, object] | None, *, inside: bool = True
) -> None:
    page = await browser.get(f"/videos/{ident}")
    assert (text in page.text) is inside
    assert (await browser.get(f"/api/v1/videos/{ident}")).json()["tv_copy"] == told
