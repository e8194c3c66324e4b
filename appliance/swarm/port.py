"""What the rest of the house may ask of BitTorrent: this module is that port, the real adapter and the fake obey it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from appliance.domain.shelf import Reader
from appliance.domain.traffic import Budget, TrafficClass
from appliance.domain.units import ByteCount, BytesPerSecond, InfoHash, PieceIndex


@dataclass(frozen=True, slots=True)
class TorrentMeta:
    """A parsed ``.torrent``: paths as it names them (never used as they are), sizes in bytes.

    ``content`` is the SHA-256 of ``piece length`` and ``pieces``: equal for two torrents over the same bytes, so a
    rename upstream changes the info-hash and not this.
    """

    info_hash: InfoHash
    name: str
    files: tuple[tuple[str, ByteCount], ...]
    piece_length: ByteCount
    pieces: int
    content: str
    trackers: tuple[str, ...]
    web_seeds: tuple[str, ...]
    raw: bytes

    @property
    def size(self) -> ByteCount:
        return ByteCount(sum(size for _, size in self.files))


class RangeReader(Protocol):
    """Bytes of the torrent as its origin serves them over HTTP; the torrent's owner supplies it."""

    async def __call__(self, file_index: int, first: int, last: int) -> bytes:
        """Return the bytes ``first`` to ``last`` (inclusive) of one file; they are checked against the piece hashes.

        Raises any SeedkeepError when the origin does not give exactly these. May be cancelled at any time. What it
        fetches is counted and limited by whoever fetches, not by the swarm.
        """
        ...


@dataclass(frozen=True, slots=True)
class TorrentSpec:
    """A torrent to hold. ``names`` are base names in ``folder``, one for each file in the torrent's order.

    ``web_seeds`` are addresses of the file (single-file) or of a folder, ending in ``/``. ``trackers`` only those
    just confirmed. ``distrust`` hashes everything on disk before anything is asked for; without it only what the
    resume data does not claim. ``window`` reads the origin by HTTP range for viewers who wait (``reader``). ``enter``
    opens ``folder``, where it is the right one, for whoever is to close it; it blocks, and raises DiskError. Without it
    any folder of that path will do, and is made where there is none.
    """

    meta: TorrentMeta
    folder: Path
    names: tuple[str, ...]
    web_seeds: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ()
    distrust: bool = False
    window: RangeReader | None = None
    enter: Callable[[], int] | None = None


class TorrentPhase(StrEnum):
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    WHOLE = "whole"
    STOPPED = "stopped"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class TorrentStatus:
    """A torrent now. ``done`` counts verified bytes; rates are payload bytes/s; None is unknown, not zero.

    ``complete`` is the tracker's count of whole copies, ourselves subtracted, as long as one answers; ``received`` are
    payload bytes since it was added, usable or not; ``whole_peers`` are those lately known to have every piece,
    connected or not.
    """

    info_hash: InfoHash
    phase: TorrentPhase
    done: ByteCount
    size: ByteCount
    download_rate: BytesPerSecond
    upload_rate: BytesPerSecond
    peers: int
    seeds: int
    complete: int | None
    fault: str = ""
    disk_full: bool = False
    received: ByteCount = ByteCount(0)
    whole_peers: int = 0


class PeerSource(StrEnum):
    """How we came to know of a peer."""

    TRACKER = "tracker"
    DHT = "dht"
    PEX = "pex"
    LSD = "lsd"
    INCOMING = "incoming"


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """A peer that can be called: its IP address and the port it listens at.

    ``whole`` is its own claim to have every piece, None where that is not known. ``sources`` is empty where it is not
    connected now (two seeds do not stay so).
    """

    address: tuple[str, int]
    whole: bool | None
    sources: frozenset[PeerSource] = frozenset()


@dataclass(frozen=True, slots=True)
class Sample:
    """What only a real copy of a torrent's bytes knows: ``length`` of them from ``begin`` of ``piece``.

    They lie at ``offset`` of the one ``file`` (our base name for it). ``data`` are our own, verified; None where we
    lack the piece: then it is the whole piece, ``file`` may be empty (it spans several), and ``sha1`` judges.
    """

    pieces: int
    piece: int
    begin: int
    length: int
    sha1: bytes
    data: bytes | None = None
    file: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Whole:
    """Every piece of a torrent is here and verified (not yet fsynced)."""

    info_hash: InfoHash


