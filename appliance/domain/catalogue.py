"""What the catalogue knows of a video, whole or as one line of a list: this module says what both hold."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.domain.channel import Trouble
from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Decision, Verdict
from appliance.domain.units import ByteCount, ChannelId, Origin, VideoId
from appliance.domain.video import Rendition, Upstream, VideoSummary


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """All the catalogue knows of one video. ``renditions`` is empty until ``detail_at``."""

    summary: VideoSummary
    upstream: Upstream
    upstream_since: datetime
    first_seen: datetime
    channels: tuple[ChannelId, ...]
    renditions: tuple[Rendition, ...] = ()
    master_url: str | None = None
    sha256_url: str | None = None
    trackers: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    replaced_at: datetime | None = None
    detail_at: datetime | None = None
    detail_etag: str | None = None
    trouble: Trouble | None = None
    copies: int | None = None
    copies_at: datetime | None = None
    wish: Wish | None = None


@dataclass(frozen=True, slots=True)
class VideoLine:
    """One video in a list: what it is, what was decided, what we hold of it.

    ``cached``: bytes held only because it was watched, None where it is not so.
    """

    id: VideoId
    title: str
    origin: str
    channel_title: str
    duration: int
    published_at: datetime
    views: int
    upstream: Upstream
    thumbnail_url: str | None
    decision: Decision | None
    pin_state: PinState | None
    done: ByteCount
    size: ByteCount
    wish: Wish | None
    trouble: Trouble | None
    copies: int | None
    cached: ByteCount | None = None


class VideoSort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    VIEWS = "views"
    TITLE = "title"
    SIZE = "size"
    RANK = "rank"


@dataclass(frozen=True, slots=True)
class VideoFilter:
    """Which videos a list shows. ``text`` is looked for in titles, case-insensitively; ``cached``: only such."""

    channel: ChannelId | None = None
    verdict: Verdict | None = None
    pin_state: PinState | None = None
    upstream: Upstream | None = None
    cached: bool = False
    text: str = ""
    sort: VideoSort = VideoSort.NEWEST
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class VideoPage:
    items: tuple[VideoLine, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ChannelCounts:
    """How much of a channel is listed, wanted (decided but not whole), held whole, and its held bytes."""

    listed: int
    wanted: int
    held: int
    held_bytes: ByteCount


@dataclass(frozen=True, slots=True)
class Holdings:
    """All pins together: videos by state, verified bytes and promised bytes."""

    by_state: dict[PinState, int]
    done: ByteCount
    size: ByteCount
    videos: int
    channels: int


@dataclass(frozen=True, slots=True)
class OriginToday:
    """What was asked of one origin on the present UTC day, and whether we are leaving it in peace."""

    origin: str
    requests: int
    bytes_taken: ByteCount
    failures: int
    quiet_until: datetime | None
    last_ok: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """One changed decision: what it was, what it is, why."""

    at: datetime
    video: VideoId
    title: str
    before: Verdict | None
    after: Verdict | None
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class Replanned:
    """What one plan changed against the one before: ``count`` decisions, the first of them told one by one."""

    at: datetime
    count: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class SilentChannel:
    """A channel whose origin does not answer, with what we hold whole of it."""

    id: ChannelId
    title: str
    videos: int


@dataclass(frozen=True, slots=True)
class SilentOrigin:
    """An origin that has not answered since ``since``, with what we hold of it and the channels that may be saved."""

    origin: Origin
    since: datetime
    videos: int
    size: ByteCount
    channels: tuple[SilentChannel, ...] = ()
