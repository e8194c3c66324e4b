"""A library with many pinned videos, made without a network: this module stocks a data folder for the benchmarks."""

import asyncio
import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Rule, RuleKind
from appliance.domain.shelf import ByteMap, Segment
from appliance.domain.units import ByteCount, Origin, RenditionName, RuleId, video_id
from appliance.domain.video import Rendition, RenditionKind, TorrentCarrier, Upstream, VideoDetail, VideoSummary
from appliance.library import files
from appliance.library.bytemap import playlist_text
from appliance.library.manifest import Manifest, MediaFile, RenditionRecord
from appliance.library.marker import Library
from appliance.store import channels, pins, rules, saved, videos
from appliance.store.engine import Store
from tests.world.bodies import bencode

HOST = Origin("tube.example.org")
BASE = f"https://{HOST}"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
PIECE = 16 * 1024


async def stock(data: Path, count: int, size: int = 4 * PIECE) -> list[str]:
    """Fill a new data folder with ``count`` pinned videos of ``size`` bytes each; return their ids."""
    ident = secrets.token_hex(16)
    library = Library(data / "library", ident)
    await asyncio.to_thread(data.mkdir, parents=True)
    media = secrets.token_bytes(size)
    pieces = b"".join(hashlib.sha1(media[k : k + PIECE]).digest() for k in range(0, size, PIECE))
    made: list[str] = []
    async with Store(data / "catalogue.db") as store:
        library.claim()
        await store.write(saved.put, "library_id", ident)
        await store.write(saved.put, "library_root", f'"{library.root}"')
        await store.write(saved.put, "default_rules_given", "true")
        await store.write(rules.put, Rule(RuleId("all"), "All of it", RuleKind.EVERYTHING))
        info = ChannelInfo(ChannelAddress(BASE, HOST, ChannelKind.CHANNEL, "films"), "Films")
        channel = await store.write(channels.follow, info, NOW)
        await store.write(channels.change, channel, paused=True)
        details = [_detail(n, size) for n in range(count)]
        for start in range(0, count, 200):
            part = details[start : start + 200]
            await store.write(videos.put_page, channel, tuple(d.summary for d in part), NOW, 1)
        for n, detail in enumerate(details):
            await store.write(videos.put_detail, detail, None, datetime.now(UTC))
            await store.write(pins.put, _pin(detail, size))
            await asyncio.to_thread(_lay, library, detail, n, media, pieces)
            made.append(detail.summary.id)
    return made


def _detail(n: int, size: int) -> VideoDetail:
    uuid = hashlib.md5(str(n).encode()).hexdigest()
    summary = VideoSummary(
        id=video_id(HOST, uuid),
        origin=HOST,
        base_url=BASE,
        uuid=uuid,
        url=f"{BASE}/videos/watch/{uuid}",
        title=f"Film {n}",
        description="",
        duration=60,
        published_at=NOW - timedelta(hours=n),
        views=n,
        likes=0,
        is_live=False,
        nsfw=False,
        channel_title="Films",
    )
    url = f"{BASE}/static/streaming-playlists/hls/{uuid}/{uuid}-720"
    rendition = Rendition(
        name=RenditionName("720p"),
        kind=RenditionKind.HLS,
        height=720,
        width=1280,
        fps=25,
        has_video=True,
        has_audio=True,
        size=ByteCount(size),
        file_url=f"{url}-fragmented.mp4",
        playlist_url=f"{url}.m3u8",
        torrent=TorrentCarrier(f"{BASE}/lazy-static/torrents/{uuid}-720-hls.torrent"),
    )
    return VideoDetail(summary, Upstream.PUBLISHED, (rendition,))


def _pin(detail: VideoDetail, size: int) -> Pin:
    names = (RenditionName("720p"),)
    return Pin(detail.summary.id, PinState.PINNED, names, ByteCount(size), ByteCount(size), NOW, NOW)


def _lay(library: Library, detail: VideoDetail, n: int, media: bytes, pieces: bytes) -> None:
    s, rendition = detail.summary, detail.renditions[0]
    name = f"{s.uuid}-720-fragmented.mp4"
    info = {"length": len(media), "name": f"Film {n} 720p.mp4", "piece length": PIECE, "pieces": pieces}
    torrent = bencode({"info": info})
    head = 1024
    bytemap = ByteMap(
        Segment(0.0, name, ByteCount(0), ByteCount(head)),
        (Segment(4.0, name, ByteCount(head), ByteCount(len(media) - head)),),
        4,
    )
    record = RenditionRecord(
        name="720p",
        kind=RenditionKind.HLS,
        width=1280,
        height=720,
        fps=25.0,
        codecs="avc1.64001f,mp4a.40.2",
        size=len(media),
        files=(MediaFile(name=name, size=len(media), url=rendition.file_url),),
        info_hashes=(hashlib.sha1(bencode(info)).hexdigest(),),
        torrent=f"{s.uuid}-720-hls.torrent",
        playlist=f"{s.uuid}-720.m3u8",
        whole=True,
    )
    manifest = Manifest(
        id=s.id,
        origin=s.origin,
        uuid=s.uuid,
        title=s.title,
        duration=60,
        published_at=s.published_at,
        renditions=(record,),
    )
    folder = files.save(library, manifest)
    files.write_side(library, manifest, f"{s.uuid}-720-hls.torrent", torrent)
    files.write_side(
        library, manifest, f"{s.uuid}-720.m3u8", playlist_text(bytemap, {name: ByteCount(len(media))}).encode()
    )
    (folder / name).write_bytes(media)
