"""What a person does with the pages, in a real browser: way in, follow, pin, rules, limits, settings, playing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from appliance.domain.catalogue import VideoFilter, VideoLine
from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import RuleKind
from appliance.domain.units import ByteCount, BytesPerSecond, RuleId, VideoId
from appliance.settings import Web
from appliance.store import channels, decisions, lists, logins, pins, rules, videos
from tests.browser.chromium import chromium, tab
from tests.browser.house import CODE, PASSWORD, House, Spending, film, house
from tests.browser.sample import Amount
from web.services import YieldsNow

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


ADVANCES = """() => new Promise(resolve => {
  const video = document.getElementById('player');
  video.addEventListener('timeupdate', () => video.currentTime > 0.5 && resolve(video.currentTime));
})"""
"""Waits until the player's time has moved on, and answers it."""

HEARS = """() => new Promise(resolve => new MutationObserver(resolve).observe(
  document.querySelector('[data-rate=up]'), {childList: true}))"""
"""Waits until the page hears of what happens: its rates have moved."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, Amount.LITTLE) as opened:
        yield opened


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A film that answers below ``/media/``."""
    return film(tmp_path_factory.mktemp("media") / "film")


async def first(opened: House, state: PinState | None) -> VideoLine:
    page = await opened.services.store.read(lists.page, VideoFilter(limit=100))
    return next(line for line in page.items if line.pin_state is state)


async def test_a_box_is_made_ones_own_with_the_printed_code(browser: Browser, tmp_path: Path) -> None:
    async with house(tmp_path, Amount.EMPTY, set_up=False) as fresh, tab(browser, fresh) as seen:
        page = seen.page
        await page.goto(fresh.url)
        await expect(page).to_have_url(f"{fresh.url}/setup")
        wrong = ((CODE, "another password", "not the same"), ("guess", PASSWORD, "not the set-up code"))
        for code, again, words in wrong:
            await page.get_by_label("Set-up code").fill(code)
            await page.get_by_label("New password").fill(PASSWORD)
            await page.get_by_label("The same again").fill(again)
            await page.get_by_role("button", name="Begin").click()
            await expect(page.get_by_role("alert")).to_contain_text(words)
        await page.get_by_label("Set-up code").fill(CODE)
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_label("The same again").fill(PASSWORD)
        await page.get_by_label("Screens on this network play").uncheck()
        await page.get_by_role("button", name="Begin").click()
        await expect(page.get_by_role("status").first).to_contain_text("This box is yours")
        assert fresh.book.current.web.play_without_login is False
        await page.get_by_role("button", name="Log out").first.click()
        await expect(page).to_have_url(f"{fresh.url}/login")
        await page.goto(f"{fresh.url}/rules")
        await page.get_by_label("Password").fill("not the password")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("status")).to_contain_text("not the password")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await expect(page).to_have_url(f"{fresh.url}/rules")


async def test_a_login_never_leads_to_another_site(browser: Browser, home: House) -> None:
    async with tab(browser, home, known=False) as seen:
        await seen.page.goto(f"{home.url}/login?next=//elsewhere.example/")
        await seen.page.get_by_label("Password").fill(PASSWORD)
        await seen.page.get_by_role("button", name="Log in").click()
        await expect(seen.page).to_have_url(f"{home.url}/")


@pytest.mark.parametrize("scripts", [True, False])
async def test_following_says_at_once_what_came_of_it(browser: Browser, home: House, scripts: bool) -> None:
    async with tab(browser, home, scripts=scripts) as seen:
        page = seen.page
        await page.goto(f"{home.url}/channels")
        field = page.get_by_label("Address of a channel")
        await field.fill("https://nowhere.example/c/x")
        await page.get_by_role("button", name="Follow").click()
        await expect(page.locator("#follow")).to_contain_text("There is no PeerTube channel at this address.")
        await expect(page.locator("#follow")).to_contain_text("copy its address")
        await expect(field).to_have_value("https://nowhere.example/c/x")
        await field.fill("@films@tube.harbour.example")
        await page.get_by_role("button", name="Follow").click()
        if scripts:
            await expect(page.locator("#follow")).to_contain_text("Harbour Films is followed.")
            await expect(field).to_have_value("")
            assert [c for c in seen.complaints if "422" not in c] == []
        else:
            await expect(page).to_have_url(f"{home.url}/channels/harbour?said=followed")


