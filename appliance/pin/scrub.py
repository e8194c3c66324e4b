"""Re-hashes what we hold, to find rot: torrents against their pieces, the rest against its SHA-256. This module looks;
the keeper has what is rotten fetched again.
"""

import asyncio
import hashlib

from appliance.domain.catalogue import VideoRecord
from appliance.domain.pin import Pin
from appliance.domain.units import ByteCount, Origin, RenditionName
from appliance.errors import BadAnswer
from appliance.library import files
from appliance.library.bytemap import sha256_list
from appliance.library.manifest import Manifest, RenditionRecord
from appliance.pin.opener import Parts
from appliance.pin.patchwork import patches


async def scrub(parts: Parts, pin: Pin, record: VideoRecord) -> str:
    """Return what is rotten in a sentence, empty where all is well. Raises LibraryMissing, DiskError."""
    manifest = await asyncio.to_thread(files.load, parts.library, record.summary.origin, pin.video)
    if manifest is None:
        return "Its folder is not in the library."
    for rendition in manifest.renditions:
        if not rendition.whole:
            continue
        if rendition.info_hash is not None and parts.swarm.holds(rendition.info_hash):
            judged = await parts.swarm.recheck(rendition.info_hash)
            if not judged.whole:
                return f"{judged.size - judged.done} bytes of {rendition.name} no longer match their hashes."
            await parts.swarm.start(rendition.info_hash)
        elif rotten := await asyncio.to_thread(_rotten, parts, manifest, rendition):
            return f"{rotten} bytes of {rendition.name} no longer match their hashes."
    return ""


def _rotten(parts: Parts, manifest: Manifest, rendition: RenditionRecord) -> int:
    """Return how many bytes no longer match their SHA-256; what has none is not judged."""
    raw = None if manifest.hashes is None else files.read_side(parts.library, manifest, manifest.hashes.file)
    if raw is None:
        return 0
    try:
        hashes = sha256_list(raw)
    except BadAnswer:
        return 0
    bytemap = files.read_bytemaps(parts.library, manifest).get(RenditionName(rendition.name))
    folder = parts.library.folder(Origin(manifest.origin), manifest.video)
    rotten = 0
    for file in rendition.files:
        with open(folder / file.name, "rb") as media:
            for patch in patches(file.name, ByteCount(file.size), bytemap, hashes.get(file.name, {})):
                if patch.sha256 is None:
                    continue
                media.seek(patch.first)
                data = media.read(patch.last - patch.first + 1)
                if hashlib.sha256(data).hexdigest() != patch.sha256:
                    rotten += patch.last - patch.first + 1
    return rotten
