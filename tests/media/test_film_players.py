"""Players that we did not write seek in every film, held and arriving, by asking for the bytes they need."""

import asyncio
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from playwright.async_api import async_playwright

from tests.browser.chromium import ARGUMENTS, CHROMIUM
from tests.media.filming import Cinema, cinema, shelf
from tests.world.lab import not_run
from tests.world.media import Layout, Made, make

pytestmark = pytest.mark.trial

SECONDS = 120
FORMS = [(layout, arriving) for layout in Layout for arriving in (False, True)]
SHARES = (0.5, 0.9)


def film(layout: Layout) -> Made:
    return make(layout, (360,), SECONDS, kbits=1200)


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0]}-{'arriving' if form[1] else 'held'}")
def form(request: pytest.FixtureRequest) -> tuple[Layout, bool]:
    found: tuple[Layout, bool] = request.param
    return found


@asynccontextmanager
async def shown(form: tuple[Layout, bool], rate: float | None = None) -> AsyncIterator[Cinema]:
    name = "360p.ts" if form[0] is Layout.TS else "360p.mp4"
    async with cinema(shelf(film(form[0]), arriving=form[1]), name, rate=rate) as place:
        yield place


async def run(*command: str, typed: list[tuple[float, str]] | None = None, patience: float = 60) -> tuple[int, str]:
    """Run a program as somebody without rights, typing lines after so many seconds each; return (code, all it said)."""
    if shutil.which(command[0]) is None:
        not_run(f"there is no {command[0]}")
    nobody = pwd.getpwnam("nobody")
    home = f"/tmp/seedkeep-player-{os.getpid()}"
    os.makedirs(home, exist_ok=True)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    task = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=nobody.pw_uid if os.getuid() == 0 else None,
        env={"PATH": os.environ["PATH"], "HOME": home, "XDG_RUNTIME_DIR": home, "LC_ALL": "C.UTF-8"},
    )
    typing = asyncio.create_task(_type(task, typed or []))
    try:
        async with asyncio.timeout(patience):
            said, _ = await asyncio.gather(_all(task), typing)
            return await task.wait(), said
    finally:
        typing.cancel()
        if task.returncode is None:
            task.kill()
            await task.wait()
        shutil.rmtree(home, ignore_errors=True)


async def _all(task: asyncio.subprocess.Process) -> str:
    assert task.stdout is not None
    return (await task.stdout.read()).decode("utf-8", "replace")


async def _type(task: asyncio.subprocess.Process, typed: list[tuple[float, str]]) -> None:
    assert task.stdin is not None
    for seconds, line in typed:
        await asyncio.sleep(seconds)
        task.stdin.write(f"{line}\n".encode())
        await task.stdin.drain()
    task.stdin.close()


def sought(place: Cinema, size: int, share: float) -> None:
    """Assert that a player asked for a place near a share of the film, and for none on its way there.

    What it was given says nothing: sockets take some megabytes that nobody reads.
    """
    near = [asked.first for asked in place.asked if asked.first > 0.3 * share * size]
    assert any(0.8 * share * size < first < (share + 0.1) * size for first in near), place.asked
    assert not any(first < 0.8 * share * size for first in near), place.asked


def size_of(form: tuple[Layout, bool]) -> int:
    return sum(f.size for f in film(form[0]).files)


@pytest.mark.parametrize("share", SHARES)
async def test_ffmpeg_seeks_to_the_very_frame(form: tuple[Layout, bool], share: float) -> None:
    layout, _ = form
    first = film(layout).files[0]
    source = film(layout).folder / (f"{first.stem}.m3u8" if layout is Layout.TS else first.parts[0])
    at = str(SECONDS * share + 1.1)

    def command(address: str) -> list[str]:
        return ["ffmpeg", "-nostdin", "-v", "error", "-ss", at, "-i", address, "-map", "0:v", "-frames:v", "1", "-f",
                "framemd5", "-"]  # fmt: skip

    async with shown(form) as place:
        code, said = await run(*command(place.url))
        assert code == 0, said
        asked = replace(place, asked=list(place.asked))
    wanted = await asyncio.to_thread(subprocess.run, command(str(source)), capture_output=True, text=True, check=True)
    if layout is Layout.TS:  # where it finds its place by trying, and begins with the first picture that it can
        assert len(hashes(said)) >= 1
        assert asked.asked[-1].first > 0.5 * share * size_of(form)
        return
    assert hashes(said) == hashes(wanted.stdout)
    assert len(hashes(said)) == 1
    sought(asked, size_of(form), share)


