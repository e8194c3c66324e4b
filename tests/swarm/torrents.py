"""Torrents over bytes made on the spot, and sessions that stay on this machine: this module makes both for tests."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.swarm.options import SwarmOptions
from appliance.swarm.port import Swarm, SwarmEvent, TorrentMeta, TorrentSpec, Whole
from appliance.swarm.torrent import parse_torrent
from tests.world.bodies import bencode

KIB = 1024


def noise(size: int, seed: str = "") -> bytes:
    """Return bytes that nothing compresses, the same for one seed."""
    return hashlib.shake_128(f"noise {seed}".encode()).digest(size)


def spoil(file: Path, at: int) -> None:
    """Let three bytes of a file rot."""
    with open(file, "r+b") as opened:
        opened.seek(at)
        opened.write(b"rot")


def info_of(files: Mapping[str, bytes], piece: int, name: str) -> dict[str, object]:
    """Return a torrent's info part; one file whose name is ``name`` makes it a single-file torrent."""
    whole = b"".join(files.values())
    hashes = b"".join(hashlib.sha1(whole[at : at + piece]).digest() for at in range(0, len(whole), piece))
    info: dict[str, object] = {"name": name, "piece length": piece, "pieces": hashes}
    if list(files) == [name]:
        info["length"] = len(whole)
    else:
        info["files"] = [{"length": len(data), "path": path.split("/")} for path, data in files.items()]
    return info


@dataclass(frozen=True)
class Content:
    """Files and the torrent over them."""

    files: Mapping[str, bytes]
    meta: TorrentMeta

    @classmethod
    def of(
        cls, files: Mapping[str, bytes], *, piece: int = 16 * KIB, name: str = "", private: bool = False
    ) -> "Content":
        """``private`` keeps peers from telling each other of further peers."""
        info = info_of(files, piece, name or next(iter(files))) | ({"private": 1} if private else {})
        return cls(files, parse_torrent(bencode({"info": info}), allow_private=True))

    @property
    def whole(self) -> bytes:
        return b"".join(self.files.values())

    def written(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in self.files.items():
            (folder / path.rpartition("/")[2]).write_bytes(data)
        return folder

    def spec(self, folder: Path, **more: Any) -> TorrentSpec:
        return TorrentSpec(self.meta, folder, tuple(p.rpartition("/")[2] for p in self.files), **more)


def quiet(folder: Path, **more: Any) -> SwarmOptions:
    """Return options of a session that talks to nobody by itself."""
    chosen = {"interfaces": ("127.0.0.1",), "port": 0, "dht": False, "lsd": False, "upnp": False, "allow_private": True}
    return SwarmOptions(resume_dir=folder, **{**chosen, **more})


class Heard:
    """The events of a swarm, to be waited for."""

    def __init__(self, swarm: Swarm) -> None:
        self.events: list[SwarmEvent] = []
        self._woken = asyncio.Event()
        self.end = swarm.subscribe(self._hear)

    def _hear(self, event: SwarmEvent) -> None:
        self.events.append(event)
        self._woken.set()

    async def until(self, good: Callable[[SwarmEvent], bool], seconds: float = 20) -> SwarmEvent:
        """Return the first event that is ``good``, past or to come."""
        async with asyncio.timeout(seconds):
            while True:
                if found := next((e for e in self.events if good(e)), None):
                    return found
                self._woken.clear()
                await self._woken.wait()

    async def whole(self, content: Content, seconds: float = 20) -> None:
        await self.until(lambda e: isinstance(e, Whole) and e.info_hash == content.meta.info_hash, seconds)
