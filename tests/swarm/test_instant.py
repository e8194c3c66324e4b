"""How soon a video that is not held plays, over a link as people have it: 20 Mbit/s, 20 ms each way.

Measured from adding the torrent to the last byte of the first segment, and from a seek to 70 % to the last byte there;
what a viewer waits for besides (the page, the torrent itself) has a part of the issue's two seconds of its own.
"""

import json
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.swarm.test_wire import Files
from tests.world.bodies import bencode
from tests.world.lab import Host, Lab, need_namespaces
from tests.world.media import MadeFile, long_film, pieces_of
from tests.world.peers import Peer

pytestmark = [pytest.mark.net, pytest.mark.alone]

RATE, DELAY = 20e6, 0.02
START_SECONDS, SEEK_SECONDS = 1.7, 1.9
SEGMENT_BYTES = 1_250_000


@dataclass
class Scene:
    box: Host
    file: Path
    torrent: Path
    files: Files

    def watch(self, folder: Path, **how: Any) -> tuple[float, float]:
        """Return the seconds that a viewer waits for the start, and for a seek to 70 %.

        What it waits for comes before the film up to there does, at whatever pace.
        """
        size = self.file.stat().st_size
        job = {"torrent": str(self.torrent), "folder": str(folder), "listen": self.box.address, **how}
        told = json.dumps({"segment": SEGMENT_BYTES, "seek": int(size * 0.7), "watch": 1.5, **job})
        process = self.box.python("-m", "tests.swarm.viewer", told, stdout=subprocess.PIPE)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        times = json.loads(said)
        assert 2 * SEGMENT_BYTES < times["done"] < size * 0.6
        return times["start"], times["seek"]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[tuple[Scene, Lab]]:
    need_namespaces()
    made = long_film()
    file: MadeFile = made.files[0]
    with Lab() as lab:
        box = lab.host("box", "10.77.0.2", rate=RATE, delay=DELAY)
        origin = lab.host("origin", "10.78.0.1")
        torrent = tmp_path / "film.torrent"
        path = made.path(file.parts[0])
        with origin.inside():
            files = Files(path.parent, "10.78.0.1")
        torrent.write_bytes(torrent_of(path))
        try:
            files.tracker.public = True
            yield Scene(box, path, torrent, files), lab
        finally:
            files.server.close()


def torrent_of(path: Path) -> bytes:
    piece = 1 << 20
    hashes = pieces_of([path], piece)
    info = {"length": path.stat().st_size, "name": path.name, "piece length": piece, "pieces": hashes}
    return bencode({"info": info})


TIMES = 5
"""How often the clock is read: here only in the trial. Every run sees the order of bytes through the whole appliance
(``tests/media/test_instant_play.py``)."""


def judge(waits: list[tuple[float, float]]) -> None:
    print(waits)
    assert statistics.median(start for start, _ in waits) < START_SECONDS, waits
    assert statistics.median(seek for _, seek in waits) < SEEK_SECONDS, waits


@pytest.mark.trial
def test_two_peers_alone_start_and_seek_at_once(scene: tuple[Scene, Lab], tmp_path: Path) -> None:
    stage, lab = scene
    seeds = []
    for k in (2, 3):
        host = lab.host(f"seed{k}", f"10.78.0.{k}")
        options = ("--host", host.address, "--port", "6900", "--name", stage.file.name)
        seeds.append(Peer.begin("seed", stage.torrent, stage.file.parent, *options, spawn=host.python))
        stage.files.tracker.extra.append((host.address, 6900))
    announce = f"{stage.files.base}/announce"
    judge([stage.watch(tmp_path / str(k), trackers=[announce]) for k in range(TIMES)])
    for seed in seeds:
        seed.stop()


@pytest.mark.trial
def test_the_origin_alone_starts_and_seeks_at_once(scene: tuple[Scene, Lab], tmp_path: Path) -> None:
    stage, _ = scene
    address = f"{stage.files.base}/{stage.file.name}"
    judge([stage.watch(tmp_path / str(k), web_seeds=[address], window=address) for k in range(TIMES)])


@pytest.mark.trial
def test_the_origin_as_a_plain_web_seed_starts_and_seeks_soon(scene: tuple[Scene, Lab], tmp_path: Path) -> None:
    stage, _ = scene
    address = f"{stage.files.base}/{stage.file.name}"
    start, seek = stage.watch(tmp_path / "one", web_seeds=[address])
    assert start < 3.0
    assert seek < 3.0