def hashes(text: str) -> list[str]:
    return [line.rpartition(",")[2].strip() for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("share", SHARES)
async def test_mpv_seeks(form: tuple[Layout, bool], share: float) -> None:
    async with shown(form) as place:
        code, said = await run(
            "mpv", "--no-config", "--vo=null", "--ao=null", f"--start={share:.0%}", "--length=2",
            "--demuxer-readahead-secs=1", "--cache=no", "--term-playing-msg=AT=${=time-pos}", place.url,
        )  # fmt: skip
        assert code == 0, said
        assert abs(float(said.split("AT=")[1].split()[0]) - SECONDS * share) < 4.5
        if form[0] is not Layout.TS:
            sought(place, size_of(form), share)


@pytest.mark.alone  # it is typed to after so many seconds
async def test_vlc_seeks(form: tuple[Layout, bool]) -> None:
    """By seconds; in a transport stream over HTTP by the share alone, as its slider does: it looks for no end there."""
    in_share = form[0] is Layout.TS
    places = [int(SECONDS * share) for share in SHARES]
    first, second = (f"{share:.0%}" if in_share else str(int(SECONDS * share)) for share in SHARES)
    typed = [(3.0, f"seek {first}"), (2.0, "get_time"), (0.5, f"seek {second}"), (2.0, "get_time"), (0.5, "quit")]
    async with shown(form) as place:
        code, said = await run(
            "vlc", "-I", "rc", "--no-video-title", "--vout", "dummy", "--aout", "dummy", place.url, typed=typed
        )
        assert code == 0, said
        times = [int(found) for found in re.findall(r"^(?:> ?)*(\d+)\s*$", said, re.MULTILINE)]
        assert len(times) == 2, said
        assert all(at - 4 <= time <= at + 6 for at, time in zip(places, times, strict=True)), (times, place.asked)


@pytest.mark.parametrize("share", SHARES)
async def test_gstreamer_seeks_wherever_it_can(form: tuple[Layout, bool], share: float) -> None:
    """It seeks in no fragmented file over HTTP, whoever made it (qtdemux 1.22 in push mode): there it plays on."""
    at = int(SECONDS * share)
    async with shown(form) as place:
        code, said = await run(
            "timeout", "-s", "INT", "8", "gst-play-1.0", "--no-interactive", "--audiosink=fakesink sync=true",
            "--videosink=fakesink sync=true", f"--start-position={at}", place.url,
        )  # fmt: skip
        assert code in (0, 124), said
        times = [int(m) * 60 + int(s) for m, s in re.findall(r"0:(\d\d):(\d\d)\.\d / ", said)]
        assert times, said
        if form in ((Layout.MUXED, True), (Layout.SPLIT, True)):
            assert 2 <= times[-1] <= 12
        else:
            assert at <= times[-1] <= at + 12


async def test_gstreamer_decodes_it_all(form: tuple[Layout, bool]) -> None:
    async with shown(form) as place:
        code, said = await run("gst-discoverer-1.0", "-v", place.url)
        assert code == 0, said
        assert "video" in said.lower()
        assert "Seekable: yes" in said
        if form[0] is not Layout.TS:  # whose length it guesses from the first bytes
            assert re.search(r"Duration: 0:0(2:00|1:59)", said), said


async def test_chromium_seeks_in_its_video_element(form: tuple[Layout, bool]) -> None:
    if form[0] is Layout.TS:
        return  # no browser plays a transport stream by itself
    # Over a wire of 24 Mbit/s: as fast as it goes, it has all of so short a film in memory before it seeks.
    async with shown(form, rate=3e6) as place, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            page = await browser.new_page()
            await page.set_content(f'<video muted preload="metadata" src="{place.url}"></video>')
            for share in SHARES:
                place.forget()
                at = await page.evaluate(SEEK, share)
                assert SECONDS * share <= at < SECONDS * share + 5
                near = [asked.first / size_of(form) for asked in place.asked]
                assert any(0.7 * share < first < share + 0.1 for first in near), near
        finally:
            await browser.close()


SEEK = """async share => {
    const video = document.querySelector('video');
    const told = name => new Promise((good, bad) => {
        video.addEventListener(name, good, {once: true});
        video.addEventListener('error', () => bad(new Error(video.error.message)), {once: true});
        setTimeout(() => bad(new Error(name + ' never came: ' + video.readyState)), 15000);
    });
    if (video.readyState < 1) await told('loadedmetadata');
    if (Math.abs(video.duration - 120) > 0.1) throw new Error('lasts ' + video.duration);
    video.pause();
    const there = told('seeked');
    video.currentTime = video.duration * share;
    await there;
    const before = video.currentTime;
    await video.play();
    while (video.currentTime < before + 0.5) await told('timeupdate');
    video.pause();
    return video.currentTime;
}"""
