"""The torrents of one open video, one a rendition: this module adds them, starts and stops them, and hears of them."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from appliance.domain.shelf import NotPlayable, Reader
from appliance.domain.units import ByteCount, InfoHash, RenditionName, VideoId
from appliance.errors import DiskError, NoSpace, SeedkeepError, SwarmError
from appliance.library.manifest import RenditionRecord
from appliance.outbound.fetch import Fetcher
from appliance.pin.assembly import Gathered
from appliance.swarm.port import Fault, Swarm, SwarmEvent, TorrentMeta, TorrentSpec, Whole

Spend = Callable[[int], None]
Owner = Callable[[InfoHash], tuple[VideoId, RenditionName] | None]


class OriginWindow:
    """Reads a torrent's files at its origin by HTTP range, for viewers who wait (``swarm.port.RangeReader``)."""

    def __init__(self, fetcher: Fetcher, urls: tuple[str, ...], spend: Spend) -> None:
        self._fetcher, self._urls, self._spend = fetcher, urls, spend

    async def __call__(self, file_index: int, first: int, last: int) -> bytes:
        data = await self._fetcher.get_range(self._urls[file_index], first, last, priority=True)
        self._spend(len(data))
        return data


@dataclass(slots=True)
class _Torrent:
    info_hash: InfoHash
    files: tuple[str, ...]
    done: ByteCount
    size: ByteCount
    whole: asyncio.Event
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Carriers:
    """Who is asked for a video's torrents: trackers, HTTP mirrors, and its origin unless that is left ``away``."""

    trackers: tuple[str, ...]
    mirrors: tuple[str, ...] = ()
    away: bool = False


