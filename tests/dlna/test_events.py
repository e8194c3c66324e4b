"""Eventing (GENA): subscriptions over HTTP, and events that really arrive at a control point's own server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import pytest_asyncio

from appliance.clock import ManualClock
from appliance.domain.pin import Wish
from appliance.lan.notify import Callback, callback_of, notify
from appliance.serve.dlna.events import (
    LONGEST,
    MODERATION,
    MOST_OF_HOST,
    SHORTEST,
    Subscriptions,
    Unwelcome,
    following,
)
from appliance.serve.dlna.services import CONTENT_DIRECTORY, Service
from appliance.store import videos
from tests.dlna.box import Box, Post, a_box

CDS = "/dlna/event/ContentDirectory"


@dataclass
class Ear:
    """A control point's server: what it was told. ``answer`` is what it says to it."""

    port: int = 0
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    heard: "asyncio.Queue[tuple[str, dict[str, str], dict[str, str]]]" = field(default_factory=asyncio.Queue)

    async def next(self) -> tuple[str, dict[str, str], dict[str, str]]:
        """Return the next event: its request line, headers, variables."""
        async with asyncio.timeout(10):
            return await self.heard.get()

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        values = {inner.tag: inner.text or "" for each in ElementTree.fromstring(body) for inner in each}
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        self.heard.put_nowait((head[0], headers, values))


@asynccontextmanager
async def an_ear() -> AsyncIterator[Ear]:
    ear = Ear()
    server = await asyncio.start_server(ear.listen, "127.0.0.1", 0)
    ear.port = server.sockets[0].getsockname()[1]
    try:
        yield ear
    finally:
        server.close()
        await server.wait_closed()


@pytest_asyncio.fixture(loop_scope="module")
async def ear() -> AsyncIterator[Ear]:
    async with an_ear() as made:
        yield made


async def _subscribe(box: Box, port: int, **more: str) -> httpx.Response:
    headers = {"callback": f"<http://127.0.0.1:{port}/tv/events>", "nt": "upnp:event", "timeout": "Second-300"}
    return await box.client.request("SUBSCRIBE", CDS, headers=headers | more)


async def test_a_subscriber_is_told_everything_once_it_was_answered(box: Box, ear: Ear) -> None:
    answer = await _subscribe(box, ear.port)
    assert answer.status_code == 200
    assert answer.headers["sid"].startswith("uuid:")
    assert answer.headers["timeout"] == "Second-300"
    assert answer.headers["content-length"] == "0"
    line, headers, values = await ear.next()
    assert line == "NOTIFY /tv/events HTTP/1.1"
    assert headers["sid"] == answer.headers["sid"]
    assert (headers["nt"], headers["nts"], headers["seq"]) == ("upnp:event", "upnp:propchange", "0")
    assert headers["host"] == f"127.0.0.1:{ear.port}"
    assert set(values) == {"TransferIDs", "SystemUpdateID", "ContainerUpdateIDs"}


async def test_no_event_goes_out_before_the_answer_to_the_subscription_did(tmp_path: Path) -> None:
    """A control point does not know the id before: one that is told too early takes no event at all (UPnP 4.2.1)."""
    order: list[str] = []
    told = asyncio.Event()

    async def telling(callback: Callback, headers: tuple[tuple[str, str], ...], body: bytes) -> bool:
        order.append(f"event for {dict(headers)['SID']}")
        told.set()
        return True

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        for _ in range(20):  # a slow way
            await asyncio.sleep(0)
        order.append(message["type"])
        if message["type"] == "http.response.start":
            order.append(f"event for {dict(message['headers'])[b'sid'].decode()}")

    async with a_box(tmp_path, post=telling) as box:
        headers = [(b"callback", b"<http://192.168.7.30:8080/>"), (b"nt", b"upnp:event")]
        scope = {"type": "http", "method": "SUBSCRIBE", "path": CDS, "headers": headers, "client": ("192.168.7.30", 1)}
        await box.app(scope, receive, send)
        async with asyncio.timeout(10):
            await told.wait()
    start, sid, body, event = order
    assert (start, body) == ("http.response.start", "http.response.body")
    assert event == sid


async def test_every_service_can_be_subscribed_to(box: Box, ear: Ear) -> None:
    headers = {"callback": f"<http://127.0.0.1:{ear.port}/>", "nt": "upnp:event"}
    for service, names in (
        ("ConnectionManager", {"SourceProtocolInfo", "SinkProtocolInfo", "CurrentConnectionIDs"}),
        ("MediaReceiverRegistrar", {"AuthorizationGrantedUpdateID", "AuthorizationDeniedUpdateID"}),
    ):
        answer = await box.client.request("SUBSCRIBE", f"/dlna/event/{service}", headers=headers)
        assert answer.headers["timeout"] == "Second-1800"
        _, _, values = await ear.next()
        assert names <= set(values)


