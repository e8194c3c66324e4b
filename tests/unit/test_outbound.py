"""Fetching over real sockets from servers that misbehave in every way."""

import asyncio
import gzip
import ipaddress
import socket
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import httpcore
import pytest

from appliance.clock import RealClock
from appliance.domain.units import BytesPerSecond, Origin
from appliance.errors import (
    BadAnswer,
    Forbidden,
    NotFound,
    OriginError,
    Refused,
    ServerTrouble,
    Throttled,
    Unreachable,
)
from appliance.outbound.fetch import Fetcher, OutboundOptions
from appliance.outbound.guard import GuardedBackend, is_allowed
from appliance.outbound.manners import Ask
from appliance.outbound.wire import parsed_url
from tests.world.scripted import QuickClock, Server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def fetching(allow_private: bool = True, clock: RealClock | None = None) -> AsyncIterator[Fetcher]:
    async with Fetcher(OutboundOptions(allow_private, "Seedkeep/test"), clock or QuickClock()) as fetcher:
        yield fetcher


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with fetching() as made:
        yield made


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "2001:db8::1",
    ],
)
def test_special_addresses_are_not_gone_to(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"]
)
def test_ordinary_addresses_are_gone_to(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize("address", ["224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255"])
def test_nobody_may_allow_multicast_or_broadcast(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"]
)
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    async with fetching(allow_private=False) as fetcher:
        with pytest.raises((Refused, Unreachable)) as caught:
            await fetcher.get(f"https://{host}/api/v1/config")
    assert caught.value.hint


async def test_the_address_that_was_checked_is_the_one_connected_to(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.origin.split(":")[1])
    answers = ["93.184.216.34", "127.0.0.1"]
    asked: list[str] = []

    async def lookup(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[len(asked) - 1], port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    backend = GuardedBackend(lambda: False)
    with pytest.raises((httpcore.NetworkError, httpcore.TimeoutException)):
        await backend.connect_tcp("rebinds.example", port, timeout=0.2)
    assert server.connections == 0
    with pytest.raises(Refused, match=r"rebinds\.example is on a private network"):
        await backend.connect_tcp("rebinds.example", port, timeout=0.2)
    assert (asked, server.connections) == (["rebinds.example"] * 2, 0)


async def test_a_changed_setting_holds_from_the_next_connection_on(server: Server, fetcher: Fetcher) -> None:
    server.answer("/x", Connection="close")
    await fetcher.get(f"{server.url}/x")
    fetcher.reconfigure(OutboundOptions(False, "Seedkeep/test"))
    with pytest.raises(Refused):
        await fetcher.get(f"{server.url}/x")


@pytest.mark.parametrize(
    "url",
    ["ftp://tube.example/x", "file:///etc/passwd", "https://u:p@tube.example/", "https://", "gopher://x", "x" * 5000],
)
def test_only_plain_web_addresses_are_asked(url: str) -> None:
    with pytest.raises(Refused):
        parsed_url(url, allow_http=True)


def test_an_unencrypted_address_is_refused_with_a_remedy() -> None:
    with pytest.raises(Refused) as caught:
        parsed_url("http://tube.example/x", allow_http=False)
    assert "https" in caught.value.hint


# Redirects


async def test_a_redirect_is_followed_and_says_where_it_ended(server: Server, fetcher: Fetcher) -> None:
    server.answer("/old", b"", 301, Location="/new")
    server.answer("/new", b'{"a":1}')
    answer = await fetcher.get(f"{server.url}/old")
    assert (answer.body, answer.url) == (b'{"a":1}', f"{server.url}/new")
    assert fetcher.asked_today(server.origin).api == 2


async def test_a_redirect_loop_ends_in_one_sentence(server: Server, fetcher: Fetcher) -> None:
    server.answer("/a", b"", 302, Location="/b")
    server.answer("/b", b"", 302, Location="/a")
    with pytest.raises(Refused, match="without end"):
        await fetcher.get(f"{server.url}/a")
    assert len(server.requests) == 2


async def test_no_more_than_five_redirects_are_followed(server: Server, fetcher: Fetcher) -> None:
    for n in range(20):
        server.answer(f"/{n}", b"", 307, Location=f"/{n + 1}")
    with pytest.raises(Refused, match="without end"):
        await fetcher.get(f"{server.url}/0")
    assert len(server.requests) == 6


@pytest.mark.parametrize("target", ["ftp://x.example/y", "javascript:alert(1)", "http://[broken", "//u:p@h.example/"])
async def test_a_redirect_to_no_web_address_is_refused(server: Server, fetcher: Fetcher, target: str) -> None:
    server.answer("/x", b"", 302, Location=target)
    with pytest.raises((Refused, BadAnswer)):
        await fetcher.get(f"{server.url}/x")


async def test_a_redirect_inside_the_house_is_refused(server: Server, fetcher: Fetcher) -> None:
    async def handler(_: str, __: dict[str, str], writer: asyncio.StreamWriter) -> None:
        fetcher.reconfigure(OutboundOptions(False, "Seedkeep/test"))
        writer.write(b"HTTP/1.1 302 X\r\nLocation: https://192.168.1.1/admin\r\nContent-Length: 0\r\n\r\n")

    server.handlers["/x"] = handler
    with pytest.raises(Refused, match=r"192\.168\.1\.1 is on a private network"):
        await fetcher.get(f"{server.url}/x")


# Sizes


async def test_ten_gigabytes_of_json_are_refused_before_reading(server: Server, fetcher: Fetcher) -> None:
    server.answer("/x", b"[", length=10 * 1024**3)
    with pytest.raises(BadAnswer, match="more than the 8 MiB") as caught:
        await fetcher.get(f"{server.url}/x")
    assert caught.value.hint
    assert fetcher.asked_today(server.origin).received < 1000


async def test_a_body_that_never_ends_is_cut(server: Server, fetcher: Fetcher) -> None:
    async def handler(_: str, __: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            await writer.drain()

    server.handlers["/x"] = handler
    with pytest.raises(BadAnswer, match="more than the 64 KiB"):
        await fetcher.get(f"{server.url}/x", max_bytes=65536)
    assert fetcher.asked_today(server.origin).received < 10**6


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_bomb_does_not_go_off(
    server: Server, fetcher: Fetcher, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    server.answer("/x", pack(b"\0" * 50_000_000), Content_Encoding=encoding)
    with pytest.raises(BadAnswer, match="more than the 1 MiB"):
        await fetcher.get(f"{server.url}/x", max_bytes=1 << 20)
    server.answer("/y", pack(b"fine"), Content_Encoding=encoding)
    assert (await fetcher.get(f"{server.url}/y")).body == b"fine"


@pytest.mark.parametrize(("encoding", "body"), [("br", b"xx"), ("gzip", b"no gzip at all")])
async def test_an_unusable_packing_is_a_bad_answer(
    server: Server, fetcher: Fetcher, encoding: str, body: bytes
) -> None:
    server.answer("/x", body, Content_Encoding=encoding)
    with pytest.raises(BadAnswer):
        await fetcher.get(f"{server.url}/x")


# Time


async def test_a_server_that_says_nothing_is_given_up(server: Server, fetcher: Fetcher) -> None:
    async def handler(_: str, __: dict[str, str], writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server.handlers["/x"] = handler
    with pytest.raises(Unreachable, match="took too long") as caught:
        await fetcher.get(f"{server.url}/x", timeout=0.2)
    assert caught.value.retryable


async def test_a_server_that_drips_is_given_up(server: Server, fetcher: Fetcher) -> None:
    async def handler(_: str, __: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.handlers["/x"] = handler
    with pytest.raises(Unreachable, match="took too long"):
        await fetcher.get(f"{server.url}/x", timeout=0.3)
    with pytest.raises(Unreachable, match="so slowly"):
        await read_all(fetcher, f"{server.url}/x", priority=True)


async def test_nobody_at_home_is_unreachable(fetcher: Fetcher) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="cannot be reached"):
            await fetcher.get(f"http://127.0.0.1:{taken.getsockname()[1]}/x")


async def test_an_answer_that_breaks_off_is_unreachable_and_not_half_an_answer(
    server: Server, fetcher: Fetcher
) -> None:
    async def handler(_: str, __: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nhalf")
        writer.close()

    server.handlers["/x"] = handler
    with pytest.raises(Unreachable, match="broke off"):
        await fetcher.get(f"{server.url}/x")


async def test_a_server_that_does_not_speak_http_is_told_apart(server: Server, fetcher: Fetcher) -> None:
    async def handler(_: str, __: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")

    server.handlers["/x"] = handler
    with pytest.raises(OriginError) as caught:
        await fetcher.get(f"{server.url}/x")
    assert server.origin in caught.value.message


# Statuses


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BadAnswer, False),
        (401, Forbidden, False),
        (403, Forbidden, False),
        (404, NotFound, False),
        (410, NotFound, False),
        (429, Throttled, True),
        (451, Forbidden, False),
        (500, ServerTrouble, True),
        (502, ServerTrouble, True),
        (503, ServerTrouble, True),
        (204 + 2, BadAnswer, False),
        (304, BadAnswer, False),
    ],
)
async def test_each_status_has_its_error_and_its_remedy(
    server: Server, fetcher: Fetcher, status: int, kind: type[OriginError], retryable: bool
) -> None:
    server.answer("/x", b'{"detail":"ENOENT /var/www/peertube/storage/secret"}' if status != 304 else b"", status)
    with pytest.raises(kind) as caught:
        await fetcher.get(f"{server.url}/x")
    error = caught.value
    assert error.retryable is retryable
    assert server.origin in error.message
    assert error.hint
    assert "/var/www" not in error.message + error.hint


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), ("0", 0), ("99999999", 86400), ("Fri, 21 Nov 2036 09:00:00 GMT", 86400), ("soon", 15), ("-5", 15)],
)
async def test_a_server_that_asks_for_time_gets_it(server: Server, fetcher: Fetcher, said: str, seconds: float) -> None:
    server.answer("/x", b"Too many", 429, Retry_After=said)
    with pytest.raises(Throttled) as caught:
        await fetcher.get(f"{server.url}/x")
    assert caught.value.after == pytest.approx(seconds)


async def test_expected_statuses_are_answers(server: Server, fetcher: Fetcher) -> None:
    server.answer("/x", b'{"detail":"gone"}', 404, Content_Type="application/problem+json")
    answer = await fetcher.get(f"{server.url}/x", expect=frozenset({404}))
    assert (answer.status, answer.body, answer.content_type) == (404, b'{"detail":"gone"}', "application/problem+json")


async def test_an_unchanged_answer_costs_no_body(server: Server, fetcher: Fetcher) -> None:
    server.answer("/x", b"{}", ETag='W/"2-abc"')
    first = await fetcher.get(f"{server.url}/x")
    assert first.etag == 'W/"2-abc"'
    server.answer("/x", b"", 304)
    again = await fetcher.get(f"{server.url}/x", etag=first.etag)
    assert (again.not_modified, again.body, again.etag) == (True, b"", 'W/"2-abc"')
    assert server.requests[-1][1]["if-none-match"] == 'W/"2-abc"'
    assert server.requests[-1][1]["user-agent"] == "Seedkeep/test"


# Ranges and streams

MEDIA = bytes(range(256)) * 40


def serve_media(server: Server) -> None:
    async def handler(_: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        first, _, last = headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        end = min(int(last or len(MEDIA) - 1), len(MEDIA) - 1)
        body = MEDIA[int(first) : end + 1]
        if "range" in headers:
            head = f"206 X\r\nContent-Range: bytes {first}-{end}/{len(MEDIA)}"
        else:
            head = "200 X"
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    server.handlers["/m.mp4"] = handler


async def test_a_range_is_exactly_what_was_asked_for(server: Server, fetcher: Fetcher) -> None:
    serve_media(server)
    assert await fetcher.get_range(f"{server.url}/m.mp4", 100, 299) == MEDIA[100:300]
    assert await fetcher.get_range(f"{server.url}/m.mp4", 0, 0, priority=True) == MEDIA[:1]
    assert server.requests[0][1]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 200, "body": b"x" * 50},
        {"status": 200, "body": b"x" * 10},
        {"status": 206, "body": b"x" * 10},
        {"status": 206, "body": b"x" * 10, "Content_Range": "bytes 0-9/50"},
        {"status": 206, "body": b"x" * 10, "Content_Range": "bytes 10-18/50"},
        {"status": 206, "body": b"x" * 9, "Content_Range": "bytes 10-19/50"},
        {"status": 206, "body": b"x" * 11, "Content_Range": "bytes 10-19/50"},
        {"status": 206, "body": b"x" * 10, "Content_Range": "bytes ten-19/50"},
        {"status": 206, "body": b"x" * 10, "Content_Range": "bytes 10-19/" + "9" * 40},
        {"status": 416, "body": b""},
    ],
)
async def test_any_other_range_is_a_bad_answer(server: Server, fetcher: Fetcher, answer: dict[str, object]) -> None:
    server.answer("/m.mp4", **answer)  # type: ignore[arg-type]
    with pytest.raises(BadAnswer):
        await fetcher.get_range(f"{server.url}/m.mp4", 10, 19)


