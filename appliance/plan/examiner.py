"""One challenge of one host: this module finds what to ask it, and asks.

For what we hold it is 16 KiB of ours, verified first; for what we do not, one segment against the list of SHA-256, or
one piece against the torrent's. Over BitTorrent a peer is called, over HTTP a range is asked for.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import quote

from appliance.domain.catalogue import VideoRecord
from appliance.domain.plan import CopySource
from appliance.domain.units import KIB, MIB, InfoHash, Origin, RenditionName, VideoId
from appliance.domain.video import Rendition, RenditionKind
from appliance.errors import BadAnswer, DiskError, NotFound, OriginError
from appliance.library import files
from appliance.library.hashes import Hashes, sha256_list
from appliance.library.layout import base_name
from appliance.library.marker import Library
from appliance.outbound.fetch import Fetcher
from appliance.outbound.guard import is_allowed, parsed_address
from appliance.outbound.manners import Ask
from appliance.plan.survey import Asked, Target, Tries, host_key, next_peer
from appliance.store import copies, videos
from appliance.store.engine import Store
from appliance.swarm.challenge import BLOCK, LARGEST, Answer, Kind, Question, challenge_peer
from appliance.swarm.port import Sample, Swarm

T = TypeVar("T")

LARGEST_SEGMENT = MIB
LARGEST_LIST = MIB
_HEADERS = KIB
_SECONDS = 30.0
_PATIENCE_SECONDS = 90.0
"""How long a challenge may take with the waiting for our own limit and the host's turn."""


