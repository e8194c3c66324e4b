"""What it takes before a media byte may be asked for: playlists, hashes, torrents, and the record that lists them all.

Everything here comes from outside and is checked before it is written: this module fetches and checks, it does not
touch the disk.
"""

import asyncio

import msgspec

from appliance.domain.catalogue import VideoRecord
from appliance.domain.video import Rendition, RenditionKind
from appliance.errors import NotFound, OriginError
from appliance.library.bytemap import Master, read_master
from appliance.library.hashes import Hashes, sha256_list
from appliance.library.layout import base_name
from appliance.library.manifest import Manifest, SideFile, listed_names
from appliance.outbound.fetch import Fetcher
from appliance.outbound.manners import Ask
from appliance.pin.assembly import Gathered, Part, Torrents, assemble, digest, put_together, with_variant
from appliance.swarm.port import TorrentMeta

MAX_PLAYLIST = 8 * 1024 * 1024
MAX_TORRENT = 16 * 1024 * 1024


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
        done = [with_variant(p.result(), r, master) for p, r in zip(parts, chosen, strict=True)]
        hashes, raw_hashes = ({}, None) if hash_task is None else hash_task.result()
        sides = {name: data for part in done for name, data in part.sides.items()}
        hash_file: SideFile | None = None
        if raw_hashes is not None and record.sha256_url is not None:
            hash_file = SideFile(file=base_name(record.sha256_url), url=record.sha256_url)
            sides[hash_file.file] = raw_hashes
        return put_together(record, tuple(done), hash_file, hashes, sides)

    async def torrent(self, rendition: Rendition, *, urgent: bool = False) -> TorrentMeta:
        """Return a rendition's torrent, read and not yet checked against it. Raises OriginError, BadAnswer."""
        if rendition.torrent is None:
            raise NotFound(f"The origin has no torrent of {rendition.name}.")
        raw = await self._get(rendition.torrent.torrent_url, MAX_TORRENT, urgent)
        return await asyncio.to_thread(self.torrents.parse, raw)

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
        digests = {**manifest.digests, hashes.file: digest(raw)}
        return msgspec.structs.replace(manifest, hashes=hashes, digests=digests), {**sides, hashes.file: raw}

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

    async def _rendition(self, rendition: Rendition, urgent: bool) -> Part:
        try:
            playlist, meta = await asyncio.gather(
                self._playlist(rendition, urgent),
                self._optional_torrent(rendition, urgent),
            )
            return await asyncio.to_thread(assemble, self.torrents, rendition, playlist, meta)
        except OriginError as error:
            raise _named(error, f"Rendition {rendition.name}") from None

    async def _playlist(self, rendition: Rendition, urgent: bool) -> bytes | None:
        if rendition.playlist_url is None:
            return None
        return await self._get(rendition.playlist_url, MAX_PLAYLIST, urgent)

    async def _optional_torrent(self, rendition: Rendition, urgent: bool) -> TorrentMeta | None:
        return None if rendition.torrent is None else await self.torrent(rendition, urgent=urgent)


def base_of_hashes(manifest: Manifest) -> str | None:
    """Return the name of the list of hashes we hold; the origin gives it a new one with each caption or rendition."""
    return None if manifest.hashes is None else manifest.hashes.file
