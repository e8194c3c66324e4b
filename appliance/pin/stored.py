"""What an earlier attempt wrote beside the media, read back: this module spares asking the origin for it again.

An origin never gives other contents the same name (PeerTube makes new names for them), so what lies here under the
address that the catalogue has is what the origin has. It counts only where it is what we wrote, by its SHA-256, and
where it is still what it claims to be; anything else is fetched anew.
"""

import msgspec

from appliance.domain.catalogue import VideoRecord
from appliance.domain.units import RenditionName
from appliance.domain.video import Rendition, RenditionKind
from appliance.errors import BadAnswer
from appliance.library import files
from appliance.library.bytemap import read_playlist
from appliance.library.hashes import Hashes, sha256_list
from appliance.library.layout import base_name
from appliance.library.manifest import Manifest, RenditionRecord, SideFile, sizes
from appliance.library.marker import Library
from appliance.pin.assembly import Gathered, Part, Torrents, check_torrent, digest, put_together


def read_back(
    library: Library, torrents: Torrents, record: VideoRecord, chosen: tuple[Rendition, ...]
) -> Gathered | None:
    """Return all that is needed to open ``chosen``, from the disk; None where it is not all there. Blocks.

    Raises LibraryMissing, DiskError.
    """
    try:
        manifest = files.load(library, record.summary.origin, record.summary.id)
        if manifest is None:
            return None
        parts = [_part(library, torrents, manifest, rendition) for rendition in chosen]
        hash_file, hashes = _hashes(library, manifest, record)
        there = tuple(part for part in parts if part is not None)
        return put_together(record, there, hash_file, hashes, {}) if len(there) == len(chosen) else None
    except BadAnswer:
        return None


def comes_without_origin(gathered: Gathered) -> bool:
    """Tell whether others may have all of it: only torrents have peers."""
    return all(RenditionName(r.name) in gathered.metas for r in gathered.manifest.renditions)


def _part(library: Library, torrents: Torrents, manifest: Manifest, rendition: Rendition) -> Part | None:
    held = manifest.rendition(rendition.name)
    if held is None or not _is_of(held, rendition):
        return None
    meta = bytemap = None
    if held.torrent is not None:
        meta = torrents.parse(_read(library, manifest, held.torrent))
        check_torrent(torrents, meta, held)
        theirs = None if rendition.torrent is None else rendition.torrent.info_hash
        if meta.info_hash != (theirs or held.info_hash):
            return None
    if held.playlist is not None:
        bytemap = read_playlist(_read(library, manifest, held.playlist), "", sizes(held))
    elif held.kind is RenditionKind.HLS:
        return None
    own = (held.info_hash,) if held.info_hash is not None else ()
    return Part(msgspec.structs.replace(held, whole=False, info_hashes=own), bytemap, meta, {})


def _is_of(held: RenditionRecord, theirs: Rendition) -> bool:
    """Tell whether what is written of a rendition stems from the addresses that the catalogue has now."""
    folder = theirs.file_url if theirs.file_url.endswith("/") else None
    addresses = {f.url for f in held.files}
    fits = {folder + f.name for f in held.files} if folder is not None else {theirs.file_url}
    torrent = None if theirs.torrent is None else base_name(theirs.torrent.torrent_url)
    return (
        held.kind is theirs.kind
        and held.size == theirs.size == sum(f.size for f in held.files)
        and held.playlist_url == (theirs.playlist_url or "")
        and held.torrent == torrent
        and bool(held.files)
        and addresses == fits
    )


def _hashes(library: Library, manifest: Manifest, record: VideoRecord) -> tuple[SideFile | None, Hashes]:
    """Return the list of hashes as the catalogue knows it; without one only torrents can vouch."""
    if manifest.hashes is None or manifest.hashes.url != record.sha256_url:
        return None, {}
    try:
        hashes = sha256_list(_read(library, manifest, manifest.hashes.file))
    except BadAnswer:
        return None, {}
    return manifest.hashes, hashes


def _read(library: Library, manifest: Manifest, name: str) -> bytes:
    """Return a small file that is as we wrote it. Raises BadAnswer for any other."""
    data = files.read_side(library, manifest, name)
    if data is None or manifest.digests.get(name) != digest(data):
        raise BadAnswer("A file beside the video is not as it was written.")
    return data
