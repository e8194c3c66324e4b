"""A channel: a publisher's ordered list of videos that we follow. This module says what it is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.domain.units import ChannelId, Origin


class ChannelKind(StrEnum):
    CHANNEL = "channel"
    ACCOUNT = "account"
    INSTANCE = "instance"


class ChannelState(StrEnum):
    """How following goes: ``new`` before the first page, ``syncing`` until the whole listing was read once."""

    NEW = "new"
    SYNCING = "syncing"
    FOLLOWED = "followed"
    FAILING = "failing"
    GONE = "gone"


class WhenGone(StrEnum):
    """What to do with a pin whose video its origin no longer shows."""

    KEEP = "keep"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something does not go on, for a person: a stable code, one plain sentence, and what to do about it."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ChannelAddress:
    """Where a channel is asked for: ``base_url`` is ``scheme://host[:port]`` without a slash at its end."""

    base_url: str
    origin: Origin
    kind: ChannelKind
    name: str


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """What the origin says of a channel itself."""

    address: ChannelAddress
    title: str
    description: str = ""
    url: str = ""
    avatar_url: str | None = None


@dataclass(frozen=True, slots=True)
class Portrait:
    """A channel's picture. ``kind`` is its media type, by its own bytes."""

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Channel:
    """A followed channel as the store holds it. ``listed`` counts videos we know; ``total`` is the origin's claim."""

    id: ChannelId
    info: ChannelInfo
    state: ChannelState
    followed_at: datetime
    when_gone: WhenGone = WhenGone.KEEP
    web_videos: bool = False
    paused: bool = False
    trouble: Trouble | None = None
    failures: int = 0
    last_check: datetime | None = None
    last_change: datetime | None = None
    next_check: datetime | None = None
    total: int | None = None
    listed: int = 0
    listing_etag: str | None = None