async def test_a_page_shows_what_changed_without_being_asked(browser: Browser, home: House) -> None:
    store = home.services.store
    async with tab(browser, home) as seen:
        await seen.page.goto(home.url)
        await expect(seen.page.get_by_role("heading", level=1)).to_have_text("Keeping 1 video")
        arriving = await first(home, PinState.PINNING)
        pin = await store.read(pins.one, arriving.id)
        assert pin is not None
        done = replace(pin, state=PinState.PINNED, done=pin.size, pinned_at=home.services.clock.now())
        await store.promise(pins.put, done)
        await expect(seen.page.get_by_role("heading", level=1)).to_have_text("Keeping 2 videos", timeout=10_000)
        await expect(seen.page.locator(".u-wrap")).to_have_count(1)
        assert seen.complaints == []


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_video_is_pinned_and_barred_by_hand(browser: Browser, home: House, scripts: bool) -> None:
    line = await first(home, None)
    async with tab(browser, home, scripts=scripts) as seen:
        page = seen.page
        await page.goto(f"{home.url}/videos/{line.id}")
        await page.get_by_role("button", name="Pin it").click()
        await expect(page.get_by_role("status").first).to_contain_text("Pinned by hand")
        assert await _wish(home, line.id) is Wish.PIN
        await page.get_by_role("button", name="Take the hand pin back").click()
        await expect(page.get_by_role("status").first).to_contain_text("The rules decide")
        await page.get_by_text("Never keep it…").click()
        await page.get_by_role("button", name="Never keep it").click()
        await expect(page.get_by_role("status").first).to_contain_text("Never kept again")
        assert await _wish(home, line.id) is Wish.NEVER


async def _wish(opened: House, ident: VideoId) -> Wish | None:
    record = await opened.services.store.read(videos.one, ident)
    assert record is not None
    return record.wish


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_rule_is_made_seen_before_it_is_saved_changed_and_deleted(
    browser: Browser, home: House, scripts: bool
) -> None:
    async with tab(browser, home, scripts=scripts) as seen:
        page = seen.page
        await page.goto(f"{home.url}/rules/new")
        await page.get_by_label("Name").fill("  Films,   small ")
        await page.get_by_label("Most viewed").check()
        await page.get_by_label("Only these").check()
        await page.get_by_label("Harbour Films").check()
        await page.get_by_label("A fixed size").check()
        await page.get_by_label("Size in GB").fill("twelve")
        await page.locator("details.more > summary").click()
        await page.get_by_label("Kept for at least").fill("90")
        await page.get_by_label("Let go after").fill("30")
        await page.get_by_label("None of these").fill("*trailer*\npart * of")
        await page.get_by_role("button", name="See what it would do").click()
        await expect(page.get_by_role("alert")).to_contain_text("Write a number")
        await expect(page.get_by_label("Size in GB")).to_have_value("twelve")
        await expect(page.get_by_label("None of these")).to_have_value("*trailer*\npart * of")
        await page.get_by_label("Size in GB").fill("12,5")
        await page.get_by_role("button", name="See what it would do").click()
        await expect(page.get_by_role("alert")).to_contain_text("shorter than the shortest")
        await page.get_by_label("Kept for at least").fill("7")
        await page.get_by_role("button", name="See what it would do").click()
        await expect(page.get_by_role("heading", name="The disk then")).to_be_visible()
        assert len(await home.services.store.read(rules.every)) == 1
        await page.get_by_role("button", name="Back to editing").click()
        await expect(page.get_by_label("Kept for at least")).to_have_value("7")
        await expect(page.get_by_label("Harbour Films")).to_be_checked()
        await page.get_by_role("button", name="See what it would do").click()
        await page.get_by_role("button", name="Save the rule").click()
        await expect(page.get_by_role("heading", name="Films, small")).to_be_visible()
        made = next(r for r in await home.services.store.read(rules.every) if r.name == "Films, small")
        followed = await home.services.store.read(channels.every)
        assert (made.kind, made.budget, made.budget_share) == (RuleKind.MOST_VIEWED, ByteCount(12_500_000_000), None)
        assert made.channels == frozenset({followed[0].id})
        assert made.filters.exclude == ("*trailer*", "part * of")
        await page.get_by_role("link", name="Change Films, small").click()
        await page.get_by_role("link", name="Pause this rule").click()
        await page.get_by_role("button", name="Pause the rule").click()
        await expect(page.get_by_role("status").first).to_contain_text("rests")
        await page.get_by_role("link", name="Change Films, small").click()
        await page.get_by_role("link", name="Delete this rule").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Delete Films, small?")
        assert len(await home.services.store.read(rules.every)) == 2
        await page.get_by_role("button", name="Yes, delete the rule").click()
        await expect(page.get_by_role("status").first).to_contain_text("deleted")
        assert [r.id for r in await home.services.store.read(rules.every)] == [RuleId("recent")]


