"""Every page in a real browser: nothing complains, nothing overflows, everything has a name; and a picture of each.

Pictures go to ``tests/artifacts``; with ``SCREENSHOTS=docs`` the README's go to ``docs/screenshots``.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from appliance.domain.catalogue import VideoFilter
from appliance.domain.pin import PinState
from appliance.store import channels, lists
from tests.browser.chromium import Scheme, Tab, chromium, tab
from tests.browser.house import House, film, house
from tests.browser.sample import Amount

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "tests" / "artifacts" / "pages"
DOCS = ROOT / "docs" / "screenshots"

FAULTS = """() => {
  const faults = [];
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) {
    const out = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
      && !e.closest('.scroll')).slice(0, 3).map(e => `${e.tagName}.${e.className}`);
    faults.push(`overflows by ${wide} px: ${out}`);
  }
  const named = 'input:not([type=hidden]), select, textarea, button, a, summary, progress';
  for (const e of document.querySelectorAll(named)) {
    const name = (e.labels?.length && [...e.labels].map(l => l.textContent).join(' ').trim())
      || e.getAttribute('aria-label') || (e.getAttribute('aria-labelledby') && 'named') || e.textContent.trim();
    if (!name) faults.push(`without a name: ${e.outerHTML.slice(0, 120)}`);
  }
  for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) faults.push('image without alt');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walker.nextNode(); n; n = walker.nextNode()) {
    const e = n.parentElement;
    if (!n.textContent.trim() || ['SCRIPT', 'STYLE', 'NOSCRIPT', 'OPTION'].includes(e.tagName)) continue;
    const size = parseFloat(getComputedStyle(e).fontSize);
    if (size < 14 && e.getClientRects().length) faults.push(`text of ${size} px: ${n.textContent.trim().slice(0, 40)}`);
  }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of new Set(ids)) if (ids.filter(i => i === id).length > 1) faults.push(`id twice: ${id}`);
  if (document.querySelectorAll('h1').length !== 1) faults.push('not exactly one h1');
  if (!document.title.includes('Seedkeep')) faults.push('no title');
  return faults;
}"""

PARTS = """async () => {
  const faults = [];
  for (const part of document.querySelectorAll('[hx-get][id]')) {
    const asked = { 'HX-Request': 'true', 'HX-Target': part.id };
    const answer = await fetch(part.getAttribute('hx-get'), { headers: asked });
    const text = await answer.text();
    if (!answer.ok || text.includes('<html')) faults.push(`#${part.id} alone: ${answer.status} ${text.slice(0, 60)}`);
  }
  return faults;
}"""
"""Asks for each part of a page that is refreshed alone, as a live page does."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    assert (ROOT / "web/static/dist/manifest.json").is_file(), "the front end is not built: make assets"
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def full(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("full"), Amount.MUCH) as opened:
        yield opened


async def _places(opened: House) -> dict[str, str]:
    """Return every page by the name of its picture."""
    read = opened.services.store.read
    places = {
        "home": "",
        "channels": "channels",
        "videos": "videos",
        "rules": "rules",
        "rule-new": "rules/new",
        "preset": "rules/preset/archive",
        "plan": "plan",
        "plan-skipped": "plan?state=skipped",
        "plan-history": "plan/history",
        "exports": "exports",
        "lan": "lan",
        "bandwidth": "bandwidth",
        "settings": "settings",
    }
    followed = await read(channels.every)
    if followed:
        places["channel"] = f"channels/{followed[0].id}"
        places["rule"] = "rules/recent"
        places["rule-delete"] = "rules/recent/delete"
    for state in (PinState.PINNED, PinState.PINNING, PinState.FAILED):
        found = (await read(lists.page, VideoFilter(pin_state=state, limit=1))).items
        if found:
            places[f"video-{state.value}"] = f"videos/{found[0].id}"
    if kept := (await read(lists.page, VideoFilter(cached=True, limit=1))).items:
        places["video-cached"] = f"videos/{kept[0].id}"
    return places


async def _faults(opened: Tab) -> list[str]:
    found = [*opened.complaints, *await opened.page.evaluate(FAULTS)]
    opened.complaints.clear()
    return found


async def _picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


VIEWS: list[tuple[Amount, int, Scheme]] = [
    (Amount.MUCH, 1280, "light"),
    (Amount.MUCH, 1280, "dark"),
    (Amount.MUCH, 390, "light"),
    (Amount.MUCH, 390, "dark"),
    (Amount.EMPTY, 1280, "light"),
    (Amount.EMPTY, 390, "dark"),
    (Amount.LITTLE, 1280, "dark"),
    (Amount.LITTLE, 390, "light"),
]


SELDOM = {(Amount.MUCH, 1280, "dark"), (Amount.MUCH, 390, "light"), (Amount.LITTLE, 1280, "dark")}
"""Looked at in the trial: what they could show, the others show nearly always."""


