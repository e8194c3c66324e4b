"""One torrent as the session holds it: this module keeps what is known of it, cheaply for thousands of them."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import libtorrent as lt

from appliance.domain.units import ByteCount, BytesPerSecond, InfoHash
from appliance.swarm.extents import Extents
from appliance.swarm.mooring import Mooring
from appliance.swarm.peering import Acquaintances
from appliance.swarm.port import Judged, RangeReader, TorrentPhase, TorrentStatus

QUIET = lt.torrent_flags.disable_dht | lt.torrent_flags.disable_lsd
"""What a torrent that does not announce leaves off; it still answers whoever calls."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What libtorrent last reported. ``complete`` as the tracker said it, -1 for unknown."""

    download_rate: int = 0
    upload_rate: int = 0
    peers: int = 0
    seeds: int = 0
    complete: int = -1
    total_up: int = 0
    total_down: int = 0

    @classmethod
    def of(cls, status: Any) -> "Numbers":
        return cls(
            status.download_payload_rate,
            status.upload_payload_rate,
            status.num_peers,
            status.num_seeds,
            status.num_complete,
            status.total_payload_upload,
            status.total_payload_download,
        )


_NOTHING_YET = Numbers()


class Inventory:
    """The verified pieces of a torrent, counted by us: libtorrent's *finished* also means "all that is wanted now"."""

    __slots__ = ("_extents", "count", "done", "have")

    def __init__(self, extents: Extents, have: bytearray) -> None:
        self._extents = extents
        self.replace(have)

    def replace(self, have: bytearray) -> None:
        self.have, self.count = have, sum(have)
        self.done = sum(self._extents.piece_size(k) for k, here in enumerate(have) if here)

    @property
    def whole(self) -> bool:
        return self.count == len(self.have)

    def gained(self, piece: int) -> bool:
        """Note a piece; tell whether it is new."""
        if not 0 <= piece < len(self.have) or self.have[piece]:
            return False
        self.have[piece] = 1
        self.count += 1
        self.done += self._extents.piece_size(piece)
        return True

    def missing(self, pieces: Iterable[int]) -> list[int]:
        return [k for k in pieces if not self.have[k]]