class OpenTorrents:
    """``stirred`` is called when a torrent is whole or has failed; ``owner`` tells whose one in the swarm is."""

    def __init__(
        self,
        swarm: Swarm,
        fetcher: Fetcher,
        gathered: Gathered,
        spend: Callable[[VideoId, RenditionName, int], None],
        carriers: Carriers,
        owner: Owner,
        stirred: Callable[[], None],
    ) -> None:
        self._swarm, self._fetcher, self._gathered = swarm, fetcher, gathered
        self._spend, self._owner, self._stirred = spend, owner, stirred
        self._trackers, self._mirrors, self.away = carriers.trackers, carriers.mirrors, carriers.away
        self._video = gathered.manifest.video
        self._torrents: dict[RenditionName, _Torrent] = {}
        self._hearing = ExitStack()

    @property
    def info_hashes(self) -> dict[RenditionName, InfoHash]:
        return {name: t.info_hash for name, t in self._torrents.items()}

    @property
    def done(self) -> ByteCount:
        """Verified bytes."""
        total = 0
        for torrent in self._torrents.values():
            status = self._swarm.status(torrent.info_hash)
            total += torrent.size if torrent.whole.is_set() else (status.done if status else torrent.done)
        return ByteCount(total)

    @property
    def received(self) -> ByteCount:
        """Bytes that were sent to us since the torrents were added, usable or not."""
        statuses = (self._swarm.status(t.info_hash) for t in self._torrents.values())
        return ByteCount(sum(s.received for s in statuses if s is not None))

    @property
    def whole(self) -> bool:
        return all(t.whole.is_set() for t in self._torrents.values())

    @property
    def failure(self) -> SeedkeepError | None:
        """What stopped a torrent."""
        return next((_error(t.fault) for t in self._torrents.values() if t.fault is not None), None)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the origin has the files that come by torrent."""
        ours = [r for r in self._gathered.manifest.renditions if RenditionName(r.name) in self._torrents]
        return tuple(f.url for r in ours for f in r.files)

    def has_whole(self, record: RenditionRecord) -> bool:
        """Tell whether a rendition comes by torrent and is here."""
        torrent = self._torrents.get(RenditionName(record.name))
        return torrent is not None and torrent.whole.is_set()

    def listen(self) -> None:
        """Hear of the torrents from now on. ``close`` ends it."""
        self._hearing.callback(self._swarm.subscribe(self._heard))

    async def add(self, record: RenditionRecord, folder: Path, enter: Callable[[], int], *, sequential: bool) -> bool:
        """Add a rendition's torrent over ``folder``, stopped, what lies there verified; tell whether it has one for us.

        ``enter`` opens the folder (``TorrentSpec``).

        Raises SwarmError, DiskError.
        """
        meta = self._gathered.metas.get(RenditionName(record.name))
        if meta is None or self._is_anothers(meta.info_hash):
            return False
        spec = self._spec(record, meta, folder, enter)
        torrent = _Torrent(meta.info_hash, spec.names, ByteCount(0), meta.size, asyncio.Event())
        self._torrents[RenditionName(record.name)] = torrent
        if self._swarm.holds(torrent.info_hash):
            status = self._swarm.status(torrent.info_hash)
            torrent.done = status.done if status is not None else torrent.done
        else:
            try:
                torrent.done = (await self._swarm.add(spec, sequential=sequential)).done
            except SwarmError:
                # Another video with the same torrent is being opened at this moment.
                del self._torrents[RenditionName(record.name)]
                return False
        if torrent.done == torrent.size:
            torrent.whole.set()
        return True

    def _spec(self, record: RenditionRecord, meta: TorrentMeta, folder: Path, enter: Callable[[], int]) -> TorrentSpec:
        spend = partial(self._spend, self._video, RenditionName(record.name))
        return TorrentSpec(
            meta=meta,
            folder=folder,
            names=names_in_order(record, meta.files),
            web_seeds=self._web_seeds(record),
            trackers=self._trackers,
            window=OriginWindow(self._fetcher, _urls_in_order(record, meta.files), spend),
            enter=enter,
        )

    def _is_anothers(self, info_hash: InfoHash) -> bool:
        """Whether the swarm has this torrent over another video's files: one film at two origins, or a false claim.

        A torrent has one place on the disk, so this video comes by ranges, checked by its list of hashes.
        """
        owner = self._owner(info_hash)
        return self._swarm.holds(info_hash) and (owner is None or owner[0] != self._video)

    def _web_seeds(self, record: RenditionRecord) -> tuple[str, ...]:
        found = web_seeds(record, self._mirrors)
        return found[1:] if self.away else found  # the first is the origin's own

    def welcome(self) -> None:
        """The origin, which was left alone, may be asked for bytes again."""
        self.away = False
        for record in self._gathered.manifest.renditions:
            torrent = self._torrents.get(RenditionName(record.name))
            if torrent is not None and self._swarm.holds(torrent.info_hash):
                self._swarm.confirm(torrent.info_hash, self._trackers, self._web_seeds(record))

    async def start(self, *, anew: bool) -> None:
        """Start those that had stopped by themselves, or all of them ``anew``."""
        for torrent in self._torrents.values():
            if anew or torrent.fault is not None:
                torrent.fault = None
                await self._swarm.start(torrent.info_hash)

    async def stop(self) -> None:
        for torrent in self._torrents.values():
            if self._swarm.holds(torrent.info_hash):
                await self._swarm.stop(torrent.info_hash)

    async def save(self) -> None:
        """Make their resume data last. Raises DiskError."""
        for torrent in self._torrents.values():
            await self._swarm.save(torrent.info_hash)

    def _heard(self, event: SwarmEvent) -> None:
        for torrent in self._torrents.values():
            if torrent.info_hash != event.info_hash:
                continue
            if isinstance(event, Whole):
                torrent.whole.set()
                self._stirred()
            elif isinstance(event, Fault):
                torrent.fault = event
                self._stirred()

    async def file(self, name: str, path: Path) -> Path | Reader | None:
        """Return ``path`` where the file of this name is whole, else a reader. None: not one of the torrents' files.

        Raises NotPlayable.
        """
        for torrent in self._torrents.values():
            if name in torrent.files:
                if torrent.fault is not None:
                    raise NotPlayable("disk_trouble", torrent.fault.message, status=503)
                if torrent.whole.is_set():
                    return path
                try:
                    return await self._swarm.reader(torrent.info_hash, torrent.files.index(name))
                except DiskError as error:
                    raise NotPlayable("disk_trouble", error.message, error.hint, 503) from error
        return None

    def close(self) -> None:
        """Hear of them no more; they go on as they are."""
        self._hearing.close()

    async def remove(self) -> None:
        """Take them out of the swarm. Files stay."""
        for torrent in self._torrents.values():
            await self._swarm.remove(torrent.info_hash)


def names_in_order(record: RenditionRecord, paths: tuple[tuple[str, ByteCount], ...]) -> tuple[str, ...]:
    """Return the rendition's file names in the torrent's order. A single file's name in the torrent means nothing."""
    if len(record.files) == 1:
        return (record.files[0].name,)
    return tuple(path.rpartition("/")[2] for path, _ in paths)


def _urls_in_order(record: RenditionRecord, paths: tuple[tuple[str, ByteCount], ...]) -> tuple[str, ...]:
    urls = {f.name: f.url for f in record.files}
    return tuple(urls[name] for name in names_in_order(record, paths))


def web_seeds(record: RenditionRecord, mirrors: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses its bytes can be had from over HTTP: the origin's, then its mirrors' (BEP 19).

    Mirrors are not checked: what they send is, piece by piece.
    """
    if len(record.files) == 1:
        name = record.files[0].name
        return (record.files[0].url, *(f"{mirror.rstrip('/')}/{quote(name)}" for mirror in mirrors))
    return (record.files[0].url.rpartition("/")[0] + "/",)


def _error(fault: Fault) -> SeedkeepError:
    if fault.disk_full:
        return NoSpace("The disk is full.", hint="It goes on by itself once there is room.")
    return DiskError(fault.message) if fault.message else SwarmError("The torrent stopped by itself.")
