"""The heads that our server writes itself are those that uvicorn would have written."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from appliance.serve import wire
from appliance.serve.media import create_media_app
from tests.media.shelf import VIDEO, Notes, StandInShelf, empty_shelf, noise, rendition, served, serving

DATA = noise(300_000, "wire")
FILE = f"/media/{VIDEO}/file/360p.mp4"
Seen = list[bool]


@pytest.fixture
def shelf(tmp_path: Path) -> StandInShelf:
    shelf = empty_shelf(tmp_path)
    shelf.add(rendition("360p", 360, DATA), DATA)
    return shelf


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Of each head, whether we wrote it."""
    seen, began = Seen(), wire._began

    def noted(*arguments: Any) -> bool:
        seen.append(began(*arguments))
        return seen[-1]

    monkeypatch.setattr(wire, "_began", noted)
    return seen


async def _exchange(address: tuple[str, int], asked: bytes) -> list[bytes]:
    """Return all that a connection gave until it ended, by lines, without the time of day."""
    incoming, outgoing = await asyncio.open_connection(*address)
    outgoing.write(asked)
    try:
        got = await asyncio.wait_for(incoming.read(), 10)
    finally:
        outgoing.transport.abort()
    return [line for line in got.split(b"\r\n") if not line.startswith(b"date: ")]


def _ask(first_line: str, *headers: str) -> bytes:
    return "\r\n".join([first_line, "Host: x", *headers, "", ""]).encode()


CLOSE = "Connection: close"
PLAIN = {
    "whole": _ask(f"GET {FILE} HTTP/1.1", CLOSE),
    "range": _ask(f"GET {FILE} HTTP/1.1", "Range: bytes=5-200000", CLOSE),
    "short range": _ask(f"GET {FILE} HTTP/1.1", "Range: bytes=5-6", CLOSE),
    "head": _ask(f"HEAD {FILE} HTTP/1.1", CLOSE),
    "http 1.0": _ask(f"GET {FILE} HTTP/1.0"),
    "pipelined": _ask(f"GET {FILE} HTTP/1.1") + _ask(f"HEAD {FILE} HTTP/1.1") + _ask(f"GET {FILE} HTTP/1.1", CLOSE),
    "expects": _ask(f"GET {FILE} HTTP/1.1", "Expect: 100-continue", CLOSE),
}
OTHERS = {
    "beyond": _ask(f"GET {FILE} HTTP/1.1", "Range: bytes=300000-", CLOSE),
    "nothing there": _ask(f"GET /media/{VIDEO}/nothing.mp4 HTTP/1.1", CLOSE),
    "preflight": _ask(f"OPTIONS {FILE} HTTP/1.1", CLOSE),
}


@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
async def test_an_answer_is_what_uvicorn_would_have_given(
    shelf: StandInShelf, notes: Notes, ours: Seen, name: str
) -> None:
    asked = (PLAIN | OTHERS)[name]
    async with serving(shelf, notes, http=HttpToolsProtocol) as address:
        expected = await _exchange(address, asked)
    assert not ours
    async with serving(shelf, notes) as address:
        assert await _exchange(address, asked) == expected
    assert ours == [name in PLAIN] * (3 if name == "pipelined" else 1)


async def test_what_stands_before_the_media_still_dresses_their_answers(
    shelf: StandInShelf, notes: Notes, ours: Seen
) -> None:
    async def dressed(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"Referrer-Policy", b"same-origin")]
            await send(message)

        await app(scope, receive, sent)

    app = create_media_app(shelf, notes, notes.count, notes.throttle)
    try:
        async with served(dressed) as address:
            assert b"referrer-policy: same-origin" in await _exchange(address, PLAIN["range"])
    finally:
        app.close()
    assert ours == [True]


ODD = [
    [(b"content-length", b"2"), (b"title", b"a\r\nset-cookie: b")],
    [(b"content-length", b"2"), (b"title", b"a\nb")],
    [(b"content-length", b"2"), (b"title", b"a\x00")],
    [(b"content-length", b"2"), (b"a title", b"b")],
    [(b"content-length", b"2"), (b"title: x\r\nb", b"c")],
    [(b"content-length", b"-2")],
    [(b"content-length", b"2"), (b"connection", b"close")],
    [(b"transfer-encoding", b"chunked")],
    [],
    [(b"content-length", b"2"), (b"set-cookie", b"a"), (b"set-cookie", b"b")],
]


@pytest.mark.parametrize("headers", ODD)
async def test_what_is_not_plain_is_uvicorns_to_write_or_to_refuse(
    ours: Seen, headers: list[tuple[bytes, bytes]]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    got = []
    for http in (HttpToolsProtocol, wire.WireProtocol):
        async with served(app, http=http) as address:
            got.append(await _exchange(address, PLAIN["whole"]))
    assert got[0] == got[1]
    assert ours[0] == (len(headers) == 3)
    assert b"set-cookie: b" not in b"".join(got[1]) or len(headers) == 3
