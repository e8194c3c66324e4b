"""A small HTTP/1.1 server that can also misbehave, in a thread of its own: this module speaks for the origin."""

import asyncio
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote

from tests.world.faults import Fault, FaultKind

SLICE = 1 << 20
_REASONS = {
    200: "OK", 204: "No Content", 206: "Partial Content", 302: "Found", 304: "Not Modified", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 416: "Range Not Satisfiable", 429: "Too Many Requests",
}  # fmt: skip
_RANGE_ERROR = (
    b'{"type":"https://docs.joinpeertube.org/api-rest-reference.html#section/Errors/RangeNotSatisfiableError",'
    b'"detail":"Range Not Satisfiable","status":416,"code":"RangeNotSatisfiableError"}'
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. Header names are in lower case; ``path`` is decoded, ``target`` is as sent; ``door`` is the index
    of the socket it came to."""

    method: str
    target: str
    path: str
    query: str
    headers: Mapping[str, str]
    client: str
    door: int


@dataclass(slots=True)
class Reply:
    """What is answered. A ``Path`` is sent from disk. ``ranges``: Range and the conditional headers are obeyed."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Path = b""
    ranges: bool = False

    @property
    def size(self) -> int:
        return self.body.stat().st_size if isinstance(self.body, Path) else len(self.body)


@dataclass(slots=True)
class Visit:
    """One request in the log. ``sent`` counts the bytes of the body that left, so far; ``over``: no more will."""

    method: str
    path: str
    query: str
    range: str
    client: str
    at: float
    agent: str = ""
    status: int = 0
    sent: int = 0
    over: bool = False


def _span(text: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte of a single range, None where it is to be ignored. Raises ValueError for a 416."""
    unit, _, spec = text.partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip() != "bytes" or "," in spec or not dash or not (first + last).isdigit():
        return None
    if not first:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last or size - 1), size - 1)
    if start >= size or end < start:
        raise ValueError(text)
    return start, end


def _not_modified(request: Request, headers: Mapping[str, str]) -> bool:
    if tags := request.headers.get("if-none-match"):
        return headers.get("ETag", "-").removeprefix("W/") in [t.strip().removeprefix("W/") for t in tags.split(",")]
    since, changed = request.headers.get("if-modified-since"), headers.get("Last-Modified")
    return bool(since and changed and parsedate_to_datetime(changed) <= parsedate_to_datetime(since))


def _range_holds(request: Request, headers: Mapping[str, str]) -> bool:
    condition = request.headers.get("if-range")
    return condition is None or condition in (headers.get("ETag"), headers.get("Last-Modified"))


def partial(request: Request, reply: Reply) -> tuple[Reply, int, int]:
    """Return the reply as this request wants it, and offset and length of the body to send (RFC 9110)."""
    if reply.status == 200 and _not_modified(request, reply.headers):
        kept = {k: v for k, v in reply.headers.items() if k not in ("Content-Type", "Content-Length")}
        return Reply(304, kept), 0, 0
    wanted = request.headers.get("range")
    if reply.status != 200 or not reply.ranges or not wanted or not _range_holds(request, reply.headers):
        return reply, 0, reply.size
    try:
        span = _span(wanted, reply.size)
    except ValueError:
        headers = {"Content-Type": "application/problem+json; charset=utf-8", "Content-Range": f"bytes */{reply.size}"}
        return Reply(416, headers, _RANGE_ERROR), 0, len(_RANGE_ERROR)
    if span is None:
        return reply, 0, reply.size
    headers = reply.headers | {"Content-Range": f"bytes {span[0]}-{span[1]}/{reply.size}"}
    return Reply(206, headers, reply.body), span[0], span[1] - span[0] + 1


class Server:
    """Answers over HTTP from a thread of its own, on one or more sockets ("doors").

    ``answer`` is called in that thread and must not block for long. ``rate`` limits all bodies together, in bytes/s;
    ``latency`` is added to every answer, in seconds.
    """

    def __init__(self, answer: Callable[[Request], Reply], host: str, ports: tuple[int, ...]) -> None:
        self._answers = answer
        self._sockets = [_listening(host, port) for port in ports]
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="origin", daemon=True)
        self._free = 0.0
        self.ports = [int(s.getsockname()[1]) for s in self._sockets]
        self.rate: float | None = None
        self.latency = 0.0
        self.faults: list[Fault] = []
        self.log: list[Visit] = []
        self.changed = threading.Condition()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End every connection and the thread. Idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        for sock in self._sockets:
            sock.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        servers = [
            self._loop.run_until_complete(asyncio.start_server(self._door(i), sock=s, limit=1 << 16))
            for i, s in enumerate(self._sockets)
        ]
        try:
            self._loop.run_forever()
        finally:
            for server in servers:
                server.close()
            for task in self._tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(asyncio.sleep(0.005))
            self._loop.close()

    def _answer(self, request: Request) -> Reply:
        try:
            return self._answers(request)
        except Exception:  # noqa: BLE001 - a mistake in the world of tests, which should be seen
            traceback.print_exc()
            return Reply(500, {"Content-Type": "text/plain"}, b"the test's own origin failed")

    def _door(self, door: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._serve(reader, writer, door))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return connected

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: int) -> None:
        client = str((writer.get_extra_info("peername") or ("?",))[0])
        try:
            while (request := await _request(reader, client, door)) is not None:
                if not await self._respond(request, writer):
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            pass
        finally:
            writer.transport.abort()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request. Returns whether the connection stays."""
        visit = Visit(
            request.method,
            request.path,
            request.query,
            request.headers.get("range", ""),
            request.client,
            time.monotonic(),
            request.headers.get("user-agent", ""),
        )
        self.log.append(visit)
        fault = next((f for f in self.faults if f.spoils(request.path, request.target)), None)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            if fault is not None:
                return await self._misbehave(request, fault, visit, writer)
            reply, first, length = partial(request, self._answer(request))
            await self._send(request, reply, visit, writer, first, length)
        finally:
            visit.over = True
            with self.changed:
                self.changed.notify_all()
        return request.headers.get("connection", "").lower() != "close"

    async def _misbehave(self, request: Request, fault: Fault, visit: Visit, writer: asyncio.StreamWriter) -> bool:
        match fault.kind:
            case FaultKind.DEAF:
                return False
            case FaultKind.DELAY:
                await asyncio.sleep(fault.seconds)
                reply, first, length = partial(request, self._answer(request))
                await self._send(request, reply, visit, writer, first, length)
            case FaultKind.STATUS | FaultKind.REPLACED | FaultKind.TRUNCATED | FaultKind.CORRUPT | FaultKind.REDIRECT:
                reply, first, length = partial(request, self._spoilt(request, fault))
                await self._send(request, reply, visit, writer, first, length)
            case FaultKind.NO_RANGES:
                reply = self._answer(request)
                await self._send(request, reply, visit, writer, 0, reply.size)
            case FaultKind.CUT | FaultKind.STALL:
                reply, first, length = partial(request, self._answer(request))
                await self._send(request, reply, visit, writer, first, length, only=min(fault.after, length))
                if fault.kind is FaultKind.STALL:
                    await asyncio.sleep(fault.seconds or 3600)
                return False
            case FaultKind.ENDLESS | FaultKind.HUGE:
                await self._flood(request, fault, visit, writer)
                return False
        return True

    def _spoilt(self, request: Request, fault: Fault) -> Reply:
        extra = fault.headers or {}
        if fault.kind is FaultKind.STATUS:
            return Reply(fault.status, {"Content-Type": "text/plain; charset=utf-8"} | extra, fault.body)
        if fault.kind is FaultKind.REDIRECT:
            return Reply(302, {"Location": fault.to or request.target} | extra)
        reply = self._answer(request)
        body = reply.body.read_bytes() if isinstance(reply.body, Path) else reply.body
        headers = {k: v for k, v in reply.headers.items() if k != "ETag"} | extra
        if fault.kind is FaultKind.REPLACED:
            body = fault.body
        elif fault.kind is FaultKind.TRUNCATED:
            body = body[: fault.after]
        elif fault.after < 0:
            body = bytes(b ^ 0xFF for b in body)
        else:
            body = (
                body[: fault.after]
                + bytes(b ^ 0xFF for b in body[fault.after : fault.after + 1])
                + body[fault.after + 1 :]
            )
        return Reply(200, headers, body, reply.ranges)

    async def _flood(self, request: Request, fault: Fault, visit: Visit, writer: asyncio.StreamWriter) -> None:
        reply = self._answer(request)
        body = reply.body if isinstance(reply.body, bytes) and reply.body else bytes(SLICE)
        visit.status = reply.status
        headers = dict(reply.headers) | {"Connection": "close"}
        if fault.kind is FaultKind.HUGE:
            headers["Content-Length"], body = str(fault.after or 10_000_000_000), bytes(65536)
        writer.write(_head(reply.status, headers))
        while True:
            writer.write(body)
            await writer.drain()
            visit.sent += len(body)
            await asyncio.sleep(0)

    async def _send(
        self,
        request: Request,
        reply: Reply,
        visit: Visit,
        writer: asyncio.StreamWriter,
        first: int,
        length: int,
        only: int | None = None,
    ) -> None:
        visit.status = reply.status
        headers = dict(reply.headers)
        if reply.status not in (204, 304):
            headers["Content-Length"] = str(length)
        writer.write(_head(reply.status, headers))
        left = length if only is None else only
        if request.method == "HEAD" or reply.status in (204, 304):
            left = 0
        if isinstance(reply.body, Path) and left:
            await self._send_file(reply.body, visit, writer, first, left)
        else:
            await self._send_bytes(reply.body if isinstance(reply.body, bytes) else b"", visit, writer, first, left)
        await writer.drain()

    async def _send_bytes(self, body: bytes, visit: Visit, writer: asyncio.StreamWriter, first: int, left: int) -> None:
        while left:
            piece = body[first : first + min(left, self._slice())]
            await self._pace(len(piece))
            writer.write(piece)
            await writer.drain()
            first, left, visit.sent = first + len(piece), left - len(piece), visit.sent + len(piece)

    async def _send_file(self, path: Path, visit: Visit, writer: asyncio.StreamWriter, first: int, left: int) -> None:
        await writer.drain()
        with open(path, "rb") as file:  # noqa: ASYNC230 - this loop serves nothing else
            while left:
                count = min(left, self._slice())
                await self._pace(count)
                sent = await self._loop.sendfile(writer.transport, file, first, count)
                if not sent:
                    raise ConnectionError(f"{path} became shorter")
                first, left, visit.sent = first + sent, left - sent, visit.sent + sent

    def _slice(self) -> int:
        return SLICE if self.rate is None else max(4096, min(65536, int(self.rate / 20)))

    async def _pace(self, count: int) -> None:
        if self.rate is not None:
            now = self._loop.time()
            self._free = max(now, self._free) + count / self.rate
            await asyncio.sleep(self._free - now)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # said aloud, or asyncio leaves Nagle on
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(256)
    sock.setblocking(False)
    os.set_inheritable(sock.fileno(), False)
    return sock


async def _request(reader: asyncio.StreamReader, client: str, door: int) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    start, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _version = start.split(" ", 2)
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    return Request(method, target, unquote(path), query, headers, client, door)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")
