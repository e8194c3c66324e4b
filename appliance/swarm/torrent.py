"""What a ``.torrent`` says, read as hostile input: this module turns its bytes into a TorrentMeta, or refuses.

Only BitTorrent v1 (BEP 3), with web seeds (BEP 19) and tracker lists (BEP 12). Everything is bounded before
libtorrent sees it. Trackers over WebSockets are dropped: PeerTube's bars an address for minutes when asked of an
info-hash that it does not know.
"""

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from appliance.domain.units import MIB, ByteCount, InfoHash
from appliance.errors import BadAnswer
from appliance.swarm.bencode import Malformed, Value, decode_dict
from appliance.swarm.port import TorrentMeta

MAX_TORRENT_BYTES = 16 * MIB
MAX_FILES = 5_000
MAX_PATH_PARTS = 8
MAX_FILE_SIZE = 1 << 44
MAX_PIECE_LENGTH = 64 * MIB
MIN_PIECE_LENGTH = 16 * 1024
MAX_ADDRESSES = 50
MAX_ADDRESS_LENGTH = 2_000
_HASH = 20
_HINT = "The publisher's server sent a broken torrent; nothing can be done here."


def _bad(why: str) -> BadAnswer:
    return BadAnswer(f"The torrent cannot be used: {why}.", hint=_HINT)


def parse_torrent(raw: bytes, *, allow_private: bool = False) -> TorrentMeta:
    """Return what a ``.torrent`` holds. Trackers and web seeds on private hosts are left out unless allowed.

    Host names are not looked up here; libtorrent refuses to connect to private addresses at connection time unless
    the session allows it. Raises BadAnswer, with one plain sentence, for anything that cannot be trusted.
    """
    if len(raw) > MAX_TORRENT_BYTES:
        raise _bad(f"it has {len(raw)} bytes, more than {MAX_TORRENT_BYTES}")
    try:
        outer, spans = decode_dict(raw)
    except Malformed as trouble:
        raise _bad(str(trouble)) from trouble
    info = outer.get(b"info")
    if not isinstance(info, dict):
        raise _bad("it has no info part")
    if b"meta version" in info or b"piece layers" in outer or b"file tree" in info:
        raise _bad("it is not a version 1 torrent")
    name = _name(info.get(b"name"))
    files = _files(info, name)
    piece_length, hashes = _pieces(info, sum(size for _, size in files))
    start, end = spans[b"info"]
    return TorrentMeta(
        info_hash=InfoHash(hashlib.sha1(raw[start:end], usedforsecurity=False).hexdigest()),
        name=name,
        files=files,
        piece_length=ByteCount(piece_length),
        pieces=len(hashes) // _HASH,
        content=hashlib.sha256(b"%d:" % piece_length + hashes).hexdigest(),
        trackers=tuple(usable_trackers(_trackers(outer), allow_private=allow_private)),
        web_seeds=tuple(usable_web_seeds(_addresses(outer.get(b"url-list")), allow_private=allow_private)),
        raw=raw,
    )


def _text(value: Value | None, what: str) -> str:
    if not isinstance(value, bytes):
        raise _bad(f"{what} is missing")
    try:
        return value.decode()
    except UnicodeDecodeError as trouble:
        raise _bad(f"{what} is not text") from trouble


def _name(value: Value | None) -> str:
    return _path_part(_text(value, "its name"))


def _path_part(part: str) -> str:
    if not part or part in {".", ".."}:
        raise _bad("a file name in it is empty or leads elsewhere")
    if "/" in part or "\\" in part or any(ord(c) < 32 or ord(c) == 127 for c in part):
        raise _bad("a file name in it has characters that lead elsewhere")
    if len(part.encode()) > 255:
        raise _bad("a file name in it is too long")
    return part


def _size(value: Value | None) -> ByteCount:
    if not isinstance(value, int) or not 0 < value <= MAX_FILE_SIZE:
        raise _bad("a file size in it is missing or absurd")
    return ByteCount(value)


def _files(info: Mapping[bytes, Value], name: str) -> tuple[tuple[str, ByteCount], ...]:
    listed = info.get(b"files")
    if listed is None:
        return ((name, _size(info.get(b"length"))),)
    if b"length" in info or not isinstance(listed, list) or not 0 < len(listed) <= MAX_FILES:
        raise _bad("its list of files is malformed")
    files = [_file(entry) for entry in listed]
    paths = {path.casefold() for path, _ in files}
    if len(paths) != len(files):
        raise _bad("two of its files have the same name")
    if any(path.rsplit("/", n)[0] in paths for path in paths for n in range(1, path.count("/") + 1)):
        raise _bad("one of its names is a file and a folder")
    return tuple(files)


