"""Garbage over the whole API and every page: no answer is ever a 500, and every refusal is a problem.

Each example goes through the whole application (door, Litestar, store); only the socket is left out, for speed.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.house import CODE, PASSWORD, House, a_house, a_token, fill, summary
from web.access.gate import COOKIE

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
PATHS = (
    "/api/v1/channels",
    "/api/v1/channels/{id}",
    "/api/v1/channels/{id}/refresh",
    "/api/v1/videos",
    "/api/v1/videos/{id}",
    "/api/v1/pins",
    "/api/v1/pins/{id}",
    "/api/v1/rules",
    "/api/v1/rules/{id}",
    "/api/v1/plan",
    "/api/v1/plan/preview",
    "/api/v1/plan/run",
    "/api/v1/plan/changes",
    "/api/v1/plan/history",
    "/api/v1/questions",
    "/api/v1/exports",
    "/api/v1/rules/file",
    "/api/v1/bandwidth",
    "/api/v1/bandwidth/quiet",
    "/api/v1/ledger",
    "/api/v1/status",
    "/api/v1/settings",
    "/api/v1/tokens",
    "/api/v1/tokens/{id}",
    "/api/v1/logins",
    "/api/v1/logins/{id}",
    "/api/v1/password",
    "/api/v1/{id}",
    "/health",
    "/library.m3u",
    "/static/{id}",
    "/t/{id}/media/{id}",
    "/media/{id}",
    "/login",
    "/setup",
    "/{id}",
)
TAKEN = (
    ("POST", "/api/v1/channels"),
    ("PATCH", "/api/v1/channels/{id}"),
    ("DELETE", "/api/v1/channels/{id}"),
    ("POST", "/api/v1/channels/{id}/refresh"),
    ("GET", "/api/v1/videos"),
    ("POST", "/api/v1/pins"),
    ("DELETE", "/api/v1/pins/{id}"),
    ("POST", "/api/v1/rules"),
    ("PATCH", "/api/v1/rules/{id}"),
    ("DELETE", "/api/v1/rules/{id}"),
    ("GET", "/api/v1/plan"),
    ("POST", "/api/v1/plan/preview"),
    ("GET", "/api/v1/plan/changes"),
    ("GET", "/api/v1/plan/history"),
    ("PUT", "/api/v1/rules"),
    ("POST", "/api/v1/exports"),
    ("POST", "/api/v1/videos/{id}/let-go"),
    ("POST", "/rules/preview"),
    ("GET", "/plan"),
    ("GET", "/rules/preset/{id}"),
    ("PUT", "/api/v1/bandwidth"),
    ("POST", "/api/v1/bandwidth/quiet"),
    ("GET", "/api/v1/ledger"),
    ("PATCH", "/api/v1/settings"),
    ("POST", "/api/v1/tokens"),
    ("PUT", "/api/v1/password"),
    ("DELETE", "/api/v1/logins/{id}"),
    ("POST", "/login"),
    ("GET", "/videos"),
    ("GET", "/videos/{id}"),
    ("GET", "/channels/{id}"),
    ("GET", "/rules/{id}"),
    ("POST", "/channels"),
    ("POST", "/settings"),
)
FIELDS = [
    "url",
    "video_id",
    "name",
    "kind",
    "channels",
    "budget",
    "budget_share",
    "min_lifetime",
    "max_lifetime",
    "max_height",
    "filters",
    "filters.min_views",
    "half_life",
    "file",
    "folder",
    "weight",
    "paused",
    "when_gone",
    "web_videos",
    "rules",
    "upload",
    "download",
    "scope",
    "present",
    "new",
    "id",
    "pin.at_once",
    "bandwidth.upload",
    "lan.name",
    "web.port",
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(
        ["recent", "everything", "release", "admin", "play", "https://tube.example.org/c/x", summary(1).id]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=10,
)
BODIES = (
    st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), VALUES, max_size=6).map(msgspec.json.encode)
    | VALUES.map(msgspec.json.encode)
    | st.binary(max_size=60)
    | st.sampled_from(
        [b"[" * 100_000, b'{"url":' * 5000, b"1e999", b'"\\ud800"', b'{"weight":1e999}', b"\xef\xbb\xbf{}"]
    )
)
IDENTS = st.sampled_from([summary(1).id, "recent", "..", ".", "%00", "a" * 5000]) | st.text(min_size=1, max_size=20)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["limit", "offset", "state", "sort", "q", "channel", "from", "to", "by", "never", "next", "said"]
        ),
        st.text(max_size=20)
        | st.integers(-(10**20), 10**20).map(str)
        | st.sampled_from(["rendition", "pinned", "rank", "2026-11-01", "9999-12-31", "0001-01-01", "\x00", "%", "🌱"]),
    ),
    max_size=4,
)
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "range", "if-none-match", "x-csrf-token", "cookie", "origin", "x-forwarded-for", "via"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    max_size=3,
)
KINDS = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "bad",
        "",
    ]
)
SENT = st.fixed_dictionaries(
    {
        "what": st.sampled_from(TAKEN)
        | st.sampled_from(TAKEN)
        | st.tuples(st.sampled_from(METHODS), st.sampled_from(PATHS)),
        "ident": IDENTS,
        "query": QUERIES,
        "kind": KINDS,
        "body": BODIES,
        "headers": HEADERS,
        "key": st.sampled_from(["token", "token", "cookie", "cookie", "none"]),
    }
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path) as opened:
        await fill(opened, 6)
        yield opened


async def the_keys(house: House) -> dict[str, dict[str, str]]:
    """Set the house up; return the headers of a program, of the owner's browser, and of a stranger."""
    gate = house.web._gate
    cookie = await gate.begin(CODE, PASSWORD, True, "127.0.0.1", "a browser")
    login = await gate.login_of(cookie)
    assert login is not None
    browser = {"cookie": f"{COOKIE}={cookie}", "x-csrf-token": login.csrf, "origin": "http://127.0.0.1"}
    return {"token": {"authorization": f"Bearer {await a_token(house)}"}, "cookie": browser, "none": {}}


async def send(house: House, keys: dict[str, dict[str, str]], sent: dict[str, Any]) -> httpx.Response:
    transport = httpx.ASGITransport(house.web, client=("127.0.0.1", 1))  # type: ignore[arg-type]
    method, path = sent["what"]
    path = path.replace("{id}", quote(sent["ident"], safe=""))
    headers = {name: value.encode("latin-1") for name, value in sent["headers"].items()}
    headers["content-type"] = sent["kind"].encode()
    headers |= {name: value.encode() for name, value in keys[sent["key"]].items()}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(
            method, path, params=sent["query"], content=sent["body"], headers=list(headers.items())
        )


async def test_garbage_is_refused_and_never_breaks_anything(house: House, caplog: pytest.LogCaptureFixture) -> None:
    keys = await the_keys(house)
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=400,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(SENT)
    def attack(sent: dict[str, Any]) -> None:
        answer = asyncio.run_coroutine_threadsafe(send(house, keys, sent), loop).result(30)
        where = method, path = sent["what"]
        assert answer.status_code < 500, (where, answer.text)
        if path.startswith("/api/") and answer.status_code >= 400 and method != "HEAD":
            assert answer.headers["content-type"] == "application/problem+json", (where, answer.text)
            assert {"type", "title", "status", "detail", "code"} <= answer.json().keys()

    gc.disable()  # what hypothesis keeps would be swept on the loop's time
    try:
        await asyncio.to_thread(attack)
    finally:
        gc.enable()
    wrong = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not wrong, wrong[0].getMessage()
