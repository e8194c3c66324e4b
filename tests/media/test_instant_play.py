"""A followed video plays before it is pinned, within the time a person waits: the issue of a small uplink."""

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.world.box import PASSWORD, Box
from tests.world.lab import Host, Lab, need_namespaces
from tests.world.media import Layout, Made, long_film
from tests.world.origin import Origin
from tests.world.peers import Peer
from tests.world.published import Published

pytestmark = [pytest.mark.net, pytest.mark.alone]

RATE, DELAY = 20e6, 0.02
"""The box's link: bits/s, and seconds each way."""
MOST_SECONDS = 2.0
MOST_APART = 3.0
"""The same where the sound is apart: before a byte of each torrent a whole MiB of each has to come, 0.9 s at least."""
MOST_TO_A_FRAME = 2.5
"""Seconds from pressing play to the first picture in a browser."""
LIMIT = 2_000_000
"""The owner's limit in bytes/s, below what the link carries."""
OVER = 1.15
"""What framing, requests and a first burst may add to what the limit counts."""
BEGINNING = 256 * 1024
"""Bytes of media that a television wants before it shows a picture."""


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


@dataclass(frozen=True, slots=True)
class Scene:
    """A box whose catalogue has ``ids`` of films that it does not hold, and no rule that wants them."""

    box: Box
    box_host: Host
    senders: tuple[Host, ...]
    made: Made
    videos: tuple[Published, ...]
    ids: tuple[str, ...]
    folder: Path
    from_peers: bool

    @contextmanager
    def source(self, k: int) -> Iterator[None]:
        """Have film ``k`` be had: from two peers, or from the origin, which always runs."""
        peers = self._seeds(self.videos[k]) if self.from_peers else []
        try:
            yield
        finally:
            for peer in peers:
                peer.stop()

    def _seeds(self, video: Published) -> list[Peer]:
        file = self.folder / f"{video.uuid}.torrent"
        file.write_bytes(video.torrent(720))
        names = ["--name", self.made.files[0].parts[0]]
        options = ("--port", "6900", *names)
        return [
            Peer.begin("seed", file, self.made.folder, "--host", h.address, *options, spawn=h.python)
            for h in self.senders[1:]
        ]

    def sent(self) -> int:
        """Bytes that left the origin and the peers."""
        return sum(host.sent() for host in self.senders)


SOURCES = ["two peers", "the origin alone"]


@contextmanager
def a_scene(
    lab: Lab, folder: Path, source: str, times: int, layout: Layout = Layout.MUXED, **bandwidth: int
) -> Iterator[Scene]:
    """Set up so many films that are not held."""
    box_host = lab.host("box", "10.77.0.2", rate=RATE, delay=DELAY)
    origin_host = lab.host("origin", "10.78.0.1")
    made = long_film(layout)
    with origin_host.inside():
        origin = Origin("10.78.0.1", 80, limit=None)
    with origin:
        origin.add_channel("nothing")
        origin.add_channel("films")
        videos = tuple(origin.add_video(made, "films", title=f"Film {k}") for k in range(times))
        senders = [origin_host]
        if source == "two peers":
            senders += [lab.host("seed1", "10.78.0.2"), lab.host("seed2", "10.78.0.3")]
            origin.fault("*-fragmented.mp4", "status", status=503)
        box = Box(folder / "data", box_host).start()
        try:
            if bandwidth:
                box.ask("PUT", "/api/v1/bandwidth", bandwidth)
            box.ask("POST", "/api/v1/channels", {"url": origin.channel_url("nothing")})
            box.wait(lambda: box.ask("GET", "/api/v1/rules")["items"], "the default rule")
            for rule in box.ask("GET", "/api/v1/rules")["items"]:
                box.ask("DELETE", f"/api/v1/rules/{rule['id']}")
            channel = box.ask("POST", "/api/v1/channels", {"url": origin.channel_url("films")})["id"]
            box.wait(lambda: box.ask("GET", f"/api/v1/channels/{channel}")["listed"] == times, "the listing")
            listed = box.ask("GET", "/api/v1/videos", channel=channel, limit=50)["items"]
            by_title = {str(v["title"]): str(v["id"]) for v in listed}
            for video in by_title.values():
                box.wait(lambda v=video: box.ask("GET", f"/api/v1/videos/{v}")["renditions"], "its details")  # type: ignore[misc]
            ids = tuple(by_title[f"Film {k}"] for k in range(times))
            yield Scene(box, box_host, tuple(senders), made, videos, ids, folder, source == "two peers")
        finally:
            box.kill()


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
    starts: list[float] = []
    seeks: list[float] = []
    taken: list[float] = []
    with a_scene(lab, folder, source, times) as scene:
        for k, video in enumerate(scene.ids):
            with scene.source(k):
                start, seek = watch(scene.box, video)
                taken.append(scene.box.ask("GET", "/api/v1/status")["activity"][0]["activity"]["done"])
            starts.append(start)
            seeks.append(seek)
        print(f"{source}: start {starts}, seek to 70 % {seeks}")
        return starts, seeks, [done / scene.made.size for done in taken]


