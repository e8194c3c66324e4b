"""The world that other tests stand on is itself what it claims to be."""

import asyncio
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.world import guards, peers, recorded
from tests.world.bodies import bdecoded, info_hash
from tests.world.lab import Lab
from tests.world.media import Layout, Made, make, pieces_of
from tests.world.origin import Origin

LISTING = "/api/v1/video-channels/harbour_films/videos"


@pytest.fixture
def web() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as client:
        yield client


def completed(torrents: list[bytes], folder: Path, *, trackers: bool = False) -> list[Path]:
    """Fetch torrents from their web seeds alone; return the folders once all are whole."""
    session = peers.session()
    handles = [
        peers.add(session, t, folder / str(n), web_seeds=True, trackers=trackers) for n, t in enumerate(torrents)
    ]
    end = time.monotonic() + 20
    while not all(h.status().is_seeding for h in handles):
        assert time.monotonic() < end, [(h.status().name, h.status().progress) for h in handles]
        session.wait_for_alert(50)
        session.pop_alerts()
    return [folder / str(n) for n, _ in enumerate(torrents)]


# The replay


def test_every_recorded_answer_comes_back_byte_for_byte_at_the_recorded_address(web: httpx.Client) -> None:
    with Origin(limit=None, name="127.0.0.1:9001") as origin:
        origin._addresses = {}
        for x in recorded.exchanges():
            if x.set != "base" or x.server != "origin" or x.path.startswith("/tracker/"):
                continue
            query = httpx.QueryParams([(k, v.encode("latin-1").decode()) for k, v in x.query])
            reply = web.get(f"http://127.0.0.1:{origin.port}{x.path}", params=query, headers=dict(x.asked))
            assert (reply.status_code, reply.content) == (x.status, x.read()), x.id


