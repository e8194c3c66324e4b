"""A pin: our promise to hold a video whole and verified. This module says what states it has.

The transitions and invariants are in ``appliance/pin/STATE.md``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.domain.channel import Trouble
from appliance.domain.units import ByteCount, RenditionName, VideoId


class PinState(StrEnum):
    QUEUED = "queued"
    PINNING = "pinning"
    PINNED = "pinned"
    WAITING = "waiting"
    FAILED = "failed"
    MISSING = "missing"
    RELEASING = "releasing"


class Wish(StrEnum):
    """What a person said of one video, above all rules."""

    PIN = "pin"
    NEVER = "never"
    LET_GO = "let_go"
    """It may go even where it is the last copy known; rules may still choose it."""


@dataclass(frozen=True, slots=True)
class Cached:
    """A video held without promise, because somebody watched it: ``size`` bytes on the disk.

    ``whole``: it plays from there. ``barred``: by a person, above all rules.
    """

    video: VideoId
    size: ByteCount
    watched_at: datetime
    whole: bool = False
    barred: bool = False


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin as the store holds it. ``done`` counts verified bytes of ``size``; ``next_try`` only while it backs off."""

    video: VideoId
    state: PinState
    renditions: tuple[RenditionName, ...]
    size: ByteCount
    done: ByteCount
    since: datetime
    pinned_at: datetime | None = None
    trouble: Trouble | None = None
    failures: int = 0
    next_try: datetime | None = None
