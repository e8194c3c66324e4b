"""Held files sent without copying, over real sockets: bytes, connections that go on, viewers who are slow or leave."""

import asyncio
import errno
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.viewer import Viewer
from appliance.host.page_cache import PageCache
from appliance.serve import descriptors, sendfile, source, wire
from appliance.serve.sendfile import Shipment
from appliance.serve.source import SENDERS, SHORT, THREADS
from appliance.serve.wire import WireProtocol
from tests.media.shelf import VIDEO, FedReader, Notes, StandInShelf, empty_shelf, noise, rendition, serving
from tests.world.kernel import knows_its_page_cache

MIB = 1024 * 1024
DATA = noise(16 * MIB, "sendfile")
"""More than a socket holds: some of it always waits for the viewer."""
FILE = f"/media/{VIDEO}/file/360p.mp4"


class Shipped:
    """What went the way without copying."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    @property
    def total(self) -> int:
        return sum(self.sizes)


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Shipped:
    seen, send = Shipped(), Shipment.send

    async def noted(self: Shipment, *arguments: Any, **options: Any) -> int:
        size = await send(self, *arguments, **options)
        seen.sizes.append(size)
        return size

    monkeypatch.setattr(Shipment, "send", noted)
    return seen


@pytest.fixture(params=["in memory", "on the disk"], autouse=True)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the loop sends, or a thread does that may wait for the disk."""
    if request.param == "on the disk":
        monkeypatch.setattr(PageCache, "has", lambda *_: False)
    return str(request.param)


@pytest.fixture
def shelf(tmp_path: Path) -> StandInShelf:
    shelf = empty_shelf(tmp_path)
    shelf.add(rendition("360p", 360, DATA), DATA)
    return shelf


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the threads that send."""
    names, send = set[str](), os.sendfile
    monkeypatch.setattr(descriptors, "KEPT_SECONDS", 60.0)

    def noted(*arguments: int) -> int:
        names.add(threading.current_thread().name)
        return send(*arguments)

    monkeypatch.setattr(os, "sendfile", noted)
    return names


Wires = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(address: tuple[str, int]) -> AsyncIterator[Wires]:
    """A viewer who takes little until it reads: its buffers are small."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, address)
    incoming, outgoing = await asyncio.open_connection(sock=plain, limit=65536)
    try:
        yield incoming, outgoing
    finally:
        outgoing.transport.abort()


