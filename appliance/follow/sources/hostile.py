"""Values out of JSON that we don't trust: this module gives clean text, bounded numbers, plain addresses or nothing.

Nothing here raises but ``parsed``, and that only BadAnswer.
"""

import json
import math
import unicodedata
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit

import msgspec

from appliance.errors import BadAnswer

_LONGEST_URL = 2048
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_JOINERS = frozenset("\u200c\u200d\u200e\u200f")
"""Joiners and marks that scripts need; overrides and isolates, which can reverse what stands around them, go."""


def parsed(body: bytes, what: str) -> dict[str, object]:
    """Return the JSON object in ``body``; ``what`` names it in the error. Raises BadAnswer."""
    try:
        value = _decoded(body)
    except (ValueError, RecursionError, MemoryError) as error:
        raise not_understood(what) from error
    if not isinstance(value, dict):
        raise not_understood(what)
    return value


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        # JavaScript may cut a string in the middle of a character; only the slower parser reads that.
        if b"\\ud" not in body.lower():
            raise
        value: object = json.loads(body, parse_constant=_no_constant)
        return value


def _no_constant(name: str) -> object:
    raise ValueError(name)


def not_understood(what: str) -> BadAnswer:
    return BadAnswer(f"The server's {what} could not be understood.", hint="Is this a PeerTube server, and up to date?")


def member(value: object, *keys: str) -> object:
    """Return ``value[key1][key2]…``, None where that path does not exist."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def items(value: object, most: int) -> list[object]:
    """Return the first ``most`` elements of a list; of anything else none."""
    return value[:most] if isinstance(value, list) else []


def line(value: object, most: int) -> str:
    """Return text as one clean line of at most ``most`` characters."""
    return _cut(" ".join(_clean(value, most).split()), most)


def text(value: object, most: int) -> str:
    """Return text of several lines, clean, of at most ``most`` characters."""
    lines = _clean(value, most).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return _cut("\n".join(part.rstrip() for part in lines).strip(), most)


def _clean(value: object, most: int) -> str:
    if not isinstance(value, str):
        return ""
    raw = value[: most * 4 + 1000]
    return "".join(c for c in raw if c in "\n\r\t" or c in _JOINERS or not unicodedata.category(c).startswith("C"))


def _cut(value: str, most: int) -> str:
    return value if len(value) <= most else value[: most - 1].rstrip() + "…"


def whole(value: object, least: int, most: int) -> int | None:
    """Return a whole number within its bounds, rounded; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    rounded = round(value)
    return rounded if least <= rounded <= most else None


def count(value: object, most: int) -> int:
    """Return a count from 0 to ``most``, the nearest bound where it lies outside, 0 where it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return 0
    return round(min(max(value, 0), most))


def moment(value: object) -> datetime | None:
    """Return an RFC 3339 time in UTC; None for anything else."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return found if _EARLIEST <= found <= _LATEST else None


def web_url(value: object, base: str | None = None) -> str | None:
    """Return an http(s) address with a host and without a password; None for anything else.

    With ``base`` an address relative to it will do.
    """
    if not isinstance(value, str) or not value or len(value) > _LONGEST_URL:
        return None
    if any(c.isspace() or c == "\\" or not c.isprintable() for c in value):
        return None
    try:
        joined = urljoin(base, value) if base else value
        parts = urlsplit(joined)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname
    usable = parts.scheme in ("http", "https") and host and port != 0 and "@" not in parts.netloc
    return joined if usable else None
