"""minidlna with very many videos, on a host of the lab: this module makes the videos and runs it."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.pages import page
from tests.world.lab import Host

ALL_VIDEOS = "2$8"
"""The container of all videos, by name (minidlna's upnpsoap.h: VIDEO_ALL_ID)."""
PORT = 8200
_EACH_FOLDER = 1000

_CONFIG = """port={port}
network_interface=eth0
friendly_name=minidlna
media_dir=V,{folder}/films
db_dir={folder}/db
log_dir={folder}/log
inotify=no
notify_interval=895
"""


def program() -> str | None:
    """Return where minidlna is, None where it is not (Debian's package ``minidlna``)."""
    return shutil.which("minidlnad") or shutil.which("minidlnad", path="/usr/sbin:/sbin")


def films(folder: Path, count: int) -> None:
    """Lay out ``count`` videos of one tiny film, each under a name of its own, a thousand in a folder."""
    folder.mkdir(parents=True)
    one = folder.parent / "one.mp4"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "color=size=16x16:rate=1:duration=1"]
    subprocess.run([*command, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", one], check=True)
    for n in range(count):
        place = folder / f"{n // _EACH_FOLDER:03}"
        place.mkdir(exist_ok=True)
        os.link(one, place / f"Film {n}.mp4")


@contextmanager
def minidlna(host: Host, folder: Path, count: int, patience: float) -> Iterator[tuple[str, int, float]]:
    """Run it over ``count`` videos until it has read them all; give its control address, its pid, and the seconds that
    reading took. Raises AssertionError with its log where that takes more than ``patience`` seconds."""
    films(folder / "films", count)
    for name in ("db", "log"):
        (folder / name).mkdir()
    (folder / "minidlna.conf").write_text(_CONFIG.format(port=PORT, folder=folder))
    found = program()
    assert found is not None
    begun = time.monotonic()
    command = (found, "-S", "-f", folder / "minidlna.conf", "-P", folder / "pid")
    running = host.run(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    control = f"http://{host.address}:{PORT}/ctl/ContentDir"
    with host.inside():
        while _has(control) != count:
            log = folder / "log" / "minidlna.log"
            told = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            assert running.poll() is None, f"minidlna ended:\n{told}"
            assert time.monotonic() < begun + patience, f"minidlna took too long to read its films:\n{told}"
            time.sleep(0.5)
    yield control, running.pid, time.monotonic() - begun


def _has(control: str) -> int:
    """Return how many videos it knows so far."""
    try:
        return page(control, ALL_VIDEOS, count=1).total
    except (OSError, RuntimeError):
        return -1