async def test_a_whole_file_may_come_without_a_range(server: Server, fetcher: Fetcher) -> None:
    server.answer("/m.mp4", b"x" * 20)
    assert await fetcher.get_range(f"{server.url}/m.mp4", 0, 19) == b"x" * 20


async def test_a_stream_resumes_where_it_is_told(server: Server, fetcher: Fetcher) -> None:
    serve_media(server)
    for offset in (0, 5000):
        parts = [chunk async for chunk in fetcher.stream(f"{server.url}/m.mp4", offset)]
        assert b"".join(parts) == MEDIA[offset:]


async def test_a_stream_of_more_than_the_file_is_cut(server: Server, fetcher: Fetcher) -> None:
    serve_media(server)
    with pytest.raises(BadAnswer, match="more than"):
        async for _ in fetcher.stream(f"{server.url}/m.mp4", max_bytes=1000):
            pass


async def test_a_server_that_does_not_resume_is_a_bad_answer(server: Server, fetcher: Fetcher) -> None:
    server.answer("/m.mp4", MEDIA)
    with pytest.raises(BadAnswer, match="other bytes"):
        async for _ in fetcher.stream(f"{server.url}/m.mp4", 10):
            pass


# Connections


async def test_one_connection_serves_many_requests(server: Server, fetcher: Fetcher) -> None:
    serve_media(server)
    for n in range(10):
        await fetcher.get_range(f"{server.url}/m.mp4", n, n + 10)
    assert server.connections == 1


