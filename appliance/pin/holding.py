"""One video that is open: its record, its torrents and ranges, and the readers on them. This module fetches it whole.

A holding exists while a video is fetched or watched; what is whole and pinned needs none, only its files.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from appliance.domain.shelf import ByteMap, NotPlayable, Reader
from appliance.domain.units import ByteCount, InfoHash, Origin, RenditionName, VideoId
from appliance.errors import BadAnswer, DiskError, NoSpace, SeedkeepError, SwarmError
from appliance.library import files, release
from appliance.library.files import Draft
from appliance.library.manifest import Manifest, RenditionRecord
from appliance.library.marker import Library
from appliance.outbound.fetch import Fetcher
from appliance.pin.assembly import Gathered
from appliance.pin.merge import merged, not_whole
from appliance.pin.patchwork import Patch, Patchwork, patches
from appliance.swarm.port import Fault, Swarm, SwarmEvent, TorrentMeta, TorrentSpec, Whole

_log = logging.getLogger(__name__)

T = TypeVar("T")
Spend = Callable[[int], None]
Owner = Callable[[InfoHash], tuple[VideoId, RenditionName] | None]
PATCH_SECONDS = 300.0
"""The longest one range may take; our own limit is not counted."""


def _nobody(_: InfoHash) -> tuple[VideoId, RenditionName] | None:
    return None


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


class Holding:
    """See the module. Made by ``open_holding``; ``close`` it when it is whole or no longer wanted."""

    def __init__(
        self,
        library: Library,
        swarm: Swarm,
        fetcher: Fetcher,
        gathered: Gathered,
        spend: Callable[[VideoId, RenditionName, int], None],
        trackers: tuple[str, ...],
        mirrors: tuple[str, ...] = (),
        owner: Owner = _nobody,
        *,
        away: bool = False,
    ) -> None:
        self._library, self._swarm, self._fetcher = library, swarm, fetcher
        self._gathered, self._trackers, self._mirrors = gathered, trackers, mirrors
        self._spend, self._owner = spend, owner
        self.away = away
        self.manifest = gathered.manifest
        self._torrents: dict[RenditionName, _Torrent] = {}
        self._works: dict[str, Patchwork] = {}
        self._trouble: SeedkeepError | None = None
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, SeedkeepError] = {}
        self._stack = AsyncExitStack()
        self._news = asyncio.Event()
        self._ranged = self._counted = 0
        self.started = False

    @property
    def video(self) -> VideoId:
        return self.manifest.video

    @property
    def opened(self) -> Manifest:
        """The record of what this holding opened, without what else its folder has."""
        return self._gathered.manifest

    @property
    def renditions(self) -> frozenset[RenditionName]:
        return frozenset(RenditionName(r.name) for r in self._gathered.manifest.renditions)

    @property
    def bytemaps(self) -> Mapping[RenditionName, ByteMap]:
        return self._gathered.bytemaps

    @property
    def info_hashes(self) -> dict[RenditionName, InfoHash]:
        return {name: t.info_hash for name, t in self._torrents.items()}

    @property
    def size(self) -> ByteCount:
        """Media bytes of all its renditions."""
        return ByteCount(sum(r.size for r in self._gathered.manifest.renditions))

    @property
    def done(self) -> ByteCount:
        """Verified media bytes."""
        total: int = sum(w.done for w in self._works.values())
        for torrent in self._torrents.values():
            status = self._swarm.status(torrent.info_hash)
            total += torrent.size if torrent.whole.is_set() else (status.done if status else torrent.done)
        return ByteCount(total)

    @property
    def received(self) -> ByteCount:
        """Bytes that its torrents were sent since they were added, usable or not."""
        statuses = (self._swarm.status(t.info_hash) for t in self._torrents.values())
        return ByteCount(sum(s.received for s in statuses if s is not None))

    def newly_taken(self) -> int:
        """Return the bytes that came since this was last asked, usable or not; a viewer's own ranges left out."""
        total = self.received + self._ranged
        new, self._counted = max(0, total - self._counted), total
        return new

    @property
    def asks_ranges(self) -> bool:
        """Whether ranges are being fetched: those have time limits of their own."""
        return any(not run.done() for run in self._runs.values())

    async def open(self, *, sequential: bool) -> None:
        """List, then add everything stopped; what lies on the disk is verified. Raises SeedkeepError."""
        self._stack.callback(self._swarm.subscribe(self._heard))
        old = await asyncio.to_thread(_load, self._library, self.manifest)
        self.manifest = merged(old, self.manifest)
        folder = await to_its_end(asyncio.to_thread(self._list))  # a thread goes on writing, and we may be let go
        for record in self._gathered.manifest.renditions:
            meta = self._gathered.metas.get(RenditionName(record.name))
            if meta is not None and not self._is_anothers(meta.info_hash):
                await self._add(record, self._spec(record, meta, folder), sequential)
            else:
                await self._patch(record)
        await self._say_what_is_not_whole()

    def _list(self) -> Path:
        """Write the record, then the small files it lists."""
        folder = files.save(self._library, self.manifest)
        release.clear_temporaries(self._library, self.manifest)
        for name, data in self._gathered.sides.items():
            files.write_side(self._library, self.manifest, name, data)
        return folder

    async def _say_what_is_not_whole(self) -> None:
        """What was said to be whole and is not, once verified, is no longer served from the disk."""
        there = {name for name, torrent in self._torrents.items() if torrent.whole.is_set()}
        for record in self._gathered.manifest.renditions:
            if record.files and all(f.name in self._works and self._works[f.name].whole for f in record.files):
                there.add(RenditionName(record.name))
        lost = frozenset(r.name for r in self.manifest.renditions if r.whole and r.name in self.renditions) - there
        if lost:
            self.manifest = not_whole(self.manifest, lost)
            await to_its_end(asyncio.to_thread(files.save, self._library, self.manifest))

    def _spec(self, record: RenditionRecord, meta: TorrentMeta, folder: Path) -> TorrentSpec:
        spend = partial(self._spend, self.video, RenditionName(record.name))
        return TorrentSpec(
            meta=meta,
            folder=folder,
            names=names_in_order(record, meta.files),
            web_seeds=self._web_seeds(record),
            trackers=self._trackers,
            window=OriginWindow(self._fetcher, _urls_in_order(record, meta.files), spend),
        )

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

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where its origin has the files that come by torrent."""
        ours = [r for r in self._gathered.manifest.renditions if RenditionName(r.name) in self._torrents]
        return tuple(f.url for r in ours for f in r.files)

    async def _add(self, record: RenditionRecord, spec: TorrentSpec, sequential: bool) -> None:
        torrent = _Torrent(spec.meta.info_hash, spec.names, ByteCount(0), spec.meta.size, asyncio.Event())
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
                await self._patch(record)
                return
        if torrent.done == torrent.size:
            torrent.whole.set()

    def _is_anothers(self, info_hash: InfoHash) -> bool:
        """Whether the swarm has this torrent over another video's files: one film at two origins, or a false claim.

        A torrent has one place on the disk, so this video comes by ranges, checked by its list of hashes.
        """
        owner = self._owner(info_hash)
        return self._swarm.holds(info_hash) and (owner is None or owner[0] != self.video)

    def _require_hashes(self, record: RenditionRecord, parts: tuple[Patch, ...], bytemap: ByteMap | None) -> None:
        spans = {(s.offset, s.offset + s.length - 1) for s in (() if bytemap is None else bytemap.segments)}
        if record.torrent is not None and any(p.sha256 is None and (p.first, p.last) in spans for p in parts):
            raise SwarmError(
                "Another video here has the same torrent, and this one has no hashes of its own.",
                hint="It is tried again by itself; until then play the other one.",
            )

    async def _patch(self, record: RenditionRecord) -> None:
        for file in record.files:
            opening = self._stack.enter_async_context(Draft(self._library, self.manifest, file.name))
            draft = await to_its_end(opening)
            bytemap = self._gathered.bytemaps.get(RenditionName(record.name))
            parts = patches(file.name, ByteCount(file.size), bytemap, self._gathered.hashes.get(file.name, {}))
            self._require_hashes(record, parts, bytemap)
            fetch = partial(self._range, file.url, partial(self._spend, self.video, RenditionName(record.name)))
            work = Patchwork(draft, ByteCount(file.size), parts, fetch)
            await work.verify()
            self._works[file.name] = work

    async def _range(self, url: str, spend: Spend, first: int, last: int) -> bytes:
        data = await self._fetcher.get_range(url, first, last, timeout=PATCH_SECONDS)
        self._ranged += len(data)
        spend(len(data))
        return data

    async def promise(self) -> None:
        """A pin stands behind it from now on. Raises LibraryMissing, DiskError."""
        if not self.manifest.promised:
            self.manifest = msgspec.structs.replace(self.manifest, promised=True)
            await asyncio.to_thread(files.save, self._library, self.manifest)

    async def start(self) -> None:
        """Begin to fetch what is missing, or go on where a part had stopped by itself."""
        if not self.started:
            self._trouble = None
        for torrent in self._torrents.values():
            if not self.started or torrent.fault is not None:
                torrent.fault = None
                await self._swarm.start(torrent.info_hash)
        for name, work in self._works.items():
            run = self._runs.get(name)
            if not work.whole and (run is None or run.done()):
                self._failures.pop(name, None)
                self._runs[name] = asyncio.create_task(self._run(name, work), name=f"fetch {self.video} {name}")
        self.started = True

    async def _run(self, name: str, work: Patchwork) -> None:
        try:
            await work.run()
        except SeedkeepError as error:
            self._failures[name] = error
        except Exception as error:  # noqa: BLE001 - the edge of one unit of work: one file
            _log.exception("fetching %s of %s failed", name, self.video)
            self._failures[name] = SeedkeepError(
                "Something went wrong inside Seedkeep.", hint=f"The log has the details ({type(error).__name__})."
            )
        finally:
            self._news.set()

    async def pause(self) -> None:
        """Stop fetching; what came stays."""
        self.started = False
        await self._end_runs()
        for torrent in self._torrents.values():
            if self._swarm.holds(torrent.info_hash):
                await self._swarm.stop(torrent.info_hash)

    async def _end_runs(self) -> None:
        for run in self._runs.values():
            run.cancel()
        await asyncio.gather(*self._runs.values(), return_exceptions=True)
        self._runs.clear()

    async def wait(self) -> None:
        """Return once every byte is here and verified. Raises the first SeedkeepError that stops a part of it."""
        while True:
            self._news.clear()
            if self._trouble is not None:
                error, self._trouble = self._trouble, None
                raise error
            for torrent in self._torrents.values():
                if torrent.fault is not None:
                    raise _fault(torrent.fault)
            for failure in self._failures.values():
                raise failure
            if all(t.whole.is_set() for t in self._torrents.values()) and all(w.whole for w in self._works.values()):
                return
            await self._news.wait()

    def fail(self, error: SeedkeepError) -> None:
        """Have ``wait`` raise ``error``: the disk is full, the library is gone."""
        self._trouble = error
        self._news.set()

    def _heard(self, event: SwarmEvent) -> None:
        for torrent in self._torrents.values():
            if torrent.info_hash != event.info_hash:
                continue
            if isinstance(event, Whole):
                torrent.whole.set()
                self._news.set()
            elif isinstance(event, Fault):
                torrent.fault = event
                self._news.set()

    async def secure(self) -> None:
        """Make everything that is here last: media files, then resume data. Raises DiskError."""
        names = [f.name for r in self._gathered.manifest.renditions for f in r.files]
        await asyncio.to_thread(files.fsync_files, self._library, self.manifest, names)
        for torrent in self._torrents.values():
            await self._swarm.save(torrent.info_hash)

    async def file(self, name: str) -> Path | Reader | None:
        """Return a media file of this holding: a path where it is whole, else a reader. None: not one of its files."""
        path = self._library.folder(Origin(self.manifest.origin), self.video) / name
        if (work := self._works.get(name)) is not None:
            return path if work.whole else work.reader()
        for torrent in self._torrents.values():
            if name in torrent.files:
                if torrent.fault is not None:
                    raise NotPlayable("disk_trouble", torrent.fault.message, status=503)
                if torrent.whole.is_set():
                    return path
                return await self._swarm.reader(torrent.info_hash, torrent.files.index(name))
        return None

    async def close(self, *, keep_torrents: bool) -> None:
        """End the fetching. Torrents go on seeding, or are forgotten; files stay either way."""
        await to_its_end(self._close(keep_torrents))

    async def _close(self, keep_torrents: bool) -> None:
        self.started = False
        await self._end_runs()
        await self._stack.aclose()
        if not keep_torrents:
            for torrent in self._torrents.values():
                await self._swarm.remove(torrent.info_hash)


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Do work to its end even where the caller is cancelled meanwhile: it holds files that must be closed."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _load(library: Library, like: Manifest) -> Manifest | None:
    """Return the record that is there. One that is damaged is written anew: nothing it may have listed is deleted."""
    try:
        return files.load(library, Origin(like.origin), like.video)
    except BadAnswer as error:
        _log.warning("%s: its record is damaged and is made anew: %s", like.video, error.message)
        return None


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


def _fault(fault: Fault) -> SeedkeepError:
    if fault.disk_full:
        return NoSpace("The disk is full.", hint="It goes on by itself once there is room.")
    return DiskError(fault.message) if fault.message else SwarmError("The torrent stopped by itself.")
