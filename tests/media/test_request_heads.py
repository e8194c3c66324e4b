"""Heads of requests without end: nobody's memory or descriptors are held by who never gets to the point."""

import asyncio
import contextlib
from typing import Any

import pytest

from appliance.serve import request_heads
from appliance.serve.request_heads import MOST_HEAD
from tests.media.shelf import served


async def _fine(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("begun", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"])
async def test_a_head_without_end_is_cut_off(begun: bytes) -> None:
    line = b"X: 1\r\n" if begun.endswith(b"\n") else b"aaaaaa"
    async with served(_fine) as (host, port), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(begun + line * (8 * MOST_HEAD // len(line)))
        with contextlib.suppress(OSError):  # what was sent after the refusal resets the connection
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.transport.abort()


async def test_a_head_that_takes_too_long_ends_the_connection_and_a_player_that_waits_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(_fine) as (host, port), asyncio.timeout(20):
        kept = await asyncio.open_connection(host, port)
        kept[1].write(whole)
        assert (await kept[0].readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(request_heads, "HEAD_SECONDS", 0.5)
        late = await asyncio.open_connection(host, port)
        late[1].write(whole + whole[:10])
        slow, idle = [await asyncio.open_connection(host, port) for _ in range(2)]
        slow[1].write(whole[:10])
        assert (await slow[0].read()).startswith(b"HTTP/1.1 400")
        assert await idle[0].read() == b""
        said = await late[0].read()
        assert (said.count(b"HTTP/1.1 200"), said.count(b"HTTP/1.1 400")) == (1, 1)
        kept[1].write(whole)
        assert (await kept[0].readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        for _, writer in (slow, idle, kept, late):
            writer.close()


async def test_a_large_cookie_is_still_taken() -> None:
    async with served(_fine) as (host, port), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nCookie: " + b"a" * 30_000 + b"\r\n\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.close()
