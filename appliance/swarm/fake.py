"""A swarm without a network, for tests of the rooms above: this module obeys the same contract as the real one.

It writes real files and hashes them, but what it "downloads" is content it was given (``provide``), when it is told
(``deliver``) or at once (``eager``).
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from appliance.domain.shelf import NotPlayable, Reader
from appliance.domain.traffic import Budget, TrafficClass
from appliance.domain.units import ByteCount, BytesPerSecond, InfoHash, PieceIndex
from appliance.errors import SwarmError
from appliance.swarm.bencode import decode_dict
from appliance.swarm.extents import Extents, good_pieces, pieces_with_data, read_piece
from appliance.swarm.peering import sampled
from appliance.swarm.port import (
    Fault,
    Flow,
    Judged,
    PeerSeen,
    PieceArrived,
    Sample,
    SwarmEvent,
    TorrentPhase,
    TorrentSpec,
    TorrentStatus,
    Whole,
)


@dataclass(slots=True, eq=False)
class _Torrent:
    spec: TorrentSpec
    extents: Extents
    hashes: bytes
    have: set[int]
    started: bool = False
    fault: str = ""
    disk_full: bool = False
    trackers: tuple[str, ...] = ()
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def hash_of(self, piece: int) -> bytes:
        return self.hashes[20 * piece : 20 * piece + 20]

    @property
    def done(self) -> ByteCount:
        return ByteCount(sum(self.extents.piece_size(k) for k in self.have))

    @property
    def phase(self) -> TorrentPhase:
        if self.fault:
            return TorrentPhase.FAULT
        if not self.started:
            return TorrentPhase.STOPPED
        return TorrentPhase.WHOLE if self.done == self.extents.size else TorrentPhase.DOWNLOADING


class FakeSwarm:
    """See the module. ``resumed`` outlives it if handed to the next one, as resume files do."""

    def __init__(self, *, eager: bool = False, resumed: dict[InfoHash, frozenset[int]] | None = None) -> None:
        self.eager = eager
        self.resumed = resumed if resumed is not None else {}
        self.budget = Budget()
        self.sequential: set[InfoHash] = set()
        self.shares: dict[InfoHash, BytesPerSecond] = {}
        self.announced: frozenset[InfoHash] | None = None
        self.seen: dict[InfoHash, tuple[PeerSeen, ...]] = {}
        """The peers that a test has a torrent know of."""
        self._content: dict[str, bytes] = {}
        self._torrents: dict[InfoHash, _Torrent] = {}
        self._listeners: list[Callable[[SwarmEvent], None]] = []
        self._flows: list[Flow] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "FakeSwarm":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for info_hash, torrent in self._torrents.items():
            self.resumed[info_hash] = frozenset(torrent.have)
        for torrent in list(self._torrents.values()):
            await self._close(torrent)
        self._torrents.clear()

    # what a test does

    def provide(self, content_id: str, content: bytes) -> None:
        """Let every torrent with this ``meta.content`` find its bytes (all files, end to end)."""
        self._content[content_id] = content

    async def deliver(self, info_hash: InfoHash, pieces: Iterable[int] | None = None) -> None:
        """Let pieces (all, by default) arrive at a started torrent."""
        torrent = self._must(info_hash)
        wanted = range(torrent.extents.pieces) if pieces is None else pieces
        for piece in wanted:
            if torrent.started and not torrent.fault and piece not in torrent.have:
                await self._arrive(torrent, piece)

    def fail(self, info_hash: InfoHash, message: str, *, disk_full: bool = False) -> None:
        """Stop a torrent by a disk error."""
        torrent = self._must(info_hash)
        torrent.fault, torrent.disk_full = message, disk_full
        self._emit(Fault(info_hash, message, disk_full))

    # the port

    async def add(self, spec: TorrentSpec, *, sequential: bool = False) -> Judged:
        info_hash = spec.meta.info_hash
        if info_hash in self._torrents:
            raise SwarmError("This torrent is already there.")
        if len(spec.names) != len(spec.meta.files):
            raise SwarmError("The torrent's files and the names for them do not fit together.")
        info = decode_dict(spec.meta.raw)[0][b"info"]
        assert isinstance(info, dict)
        hashes = info[b"pieces"]
        assert isinstance(hashes, bytes)
        extents = Extents.of(spec.folder, spec.names, (s for _, s in spec.meta.files), spec.meta.piece_length)
        torrent = _Torrent(spec, extents, hashes, set(), trackers=spec.trackers)
        self._torrents[info_hash] = torrent
        torrent.have = await asyncio.to_thread(_found, torrent)
        claimed = self.resumed.get(info_hash, frozenset())
        lost = sorted({part.file for k in claimed - torrent.have for part in extents.piece_slices(k)})
        if sequential:
            self.sequential.add(info_hash)
        missing = "; ".join(f"{spec.names[k]} is not there" for k in lost if not extents.path(k).exists())
        return Judged(torrent.done, extents.size, missing)

    async def start(self, info_hash: InfoHash) -> None:
        torrent = self._must(info_hash)
        torrent.started, torrent.fault, torrent.disk_full = True, "", False
        if self.eager and torrent.done < torrent.extents.size:
            task = asyncio.create_task(self.deliver(info_hash))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self, info_hash: InfoHash) -> None:
        self._must(info_hash).started = False

    async def remove(self, info_hash: InfoHash) -> None:
        if torrent := self._torrents.pop(info_hash, None):
            await self._close(torrent)
        self.resumed.pop(info_hash, None)

    async def save(self, info_hash: InfoHash) -> None:
        self.resumed[info_hash] = frozenset(self._must(info_hash).have)

    async def recheck(self, info_hash: InfoHash) -> Judged:
        torrent = self._must(info_hash)
        torrent.have = await asyncio.to_thread(_found, torrent)
        return Judged(torrent.done, torrent.extents.size)

    def confirm(self, info_hash: InfoHash, trackers: tuple[str, ...], web_seeds: tuple[str, ...]) -> None:
        del web_seeds
        self._must(info_hash).trackers = trackers

    def share(self, limits: Mapping[InfoHash, BytesPerSecond]) -> None:
        self.shares = dict(limits)

    def announce(self, chosen: Collection[InfoHash]) -> None:
        self.announced = frozenset(chosen)

    def holds(self, info_hash: InfoHash) -> bool:
        return info_hash in self._torrents

    def status(self, info_hash: InfoHash) -> TorrentStatus | None:
        torrent = self._torrents.get(info_hash)
        if torrent is None:
            return None
        nothing = BytesPerSecond(0)
        return TorrentStatus(
            info_hash,
            torrent.phase,
            torrent.done,
            torrent.extents.size,
            nothing,
            nothing,
            0,
            0,
            None,
            torrent.fault,
            torrent.disk_full,
            whole_peers=sum(peer.whole is not False for peer in self.seen.get(info_hash, ())),
        )

    def statuses(self) -> Mapping[InfoHash, TorrentStatus]:
        return {k: status for k in self._torrents if (status := self.status(k))}

    async def peers(self, info_hash: InfoHash) -> tuple[PeerSeen, ...]:
        return self.seen.get(info_hash, ()) if info_hash in self._torrents else ()

    async def sample(self, info_hash: InfoHash, chance: Callable[[], float]) -> Sample | None:
        torrent = self._torrents.get(info_hash)
        if torrent is None:
            return None
        have = bytes(k in torrent.have for k in range(torrent.extents.pieces))
        return await asyncio.to_thread(sampled, torrent.extents, have, torrent.hash_of, chance)

    async def reader(self, info_hash: InfoHash, file_index: int) -> Reader:
        torrent = self._must(info_hash)
        if not 0 <= file_index < len(torrent.spec.names):
            raise SwarmError("The torrent has no such file.")
        return _FakeReader(self, torrent, file_index)

    async def limit(self, budget: Budget) -> None:
        self.budget = budget

    def drain(self) -> tuple[Flow, ...]:
        flows, self._flows = tuple(self._flows), []
        return flows

    def rates(self) -> tuple[BytesPerSecond, BytesPerSecond]:
        return BytesPerSecond(0), BytesPerSecond(0)

    def subscribe(self, listener: Callable[[SwarmEvent], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return partial(_discard, self._listeners, listener)

    # inside

    def _must(self, info_hash: InfoHash) -> _Torrent:
        if info_hash not in self._torrents:
            raise SwarmError("This torrent is not there.")
        return self._torrents[info_hash]

    def _emit(self, event: SwarmEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    async def _arrive(self, torrent: _Torrent, piece: int) -> None:
        info_hash, content = torrent.spec.meta.info_hash, self._content.get(torrent.spec.meta.content)
        if content is None:
            return
        await asyncio.to_thread(_write, torrent.extents, piece, content)
        if self._torrents.get(info_hash) is not torrent:
            return
        torrent.have.add(piece)
        size = ByteCount(torrent.extents.piece_size(piece))
        self._flows.append(Flow(info_hash, TrafficClass.INTERNET_PEERS, ByteCount(0), size))
        async with torrent.arrived:
            torrent.arrived.notify_all()
        self._emit(PieceArrived(info_hash, PieceIndex(piece)))
        if torrent.done == torrent.extents.size:
            self._emit(Whole(info_hash))

    async def _close(self, torrent: _Torrent) -> None:
        torrent.started, torrent.fault = False, "closed"
        async with torrent.arrived:
            torrent.arrived.notify_all()

    def wanted_by_viewer(self, torrent: _Torrent, piece: int) -> None:
        """A viewer waits for a piece: an eager swarm brings it first."""
        if self.eager and torrent.started and piece not in torrent.have:
            task = asyncio.create_task(self.deliver(torrent.spec.meta.info_hash, [piece]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


class _FakeReader:
    def __init__(self, swarm: FakeSwarm, torrent: _Torrent, file: int) -> None:
        self._swarm, self._torrent, self._file = swarm, torrent, file
        self._closed = False

    @property
    def size(self) -> ByteCount:
        return ByteCount(self._torrent.extents.sizes[self._file])

    async def read(self, offset: int, length: int) -> bytes:
        torrent, extents = self._torrent, self._torrent.extents
        if self._closed:
            raise NotPlayable("closed", "This file was closed.", status=503)
        if length <= 0 or not 0 <= offset < self.size:
            raise NotPlayable("out_of_range", "There are no bytes at this place.", status=416)
        piece, inside = divmod(extents.starts[self._file] + offset, extents.piece_length)
        self._swarm.wanted_by_viewer(torrent, piece)
        async with torrent.arrived:
            await torrent.arrived.wait_for(lambda: piece in torrent.have or torrent.fault == "closed")
        if torrent.fault == "closed":
            raise NotPlayable("closed", "This video is no longer open.", status=503)
        data = await asyncio.to_thread(read_piece, extents, piece)
        return data[inside : inside + min(length, self.size - offset)]

    async def close(self) -> None:
        self._closed = True


def _found(torrent: _Torrent) -> set[int]:
    candidates = pieces_with_data(torrent.extents)
    return set(good_pieces(torrent.extents, torrent.hash_of, candidates, lambda: False))


def _write(extents: Extents, piece: int, content: bytes) -> None:
    extents.folder.mkdir(parents=True, exist_ok=True)
    place = piece * extents.piece_length
    for part in extents.piece_slices(piece):
        path = extents.path(part.file)
        path.touch()
        with open(path, "r+b") as file:
            file.seek(part.offset)
            file.write(content[place : place + part.length])
        place += part.length


def _discard(listeners: list[Callable[[SwarmEvent], None]], listener: Callable[[SwarmEvent], None]) -> None:
    if listener in listeners:
        listeners.remove(listener)
