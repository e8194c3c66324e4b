"""An HTTP tracker as private as PeerTube's (BEP 3, BEP 23): this module knows peers of known info-hashes only."""

import socket
import struct
import time
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from tests.world.bodies import bencode

INTERVAL_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Announce:
    """One announce as it came. ``left`` in bytes."""

    info_hash: str
    ip: str
    port: int
    event: str
    left: int
    known: bool
    at: float


class Tracker:
    """``interval`` may be shortened for tests. ``extra`` peers are given to everyone, as (ip, port)."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.log: list[Announce] = []
        self.extra: list[tuple[str, int]] = []
        self.interval = INTERVAL_SECONDS
        self.public = False
        self._peers: dict[bytes, dict[tuple[str, int], int]] = defaultdict(dict)

    def announce(self, query: str, client: str) -> bytes:
        """Return the bencoded answer; failures too have status 200."""
        fields = {k: unquote_to_bytes(v.replace("+", " ")) for k, _, v in (f.partition("=") for f in query.split("&"))}
        info_hash = fields.get("info_hash", b"")
        if len(info_hash) != 20:
            return bencode({"failure reason": "invalid info_hash"})
        port, left = _number(fields.get("port")), _number(fields.get("left"))
        event, known = fields.get("event", b"").decode("latin-1"), self.public or info_hash in self.known
        self.log.append(Announce(info_hash.hex(), client, port, event, left, known, time.monotonic()))
        if not known:
            return bencode({"failure reason": f"Unknown infoHash {info_hash.hex()} requested by ip {client}"})
        peers = self._peers[info_hash]
        if event == "stopped":
            peers.pop((client, port), None)
        else:
            peers[client, port] = left
        seeds = sum(not left for left in peers.values())
        return bencode(
            {
                "complete": seeds,
                "incomplete": len(peers) - seeds,
                "interval": self.interval,
                "peers": b"".join(_compact(p) for p in [*peers, *self.extra] if ":" not in p[0]),
                "peers6": b"",
            }
        )

    def peers(self, info_hash: str) -> dict[tuple[str, int], int]:
        """Return who is there now, by (ip, port): the bytes each still lacks."""
        return dict(self._peers[bytes.fromhex(info_hash)])

    def forget(self) -> None:
        """Forget every peer, as after a restart. The log stays."""
        self._peers.clear()


def _number(text: bytes | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _compact(peer: tuple[str, int]) -> bytes:
    return socket.inet_aton(peer[0]) + struct.pack(">H", peer[1])