async def test_what_means_nothing_for_a_kind_is_hidden(browser: Browser, home: House) -> None:
    async with tab(browser, home) as seen:
        page = seen.page
        await page.goto(f"{home.url}/rules/new")
        await expect(page.get_by_label("Interest halves in")).to_be_hidden()
        await page.get_by_label("Trending").check()
        await expect(page.get_by_label("Interest halves in")).to_be_visible()
        await page.get_by_label("Whatever the disk holds").check()
        await expect(page.get_by_label("Share in %")).to_be_hidden()


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_preset_is_one_click_from_its_preview_and_one_more_from_being_kept(
    browser: Browser, home: House, scripts: bool
) -> None:
    async with tab(browser, home, scripts=scripts) as seen:
        page = seen.page
        await page.goto(f"{home.url}/rules")
        await page.get_by_role("link", name="Archive a channel").click()
        await expect(page.get_by_role("heading", name="The disk then")).to_be_visible()
        await page.get_by_label("For", exact=True).select_option(label="Harbour Films")
        await page.get_by_role("button", name="Show").click()
        assert len(await home.services.store.read(rules.every)) == 1
        await page.get_by_role("button", name="Keep this rule").click()
        await expect(page.get_by_role("heading", name="Archive: Harbour Films")).to_be_visible()
        made = next(r for r in await home.services.store.read(rules.every) if r.id != "recent")
        followed = await home.services.store.read(channels.every)
        assert (made.kind, made.channels) == (RuleKind.EVERYTHING, frozenset({followed[0].id}))


@pytest.mark.parametrize("answer", ["Keep it", "Let it go"])
async def test_a_question_is_answered_on_the_first_page(browser: Browser, tmp_path: Path, answer: str) -> None:
    async with house(tmp_path, Amount.MUCH) as opened, tab(browser, opened, scripts=answer == "Keep it") as seen:
        page, store = seen.page, opened.services.store
        (asked,) = await store.read(decisions.asking)
        await page.goto(opened.url)
        await expect(page.get_by_text("old.instance.example has not answered for 9 days.")).to_be_visible()
        await expect(page.get_by_role("link", name="export Theatre on the Quay")).to_be_visible()
        assert (await page.locator(".worries").all_inner_texts())[-1].count("not answered") == 2
        await expect(page.get_by_text("The origin has not answered")).to_have_count(0)
        await expect(page.get_by_role("link", name="more room")).to_have_attribute("href", "./rules/recent")
        await page.get_by_role("button", name=answer).click()
        await expect(page).to_have_url(f"{opened.url}/videos/{asked.video}?said={_SAID[answer]}")
        assert await _wish(opened, asked.video) is (Wish.PIN if answer == "Keep it" else Wish.LET_GO)
        await page.goto(opened.url)
        await expect(page.get_by_role("heading", name="One question for you")).to_have_count(0)


