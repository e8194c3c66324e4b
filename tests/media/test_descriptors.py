"""Descriptors kept for the next segment: short answers without a thread, and files that are let go in time."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from appliance.domain.shelf import NotPlayable, PlayableFile
from appliance.domain.units import ByteCount
from appliance.domain.viewer import Viewer
from appliance.serve import descriptors
from appliance.serve.descriptors import Descriptor, Descriptors
from appliance.serve.source import SHORT, MediaPool
from tests.media.shelf import VIDEO, Notes, StandInShelf, empty_shelf, noise, rendition, serving

DATA = noise(900_000, "descriptors")
FILE = f"/media/{VIDEO}/file/360p.mp4"


@pytest.fixture
def shelf(tmp_path: Path) -> StandInShelf:
    shelf = empty_shelf(tmp_path)
    shelf.add(rendition("360p", 360, DATA), DATA)
    return shelf


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files opened by a thread."""
    seen: list[Path] = []
    really = MediaPool.open

    async def noted(self: MediaPool, path: Path, *rest: Any) -> Any:
        seen.append(path)
        return await really(self, path, *rest)

    monkeypatch.setattr(MediaPool, "open", noted)
    return seen


@pytest_asyncio.fixture
async def client(shelf: StandInShelf, notes: Notes) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(shelf, notes) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        yield client


async def part(client: httpx.AsyncClient, first: int, last: int) -> bytes:
    answer = await client.get(FILE, headers={"Range": f"bytes={first}-{last}"})
    assert answer.status_code == 206, answer.text
    return answer.content


def deleted(folder: Path) -> int:
    """Return how many files of a folder this process has open that it no longer lists."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}") == f"{folder}/360p.mp4 (deleted)"
        except OSError:
            continue
    return found


async def test_ranges_of_a_file_just_opened_are_its_bytes_and_open_it_once(
    client: httpx.AsyncClient, notes: Notes, openings: list[Path]
) -> None:
    asked = 0
    for first, last in [(0, 9), (5, 5 + SHORT - 1), (5, 5 + SHORT), (0, len(DATA) - 1), (len(DATA) - 1, len(DATA) - 1)]:
        assert await part(client, first, last) == DATA[first : last + 1]
        asked += last - first + 1
    assert (await client.head(FILE)).headers["content-length"] == str(len(DATA))
    assert len(openings) == 1
    assert notes.given("360p") == asked


async def test_what_is_not_in_memory_is_left_to_a_thread(
    client: httpx.AsyncClient, openings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_disk_only(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "It would have to wait")

    await part(client, 0, 9)
    monkeypatch.setattr(os, "preadv", on_disk_only)
    assert await part(client, 7, 70_000) == DATA[7:70_001]
    assert await part(client, 7, 8) == DATA[7:9]
    assert len(openings) == 3


async def test_a_part_of_a_short_answer_in_memory_is_completed_from_the_disk(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_byte(fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        buffers[0][:1] = os.pread(fd, 1, offset)
        return 1

    await part(client, 0, 9)
    monkeypatch.setattr(os, "preadv", one_byte)
    assert await part(client, 100, 4000) == DATA[100:4001]


async def test_a_deleted_file_is_let_go_within_the_moment_however_often_it_is_asked_for(
    client: httpx.AsyncClient, shelf: StandInShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "KEPT_SECONDS", 0.2)
    await part(client, 0, 9)
    (shelf.folder / "360p.mp4").unlink()
    assert deleted(shelf.folder) >= 1  # the sender may still hold a copy for an instant
    async with asyncio.timeout(5):
        while (await client.get(FILE, headers={"Range": "bytes=0-9"})).status_code == 206:
            pass
        while deleted(shelf.folder):  # noqa: ASYNC110 - a thread closes it
            await asyncio.sleep(0.01)


async def test_what_the_shelf_no_longer_has_is_refused_at_once(client: httpx.AsyncClient, shelf: StandInShelf) -> None:
    await part(client, 0, 9)
    shelf.fault = NotPlayable("no_such_video", "It was released.")
    assert (await client.get(FILE, headers={"Range": "bytes=0-9"})).status_code == 404


async def test_other_bytes_under_a_files_name_are_never_given_for_it(
    client: httpx.AsyncClient, shelf: StandInShelf
) -> None:
    await part(client, 0, 9)
    other = noise(800_000, "other")
    (shelf.folder / "360p.mp4").unlink()
    shelf.playing = empty_shelf(shelf.folder).playing
    shelf.add(rendition("360p", 360, other), other)
    assert await part(client, 0, 9) == other[:10]


async def test_a_viewer_beyond_the_lan_is_metered_by_short_answers_too(shelf: StandInShelf, notes: Notes) -> None:
    async with (
        serving(shelf, notes, viewer=Viewer(is_lan=False, name="far")) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        for _ in range(2):
            assert await part(client, 3, 1002) == DATA[3:1003]
    assert notes.throttled == [1000, 1000]


async def test_no_more_than_the_most_are_kept_and_none_after_the_end(tmp_path: Path) -> None:
    kept = Descriptors()
    made: list[Descriptor] = []
    for number in range(descriptors.MOST + 3):
        path = tmp_path / str(number)
        path.touch()
        descriptor = Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        kept.keep(path, PlayableFile(path.name, ByteCount(0), path.name), descriptor)
        made.append(descriptor)
        descriptor.release()
    assert [d.fd >= 0 for d in made] == [False] * 3 + [True] * descriptors.MOST
    in_use = kept.get(tmp_path / "9", PlayableFile("9", ByteCount(0), "9"))
    assert in_use is made[9]
    kept.close()
    assert [d.fd >= 0 for d in made].count(True) == 1
    in_use.release()
    assert in_use.fd == -1
