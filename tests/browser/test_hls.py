"""HLS as strict players want it: an independent parser, foreign players, and a link that becomes slow meanwhile."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.world.lab import Lab, need_namespaces
from tests.world.media import Layout, make

pytestmark = [pytest.mark.net, pytest.mark.browser, pytest.mark.alone, pytest.mark.trial]

QUICK, SLOW = 12_000_000, 1_300_000
"""Bits/s of the link before and after it becomes slow."""


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_namespaces()
    with Lab() as made:
        yield made


_WATCH = """
import json, sys, time
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium",
        args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--mute-audio"])
    page = browser.new_page()
    page.goto(sys.argv[1])
    def tell():
        seen = page.evaluate("seen")
        seen["at"] = page.evaluate("v.currentTime")
        seen["lists"] = page.evaluate("fetch(hls.url).then(r => r.text())").count("#EXT-X-I-FRAME-STREAM-INF:")
        print(json.dumps(seen), flush=True)
    for until in map(float, sys.argv[2:]):
        begun = time.monotonic()
        while page.evaluate("v.currentTime") < until and time.monotonic() - begun < 120:
            page.wait_for_timeout(100)
        tell()
    browser.close()
"""


@pytest.mark.parametrize("layout", [Layout.MUXED, Layout.TS])
def test_a_link_that_becomes_slow_is_answered_with_a_smaller_picture_and_no_stall(lab: Lab, layout: Layout) -> None:
    make(layout, (720, 240), 120, kbits=3000)
    lab.shape(QUICK, 0.1)
    server, viewer = lab.host("server", "10.77.0.2"), lab.host("viewer", "10.78.0.3")
    serving = server.python(
        "-m", "tests.media.made_shelf", server.address, layout, "120", "3000", "720", "240", stdout=subprocess.PIPE
    )
    assert serving.stdout
    url = f"http://{server.address}:{serving.stdout.readline().strip()}/"
    watching = viewer.run(sys.executable, "-c", _WATCH, url, "6", "60", stdout=subprocess.PIPE)
    assert watching.stdout
    before = json.loads(watching.stdout.readline())
    assert before["levels"][-1] == 720, before
    assert before["lists"] == (0 if layout is Layout.TS else 2), before
    lab.shape(SLOW, 0.1)
    after = json.loads(watching.stdout.readline())
    print(before, after)
    assert after["at"] >= 60, after
    assert after["levels"][-1] == 240, after
    assert after["stalls"] == 0, after
    assert not [e for e in after["errors"] if "fatal" in e], after