_SAID = {"Keep it": "pinned", "Let it go": "let-go"}


async def test_a_channel_is_exported_from_its_page(browser: Browser, tmp_path: Path) -> None:
    async with house(tmp_path, Amount.MUCH) as opened, tab(browser, opened) as seen:
        page = seen.page
        await page.goto(f"{opened.url}/exports")
        await page.get_by_label("Channel").select_option(index=0)
        await page.get_by_label("Folder").fill("For mum")
        await page.get_by_role("button", name="Export").click()
        await expect(page.get_by_role("status").first).to_contain_text("being exported")
        await expect(page.locator("#jobs")).to_contain_text("queued")


async def test_limits_are_set_and_what_is_fixed_outside_is_locked(browser: Browser, home: House) -> None:
    async with tab(browser, home) as seen:
        page = seen.page
        await page.goto(f"{home.url}/bandwidth")
        await page.get_by_label("Upload to the internet").fill("much")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert")).to_contain_text("Write a number")
        await page.get_by_label("Upload to the internet").fill("1.5")
        await page.get_by_label("Download from the internet").fill("0")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status").first).to_contain_text("in force")
        assert home.book.current.bandwidth.upload == 1_500_000
        assert home.book.current.bandwidth.download == 0
        await page.get_by_label("Hold back while a screen in the house plays").uncheck()
        await page.get_by_label("Measured towards").fill("router.example")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status").first).to_contain_text("in force")
        await expect(page.get_by_label("Hold back while a screen in the house plays")).not_to_be_checked()
        await expect(page.get_by_label("Hold back while packets wait in the router")).to_be_checked()
        limits = home.book.current.bandwidth
        assert (limits.yield_to_players, limits.yield_to_household) == (False, True)
        assert (limits.probe_host, limits.upload) == ("router.example", 1_500_000)
        await page.goto(f"{home.url}/settings")
        await expect(page.get_by_label("Port", exact=True)).to_be_disabled()
        await expect(page.get_by_label("DHT Find peers")).to_be_disabled()
        await page.get_by_label("Local peer discovery").uncheck()
        await page.get_by_label("Videos at once").fill("5")
        await page.get_by_role("button", name="Save settings").click()
        await expect(page.get_by_role("status").first).to_contain_text("Saved")
        assert (home.book.current.swarm.lsd, home.book.current.pin.at_once) == (False, 5)
        assert home.book.current.swarm.dht is True


async def test_the_bandwidth_page_says_what_is_held_back_while_it_is(browser: Browser, home: House) -> None:
    spending = cast(Spending, home.services.spending)
    async with tab(browser, home) as seen:
        await seen.page.clock.install()
        await seen.page.goto(f"{home.url}/bandwidth")
        line = seen.page.locator("#yields")
        await expect(line).to_be_hidden()
        spending.yielding = YieldsNow("wait", BytesPerSecond(480_000), 0.08)
        await seen.page.clock.run_for(4_000)
        await expect(line).to_have_text("Holding back to 480 kB/s: packets wait 80 ms in your router.")
        spending.yielding = YieldsNow()
        await seen.page.clock.run_for(4_000)
        await expect(line).to_be_hidden()
        assert seen.complaints == []