async def test_renewals_and_farewells_need_the_id_alone(box: Box, ear: Ear) -> None:
    sid = (await _subscribe(box, ear.port)).headers["sid"]
    again = await box.client.request("SUBSCRIBE", CDS, headers={"sid": sid, "timeout": "Second-infinite"})
    assert (again.status_code, again.headers["sid"], again.headers["timeout"]) == (200, sid, "Second-1800")

    async def status(method: str, path: str = CDS, **headers: str) -> int:
        return (await box.client.request(method, path, headers=headers)).status_code

    assert await status("SUBSCRIBE", sid="uuid:unknown") == 412
    assert await status("SUBSCRIBE", "/dlna/event/ConnectionManager", sid=sid) == 412
    assert await status("SUBSCRIBE", sid=sid, nt="upnp:event") == 400
    assert await status("SUBSCRIBE", sid=sid, callback="<http://127.0.0.1:9/>") == 400
    assert await status("SUBSCRIBE", callback=f"<http://127.0.0.1:{ear.port}/>") == 412
    assert await status("SUBSCRIBE", nt="upnp:event") == 412
    assert await status("UNSUBSCRIBE", sid="uuid:unknown") == 412
    assert await status("UNSUBSCRIBE", sid=sid, nt="upnp:event") == 400
    assert await status("UNSUBSCRIBE") == 412
    assert await status("UNSUBSCRIBE", sid=sid) == 200
    assert await status("SUBSCRIBE", sid=sid) == 412


@pytest.mark.parametrize(
    "callback",
    [
        "<http://192.168.7.99:80/>",
        "<http://localhost:8080/>",
        "<http://127.0.0.1.attacker.example/>",
        "<http://127.0.0.1:0/>",
        "<http://127.0.0.1:99999/>",
        "<https://127.0.0.1/>",
        "<ftp://127.0.0.1/>",
        "http://127.0.0.1:8080/",
        "<http://127.0.0.1:80/a b>",
        "<http://user@127.0.0.1/>",
        "<>",
        "<" * 3000,
    ],
)
async def test_nobody_but_the_subscriber_itself_is_ever_called(box: Box, callback: str) -> None:
    answer = await box.client.request("SUBSCRIBE", CDS, headers={"callback": callback, "nt": "upnp:event"})
    assert answer.status_code == 412


def test_of_several_callbacks_the_first_at_the_subscribers_own_address_is_taken() -> None:
    found = callback_of("<http://10.0.0.9/x> <http://192.168.7.30:8080/y>", "192.168.7.30")
    assert found == Callback("192.168.7.30", 8080, "/y")
    assert callback_of("<http://[fd00::7]:49152/>", "fd00::7") == Callback("fd00::7", 49152, "/")
    assert callback_of("<http://192.168.7.30>", "::ffff:192.168.7.30") is not None
    assert callback_of("<http://10.0.0.9/>" * 9 + "<http://192.168.7.30/>", "192.168.7.30") is None


async def test_a_change_is_told_with_the_next_number(tmp_path: Path, ear: Ear) -> None:
    clock = ManualClock(datetime(2026, 11, 21, 9, tzinfo=UTC))
    async with a_box(tmp_path, clock=clock, post=notify) as box:
        await _subscribe(box, ear.port)
        _, _, before = await ear.next()
        await box.house.store.promise(videos.wish, box.ids[3], Wish.PIN)
        clock.advance(MODERATION + 1)
        _, headers, after = await ear.next()
        assert headers["seq"] == "1"
        assert int(after["SystemUpdateID"]) > int(before["SystemUpdateID"])
        assert "all," in after["ContainerUpdateIDs"]


# The rest without a network: what is told when


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@dataclass
class Desk:
    clock: ManualClock
    post: Post
    subscriptions: Subscriptions