@pytest.mark.trial
@pytest.mark.browser
@pytest.mark.parametrize("source", SOURCES)
def test_a_browser_shows_the_first_picture_of_what_is_not_held_soon(lab: Lab, tmp_path: Path, source: str) -> None:
    frames: list[float] = []
    with a_scene(lab, tmp_path, source, 5) as scene:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        browser = scene.box_host.python("-m", "tests.browser.first_frame", scene.box.url, PASSWORD, **pipes)
        assert browser.stdin
        assert browser.stdout
        browser.stdout.readline()
        for k, video in enumerate(scene.ids):
            with scene.source(k):
                browser.stdin.write(f"/videos/{video}\n")
                browser.stdin.flush()
                seen = json.loads(browser.stdout.readline())
            assert seen["frame"] is not None, seen
            frames.append(float(seen["frame"]))
        browser.stdin.close()
        browser.stdout.close()
        browser.wait(20)
    print(f"{source}: first picture {frames}")
    assert statistics.median(frames) < MOST_TO_A_FRAME, frames


@pytest.mark.trial
@pytest.mark.parametrize(
    ("source", "layout"), [*((source, Layout.MUXED) for source in SOURCES), ("the origin alone", Layout.SPLIT)]
)
def test_a_television_gets_a_film_that_is_not_held_soon_and_within_the_limit(
    lab: Lab, tmp_path: Path, source: str, layout: Layout
) -> None:
    starts: list[float] = []
    seeks: list[float] = []
    with a_scene(lab, tmp_path, source, 5, layout, download=LIMIT) as scene:
        begun, before = time.monotonic(), scene.sent()
        for k, video in enumerate(scene.ids):
            with scene.source(k):
                start, seek = as_a_television(scene.box, f"/media/{video}/720p.mp4")
            starts.append(start)
            seeks.append(seek)
        rate = (scene.sent() - before) / (time.monotonic() - begun)
    print(f"{source}, {layout}: begun {starts}, seek to 70 % {seeks}, {rate / 1e6:.2f} MB/s of {LIMIT / 1e6:.2f}")
    most = MOST_APART if layout is Layout.SPLIT else MOST_SECONDS
    assert statistics.median(starts) < most, starts
    assert statistics.median(seeks) < most, seeks
    assert rate < LIMIT * OVER


def as_a_television(box: Box, path: str) -> tuple[float, float]:
    """Ask for a film's head, play its beginning, go to 70 %; return the seconds to the first media and of the seek."""
    assert box.host is not None
    with box.host.inside(), httpx.Client(base_url=box.url, timeout=60, trust_env=False) as client:
        begun = time.monotonic()
        head = client.head(path)
        size = int(head.headers["content-length"])
        assert (head.status_code, head.headers["accept-ranges"]) == (200, "bytes")
        came = b""
        with client.stream("GET", path, headers={"range": "bytes=0-"}) as answer:
            assert answer.status_code == 206
            for data in answer.iter_raw():
                came += data
                if (media := media_begins(came)) is not None and len(came) >= media + BEGINNING:
                    break
        start = time.monotonic() - begun
        begun, got = time.monotonic(), 0
        with client.stream("GET", path, headers={"range": f"bytes={int(size * 0.7)}-"}) as answer:
            assert answer.status_code == 206
            for data in answer.iter_raw():
                got += len(data)
                if got >= BEGINNING:
                    break
        return start, time.monotonic() - begun


def media_begins(film: bytes) -> int | None:
    """Return where the first fragment (or the media of a classic film) begins; None where that has not come yet."""
    at = 0
    while at + 8 <= len(film):
        size, kind = int.from_bytes(film[at : at + 4]), film[at + 4 : at + 8]
        if kind in (b"moof", b"styp", b"mdat"):
            return at
        assert size >= 8, kind
        at += size
    return None