async def test_a_part_that_cannot_be_fetched_again_stays_as_it_was(browser: Browser, home: House) -> None:
    async with tab(browser, home) as seen:
        await seen.page.clock.install()
        await seen.page.goto(f"{home.url}/bandwidth")
        await seen.page.route("**/bandwidth", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
        for _ in range(2):  # what the first answer did is done once the second is there
            async with seen.page.expect_response(lambda answer: answer.status == 502):
                await seen.page.clock.run_for(4_000)
        await expect(seen.page.locator("#yields")).to_be_hidden()
        assert "Bad gateway" not in await seen.page.inner_text("main")


async def test_the_bandwidth_page_says_at_once_what_came_in_force_elsewhere(browser: Browser, home: House) -> None:
    async with tab(browser, home) as seen:
        await seen.page.goto(f"{home.url}/bandwidth")
        told = seen.page.locator("#standing").get_by_role("status")
        await expect(told).to_have_text("Full speed, all week.")
        await home.services.spending.be_quiet(timedelta(hours=2))
        await expect(told).to_contain_text("Quiet until", timeout=10_000)
        await expect(seen.page.get_by_role("button", name="End the quiet")).to_be_visible()
        await home.services.spending.end_quiet()
        await expect(told).to_have_text("Full speed, all week.", timeout=10_000)
        assert seen.complaints == []


async def test_the_first_page_says_why_nothing_moves(browser: Browser, home: House) -> None:
    async with tab(browser, home) as seen:
        page = seen.page
        await page.goto(home.url)
        asks = page.get_by_text("the origin is being asked")
        await expect(asks).to_be_visible()
        await page.goto(f"{home.url}/bandwidth")
        await page.get_by_role("button", name="Quiet for two hours").click()
        await page.get_by_role("link", name="Home").first.click()
        await expect(page.get_by_text("wanted. Nothing may come from the internet: Quiet until")).to_be_visible()
        await expect(asks).to_have_count(0)
        await page.get_by_role("link", name="Quiet until").click()
        await page.get_by_role("button", name="End the quiet").click()
        await page.goto(home.url)
        await expect(page.get_by_role("link", name="Quiet until")).to_have_count(0)


async def test_the_week_is_painted_by_mouse_by_keyboard_and_without_a_script(browser: Browser, home: House) -> None:
    def week() -> str:
        return home.book.current.bandwidth.week.replace(" ", "") or "f" * 168

    await home.book.save({"bandwidth.week": ""})
    async with tab(browser, home, width=1280) as seen:
        page = seen.page
        await page.goto(f"{home.url}/bandwidth")
        await page.locator(".brush", has_text="Night").click()
        await page.locator("#week").scroll_into_view_if_needed()
        first = await page.get_by_label("Monday 02:00").bounding_box()
        last = await page.get_by_label("Wednesday 04:00").bounding_box()
        assert first is not None
        assert last is not None
        await page.mouse.move(first["x"] + 5, first["y"] + 5)
        await page.mouse.down()
        await page.mouse.move(last["x"] + 5, last["y"] + 5)
        async with page.expect_response("**/bandwidth/week"):
            await page.mouse.up()
        assert [week()[24 * day :][:6] for day in range(4)] == ["ffnnnf"] * 3 + ["f" * 6]
        await page.locator(".brush", has_text="Off").click()
        await page.get_by_label("Wednesday 04:00").focus()
        await page.keyboard.press("ArrowRight")
        async with page.expect_response("**/bandwidth/week"):
            await page.keyboard.press("Space")
        assert week()[48:54] == "ffnnno"
        async with page.expect_response("**/bandwidth/week"):
            await page.keyboard.press("Shift+ArrowDown")
        assert week()[72:78] == "fffffo"
        await expect(page.get_by_label("Thursday 05:00, off")).to_be_visible()
        await page.get_by_role("button", name="Quiet for two hours").click()
        await expect(page.locator("#standing")).to_contain_text("Quiet until")
        await page.get_by_role("button", name="End the quiet").click()
        await expect(page.get_by_role("button", name="Quiet for two hours")).to_be_visible()
        assert seen.complaints == []
    async with tab(browser, home, width=390, scripts=False) as seen:
        page = seen.page
        await page.goto(f"{home.url}/bandwidth")
        await page.locator("#range-days").select_option("weekend")
        await page.locator("#range-brush").select_option("polite")
        await page.get_by_role("button", name="Paint").click()
        await page.wait_for_url("**brush=polite**")
        assert week()[120:] == ("f" * 7 + "p" * 16 + "f") * 2
        await page.locator(".brush", has_text="Off").click()
        await page.get_by_label("Sunday 23:00").click()
        await page.wait_for_url("**brush=off**")
        assert week()[-3:] == "ppo"
    await home.book.save({"bandwidth.week": ""})


async def test_a_token_is_shown_once_and_revoked(browser: Browser, home: House) -> None:
    async with tab(browser, home) as seen:
        page = seen.page
        await page.goto(f"{home.url}/settings")
        await page.get_by_label("Name", exact=True).fill("Living room")
        await page.get_by_role("button", name="Create").click()
        secret = await page.locator(".secret").inner_text()
        assert secret.startswith("sk_")
        await page.goto(f"{home.url}/settings")
        assert secret not in await page.content()
        await page.get_by_role("button", name="Revoke Living room").click()
        await expect(page.get_by_role("status").first).to_contain_text("works no longer")
        assert await home.services.store.read(logins.tokens) == ()


async def test_what_an_origin_writes_stays_text(browser: Browser, home: House) -> None:
    evil = "<img src=x onerror=alert(1)></script><b>" + "長" * 200 + "\u202e"
    line = await first(home, PinState.PINNED)
    record = await home.services.store.read(videos.one, line.id)
    assert record is not None
    summary = replace(record.summary, title=evil, description=evil * 3, tags=(evil,), url="javascript:alert(1)")
    await home.services.store.write(videos.put_summary, summary, home.services.clock.now())
    async with tab(browser, home, width=390) as seen:
        for place in ("", "videos", f"videos/{line.id}", "rules"):
            await seen.page.goto(f"{home.url}/{place}")
            assert await seen.page.locator("img[src=x], main b b, a[href^=javascript]").count() == 0
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await seen.page.evaluate(wide) <= 0
        assert seen.complaints == []


async def test_pages_work_below_a_base_path(browser: Browser, tmp_path: Path) -> None:
    async with house(tmp_path, Amount.LITTLE) as opened, tab(browser, opened) as seen:
        opened.book.current = msgspec.structs.replace(opened.book.current, web=Web(base_path="/box"))
        page = seen.page
        await page.goto(f"{opened.url}/box/")
        await page.get_by_role("link", name="Channels").first.click()
        await expect(page).to_have_url(f"{opened.url}/box/channels")
        await page.get_by_role("link", name="Harbour Films").click()
        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_role("status").first).to_contain_text("Paused")
        assert page.url.startswith(f"{opened.url}/box/channels/")
        colour = "getComputedStyle(document.querySelector('.rail')).backgroundColor"
        assert await page.evaluate(colour) == "rgb(18, 41, 31)"
        assert seen.complaints == []


