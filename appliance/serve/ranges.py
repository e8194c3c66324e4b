"""What a request for bytes asks for: this module reads Range, If-Range and If-None-Match (RFC 9110). Pure.

The ETag comes from what the bytes are, never from the file's times: a file that is still arriving changes those with
every piece. So there is no Last-Modified either.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.IGNORECASE)

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer to GET or HEAD, and which bytes its body has: ``count`` from ``offset``."""

    status: int
    headers: Headers
    offset: int
    count: int


@lru_cache(512)
def entity_tag(identity: str, size: int) -> str:
    """Return the strong ETag of ``size`` bytes that are ``identity``."""
    return f'"{hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:24]}-{size:x}"'


def answer(method: str, headers: Mapping[bytes, bytes], tag: str, size: int, content_type: str) -> Answer:
    """Return what GET or HEAD of ``size`` bytes gets: 200, 206, 304 or 416.

    Range counts for GET only (14.2), not with a stale If-Range (13.1.5); a malformed one and several are ignored.
    """
    common = [(b"etag", tag.encode()), (b"accept-ranges", b"bytes")]
    known = headers.get(b"if-none-match")
    if known is not None and _matches(known.decode("latin1"), tag):
        return Answer(304, common, 0, 0)
    typed = [*common, (b"content-type", content_type.encode())]
    wanted, condition = headers.get(b"range"), headers.get(b"if-range")
    if method == "GET" and wanted is not None and (condition is None or condition.decode("latin1").strip() == tag):
        match parse_range(wanted.decode("latin1"), size):
            case False:
                return Answer(416, [*common, (b"content-range", b"bytes */%d" % size), (b"content-length", b"0")], 0, 0)
            case (first, last):
                span = (b"content-range", b"bytes %d-%d/%d" % (first, last, size))
                count = last - first + 1
                return Answer(206, [*typed, span, (b"content-length", b"%d" % count)], first, count)
            case _:
                pass
    return Answer(200, [*typed, (b"content-length", b"%d" % size)], 0, size)


def parse_range(value: str, size: int) -> tuple[int, int] | bool | None:
    """Return (first, last) inclusive; None means the whole (14.2: ignore), False that nothing of it exists (416)."""
    match = _RANGE.fullmatch(value.strip())
    if not match or match[0].endswith("=-"):
        return None
    start, end = match.groups()
    if not start:
        length = int(end)
        return (max(0, size - length), size - 1) if length and size else False
    first, last = int(start), int(end) if end else size - 1
    if end and last < first:
        return None
    return False if first >= size else (first, min(last, size - 1))


def _matches(header: str, tag: str) -> bool:
    """If-None-Match: weak comparison (13.1.2)."""
    return header.strip() == "*" or tag in [t.strip().removeprefix("W/") for t in header.split(",")]
