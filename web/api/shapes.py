"""Bodies that several resources share: troubles, decisions, videos in a list. This module makes them of domain values.

Byte counts are integers, times RFC 3339 in UTC.
"""

from datetime import datetime
from typing import Any

import msgspec

from appliance.domain.catalogue import VideoLine
from appliance.domain.channel import Trouble
from appliance.domain.plan import Decision
from policies.explain import sentence, verdict_word


class TroubleBody(msgspec.Struct, frozen=True):
    code: str
    message: str
    hint: str = ""


class ReasonBody(msgspec.Struct, frozen=True):
    """``sentence`` is for people, ``code`` and ``facts`` for programs."""

    code: str
    sentence: str
    facts: dict[str, str | int | float]


class DecisionBody(msgspec.Struct, frozen=True):
    """What the plan says of a video. ``state`` is the word people see: kept, wanted, going, skipped."""

    verdict: str
    state: str
    reasons: list[ReasonBody]
    renditions: list[str]
    size: int
    estimated: bool
    rule: str | None
    rank: int | None
    value: float


class PinBody(msgspec.Struct, frozen=True):
    state: str
    done: int
    size: int


class VideoBody(msgspec.Struct, frozen=True):
    """A video in a list. ``play`` is the path of its playlist below the mount."""

    id: str
    title: str
    origin: str
    channel_title: str
    duration: int
    published_at: datetime
    views: int
    upstream: str
    state: str | None
    wish: str | None
    decision: DecisionBody | None
    pin: PinBody | None
    trouble: TroubleBody | None
    copies: int | None
    thumbnail_url: str | None
    play: str


def trouble(found: Trouble | None) -> TroubleBody | None:
    return None if found is None else TroubleBody(found.code, found.message, found.hint)


def decision(found: Decision | None) -> DecisionBody | None:
    if found is None:
        return None
    return DecisionBody(
        verdict=found.verdict.value,
        state=verdict_word(found.verdict),
        reasons=[ReasonBody(r.code.value, sentence(r), dict(r.facts)) for r in found.reasons],
        renditions=list(found.renditions),
        size=found.size,
        estimated=found.estimated,
        rule=found.rule,
        rank=found.rank,
        value=found.value,
    )


def play_path(video: str) -> str:
    return f"media/{video}/master.m3u8"


def video(line: VideoLine) -> VideoBody:
    return VideoBody(
        id=line.id,
        title=line.title,
        origin=line.origin,
        channel_title=line.channel_title,
        duration=line.duration,
        published_at=line.published_at,
        views=line.views,
        upstream=line.upstream.value,
        state=None if line.decision is None else verdict_word(line.decision.verdict),
        wish=None if line.wish is None else line.wish.value,
        decision=decision(line.decision),
        pin=None if line.pin_state is None else PinBody(line.pin_state.value, line.done, line.size),
        trouble=trouble(line.trouble),
        copies=line.copies,
        thumbnail_url=line.thumbnail_url,
        play=play_path(line.id),
    )


def plain(value: object) -> Any:
    """Return a frozen domain value as plain JSON values."""
    return msgspec.to_builtins(value, builtin_types=(datetime,))