async def test_looking_at_a_video_is_not_watching_it(browser: Browser, tmp_path: Path, shown: Any) -> None:
    async with house(tmp_path, Amount.LITTLE, shown=shown) as opened, tab(browser, opened) as seen:
        asked: list[str] = []
        seen.page.on("request", lambda request: asked.append(request.url))
        for state, name in ((PinState.PINNED, "Play"), (None, "Play now")):
            line = await first(opened, state)
            asked.clear()
            await seen.page.goto(f"{opened.url}/videos/{line.id}", wait_until="networkidle")
            assert [a for a in asked if "/media/" in a and not a.endswith(("thumbnail.jpg", "storyboard.jpg"))] == []
            button = seen.page.get_by_role("button", name=name)
            await button.focus()
            await seen.page.keyboard.press("Enter")
            assert await asyncio.wait_for(seen.page.evaluate(ADVANCES), 10) > 0.5
            assert any(address.endswith("master.m3u8") for address in asked)
        assert seen.complaints == []


async def test_a_script_or_a_media_key_begins_as_the_button_does(browser: Browser, tmp_path: Path, shown: Any) -> None:
    async with house(tmp_path, Amount.LITTLE, shown=shown) as opened, tab(browser, opened) as seen:
        held = await first(opened, PinState.PINNED)
        await seen.page.goto(f"{opened.url}/videos/{held.id}")
        await seen.page.evaluate("document.getElementById('player').play().catch(() => {})")
        assert await asyncio.wait_for(seen.page.evaluate(ADVANCES), 10) > 0.5
        assert seen.complaints == []


