"""Bodies that several resources share: this module makes troubles, decisions, pins, lines of videos of domain values.

Byte counts are integers, times RFC 3339 in UTC.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from appliance.domain.catalogue import VideoLine
from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Copies, Decision, Reason, Rule
from appliance.domain.units import RuleId
from policies.explain import sentence, verdict_word
from policies.ranked import ranked_by


class TroubleBody(msgspec.Struct, frozen=True):
    code: str
    message: str
    hint: str = ""


class ReasonBody(msgspec.Struct, frozen=True):
    """``text`` is a sentence for people, ``code`` and ``facts`` are for programs."""

    code: str
    text: str
    facts: dict[str, str | int | float]


class DecisionBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan says of a video. ``word`` is what people see: kept, wanted, going, skipped.

    ``rank`` counts from 1 within ``rule``, ``ranked_by`` is what it was ranked by in words. ``earliest_release``:
    before then it is not let go, whatever comes. ``asks``: it needs the owner's word (``/questions``). ``change``: of a
    video that is left, what would have to change.
    """

    verdict: str
    word: str
    reasons: list[ReasonBody]
    renditions: list[str]
    size: int
    estimated: bool
    rule: str | None
    rule_name: str = ""
    rank: int | None
    value: float
    ranked_by: str = ""
    earliest_release: datetime | None = None
    asks: bool = False
    change: ReasonBody | None = None


class PinBody(msgspec.Struct, frozen=True, kw_only=True):
    """A promise: ``done`` verified bytes of ``size``."""

    state: str
    renditions: list[str]
    size: int
    done: int
    since: datetime
    pinned_at: datetime | None
    trouble: TroubleBody | None
    failures: int
    next_try: datetime | None


class CopyBody(msgspec.Struct, frozen=True):
    """Whole copies elsewhere by one source: ``tracker``, ``peers``, ``mirrors`` or ``origin``; ``age`` in seconds."""

    source: str
    count: int
    at: datetime
    age: int


class CopiesBody(msgspec.Struct, frozen=True):
    """Whole copies elsewhere; ``live`` null is unknown, which is not zero. ``verified`` answered a challenge lately."""

    live: int | None
    verified: int
    by: list[CopyBody]


class VideoBody(msgspec.Struct, frozen=True):
    """A video in a list: ``verdict`` and ``word`` are the plan's, ``state`` is our pin's, with ``done`` of ``size``.

    Without a pin ``state`` may be ``cached``: ``done`` bytes are here only because somebody watched it.
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


Named = Mapping[RuleId, Rule]
"""Rules by their ids."""


def by_id(rules: Iterable[Rule]) -> Named:
    return {rule.id: rule for rule in rules}


def reason(found: Reason) -> ReasonBody:
    return ReasonBody(found.code.value, sentence(found), dict(found.facts))


def reasons(found: Decision) -> list[ReasonBody]:
    return [reason(one) for one in found.reasons]


def decision(found: Decision | None, rules: Named | None = None) -> DecisionBody | None:
    return None if found is None else decided(found, rules or {})


def decided(found: Decision, rules: Named) -> DecisionBody:
    """Return a decision as JSON has it; ``rules`` give names and kinds to what chose it."""
    rule = None if found.rule is None else rules.get(found.rule)
    return DecisionBody(
        verdict=found.verdict.value,
        word=verdict_word(found.verdict),
        reasons=reasons(found),
        renditions=list(found.renditions),
        size=found.size,
        estimated=found.estimated,
        rule=found.rule,
        rule_name="" if rule is None else rule.name,
        rank=found.rank,
        value=found.value,
        ranked_by="" if rule is None or found.rank is None else ranked_by(rule.kind, found.value),
        earliest_release=found.earliest_release,
        asks=found.asks,
        change=None if found.change is None else reason(found.change),
    )


def pin_body(found: Pin) -> PinBody:
    return PinBody(
        state=found.state.value,
        renditions=list(found.renditions),
        size=found.size,
        done=found.done,
        since=found.since,
        pinned_at=found.pinned_at,
        trouble=trouble(found.trouble),
        failures=found.failures,
        next_try=found.next_try,
    )


def copies_body(found: Copies, now: datetime) -> CopiesBody:
    by = [CopyBody(r.source.value, r.count, r.at, max(0, int((now - r.at).total_seconds()))) for r in found.reports]
    return CopiesBody(found.live, found.verified, by)


def play_path(video: str) -> str:
    return f"/media/{video}/master.m3u8"


CACHED = "cached"


def state(pin: PinState | None, *, cached: bool) -> str | None:
    """Return the word for what we hold of a video."""
    if pin is not None:
        return pin.value
    return CACHED if cached else None


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
        state=state(line.pin_state, cached=line.cached is not None),
        done=line.done if line.pin_state is not None or line.cached is None else line.cached,
        size=line.size or (line.decision.size if line.decision is not None else 0),
        wish=None if line.wish is None else line.wish.value,
        decision=decision(line.decision),
        trouble=trouble(line.trouble),
        copies=line.copies,
        thumbnail_url=line.thumbnail_url,
        play=play_path(line.id),
    )