def _file(entry: Value) -> tuple[str, ByteCount]:
    if not isinstance(entry, dict):
        raise _bad("its list of files is malformed")
    attributes = entry.get(b"attr", b"")
    if not isinstance(attributes, bytes) or set(attributes) & set(b"plh"):
        raise _bad("it holds padding, links or hidden files")
    parts = entry.get(b"path")
    if not isinstance(parts, list) or not 0 < len(parts) <= MAX_PATH_PARTS:
        raise _bad("a path in it is missing or too deep")
    return "/".join(_path_part(_text(part, "a file name in it")) for part in parts), _size(entry.get(b"length"))


def _pieces(info: Mapping[bytes, Value], size: int) -> tuple[int, bytes]:
    length, hashes = info.get(b"piece length"), info.get(b"pieces")
    if not isinstance(length, int) or not MIN_PIECE_LENGTH <= length <= MAX_PIECE_LENGTH or length & (length - 1):
        raise _bad("its piece length is missing or absurd")
    if not isinstance(hashes, bytes) or not hashes or len(hashes) % _HASH:
        raise _bad("its piece hashes are missing or malformed")
    if len(hashes) // _HASH != -(-size // length):
        raise _bad("its number of pieces does not fit its size")
    return length, hashes


def _trackers(outer: Mapping[bytes, Value]) -> list[str]:
    tiers, single = outer.get(b"announce-list"), outer.get(b"announce")
    found = [a for tier in tiers for a in _addresses(tier)] if isinstance(tiers, list) else []
    return list(dict.fromkeys(found or _addresses(single)))[:MAX_ADDRESSES]


def _addresses(value: Value | None) -> list[str]:
    items = value if isinstance(value, list) else [value]
    texts = (v.decode("utf-8", "replace") for v in items[:MAX_ADDRESSES] if isinstance(v, bytes))
    return [t for t in texts if 0 < len(t) <= MAX_ADDRESS_LENGTH and t.isprintable()]


def is_private_host(host: str) -> bool:
    """Tell whether a host is plainly of this machine or network: by address, or by a name only a LAN knows."""
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith((".local", ".localhost", ".internal", ".lan", ".home.arpa"))
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global


def _usable(addresses: Iterable[str], schemes: frozenset[str], *, allow_private: bool) -> list[str]:
    kept = []
    for address in addresses:
        try:
            parts = urlsplit(address)
            host, scheme, _ = parts.hostname, parts.scheme.lower(), parts.port
        except ValueError:
            continue
        if scheme in schemes and host and (allow_private or not is_private_host(host)):
            kept.append(address)
    return kept


def usable_trackers(addresses: Iterable[str], *, allow_private: bool) -> list[str]:
    """Return the trackers that may be asked: HTTP and UDP, never WebSockets, on private hosts only where allowed."""
    return _usable(addresses, frozenset({"http", "https", "udp"}), allow_private=allow_private)


def usable_web_seeds(addresses: Iterable[str], *, allow_private: bool) -> list[str]:
    """Return the web seeds that may be asked: HTTP only, on private hosts only where allowed."""
    return _usable(addresses, frozenset({"http", "https"}), allow_private=allow_private)


def check_single(meta: TorrentMeta, size: int) -> None:
    """Check that a torrent holds exactly one file of ``size`` bytes. Raises BadAnswer."""
    if len(meta.files) != 1:
        raise _bad(f"it holds {len(meta.files)} files where one was announced")
    if meta.size != size:
        raise _bad(f"its file has {meta.size} bytes where {size} were announced")


def check_files(meta: TorrentMeta, sizes: Mapping[str, int]) -> None:
    """Check that a torrent holds exactly these files (base name to bytes). Raises BadAnswer."""
    found = {path.rsplit("/", 1)[-1]: size for path, size in meta.files}
    if len(found) != len(meta.files) or found.keys() != sizes.keys():
        raise _bad("its files are not the ones that were announced")
    if wrong := next((name for name, size in sizes.items() if found[name] != size), None):
        raise _bad(f"its file {wrong[:80]} has another size than was announced")


class Torrents:
    """All of the above in one, as gathering takes it. ``allow_private`` tells whether private hosts are allowed now."""

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._allow_private = allow_private

    def parse(self, raw: bytes) -> TorrentMeta:
        return parse_torrent(raw, allow_private=self._allow_private())

    def check_single(self, meta: TorrentMeta, size: int) -> None:
        check_single(meta, size)

    def check_files(self, meta: TorrentMeta, sizes: Mapping[str, int]) -> None:
        check_files(meta, sizes)