async def test_a_kept_connection_that_went_away_is_replaced(server: Server, fetcher: Fetcher) -> None:
    server.answer("/x")
    await fetcher.get(f"{server.url}/x")
    server.hang_up()
    assert (await fetcher.get(f"{server.url}/x")).status == 200
    assert server.connections == 2


async def test_nothing_is_left_open_after_failures_in_the_middle(server: Server, fetcher: Fetcher) -> None:
    serve_media(server)
    for _ in range(5):
        async with aclosing(fetcher.stream(f"{server.url}/m.mp4")) as chunks:
            async for _chunk in chunks:
                break
    assert await fetcher.get_range(f"{server.url}/m.mp4", 0, 9) == MEDIA[:10]


# Rates, in real time


def serve_megabytes(server: Server, count: int) -> None:
    server.answer("/big.mp4", b"x" * (count << 20))


async def read_all(fetcher: Fetcher, url: str, *, priority: bool = False) -> int:
    total = 0
    async for chunk in fetcher.stream(url, priority=priority):
        total += len(chunk)
    return total


async def test_the_rate_holds_over_all_streams_together(server: Server) -> None:
    serve_megabytes(server, 1)
    async with fetching(clock=RealClock()) as fetcher:
        fetcher.set_rate(BytesPerSecond(1 << 20))
        start = time.monotonic()
        await asyncio.gather(*(read_all(fetcher, f"{server.url}/big.mp4") for _ in range(2)))
        took = time.monotonic() - start
    assert 1.6 <= took <= 2.6


