"""A video, its renditions, and what a channel says of it: this module says what they are.

A video is one work, whatever its encodings, and belongs to its origin. A rendition is one encoding made of
one or more files; a file keeps the origin's name and size; carriers say where its bytes come from.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.domain.units import ByteCount, InfoHash, Origin, RenditionName, VideoId


class Upstream(StrEnum):
    """What the origin says of a video now."""

    PUBLISHED = "published"
    PROCESSING = "processing"
    LIVE = "live"
    HIDDEN = "hidden"
    GONE = "gone"


class RenditionKind(StrEnum):
    HLS = "hls"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class TorrentCarrier:
    """A torrent that carries a rendition's files. ``info_hash`` is the origin's claim (from its magnet link), if any.

    The info-hash changes when the origin renames the video; the bytes do not.
    """

    torrent_url: str
    info_hash: InfoHash | None = None


@dataclass(frozen=True, slots=True)
class Rendition:
    """One encoding of a video.

    ``height`` is the shorter side in pixels (0: sound only), ``size`` the bytes of all media files together.
    ``file_url`` is the single media file, or, ending in ``/``, the folder of the files that the playlist names.
    Its last path segment is the file's lasting name: other ``file_url``, other bytes.
    """

    name: RenditionName
    kind: RenditionKind
    height: int
    width: int
    fps: int
    has_video: bool
    has_audio: bool
    size: ByteCount
    file_url: str
    playlist_url: str | None = None
    torrent: TorrentCarrier | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    language: str
    label: str
    url: str
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Storyboard:
    """One JPEG of tiles, left to right, top to bottom, one every ``interval`` seconds. Sizes in pixels."""

    url: str
    total_width: int
    total_height: int
    tile_width: int
    tile_height: int
    interval: float


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """What a listing says of a video: no renditions. ``duration`` in whole seconds; times are UTC."""

    id: VideoId
    origin: Origin
    base_url: str
    uuid: str
    url: str
    title: str
    description: str
    duration: int
    published_at: datetime
    views: int
    likes: int
    is_live: bool
    nsfw: bool
    updated_at: datetime | None = None
    originally_published_at: datetime | None = None
    language: str | None = None
    category: str | None = None
    thumbnail_url: str | None = None
    channel_name: str = ""
    channel_title: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoDetail:
    """What the origin says of one video, with all it takes to pin it. ``mirrors`` are base addresses of HTTP copies."""

    summary: VideoSummary
    upstream: Upstream
    renditions: tuple[Rendition, ...]
    master_url: str | None = None
    sha256_url: str | None = None
    trackers: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    replaced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """What stands beside a video's media at its origin; asked for only when the video is pinned."""

    captions: tuple[Caption, ...] = ()
    storyboard: Storyboard | None = None


@dataclass(frozen=True, slots=True)
class ListingPage:
    """One page of a channel's listing. ``total`` is the origin's claim and may lie or be absent."""

    videos: tuple[VideoSummary, ...]
    total: int | None
    refused: int = 0
    """Elements that could not be understood and were left out."""
