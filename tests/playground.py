"""A living toy world without internet: this module runs an origin, two seeds and Seedkeep on loopback.

``make playground``, or ``python -m tests.playground [--port 7333] [--every 60] [--data DIR] [--origin-only]``. A new
video appears now and then, views rise, titles change. Ctrl-C ends everything.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import libtorrent as lt

from tests.world import peers
from tests.world.box import PASSWORD, Box
from tests.world.media import Layout, Made, make
from tests.world.origin import Origin
from tests.world.published import Published

CHANNEL = "harbour_lights"
_TITLES = ("Fog horn", "Night ferry", "The old crane", "Low water", "Ropes and knots", "Slipway", "Pilot boat", "Gulls")
_LAYOUTS = (Layout.MUXED, Layout.SPLIT, Layout.TS, Layout.WEB)
_SECONDS = 24


class World:
    """The toy origin and its seeds. ``grow`` makes something happen in it."""

    def __init__(self, origin: Origin, seeds: list[lt.session]) -> None:
        self.origin, self._seeds = origin, seeds
        self._numbers = count()
        self._videos: list[Published] = []

    def publish(self) -> Published:
        """Make a video, put it up at the origin and let the seeds have it."""
        n = next(self._numbers)
        made = make(_LAYOUTS[n % len(_LAYOUTS)], (720, 360), _SECONDS, kbits=1500, variant=n % 16)
        title = f"{_TITLES[n % len(_TITLES)]}, take {n + 1}"
        video = self.origin.add_video(made, CHANNEL, title=title, views=n * 17)
        self._videos.append(video)
        self._seed(video, made)
        return video

    def _seed(self, video: Published, made: Made) -> None:
        for seed in self._seeds:
            for file in made.files:
                peers.add(seed, video.torrent(file.resolution), made.folder, names=file.parts, seeding=True)

    def grow(self, turn: int) -> str:
        """Let one thing happen and say what: usually a new video, every third time something to an old one."""
        for video in self._videos:
            video.watched(video.facts.views + 1 + video.facts.number % 5)
        if turn % 3 or not self._videos:
            return f"published {self.publish().facts.title!r}"
        video = self._videos[turn % len(self._videos)]
        if turn % 2:
            video.caption("en")
            return f"captioned {video.facts.title!r}"
        old = video.facts.title
        video.rename(f"{old} (again)")
        self._seed(video, video.made)
        return f"renamed {old!r}"


@contextmanager
def world(origin_port: int = 0) -> Iterator[World]:
    """A world with four videos, one of each layout, beside the recorded channels."""
    with Origin(port=origin_port) as origin:
        origin.add_channel(CHANNEL, title="Harbour lights")
        seeds = [peers.session(up=2_000_000), peers.session(up=500_000)]
        made = World(origin, seeds)
        for _ in _LAYOUTS:
            made.publish()
        yield made
        del seeds


@contextmanager
def appliance(made: World, data: Path, port: int) -> Iterator[Box]:
    """Seedkeep with the toy channels followed."""
    box = Box(data, web__port=str(port)).start()
    try:
        for name in (CHANNEL, "harbour_films"):
            box.ask("POST", "/api/v1/channels", {"url": made.origin.channel_url(name)})
        yield box
    finally:
        box.stop()


def live(made: World, every: float, ended: threading.Event) -> None:
    """Let the world go on until it is ended."""
    for turn in count(1):
        if ended.wait(every):
            return
        _tell(made.grow(turn))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.playground", description=__doc__)
    parser.add_argument("--port", type=int, default=7333, help="port of the dashboard")
    parser.add_argument("--origin-port", type=int, default=0, help="port of the toy origin, 0: any")
    parser.add_argument("--every", type=float, default=60, help="seconds between two happenings")
    parser.add_argument("--data", type=Path, help="data folder that is kept; without it a new one that is not")
    parser.add_argument("--origin-only", action="store_true", help="only the origin and its seeds")
    told = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    data = told.data or Path(tempfile.mkdtemp(prefix="seedkeep-playground-"))
    data.mkdir(parents=True, exist_ok=True)
    _tell("making videos …")
    try:
        with world(told.origin_port) as made:
            _tell(f"toy origin   {made.origin.base_url}")
            _tell(f"a channel    {made.origin.channel_url(CHANNEL)}   (or {made.origin.url('@' + CHANNEL)})")
            if told.origin_only:
                live(made, told.every, ended)
            else:
                with appliance(made, data / "data", told.port) as box:
                    _tell(f"Seedkeep     {box.url}   password: {PASSWORD}")
                    live(made, told.every, ended)
    finally:
        if told.data is None:
            shutil.rmtree(data, ignore_errors=True)
    return 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
