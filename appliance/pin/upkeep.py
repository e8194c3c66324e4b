"""A pinned video whose origin says something new: renamed, captioned, replaced. This module follows without fetching
a media byte that we hold.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from appliance.domain.catalogue import VideoRecord
from appliance.domain.pin import Pin
from appliance.domain.units import InfoHash, Origin, RenditionName
from appliance.domain.video import Rendition, Upstream
from appliance.errors import BadAnswer, OriginError
from appliance.library import files, release
from appliance.library.layout import base_name
from appliance.library.manifest import Manifest, RenditionRecord, media_names
from appliance.pin.adornment import Adorner
from appliance.pin.assembly import check_torrent, digest
from appliance.pin.gather import base_of_hashes
from appliance.pin.opened import IsAnothers
from appliance.pin.opener import Parts, is_bare
from appliance.pin.torrents import names_in_order, web_seeds
from appliance.swarm.port import TorrentMeta, TorrentSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upkept:
    """What came of it: torrents by rendition now, whether the bytes were replaced upstream, whether the side files
    beside the media (captions, pictures) are out of date."""

    torrents: dict[RenditionName, InfoHash]
    replaced: bool
    stale_sides: bool


async def keep_up(parts: Parts, pin: Pin, record: VideoRecord, is_anothers: IsAnothers) -> Upkept | None:
    """Compare what we hold with what the origin just said, and follow it. None: nothing is held.

    A torrent that ``is_anothers`` is left as it is.
    Raises LibraryMissing, DiskError; what the origin does wrong is logged and leaves the pin as it is.
    """
    manifest = await asyncio.to_thread(files.load, parts.library, record.summary.origin, pin.video)
    if manifest is None:
        return None
    if record.upstream is not Upstream.PUBLISHED:
        _stop_announcing(parts, manifest, is_anothers)
        return Upkept({}, replaced=False, stale_sides=False)
    upstream = {r.name: r for r in record.renditions}
    torrents: dict[RenditionName, InfoHash] = {}
    replaced = False
    for name in pin.renditions:
        held, theirs = manifest.rendition(name), upstream.get(name)
        if held is None or theirs is None:
            continue
        if not theirs.file_url.endswith("/") and held.files[0].name != base_name(theirs.file_url):
            replaced = True
            continue
        manifest = await _follow_torrent(parts, manifest, held, theirs, record, is_anothers)
        now = manifest.rendition(name)
        if now is not None and now.info_hash is not None:
            torrents[name] = now.info_hash
            ours = theirs.torrent is None or theirs.torrent.info_hash in (None, now.info_hash)
            if ours and parts.swarm.holds(now.info_hash) and not is_anothers(now.info_hash, pin.video):
                parts.swarm.confirm(now.info_hash, record.trackers, web_seeds(now, record.mirrors))
    stale = manifest.title != record.summary.title or base_of_hashes(manifest) != _hash_name(record)
    return Upkept(torrents, replaced, stale or is_bare(manifest, record))


def _stop_announcing(parts: Parts, manifest: Manifest, is_anothers: IsAnothers) -> None:
    """A tracker is told only of info-hashes that its origin just confirmed."""
    for info_hash in [r.info_hash for r in manifest.renditions if r.info_hash is not None]:
        if parts.swarm.holds(info_hash) and not is_anothers(info_hash, manifest.video):
            parts.swarm.confirm(info_hash, (), ())


async def _follow_torrent(
    parts: Parts,
    manifest: Manifest,
    held: RenditionRecord,
    theirs: Rendition,
    record: VideoRecord,
    is_anothers: IsAnothers,
) -> Manifest:
    """Put the origin's present torrent of the same bytes in the place of ours, if it has another info-hash."""
    if theirs.torrent is None or theirs.torrent.info_hash is None or not held.whole:
        return manifest
    if theirs.torrent.info_hash == held.info_hash:
        return manifest
    try:
        meta = await parts.gatherer.torrent(theirs)
        check_torrent(parts.gatherer.torrents, meta, held)
    except OriginError as error:
        _log.warning("%s: the renamed torrent of %s cannot be used: %s", manifest.id, held.name, error.message)
        return manifest
    followed = await _swap(parts, manifest, held, theirs, meta, record)
    old = held.info_hash
    if followed is manifest or old is None or old == meta.info_hash or is_anothers(old, manifest.video):
        return followed
    await parts.swarm.remove(old)
    return followed


