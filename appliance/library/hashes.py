"""Lists of segments' hashes: this module reads PeerTube's hostile ``segments-sha256.json``. Pure."""

import re
from collections.abc import Mapping

import msgspec

from appliance.domain.units import ByteCount
from appliance.errors import BadAnswer
from appliance.library.layout import safe_name

MAX_LIST = 32 * 1024 * 1024

Hashes = Mapping[str, Mapping[tuple[int, int], str]]
"""File name to (first byte, last byte) to the SHA-256 of that range, 64 lower-case hex digits."""

_SPAN = re.compile(r"(\d{1,15})-(\d{1,15})")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256_list(data: bytes, sizes: Mapping[str, ByteCount] | None = None) -> dict[str, dict[tuple[int, int], str]]:
    """Read a ``segments-sha256.json``. Raises BadAnswer.

    PeerTube writes ranges for one file, and for separate segment files (of live archives) one hash a file; the latter
    are kept where ``sizes`` says how long the file is.
    """
    if len(data) > MAX_LIST:
        raise BadAnswer("The list of segment hashes is too large.")
    try:
        raw = msgspec.json.decode(data, type=dict[str, dict[str, str] | str])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer("The list of segment hashes cannot be read.") from error
    out: dict[str, dict[tuple[int, int], str]] = {}
    for name, value in raw.items():
        safe_name(name)
        if isinstance(value, str):
            if sizes and sizes.get(name):
                out[name] = {(0, sizes[name] - 1): _sha256(value)}
            continue
        out[name] = {_span(span): _sha256(digest) for span, digest in value.items()}
    return out


def _span(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    if not match or int(match[2]) < int(match[1]):
        raise BadAnswer("The list of segment hashes has a range that cannot be read.")
    return int(match[1]), int(match[2])


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text.lower()):
        raise BadAnswer("The list of segment hashes has a hash that cannot be one.")
    return text.lower()
