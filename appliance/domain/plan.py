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
    """The kinds that are built in; others come by name from packages that offer them."""

    EVERYTHING = "everything"
    RECENT = "recent"
    LAST_N = "last_n"
    TRENDING = "trending"
    MOST_VIEWED = "most_viewed"
    RARE_FIRST = "rare_first"


class Watched(StrEnum):
    """What becomes of a video without a promise once nobody watches it any more."""

    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a video must be to compete; None asks nothing. Ages and durations are both ends included, sizes in bytes.

    ``tags``, ``languages``, ``categories``: one of them is enough; compared case-folded. ``nsfw``: only such (true),
    none such (false). ``include``: the title must match one of these, ``exclude``: none; words, or with ``*`` for
    anything, case-folded, matched in time linear in the title.
    """

    min_views: int | None = None
    max_views: int | None = None
    min_age: timedelta | None = None
    max_age: timedelta | None = None
    min_duration: timedelta | None = None
    max_duration: timedelta | None = None
    min_size: ByteCount | None = None
    max_size: ByteCount | None = None
    languages: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    nsfw: bool | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to choose what to keep; all of them are in force at once.

    ``kind`` is a ``RuleKind`` or the name of a further one. Scope: ``channels`` and ``tags``, None means all.
    ``budget`` in bytes (None: only the disk bounds it) or ``budget_share``, a share (0 to 1) of the space the library
    may use; ``channel_budget`` bytes for each channel; ``most`` videos at most, ``per_channel`` of each channel.
    A video is never released before ``min_lifetime`` has passed since it was pinned, and is no longer wanted
    ``max_lifetime`` after it was published. ``smallest``: the smallest rendition that has picture, instead of the best
    within ``max_height``. ``half_life`` of views for *trending*. ``keep_below``: keep while fewer than so many verified
    copies are elsewhere. ``weight`` scales its worth, and its videos' share of the upload; after ``ratio`` bytes given
    for each byte held a video is throttled, save while fewer than ``seed_below`` seeds are known. ``watched``: what
    becomes of a video of its scope that it does not choose and somebody watched (None: the rule does not say).
    """

    id: RuleId
    name: str
    kind: str
    channels: frozenset[ChannelId] | None = None
    tags: frozenset[str] | None = None
    budget: ByteCount | None = None
    budget_share: float | None = None
    channel_budget: ByteCount | None = None
    most: int | None = None
    per_channel: int | None = None
    min_lifetime: timedelta = timedelta(0)
    max_lifetime: timedelta | None = None
    max_height: int | None = None
    smallest: bool = False
    filters: Filters = Filters()
    half_life: timedelta | None = None
    keep_below: int | None = None
    ratio: float | None = None
    seed_below: int | None = None
    watched: Watched | None = None
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


class CopySource(StrEnum):
    """Who says that a copy is there."""

    TRACKER = "tracker"
    PEERS = "peers"
    MIRRORS = "mirrors"
    ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class CopyReport:
    """So many whole copies by one source, as of ``at``. ``PEERS`` counts peers by DHT and PEX that have every piece."""

    source: CopySource
    count: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Copies:
    """Whole copies of a video elsewhere, ours not counted.

    ``live`` None is unknown, which is not zero; ``verified`` answered a challenge lately, at different hosts. The
    origin's own counts in both while it answers.
    """

    live: int | None = None
    verified: int = 0
    reports: tuple[CopyReport, ...] = ()


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
    ``leased`` is true while someone watches it. ``trend_rank`` counts from 1 in the origin's own trending list (None:
    not in it). ``origin_failing`` since when the origin has not answered (None: it does). ``tags`` are case-folded.
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
    copies: Copies = Copies()
    held: Held | None = None
    wish: Wish | None = None
    gone_release: bool = False
    leased: bool = False
    web_videos: bool = False
    language: str | None = None
    category: str | None = None
    tags: frozenset[str] = frozenset()
    nsfw: bool = False
    trend_rank: int | None = None
    origin_failing: datetime | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The library's disk in bytes: ``used`` by pins, ``free`` on it, ``floor`` never to be used.

    ``cached`` bytes are held only because somebody watched them: they go as soon as a pin needs their room.
    So do ``copies``, which are copies for televisions.
    """

    total: ByteCount
    free: ByteCount
    floor: ByteCount
    used: ByteCount
    cached: ByteCount = ByteCount(0)
    copies: ByteCount = ByteCount(0)


@dataclass(frozen=True, slots=True)
class World:
    """All that a plan may weigh. ``bitrates``: height in pixels to median bits/s, by channel, from known sizes.

    ``quota`` bounds the library in bytes; ``download_left`` are the bytes that may still be fetched before
    ``download_reset`` (None: no budget of transfer); ``protect_after`` is how long an origin may fail before what we
    hold of it is protected. ``taken_lately`` are bytes that others took of the disk's room not long ago, and that may
    be free again soon.
    """

    videos: tuple[Candidate, ...]
    disk: Disk
    bitrates: Mapping[ChannelId, Mapping[int, int]] = field(default_factory=dict)
    quota: ByteCount | None = None
    download_left: ByteCount | None = None
    download_reset: datetime | None = None
    protect_after: timedelta = timedelta(days=7)
    taken_lately: ByteCount = ByteCount(0)


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
    FILTERED = "filtered"
    NOT_NEEDED = "not_needed"
    LIVE = "live"
    PROCESSING = "processing"
    HIDDEN = "hidden"
    GONE_KEPT = "gone_kept"
    GONE_RELEASED = "gone_released"
    LAST_COPY = "last_copy"
    ORIGIN_DOWN = "origin_down"
    NO_RENDITION = "no_rendition"
    ESTIMATED = "estimated"
    CHANNEL_FULL = "channel_full"
    ENOUGH = "enough"
    NEAR_TIE = "near_tie"
    NO_DATA = "no_data"
    NO_ROOM_NOW = "no_room_now"
    ALSO = "also"
    LAST_COPY_OVER = "last_copy_over"
    NEEDS_BUDGET = "needs_budget"
    NEEDS_SPACE = "needs_space"
    NEEDS_DATA = "needs_data"
    NEEDS_LEAD = "needs_lead"
    NEEDS_RULE = "needs_rule"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a code with its numbers, made a sentence only when shown (``policies.explain``).

    ``facts`` holds str, int or float under short names: ``rule``, ``rank``, ``value``, ``bytes``, ``until`` (RFC 3339)…
    """

    code: ReasonCode
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The plan's line for one video. ``rank`` counts from 1 within ``rule``; ``size`` is of ``renditions`` together.

    ``earliest_release``: before then it is not released, whatever comes (None: nothing holds it). ``asks``: it is kept
    beyond a budget and needs the owner's word. ``change``: for a video that is left, what would have to change.
    """

    video: VideoId
    verdict: Verdict
    reasons: tuple[Reason, ...]
    renditions: tuple[RenditionName, ...] = ()
    size: ByteCount = ByteCount(0)
    estimated: bool = False
    rule: RuleId | None = None
    rank: int | None = None
    value: float = 0.0
    earliest_release: datetime | None = None
    asks: bool = False
    change: Reason | None = None


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