async def _swap(
    parts: Parts,
    manifest: Manifest,
    held: RenditionRecord,
    theirs: Rendition,
    meta: TorrentMeta,
    record: VideoRecord,
) -> Manifest:
    assert theirs.torrent is not None
    torrent_name = base_name(theirs.torrent.torrent_url)
    spec = TorrentSpec(
        meta=meta,
        folder=parts.library.folder(Origin(manifest.origin), manifest.video),
        names=names_in_order(held, meta.files),
        enter=partial(parts.library.enter, Origin(manifest.origin), manifest.video),
        web_seeds=web_seeds(held, record.mirrors),
        trackers=record.trackers,
    )
    if not parts.swarm.holds(meta.info_hash):
        judged = await parts.swarm.add(spec)
        if not judged.whole:
            await parts.swarm.remove(meta.info_hash)
            _log.warning("%s: the renamed torrent of %s is of other bytes; ours stays", manifest.id, held.name)
            return manifest
    listed = msgspec.structs.replace(manifest, others=tuple(sorted({*manifest.others, torrent_name})))
    await asyncio.to_thread(files.save, parts.library, listed)
    await asyncio.to_thread(files.write_side, parts.library, listed, torrent_name, meta.raw)
    updated = _renewed(manifest, held, torrent_name, meta)
    await parts.swarm.save(meta.info_hash)
    await asyncio.to_thread(files.save, parts.library, updated)
    await parts.swarm.start(meta.info_hash)
    return await asyncio.to_thread(release.prune, parts.library, updated)


def _renewed(manifest: Manifest, held: RenditionRecord, torrent: str, meta: TorrentMeta) -> Manifest:
    """Return the record with another torrent of the same bytes; the old ``.torrent`` is listed, to be deleted."""
    fresh = msgspec.structs.replace(
        held, torrent=torrent, info_hashes=tuple(dict.fromkeys((meta.info_hash, *held.info_hashes)))
    )
    stale = {held.torrent} if held.torrent is not None and held.torrent != torrent else set()
    return msgspec.structs.replace(
        manifest,
        others=tuple(sorted({*manifest.others, *stale} - {torrent})),
        renditions=tuple(fresh if r.name == held.name else r for r in manifest.renditions),
        digests={**manifest.digests, torrent: digest(meta.raw)},
    )


async def enrich(parts: Parts, pin: Pin, record: VideoRecord) -> bool:
    """Fetch captions, thumbnail, storyboard and the list of hashes as the origin has them now; answer whether it could.

    Raises LibraryMissing, DiskError.
    """
    if record.upstream is not Upstream.PUBLISHED:
        return False
    try:
        extras = await parts.sources.extras(pin.video)
        raw = await parts.gatherer.hash_list(record)
        before = await asyncio.to_thread(files.load, parts.library, record.summary.origin, pin.video)
        if before is None:
            return False
        present = await asyncio.to_thread(files.present_names, parts.library, before)
        adorner = Adorner(parts.fetcher, frozenset(present) - media_names(before))
        manifest = await adorner.adorn(before, record, extras)
        manifest, sides = parts.gatherer.with_hash_list(manifest, adorner.sides, record, raw)
        manifest = msgspec.structs.replace(manifest, title=record.summary.title, description=record.summary.description)
        manifest = parts.gatherer.still_listing(before, manifest)
        await asyncio.to_thread(_write, parts, manifest, sides)
    except OriginError as error:
        _log.info("%s: captions and pictures are left for later: %s", pin.video, error.message)
        return False
    return True


def _write(parts: Parts, manifest: Manifest, sides: Mapping[str, bytes]) -> None:
    """List, write, then delete what the origin no longer has."""
    files.save(parts.library, manifest)
    for name, data in sides.items():
        files.write_side(parts.library, manifest, name, data)
    release.prune(parts.library, manifest)


def _hash_name(record: VideoRecord) -> str | None:
    try:
        return None if record.sha256_url is None else base_name(record.sha256_url)
    except BadAnswer:
        return None
