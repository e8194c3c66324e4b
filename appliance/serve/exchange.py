"""One HTTP exchange over ASGI: this module has its parts: the viewer who left, CORS, problem details (RFC 9457)."""

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from http import HTTPStatus
from typing import Any, Self, TypeVar
from urllib.parse import quote

from appliance.domain.shelf import NotPlayable
from appliance.domain.viewer import Viewer
from appliance.serve.ranges import Answer, Headers, answer, entity_tag
from appliance.serve.request_heads import connection_of
from appliance.serve.wire import wire_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

T = TypeVar("T")

_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")

CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Content-Length, Content-Range, Accept-Ranges, ETag"),
]
"""Cross-origin players (Chromecast, hls.js on another page) may read everything: access is decided before us."""

_PREFLIGHT: Headers = [
    *CORS,
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    (b"access-control-allow-headers", b"Range, If-Range, If-None-Match, Content-Type, Accept-Encoding"),
    (b"access-control-max-age", b"86400"),
]


class Left(Exception):
    """The one who asked is gone; nobody needs an answer."""


class Exchange:
    """A request and its answer. An async context manager: leaving it stops watching for the disconnect.

    It watches from the first ``watch`` or ``wait_for`` on: a short answer is given before anybody could leave.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        viewer = (scope.get("state") or {}).get("viewer")
        client = scope.get("client")
        self.viewer = viewer if isinstance(viewer, Viewer) else Viewer(name=client[0] if client else "")
        self.wire, self.connection = wire_of(scope), connection_of(scope)
        self._receive, self._send = receive, send
        self._gone: asyncio.Task[None] | None = None
        self.started = False
        self._scope = scope

    def base(self, below: str) -> str | None:
        """Return the absolute address that this request has up to and with ``below``, by the host it was asked of."""
        path = str(self._scope.get("root_path", "")) + self._scope["path"]
        host, at = self.headers.get(b"host", b"").decode("latin-1"), path.find(below)
        if at < 0 or not _HOST.fullmatch(host):
            return None
        return f"{self._scope.get('scheme', 'http')}://{host}{quote(path[: at + len(below)])}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.cancel()
            await asyncio.wait({self._gone})

    @property
    def left(self) -> bool:
        """Whether the client has closed the connection. A server's ``send`` says nothing of that."""
        if self.wire is not None and self.wire.gone:
            return True
        return self._gone is not None and self._gone.done()

    def watch(self) -> asyncio.Future[None]:
        """Watch from now on whether the client leaves: done when it has. A server with a wire says so by itself."""
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._watch())
        return self._gone

    async def wait_for(self, work: Coroutine[Any, Any, T], patience: float, refusal: NotPlayable) -> T:
        """Return what ``work`` returns; cancel it and raise Left when the client leaves, ``refusal`` after
        ``patience`` seconds."""
        task = asyncio.ensure_future(work)
        try:
            watched: set[asyncio.Future[Any]] = {task, self.watch()}
            await asyncio.wait(watched, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self.left:
                raise Left
            raise refusal
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def start(self, head: Answer, extra: Headers) -> None:
        self.started = True
        headers = [*head.headers, *CORS, (b"x-content-type-options", b"nosniff"), *extra]
        await self._send({"type": "http.response.start", "status": head.status, "headers": headers})

    async def body(self, data: bytes | bytearray, *, more: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def text(self, data: bytes, content_type: str, cache: bytes = b"no-cache") -> int:
        """Answer with a small body, conditionally and by range; return the bytes sent."""
        head = answer(
            self.method, self.headers, entity_tag(hashlib.sha256(data).hexdigest(), len(data)), len(data), content_type
        )
        await self.start(head, [(b"cache-control", cache)])
        part = b"" if self.method == "HEAD" else data[head.offset : head.offset + head.count]
        await self.body(part)
        return len(part)

    async def preflight(self) -> None:
        await self.start(Answer(204, _PREFLIGHT[len(CORS) :], 0, 0), [])
        await self.body(b"")

    async def problem(self, refusal: NotPlayable, extra: Headers | None = None) -> None:
        """Answer with problem details."""
        status = refusal.status if 400 <= refusal.status <= 599 else 404
        try:
            title = HTTPStatus(status).phrase
        except ValueError:
            title = "Not available"
        fields = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": refusal.message,
            "code": refusal.code,
            "hint": refusal.hint,
        }
        data = json.dumps(fields).encode()
        headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(data))]
        await self.start(Answer(status, headers, 0, 0), [(b"cache-control", b"no-store"), *(extra or [])])
        await self.body(b"" if self.method == "HEAD" else data)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