@dataclass(frozen=True, slots=True)
class PieceArrived:
    info_hash: InfoHash
    piece: PieceIndex


@dataclass(frozen=True, slots=True)
class Fault:
    """A torrent stopped by itself: a disk error, usually. ``disk_full`` where the disk had no room."""

    info_hash: InfoHash
    message: str
    disk_full: bool


SwarmEvent = Whole | PieceArrived | Fault


@dataclass(frozen=True, slots=True)
class Judged:
    """What a check at adding found: verified bytes of ``size``; ``missing`` says which files were lost, if any were
    claimed whole and are not there."""

    done: ByteCount
    size: ByteCount
    missing: str = ""

    @property
    def whole(self) -> bool:
        return self.done == self.size


@dataclass(frozen=True, slots=True)
class Flow:
    """Payload bytes of one torrent and class since the last ``drain``."""

    info_hash: InfoHash
    traffic: TrafficClass
    up: ByteCount
    down: ByteCount


class Swarm(Protocol):
    """BitTorrent for the house. One owner (the keeper) adds and removes; others read. Errors are SwarmError."""

    async def add(self, spec: TorrentSpec, *, sequential: bool = False) -> Judged:
        """Add a torrent stopped, check what is on disk, and answer what was found. It stays stopped until ``start``.

        Creates no file and no folder. Adding one that is already there raises SwarmError.
        """
        ...

    async def start(self, info_hash: InfoHash) -> None: ...

    async def stop(self, info_hash: InfoHash) -> None: ...

    async def remove(self, info_hash: InfoHash) -> None:
        """Forget the torrent and its resume data once it is really closed. Its files stay. Unknown: does nothing."""
        ...

    async def save(self, info_hash: InfoHash) -> None:
        """Write its resume data, fsynced."""
        ...

    async def recheck(self, info_hash: InfoHash) -> Judged:
        """Hash every piece on disk again and answer what was found; what is bad is fetched again once started."""
        ...

    def confirm(self, info_hash: InfoHash, trackers: tuple[str, ...], web_seeds: tuple[str, ...]) -> None:
        """The origin just confirmed this info-hash: announce to these trackers (ws dropped), use these web seeds."""
        ...

    def holds(self, info_hash: InfoHash) -> bool: ...

    def status(self, info_hash: InfoHash) -> TorrentStatus | None:
        """Return the last known state, at most 1 s old, without a round trip. None: unknown torrent."""
        ...

    def statuses(self) -> Mapping[InfoHash, TorrentStatus]: ...

    async def peers(self, info_hash: InfoHash) -> tuple[PeerSeen, ...]:
        """Return the peers of a torrent that can be called; web seeds are none. Unknown: none."""
        ...

    async def sample(self, info_hash: InfoHash, chance: Callable[[], float]) -> Sample | None:
        """Return a random span of at most 16 KiB that we hold, verified now; without a piece, a random whole piece.

        ``chance`` gives numbers from 0 to 1. None: unknown torrent, or what we hold has gone bad.
        """
        ...

    async def reader(self, info_hash: InfoHash, file_index: int) -> Reader:
        """Open one of its files for a viewer; the reader's position steers the download while it is open."""
        ...

    async def limit(self, budget: Budget) -> None:
        """Put limits in force at once, on connections that stand too."""
        ...

    def share(self, limits: Mapping[InfoHash, BytesPerSecond]) -> None:
        """Let each of these torrents give at most so much, to whomever; one that is not named gives what all may."""
        ...

    def announce(self, chosen: Collection[InfoHash]) -> None:
        """Of whole torrents, let only these look for peers (tracker, DHT, LSD), until the next call.

        The others answer who calls and call nobody; one that becomes whole goes on until then. Before the first call
        all of them announce.
        """
        ...

    def drain(self) -> tuple[Flow, ...]:
        """Return what crossed the wire since the last call, by torrent and class."""
        ...

    def rates(self) -> tuple[BytesPerSecond, BytesPerSecond]:
        """Return payload (up, down) of the whole session in bytes/s, over the last second."""
        ...

    def subscribe(self, listener: Callable[[SwarmEvent], None]) -> Callable[[], None]:
        """Call ``listener`` on the loop for every event; the answer ends it."""
        ...
