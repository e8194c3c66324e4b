"""``/videos``: what is known of each video, what was decided and why, what we hold of it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.params import QueryParameter

from appliance.domain.catalogue import VideoFilter, VideoRecord, VideoSort
from appliance.domain.channel import Channel
from appliance.domain.pin import Pin, PinState, Wish
from appliance.domain.plan import Copies, Decision, Observation, Verdict
from appliance.domain.units import ChannelId, VideoId
from appliance.domain.video import Rendition, Upstream
from appliance.errors import BadInput, SeedkeepError
from appliance.store import cached, channels, copies, decisions, ledger, lists, observations, pins, rules, videos
from policies.explain import verdict_word
from web.api.listing import Ident, Limit, Listing, Offset
from web.api.shapes import (
    CACHED,
    CopyBody,
    DecisionBody,
    TroubleBody,
    VideoBody,
    by_id,
    copies_body,
    decision,
    play_path,
    state,
    trouble,
    video,
)
from web.context import AnyRequest, house
from web.problems import Problem, Refusal, not_found
from web.services import Services

_HISTORY = timedelta(days=90)
_WORDS = {verdict_word(verdict): verdict for verdict in Verdict}


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


class FullPinBody(msgspec.Struct, frozen=True):
    state: str
    renditions: list[str]
    done: int
    size: int
    since: datetime
    pinned_at: datetime | None
    trouble: TroubleBody | None
    failures: int
    next_try: datetime | None


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


class FullVideoBody(msgspec.Struct, frozen=True):
    """All that is known of one video. ``given`` and ``taken`` are all bytes ever, over every class.

    ``copies`` are whole ones elsewhere (None: unknown, not zero); ``copies_verified`` of them answered a challenge
    within two weeks.
    """

    id: str
    title: str
    description: str
    url: str
    origin: str
    uuid: str
    channel_title: str
    channels: list[ListedBy]
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
    verdict: str | None
    word: str | None
    state: str | None
    wish: str | None
    decision: DecisionBody | None
    pin: FullPinBody | None
    cached: CachedBody | None
    renditions: list[RenditionBody]
    copies: int | None
    copies_at: datetime | None
    copies_verified: int
    copies_by: list[CopyBody]
    mirrors: list[str]
    trouble: TroubleBody | None
    detail_at: datetime | None
    thumbnail_url: str | None
    history: list[SeenBody]
    given: int
    taken: int
    play: str
    tv_copy: TvCopyBody | None = None


def _state(text: str) -> dict[str, Any]:
    """Return the filter a state's word means: a verdict, a pin's state, cached, or what the origin says."""
    if text == CACHED:
        return {"cached": True}
    if text in _WORDS:
        return {"verdict": _WORDS[text]}
    for field, kind in (("verdict", Verdict), ("pin_state", PinState), ("upstream", Upstream)):
        if text in list(kind):
            return {field: kind(text)}
    known = ", ".join([*_WORDS, CACHED, *PinState, *Upstream])
    raise BadInput("There is no such state.", field="state", hint=f"Known states: {known}.")


def _sort(text: str) -> VideoSort:
    if text not in list(VideoSort):
        raise BadInput("There is no such order.", field="sort", hint=f"Known orders: {', '.join(VideoSort)}.")
    return VideoSort(text)


Text = Annotated[str | None, QueryParameter(max_length=200, required=False)]


@get("/videos")
async def list_videos(
    request: AnyRequest,
    channel: Text = None,
    of: Annotated[str | None, QueryParameter(name="state", max_length=50, required=False)] = None,
    q: Text = None,
    sort: Text = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Listing[VideoBody]:
    """List videos. ``state``: kept, wanted, going, skipped, cached, a pin's state, or what the origin says.

    ``q`` is looked for in titles.
    """
    wanted = VideoFilter(
        channel=None if not channel else ChannelId(channel),
        text=q or "",
        sort=_sort(sort) if sort else VideoSort.NEWEST,
        limit=limit,
        offset=offset,
        **(_state(of) if of else {}),
    )
    page = await house(request).store.read(lists.page, wanted)
    return Listing(page.total, [video(line) for line in page.items])


@get("/videos/{ident:str}")
async def one_video(request: AnyRequest, ident: Ident) -> FullVideoBody:
    """Return all that is known of one video, with the reasons why it is or is not kept."""
    store, key = house(request).store, VideoId(ident)
    found = await store.read(videos.one, key)
    if found is None:
        raise not_found("video")
    since = house(request).clock.now() - _HISTORY
    now = house(request).clock.now()
    decided, pin, seen, listed, (given, taken), elsewhere = await asyncio.gather(
        store.read(decisions.one, key),
        store.read(pins.one, key),
        store.read(observations.of, key, since),
        store.read(channels.of_video, key),
        store.read(ledger.of_video, key),
        store.read(copies.of, key, now),
    )
    named, kept = await asyncio.gather(store.read(rules.every), store.read(cached.one, key))
    body = _body(found, decided, pin, seen, listed, given, taken)
    told = decision(decided, by_id(named))
    held = None if kept is None else CachedBody(kept.size, kept.whole, kept.watched_at)
    said = state(None if pin is None else pin.state, cached=kept is not None)
    more = _copies(elsewhere, now) | {"tv_copy": _tv_copy(house(request), key)}
    return msgspec.structs.replace(body, decision=told, cached=held, state=said, **more)


@post("/videos/{ident:str}/let-go", status_code=200)
async def let_go(request: AnyRequest, ident: Ident) -> FullVideoBody:
    """Allow a video to be released although it is the last copy known; a rule may still choose it."""
    services, key = house(request), VideoId(ident)
    if not await services.store.promise(videos.wish, key, Wish.LET_GO):
        raise not_found("video")
    services.planning.wake()
    answer: FullVideoBody = await one_video.fn(request, ident)
    return answer


@delete("/videos/{ident:str}/cached")
async def drop_cached(request: AnyRequest, ident: Ident) -> None:
    """Let go of what is held of a video only because it was watched. 409 while somebody watches it."""
    services, key = house(request), VideoId(ident)
    if await services.store.read(cached.one, key) is None:
        raise not_found("cached video")
    try:
        await services.keeping.let_go(key)
    except SeedkeepError as error:
        if error.code != "watched_now":
            raise
        raise Refusal(Problem(409, error.code, error.message, error.hint)) from error


def _tv_copy(services: Services, video: VideoId) -> TvCopyBody | None:
    found = None if services.copying is None else services.copying.status(video)
    if found is None:
        return None
    percent = None if found.percent is None else round(found.percent, 1)
    return TvCopyBody(found.state.value, percent, found.size, trouble(found.trouble))


def _copies(elsewhere: Copies, now: datetime) -> dict[str, Any]:
    told = copies_body(elsewhere, now)
    at = max((r.at for r in elsewhere.reports), default=None)
    return {"copies": told.live, "copies_at": at, "copies_verified": told.verified, "copies_by": told.by}


def _pin(pin: Pin | None) -> FullPinBody | None:
    if pin is None:
        return None
    return FullPinBody(
        state=pin.state.value,
        renditions=list(pin.renditions),
        done=pin.done,
        size=pin.size,
        since=pin.since,
        pinned_at=pin.pinned_at,
        trouble=trouble(pin.trouble),
        failures=pin.failures,
        next_try=pin.next_try,
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


def _body(
    found: VideoRecord,
    decided: Decision | None,
    pin: Pin | None,
    seen: Sequence[Observation],
    listed: Sequence[Channel],
    given: int,
    taken: int,
) -> FullVideoBody:
    s = found.summary
    return FullVideoBody(
        id=s.id,
        title=s.title,
        description=s.description,
        url=s.url,
        origin=s.origin,
        uuid=s.uuid,
        channel_title=s.channel_title,
        channels=[ListedBy(c.id, c.info.title) for c in listed],
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
        verdict=None if decided is None else decided.verdict.value,
        word=None if decided is None else verdict_word(decided.verdict),
        state=None,
        wish=None if found.wish is None else found.wish.value,
        decision=decision(decided),
        pin=_pin(pin),
        cached=None,
        renditions=[_rendition(one, pin) for one in found.renditions],
        copies=found.copies,
        copies_at=found.copies_at,
        copies_verified=0,
        copies_by=[],
        mirrors=list(found.mirrors),
        trouble=trouble(found.trouble),
        detail_at=found.detail_at,
        thumbnail_url=s.thumbnail_url,
        history=[SeenBody(o.at, o.views, o.likes, o.seeds, o.mirrors) for o in seen],
        given=given,
        taken=taken,
        play=play_path(s.id),
    )


routes = [list_videos, one_video, let_go, drop_cached]
