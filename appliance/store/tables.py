"""The tables. Ids are derived text, times UTC milliseconds, sizes bytes. This module is the schema."""

from datetime import date, datetime

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from appliance.store.columns import UtcTime


class ChannelRow(SQLModel, table=True):
    __tablename__ = "channels"
    id: str = Field(primary_key=True)
    base_url: str
    origin: str = Field(index=True)
    kind: str
    name: str
    title: str
    description: str = ""
    url: str = ""
    avatar_url: str | None = None
    state: str
    followed_at: datetime = Field(sa_type=UtcTime)
    when_gone: str
    web_videos: bool = False
    paused: bool = False
    trouble: str | None = None
    failures: int = 0
    last_check: datetime | None = Field(default=None, sa_type=UtcTime)
    last_change: datetime | None = Field(default=None, sa_type=UtcTime)
    next_check: datetime | None = Field(default=None, sa_type=UtcTime)
    total: int | None = None
    listing_etag: str | None = None


class VideoRow(SQLModel, table=True):
    __tablename__ = "videos"
    id: str = Field(primary_key=True)
    origin: str = Field(index=True)
    base_url: str
    uuid: str
    url: str
    title: str
    title_folded: str
    description: str = ""
    duration: int
    published_at: datetime = Field(sa_type=UtcTime, index=True)
    originally_published_at: datetime | None = Field(default=None, sa_type=UtcTime)
    updated_at: datetime | None = Field(default=None, sa_type=UtcTime)
    views: int
    likes: int = 0
    is_live: bool = False
    nsfw: bool = False
    language: str | None = None
    category: str | None = None
    thumbnail_url: str | None = None
    channel_name: str = ""
    channel_title: str = ""
    tags: str = "[]"
    first_seen: datetime = Field(sa_type=UtcTime)
    observed_at: datetime | None = Field(default=None, sa_type=UtcTime)
    upstream: str
    upstream_since: datetime = Field(sa_type=UtcTime)
    fingerprint: str = ""
    detail_due: bool = True
    detail_at: datetime | None = Field(default=None, sa_type=UtcTime)
    detail_etag: str | None = None
    detail_failures: int = 0
    detail_next: datetime | None = Field(default=None, sa_type=UtcTime)
    master_url: str | None = None
    sha256_url: str | None = None
    trackers: str = "[]"
    mirrors: str = "[]"
    replaced_at: datetime | None = Field(default=None, sa_type=UtcTime)
    trouble: str | None = None
    copies: int | None = None
    copies_at: datetime | None = Field(default=None, sa_type=UtcTime)
    wish: str | None = Field(default=None, index=True)
    trend_rank: int | None = None
    trend_at: datetime | None = Field(default=None, sa_type=UtcTime)


class ListedRow(SQLModel, table=True):
    """A channel lists a video; ``absent_since`` once it no longer does."""

    __tablename__ = "listed"
    channel: str = Field(primary_key=True, foreign_key="channels.id", ondelete="CASCADE")
    video: str = Field(primary_key=True, foreign_key="videos.id", index=True, ondelete="CASCADE")
    absent_since: datetime | None = Field(default=None, sa_type=UtcTime)
    seen_round: int = 0


class RenditionRow(SQLModel, table=True):
    __tablename__ = "renditions"
    video: str = Field(primary_key=True, foreign_key="videos.id", ondelete="CASCADE")
    name: str = Field(primary_key=True)
    kind: str
    height: int
    width: int
    fps: int
    has_video: bool
    has_audio: bool
    size: int
    file_url: str
    playlist_url: str | None = None
    torrent_url: str | None = None
    info_hash: str | None = None


class ObservationRow(SQLModel, table=True):
    __tablename__ = "observations"
    video: str = Field(primary_key=True, foreign_key="videos.id", ondelete="CASCADE")
    at: datetime = Field(sa_column=Column(UtcTime, primary_key=True))
    views: int
    likes: int = 0
    seeds: int | None = None
    mirrors: int | None = None


