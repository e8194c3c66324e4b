"""One request to the media server and its answer over ASGI: this module bounds the one and frames the other."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from appliance.lan.interfaces import parsed
from appliance.serve.dlna.soap import MOST_BODY, Unreadable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_SECONDS = 10.0
_SERVER = b"Linux/1 UPnP/1.1 Seedkeep/1"


class Gone(Exception):
    """Whoever asked left before the request was whole."""


class Request:
    """One request. ``source`` is the asker's address, ``base`` our own as the connection came to it, as a URL."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method, self.path = str(scope["method"]), str(scope["path"])
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        client, server = scope.get("client"), scope.get("server")
        self.source = _plain(str(client[0])) if client else ""
        self.base = _base(server)
        self.started = False
        self._receive, self._send = receive, send

    def said(self, name: bytes) -> str:
        """Return a header's text, empty where it is not there."""
        return self.headers.get(name, b"").decode("latin-1")

    async def body(self) -> bytes:
        """Return the whole body. Raises Unreadable where it is too large or too slow."""
        if int(_digits(self.said(b"content-length"))) > MOST_BODY:
            raise Unreadable("The request is too large.", 413)
        data = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    data += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(data) > MOST_BODY:
                        raise Unreadable("The request is too large.", 413)
        except TimeoutError as error:
            raise Unreadable("The request comes too slowly.", 408) from error
        return bytes(data)

    async def reply(
        self,
        status: int,
        body: bytes = b"",
        kind: bytes = b"",
        *,
        cache: bytes = b"no-cache",
        extra: Headers | None = None,
    ) -> None:
        self.started = True
        headers: Headers = [(b"server", _SERVER)]
        if status != 304:  # its length would be that of what is not sent (RFC 9110, 8.6)
            headers.append((b"content-length", b"%d" % len(body)))
        if kind:
            headers += [(b"content-type", kind), (b"cache-control", cache)]
        await self._send({"type": "http.response.start", "status": status, "headers": headers + (extra or [])})
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})


def _plain(source: str) -> str:
    """Return an address without a mapping into IPv6; its scope stays."""
    found = parsed(source)
    return source if found is None or "%" in source else str(found)


def _base(server: Any) -> str:
    """Return our address as the connection came to it."""
    host, port = (server or ("127.0.0.1", 0))[:2]
    found = parsed(str(host))
    text = str(host) if found is None else str(found)
    text = f"[{text}]" if ":" in text else text
    return f"http://{text}" if port == 80 else f"http://{text}:{port}"


def _digits(text: str) -> str:
    return text if text.isascii() and text.isdigit() and len(text) < 16 else "0"
