"""A followed video plays before it is pinned, within the time a person waits: the issue of a small uplink."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.world.box import Box
from tests.world.lab import Host, Lab, need_namespaces
from tests.world.media import Made, long_film
from tests.world.origin import Origin
from tests.world.peers import Peer
from tests.world.published import Published

pytestmark = pytest.mark.net

RATE, DELAY = 20e6, 0.02
"""The box's link: bits/s, and seconds each way."""
MOST_SECONDS = 2.0


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_namespaces()
    with Lab() as made:
        yield made


def segment(box: Box, playlist: str, base: str, share: float) -> None:
    """Fetch the initialisation range and the segment at ``share`` of the film, as a player does."""
    lines = playlist.splitlines()
    header = next(line for line in lines if line.startswith("#EXT-X-MAP"))
    length, _, offset = header.partition('BYTERANGE="')[2].rstrip('"').partition("@")
    ranges = [line.partition(":")[2] for line in lines if line.startswith("#EXT-X-BYTERANGE")]
    names = [line for line in lines if line and not line.startswith("#")]
    k = int(share * len(ranges))
    if share == 0:
        got = box.get(urljoin(base, names[0]), range=f"bytes={offset}-{int(offset) + int(length) - 1}")
        assert got.status_code == 206
    count, _, first = ranges[k].partition("@")
    got = box.get(urljoin(base, names[k]), range=f"bytes={first}-{int(first) + int(count) - 1}")
    assert (got.status_code, len(got.content)) == (206, int(count))


def watch(box: Box, video: str) -> tuple[float, float]:
    """Return seconds from asking for the master to the last byte of the first segment, and those of a seek to 70 %."""
    begun = time.monotonic()
    base = f"/media/{video}/master.m3u8"
    master = box.get(base)
    assert master.status_code == 200, master.text
    rendition = urljoin(base, next(line for line in master.text.splitlines() if line and not line.startswith("#")))
    playlist = box.get(rendition).text
    segment(box, playlist, rendition, 0)
    start = time.monotonic() - begun
    begun = time.monotonic()
    segment(box, playlist, rendition, 0.7)
    return start, time.monotonic() - begun


def seeds(hosts: list[Host], made: Made, video: Published, folder: Path) -> list[Peer]:
    file = folder / f"{video.uuid}.torrent"
    file.write_bytes(video.torrent(720))
    names = ["--name", made.files[0].parts[0]]
    return [
        Peer.begin("seed", file, made.folder, "--host", h.address, "--port", "6900", *names, spawn=h.python)
        for h in hosts
    ]


SOURCES = ["two peers", "the origin alone"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_video_that_is_not_held_starts_and_seeks_long_before_it_is_here(
    lab: Lab, tmp_path: Path, source: str
) -> None:
    _, _, taken = watched(lab, tmp_path, source, 1)
    assert taken[0] < 0.25, f"{taken[0]:.0%} of the film had come when 70 % of it was played"


@pytest.mark.trial
@pytest.mark.parametrize("source", SOURCES)
def test_a_video_that_is_not_held_starts_and_seeks_within_two_seconds(lab: Lab, tmp_path: Path, source: str) -> None:
    starts, seeks, _ = watched(lab, tmp_path, source, 5)
    assert statistics.median(starts) < MOST_SECONDS, starts
    assert statistics.median(seeks) < MOST_SECONDS, seeks


def watched(lab: Lab, folder: Path, source: str, times: int) -> tuple[list[float], list[float], list[float]]:
    """Watch so many films that are not held; return the seconds to start and to seek, and the share that had come."""
    box_host = lab.host("box", "10.77.0.2", rate=RATE, delay=DELAY)
    origin_host = lab.host("origin", "10.78.0.1")
    made = long_film()
    with origin_host.inside():
        origin = Origin("10.78.0.1", 80, limit=None)
    with origin:
        origin.add_channel("nothing")
        origin.add_channel("films")
        videos = [origin.add_video(made, "films", title=f"Film {k}") for k in range(times)]
        if source == "two peers":
            hosts = [lab.host("seed1", "10.78.0.2"), lab.host("seed2", "10.78.0.3")]
            origin.fault("*-fragmented.mp4", "status", status=503)
        box = Box(folder / "data", box_host).start()
        try:
            box.ask("POST", "/api/v1/channels", {"url": origin.channel_url("nothing")})
            box.wait(lambda: box.ask("GET", "/api/v1/rules")["items"], "the default rule")
            for rule in box.ask("GET", "/api/v1/rules")["items"]:
                box.ask("DELETE", f"/api/v1/rules/{rule['id']}")
            channel = box.ask("POST", "/api/v1/channels", {"url": origin.channel_url("films")})["id"]
            box.wait(lambda: box.ask("GET", f"/api/v1/channels/{channel}")["listed"] == times, "the listing")
            listed = box.ask("GET", "/api/v1/videos", channel=channel, limit=50)["items"]
            ids = {v["title"]: v["id"] for v in listed}
            for video in ids.values():
                box.wait(lambda v=video: box.ask("GET", f"/api/v1/videos/{v}")["renditions"], "its details")  # type: ignore[misc]
            starts: list[float] = []
            seeks: list[float] = []
            taken: list[float] = []
            for k, video in enumerate(videos):
                peers = seeds(hosts, made, video, folder) if source == "two peers" else []
                start, seek = watch(box, ids[f"Film {k}"])
                starts.append(start)
                seeks.append(seek)
                taken.append(box.ask("GET", "/api/v1/status")["activity"][0]["activity"]["done"] / made.size)
                for peer in peers:
                    peer.stop()
            print(f"{source}: start {starts}, seek to 70 % {seeks}")
            return starts, seeks, taken
        finally:
            box.kill()