class CopyRow(SQLModel, table=True):
    """Whole copies of a video elsewhere, by one source.

    ``host`` is empty for a count; where it is not, one host (or peer) answered a challenge at ``at``: ``count`` 1, or
    0 where it failed it.
    """

    __tablename__ = "copies"
    video: str = Field(primary_key=True, foreign_key="videos.id", ondelete="CASCADE")
    source: str = Field(primary_key=True)
    host: str = Field(primary_key=True, default="")
    count: int
    at: datetime = Field(sa_type=UtcTime)


class TransferRow(SQLModel, table=True):
    """Bytes that crossed the uplink in one hour (UTC), all classes but the LAN's together."""

    __tablename__ = "transfer"
    hour: datetime = Field(sa_column=Column(UtcTime, primary_key=True))
    up: int = 0
    down: int = 0


class RuleRow(SQLModel, table=True):
    __tablename__ = "rules"
    id: str = Field(primary_key=True)
    position: int
    body: str


class DecisionRow(SQLModel, table=True):
    __tablename__ = "decisions"
    video: str = Field(primary_key=True, foreign_key="videos.id", ondelete="CASCADE")
    verdict: str = Field(index=True)
    position: int = Field(index=True)
    body: str
    since: datetime = Field(sa_type=UtcTime)


class DecisionChangeRow(SQLModel, table=True):
    __tablename__ = "decision_changes"
    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=UtcTime, index=True)
    video: str = Field(index=True)
    title: str
    before: str | None = None
    after: str | None = None
    body: str | None = None


class PinRow(SQLModel, table=True):
    __tablename__ = "pins"
    video: str = Field(primary_key=True, foreign_key="videos.id")
    state: str = Field(index=True)
    renditions: str
    size: int
    done: int = 0
    since: datetime = Field(sa_type=UtcTime)
    pinned_at: datetime | None = Field(default=None, sa_type=UtcTime)
    trouble: str | None = None
    failures: int = 0
    next_try: datetime | None = Field(default=None, sa_type=UtcTime)


class CachedRow(SQLModel, table=True):
    """A video held without promise, because somebody watched it; ``size`` bytes on the disk, ``whole`` or in part."""

    __tablename__ = "cached"
    video: str = Field(primary_key=True, foreign_key="videos.id")
    size: int = 0
    whole: bool = False
    watched_at: datetime = Field(sa_type=UtcTime)


class LedgerRow(SQLModel, table=True):
    __tablename__ = "ledger"
    day: date = Field(primary_key=True)
    video: str = Field(primary_key=True)
    rendition: str = Field(primary_key=True)
    traffic: str = Field(primary_key=True)
    up: int = 0
    down: int = 0


class OriginRow(SQLModel, table=True):
    __tablename__ = "origins"
    origin: str = Field(primary_key=True)
    day: date
    requests: int = 0
    bytes_taken: int = 0
    failures: int = 0
    quiet_until: datetime | None = Field(default=None, sa_type=UtcTime)
    last_ok: datetime | None = Field(default=None, sa_type=UtcTime)


class SavedRow(SQLModel, table=True):
    """Small named values: settings that the dashboard saved, the library's id."""

    __tablename__ = "saved"
    name: str = Field(primary_key=True)
    body: str


class SessionRow(SQLModel, table=True):
    """A login. Only the SHA-256 of the cookie is kept."""

    __tablename__ = "sessions"
    digest: str = Field(primary_key=True)
    csrf: str
    created_at: datetime = Field(sa_type=UtcTime)
    last_seen: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    label: str = ""


class TokenRow(SQLModel, table=True):
    """A bearer token. Only its SHA-256 is kept."""

    __tablename__ = "tokens"
    id: str = Field(primary_key=True)
    digest: str = Field(index=True, unique=True)
    name: str
    scope: str
    created_at: datetime = Field(sa_type=UtcTime)
    last_used: datetime | None = Field(default=None, sa_type=UtcTime)


Index("videos_by_detail", VideoRow.__table__.c.origin, VideoRow.__table__.c.detail_due)  # type: ignore[attr-defined]
