"""Chromium for tests: started once, and pages that remember what went wrong on them. This module has both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response, async_playwright

from tests.browser.house import House
from web.access.gate import COOKIE

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
Scheme = Literal["light", "dark"]


@dataclass(slots=True)
class Tab:
    """One browser page, and the complaints it heard: console errors, uncaught exceptions, refused requests."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def hear(self) -> None:
        self.page.on("console", lambda message: self._said(message))
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("response", lambda answer: self._answered(answer))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def tab(
    browser: Browser,
    house: House,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: Scheme = "light",
    scripts: bool = True,
    known: bool = True,
) -> AsyncIterator[Tab]:
    """Open a fresh browser profile at the house, logged in unless it is not ``known``."""
    options: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    context: BrowserContext = await browser.new_context(java_script_enabled=scripts, locale="en-GB", **options)
    context.set_default_timeout(10_000)
    try:
        if known and house.cookie:
            await context.add_cookies([{"name": COOKIE, "value": house.cookie, "url": house.url}])
        opened = Tab(await context.new_page())
        opened.hear()
        yield opened
    finally:
        await context.close()
