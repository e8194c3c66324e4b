"""From a catalogue record to an open holding or a seeding pin: this module knows what each takes."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import msgspec

from appliance.domain.catalogue import VideoRecord
from appliance.domain.pin import Pin
from appliance.domain.units import ByteCount, InfoHash, Origin, RenditionName, VideoId
from appliance.domain.video import Extras, Rendition, Upstream, VideoDetail
from appliance.errors import BadAnswer, NotFound, OriginError, SeedkeepError
from appliance.library import files
from appliance.library.manifest import Manifest, RenditionRecord
from appliance.library.marker import Library
from appliance.outbound.fetch import Fetcher
from appliance.pin.assembly import Gathered, check_torrent
from appliance.pin.gather import Gatherer
from appliance.pin.holding import Holding
from appliance.pin.stored import read_back
from appliance.pin.torrents import Carriers, Owner, names_in_order
from appliance.store import videos
from appliance.store.engine import Store
from appliance.swarm.port import Swarm, TorrentSpec


class Sources(Protocol):
    """What pinning asks of following; the daemon introduces them."""

    async def detail(self, video: VideoId, *, priority: bool = False) -> VideoDetail:
        """Ask the origin about a video now and write the answer down; a viewer who waits has priority.

        Raises OriginError.
        """
        ...

    async def extras(self, video: VideoId) -> Extras:
        """Ask the origin for captions and storyboard. Raises OriginError."""
        ...


class OriginAway(OriginError):
    """The origin does not show the video now; it may again."""

    code = "not_shown"
    retryable = True


@dataclass(frozen=True, slots=True)
class Parts:
    """What opening works with."""

    store: Store
    swarm: Swarm
    library: Library
    fetcher: Fetcher
    gatherer: Gatherer
    sources: Sources
    spend: Callable[[VideoId, RenditionName, int], None]
    """Told of the media bytes that came over HTTP, by rendition."""


async def record_of(parts: Parts, video: VideoId) -> VideoRecord:
    """Return what the catalogue knows of a video. Raises NotFound."""
    record = await parts.store.read(videos.one, video)
    if record is None:
        raise NotFound("This video is not in the catalogue.", hint="It may have been removed; search for it again.")
    return record


def picked(record: VideoRecord, names: tuple[RenditionName, ...]) -> tuple[Rendition, ...]:
    """Return the renditions of these names. Raises OriginAway, BadAnswer where the origin has none of that name."""
    if record.upstream is not Upstream.PUBLISHED:
        raise OriginAway("The origin does not show this video now.", hint="It is looked for again later.")
    known = {r.name: r for r in record.renditions}
    if missing := [n for n in names if n not in known]:
        raise BadAnswer(
            f"The origin no longer has the rendition {missing[0]}.", hint="The next plan chooses among what it has."
        )
    return tuple(known[n] for n in names)


async def stored(parts: Parts, record: VideoRecord, chosen: tuple[Rendition, ...]) -> Gathered | None:
    """Return what an earlier attempt gathered of ``chosen``, None where that is not (or no longer) all there.

    Raises LibraryMissing, DiskError.
    """
    return await asyncio.to_thread(read_back, parts.library, parts.gatherer.torrents, record, chosen)


async def _gathered(
    parts: Parts, record: VideoRecord, chosen: tuple[Rendition, ...], urgent: bool
) -> tuple[VideoRecord, Gathered]:
    """Ask the origin for what stands beside the media; where an address has gone stale, for the detail once more."""
    try:
        return record, await parts.gatherer.gather(record, chosen, urgent=urgent)
    except NotFound:
        await parts.sources.detail(record.summary.id, priority=urgent)
        record = await record_of(parts, record.summary.id)
        chosen = picked(record, tuple(r.name for r in chosen))
        return record, await parts.gatherer.gather(record, chosen, urgent=urgent, hashes_may_lack=True)


async def open_holding(
    parts: Parts,
    record: VideoRecord,
    chosen: tuple[Rendition, ...],
    *,
    promised: bool,
    urgent: bool,
    owner: Owner,
    anew: bool = False,
    torrents: bool = True,
) -> Holding:
    """Return the video open and stopped, what lies on the disk verified. Raises SeedkeepError; leaves nothing running.

    ``owner`` tells whose a torrent in the swarm is. What an earlier attempt gathered is not asked for again, unless
    ``anew``: something of it led nowhere. An origin that is left alone is none of its sources, unless a viewer waits.
    Without ``torrents`` all of it comes from there by ranges.
    """
    gathered = None if anew else await stored(parts, record, chosen)
    if gathered is None:
        record, gathered = await _gathered(parts, record, chosen, urgent)
    manifest = msgspec.structs.replace(gathered.manifest, promised=promised)
    if not torrents:
        gathered = replace(gathered, metas={})
    away = not urgent and parts.fetcher.manners.rest(record.summary.origin) > 0
    holding = Holding(
        parts.library,
        parts.swarm,
        parts.fetcher,
        replace(gathered, manifest=manifest),
        parts.spend,
        Carriers(record.trackers, record.mirrors, away),
        owner,
    )
    try:
        await holding.open(sequential=urgent)
    except BaseException:
        await holding.close(keep_torrents=False)
        raise
    return holding


@dataclass(frozen=True, slots=True)
class Seeding:
    """What a pinned video has in the swarm; ``lost`` says in a sentence what is not there of what was promised.

    ``bare``: its captions and pictures were never fetched.
    """

    torrents: dict[RenditionName, InfoHash]
    manifest: Manifest | None = None
    lost: str = ""
    lost_rendition: RenditionName | None = None
    bare: bool = False


async def seed(parts: Parts, pin: Pin, record: VideoRecord, manifest: Manifest | None = None) -> Seeding:
    """Put a pinned video into the swarm from what lies on the disk, as ``manifest`` or its own record says.

    Raises LibraryMissing, DiskError.
    """
    if manifest is None:
        try:
            manifest = await asyncio.to_thread(files.load, parts.library, record.summary.origin, pin.video)
        except BadAnswer as error:
            return Seeding({}, lost=error.message)
    if manifest is None:
        return Seeding({}, lost="Its folder is not in the library.")
    sizes = await asyncio.to_thread(files.present_names, parts.library, manifest)
    torrents: dict[RenditionName, InfoHash] = {}
    for name in pin.renditions:
        rendition = manifest.rendition(name)
        why = _lost(name, rendition, sizes)
        if rendition is not None and not why and rendition.torrent is not None:
            info_hash = await _seed_one(parts, manifest, rendition)
            if info_hash is None:
                why = f"Rendition {name} does not match its torrent."
            else:
                torrents[name] = info_hash
        if why:
            return Seeding(torrents, manifest, why, name)
    return Seeding(torrents, manifest, bare=is_bare(manifest, record))


def is_bare(manifest: Manifest, record: VideoRecord) -> bool:
    """Tell whether the pictures of a video were never fetched."""
    return manifest.thumbnail is None and record.summary.thumbnail_url is not None


def _lost(name: RenditionName, rendition: RenditionRecord | None, sizes: Mapping[str, ByteCount]) -> str:
    if rendition is None or not rendition.whole:
        return f"Rendition {name} is not whole."
    lost = [f.name for f in rendition.files if sizes.get(f.name) != f.size]
    return f"The file {lost[0]} is gone or has another size." if lost else ""


async def _seed_one(parts: Parts, manifest: Manifest, rendition: RenditionRecord) -> InfoHash | None:
    assert rendition.torrent is not None
    raw = await asyncio.to_thread(files.read_side, parts.library, manifest, rendition.torrent)
    if raw is None:
        return None
    try:
        meta = await asyncio.to_thread(parts.gatherer.torrents.parse, raw)
        check_torrent(parts.gatherer.torrents, meta, rendition)
    except BadAnswer:
        return None
    if not parts.swarm.holds(meta.info_hash):
        spec = TorrentSpec(
            meta=meta,
            folder=parts.library.folder(Origin(manifest.origin), manifest.video),
            names=names_in_order(rendition, meta.files),
            enter=partial(parts.library.enter, Origin(manifest.origin), manifest.video),
        )
        judged = await parts.swarm.add(spec)
        if not judged.whole:
            await parts.swarm.remove(meta.info_hash)
            return None
    await parts.swarm.start(meta.info_hash)
    return meta.info_hash


def sentence(error: BaseException) -> SeedkeepError:
    """Return an error as one of ours; a bug becomes a plain sentence."""
    if isinstance(error, SeedkeepError):
        return error
    return SeedkeepError("Something went wrong inside Seedkeep.", hint="The log has the details.", code="internal")
