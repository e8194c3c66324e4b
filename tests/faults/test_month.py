"""A month's budgets in a real network: used up, held over a kill and over clocks that are set, and begun anew."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.street import TRACES
from tests.world.box import Box
from tests.world.lab import Lab, need_namespaces
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.peers import Peer
from tests.world.wall import Wall

pytestmark = [pytest.mark.net, pytest.mark.alone, pytest.mark.trial]

MIB = 1 << 20
BOX, PLAYER, ORIGIN, LEECH = "10.77.0.2", "10.77.0.3", "10.78.0.1", "10.78.0.2"
UP = 3 * MIB
BEGIN, BEFORE = datetime(2031, 3, 10, 12, tzinfo=UTC), datetime(2031, 3, 2, 12, tzinfo=UTC)
TURN = datetime(2031, 3, 20, 23, tzinfo=UTC)
"""Midnight of the 21st in Paris, where the bill is written on the 21st."""


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_namespaces()
    with Lab() as lab:
        yield lab


def _spent(box: Box) -> list[str]:
    return list(box.ask("GET", "/api/v1/bandwidth")["in_force"]["used_up"])


def _came(leech: Peer, seconds: float) -> int:
    """Return how many bytes a leecher was sent so far, looking for so long."""
    end = time.monotonic() + seconds
    while (rest := end - time.monotonic()) > 0:
        leech.wait("progress", 5 + rest)
    return max((int(s["down"]) for s in leech.said if s["event"] == "progress"), default=0)


class Month:
    """The house with its two budgets used up, and proof that they stay so."""

    def __init__(self, box: Box, leech: Peer, origin: Origin, play: Callable[[], httpx.Response], film: bytes) -> None:
        self.box, self.leech, self.origin, self.play, self.film = box, leech, origin, play, film

    def is_used_up(self) -> None:
        both = ["monthly_download", "monthly_upload"]
        self.box.wait(lambda: sorted(_spent(self.box)) == both, "using it up", 60)
        before, taken = _came(self.leech, 2), self.origin.media_bytes
        assert self._waiting()["trouble"]["message"] == "This month's download is used up until 21 March."
        assert _came(self.leech, 3) == before
        assert self.origin.media_bytes == taken
        begun = time.monotonic()
        assert self.play().content == self.film
        assert time.monotonic() - begun < 2

    def _waiting(self) -> dict[str, Any]:
        self.box.wait(lambda: self.box.pins().get("Late", {}).get("state") == "waiting", "waiting")
        found = self.box.pins()["Late"]
        assert found["trouble"]["code"] == "quota_used"
        return found


def test_a_month_is_used_up_over_a_kill_and_a_changed_clock_and_begins_anew(lab: Lab, tmp_path: Path) -> None:
    hosts = {name: lab.host(name, a) for name, a in {"box": BOX, "player": PLAYER, "o": ORIGIN, "leech": LEECH}.items()}
    first, late = (make(heights=(360,), seconds=24, segment=4, kbits=2000, variant=v) for v in range(2))
    wall = Wall(tmp_path / "wall")
    wall.set(BEGIN)
    box = Box(tmp_path / "data", hosts["box"], bandwidth__timezone="Europe/Paris")
    box.program = wall.program
    with hosts["o"].inside():
        origin = Origin(ORIGIN, 80)

    def play() -> httpx.Response:
        with hosts["player"].inside():
            return httpx.get(
                f"http://{BOX}:7333/media/{held}/file/{first.files[0].parts[0]}", trust_env=False, timeout=20
            )

    with origin:
        early, wanted = origin.add_video(first, title="Early"), origin.add_video(late, title="Late")
        try:
            box.start()
            limits = {"monthly_download": first.size + 3 * MIB, "monthly_upload": UP, "billing_day": 21}
            box.ask("PUT", "/api/v1/bandwidth", limits)
            box.ask("POST", "/api/v1/pins", {"url": early.address})
            held = box.wait_pinned("Early")["Early"]["video_id"]
            box.ask("PUT", "/api/v1/bandwidth", {"monthly_download": first.size + late.size + 2 * MIB})
            box.ask("POST", "/api/v1/pins", {"url": wanted.address})
            box.wait(lambda: box.pins().get("Late", {}).get("state") == "pinning", "beginning")
            box.ask("PUT", "/api/v1/bandwidth", {"monthly_download": first.size + late.size // 2 + MIB})
            box.wait(lambda: "monthly_download" in _spent(box), "taking what may be taken", 60)
            torrent = tmp_path / "early.torrent"
            torrent.write_bytes(early.torrent(360))
            options = ("--host", LEECH, "--port", "6900", "--no-trackers", "--peer", f"{BOX}:47333")
            with Peer.begin("leech", torrent, tmp_path / "far", *options, spawn=hosts["leech"].python) as leech:
                month = Month(box, leech, origin, play, first.path(first.files[0].parts[0]).read_bytes())
                month.is_used_up()
                assert 0 < _came(leech, 0.5) <= UP
                for moment in (None, BEFORE, BEGIN):
                    if moment is not None:
                        wall.set(moment)
                        time.sleep(2)
                        month.is_used_up()
                    box.kill()
                    box.start()
                    month.is_used_up()
                wall.set(datetime.fromtimestamp(TURN.timestamp() - 8, UTC))
                month_end = time.monotonic() + 8
                assert sorted(_spent(box)) == ["monthly_download", "monthly_upload"]
                got = _came(leech, 1)
                box.wait(lambda: "monthly_upload" not in _spent(box), "beginning anew", 30)
                assert time.monotonic() > month_end - 1
                box.wait_pinned("Late")
                leech.wait("progress", 40, lambda said: said["down"] > got)
        finally:
            box.kill()
            print(box.tail())
    assert [t for t in TRACES if t in box.log.read_text()] == []