class Spend(Protocol):
    """Told of bytes that crossed the uplink for one rendition: those over HTTP are counted already, and only named."""

    def count_challenge(self, video: VideoId, rendition: RenditionName, up: int, down: int) -> None: ...

    def count_fetched(self, video: VideoId, rendition: RenditionName, count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class ExaminerOptions:
    """``peers``: whether peers may be called in the clear. ``bound_to``: the interfaces that peers are called from.
    ``ours``: our own addresses, which are nobody else."""

    peers: bool = True
    bound_to: tuple[str, ...] = ()
    ours: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Exam:
    """A challenge that is ready. ``cost`` is the most it may receive, in bytes."""

    host: str
    cost: int
    put: Callable[[], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class _Spot:
    """Bytes ``first`` to ``last`` of a file of a rendition, and what judges them."""

    rendition: Rendition
    file: str
    first: int
    last: int
    right: Callable[[bytes], bool]


class Examiner:
    """Prepares challenges. ``chance`` gives numbers from 0 to 1."""

    def __init__(
        self,
        store: Store,
        swarm: Swarm,
        library: Library,
        fetcher: Fetcher,
        options: Callable[[], ExaminerOptions],
        spend: Spend,
        chance: Callable[[], float],
    ) -> None:
        self._store, self._swarm, self._library, self._fetcher = store, swarm, library, fetcher
        self._options, self._spend, self._chance = options, spend, chance
        self._list: tuple[str, Hashes] | None = None
        self.listed = 0
        """Bytes received for lists of hashes, ever."""

    @property
    def stopped(self) -> bool:
        """Whether the owner lets nothing through."""
        return self._fetcher.stopped

    def cost_of_preparing(self, target: Target) -> int:
        """Return the most bytes that ``prepare`` may receive: the list of hashes of a video that we do not hold."""
        return 0 if target.held or target.source is CopySource.PEERS else LARGEST_LIST + _HEADERS

    async def prepare(self, target: Target, tries: Tries, before: Asked, now: datetime) -> Exam | None:
        """Return what to ask a target, None where there is nothing to ask. Raises SeedkeepError."""
        record = await self._store.read(videos.one, target.video)
        if record is None:
            return None
        if target.source is CopySource.PEERS:
            return await self._prepare_peer(record, tries, before, now) if self._options().peers else None
        spot = await self._spot(record, target)
        if spot is None:
            return None
        url = _url_at_origin(spot) if target.source is CopySource.ORIGIN else _url_at_mirror(spot, target.url)
        cost = spot.last - spot.first + 1 + _HEADERS
        return Exam(target.host, cost, partial(self._ask_range, target.video, spot, url))

    # Peers

    async def _prepare_peer(self, record: VideoRecord, tries: Tries, before: Asked, now: datetime) -> Exam | None:
        torrents = self._torrents(record)
        if not torrents:
            return None
        rendition, info_hash = self._one_of(torrents)
        lines = (await self._store.read(copies.lines, [record.summary.id])).get(record.summary.id, [])
        ours = self._options().ours
        peers = [p for p in await self._swarm.peers(info_hash) if p.address[0] not in ours]
        peer = next_peer(peers, lines, tries, record.summary.id, before, now)
        sample = None if peer is None else await self._swarm.sample(info_hash, self._chance)
        if peer is None or sample is None or sample.length > LARGEST:
            return None
        question = Question(sample.pieces, sample.piece, sample.begin, sample.length, _judge(sample))
        put = partial(self._call, record.summary.id, rendition.name, peer.address, info_hash, question)
        return Exam(host_key(peer.address[0]), question.cost, put)

    def _torrents(self, record: VideoRecord) -> list[tuple[Rendition, InfoHash]]:
        carried = ((r, r.torrent.info_hash) for r in record.renditions if r.torrent is not None)
        return [(r, info_hash) for r, info_hash in carried if info_hash is not None and self._swarm.holds(info_hash)]

    async def _call(
        self,
        video: VideoId,
        rendition: RenditionName,
        address: tuple[str, int],
        info_hash: InfoHash,
        question: Question,
    ) -> Answer:
        answer = await challenge_peer(
            address, info_hash, question, may_call=self._may_call, bound_to=self._options().bound_to
        )
        self._spend.count_challenge(video, rendition, answer.sent, answer.received)
        return answer

    def _may_call(self, host: str) -> bool:
        address = parsed_address(host)
        return address is not None and is_allowed(address, self._fetcher.allow_private)

    # HTTP

    async def _ask_range(self, video: VideoId, spot: _Spot, url: str) -> Answer:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                data = await self._fetcher.get_range(url, spot.first, spot.last, timeout=_SECONDS)
        except NotFound:
            return Answer(Kind.FAILED, _HEADERS, why="it does not have the file")
        except (OriginError, TimeoutError) as error:
            return Answer(Kind.SILENT, _HEADERS, why=str(error))
        self._spend.count_fetched(video, spot.rendition.name, len(data))
        right = await asyncio.to_thread(spot.right, data)
        return Answer(Kind.VERIFIED if right else Kind.FAILED, len(data) + _HEADERS)

    async def _spot(self, record: VideoRecord, target: Target) -> _Spot | None:
        renditions = _asked_for(record, mirror=target.source is CopySource.MIRRORS)
        if target.held:
            held = [r for r, _ in self._torrents(record) if r in renditions]
            if held:
                return await self._spot_in_torrent(self._one_of(held))
            return await asyncio.to_thread(self._spot_on_disk, record, renditions)
        hashes = await self._hashes(record)
        spans = [
            _Spot(r, name, first, last, _hashes_to(digest))
            for r in renditions
            for name in _names(r, hashes)
            for (first, last), digest in hashes[name].items()
            if last - first < LARGEST_SEGMENT
        ]
        return self._one_of(spans) if spans else None

    async def _spot_in_torrent(self, rendition: Rendition) -> _Spot | None:
        assert rendition.torrent is not None
        assert rendition.torrent.info_hash is not None
        sample = await self._swarm.sample(rendition.torrent.info_hash, self._chance)
        if sample is None or sample.data is None:
            return None
        last = sample.offset + sample.length - 1
        return _Spot(rendition, sample.file, sample.offset, last, _judge(sample))

    def _spot_on_disk(self, record: VideoRecord, renditions: tuple[Rendition, ...]) -> _Spot | None:
        """Return 16 KiB of a segment that we hold and that matches its hash. Blocks. Raises DiskError, BadAnswer."""
        manifest = files.load(self._library, record.summary.origin, record.summary.id)
        side = None if manifest is None or manifest.hashes is None else manifest.hashes.file
        raw = None if manifest is None or side is None else files.read_side(self._library, manifest, side)
        if manifest is None or raw is None:
            return None
        hashes, whole = sha256_list(raw), {r.name for r in manifest.renditions if r.whole}
        spans = [
            (r, name, span)
            for r in renditions
            if r.name in whole
            for name in _names(r, hashes)
            for span in hashes[name]
            if span[1] - span[0] < LARGEST
        ]
        if not spans:
            return None
        rendition, name, (first, last) = self._one_of(spans)
        path = self._library.folder(Origin(manifest.origin), manifest.video) / name
        try:
            with open(path, "rb") as media:
                media.seek(first)
                data = media.read(last - first + 1)
        except OSError as error:
            raise DiskError(f"A media file cannot be read: {error.strerror}.") from error
        if not _hashes_to(hashes[name][first, last])(data):
            return None
        at = int(self._chance() * max(1, len(data) - BLOCK))
        ours = data[at : at + BLOCK]
        return _Spot(rendition, name, first + at, first + at + len(ours) - 1, lambda got: got == ours)

    async def _hashes(self, record: VideoRecord) -> Hashes:
        """Return the origin's list of hashes; the last one is remembered for the video's other hosts."""
        url = record.sha256_url
        if url is None:
            return {}
        if self._list is None or self._list[0] != url:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = await self._fetcher.get(url, ask=Ask.SIDE, max_bytes=LARGEST_LIST, timeout=_SECONDS)
            self.listed += len(answer.body) + _HEADERS
            self._list = (url, await asyncio.to_thread(sha256_list, answer.body))
        return self._list[1]

    def _one_of(self, some: Sequence[T]) -> T:
        return some[min(int(self._chance() * len(some)), len(some) - 1)]


def _judge(sample: Sample) -> Callable[[bytes], bool]:
    data, sha1 = sample.data, sample.sha1
    if data is not None:
        return lambda got: got == data
    return lambda got: hashlib.sha1(got, usedforsecurity=False).digest() == sha1


def _hashes_to(sha256: str) -> Callable[[bytes], bool]:
    return lambda got: hashlib.sha256(got).hexdigest() == sha256


def _asked_for(record: VideoRecord, *, mirror: bool) -> tuple[Rendition, ...]:
    """Return the renditions to ask about. PeerTube's mirrors have HLS only, and of split videos the sound is what they
    lack: who has that has the rest."""
    if not mirror:
        return record.renditions
    hls = tuple(r for r in record.renditions if r.kind is RenditionKind.HLS)
    return tuple(r for r in hls if r.has_audio and not r.has_video) or hls


def _names(rendition: Rendition, hashes: Hashes) -> tuple[str, ...]:
    """Return the names of a rendition's media files that the list knows."""
    if rendition.file_url.endswith("/"):
        return ()  # which of them are its own only the playlist says
    try:
        name = base_name(rendition.file_url)
    except BadAnswer:
        return ()
    return (name,) if name in hashes else ()


def _url_at_origin(spot: _Spot) -> str:
    url = spot.rendition.file_url
    return url + quote(spot.file) if url.endswith("/") else url


def _url_at_mirror(spot: _Spot, base: str) -> str:
    return f"{base.rstrip('/')}/{quote(spot.file)}"