def get(first: int = 0, last: int | None = None, *more: str) -> bytes:
    end = "" if last is None else str(last)
    lines = [f"GET {FILE} HTTP/1.1", "Host: x", f"Range: bytes={first}-{end}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


async def head_of(incoming: asyncio.StreamReader) -> tuple[int, int]:
    """Return the status and the length of the next answer."""
    head = await asyncio.wait_for(incoming.readuntil(b"\r\n\r\n"), 10)
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    return int(head.split()[1]), int(fields[b"content-length"])


async def body_of(incoming: asyncio.StreamReader) -> bytes:
    _, length = await head_of(incoming)
    return await asyncio.wait_for(incoming.readexactly(length), 20)


async def opened(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
    """Ask for a byte, so that what is asked next finds the file open: only then may the loop send."""
    outgoing.write(get(0, 0))
    assert await body_of(incoming) == DATA[:1]


async def rest_of(incoming: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection ends."""
    got = bytearray()
    try:
        while part := await asyncio.wait_for(incoming.read(MIB), 10):
            got += part
    except ConnectionError:
        pass
    return bytes(got)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_every_range_is_the_files_bytes_on_one_connection_and_nothing_stays_open(
    shelf: StandInShelf, notes: Notes, shipped: Shipped
) -> None:
    size, asked = len(DATA), 0
    ranges = [(0, 0), (0, size - 1), (1, 4096), (size - 1, size - 1), (size // 3, size // 2), (4095, 5 * MIB)]
    async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
        opened = 0
        for first, last in ranges:
            outgoing.write(get(first, last))
            assert await body_of(incoming) == DATA[first : last + 1]
            asked += last + 1 - first
            outgoing.write(f"HEAD {FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert await head_of(incoming) == (200, size)
            opened = opened or open_files()
        assert open_files() <= opened
        outgoing.write(get(size))
        assert await head_of(incoming) == (416, 0)
    assert asked - len(ranges) * SHORT <= shipped.total <= asked
    assert notes.given("360p") == asked
    assert max(size for *_, size in notes.counted) <= sendfile.TURN_BYTES


async def test_requests_sent_before_their_answers_are_answered_in_order(
    shelf: StandInShelf, notes: Notes, shipped: Shipped
) -> None:
    async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
        outgoing.write(get(0, 9 * MIB) + get(5, 6 * MIB) + get(7, 7, "Connection: close"))
        assert await body_of(incoming) == DATA[: 9 * MIB + 1]
        assert await body_of(incoming) == DATA[5 : 6 * MIB + 1]
        assert await body_of(incoming) == DATA[7:8]
        assert await asyncio.wait_for(incoming.read(), 5) == b""
    assert shipped.total == 9 * MIB + 1 + 6 * MIB - 4


async def test_slow_viewers_beyond_the_number_of_threads_keep_nobody_waiting(
    shelf: StandInShelf, notes: Notes, shipped: Shipped
) -> None:
    async with serving(shelf, notes) as address:
        slow: list[Wires] = []
        for _ in range(SENDERS + THREADS):
            wires = await asyncio.open_connection(*address, limit=1024)
            wires[1].write(get())
            assert (await head_of(wires[0]))[0] == 206
            slow.append(wires)
        async with connected(address) as (incoming, outgoing):
            outgoing.write(get())
            assert await asyncio.wait_for(body_of(incoming), 5) == DATA
        assert await asyncio.wait_for(slow[0][0].readexactly(len(DATA)), 10) == DATA
        for _, outgoing in slow:
            outgoing.transport.abort()
    assert shipped.total >= 2 * len(DATA)


async def test_a_viewer_who_leaves_ends_its_answer_and_lets_go_of_the_file(
    shelf: StandInShelf, notes: Notes, shipped: Shipped
) -> None:
    async with serving(shelf, notes) as address:
        before = open_files()
        async with connected(address) as (incoming, outgoing):
            await opened(incoming, outgoing)
            outgoing.write(get())
            await head_of(incoming)
            await incoming.readexactly(MIB)
        async with asyncio.timeout(5):
            while open_files() > before:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.01)
    assert 0 < notes.given("360p") < len(DATA)


async def test_a_file_that_shrinks_ends_the_connection_before_its_length(
    shelf: StandInShelf, notes: Notes, shipped: Shipped
) -> None:
    async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
        await opened(incoming, outgoing)
        outgoing.write(get())
        await head_of(incoming)
        await incoming.readexactly(MIB)
        os.truncate(shelf.folder / "360p.mp4", MIB)
        rest = await rest_of(incoming)
        assert MIB + len(rest) < len(DATA)  # what was under way may have become zeros: nothing was copied
    assert shipped.total == notes.given("360p") > 0


async def test_a_server_that_stops_does_not_wait_for_a_viewer_who_reads_nothing(
    shelf: StandInShelf, notes: Notes, shipped: Shipped
) -> None:
    loop = asyncio.get_running_loop()
    async with serving(shelf, notes, timeout_graceful_shutdown=1) as address:
        incoming, outgoing = await asyncio.open_connection(*address, limit=1024)
        await opened(incoming, outgoing)
        outgoing.write(get())
        await head_of(incoming)
        begun = loop.time()
    assert loop.time() - begun < 4
    outgoing.transport.abort()
    assert shipped.total < len(DATA)


async def test_a_viewer_who_takes_nothing_for_long_is_given_up(
    shelf: StandInShelf, notes: Notes, shipped: Shipped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sendfile, "STALLED_SECONDS", 0.2)
    async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
        await opened(incoming, outgoing)
        before = open_files()
        outgoing.write(get())
        await head_of(incoming)
        async with asyncio.timeout(5):
            while open_files() >= before:  # noqa: ASYNC110 - until the server's end of the connection is closed
                await asyncio.sleep(0.01)
        assert len(await rest_of(incoming)) < len(DATA)
    assert shipped.sizes[-1] == 0


async def test_nonsense_sent_amid_a_body_ends_the_connection_and_is_not_answered_into_it(
    shelf: StandInShelf, notes: Notes, shipped: Shipped
) -> None:
    async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
        await opened(incoming, outgoing)
        outgoing.write(get())
        await head_of(incoming)
        await incoming.readexactly(MIB)
        outgoing.write(b"\x00 nonsense\r\n\r\n")
        rest = await rest_of(incoming)
        assert MIB + len(rest) < len(DATA)
        assert DATA[MIB : MIB + len(rest)] == rest


@pytest.mark.parametrize("case", ["beyond the lan", "arriving", "other server", "no sendfile", "another uvicorn"])
async def test_where_it_cannot_be_done_the_bytes_are_copied(
    shelf: StandInShelf, notes: Notes, shipped: Shipped, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    options: dict[str, Any] = {"viewer": Viewer(is_lan=case != "beyond the lan", name="tv")}
    match case:
        case "arriving":
            shelf.readers["360p.mp4"] = FedReader(DATA, arrived=len(DATA))
        case "other server":
            options["http"] = "h11"
        case "no sendfile":

            def unable(*_: object) -> int:
                raise OSError(errno.EINVAL, "Invalid argument")

            monkeypatch.setattr(os, "sendfile", unable)
        case "another uvicorn":
            monkeypatch.setattr(wire, "_USED", ("renamed",))
    async with serving(shelf, notes, **options) as address, connected(address) as (incoming, outgoing):
        for first, last in ((3, 2 * MIB), (4, 5)):
            outgoing.write(get(first, last))
            assert await body_of(incoming) == DATA[first : last + 1]
    assert shipped.total == 0
    assert notes.given("360p") == 2 * MIB - 2 + 2


async def test_a_byte_that_cannot_be_read_is_a_status_and_not_a_broken_body(
    shelf: StandInShelf, notes: Notes, shipped: Shipped, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
        outgoing.write(get())
        assert (await head_of(incoming))[0] == 503
    assert shipped.total == 0


async def test_a_thread_sends_what_may_wait_for_a_disk_and_what_is_long(
    shelf: StandInShelf, notes: Notes, place: str, senders: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "TURN_BYTES", len(DATA) - 1)
    async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
        await opened(incoming, outgoing)
        senders.clear()
        outgoing.write(get(5, MIB))
        assert await body_of(incoming) == DATA[5 : MIB + 1]
        here = place == "in memory" and knows_its_page_cache(shelf.folder)
        assert (threading.current_thread().name in senders) == here
        senders.clear()
        outgoing.write(get())
        assert await body_of(incoming) == DATA
        assert {name.partition("_")[0] for name in senders} == {"media-send"}


async def test_with_two_at_once_the_loop_sends_to_neither_for_long(
    shelf: StandInShelf, notes: Notes, senders: set[str]
) -> None:
    async with serving(shelf, notes) as address, connected(address) as slow, connected(address) as (incoming, outgoing):
        slow[1].write(get())
        await head_of(slow[0])
        senders.clear()
        for _ in range(3):
            outgoing.write(get(5, 3 * MIB))
            assert await body_of(incoming) == DATA[5 : 3 * MIB + 1]
        assert {name.partition("_")[0] for name in senders} == {"media-send"}


@pytest.mark.parametrize("control", Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text().split())
async def test_a_viewer_in_the_house_goes_without_bbr_and_keeps_any_other_control(
    shelf: StandInShelf, notes: Notes, control: str
) -> None:
    """BBR paces, which costs a small processor."""
    accepted = list[socket.socket]()
    made = WireProtocol.connection_made

    def chosen(self: WireProtocol, transport: Any) -> None:
        same = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
        accepted.append(same)
        made(self, transport)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WireProtocol, "connection_made", chosen)
        async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
            outgoing.write(get(5, MIB))
            assert await body_of(incoming) == DATA[5 : MIB + 1]
            with accepted[0] as same:
                found = same.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
        assert found in ("reno", "cubic") if control == "bbr" else found == control


async def test_a_disk_that_fails_for_a_moment_gives_no_byte_twice(
    shelf: StandInShelf, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, calls = os.sendfile, 0

    def failing(out: int, file: int, offset: int, count: int) -> int:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return send(out, file, offset, min(count, 50_000))

    async with serving(shelf, notes) as address, connected(address) as (incoming, outgoing):
        await opened(incoming, outgoing)
        monkeypatch.setattr(os, "sendfile", failing)
        outgoing.write(get(0, 3 * MIB))
        await head_of(incoming)
        got = await rest_of(incoming)
        assert DATA.startswith(got)
    assert notes.given("360p") == len(got) + 1
    assert calls > 2
