"""A file put together from HTTP ranges: wrong bytes never stay, a restart fetches only what is missing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.shelf import ByteMap, NotPlayable, Segment
from appliance.domain.units import ByteCount, Origin, video_id
from appliance.domain.video import RenditionKind
from appliance.errors import BadAnswer, Unreachable
from appliance.library import files
from appliance.library.files import Draft
from appliance.library.manifest import Manifest, MediaFile, RenditionRecord
from appliance.library.marker import Library
from appliance.pin.patchwork import Patchwork, patches

HOST = Origin("tube.example.org")
SEGMENTS, LENGTH = 8, 1000
BODY = b"init" * 25 + b"".join(bytes([n + 1]) * LENGTH for n in range(SEGMENTS))
SIZE = ByteCount(len(BODY))
SPANS = [(100 + n * LENGTH, 100 + (n + 1) * LENGTH - 1) for n in range(SEGMENTS)]
HASHES = {(a, b): hashlib.sha256(BODY[a : b + 1]).hexdigest() for a, b in SPANS}
MAP = ByteMap(None, tuple(Segment(4.0, "a.mp4", ByteCount(a), ByteCount(LENGTH)) for a, _ in SPANS), 4)
PARTS = patches("a.mp4", SIZE, MAP, HASHES)


class Server:
    """Gives ranges, and remembers them; ``wrong`` ranges come as other bytes, ``gate`` holds answers back."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.wrong: set[int] = set()
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, first: int, last: int) -> bytes:
        self.asked.append((first, last))
        await self.gate.wait()
        if self.away:
            raise Unreachable("The origin does not answer.")
        data = BODY[first : last + 1]
        return bytes(len(data)) if first in self.wrong else data


@asynccontextmanager
async def a_draft(folder: Path) -> AsyncIterator[Draft]:
    library = Library(folder / "library", "test")
    await asyncio.to_thread(library.claim)
    record = RenditionRecord(name="a", kind=RenditionKind.HLS, size=SIZE, files=(MediaFile(name="a.mp4", size=SIZE),))
    manifest = Manifest(id=video_id(HOST, "u"), origin=HOST, uuid="u", renditions=(record,))
    await asyncio.to_thread(files.save, library, manifest)
    async with Draft(library, manifest, "a.mp4") as draft:
        yield draft


@given(size=st.integers(0, 5_000_000), spans=st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(0, 2_000_000))))
def test_patches_cover_every_byte_once(size: int, spans: list[tuple[int, int]]) -> None:
    segments = tuple(Segment(1.0, "a", ByteCount(a), ByteCount(n)) for a, n in spans if a + n <= size)
    found = patches("a", ByteCount(size), ByteMap(None, segments, 1), {})
    at = 0
    for patch in found:
        assert patch.first == at
        assert patch.last >= patch.first
        at = patch.last + 1
    assert at == size


async def test_it_ends_byte_identical_with_each_range_asked_once(tmp_path: Path) -> None:
    server = Server()
    async with a_draft(tmp_path) as draft:
        work = Patchwork(draft, SIZE, PARTS, server)
        assert await work.verify() == 0
        await work.run()
        assert work.whole
        assert work.done == SIZE
        assert await draft.read(0, SIZE) == BODY
    assert server.asked == [(0, 99), *SPANS]


async def test_wrong_bytes_are_asked_for_again_and_never_written(tmp_path: Path) -> None:
    server = Server()
    server.wrong = {SPANS[3][0]}
    async with a_draft(tmp_path) as draft:
        work = Patchwork(draft, SIZE, PARTS, server)
        with pytest.raises(BadAnswer):
            await work.run()
        assert server.asked.count(SPANS[3]) == 3
        assert not work.whole
        server.wrong.clear()
        await work.run()
        assert await draft.read(0, SIZE) == BODY


async def test_a_restart_fetches_only_what_is_missing_or_rotten(tmp_path: Path) -> None:
    async with a_draft(tmp_path) as draft:
        first = Patchwork(draft, SIZE, PARTS, Server())
        await first.run()
        await draft.write(SPANS[5][0] + 10, b"rot")
    server = Server()
    async with a_draft(tmp_path) as draft:
        work = Patchwork(draft, SIZE, PARTS, server)
        assert await work.verify() == (SEGMENTS - 1) * LENGTH
        await work.run()
        assert await draft.read(0, SIZE) == BODY
    assert server.asked == [(0, 99), SPANS[5]]  # what has no hash is not believed


async def test_what_a_viewer_waits_for_is_fetched_next(tmp_path: Path) -> None:
    server = Server()
    server.gate.clear()
    async with a_draft(tmp_path) as draft:
        work = Patchwork(draft, SIZE, PARTS, server)
        running = asyncio.create_task(work.run())
        reader = work.reader()
        reading = asyncio.create_task(reader.read(SPANS[6][0] + 5, 100))
        await asyncio.sleep(0)
        server.gate.set()
        assert await asyncio.wait_for(reading, 5) == bytes([7]) * 100
        await running
        assert server.asked[:3] == [(0, 99), SPANS[6], SPANS[7]]
        assert await reader.read(SIZE - 10, 100) == BODY[-10:]
        await reader.close()


async def test_a_viewer_is_told_when_the_origin_is_away_and_the_next_run_serves_him(tmp_path: Path) -> None:
    server = Server()
    server.away = True
    async with a_draft(tmp_path) as draft:
        work = Patchwork(draft, SIZE, PARTS, server)
        reader = work.reader()
        reading = asyncio.create_task(reader.read(200, 10))
        with pytest.raises(Unreachable):
            await work.run()
        with pytest.raises(NotPlayable) as refusal:
            await asyncio.wait_for(reading, 5)
        assert refusal.value.status == 503
        server.away = False
        running = asyncio.create_task(work.run())
        await asyncio.sleep(0)
        assert await asyncio.wait_for(reader.read(200, 10), 5) == BODY[200:210]
        await running
