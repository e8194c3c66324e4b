"""A viewer's browser with a stopwatch: how long from pressing play to the first picture. This module is run on a host.

``python -m tests.browser.first_frame URL PASSWORD`` reads paths from its input, a line each, and prints a line of JSON
for each: ``page`` seconds until the page stood, ``frame`` seconds from the press to the first picture, ``note``.
"""

import json
import sys
import time

from playwright.sync_api import Page, sync_playwright

from tests.browser.watch import ARGUMENTS, log_in

_PATIENCE = 30_000.0
"""Milliseconds."""
_PRESS = """() => new Promise((resolve) => {
  const video = document.getElementById('player');
  video.muted = true;
  const begun = performance.now();
  // The callback comes with the first frame that is presented to the compositor.
  video.requestVideoFrameCallback(() => resolve((performance.now() - begun) / 1000));
  document.getElementById('player-start').click();
  setTimeout(() => resolve(null), PATIENCE);
})""".replace("PATIENCE", str(_PATIENCE))


def measured(page: Page, url: str) -> dict[str, object]:
    begun = time.monotonic()
    page.goto(url)
    page.wait_for_selector("#player-start:not([hidden])")
    stood = time.monotonic() - begun
    frame = page.evaluate(_PRESS)
    note = page.evaluate("document.getElementById('player-note')?.textContent || ''")
    page.goto("about:blank")
    return {"page": stood, "frame": frame, "note": note}


def main() -> None:
    url, password = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        page = browser.new_context().new_page()
        log_in(page, url, password)
        print(json.dumps({}), flush=True)
        for line in sys.stdin:
            print(json.dumps(measured(page, url + line.strip())), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
