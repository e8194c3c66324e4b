"""The world a policy may look at, and its answer. This module says what they are.

Everything here is frozen at one instant: a policy sees no clock, no disk and no dice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from appliance.domain.pin import Wish
from appliance.domain.units import ByteCount, ChannelId, RenditionName, RuleId, VideoId
from appliance.domain.video import Rendition, Upstream


class RuleKind(StrEnum):
    EVERYTHING = "everything"
    RECENT = "recent"
    TRENDING = "trending"
    MOST_VIEWED = "most_viewed"


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to choose what to keep; all of them are in force at once.

    ``budget`` in bytes (None: only the disk bounds it) or ``budget_share``, a share (0 to 1) of the space the library
    may use; ``channels`` None means all; a video is never released before ``min_lifetime`` has passed since it was
    pinned, and is no longer wanted ``max_lifetime`` after it was published; ``weight`` scales its worth.
    """

    id: RuleId
    name: str
    kind: RuleKind
    channels: frozenset[ChannelId] | None = None
    budget: ByteCount | None = None
    budget_share: float | None = None
    min_lifetime: timedelta = timedelta(0)
    max_lifetime: timedelta | None = None
    max_height: int | None = None
    min_views: int | None = None
    weight: float = 1.0
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What was counted at one instant; ``seeds`` and ``mirrors`` are None where unknown, which is not zero."""

    at: datetime
    views: int
    likes: int = 0
    seeds: int | None = None
    mirrors: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What we have of a video: renditions promised, verified bytes on disk, and since when it is pinned whole.

    ``rule`` is the last one that a decision charged it to; a decision without a rule leaves it (None: none, or lost).
    """

    renditions: tuple[RenditionName, ...]
    size: ByteCount
    done: ByteCount
    pinned_at: datetime | None
    rule: RuleId | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A video as a policy sees it. ``renditions`` is empty while its details are not known.

    ``gone_release`` is true where the origin no longer shows it and every channel that listed it says to release then.
    ``leased`` is true while someone watches it.
    """

    id: VideoId
    title: str
    channels: frozenset[ChannelId]
    published_at: datetime
    duration: int
    views: int
    upstream: Upstream
    renditions: tuple[Rendition, ...] = ()
    history: tuple[Observation, ...] = ()
    copies: int | None = None
    held: Held | None = None
    wish: Wish | None = None
    gone_release: bool = False
    leased: bool = False
    web_videos: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """The library's disk in bytes: ``used`` by the library, ``free`` on it, ``floor`` never to be used."""

    total: ByteCount
    free: ByteCount
    floor: ByteCount
    used: ByteCount


@dataclass(frozen=True, slots=True)
class World:
    """All that a plan may weigh. ``bitrates``: height in pixels to median bits/s, by channel, from known sizes."""

    videos: tuple[Candidate, ...]
    disk: Disk
    bitrates: Mapping[ChannelId, Mapping[int, int]] = field(default_factory=dict)


class Verdict(StrEnum):
    """Shown to people as kept, wanted, going, skipped."""

    KEEP = "keep"
    PIN = "pin"
    RELEASE = "release"
    LEAVE = "leave"


class ReasonCode(StrEnum):
    HAND_PIN = "hand_pin"
    NEVER = "never"
    CHOSEN = "chosen"
    MIN_LIFETIME = "min_lifetime"
    WATCHED_NOW = "watched_now"
    OUTRANKED = "outranked"
    TOO_LARGE = "too_large"
    NO_SPACE = "no_space"
    NO_RULE = "no_rule"
    TOO_OLD = "too_old"
    TOO_FEW_VIEWS = "too_few_views"
    LIVE = "live"
    PROCESSING = "processing"
    HIDDEN = "hidden"
    GONE_KEPT = "gone_kept"
    GONE_RELEASED = "gone_released"
    NO_RENDITION = "no_rendition"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a code with its numbers, made a sentence only when shown (``policies.explain``).

    ``facts`` holds str, int or float under short names: ``rule``, ``rank``, ``value``, ``bytes``, ``until`` (RFC 3339)…
    """

    code: ReasonCode
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The plan's line for one video. ``rank`` counts from 1 within ``rule``; ``size`` is of ``renditions`` together."""

    video: VideoId
    verdict: Verdict
    reasons: tuple[Reason, ...]
    renditions: tuple[RenditionName, ...] = ()
    size: ByteCount = ByteCount(0)
    estimated: bool = False
    rule: RuleId | None = None
    rank: int | None = None
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class RuleUse:
    """What one rule spends of its budget, in bytes (None: bounded by the disk alone)."""

    rule: RuleId
    budget: ByteCount | None
    used: ByteCount
    videos: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions in the order they should be carried out: releases first, then pins best first, then the rest."""

    decisions: tuple[Decision, ...]
    rules: tuple[RuleUse, ...]
    kept: ByteCount
    fetched: ByteCount
    released: ByteCount