async def test_a_rate_of_nought_stops_and_a_new_one_goes_on(server: Server) -> None:
    serve_megabytes(server, 1)
    async with fetching(clock=RealClock()) as fetcher:
        fetcher.set_rate(BytesPerSecond(0))
        reading = asyncio.ensure_future(read_all(fetcher, f"{server.url}/big.mp4"))
        await asyncio.sleep(0.2)
        assert not reading.done()
        assert server.requests == []
        fetcher.set_rate(None)
        assert await asyncio.wait_for(reading, 2) == 1 << 20
        assert fetcher.received_rate() >= 1 << 20


async def test_our_own_limit_is_not_held_against_the_origin(server: Server) -> None:
    serve_megabytes(server, 1)
    async with fetching(clock=RealClock()) as fetcher:
        fetcher.set_rate(BytesPerSecond(1 << 20))
        answer = await fetcher.get(f"{server.url}/big.mp4", ask=Ask.SIDE, timeout=0.4)
        assert len(answer.body) == 1 << 20


async def test_a_viewer_goes_ahead_of_other_streams(server: Server) -> None:
    serve_megabytes(server, 1)
    async with fetching(clock=RealClock()) as fetcher:
        fetcher.set_rate(BytesPerSecond(1 << 20))
        order: list[str] = []

        async def reading(name: str, priority: bool) -> None:
            await read_all(fetcher, f"{server.url}/big.mp4", priority=priority)
            order.append(name)

        others = asyncio.ensure_future(reading("pin", False))
        await asyncio.sleep(0.2)
        await reading("viewer", True)
        assert order == ["viewer"]
        await others


