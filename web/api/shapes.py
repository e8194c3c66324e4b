"""Bodies that several resources share: troubles, decisions, videos in a list. This module makes them of domain values.

Byte counts are integers, times RFC 3339 in UTC.
"""

from datetime import datetime

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
    """``text`` is a sentence for people, ``code`` and ``facts`` are for programs."""

    code: str
    text: str
    facts: dict[str, str | int | float]


class DecisionBody(msgspec.Struct, frozen=True):
    """What the plan says of a video. ``word`` is what people see: kept, wanted, going, skipped."""

    verdict: str
    word: str
    reasons: list[ReasonBody]
    renditions: list[str]
    size: int
    estimated: bool
    rule: str | None
    rank: int | None
    value: float


class VideoBody(msgspec.Struct, frozen=True):
    """A video in a list: ``verdict`` and ``word`` are the plan's, ``state`` is our pin's, with ``done`` of ``size``.

    ``play`` is the path of its playlist below the mount.
    """

    id: str
    title: str
    origin: str
    channel_title: str
    duration: int
    published_at: datetime
    views: int
    upstream: str
    verdict: str | None
    word: str | None
    state: str | None
    done: int
    size: int
    wish: str | None
    decision: DecisionBody | None
    trouble: TroubleBody | None
    copies: int | None
    thumbnail_url: str | None
    play: str


def trouble(found: Trouble | None) -> TroubleBody | None:
    return None if found is None else TroubleBody(found.code, found.message, found.hint)


def reasons(found: Decision) -> list[ReasonBody]:
    return [ReasonBody(r.code.value, sentence(r), dict(r.facts)) for r in found.reasons]


def decision(found: Decision | None) -> DecisionBody | None:
    if found is None:
        return None
    return DecisionBody(
        verdict=found.verdict.value,
        word=verdict_word(found.verdict),
        reasons=reasons(found),
        renditions=list(found.renditions),
        size=found.size,
        estimated=found.estimated,
        rule=found.rule,
        rank=found.rank,
        value=found.value,
    )


def play_path(video: str) -> str:
    return f"/media/{video}/master.m3u8"


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
        verdict=None if line.decision is None else line.decision.verdict.value,
        word=None if line.decision is None else verdict_word(line.decision.verdict),
        state=None if line.pin_state is None else line.pin_state.value,
        done=line.done,
        size=line.size or (line.decision.size if line.decision is not None else 0),
        wish=None if line.wish is None else line.wish.value,
        decision=decision(line.decision),
        trouble=trouble(line.trouble),
        copies=line.copies,
        thumbnail_url=line.thumbnail_url,
        play=play_path(line.id),
    )
