"""Connections by the thousand: one who hoards them takes nobody else's, and who takes nothing holds none for ever."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.serve import connections
from appliance.serve.connections import Bounds, Door
from appliance.serve.wire import protocol
from tests.media.shelf import served
from tests.world.box import Box
from tests.world.lab import Lab

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the addresses 127.0.0.2 and above be other machines'; 127.0.0.1 is this one."""
    here = connections._household_of
    monkeypatch.setattr(connections, "_household_of", lambda s: here(s) if s.endswith(".0.0.1") else s)


class Hall:
    """An app that answers at once, streams without an end below /stream, or reads a body, behind a door."""

    def __init__(self, host: str, port: int, stack: AsyncExitStack) -> None:
        self.host, self.port, self._stack = host, port, stack
        self._wires: list[Wire] = []

    async def come(self, source: str, ask: bytes = b"") -> Wire:
        reader, writer = await asyncio.open_connection(self.host, self.port, local_addr=(source, 0))
        self._stack.push_async_callback(_ended, writer)
        self._wires.append((reader, writer))
        writer.write(ask)
        return reader, writer

    async def answered(self, source: str) -> bytes:
        """Return the first line of an answer to a new connection."""
        reader, _ = await self.come(source, ASK)
        return await reader.readline()


async def _ended(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/body":
        await receive()
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    if scope["path"] == "/quiet":
        while (await receive())["type"] != "http.disconnect":
            pass
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def hall(bounds: Bounds) -> AsyncIterator[tuple[Hall, Door]]:
    door = Door(bounds)
    async with served(_app, http=protocol(door)) as (host, port), AsyncExitStack() as stack, asyncio.timeout(20):
        yield Hall(host, port, stack), door


def _quiet() -> bytes:
    return ASK.replace(b"GET / ", b"GET /quiet ")


async def until(fact: Callable[[], bool]) -> None:
    while not fact():  # noqa: ASYNC110 - a door tells nobody
        await asyncio.sleep(0.01)


async def test_a_source_with_too_many_idle_connections_loses_its_own_oldest(strangers: None) -> None:
    async with hall(Bounds(6, 3)) as (place, door):
        kept = await place.come("127.0.0.2", ASK)
        assert (await kept[0].readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200")
        hoard = []
        for count in (2, 3, 4):
            hoard.append(await place.come("127.0.0.3"))
            await until(lambda most=count: len(door) == most)  # type: ignore[misc]
        await place.come("127.0.0.3")
        assert await hoard[0][0].read() == b""
        assert len(door) == 4
        assert (await place.answered("127.0.0.3")).startswith(b"HTTP/1.1 200")
        kept[1].write(ASK)
        assert (await kept[0].readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_who_hoards_makes_room_for_others_and_this_machine_always_gets_in(
    strangers: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with hall(Bounds(4, 3)) as (place, door):
        for source in ("127.0.0.2", "127.0.0.3", "127.0.0.3"):
            await place.come(source, _quiet())
        idle = await place.come("127.0.0.3", ASK)
        await idle[0].readuntil(b"0\r\n\r\n")
        await until(lambda: len(door) == 4)
        other = await place.come("127.0.0.4", _quiet())
        assert await idle[0].read() == b""
        with caplog.at_level(logging.WARNING, connections.__name__):
            for source in ("127.0.0.5", "127.0.0.3", "127.0.0.6"):
                reader, _ = await place.come(source)
                refused = await reader.read()
                assert refused.startswith(b"HTTP/1.1 503")
                assert b"retry-after: 5" in refused
        assert len(caplog.records) == 1
        assert "127.0.0.5 is refused" in caplog.text
        assert (await place.answered("127.0.0.1")).startswith(b"HTTP/1.1 200")
        other[1].transport.abort()
        await until(lambda: len(door) <= 4)
        assert (await place.answered("127.0.0.5")).startswith(b"HTTP/1.1 200")


async def test_a_thousand_connections_that_say_nothing_leave_the_door_open(strangers: None) -> None:
    async with hall(Bounds(64, 16)) as (place, door):
        with contextlib.ExitStack() as held:
            for k in range(1000):
                wire = held.enter_context(socket.socket())
                wire.setblocking(False)
                wire.bind(("127.0.0.9", 0))
                await asyncio.get_running_loop().sock_connect(wire, (place.host, place.port))
                if k % 100 == 0:
                    assert (await place.answered("127.0.0.2")).startswith(b"HTTP/1.1 200")
            assert len(door) <= 64
        assert (await place.answered("127.0.0.9")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "ask",
    [
        b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["nobody reads", "a body never comes"],
)
async def test_a_connection_on_which_nothing_moves_ends(ask: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LOOK_SECONDS", 0.05), ("STALLED_SECONDS", 0.3), ("BODY_SECONDS", 0.3)):
        monkeypatch.setattr(connections, name, seconds)
    async with hall(Bounds()) as (place, door):
        kept = await place.come("127.0.0.1", _quiet())
        _, writer = await place.come("127.0.0.1", ask)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: len(door) == 2)
        await until(lambda: len(door) == 1)
        assert not kept[0].at_eof()


def test_sources_are_counted_by_address_and_this_machine_is_one() -> None:
    names = ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", ""]
    assert {connections._household_of(name) for name in names} == {"this machine"}
    assert connections._household_of("::ffff:10.0.0.7") == connections._household_of("10.0.0.7")
    assert connections._household_of("fe80::1%eth0") == connections._household_of("fe80::1")


def test_the_bounds_follow_the_limit_on_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, most, of_source in ((65536, 512, 64), (1024, 128, 64), (64, 16, 8), (-1, 512, 64)):
        monkeypatch.setattr("resource.getrlimit", lambda _, limit=limit: (limit, limit))
        assert connections.bounds() == Bounds(most, of_source)


@pytest.mark.trial
@pytest.mark.net
def test_a_machine_on_the_lan_that_opens_thousands_keeps_nobody_else_out(lab: Lab, tmp_path: Path) -> None:
    hosts = {name: lab.host(name, f"10.77.0.{k}") for k, name in enumerate(("box", "crowd", "screen"), 2)}
    box = Box(tmp_path / "data", hosts["box"], web__host="0.0.0.0").start()
    try:
        with contextlib.ExitStack() as held:
            with hosts["crowd"].inside():
                for _ in range(3000):
                    wire = held.enter_context(socket.create_connection(("10.77.0.2", 7333), 10))
                    wire.sendall(b"GET /media/")
            answers = []
            for name, address in (("screen", "10.77.0.2"), ("box", "127.0.0.1")):
                with hosts[name].inside():
                    begun = time.monotonic()
                    answers.append(httpx.get(f"http://{address}:7333/health", timeout=5, trust_env=False).status_code)
                    print(f"{name} is answered in {(time.monotonic() - begun) * 1000:.0f} ms")
            assert answers == [200, 200]
            open_files = len(os.listdir(f"/proc/{box.pid}/fd"))
            print(f"the box has {open_files} open files")
            assert open_files < 300
    finally:
        box.kill()
