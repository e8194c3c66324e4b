"""What every answer carries: policy headers, and CORS where players of other sites read. This module adds both."""

from collections.abc import Iterable

from web.access.decide import Area

Pairs = list[tuple[bytes, bytes]]

_PAGE_POLICY = (
    b"default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    b"worker-src 'self' blob:; connect-src 'self'; font-src 'self'; object-src 'none'; base-uri 'none'; "
    b"form-action 'self'; frame-ancestors 'self'"
)
_DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"

_ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
_SAME_SITE: tuple[tuple[bytes, bytes], ...] = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
)
CORS: tuple[tuple[bytes, bytes], ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Content-Length, Content-Range, Accept-Ranges, ETag, Last-Modified"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
"""Players of any site may read media: what they may play is decided before, and no cookie is sent along with ``*``."""

_OURS = frozenset({*(name for name, _ in CORS), b"access-control-allow-credentials"})

PREFLIGHT: tuple[tuple[bytes, bytes], ...] = (
    *CORS,
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    (b"access-control-allow-headers", b"Authorization, Range, If-Range, If-None-Match, If-Modified-Since"),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
)
"""Answer to a CORS preflight (Fetch standard)."""


def dressed(area: Area, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """Return an answer's headers with those that belong to its area; what a handler set itself stays."""
    given = [(name.lower(), value) for name, value in headers]
    if area is Area.PLAY:
        given = [pair for pair in given if pair[0] not in _OURS]
    if area is Area.DLNA:
        return [*given, *_ALWAYS]
    names = {name for name, _ in given}
    wanted = [*_ALWAYS, *(CORS if area is Area.PLAY else _SAME_SITE)]
    if not path.startswith("/static/"):
        wanted.append((b"content-security-policy", _policy(area, given)))
    if area in (Area.API, Area.PAGE, Area.SETUP, Area.LOGIN):
        wanted.append((b"cache-control", b"private, no-cache"))
    return given + [pair for pair in wanted if pair[0] not in names]


def _policy(area: Area, headers: Pairs) -> bytes:
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    return _PAGE_POLICY if kind.startswith(b"text/html") and area is not Area.PLAY else _DATA_POLICY