@dataclass(slots=True, eq=False)
class Held:
    """A torrent and its state. ``started`` is what the owner wants, ``fault`` why it does not go on."""

    info_hash: InfoHash
    extents: Extents
    handle: lt.torrent_handle
    inventory: Inventory
    window: RangeReader | None
    web_seeds: tuple[str, ...]
    trackers: tuple[str, ...]
    sequential: bool
    started: bool = False
    checking: bool = False
    closing: bool = False
    fault: str = ""
    disk_full: bool = False
    dirty: bool = False
    synced: bool = False
    enter: Callable[[], int] | None = None
    mooring: Mooring | None = None
    """The open folder that it is written to; None where nothing may be written."""
    settled: bool = False
    """Whether it is known to be whole on the disk, and was said to be: at adding, or by ``Whole``."""
    fresh: set[int] = field(default_factory=set)
    """Pieces that came since the disk was last waited for."""
    faults: int = 0
    answered: int = 0
    """Errors of the disk that may have cost pieces, and how many of them were followed by a look at the files."""
    saved_at: float = 0.0
    numbers: Numbers = _NOTHING_YET
    given_seeds: set[str] = field(default_factory=set)
    hushed: bool = False
    share: int = 0
    most_down: int = 0
    barred: bool = False
    answering: set[str] = field(default_factory=set)
    """Trackers whose last answer was one."""
    peers: Acquaintances = field(default_factory=Acquaintances)
    _shown: tuple[object, TorrentStatus] | None = None
    mending: asyncio.Lock = field(default_factory=asyncio.Lock)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def hash_of(self, piece: int) -> bytes:
        """Return a piece's SHA-1. A round trip to libtorrent: not on the loop, not in a hurry."""
        info = self.handle.torrent_file()
        return bytes(info.hash_for_piece(piece)) if info else b""

    @property
    def doubted(self) -> bool:
        """Whether pieces that we claim may not be on the disk."""
        return self.faults > self.answered

    @property
    def done(self) -> int:
        """Verified bytes. The last piece counts once all of them are known to be on the disk."""
        inventory = self.inventory
        if inventory.whole and not self.settled:
            return inventory.done - self.extents.piece_size(len(inventory.have) - 1)
        return inventory.done

    @property
    def phase(self) -> TorrentPhase:
        if self.fault:
            return TorrentPhase.FAULT
        if self.checking:
            return TorrentPhase.CHECKING
        if not self.started:
            return TorrentPhase.STOPPED
        return TorrentPhase.WHOLE if self.inventory.whole and self.settled else TorrentPhase.DOWNLOADING

    def judged(self, missing: str = "") -> Judged:
        return Judged(ByteCount(self.done), self.extents.size, missing)

    def status(self) -> TorrentStatus:
        """Return the state as others see it; the same object as long as nothing changed."""
        whole = self.peers.whole(time.monotonic())
        key = (
            whole,
            self.numbers,
            self.done,
            self.phase,
            self.fault,
            bool(self.trackers),
            bool(self.answering),
        )
        if self._shown is None or self._shown[0] != key:
            self._shown = (key, self._status(whole))
        return self._shown[1]

    def _status(self, whole: int) -> TorrentStatus:
        now, going = self.numbers, self.started and not self.fault
        ourselves = 1 if self.inventory.whole and self.trackers else 0
        return TorrentStatus(
            info_hash=self.info_hash,
            phase=self.phase,
            done=ByteCount(self.done),
            size=self.extents.size,
            download_rate=BytesPerSecond(now.download_rate if going else 0),
            upload_rate=BytesPerSecond(now.upload_rate if going else 0),
            peers=now.peers if going else 0,
            seeds=now.seeds if going else 0,
            complete=max(0, now.complete - ourselves) if now.complete >= 0 and self.answering else None,
            fault=self.fault,
            disk_full=self.disk_full,
            received=ByteCount(now.total_down),
            whole_peers=max(whole, now.seeds - len(self.given_seeds)) if going else 0,
        )

    def tell(self) -> None:
        """Give libtorrent the trackers, none while this torrent keeps quiet."""
        entries: Any = [] if self.hushed else [{"url": url, "tier": 0} for url in self.trackers]
        self.handle.replace_trackers(entries)

    def hush(self, quiet: bool) -> None:
        """Look for peers no more, or again: at trackers, in the DHT, on this network."""
        if quiet == self.hushed:
            return
        self.hushed = quiet
        if quiet:
            self.handle.set_flags(QUIET)
        else:
            self.handle.unset_flags(QUIET)
        if self.trackers:
            self.tell()

    def slow_down(self, rate: int) -> None:
        """Take no more than ``rate`` bytes/s, 0 for no bound of its own."""
        self.most_down = rate
        self._bound()

    def bar(self, barred: bool) -> None:
        """Take nothing at all, or as before."""
        if barred != self.barred:
            self.barred = barred
            self._bound()

    def _bound(self) -> None:
        self.handle.set_download_limit(1 if self.barred else self.most_down)

    def is_web_seed(self, host: str, port: int) -> bool:
        """Tell whether an address is a web seed's, as far as the URLs tell: of a named one only the port is known."""
        return (host, port) in self._seed_addresses or ("", port) in self._seed_addresses

    @property
    def _seed_addresses(self) -> set[tuple[str, int]]:
        found = set()
        for url in self.web_seeds:
            parts = urlsplit(url)
            name, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
            found.add((name if name.replace(".", "").isdigit() or ":" in name else "", port))
        return found

    def use_web_seeds(self, wanted: Iterable[str]) -> None:
        """Give libtorrent exactly these web seeds; taking one away ends its connection and what was asked of it."""
        addresses = set(wanted)
        for url in self.given_seeds - addresses:
            self.handle.remove_url_seed(url)
        for url in addresses - self.given_seeds:
            self.handle.add_url_seed(url)
        self.given_seeds = addresses
