"""Household first, on a real bottleneck: box, router with a small uplink and too large a queue, and the far side."""

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.lan.hops import measure
from tests.world.box import Box
from tests.world.lab import Host, Lab, need_namespaces
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.peers import Peer

pytestmark = [pytest.mark.net, pytest.mark.alone, pytest.mark.trial]

UPLINK = 8_000_000
"""Bits/s that the router sends to the internet."""
QUEUE = 0.5
FAR, SINK = "10.78.0.2", "10.78.0.4"


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_namespaces()
    with Lab() as lab:
        lab.shape(UPLINK, QUEUE)
        yield lab


def common(host: Host) -> Host:
    """Let a host send as most do, filling the queue until packets are lost, whatever this machine prefers."""
    host.check("sh", "-c", "echo reno > /proc/sys/net/ipv4/tcp_congestion_control")
    return host


@dataclass
class Neighbour:
    """Somebody else in the household: feels the way out, and sends when told."""

    host: Host
    _stop: threading.Event = field(default_factory=threading.Event)

    def waits(self, seconds: float) -> list[float]:
        """Return what each of many packets took to the far side and back; a lost one took a second."""
        found, end = [], time.monotonic() + seconds
        with self.host.inside():
            while time.monotonic() < end:
                hop = measure(SINK, 2)
                found.append(1.0 if hop is None else hop.seconds)
                time.sleep(0.4)
        return found

    def send(self, seconds: float) -> float:
        """Send as fast as TCP can, as an upload of holiday pictures would; return the bytes/s of the second half."""
        with self.host.inside(), socket.create_connection((SINK, 9000)) as out:
            begun, sent, half = time.monotonic(), 0, 0
            while (now := time.monotonic()) < begun + seconds:
                sent += out.send(bytes(16_384))
                if now < begun + seconds / 2:
                    half = sent
        return (sent - half) / (seconds / 2)


def _swallow(server: socket.socket) -> None:
    while True:
        try:
            got, _ = server.accept()
        except OSError:
            return
        with got:
            while got.recv(65536):
                pass


@pytest.fixture
def sink(lab: Lab) -> Iterator[None]:
    host = lab.host("sink", SINK)
    with host.inside():
        server = socket.create_server((SINK, 9000))
        thread = threading.Thread(target=_swallow, args=(server,), daemon=True)
        thread.start()
    yield
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


def _leech(host: Host, torrent: Path, folder: Path) -> Peer:
    options = ("--host", FAR, "--no-trackers", "--peer", "10.77.0.2:47333")
    return Peer.begin("leech", torrent, folder, *options, spawn=host.python)


def _rate(box: Box) -> int:
    return int(box.ask("GET", "/api/v1/bandwidth")["now"]["up"])


def _rates(box: Box, seconds: int) -> list[int]:
    found = []
    for _ in range(seconds):
        time.sleep(1)
        found.append(_rate(box))
    return found


@pytest.mark.usefixtures("sink")
def test_the_household_comes_first_and_upload_returns_when_it_is_done(lab: Lab, tmp_path: Path) -> None:
    box_host, neighbour = common(lab.host("box", "10.77.0.2")), Neighbour(common(lab.host("neighbour", "10.77.0.3")))
    origin_host, far = lab.host("origin", "10.78.0.1"), lab.host("far", FAR)
    film = make(heights=(720,), seconds=600, segment=4, kbits=2436, piece=1 << 20)
    with origin_host.inside():
        origin = Origin("10.78.0.1", 80)
    box = Box(tmp_path / "data", box_host)
    with origin:
        video = origin.add_video(film, title="Long")
        try:
            quiet = statistics.median(neighbour.waits(3))
            box.settings["SEEDKEEP_BANDWIDTH__YIELD_TO_HOUSEHOLD"] = "false"
            box.start()
            box.ask("POST", "/api/v1/pins", {"url": video.address})
            box.wait_pinned("Long", seconds=120)
            torrent = tmp_path / "long.torrent"
            torrent.write_bytes(video.torrent(720))
            with _leech(far, torrent, tmp_path / "first") as leech:
                leech.wait("progress", 30, lambda said: said["down"] > 4_000_000)
                rude = statistics.median(neighbour.waits(8))
            assert box.stop() == 0
            box.settings["SEEDKEEP_BANDWIDTH__YIELD_TO_HOUSEHOLD"] = "true"
            box.start()
            with _leech(far, torrent, tmp_path / "second") as leech:
                leech.wait("progress", 60, lambda said: said["down"] > 4_000_000)
                _rates(box, 15)
                kind = neighbour.waits(15)
                alone = statistics.mean(_rates(box, 10))
                print(f"quiet {quiet:.3f} s, rude {rude:.3f} s, kind {statistics.median(kind):.3f} s, {alone:.0f} B/s")
                sending = threading.Thread(target=lambda: shares.append(neighbour.send(30)))
                shares: list[float] = []
                sending.start()
                _rates(box, 15)
                beside = statistics.mean(_rates(box, 15))
                sending.join()
                back = _rates(box, 40)
                print(f"beside {beside:.0f} B/s, neighbour {shares[0]:.0f} B/s, back {back}")
        finally:
            box.kill()
    whole = UPLINK / 8
    assert rude > quiet + 0.2, "without yielding the queue stands"
    assert statistics.median(kind) < 0.6 * rude
    assert alone > 0.35 * whole, "the uplink is used all the same"
    assert beside < 0.35 * whole
    assert shares[0] > 0.6 * whole
    assert statistics.mean(back[-15:]) > 0.4 * whole, "it returns"
    assert max(back[:8]) < 0.4 * whole, "gently"
