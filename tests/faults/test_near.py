"""The budget for the internet is used up, in a real network: a server on the LAN gives on, nobody beyond does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.street import TRACES
from tests.world.box import Box
from tests.world.lab import Lab, need_namespaces
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.peers import Peer

pytestmark = [pytest.mark.net, pytest.mark.alone, pytest.mark.trial]

BOX, ORIGIN, FAR = "10.77.0.2", "10.77.0.9", "10.78.0.2"


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_namespaces()
    with Lab() as lab:
        yield lab


def test_a_pin_goes_on_from_the_lan_alone_once_the_month_is_used_up(lab: Lab, tmp_path: Path) -> None:
    box_host, origin_host, far = lab.host("box", BOX), lab.host("o", ORIGIN), lab.host("far", FAR)
    film = make(heights=(360,), seconds=24, segment=4, kbits=2000)
    with origin_host.inside():
        origin = Origin(ORIGIN, 80, limit=None)
    box = Box(tmp_path / "data", box_host)
    with origin:
        video = origin.add_video(film, title="Near")
        origin.shape(rate=film.size / 60)
        torrent = tmp_path / "near.torrent"
        torrent.write_bytes(video.torrent(360))
        seed = ("--host", FAR, "--port", "6900", "--no-trackers", "--peer", f"{BOX}:47333", "--up", "50000")
        names = [n for part in film.files[0].parts for n in ("--name", part)]
        try:
            box.start()
            box.ask("POST", "/api/v1/pins", {"url": video.address})
            box.wait(lambda: box.pins().get("Near", {}).get("state") == "pinning", "beginning")
            with Peer.begin("seed", torrent, film.folder, *seed, *names, spawn=far.python):
                box.wait(lambda: _down(box) > 200_000, "a peer beyond")
                box.ask("PUT", "/api/v1/bandwidth", {"monthly_download": 1})
                box.wait(lambda: box.ask("GET", "/api/v1/bandwidth")["in_force"]["used_up"], "using it up")
                before = _down(box)
                origin.shape()
                box.wait_pinned("Near")
                after = box.ask("GET", "/api/v1/bandwidth")
            assert after["in_force"]["used_up"] == ["monthly_download"]
            assert after["month"]["down"] - before < 64_000
        finally:
            print(box.tail())
            box.kill()
    assert [t for t in TRACES if t in box.log.read_text()] == []


def _down(box: Box) -> int:
    """Return what came over the uplink."""
    return int(box.ask("GET", "/api/v1/bandwidth")["month"]["down"])
