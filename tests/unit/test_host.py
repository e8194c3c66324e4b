"""This machine, asked for real: ffmpeg within limits, systemd's socket."""

import asyncio
import os
import socket
import time
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest

from appliance.host.ffmpeg import OUTPUT, Ffmpeg, find_ffmpeg
from appliance.host.systemd import Systemd

RECORDED = Path(__file__).parents[1] / "recorded" / "media"


@pytest.fixture
def ffmpeg() -> Ffmpeg:
    found = find_ffmpeg()
    assert found is not None
    return Ffmpeg(found)


def script(path: Path, text: str) -> Ffmpeg:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Ffmpeg(path)


class TestFfmpeg:
    def test_the_one_that_came_with_us_is_found_where_the_machine_has_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        found = find_ffmpeg()
        assert found is not None
        assert found.exists()

    def test_none_at_all_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def absent() -> str:
            raise RuntimeError("no ffmpeg")

        monkeypatch.setenv("PATH", "/nonexistent")
        monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", absent)
        assert find_ffmpeg() is None

    @pytest.mark.parametrize(
        ("pattern", "codecs"),
        [
            ("muxed/*-360-fragmented.mp4", "avc1.64001e,mp4a.40.2"),
            ("split/*-0-fragmented.mp4", "mp4a.40.2"),
            ("split/*-360.mp4", "avc1.64001e,mp4a.40.2"),
        ],
    )
    async def test_codecs_are_those_the_origin_names(self, ffmpeg: Ffmpeg, pattern: str, codecs: str) -> None:
        assert await ffmpeg.codecs(next(RECORDED.glob(pattern))) == codecs

    async def test_codecs_of_what_is_no_media_are_not_known(self, ffmpeg: Ffmpeg, tmp_path: Path) -> None:
        junk = tmp_path / "-i.mp4"
        junk.write_bytes(b"junk" * 1000)
        assert await ffmpeg.codecs(junk) == ""
        assert await ffmpeg.codecs(tmp_path / "none.mp4") == ""

    async def test_a_run_that_takes_too_long_is_killed_with_its_children(self, tmp_path: Path) -> None:
        pids = tmp_path / "pids"
        slow = script(tmp_path / "slow", f"sleep 60 & echo $! $$ > {pids}; wait")
        started = time.monotonic()
        done = await slow.run(seconds=0.5)
        assert done.code is None
        assert not done.ok
        assert time.monotonic() - started < 10
        child, parent = pids.read_text().split()
        assert not alive(parent)
        assert await vanished(child)

    async def test_a_cancelled_run_is_killed(self, tmp_path: Path) -> None:
        fifo = tmp_path / "started"
        os.mkfifo(fifo)
        slow = script(tmp_path / "slow", f"echo $$ > {fifo}; exec sleep 60")
        run = asyncio.create_task(slow.run(seconds=60))
        pid = (await asyncio.to_thread(fifo.read_text)).strip()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert not alive(pid)

    async def test_it_yields_to_everything_else_and_its_output_is_bounded(self, tmp_path: Path) -> None:
        loud = script(tmp_path / "loud", "head -c 5000000 /dev/zero; sleep 0.2; nice >&2; exit 3")
        done = await loud.run(seconds=20)
        assert done.code == 3
        assert len(done.output) == OUTPUT
        assert done.errors.strip() == b"19"


def alive(pid: str) -> bool:
    try:
        return bool(psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def vanished(pid: str) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        await asyncio.sleep(0.02)
    return False


class TestSystemd:
    @pytest.mark.parametrize("abstract", [False, True])
    def test_what_systemd_is_told_arrives(self, tmp_path: Path, abstract: bool) -> None:
        name = f"seedkeep-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind("\0" + name if abstract else name)
            listening.settimeout(5)
            told = Systemd({"NOTIFY_SOCKET": "@" + name if abstract else name, "WATCHDOG_USEC": "30000000"})
            told.ready("serving\nWATCHDOG=trigger")
            told.watchdog()
            told.stopping()
            assert listening.recv(4096) == b"READY=1\nSTATUS=serving WATCHDOG=trigger"
            assert listening.recv(4096) == b"WATCHDOG=1"
            assert listening.recv(4096) == b"STOPPING=1"
            assert told.watchdog_interval == 15.0

    def test_without_systemd_nothing_happens(self, tmp_path: Path) -> None:
        for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "none"), "WATCHDOG_USEC": "x"}):
            told = Systemd(environment)
            told.ready()
            told.status("x")
            assert told.watchdog_interval is None

    def test_a_watchdog_meant_for_another_process_is_not_ours(self, tmp_path: Path) -> None:
        facts = {"NOTIFY_SOCKET": str(tmp_path / "x"), "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
        assert Systemd(facts).watchdog_interval is None
        assert Systemd(facts | {"WATCHDOG_PID": str(os.getpid())}).watchdog_interval == 0.5