@pytest_asyncio.fixture(loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    clock, post = ManualClock(datetime(2026, 11, 21, tzinfo=UTC)), Post()

    def values(_: Service) -> dict[str, str]:
        return {"SystemUpdateID": "7", "ContainerUpdateIDs": "", "TransferIDs": ""}

    made = Subscriptions(post, values, clock)
    yield Desk(clock, post, made)
    await made.close()


async def test_many_changes_are_one_event_in_five_seconds(desk: Desk) -> None:
    one = desk.subscriptions.take(CONTENT_DIRECTORY, "10.0.0.2", Callback("10.0.0.2", 80, "/"), "")
    desk.subscriptions.begin(one)
    await _settled()
    assert len(desk.post.sent) == 1
    for _ in range(100):
        desk.subscriptions.changed(CONTENT_DIRECTORY, "SystemUpdateID")
        await _settled()
    assert len(desk.post.sent) == 1
    desk.clock.advance(MODERATION)
    await _settled()
    assert [posted.headers["SEQ"] for posted in desk.post.sent] == ["0", "1"]
    assert desk.post.sent[1].values == {"SystemUpdateID": "7"}


async def test_who_does_not_answer_three_times_is_forgotten(desk: Desk) -> None:
    desk.post.taken = False
    one = desk.subscriptions.take(CONTENT_DIRECTORY, "10.0.0.2", Callback("10.0.0.2", 80, "/"), "")
    desk.subscriptions.begin(one)
    for _ in range(6):
        await _settled()
        desk.subscriptions.changed(CONTENT_DIRECTORY, "SystemUpdateID")
        desk.clock.advance(MODERATION)
    assert len(desk.post.sent) == 3
    assert len(desk.subscriptions) == 0


async def test_a_subscription_ends_by_itself_unless_it_is_renewed(desk: Desk) -> None:
    take, here = desk.subscriptions.take, Callback("10.0.0.2", 80, "/")
    ended = take(CONTENT_DIRECTORY, "10.0.0.2", here, "Second-100")
    kept = take(CONTENT_DIRECTORY, "10.0.0.2", here, "Second-100")
    desk.clock.advance(60)
    desk.subscriptions.renew(CONTENT_DIRECTORY, "10.0.0.2", kept.sid, "Second-100")
    desk.clock.advance(60)
    desk.subscriptions.changed(CONTENT_DIRECTORY, "SystemUpdateID")
    assert len(desk.subscriptions) == 1
    with pytest.raises(Unwelcome):
        desk.subscriptions.renew(CONTENT_DIRECTORY, "10.0.0.2", ended.sid, "")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("Second-300", 300),
        ("second-300", 300),
        ("Second-0", SHORTEST),
        ("Second-999999999", LONGEST),
        ("Second-infinite", LONGEST),
        ("infinite", LONGEST),
        ("Second--5", LONGEST),
        ("", LONGEST),
    ],
)
async def test_nobody_stays_longer_than_half_an_hour_without_a_word(desk: Desk, asked: str, granted: int) -> None:
    here = Callback("10.0.0.2", 80, "/")
    one = desk.subscriptions.take(CONTENT_DIRECTORY, "10.0.0.2", here, asked)
    assert (one.seconds, one.until) == (granted, desk.clock.monotonic() + granted)
    desk.clock.advance(30)
    again = desk.subscriptions.renew(CONTENT_DIRECTORY, "10.0.0.2", one.sid, asked)
    assert (again.seconds, again.until) == (granted, desk.clock.monotonic() + granted)


def test_events_are_counted_from_0_and_after_the_last_number_from_1() -> None:
    assert [following(n) for n in (0, 1, 2**32 - 2, 2**32 - 1)] == [1, 2, 2**32 - 1, 1]


async def test_one_host_cannot_take_all_subscriptions(desk: Desk) -> None:
    for _ in range(MOST_OF_HOST):
        desk.subscriptions.take(CONTENT_DIRECTORY, "10.0.0.2", Callback("10.0.0.2", 80, "/"), "")
    with pytest.raises(Unwelcome) as refused:
        desk.subscriptions.take(CONTENT_DIRECTORY, "10.0.0.2", Callback("10.0.0.2", 80, "/"), "")
    assert refused.value.status == 503
    desk.subscriptions.take(CONTENT_DIRECTORY, "10.0.0.3", Callback("10.0.0.3", 80, "/"), "")


async def test_only_the_host_that_subscribed_may_renew_or_end(desk: Desk) -> None:
    one = desk.subscriptions.take(CONTENT_DIRECTORY, "10.0.0.2", Callback("10.0.0.2", 80, "/"), "")
    for act in (
        lambda: desk.subscriptions.renew(CONTENT_DIRECTORY, "10.0.0.3", one.sid, ""),
        lambda: desk.subscriptions.end(CONTENT_DIRECTORY, "10.0.0.3", one.sid),
    ):
        with pytest.raises(Unwelcome):
            act()


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 412 Precondition Failed\r\n\r\n", b"nonsense\r\n\r\n", b"", b"x" * 10_000],
    ids=["412", "nonsense", "nothing", "endless"],
)
async def test_a_bad_answer_to_an_event_is_no_answer(ear: Ear, answer: bytes) -> None:
    ear.answer = answer
    assert not await notify(Callback("127.0.0.1", ear.port, "/"), (), b"<a><b><c/></b></a>")


async def test_nobody_there_is_no_answer() -> None:
    async with an_ear() as ear:
        port = ear.port
    assert not await notify(Callback("127.0.0.1", port, "/"), (), b"")
