"""The front end's files: style, scripts, fonts, icons. This module serves them from memory, some of them squeezed.

All of them together are small, and known when the process starts: what is not in the table does not exist, so no
path of a request ever reaches the disk.
"""

import asyncio
import gzip
import hashlib
import mimetypes
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from litestar.types import HTTPScope, Receive, Send

STATIC = Path(__file__).resolve().parent / "static"
_HASHED = re.compile(r"-[A-Za-z0-9_]{8,}\.[a-z0-9]+$")
"""A name that changes with its content, as the bundler writes it."""
_FOREVER, _ASK = b"public, max-age=31536000, immutable", b"public, no-cache"
_SQUEEZED = ("text/", "application/javascript", "application/json", "application/manifest+json", "image/svg")
_TYPES = {
    ".webmanifest": "application/manifest+json",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class _File:
    kind: str
    tag: str
    lasting: bytes
    plain: bytes
    squeezed: bytes | None


def _read(folder: Path) -> dict[str, _File]:
    """Return every file below a folder by its path; blocking."""
    found: dict[str, _File] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            data = path.read_bytes()
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            small = gzip.compress(data, 6, mtime=0) if kind.startswith(_SQUEEZED) else None
            tag = hashlib.sha256(data).hexdigest()[:20]
            lasting = _FOREVER if _HASHED.search(path.name) else _ASK
            better = small if small is not None and len(small) < len(data) else None
            found[path.relative_to(folder).as_posix()] = _File(kind, tag, lasting, data, better)
    return found


class Statics:
    """An ASGI app for the paths below ``/static/``."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._files: dict[str, _File] | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, scope: HTTPScope, _: Receive, send: Send) -> None:
        async with self._lock:
            if self._files is None:
                self._files = await asyncio.to_thread(_read, self._folder)
        file = self._files.get(scope["path"].removeprefix("/static/"))
        if file is None:
            return await _answer(send, 404, [(b"content-type", b"text/plain")], b"There is no such file.\n")
        if scope["method"] not in ("GET", "HEAD"):
            return await _answer(send, 405, [(b"allow", b"GET, HEAD")], b"")
        asked = dict(scope["headers"])
        squeeze = file.squeezed is not None and b"gzip" in asked.get(b"accept-encoding", b"")
        tag = f'"{file.tag}{"-gz" if squeeze else ""}"'.encode()
        headers = [(b"etag", tag), (b"cache-control", file.lasting), (b"vary", b"Accept-Encoding")]
        if tag in asked.get(b"if-none-match", b""):
            return await _answer(send, 304, headers, None)
        headers.append((b"content-type", file.kind.encode()))
        if squeeze:
            headers.append((b"content-encoding", b"gzip"))
        body = file.squeezed if squeeze and file.squeezed is not None else file.plain
        return await _answer(send, 200, headers, body)


async def _answer(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes | None) -> None:
    if body is not None:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body or b"", "more_body": False})
