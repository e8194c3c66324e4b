"""The main job on real components, in network namespaces: follow, pin, seed, serve, with the origin unplugged too."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world.bodies import bencode
from tests.world.box import PASSWORD, Box
from tests.world.http import Reply, Request, Server
from tests.world.lab import Host, Lab, need_namespaces
from tests.world.media import Layout, Made, make
from tests.world.origin import Origin
from tests.world.peers import Peer, aria2, only_tracker
from tests.world.published import Published

pytestmark = [pytest.mark.net, pytest.mark.browser]

TITLES = {Layout.MUXED: "Muxed", Layout.SPLIT: "Apart", Layout.TS: "Segments", Layout.WEB: "Plain file"}


@pytest.fixture
def boxes() -> Iterator[list[Box]]:
    """Boxes to be ended after the test, whatever happens."""
    started: list[Box] = []
    yield started
    for box in started:
        box.kill()


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_namespaces()
    with Lab() as made:
        yield made


def watched(viewer: Host, box: Box, *videos: str) -> list[dict[str, object]]:
    """Have a browser on the viewer's host play these videos; return what it saw of each."""
    run = viewer.python(
        "-m", "tests.browser.watch", box.url, PASSWORD, *(f"/videos/{v}" for v in videos), stdout=subprocess.PIPE
    )
    out, _ = run.communicate(timeout=60 * max(1, len(videos)))
    return [json.loads(line) for line in out.splitlines()]


def plays(seen: list[dict[str, object]]) -> dict[str, bool]:
    """Return whether each video played: film time advanced, a picture was there, the page had no error."""
    return {
        str(s["url"]).rpartition("/")[2]: bool(
            isinstance(s["advanced"], float) and s["advanced"] >= 3 and s["width"] and not s["errors"]
        )
        for s in seen
    }


def seed(host: Host, made: Made, torrent: bytes, folder: Path) -> None:
    """Have a plain libtorrent seed the best rendition of a made video from a host."""
    file = folder / f"{host.name}.torrent"
    file.write_bytes(torrent)
    names = [option for part in made.files[0].parts for option in ("--name", part)]
    Peer.begin("seed", file, made.folder, "--host", host.address, "--port", "6900", *names, spawn=host.python)


def with_aria2(host: Host, torrent: bytes, peer: tuple[str, int], folder: Path) -> Path:
    """Download a torrent with aria2 from one peer alone: a tracker of our own names nobody else."""
    compact = bytes(int(part) for part in peer[0].split(".")) + peer[1].to_bytes(2, "big")

    def tracker(_: Request) -> Reply:
        return Reply(200, {"Content-Type": "text/plain"}, bencode({"interval": 60, "peers": compact}))

    with host.inside():
        server = Server(tracker, host.address, (0,))
        server.start()
    try:
        file = folder / "alone.torrent"
        file.write_bytes(only_tracker(torrent, f"http://{host.address}:{server.ports[0]}/announce"))
        host.check(*aria2(file, folder / "aria2", peer, seconds=40), timeout=90)
    finally:
        server.close()
    return next((folder / "aria2").glob("*.mp4"))


def test_a_channel_is_followed_pinned_and_plays_with_the_origin_unplugged(
    lab: Lab, boxes: list[Box], tmp_path: Path
) -> None:
    box_host, viewer = lab.host("box", "10.77.0.2"), lab.host("viewer", "10.77.0.3")
    origin_host = lab.host("origin", "10.78.0.1")
    seeds = [lab.host("seed1", "10.78.0.2"), lab.host("seed2", "10.78.0.3")]
    made = {layout: make(layout, (360,), 12, kbits=1500) for layout in TITLES}
    with origin_host.inside():
        origin = Origin("10.78.0.1", 80)
    with origin:
        published: dict[Layout, Published] = {}
        origin.add_channel("layouts")
        for layout, title in TITLES.items():
            published[layout] = origin.add_video(made[layout], "layouts", title=title)
        for host in seeds:
            seed(host, made[Layout.MUXED], published[Layout.MUXED].torrent(360), tmp_path)
        box = Box(tmp_path / "data", box_host)
        boxes.append(box)
        box.start()
        box.ask("POST", "/api/v1/channels", {"url": "@layouts@10.78.0.1"})
        box.ask("POST", "/api/v1/channels", {"url": "harbour_films@10.78.0.1"})
        pins = box.wait_pinned(*TITLES.values(), "Lighthouse, sound apart", "Tide at the pier", seconds=90)

        ids = [pins[title]["video_id"] for title in TITLES.values()]
        seen = watched(viewer, box, *ids)
        assert plays(seen) == dict.fromkeys(ids, True), seen
        assert [s["hls"] for s in seen] == [True, True, True, False]

        listed = [line for line in box.get("/library.m3u").text.splitlines() if line.startswith("http")]
        assert len(listed) >= 6
        assert all(box.get(line.removeprefix(box.url)).status_code == 200 for line in listed)

        for host in (origin_host, *seeds):
            host.cut()
        seen = watched(viewer, box, *ids, pins["Lighthouse, sound apart"]["video_id"])
        assert all(plays(seen).values()), seen
        assert len(seen) == 5

        got = with_aria2(viewer, published[Layout.MUXED].torrent(360), ("10.77.0.2", 47333), tmp_path)
        film = made[Layout.MUXED]
        assert (
            hashlib.sha256(got.read_bytes()).digest()
            == hashlib.sha256(film.path(film.at(360).parts[0]).read_bytes()).digest()
        )
        assert box.stop() == 0


def test_a_rename_between_two_looks_fetches_no_media_byte(boxes: list[Box], tmp_path: Path) -> None:
    made = make(Layout.SPLIT, (360, 240), 12, kbits=1500)
    with Origin() as origin:
        origin.add_channel("talks2")
        video = origin.add_video(made, "talks2", title="Before")
        box = Box(tmp_path / "data")
        boxes.append(box)
        box.start()
        channel = box.ask("POST", "/api/v1/channels", {"url": origin.channel_url("talks2")})["id"]
        pins = box.wait_pinned("Before")
        before = box.ask("GET", f"/api/v1/videos/{pins['Before']['video_id']}")
        taken = origin.media_bytes
        old = set(video.info_hashes())
        video.rename("After")
        assert not old & set(video.info_hashes())
        box.ask("POST", f"/api/v1/channels/{channel}/refresh")
        new = {h.hex() for h in video.info_hashes()}

        def renamed() -> bool:
            held = box.data.glob("library/*/*/video.json")
            return all(
                new & {h for r in json.loads(m.read_text())["renditions"] for h in r["info_hashes"][:1]} for m in held
            )

        box.wait(renamed, "the rename")
        pins = box.wait_pinned("After")
        assert pins["After"]["video_id"] == before["id"]
        assert origin.media_bytes == taken
        assert box.stop() == 0
