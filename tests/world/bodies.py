"""Addresses in answers: this module puts a server's real address where the recording says 127.0.0.1:9001 or :9002."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import libtorrent as lt

RECORDED = {"origin": "127.0.0.1:9001", "mirror": "127.0.0.1:9002"}

_TEXT = ("json", "xml", "html", "mpegurl")


def rewritten(body: bytes, content_type: str, addresses: Mapping[str, str]) -> bytes:
    """Return ``body`` with the recorded addresses replaced: in text also percent-encoded, in torrents outside ``info``.

    ``addresses`` maps a recorded ``host:port`` to the real one.
    """
    if "bittorrent" in content_type:
        return torrent_at(body, addresses)
    if not any(kind in content_type for kind in _TEXT):
        return body
    for old, new in addresses.items():
        body = body.replace(old.encode(), new.encode())
        body = body.replace(quote(old, safe="").encode(), quote(new, safe="").encode())
    return body


def torrent_at(torrent: bytes, addresses: Mapping[str, str]) -> bytes:
    """Return a ``.torrent`` whose trackers and web seeds have the new addresses; ``info`` and its hash stay."""
    parts = bdecoded(torrent)
    return bencode({k: v if k == b"info" else _moved(v, addresses) for k, v in parts.items()})


def bdecoded(torrent: bytes) -> dict[bytes, Any]:
    """Return what a ``.torrent`` holds. Raises ValueError where it is none."""
    parts: Any = lt.bdecode(torrent)
    if not isinstance(parts, dict):
        raise ValueError("not a torrent")
    return parts


def bencode(value: object) -> bytes:
    """Return a value as BEP 3 writes it; text as UTF-8."""
    match value:
        case bytes():
            return b"%d:%s" % (len(value), value)
        case str():
            return bencode(value.encode())
        case int():
            return b"i%de" % value
        case list():
            return b"l%se" % b"".join(map(bencode, value))
        case dict():
            named = {k.encode() if isinstance(k, str) else k: v for k, v in value.items()}
            return b"d%se" % b"".join(bencode(k) + bencode(named[k]) for k in sorted(named))
    raise TypeError(f"{type(value)} cannot be bencoded")


def _moved(value: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_moved(v, addresses) for v in value]
    if isinstance(value, bytes):
        for old, new in addresses.items():
            value = value.replace(old.encode(), new.encode())
    return value


def info_hash(torrent: bytes) -> bytes:
    """Return the 20 bytes of a v1 info-hash (BEP 3)."""
    return hashlib.sha1(bencode(bdecoded(torrent)[b"info"])).digest()


def json_etag(body: bytes) -> str:
    """Return the weak ETag that PeerTube gives a JSON answer."""
    return f'W/"{len(body):x}-{base64.b64encode(hashlib.sha1(body).digest()).decode()[:27]}"'


def static_etag(size: int, old: str) -> str:
    """Return a static file's ETag, ``size-mtime`` in hex, for another size."""
    return f'W/"{size:x}-{old.rpartition("-")[2].strip(chr(34)) or "1a1fae6b22b"}"'
