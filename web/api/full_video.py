"""All that is known of one video, as JSON: this module gathers it and gives it its shape."""

import asyncio
from datetime import datetime, timedelta

import msgspec

from appliance.domain.catalogue import VideoRecord
from appliance.domain.pin import Pin
from appliance.domain.units import VideoId
from appliance.domain.video import Rendition
from appliance.store import cached, channels, copies, decisions, ledger, observations, pins, rules, videos
from policies.explain import verdict_word
from web.api.shapes import (
    CopyBody,
    DecisionBody,
    PinBody,
    TroubleBody,
    by_id,
    copies_body,
    decision,
    pin_body,
    play_path,
    state,
    trouble,
)
from web.services import Services

_HISTORY = timedelta(days=90)


class RenditionBody(msgspec.Struct, frozen=True):
    """One encoding. ``promised`` says that our pin includes it, ``info_hash`` is the origin's claim."""

    name: str
    kind: str
    height: int
    width: int
    fps: int
    has_video: bool
    has_audio: bool
    size: int
    info_hash: str | None
    promised: bool


class SeenBody(msgspec.Struct, frozen=True):
    """What was counted at one instant; None is unknown, not zero."""

    at: datetime
    views: int
    likes: int
    seeds: int | None
    mirrors: int | None


class CachedBody(msgspec.Struct, frozen=True):
    """Held only because somebody watched it: bytes on the disk, ``whole`` where it plays from there."""

    size: int
    whole: bool
    watched_at: datetime


class TvCopyBody(msgspec.Struct, frozen=True):
    """A copy for televisions: ``state`` is waiting, making, resting, ready or failed; ``percent`` while it is made,
    ``size`` in bytes once it is ready."""

    state: str
    percent: float | None
    size: int | None
    trouble: TroubleBody | None


class ListedBy(msgspec.Struct, frozen=True):
    id: str
    title: str


class RecordBody(msgspec.Struct, frozen=True, kw_only=True):
    """What its origin says of one video, and when we asked."""

    id: str
    title: str
    description: str
    url: str
    origin: str
    uuid: str
    channel_title: str
    duration: int
    published_at: datetime
    first_seen: datetime
    language: str | None
    category: str | None
    tags: list[str]
    nsfw: bool
    views: int
    likes: int
    upstream: str
    upstream_since: datetime
    mirrors: list[str]
    trouble: TroubleBody | None
    detail_at: datetime | None
    thumbnail_url: str | None
    play: str


class FullVideoBody(RecordBody, frozen=True, kw_only=True):
    """All that is known of one video. ``given`` and ``taken`` are all bytes ever, over every class.

    ``copies`` are whole ones elsewhere (None: unknown, not zero); ``copies_verified`` of them answered a challenge
    within two weeks.
    """

    channels: list[ListedBy]
    verdict: str | None
    word: str | None
    state: str | None
    wish: str | None
    decision: DecisionBody | None
    pin: PinBody | None
    cached: CachedBody | None
    renditions: list[RenditionBody]
    copies: int | None
    copies_at: datetime | None
    copies_verified: int
    copies_by: list[CopyBody]
    history: list[SeenBody]
    given: int
    taken: int
    tv_copy: TvCopyBody | None


async def full_video(services: Services, key: VideoId) -> FullVideoBody | None:
    """Return all that is known of a video, None where the catalogue has none of that id."""
    store, now = services.store, services.clock.now()
    found = await store.read(videos.one, key)
    if found is None:
        return None
    decided, pin, seen, listed, (given, taken), elsewhere = await asyncio.gather(
        store.read(decisions.one, key),
        store.read(pins.one, key),
        store.read(observations.of, key, now - _HISTORY),
        store.read(channels.of_video, key),
        store.read(ledger.of_video, key),
        store.read(copies.of, key, now),
    )
    named, kept = await asyncio.gather(store.read(rules.every), store.read(cached.one, key))
    counted = copies_body(elsewhere, now)
    return FullVideoBody(
        **msgspec.structs.asdict(_record(found)),
        channels=[ListedBy(c.id, c.info.title) for c in listed],
        verdict=None if decided is None else decided.verdict.value,
        word=None if decided is None else verdict_word(decided.verdict),
        state=state(None if pin is None else pin.state, cached=kept is not None),
        wish=None if found.wish is None else found.wish.value,
        decision=decision(decided, by_id(named)),
        pin=None if pin is None else pin_body(pin),
        cached=None if kept is None else CachedBody(kept.size, kept.whole, kept.watched_at),
        renditions=[_rendition(one, pin) for one in found.renditions],
        copies=counted.live,
        copies_at=max((r.at for r in elsewhere.reports), default=None),
        copies_verified=counted.verified,
        copies_by=counted.by,
        history=[SeenBody(o.at, o.views, o.likes, o.seeds, o.mirrors) for o in seen],
        given=given,
        taken=taken,
        tv_copy=_tv_copy(services, key),
    )


def _record(found: VideoRecord) -> RecordBody:
    s = found.summary
    return RecordBody(
        id=s.id,
        title=s.title,
        description=s.description,
        url=s.url,
        origin=s.origin,
        uuid=s.uuid,
        channel_title=s.channel_title,
        duration=s.duration,
        published_at=s.published_at,
        first_seen=found.first_seen,
        language=s.language,
        category=s.category,
        tags=list(s.tags),
        nsfw=s.nsfw,
        views=s.views,
        likes=s.likes,
        upstream=found.upstream.value,
        upstream_since=found.upstream_since,
        mirrors=list(found.mirrors),
        trouble=trouble(found.trouble),
        detail_at=found.detail_at,
        thumbnail_url=s.thumbnail_url,
        play=play_path(s.id),
    )


def _rendition(one: Rendition, pin: Pin | None) -> RenditionBody:
    return RenditionBody(
        name=one.name,
        kind=one.kind.value,
        height=one.height,
        width=one.width,
        fps=one.fps,
        has_video=one.has_video,
        has_audio=one.has_audio,
        size=one.size,
        info_hash=None if one.torrent is None else one.torrent.info_hash,
        promised=pin is not None and one.name in pin.renditions,
    )


def _tv_copy(services: Services, video: VideoId) -> TvCopyBody | None:
    found = None if services.copying is None else services.copying.status(video)
    if found is None:
        return None
    percent = None if found.percent is None else round(found.percent, 1)
    return TvCopyBody(found.state.value, percent, found.size, trouble(found.trouble))