def test_addresses_in_answers_are_those_of_the_server_that_gave_them(origin: Origin, web: httpx.Client) -> None:
    uuid = recorded.video("muxed")["uuid"]
    detail = web.get(origin.url(f"/api/v1/videos/{uuid}"))
    assert b"9001" not in detail.content
    file = detail.json()["streamingPlaylists"][0]["files"][0]
    assert file["fileUrl"].startswith(origin.base_url)
    assert f"tr=http%3A%2F%2F127.0.0.1%3A{origin.port}%2Ftracker" in file["magnetUri"]
    torrent = web.get(file["torrentUrl"]).content
    assert info_hash(torrent).hex() == "bb95d5816a70783e7683b77f121a1361f44db3cb"
    assert bdecoded(torrent)[b"url-list"][0].decode() == file["fileUrl"]
    again = web.get(origin.url(f"/api/v1/videos/{uuid}"), headers={"If-None-Match": detail.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    handle = f"harbour_films@{origin.host}"
    assert web.get(origin.url("/.well-known/webfinger"), params={"resource": f"acct:{handle}"}).status_code == 200
    assert web.get(origin.url(f"/api/v1/video-channels/{handle}")).json()["host"] == origin.host


def test_the_mirror_answers_at_its_own_port(origin: Origin, web: httpx.Client) -> None:
    detail = web.get(origin.url(f"/api/v1/videos/{recorded.video('muxed')['uuid']}")).json()
    playlist = detail["streamingPlaylists"][0]
    mirror = playlist["redundancies"][0]["baseUrl"]
    assert mirror.startswith(origin.mirror_url)
    name = playlist["files"][0]["fileUrl"].rpartition("/")[2]
    assert len(web.get(f"{mirror}/{name}").content) == playlist["files"][0]["size"]
    assert web.get(f"{mirror}/{playlist['playlistUrl'].rpartition('/')[2]}").status_code == 404


def test_pages_that_were_not_recorded_are_cut_from_the_whole_list(origin: Origin, web: httpx.Client) -> None:
    whole = web.get(origin.url(LISTING), params={"count": 100}).json()
    cut = web.get(origin.url(LISTING), params={"start": 3, "count": 4, "sort": "-publishedAt"}).json()
    assert cut == {"total": 13, "data": whole["data"][3:7]}
    by_name = web.get(origin.url(LISTING), params={"sort": "name"}).json()["data"]
    assert [v["name"] for v in by_name] == sorted(v["name"] for v in whole["data"])
    assert web.get(origin.url(LISTING), params={"start": 7, "count": 101}).status_code == 400


def test_byte_ranges_are_those_of_rfc_9110(origin: Origin, web: httpx.Client) -> None:
    media = next(p for p in recorded.exchanges() if p.id == "muxed-hls-360-media")
    body, url = media.read(), origin.url(media.path)
    spans = {"0-0": (0, 0), "100-199": (100, 199), "610000-": (610000, 610792), "-5": (610788, 610792)}
    for asked, (first, last) in (spans | {"610700-999999": (610700, 610792)}).items():
        reply = web.get(url, headers={"Range": f"bytes={asked}"})
        assert (reply.status_code, reply.content) == (206, body[first : last + 1])
        assert reply.headers["Content-Range"] == f"bytes {first}-{last}/610793"
    assert web.get(url, headers={"Range": "bytes=610793-"}).status_code == 416
    assert web.get(url, headers={"Range": "bytes=0-1,5-6"}).content == body
    assert web.get(url, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).content == body
    head = web.head(url)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", "610793")
    assert web.get(url, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
    assert origin.media_bytes == 1 + 100 + 793 + 5 + 93 + 2 * len(body)


def test_the_fifty_first_request_in_ten_seconds_is_refused_and_media_is_not(origin: Origin, web: httpx.Client) -> None:
    replies = [web.get(origin.url("/api/v1/ping")) for _ in range(51)]
    assert [r.status_code for r in replies] == [200] * 50 + [429]
    assert replies[9].headers["X-RateLimit-Remaining"] == "40"
    assert 1 <= int(replies[50].headers["Retry-After"]) <= 11
    assert web.get(origin.url("/robots.txt")).status_code == 200
    assert origin.api_requests == 51


def test_steps_change_what_a_follower_sees(origin: Origin, web: httpx.Client) -> None:
    talks = "/api/v1/video-channels/harbour_talks/videos"
    uuid = recorded.video("talk-a")["uuid"]
    before = web.get(origin.url(f"/api/v1/videos/{uuid}")).json()["streamingPlaylists"][0]["files"][0]
    origin.lay("step-4-renamed")
    after = web.get(origin.url(f"/api/v1/videos/{uuid}")).json()["streamingPlaylists"][0]["files"][0]
    assert after["fileUrl"] == before["fileUrl"]
    assert after["magnetUri"] != before["magnetUri"]
    assert web.get(before["torrentUrl"]).status_code == 404
    assert len(web.get(origin.url(talks)).json()["data"]) == 5
    assert web.get(origin.url("/api/v1/accounts/harbour/videos?count=1")).json()["total"] == 18
    origin.lay("step-9-deleted")
    gone = recorded.video("talk-d")["uuid"]
    assert web.get(origin.url(f"/api/v1/videos/{gone}")).status_code == 404
    assert gone not in web.get(origin.url(talks)).text


def test_every_recorded_torrent_completes_through_the_replayed_web_seed(
    origin: Origin, web: httpx.Client, tmp_path: Path
) -> None:
    found = [x for x in recorded.exchanges() if x.set == "base" and x.server == "origin" and x.status == 200]
    paths = [x.path for x in found if x.path.startswith("/lazy-static/torrents/")]
    assert len(paths) == 22
    completed([web.get(origin.url(p)).content for p in paths], tmp_path, trackers=True)
    assert {a.known for a in origin.tracker.log} == {True}


def test_a_channel_of_five_thousand_is_listed_and_described(origin: Origin, web: httpx.Client) -> None:
    origin.add_channel("big", 5000)
    page = web.get(origin.url("/api/v1/video-channels/big/videos"), params={"start": 4950, "count": 100}).json()
    assert (page["total"], len(page["data"])) == (5000, 50)
    detail = web.get(origin.url(f"/api/v1/videos/{page['data'][-1]['shortUUID']}")).json()
    assert [f["resolution"]["id"] for f in detail["streamingPlaylists"][0]["files"]] == [720, 360]


# Faults


def test_faults_spoil_what_their_pattern_fits_and_nothing_else(origin: Origin, web: httpx.Client) -> None:
    url = origin.url("/api/v1/video-channels/harbour_films")
    once = origin.fault("/api/v1/video-channels/*", "status", status=503, headers={"Retry-After": "7"}, times=1)
    assert web.get(url).headers["Retry-After"] == "7"
    assert (web.get(url).status_code, once.hits) == (200, 1)
    cut = origin.fault("/api/v1/video-channels/*", "cut", after=100)
    with pytest.raises(httpx.RemoteProtocolError):
        web.get(url)
    origin.mend(cut)
    origin.fault("*", "truncated", after=10)
    assert len(web.get(url).content) == 10
    origin.mend()
    origin.fault("*", "redirect")
    with pytest.raises(httpx.TooManyRedirects):
        web.get(url, follow_redirects=True)
    origin.mend()
    origin.fault("*", "stall", after=5)
    with pytest.raises(httpx.ReadTimeout):
        web.get(url, timeout=0.3)
    origin.mend()
    origin.fault("*", "huge")
    with web.stream("GET", url) as reply:
        assert reply.headers["Content-Length"] == "10000000000"
    origin.mend()
    origin.fault("*", "endless")
    with web.stream("GET", url) as reply:
        assert sum(len(c) for c, _ in zip(reply.iter_bytes(100_000), range(30), strict=False)) == 3_000_000
    origin.mend()
    assert web.get(url).json()["name"] == "harbour_films"


# Made media


def probed(paths: list[Path]) -> dict[str, Any]:
    source = f"concat:{'|'.join(map(str, paths))}"
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_format", source]
    said: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return said


@pytest.mark.parametrize("layout", list(Layout))
def test_made_media_plays_and_its_numbers_are_true(layout: Layout) -> None:
    made = make(layout, (360, 240), 12)
    for file in made.files:
        paths = [made.path(p) for p in file.parts]
        assert [p.stat().st_size for p in paths] == list(file.sizes)
        for name, spans in file.sha256.items():
            data = made.path(name).read_bytes()
            for span, digest in spans.items():
                first, last = map(int, span.split("-"))
                assert hashlib.sha256(data[first : last + 1]).hexdigest() == digest
            if layout is not Layout.TS:
                edges = sorted(tuple(map(int, s.split("-"))) for s in spans)
                assert [e[0] for e in edges[1:]] == [e[1] + 1 for e in edges[:-1]]
                assert edges[-1][1] == len(data) - 1
        shown = probed(paths)
        kinds = {s["codec_name"] for s in shown["streams"]}
        assert kinds == ({"h264"} if file.has_video else set()) | ({"aac"} if file.has_audio else set())
        assert abs(float(shown["format"]["duration"]) - 12) < 0.2


@pytest.mark.parametrize("layout", list(Layout))
def test_made_videos_are_published_as_peertube_does(
    layout: Layout, origin: Origin, web: httpx.Client, tmp_path: Path
) -> None:
    made = make(layout)
    video = origin.add_video(made, "harbour_talks", title="Tide / table")
    listed = web.get(origin.url("/api/v1/video-channels/harbour_talks/videos")).json()
    assert (listed["total"], listed["data"][0]["uuid"]) == (5, video.uuid)
    detail = web.get(origin.url(f"/api/v1/videos/{video.uuid}")).json()
    pattern = json.loads(recorded.read("api/videos/split.json"))
    assert detail.keys() == pattern.keys()
    files = detail["files"] or detail["streamingPlaylists"][0]["files"]
    like = pattern["files"] if layout is Layout.WEB else pattern["streamingPlaylists"][0]["files"]
    assert files[0].keys() == like[0].keys()
    torrents = [web.get(f["torrentUrl"]).content for f in files]
    for folder, file in zip(completed(torrents, tmp_path), made.files, strict=True):
        found = sorted(p for p in folder.rglob("*") if p.is_file())
        assert [p.read_bytes() for p in found] == [made.path(p).read_bytes() for p in file.parts]
    if layout is not Layout.WEB:
        master = web.get(detail["streamingPlaylists"][0]["playlistUrl"])
        assert master.text == video.master()
        hashes = web.get(detail["streamingPlaylists"][0]["segmentsSha256Url"]).json()
        assert set(hashes) == {p for f in made.files for p in f.parts}


def test_what_befalls_a_made_video_changes_the_names_that_peertube_changes(origin: Origin, web: httpx.Client) -> None:
    video = origin.add_video(make())

    def seen() -> tuple[str, str, str, str]:
        playlist = web.get(origin.url(f"/api/v1/videos/{video.uuid}")).json()["streamingPlaylists"][0]
        file = playlist["files"][0]
        return file["fileUrl"], file["torrentUrl"], video.info_hash(360), playlist["playlistUrl"]

    first = seen()
    video.rename("Another title")
    renamed = seen()
    assert [a == b for a, b in zip(first, renamed, strict=True)] == [True, False, False, True]
    assert web.get(first[1]).status_code == 404
    video.caption("fr")
    captioned = seen()
    assert [a == b for a, b in zip(renamed, captioned, strict=True)] == [True, True, True, False]
    video.replace_by(make(variant=1))
    replaced = seen()
    assert [a == b for a, b in zip(captioned, replaced, strict=True)] == [False, False, False, False]
    assert web.get(captioned[0]).status_code == 404
    video.make_private()
    assert web.get(origin.url(f"/api/v1/videos/{video.uuid}")).status_code == 401
    assert web.get(replaced[0]).status_code == 404
    video.delete()
    assert web.get(origin.url(f"/api/v1/videos/{video.uuid}")).status_code == 404


def test_piece_hashes_run_over_the_borders_of_files(tmp_path: Path) -> None:
    for name, size in (("a", 5), ("b", 9), ("c", 2)):
        (tmp_path / name).write_bytes(name.encode() * size)
    joined = b"aaaaabbbbbbbbbcc"
    expected = b"".join(hashlib.sha1(joined[i : i + 6]).digest() for i in range(0, 16, 6))
    assert pieces_of([tmp_path / n for n in "abc"], 6) == expected


# Peers, hosts, guards


def with_their_names(made: Made, folder: Path, torrent: bytes) -> Path:
    folder.mkdir()
    shutil.copy(made.path(made.files[0].parts[0]), folder / bdecoded(torrent)[b"info"][b"name"].decode())
    return folder


def test_two_peers_find_each_other_through_the_tracker(origin: Origin, tmp_path: Path) -> None:
    made = make()
    video = origin.add_video(made)
    torrent = tmp_path / "t.torrent"
    torrent.write_bytes(video.torrent(360))
    seeds = with_their_names(made, tmp_path / "seed", torrent.read_bytes())
    with peers.Peer.begin("seed", torrent, seeds) as seed:
        end = time.monotonic() + 10
        while ("127.0.0.1", seed.port) not in origin.tracker.peers(video.info_hash(360)):
            assert time.monotonic() < end
            origin.wait_for("/tracker/announce")
        with peers.Peer.begin("leech", torrent, tmp_path / "leech") as leech:
            leech.wait("done", 20)
    got = next(p for p in (tmp_path / "leech").iterdir())
    assert got.read_bytes() == made.path(made.files[0].parts[0]).read_bytes()
    assert origin.media_bytes == 0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_aria2_downloads_from_a_seed_alone(origin: Origin, tmp_path: Path) -> None:
    made = make()
    video = origin.add_video(made)
    torrent, raw = tmp_path / "t.torrent", video.torrent(360)
    torrent.write_bytes(peers.only_tracker(raw, f"{origin.base_url}/tracker/announce"))
    with peers.Peer.begin("seed", torrent, with_their_names(made, tmp_path / "seed", raw)):
        origin.wait_for("/tracker/announce")
        command = peers.aria2(torrent, tmp_path / "got", port=free_port())
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout
    assert next((tmp_path / "got").iterdir()).read_bytes() == made.path(made.files[0].parts[0]).read_bytes()
    assert origin.media_bytes == 0


def test_the_origin_runs_as_a_program_that_takes_commands() -> None:
    command = [sys.executable, "-m", "tests.world.origin", "--unlimited"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=guards.ROOT) as process:
        assert process.stdin
        assert process.stdout
        url = json.loads(process.stdout.readline())["url"]
        assert httpx.get(f"{url}/api/v1/ping").text == "pong"
        for line in ('{"call": "lay", "args": ["step-9-deleted"]}', '{"get": "api_requests"}', '{"call": "nonsense"}'):
            process.stdin.write(f"{line}\n")
        process.stdin.close()
        said = [json.loads(line) for line in process.stdout]
    assert said[:2] == [{"answer": None}, {"answer": 1}]
    assert said[2].keys() == {"error"}


@pytest.mark.net
def test_hosts_of_a_lab_reach_each_other_until_a_plug_is_pulled(lab: Lab) -> None:
    server, box = lab.host("origin", "10.78.0.1"), lab.host("box", "10.77.0.1")
    with server.inside():
        origin = Origin(server.address, 80)
    fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode())"

    def ask() -> str:
        with box.python("-c", fetch, origin.url("/api/v1/ping"), stdout=-1, stderr=-1) as process:
            return process.communicate(timeout=20)[0].strip()

    with origin:
        assert ask() == "pong"
        assert origin.log[0].client == "10.77.0.1"
        server.cut()
        assert ask() == ""
        server.mend()
        assert ask() == "pong"


@pytest.mark.net
@pytest.mark.alone
def test_a_slow_wire_has_its_rate_and_its_delay(lab: Lab) -> None:
    server = lab.host("origin", "10.78.0.1", rate=16e6, delay=0.02)
    box = lab.host("box", "10.77.0.1")
    with server.inside():
        origin = Origin(server.address, 80)
    url = origin.base_url + "/static/streaming-playlists/hls/x.mp4"
    fetch = (
        "import sys, time, urllib.request as u; t = time.monotonic(); u.urlopen(sys.argv[1]).read();"
        "a = time.monotonic();"
        "n = len(u.urlopen(sys.argv[2]).read()); print(a - t, n / (time.monotonic() - a))"
    )
    with origin:
        origin.fault("*.mp4", "replaced", body=bytes(3_000_000))
        origin.fault("*x.mp4", "status", status=200, body=bytes(3_000_000))
        with box.python("-c", fetch, origin.url("/api/v1/ping"), url, stdout=-1) as process:
            first, rate = map(float, process.communicate(timeout=30)[0].split())
    assert first >= 0.08
    assert 200_000 < rate < 2_000_000


_BUSY = """
import time
def busy(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
def read(path):
    open(path).close()
"""


async def test_the_guard_sees_a_file_opened_on_the_loop_and_a_step_that_is_too_long() -> None:
    space: dict[str, Any] = {}
    exec(compile(_BUSY, str(guards.ROOT / "appliance" / "somewhere.py"), "exec"), space)
    loop = asyncio.get_running_loop()
    with guards.watching() as guard:
        loop.call_soon(space["busy"], 0.2)
        loop.call_soon(space["read"], __file__)
        await asyncio.sleep(0.01)
        open(__file__).close()  # noqa: ASYNC230 - what a test does itself is not judged
    assert len(guard.wrongs) == 2, guard.wrongs
    assert "took 0.2" in guard.wrongs[0]
    assert "opened" in guard.wrongs[1]


async def test_the_guard_sees_a_thread_a_task_and_a_file_that_are_left_behind(tmp_path: Path) -> None:
    threads, files, tasks = guards.threads(), guards.files(), asyncio.all_tasks()
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name="forgotten")
    thread.start()
    task = asyncio.create_task(asyncio.Event().wait(), name="endless")
    with open(tmp_path / "left", "w"):  # noqa: ASYNC230
        left = await asyncio.to_thread(guards.left_behind, threads, files)
    assert left == ["the thread 'forgotten' is still running", f"the file {tmp_path / 'left'} is still open"]
    assert await guards.tasks_left(tasks) == ["the task 'endless' is still running"]
    ended.set()
    thread.join()
    task.cancel()
