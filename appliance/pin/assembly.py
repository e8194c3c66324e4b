"""What stands beside the media, checked against one another and made one record: playlists, hashes, torrents.

Everything here comes from outside, or was read back from a disk; this module asks nobody and touches no disk.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from appliance.domain.catalogue import VideoRecord
from appliance.domain.shelf import ByteMap
from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import Rendition, RenditionKind
from appliance.errors import BadAnswer
from appliance.library.bytemap import Master, Variant, playlist_text, read_playlist
from appliance.library.hashes import Hashes
from appliance.library.layout import base_name, safe_name
from appliance.library.manifest import Manifest, MediaFile, RenditionRecord, SideFile
from appliance.pin.codecs import own_codecs, sound_codecs
from appliance.swarm.port import TorrentMeta


class Torrents(Protocol):
    """Reads a ``.torrent`` and checks it against what the origin said. Raises BadAnswer."""

    def parse(self, raw: bytes) -> TorrentMeta: ...

    def check_single(self, meta: TorrentMeta, size: int) -> None: ...

    def check_files(self, meta: TorrentMeta, sizes: Mapping[str, int]) -> None: ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """A video ready to be opened. ``sides`` are the side files to write, by name; ``manifest`` lists every file."""

    manifest: Manifest
    bytemaps: Mapping[RenditionName, ByteMap]
    metas: Mapping[RenditionName, TorrentMeta]
    hashes: Hashes
    sides: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """One rendition, gathered."""

    record: RenditionRecord
    bytemap: ByteMap | None
    meta: TorrentMeta | None
    sides: Mapping[str, bytes]


def check_torrent(torrents: Torrents, meta: TorrentMeta, record: RenditionRecord) -> None:
    """Raise BadAnswer unless the torrent carries exactly this rendition's files."""
    if len(record.files) == 1:
        torrents.check_single(meta, record.files[0].size)
    else:
        torrents.check_files(meta, {f.name: f.size for f in record.files})


def assemble(torrents: Torrents, rendition: Rendition, playlist: bytes | None, meta: TorrentMeta | None) -> Part:
    """Check playlist, torrent and the origin's word against one another. Raises BadAnswer."""
    url = rendition.playlist_url or ""
    files = _files(rendition, playlist, meta)
    sizes = {f.name: ByteCount(f.size) for f in files}
    bytemap = None if playlist is None else read_playlist(playlist, url, sizes)
    if rendition.kind is RenditionKind.HLS and bytemap is None:
        raise BadAnswer("The origin gives no playlist for it.", hint="It may still be processing the video.")
    sides: dict[str, bytes] = {}
    torrent_name = playlist_name = None
    if bytemap is not None:
        playlist_name = base_name(url)
        sides[playlist_name] = playlist_text(bytemap, sizes).encode()
    record = RenditionRecord(
        name=rendition.name,
        kind=rendition.kind,
        width=rendition.width,
        height=rendition.height,
        fps=float(rendition.fps),
        has_video=rendition.has_video,
        has_audio=rendition.has_audio,
        size=rendition.size,
        files=files,
        playlist=playlist_name,
        playlist_url=url,
    )
    if meta is not None and rendition.torrent is not None:
        check_torrent(torrents, meta, record)
        torrent_name = base_name(rendition.torrent.torrent_url)
        sides[torrent_name] = meta.raw
        record = _with(record, torrent=torrent_name, info_hashes=(meta.info_hash,))
    return Part(record, bytemap, meta, sides)


def require_verifiable(part: Part, hashes: Hashes) -> None:
    """Raise BadAnswer for HLS that neither a torrent nor a list of hashes vouches for.

    Of plain MP4 without a torrent no origin gives hashes; its size is all that can be checked.
    """
    if part.meta is not None or part.bytemap is None:
        return
    unknown = [s for s in part.bytemap.segments if (s.offset, s.offset + s.length - 1) not in hashes.get(s.file, {})]
    if unknown:
        raise BadAnswer(
            f"Rendition {part.record.name}: the origin gives neither a torrent nor hashes of all its segments.",
            hint="What cannot be verified is not kept. Its owner has to look into that.",
        )


def _with(record: RenditionRecord, **changes: object) -> RenditionRecord:
    return msgspec.structs.replace(record, **changes)


def with_variant(part: Part, rendition: Rendition, master: Master) -> Part:
    name = part.record.playlist
    variant = master.variants.get(name or "", Variant())
    if not rendition.has_video and master.variants:
        codecs = sound_codecs(master)
        return Part(_with(part.record, codecs=codecs), part.bytemap, part.meta, part.sides)
    record = _with(
        part.record,
        codecs=own_codecs(variant.codecs, rendition),
        width=variant.width or part.record.width,
        height=variant.height or part.record.height,
        fps=variant.fps or part.record.fps,
    )
    return Part(record, part.bytemap, part.meta, part.sides)


def _files(rendition: Rendition, playlist: bytes | None, meta: TorrentMeta | None) -> tuple[MediaFile, ...]:
    if not rendition.file_url.endswith("/"):
        name = base_name(rendition.file_url)
        return (MediaFile(name=name, size=rendition.size, url=rendition.file_url),)
    if playlist is None:
        raise BadAnswer("The origin names a folder of files and no playlist that lists them.")
    if meta is None:
        raise BadAnswer("The sizes of its segments are not known without a torrent.")
    sizes = {path.rpartition("/")[2]: size for path, size in meta.files}
    names: dict[str, None] = {}
    for segment in read_playlist(playlist, rendition.playlist_url or "", {}).segments:
        names[safe_name(segment.file)] = None
    missing = [n for n in names if n not in sizes]
    if missing or len(sizes) != len(names):
        raise BadAnswer("The torrent's files are not those that the playlist names.")
    if sum(sizes.values()) != rendition.size:
        raise BadAnswer("The torrent's files together have another size than the origin says.")
    return tuple(MediaFile(name=n, size=sizes[n], url=rendition.file_url + n) for n in names)


def new_record(
    record: VideoRecord,
    renditions: tuple[RenditionRecord, ...],
    hashes: SideFile | None,
    sides: Mapping[str, bytes],
) -> Manifest:
    """Return the record of a video of which nothing is whole yet."""
    s = record.summary
    return Manifest(
        id=s.id,
        origin=s.origin,
        uuid=s.uuid,
        url=s.url,
        title=s.title,
        description=s.description,
        duration=s.duration,
        published_at=s.published_at,
        channel_name=s.channel_name,
        channel_title=s.channel_title,
        language=s.language,
        renditions=renditions,
        hashes=hashes,
        digests={name: digest(data) for name, data in sides.items()},
    )


def put_together(
    record: VideoRecord, parts: tuple[Part, ...], hash_file: SideFile | None, hashes: Hashes, sides: Mapping[str, bytes]
) -> Gathered:
    """Return the parts of a video as one. ``sides`` are yet to be written. Raises BadAnswer where none vouches."""
    for part in parts:
        require_verifiable(part, hashes)
    return Gathered(
        manifest=new_record(record, tuple(p.record for p in parts), hash_file, sides),
        bytemaps={RenditionName(p.record.name): p.bytemap for p in parts if p.bytemap is not None},
        metas={RenditionName(p.record.name): p.meta for p in parts if p.meta is not None},
        hashes=hashes,
        sides=sides,
    )


def digest(data: bytes) -> str:
    """Return the SHA-256 by which a small file is known again when it is read back."""
    return hashlib.sha256(data).hexdigest()
