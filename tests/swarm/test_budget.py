"""A monthly budget that is used up in the middle of a swarm: upload stops, the screen in the house goes on."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.world.box import Box
from tests.world.lab import Host, Lab, need_namespaces
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.peers import Peer

pytestmark = [pytest.mark.net, pytest.mark.alone, pytest.mark.trial]

MORE = 5_000_000
"""Bytes that the budget leaves once the swarm has begun: well over what is not counted yet (seconds of it)."""
SETTINGS = {
    "bandwidth__upload": "1000000",
    "bandwidth__yield_to_household": "false",
    "bandwidth__yield_to_players": "false",
}


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_namespaces()
    with Lab() as lab:
        yield lab


class Screen:
    """A player on the LAN: it takes a piece of the film several times a second, and notes when it got it."""

    def __init__(self, host: Host, address: str) -> None:
        self._host, self._address, self._stop = host, address, threading.Event()
        self.got: list[tuple[float, int]] = []
        self._thread = threading.Thread(target=self._play)

    def _play(self) -> None:
        with self._host.inside(), httpx.Client(trust_env=False, timeout=10) as client:
            at = 0
            while not self._stop.wait(0.1):
                answer = client.get(self._address, headers={"range": f"bytes={at}-{at + 99_999}"})
                assert answer.status_code == 206
                self.got.append((time.monotonic(), len(answer.content)))
                at = (at + 100_000) % 5_000_000

    def __enter__(self) -> "Screen":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)


def test_upload_stops_at_the_budget_and_outlives_a_kill_while_a_screen_plays_on(lab: Lab, tmp_path: Path) -> None:
    box_host, screen = lab.host("box", "10.77.0.2"), lab.host("screen", "10.77.0.3")
    origin_host, far = lab.host("origin", "10.78.0.1"), lab.host("far", "10.78.0.2")
    with origin_host.inside():
        origin = Origin("10.78.0.1", 80)
    box = Box(tmp_path / "data", box_host, **SETTINGS)
    with origin:
        video = origin.add_video(make(heights=(720,), seconds=60, segment=4, kbits=2436, piece=262_144), title="Long")
        try:
            box.start()
            box.ask("POST", "/api/v1/pins", {"url": video.address})
            ident = box.wait_pinned("Long", seconds=120)["Long"]["video_id"]
            torrent = tmp_path / "long.torrent"
            torrent.write_bytes(video.torrent(720))
            options = ("--host", "10.78.0.2", "--port", "6900", "--no-trackers", "--peer", "10.77.0.2:47333")
            media = f"http://10.77.0.2:7333/media/{ident}/720p.mp4"
            with (
                Peer.begin("leech", torrent, tmp_path / "far", *options, spawn=far.python) as leech,
                Screen(screen, media) as player,
            ):
                leech.wait("progress", 30, lambda said: said["down"] > 1_000_000)
                used = box.ask("GET", "/api/v1/bandwidth")["month"]["up"]
                box.ask("PUT", "/api/v1/bandwidth", {"monthly_upload": used + MORE})
                box.wait(lambda: _spending(box)["used_up"] == ["monthly_upload"], "using it up", 30)
                time.sleep(2)
                stopped, sent = time.monotonic(), _got(leech)
                time.sleep(4)
                assert _got(leech) == sent, "not a byte more"
                assert box.ask("GET", "/api/v1/bandwidth")["month"]["up"] <= used + MORE + 64_000
                assert sum(n for at, n in player.got if at > stopped) > 1_000_000, "the screen plays on"
            box.kill()
            box.start()
            assert _spending(box)["used_up"] == ["monthly_upload"]
            assert str(_spending(box)["told"]).startswith("This month's upload is used up until 1 ")
        finally:
            print(box.tail())
            box.kill()


def _spending(box: Box) -> dict[str, object]:
    return dict(box.ask("GET", "/api/v1/bandwidth")["in_force"])


def _got(leech: Peer) -> int:
    """Return what the far peer got up to now."""
    while not leech._lines.empty():
        leech.wait("progress", 10)
    return int(leech.wait("progress", 10)["down"])
