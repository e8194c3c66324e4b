"""The upload limit and a screen in the house, on the real appliance: greedy peers of the internet cost it nothing."""

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import libtorrent as lt
import pytest

from tests.world import peers
from tests.world.box import Box
from tests.world.lab import Host, Lab, need_namespaces
from tests.world.media import long_film
from tests.world.origin import Origin
from tests.world.published import Published

pytestmark = [pytest.mark.net, pytest.mark.alone, pytest.mark.trial]

LIMIT = 1 << 20
SECONDS = 20.0
PACE = 25e6 / 8
"""Bytes/s of a film in high definition."""
PAIRS, MOST_PAIRS, SAMPLE = 16, 48, 1.5
"""What a player gets wanders by a fifth from one moment to the next: while the medians of all samples leave it in
doubt, there are more of them."""


@dataclass
class House:
    """The appliance with the film, a screen on its LAN, and four hosts of another subnet behind the router."""

    lab: Lab
    box: Box
    film: Published
    screen: Host
    media: str
    greedy: list[Host] = field(default_factory=list)

    def begin_player(self, seconds: float, rate: float = 0.0) -> "subprocess.Popen[str]":
        arguments = ("-m", "tests.world.player", self.media, str(seconds), str(rate))
        return self.screen.python(*arguments, stdout=subprocess.PIPE)

    def played(self, seconds: float, rate: float = 0.0) -> float:
        return rate_of(self.begin_player(seconds, rate))


def rate_of(player: "subprocess.Popen[str]") -> float:
    said, _ = player.communicate(timeout=SECONDS + 30)
    assert player.returncode == 0
    return float(said)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    need_namespaces()
    with Lab() as lab:
        origin_host = lab.host("origin", "10.78.0.1")
        box = Box(tmp_path / "data", lab.host("box", "10.77.0.2"))
        with origin_host.inside():
            origin = Origin("10.78.0.1", 80, limit=None)
        with origin:
            film = origin.add_video(long_film(), title="Long")
            try:
                box.start()
                box.ask("POST", "/api/v1/pins", {"url": film.address})
                ident = box.wait_pinned("Long", seconds=120)["Long"]["video_id"]
                screen = lab.host("screen", "10.77.0.3")
                yield House(lab, box, film, screen, f"{box.url}/media/{ident}/720p.mp4")
            finally:
                box.stop()


@contextmanager
def greedy_peers(house: House, folder: Path, count: int = 4) -> Iterator[list[lt.torrent_handle]]:
    """Leechers without limits of their own, each on a host of its own, that know nobody but the appliance."""
    sessions, handles = [], []
    for n in range(count):
        host = house.lab.host(f"greedy{n}", f"10.78.0.{10 + n}")
        house.greedy.append(host)
        with host.inside():
            sessions.append(peers.session(host.address, 6900))
        torrent, here = house.film.torrent(720), [("10.77.0.2", 47333)]
        handles.append(peers.add(sessions[-1], torrent, folder / host.name, trackers=False, peers=here))
    try:
        yield handles
    finally:
        handles.clear()
        sessions.clear()


def from_the_box(handles: list[lt.torrent_handle]) -> int:
    """Return the payload bytes that came from the appliance: what they got less what they gave one another."""
    statuses = [handle.status() for handle in handles]
    return sum(s.total_payload_download - s.total_payload_upload for s in statuses)


def test_greedy_peers_get_the_limit_and_a_screen_in_the_house_loses_nothing(house: House, tmp_path: Path) -> None:
    """The owner lets upload go on at full while screens play: else the limit is another, by his own wish. What waits in
    the router still counts, and nothing does: a machine at its limit is no queue there."""
    house.box.ask("PATCH", "/api/v1/settings", {"bandwidth.yield_to_players": False})
    house.box.ask("PUT", "/api/v1/bandwidth", {"upload": LIMIT})
    house.played(1)  # the file is in the page cache from here on
    paced = house.played(5, PACE)
    with greedy_peers(house, tmp_path) as handles:
        house.box.wait(lambda: all(h.status().total_payload_download for h in handles), "giving to all four", 30)
        time.sleep(3)
        shares = {}
        for how, rate in (("paced", PACE), ("full", 0.0)):
            player, before, begun = house.begin_player(SECONDS, rate), from_the_box(handles), time.monotonic()
            time.sleep(SECONDS)
            shares[how] = (from_the_box(handles) - before) / (time.monotonic() - begun) / LIMIT
            beside = rate_of(player)
            print(json.dumps({"how": how, "share": shares[how], "beside": beside, "paced": paced}))
            if how == "paced":
                assert beside >= 0.9 * paced
        beside_them, without = _medians(house, handles)
        assert beside_them >= 0.9 * without
        assert {how: 0.90 <= share <= 1.02 for how, share in shares.items()} == {"paced": True, "full": True}, shares


def _medians(house: House, handles: list[lt.torrent_handle]) -> tuple[float, float]:
    """Return what a player gets as fast as it can beside the peers, and without them: medians of all samples."""
    pairs: list[tuple[float, float]] = []
    while True:
        pairs += [_pair(house, handles, first=n % 2 == 0) for n in range(PAIRS)]
        beside, without = (statistics.median(one) for one in zip(*pairs, strict=True))
        print(json.dumps({"pairs": len(pairs), "beside_full": beside, "full": without}))
        if beside >= 0.9 * without or len(pairs) >= MOST_PAIRS:
            return beside, without


def _pair(house: House, handles: list[lt.torrent_handle], *, first: bool) -> tuple[float, float]:
    """Return what a player gets beside the peers, and without them: their plugs are pulled. One right after the other,
    in turns as to which comes ``first``, since what this machine can do wanders more in a minute than they cost."""
    without = None if first else _without(house)
    house.box.wait(lambda: _share(handles, 1) > 0.5, "giving again", 60)
    beside = house.played(SAMPLE)
    return beside, _without(house) if without is None else without


def _without(house: House) -> float:
    for host in house.greedy:
        host.cut()
    try:
        return house.played(SAMPLE)
    finally:
        for host in house.greedy:
            host.mend()


def test_upload_backs_off_while_a_screen_in_the_house_plays_and_returns_gently(house: House, tmp_path: Path) -> None:
    house.box.ask("PUT", "/api/v1/bandwidth", {"upload": LIMIT})
    with greedy_peers(house, tmp_path) as handles:
        house.box.wait(lambda: all(h.status().total_payload_download for h in handles), "giving to all four", 30)
        alone = _share(handles, 6)
        player = house.begin_player(14, PACE)
        time.sleep(5)
        beside = _share(handles, 8)
        assert rate_of(player) >= 0.9 * PACE
        rest = [_share(handles, 3) for _ in range(15)]
        print(json.dumps({"alone": alone, "beside": beside, "rest": rest}))
    assert alone > 0.85
    assert 0.35 < beside < 0.65, "half of it is left to the house"
    assert max(rest[-6:]) > 0.85, "it is all back"
    assert any(0.55 < share < 0.85 for share in rest), "not in one step"


def _share(handles: list[lt.torrent_handle], seconds: float) -> float:
    """Return what the peers got of the limit over some seconds."""
    before, begun = from_the_box(handles), time.monotonic()
    time.sleep(seconds)
    return (from_the_box(handles) - before) / (time.monotonic() - begun) / LIMIT