@pytest.mark.parametrize(
    ("amount", "width", "scheme"), [pytest.param(*v, marks=[pytest.mark.trial] if v in SELDOM else []) for v in VIEWS]
)
async def test_every_page_is_whole(
    browser: Browser, full: House, tmp_path: Path, amount: Amount, width: int, scheme: Scheme
) -> None:
    async def look(opened: House) -> None:
        async with tab(browser, opened, width=width, scheme=scheme) as seen:
            faults = {}
            for name, place in (await _places(opened)).items():
                answer = await seen.page.goto(f"{opened.url}/{place}", wait_until="load")
                assert answer is not None
                assert answer.status == 200
                if name in ("home", "bandwidth") and amount is not Amount.EMPTY:
                    await seen.page.wait_for_selector(".u-wrap canvas")
                if name == "lan":
                    await seen.page.locator(".health-told").wait_for()
                await _picture(seen.page, f"{amount.value}-{name}-{width}-{scheme}")
                faults[name] = await _faults(seen)
                if (amount, width) == (Amount.MUCH, 1280):
                    faults[name] += await seen.page.evaluate(PARTS)
                if name == "rule-new":
                    await seen.page.locator("details.more > summary").click()
                    await _picture(seen.page, f"{amount.value}-rule-more-{width}-{scheme}")
                    faults["rule-more"] = await _faults(seen)
            assert {name: found for name, found in faults.items() if found} == {}

    if amount is Amount.MUCH:
        await look(full)
    else:
        async with house(tmp_path, amount) as opened:
            await look(opened)


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_ways_in_are_whole(browser: Browser, full: House, tmp_path: Path, width: int) -> None:
    async with house(tmp_path, Amount.EMPTY, set_up=False) as fresh, tab(browser, fresh, width=width) as seen:
        await seen.page.goto(fresh.url)
        assert seen.page.url.endswith("/setup")
        await _picture(seen.page, f"setup-{width}-light")
        assert await _faults(seen) == []
    async with tab(browser, full, width=width, known=False, scheme="dark") as seen:
        await seen.page.goto(f"{full.url}/rules")
        assert "/login?next=" in seen.page.url
        await _picture(seen.page, f"login-{width}-dark")
        assert await _faults(seen) == []


async def test_what_is_not_there_is_said_in_plain_words(browser: Browser, full: House) -> None:
    async with tab(browser, full, width=390) as seen:
        for place, words in (
            ("nowhere", "Nothing here"),
            ("channels/none", "No such channel"),
            ("videos/x", "No such"),
        ):
            answer = await seen.page.goto(f"{full.url}/{place}")
            assert answer is not None
            assert answer.status == 404
            assert words in await seen.page.inner_text("h1")
            assert [fault for fault in await _faults(seen) if "404" not in fault] == []
        await _picture(seen.page, "error-390-light")


async def test_screens_are_looked_for_at_the_press_of_a_button(browser: Browser, full: House) -> None:
    for scripts in (True, False):
        async with tab(browser, full, width=390, scripts=scripts) as seen:
            await seen.page.goto(f"{full.url}/lan")
            await seen.page.get_by_role("button", name="Look now").click()
            await seen.page.get_by_text("[TV] Wohnzimmer").wait_for()
            if not scripts:
                await seen.page.get_by_role("link", name="Examine the network").click()
            await seen.page.get_by_text("2 things in the way of screens.").wait_for()
            assert await _faults(seen) == []


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_moment_pointed_at_is_whole(browser: Browser, full: House, width: int) -> None:
    async with tab(browser, full, width=width) as seen:
        await seen.page.goto(f"{full.url}/{(await _places(full))['video-pinned']}")
        await seen.page.locator(".strip input").hover(position={"x": width * 0.2, "y": 30})
        await seen.page.locator(".strip-bubble").wait_for(state="visible")
        await _picture(seen.page, f"strip-{width}-light")
        assert await _faults(seen) == []


@pytest.mark.skipif(os.environ.get("SCREENSHOTS") != "docs", reason="pictures for the README only when asked for")
async def test_pictures_for_the_readme(browser: Browser, tmp_path: Path) -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    shown = await asyncio.to_thread(film, tmp_path / "film")
    names = {"home": "home", "videos": "videos", "video": "video-pinned", "rules": "rules", "channels": "channels"}
    names |= {"screens": "lan"}
    schemes: tuple[Scheme, ...] = ("light", "dark")
    async with house(tmp_path, Amount.MUCH, shown=shown) as opened:
        places = await _places(opened)
        for scheme in schemes:
            async with tab(browser, opened, width=1280, height=860, scheme=scheme) as seen:
                await seen.page.context.add_init_script(A_MINUTE)
                for name, place in names.items():
                    await seen.page.set_viewport_size({"width": 1280, "height": 1300 if name == "home" else 860})
                    await _portrait(seen.page, f"{opened.url}/{places[place]}", f"{name}-{scheme}")
            async with tab(browser, opened, width=390, height=844, scheme=scheme) as seen:
                await seen.page.context.add_init_script(A_MINUTE)
                await _portrait(seen.page, opened.url, f"home-phone-{scheme}")


async def _portrait(page: Page, address: str, name: str) -> None:
    await page.goto(address, wait_until="networkidle" if "videos/" in address else "load")
    if address.endswith("/lan"):
        await page.locator(".health-told").wait_for()
        await page.evaluate(AS_AT_HOME)
    await page.wait_for_timeout(1500)
    await page.screenshot(path=DOCS / f"{name}.png")


A_MINUTE = """(() => {
  const wave = (at, low, high) => low + (high - low) * (0.5 + 0.3 * Math.sin(at / 5) + 0.2 * Math.sin(at / 1.7));
  const samples = Array.from({length: 58}, (_, at) => [wave(at, 2e6, 3.4e6), wave(at + 9, 3.6e6, 6.1e6)]);
  if (!sessionStorage.getItem('rates')) sessionStorage.setItem('rates', JSON.stringify({at: Date.now(), samples}));
})()"""
"""Gives the page a last minute to draw, which a visitor would have seen."""

AS_AT_HOME = """() => {
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  for (let n = walker.nextNode(); n; n = walker.nextNode())
    n.data = n.data.replace(/127[.]0[.]0[.]1:[0-9]+/g, '192.168.1.5:7333')
      .replace(/(local):[0-9]+/g, '$1:7333').replace(/x{9,}/g, '');
}"""
"""Gives the sample's box the address that one at home would have."""
