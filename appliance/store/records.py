"""Videos and renditions as rows, and rows as what they are in the domain: this module goes both ways. Pure."""

from datetime import datetime
from typing import Any

from appliance.domain.units import ByteCount, InfoHash, Origin, RenditionName, VideoId
from appliance.domain.video import Rendition, RenditionKind, TorrentCarrier, Upstream, VideoSummary
from appliance.store.columns import pack, unpack
from appliance.store.tables import RenditionRow, VideoRow


def fold(text: str) -> str:
    """Return text as it is searched: case-folded."""
    return text.casefold()


def _told(s: VideoSummary) -> dict[str, Any]:
    """Return the columns that every look at a video writes anew; its counters and state have ways of their own."""
    return {
        "url": s.url,
        "title": s.title,
        "title_folded": fold(s.title),
        "description": s.description,
        "duration": s.duration,
        "published_at": s.published_at,
        "updated_at": s.updated_at,
        "originally_published_at": s.originally_published_at,
        "likes": s.likes,
        "is_live": s.is_live,
        "nsfw": s.nsfw,
        "language": s.language,
        "category": s.category,
        "thumbnail_url": s.thumbnail_url,
        "channel_name": s.channel_name,
        "channel_title": s.channel_title,
        "tags": pack(s.tags),
    }


def fill(row: VideoRow, s: VideoSummary) -> None:
    """Write into a row what was just told of its video."""
    for column, value in _told(s).items():
        setattr(row, column, value)


def new_row(s: VideoSummary, now: datetime) -> VideoRow:
    """Return the row of a video that is seen for the first time."""
    return VideoRow(
        id=s.id,
        origin=s.origin,
        base_url=s.base_url,
        uuid=s.uuid,
        views=s.views,
        first_seen=now,
        upstream=(Upstream.LIVE if s.is_live else Upstream.PUBLISHED).value,
        upstream_since=now,
        detail_due=not s.is_live,
        **_told(s),
    )


def rendition_order(r: Rendition) -> tuple[bool, int, int, str]:
    """Sort renditions: tallest first, plain web files after HLS."""
    return (r.kind is RenditionKind.WEB, -r.height, -r.fps, r.name)


def rendition_of(r: RenditionRow) -> Rendition:
    return Rendition(
        name=RenditionName(r.name),
        kind=RenditionKind(r.kind),
        height=r.height,
        width=r.width,
        fps=r.fps,
        has_video=r.has_video,
        has_audio=r.has_audio,
        size=ByteCount(r.size),
        file_url=r.file_url,
        playlist_url=r.playlist_url,
        torrent=None
        if r.torrent_url is None
        else TorrentCarrier(r.torrent_url, None if r.info_hash is None else InfoHash(r.info_hash)),
    )


def rendition_row(video: VideoId, r: Rendition) -> RenditionRow:
    return RenditionRow(
        video=video,
        name=r.name,
        kind=r.kind.value,
        height=r.height,
        width=r.width,
        fps=r.fps,
        has_video=r.has_video,
        has_audio=r.has_audio,
        size=r.size,
        file_url=r.file_url,
        playlist_url=r.playlist_url,
        torrent_url=None if r.torrent is None else r.torrent.torrent_url,
        info_hash=None if r.torrent is None else r.torrent.info_hash,
    )


def summary_of(row: VideoRow) -> VideoSummary:
    return VideoSummary(
        id=VideoId(row.id),
        origin=Origin(row.origin),
        base_url=row.base_url,
        uuid=row.uuid,
        url=row.url,
        title=row.title,
        description=row.description,
        duration=row.duration,
        published_at=row.published_at,
        views=row.views,
        likes=row.likes,
        is_live=row.is_live,
        nsfw=row.nsfw,
        updated_at=row.updated_at,
        originally_published_at=row.originally_published_at,
        language=row.language,
        category=row.category,
        thumbnail_url=row.thumbnail_url,
        channel_name=row.channel_name,
        channel_title=row.channel_title,
        tags=unpack(tuple[str, ...], row.tags),
    )
