"""A viewer's browser: it logs in, opens videos and watches a while. This module is run on the viewer's host.

``python -m tests.browser.watch URL PASSWORD PATH…`` prints one line of JSON for each path: ``advanced`` seconds, by
``hls`` or not, ``errors`` of the page.
"""

import json
import sys
import time

from playwright.sync_api import Page, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
)
WATCH_SECONDS = 3.0
"""Seconds of the film that count as playing."""
_PACE = 4
"""Times the pace at which films are watched: a picture of every moment is decoded all the same."""
_PATIENCE = 30.0


def log_in(page: Page, url: str, password: str) -> None:
    page.goto(f"{url}/login")
    page.fill("input[type=password]", password)
    page.click("main button[type=submit], main form button")
    page.wait_for_load_state()


def watch(page: Page, url: str) -> dict[str, object]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    begun = time.monotonic()
    page.goto(url)
    start = page.locator("#player-start")
    if start.is_visible():
        start.click()
    page.wait_for_selector("#player")
    page.evaluate(f"Object.assign(document.getElementById('player'), {{muted: true, playbackRate: {_PACE}}})")
    page.evaluate("document.getElementById('player').play().catch(() => {})")
    advanced, first_frame = 0.0, None
    while time.monotonic() - begun < _PATIENCE and advanced < WATCH_SECONDS:
        page.wait_for_timeout(100)
        advanced = float(page.evaluate("document.getElementById('player').currentTime"))
        if first_frame is None and advanced > 0:
            first_frame = time.monotonic() - begun
    return {
        "url": url,
        "advanced": advanced,
        "first_frame": first_frame,
        "hls": bool(page.evaluate("Boolean(window.seedkeepPlayer)")),
        "width": page.evaluate("document.getElementById('player').videoWidth"),
        "note": page.evaluate("document.getElementById('player-note')?.textContent || ''"),
        "errors": errors,
    }


def main() -> None:
    url, password, *paths = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        page = browser.new_context().new_page()
        log_in(page, url, password)
        for path in paths:
            print(json.dumps(watch(page, url + path)), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