async def test_every_byte_is_told_to_the_ledger(server: Server) -> None:
    told: dict[Origin, int] = {}

    def count(origin: Origin, n: int, near: bool) -> None:
        assert not near
        told[origin] = told.get(origin, 0) + n

    serve_media(server)
    async with Fetcher(OutboundOptions(True, "Seedkeep/test"), QuickClock(), count=count) as fetcher:
        await fetcher.get_range(f"{server.url}/m.mp4", 0, 999)
    assert 1000 <= told[server.origin] <= 1300


async def test_a_server_on_the_lan_is_neither_held_back_nor_counted_as_uplink(server: Server) -> None:
    told: dict[bool, int] = {True: 0, False: 0}
    lan = {"127.0.0.1"}

    def count(_: Origin, n: int, near: bool) -> None:
        told[near] += n

    serve_media(server)
    options = OutboundOptions(True, "Seedkeep/test")
    async with Fetcher(options, QuickClock(), count=count, is_lan=lan.__contains__) as fetcher:
        fetcher.set_rate(BytesPerSecond(0))
        assert await fetcher.get_range(f"{server.url}/m.mp4", 0, 999)
        async with aclosing(fetcher.stream(f"{server.url}/m.mp4", 0)) as chunks:
            assert sum([len(chunk) async for chunk in chunks]) > 1000
        assert fetcher.received_rate() == 0
        assert told[True] > 2000
        assert told[False] == 0
        lan.clear()  # the name leads elsewhere from now on: that is found out by what answers
        for n in range(2):
            before = told[False]
            waiting = asyncio.ensure_future(fetcher.get_range(f"{server.url}/m.mp4", 0, 999))
            assert await asyncio.wait({waiting}, timeout=0.1) == (set(), {waiting}), "our limit holds again"
            assert (told[False] > before) == (n == 0), "and from the second on before anything is asked"
            waiting.cancel()
            await asyncio.wait({waiting})
