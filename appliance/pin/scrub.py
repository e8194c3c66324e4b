"""Re-hashes what we hold, to find rot: torrents against their pieces, the rest against its SHA-256. This module looks;
the warden has what is rotten fetched again.
"""

import asyncio
import hashlib
from dataclasses import dataclass

from appliance.domain.catalogue import VideoRecord
from appliance.domain.pin import Pin
from appliance.domain.units import ByteCount, Origin, RenditionName
from appliance.errors import BadAnswer
from appliance.library import files
from appliance.library.atomic import naming_disk_errors
from appliance.library.hashes import sha256_list
from appliance.library.manifest import Manifest, RenditionRecord
from appliance.pin.opened import IsAnothers
from appliance.pin.opener import Parts
from appliance.pin.patchwork import Patch, patches


@dataclass(frozen=True, slots=True)
class Rot:
    """What is rotten, in a sentence; ``rendition`` None: everything."""

    why: str
    rendition: RenditionName | None = None


async def scrub(parts: Parts, pin: Pin, record: VideoRecord, is_anothers: IsAnothers) -> Rot | None:
    """Return what is rotten, None where all is well. Raises LibraryMissing, DiskError.

    A torrent that ``is_anothers`` stands over that video's files and says nothing of these.
    """
    try:
        manifest = await asyncio.to_thread(files.load, parts.library, record.summary.origin, pin.video)
    except BadAnswer as error:
        return Rot(error.message)
    if manifest is None:
        return Rot("Its folder is not in the library.")
    for rendition in manifest.renditions:
        if not rendition.whole:
            continue
        own = rendition.info_hash is not None and not is_anothers(rendition.info_hash, pin.video)
        bad = await _bad_bytes(parts, manifest, rendition, own)
        if bad:
            why = f"{bad} bytes of {rendition.name} no longer match their hashes."
            return Rot(why, RenditionName(rendition.name))
    return None


async def _bad_bytes(parts: Parts, manifest: Manifest, rendition: RenditionRecord, own: bool) -> int:
    if own and rendition.info_hash is not None and parts.swarm.holds(rendition.info_hash):
        judged = await parts.swarm.recheck(rendition.info_hash)
        if judged.whole:
            await parts.swarm.start(rendition.info_hash)
        return judged.size - judged.done
    return await asyncio.to_thread(rotten, parts, manifest, rendition)


def rotten(parts: Parts, manifest: Manifest, rendition: RenditionRecord) -> int:
    """Return how many bytes of a rendition do not match their SHA-256; what has none is not judged. Blocks."""
    raw = None if manifest.hashes is None else files.read_side(parts.library, manifest, manifest.hashes.file)
    if raw is None:
        return 0
    try:
        hashes = sha256_list(raw)
    except BadAnswer:
        return 0
    bytemap = files.read_bytemaps(parts.library, manifest).get(RenditionName(rendition.name))
    folder = parts.library.folder(Origin(manifest.origin), manifest.video)
    bad = 0
    for file in rendition.files:
        try:
            with naming_disk_errors("A media file cannot be read"), open(folder / file.name, "rb") as media:
                for patch in patches(file.name, ByteCount(file.size), bytemap, hashes.get(file.name, {})):
                    media.seek(patch.first)
                    bad += _bad(patch, media.read(patch.last - patch.first + 1)) if patch.sha256 is not None else 0
        except FileNotFoundError:
            bad += file.size
    return bad


def _bad(patch: Patch, data: bytes) -> int:
    return 0 if hashlib.sha256(data).hexdigest() == patch.sha256 else patch.last - patch.first + 1
