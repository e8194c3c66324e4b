"""The byte path over real sockets: arriving bytes, viewers who leave, broken disks, hostile addresses, accounting."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from appliance.domain.shelf import NotPlayable, PlayableCaption
from appliance.domain.units import ByteCount
from appliance.domain.viewer import Viewer
from appliance.errors import LibraryMissing
from appliance.serve.media import create_media_app
from appliance.store import audience
from tests.media.shelf import (
    VIDEO,
    FedReader,
    Notes,
    StandInShelf,
    empty_shelf,
    noise,
    rendition,
    served,
    serving,
    with_caption,
)

DATA = noise(900_000, "media")
ROOT = f"/media/{VIDEO}"
FILE = f"{ROOT}/file/360p.mp4"


@pytest.fixture
def shelf(tmp_path: Path) -> StandInShelf:
    shelf = empty_shelf(tmp_path)
    shelf.add(rendition("360p", 360, DATA), DATA)
    return shelf


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest_asyncio.fixture
async def client(shelf: StandInShelf, notes: Notes) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(shelf, notes, patience=0.5) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        yield client


def arriving(shelf: StandInShelf, arrived: int = 0) -> FedReader:
    reader = FedReader(DATA, arrived=arrived)
    shelf.readers["360p.mp4"] = reader
    return reader


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    fields = answer.json()
    assert fields["status"] == answer.status_code
    assert fields["detail"]
    return str(fields["code"])


async def test_bytes_that_are_not_here_yet_are_given_as_they_arrive(
    client: httpx.AsyncClient, shelf: StandInShelf
) -> None:
    reader = arriving(shelf)
    asking = asyncio.create_task(client.get(FILE, headers={"Range": "bytes=1000-599999"}))
    for arrived in (1001, 5000, 300_000, len(DATA)):
        await asyncio.wait_for(reader.waiting.wait(), 5)
        reader.waiting.clear()
        await reader.feed(arrived)
        if arrived >= 600_000:
            break
    answer = await asking
    assert answer.status_code == 206
    assert answer.content == DATA[1000:600_000]
    await asyncio.wait_for(reader.closed.wait(), 5)


async def test_bytes_that_never_come_end_in_a_sentence(client: httpx.AsyncClient, shelf: StandInShelf) -> None:
    reader = arriving(shelf)
    answer = await client.get(FILE)
    assert (answer.status_code, code_of(answer)) == (504, "too_slow")
    await asyncio.wait_for(reader.closed.wait(), 5)


async def test_bytes_that_stop_coming_end_the_connection_not_the_length(
    client: httpx.AsyncClient, shelf: StandInShelf
) -> None:
    reader = arriving(shelf, arrived=200_000)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(FILE)
    await asyncio.wait_for(reader.closed.wait(), 5)
    assert (await client.get(f"{ROOT}/master.m3u8")).status_code == 200


async def test_a_fault_before_the_first_byte_has_its_own_status_and_after_it_ends_the_connection(
    client: httpx.AsyncClient, shelf: StandInShelf
) -> None:
    first = arriving(shelf)
    await first.fail(NotPlayable("torn", "The torrent is damaged.", status=502))
    answer = await client.get(FILE)
    assert (answer.status_code, code_of(answer)) == (502, "torn")
    second = arriving(shelf, arrived=1000)
    await second.fail(NotPlayable("torn", "The torrent is damaged.", status=502))
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(FILE)


async def test_a_head_of_what_is_arriving_reads_nothing(client: httpx.AsyncClient, shelf: StandInShelf) -> None:
    reader = arriving(shelf)
    answer = await client.head(FILE)
    assert answer.headers["content-length"] == str(len(DATA))
    assert reader.reads == 0
    await asyncio.wait_for(reader.closed.wait(), 5)


async def test_nobody_waits_for_bytes_whose_viewer_left(shelf: StandInShelf, notes: Notes) -> None:
    reader = arriving(shelf, arrived=100_000)
    async with serving(shelf, notes) as (host, port):
        incoming, outgoing = await asyncio.open_connection(host, port)
        outgoing.write(f"GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await incoming.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(reader.waiting.wait(), 5)
        outgoing.close()
        await asyncio.wait_for(reader.closed.wait(), 5)


async def test_a_video_still_opening_for_a_viewer_who_left_is_given_up(shelf: StandInShelf, notes: Notes) -> None:
    shelf.opening = asyncio.Event()
    async with serving(shelf, notes) as (host, port):
        _, outgoing = await asyncio.open_connection(host, port)
        outgoing.write(f"GET {ROOT}/master.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await outgoing.drain()
        outgoing.close()
    # leaving the block waits for all requests: it would not come back in time were one still waiting


async def test_a_viewer_who_leaves_a_held_file_stops_the_reading(tmp_path: Path, notes: Notes) -> None:
    shelf = empty_shelf(tmp_path)
    large = noise(24 * 1024 * 1024, "large")
    shelf.add(rendition("360p", 360, large), large)
    async with serving(shelf, notes) as (host, port):
        incoming, outgoing = await asyncio.open_connection(host, port, limit=65536)
        outgoing.write(f"GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await incoming.readuntil(b"\r\n\r\n")
        outgoing.transport.abort()
    assert notes.given("360p") < len(large) // 2


async def test_an_opening_that_takes_too_long_says_so(client: httpx.AsyncClient, shelf: StandInShelf) -> None:
    shelf.opening = asyncio.Event()
    answer = await client.get(f"{ROOT}/master.m3u8")
    assert (answer.status_code, code_of(answer)) == (504, "opening")


@pytest.mark.parametrize(
    ("damage", "status"),
    [("gone", 404), ("folder", 404), ("fifo", 404), ("short", 503), ("long", 503), ("link", 503)],
)
async def test_a_held_file_that_is_not_what_it_should_be_is_a_sentence(
    client: httpx.AsyncClient, shelf: StandInShelf, damage: str, status: int
) -> None:
    path = shelf.folder / "360p.mp4"
    path.unlink()
    match damage:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "short" | "long":
            path.write_bytes(DATA[:5] if damage == "short" else DATA + b"x")
        case "link":
            (shelf.folder / "other").write_bytes(DATA)
            path.symlink_to(shelf.folder / "other")
    for method in ("GET", "HEAD"):
        answer = await client.request(method, FILE)
        assert answer.status_code == status
    assert code_of(await client.get(FILE)) in ("file_missing", "file_unreadable")


async def test_a_file_cut_while_it_is_served_ends_the_connection(tmp_path: Path, notes: Notes) -> None:
    shelf = empty_shelf(tmp_path)
    large = noise(32 * 1024 * 1024, "cut")
    shelf.add(rendition("360p", 360, large), large)
    async with serving(shelf, notes) as (host, port):
        incoming, outgoing = await asyncio.open_connection(host, port, limit=65536)
        outgoing.write(f"GET {FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await incoming.readuntil(b"\r\n\r\n")
        os.truncate(tmp_path / "360p.mp4", 1000)
        got = 0
        while chunk := await incoming.read(1 << 20):
            got += len(chunk)
        assert got < len(large)
        outgoing.close()


@pytest.mark.parametrize(
    "path",
    [
        "/media/",
        "/media/x",
        "/media/x/master.m3u8",
        "/media/ABCDEFGHIJKLMNOP/master.m3u8",
        f"{ROOT}/",
        f"{ROOT}/file/",
        f"{ROOT}/file/..%2f..%2fetc%2fpasswd",
        f"{ROOT}/file/%2e%2e",
        f"{ROOT}/file/nul%00.mp4",
        f"{ROOT}/file/360p.mp4/more/steps",
        f"{ROOT}/file/%ff%fe.mp4",
        f"{ROOT}/none.m3u8",
        f"{ROOT}/none.mp4",
        f"{ROOT}/.mp4",
        f"{ROOT}/captions/en.vtt",
        f"{ROOT}/captions/..%2fx.vtt",
        f"{ROOT}/thumbnail.jpg",
        f"{ROOT}/storyboard.jpg",
        f"{ROOT}/video.json",
        f"{ROOT}/file/video.json",
        "/media/qqqqqqqqqqqqqqqq/master.m3u8",
        f"{ROOT}//file//360p.mp4",
    ],
)
async def test_an_address_that_means_nothing_is_404_and_never_500(shelf: StandInShelf, notes: Notes, path: str) -> None:
    async with serving(shelf, notes) as (host, port):
        incoming, outgoing = await asyncio.open_connection(host, port)
        outgoing.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await incoming.read()
        outgoing.close()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in answer


async def test_mounted_paths_work_without_their_prefix_and_with_a_slash_at_the_end(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/{VIDEO}/file/360p.mp4/")).content == DATA


async def test_trouble_in_the_house_is_a_sentence_with_a_status(client: httpx.AsyncClient, shelf: StandInShelf) -> None:
    shelf.fault = NotPlayable("gone", "The video is gone.", "Ask its author.", 410)
    answer = await client.get(f"{ROOT}/master.m3u8")
    assert (answer.status_code, code_of(answer)) == (410, "gone")
    shelf.fault = LibraryMissing("The library is not there.", hint="Mount it.")
    answer = await client.get(FILE)
    assert (answer.status_code, code_of(answer), answer.json()["hint"]) == (503, "library_missing", "Mount it.")


async def test_a_bug_is_logged_and_does_not_leak(
    client: httpx.AsyncClient, shelf: StandInShelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.fault = RuntimeError("secret detail")
    answer = await client.get(FILE)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


async def test_each_request_renews_the_viewers_lease_and_counts_what_it_gave(shelf: StandInShelf, notes: Notes) -> None:
    async with (
        serving(shelf, notes, viewer=Viewer(is_lan=True, name="tv")) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        await client.get(FILE, headers={"Range": "bytes=0-499999"})
        text = await client.get(f"{ROOT}/master.m3u8")
        await client.head(FILE)
    assert notes.leases == [(VIDEO, "tv")] * 3
    assert notes.given("360p") == 500_000
    assert notes.given("") == len(text.content)
    assert notes.throttled == []


async def test_a_viewer_beyond_the_lan_is_throttled_before_each_chunk_and_counted_apart(
    shelf: StandInShelf, notes: Notes
) -> None:
    async with (
        serving(shelf, notes, viewer=Viewer(is_lan=False, name="token")) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        await client.get(FILE)
    assert sum(notes.throttled) == len(DATA)
    assert max(notes.throttled) <= 64 * 1024
    assert all(not is_lan for _, _, is_lan, _ in notes.counted)
    assert notes.given("360p") == len(DATA)


async def test_captions_and_pictures_are_served_with_their_types(
    client: httpx.AsyncClient, shelf: StandInShelf
) -> None:
    with_caption(shelf, PlayableCaption("en", "English", "x-en.vtt"), b"WEBVTT\n")
    (shelf.folder / "thumb.jpg").write_bytes(b"\xff\xd8\xffjpeg")
    (shelf.folder / "page.html").write_bytes(b"<script>")
    shelf.playing = replace(shelf.playing, thumbnail="thumb.jpg", storyboard_file="page.html")
    caption = await client.get(f"{ROOT}/captions/en.vtt")
    assert (caption.content, caption.headers["content-type"]) == (b"WEBVTT\n", "text/vtt; charset=utf-8")
    listed = await client.get(f"{ROOT}/captions/en.m3u8")
    assert "en.vtt" in listed.text.splitlines()
    picture = await client.get(f"{ROOT}/thumbnail.jpg")
    assert (picture.content, picture.headers["content-type"]) == (b"\xff\xd8\xffjpeg", "image/jpeg")
    assert picture.headers["x-content-type-options"] == "nosniff"
    again = await client.get(f"{ROOT}/thumbnail.jpg", headers={"If-None-Match": picture.headers["etag"]})
    assert again.status_code == 304
    assert (await client.get(f"{ROOT}/storyboard.jpg")).status_code == 404


async def test_a_connection_is_used_again_after_every_kind_of_answer(shelf: StandInShelf, notes: Notes) -> None:
    paths = [FILE, f"{ROOT}/none", f"{ROOT}/master.m3u8", f"{ROOT}/thumbnail.jpg", f"{ROOT}/360p.m3u8", FILE]
    async with (
        serving(shelf, notes) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}", limits=httpx.Limits(max_connections=1)) as client,
    ):
        opened = 0

        async def trace(name: str, info: object) -> None:
            nonlocal opened
            opened += name == "connection.connect_tcp.complete"

        for path in paths:
            await client.get(path, extensions={"trace": trace})
    assert opened == 1


async def test_a_size_the_record_does_not_know_is_never_guessed(client: httpx.AsyncClient, shelf: StandInShelf) -> None:
    shelf.playing = empty_shelf(shelf.folder).playing
    held = rendition("360p", 360, DATA)
    shelf.add(replace(held, files=(replace(held.files[0], size=ByteCount(1)),)))
    assert code_of(await client.get(FILE)) == "file_unreadable"


async def test_a_viewer_is_there_until_the_connection_closes_and_who_looks_at_pictures_is_none(
    shelf: StandInShelf, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "LEFT_SECONDS", 0.01)
    seats, left = audience.Audience(), asyncio.Queue[str]()
    seats.listen(left.put_nowait)
    app = create_media_app(shelf, notes, notes.count, notes.throttle, audience=seats)
    async with served(app) as (host, port), asyncio.timeout(10):
        base = f"http://{host}:{port}"
        async with httpx.AsyncClient(base_url=base) as looking:
            await looking.get(f"{ROOT}/thumbnail.jpg")
            assert not seats.present(VIDEO)
            async with httpx.AsyncClient(base_url=base) as watching:
                await watching.get(FILE, headers={"Range": "bytes=0-99"})
            async with httpx.AsyncClient(base_url=base) as watching:
                await watching.get(FILE, headers={"Range": "bytes=100-199"})
                await asyncio.sleep(0.05)
                assert seats.present(VIDEO)
            while seats.present(VIDEO):
                await left.get()
    app.close()