@pytest.mark.parametrize("watched", [False, True])
async def test_a_videos_page_turns_with_it_and_never_interrupts(
    browser: Browser, tmp_path: Path, shown: Any, watched: bool
) -> None:
    async with house(tmp_path, Amount.LITTLE, shown=shown) as opened, tab(browser, opened) as seen:
        store, page = opened.services.store, seen.page
        arriving = await first(opened, PinState.PINNING)
        pin = await store.read(pins.one, arriving.id)
        assert pin is not None
        await page.goto(f"{opened.url}/videos/{arriving.id}")
        await expect(page.locator("#state")).to_contain_text("arriving")
        await page.evaluate("window.before = document.getElementById('player')")
        if watched:
            await page.get_by_role("button", name="Play now").click()
            assert await asyncio.wait_for(page.evaluate(ADVANCES), 10) > 0.5
        await store.promise(
            pins.put, replace(pin, state=PinState.PINNED, done=pin.size, pinned_at=opened.services.clock.now())
        )
        await expect(page.locator("#state .badge").first).to_have_text("kept", timeout=10_000)
        await expect(page.locator("#renditions")).to_contain_text("kept")
        await expect(page.locator("#about")).to_contain_text("Files on disk")
        same = await page.evaluate("window.before === document.getElementById('player')")
        if watched:
            assert same
            await expect(page.get_by_role("button", name="Play", exact=True)).to_have_count(0)
        else:
            await expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
            await expect(page.get_by_role("slider", name="Go to a moment")).to_be_visible()
        assert seen.complaints == []


async def test_what_happens_to_other_videos_leaves_a_videos_page_alone(browser: Browser, home: House) -> None:
    store = home.services.store
    arriving, held = await first(home, PinState.PINNING), await first(home, PinState.PINNED)
    pin = await store.read(pins.one, arriving.id)
    assert pin is not None
    async with tab(browser, home) as seen:
        await seen.page.goto(f"{home.url}/videos/{held.id}")
        asked: list[str] = []
        await expect(seen.page.locator("#state")).to_contain_text("kept")
        await seen.page.evaluate(HEARS)
        seen.page.on("request", lambda request: asked.append(request.url))
        await store.promise(pins.put, replace(pin, state=PinState.WAITING))
        await store.promise(videos.wish, held.id, Wish.PIN)
        await expect(seen.page.get_by_role("button", name="Take the hand pin back")).to_be_visible(timeout=10_000)
        assert len([a for a in asked if "/videos/" in a]) == 1


async def test_the_strip_of_small_pictures_leads_to_a_moment(browser: Browser, tmp_path: Path, shown: Any) -> None:
    async with house(tmp_path, Amount.LITTLE, shown=shown) as opened, tab(browser, opened) as seen:
        page = seen.page
        held = await first(opened, PinState.PINNED)
        await page.goto(f"{opened.url}/videos/{held.id}")
        strip = page.get_by_role("slider", name="Go to a moment")
        place = await strip.bounding_box()
        assert place is not None
        await page.mouse.move(place["x"] + place["width"] * 0.5, place["y"] + 20)
        bubble = page.locator(".strip-bubble")
        await expect(bubble).to_be_visible()
        await expect(bubble).to_contain_text("0:30")
        # Thirty seconds are the fourth of eight pictures: the last of the first row of four.
        across = "document.querySelector('.strip-bubble span').style.backgroundPosition"
        assert await page.evaluate(across) == "-480px 0px"
        await page.mouse.move(0, 0)
        await expect(bubble).to_be_hidden()
        await strip.focus()
        await page.keyboard.press("ArrowRight")
        await expect(strip).to_have_attribute("aria-valuetext", "0:03")
        assert await asyncio.wait_for(page.evaluate(ADVANCES), 10) >= 3
        assert seen.complaints == []
