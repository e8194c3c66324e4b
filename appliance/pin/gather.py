"""What it takes before a media byte may be asked for: playlists, hashes, torrents, and the record that lists them all.

Everything here comes from outside and is checked before it is written: this module fetches and checks, it does not
touch the disk.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from appliance.domain.catalogue import VideoRecord
from appliance.domain.shelf import ByteMap
from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import Rendition, RenditionKind
from appliance.errors import BadAnswer, NotFound, OriginError
from appliance.library.bytemap import Master, Variant, playlist_text, read_master, read_playlist, sha256_list
from appliance.library.layout import base_name, safe_name
from appliance.library.manifest import (
    Manifest,
    MediaFile,
    RenditionRecord,
    SideFile,
    listed_names,
)
from appliance.outbound.fetch import Fetcher
from appliance.outbound.manners import Ask
from appliance.pin.codecs import own_codecs, sound_codecs
from appliance.swarm.port import TorrentMeta

MAX_PLAYLIST = 8 * 1024 * 1024
MAX_TORRENT = 16 * 1024 * 1024

Hashes = Mapping[str, dict[tuple[int, int], str]]


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
class _Part:
    """One rendition, gathered."""

    record: RenditionRecord
    bytemap: ByteMap | None
    meta: TorrentMeta | None
    sides: Mapping[str, bytes]


def _named(error: OriginError, what: str) -> OriginError:
    """Return the error with the thing it is about in its sentence, and a remedy."""
    error.hint = error.hint or "Its publisher has to look into that; it is tried again once its server says otherwise."
    error.message = f"{what}: {error.message}"
    error.args = (error.message,)
    return error


class Gatherer:
    """Fetches and checks what stands beside the media. ``urgent``: a viewer waits."""

    def __init__(self, fetcher: Fetcher, torrents: Torrents) -> None:
        self._fetcher, self.torrents = fetcher, torrents

    async def gather(
        self,
        record: VideoRecord,
        chosen: tuple[Rendition, ...],
        *,
        urgent: bool = False,
        hashes_may_lack: bool = False,
    ) -> Gathered:
        """Return all that is needed to open ``chosen``, as the origin has it now. Raises OriginError, BadAnswer.

        ``hashes_may_lack``: where torrents verify everything the list of hashes may be missing.
        """
        hls = any(r.kind is RenditionKind.HLS for r in chosen)
        may_lack = hashes_may_lack and all(r.torrent is not None for r in chosen)
        try:
            async with asyncio.TaskGroup() as group:
                master_task = group.create_task(self._master(record, urgent)) if hls else None
                hash_task = group.create_task(self._hashes(record, urgent, may_lack)) if hls else None
                parts = [group.create_task(self._rendition(r, urgent)) for r in chosen]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        master = Master() if master_task is None else master_task.result()
        done = [_with_variant(p.result(), r, master) for p, r in zip(parts, chosen, strict=True)]
        hashes, raw_hashes = ({}, None) if hash_task is None else hash_task.result()
        for part in done:
            _require_verifiable(part, hashes)
        sides = {name: data for part in done for name, data in part.sides.items()}
        hash_file: SideFile | None = None
        if raw_hashes is not None and record.sha256_url is not None:
            hash_file = SideFile(file=base_name(record.sha256_url), url=record.sha256_url)
            sides[hash_file.file] = raw_hashes
        return Gathered(
            manifest=_manifest(record, tuple(p.record for p in done), hash_file),
            bytemaps={RenditionName(p.record.name): p.bytemap for p in done if p.bytemap is not None},
            metas={RenditionName(p.record.name): p.meta for p in done if p.meta is not None},
            hashes=hashes,
            sides=sides,
        )

    async def torrent(self, rendition: Rendition, *, urgent: bool = False) -> TorrentMeta:
        """Return a rendition's torrent, read and not yet checked against it. Raises OriginError, BadAnswer."""
        if rendition.torrent is None:
            raise NotFound(f"The origin has no torrent of {rendition.name}.")
        raw = await self._get(rendition.torrent.torrent_url, MAX_TORRENT, urgent)
        return await asyncio.to_thread(self.torrents.parse, raw)

    def check_torrent(self, meta: TorrentMeta, record: RenditionRecord) -> None:
        """Raise BadAnswer unless the torrent carries exactly this rendition's files."""
        if len(record.files) == 1:
            self.torrents.check_single(meta, record.files[0].size)
        else:
            self.torrents.check_files(meta, {f.name: f.size for f in record.files})

    async def hash_list(self, record: VideoRecord) -> bytes | None:
        """Return the origin's present list of segment hashes, checked. Raises OriginError, BadAnswer."""
        return (await self._hashes(record, False, True))[1]

    def with_hash_list(
        self, manifest: Manifest, sides: dict[str, bytes], record: VideoRecord, raw: bytes | None
    ) -> tuple[Manifest, dict[str, bytes]]:
        """Return record and side files with this list of hashes among them."""
        if raw is None or record.sha256_url is None:
            return manifest, sides
        hashes = SideFile(file=base_name(record.sha256_url), url=record.sha256_url)
        return msgspec.structs.replace(manifest, hashes=hashes), {**sides, hashes.file: raw}

    def still_listing(self, before: Manifest, after: Manifest) -> Manifest:
        """Return ``after`` with what only ``before`` lists among its other files, so that it can be deleted."""
        forgotten = listed_names(before) - listed_names(after)
        return msgspec.structs.replace(after, others=tuple(sorted({*after.others, *forgotten})))

    async def _get(self, url: str, most: int, urgent: bool) -> bytes:
        answer = await self._fetcher.get(url, ask=Ask.SIDE, accept="*/*", max_bytes=most, priority=urgent)
        return answer.body

    async def _master(self, record: VideoRecord, urgent: bool) -> Master:
        if record.master_url is None:
            return Master()
        try:
            return read_master(await self._get(record.master_url, MAX_PLAYLIST, urgent), record.master_url)
        except OriginError as error:
            raise _named(error, "The video's master playlist") from None

    async def _hashes(self, record: VideoRecord, urgent: bool, may_lack: bool) -> tuple[Hashes, bytes | None]:
        if record.sha256_url is None:
            return {}, None
        try:
            raw = await self._get(record.sha256_url, MAX_PLAYLIST, urgent)
            return await asyncio.to_thread(sha256_list, raw), raw
        except OriginError as error:
            if may_lack and not error.retryable:
                return {}, None
            raise _named(error, "The video's list of hashes") from None

    async def _rendition(self, rendition: Rendition, urgent: bool) -> _Part:
        try:
            playlist, meta = await asyncio.gather(
                self._playlist(rendition, urgent),
                self._optional_torrent(rendition, urgent),
            )
            return await asyncio.to_thread(self._assemble, rendition, playlist, meta)
        except OriginError as error:
            raise _named(error, f"Rendition {rendition.name}") from None

    async def _playlist(self, rendition: Rendition, urgent: bool) -> bytes | None:
        if rendition.playlist_url is None:
            return None
        return await self._get(rendition.playlist_url, MAX_PLAYLIST, urgent)

    async def _optional_torrent(self, rendition: Rendition, urgent: bool) -> TorrentMeta | None:
        return None if rendition.torrent is None else await self.torrent(rendition, urgent=urgent)

    def _assemble(self, rendition: Rendition, playlist: bytes | None, meta: TorrentMeta | None) -> _Part:
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
            self.check_torrent(meta, record)
            torrent_name = base_name(rendition.torrent.torrent_url)
            sides[torrent_name] = meta.raw
            record = _with(record, torrent=torrent_name, info_hashes=(meta.info_hash,))
        return _Part(record, bytemap, meta, sides)


def _require_verifiable(part: _Part, hashes: Hashes) -> None:
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


def _with_variant(part: _Part, rendition: Rendition, master: Master) -> _Part:
    name = part.record.playlist
    variant = master.variants.get(name or "", Variant())
    if not rendition.has_video and master.variants:
        codecs = sound_codecs(master)
        return _Part(_with(part.record, codecs=codecs), part.bytemap, part.meta, part.sides)
    record = _with(
        part.record,
        codecs=own_codecs(variant.codecs, rendition),
        width=variant.width or part.record.width,
        height=variant.height or part.record.height,
        fps=variant.fps or part.record.fps,
    )
    return _Part(record, part.bytemap, part.meta, part.sides)


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


def _manifest(record: VideoRecord, renditions: tuple[RenditionRecord, ...], hashes: SideFile | None) -> Manifest:
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
    )


def base_of_hashes(manifest: Manifest) -> str | None:
    """Return the name of the list of hashes we hold; the origin gives it a new one with each caption or rendition."""
    return None if manifest.hashes is None else manifest.hashes.file
