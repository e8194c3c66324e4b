"""The byte path: this module is the ASGI app below ``/media/{video_id}/``. It decides nothing about access.

    master.m3u8   {rendition}.m3u8   captions/{language}.m3u8      playlists, written by us
    {rendition}.iframes.m3u8         single pictures to wind by
    file/{name}                      media files as they lie, by byte range
    {rendition}.mp4 {rendition}.ts   films: a rendition as one progressive file, with its sound, by byte range
    tv.mp4                           the copy for televisions, where there is one
    thumbnail.jpg storyboard.jpg     captions/{language}.vtt captions/{language}.srt

The path may come with or without ``/media`` in front, and with a slash at its end, as mounting leaves it.
"""

import logging
from functools import lru_cache

from appliance.domain.shelf import NotPlayable, ReadyShelf
from appliance.domain.units import VideoId
from appliance.errors import DiskError, SeedkeepError
from appliance.library.layout import is_video_id
from appliance.serve import beside
from appliance.serve.exchange import Exchange, Left, Receive, Scope, Send
from appliance.serve.film.films import Films
from appliance.serve.heads import Heads
from appliance.serve.iframes import IFrames
from appliance.serve.request import (
    LASTING,
    Copied,
    Count,
    Leases,
    MediaHouse,
    MediaRequest,
    Seen,
    Throttle,
    nothing,
    tell,
)
from appliance.serve.source import PATIENCE, MediaPool
from appliance.serve.subtitles import SRT
from appliance.store.audience import Audience

log = logging.getLogger(__name__)

BESIDE = 12.0
"""Seconds that a screen waits for a picture or subtitles at most."""


class MediaApp:
    """The ASGI app. Made by ``create_media_app``; ``close`` ends its threads."""

    def __init__(self, house: MediaHouse) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            async with Exchange(scope, receive, send) as exchange:
                await _guarded(self._house, exchange, scope["path"])

    def close(self) -> None:
        """Take no further request. Does not wait for reads that hang."""
        self._house.films.close()
        self._house.iframes.close()
        self._house.pool.close()


def create_media_app(
    shelf: ReadyShelf,
    leases: Leases,
    count: Count,
    throttle: Throttle,
    *,
    patience: float = PATIENCE,
    seen: Seen = lambda _viewer, _video, _size: None,
    copies: Copied | None = None,
    audience: Audience | None = None,
) -> MediaApp:
    """Return the app. ``patience``: seconds to wait for a video to open, and for its next byte.

    It reads ``scope["state"]["viewer"]`` (a ``Viewer``); without one the viewer is on the LAN.
    """
    pool = MediaPool()
    films, heads, iframes = Films(shelf, pool), Heads(shelf, pool), IFrames(shelf, pool)
    seats = audience or Audience()
    return MediaApp(
        MediaHouse(shelf, leases, count, throttle, patience, seen, pool, films, heads, iframes, copies, seats)
    )


async def _guarded(house: MediaHouse, exchange: Exchange, path: str) -> None:
    """Answer, whatever happens. After the head has gone out, an early end (the server closes) says that it failed."""
    try:
        await _answered(house, exchange, path)
    except Left:
        return
    except NotPlayable as refusal:
        await _refuse(exchange, refusal)
    except SeedkeepError as error:
        status = 503 if isinstance(error, DiskError) or error.retryable else 404
        await _refuse(exchange, NotPlayable(error.code, error.message, error.hint, status))
    except Exception:
        log.exception("Serving %r failed", path)
        await _refuse(exchange, NotPlayable("bug", "Something went wrong on our side.", "See the log.", 500))


async def _refuse(exchange: Exchange, refusal: NotPlayable) -> None:
    if exchange.started:
        log.warning("An answer ended early: %s", refusal.message)
    elif not exchange.left:
        await exchange.problem(refusal)


async def _answered(house: MediaHouse, exchange: Exchange, path: str) -> None:
    if exchange.method == "OPTIONS":
        await exchange.preflight()
        return
    if exchange.method not in ("GET", "HEAD"):
        refusal = NotPlayable("method_not_allowed", "Media can only be read.", status=405)
        await exchange.problem(refusal, [(b"allow", b"GET, HEAD, OPTIONS")])
        return
    video, rest = _route(path)
    if await _beside(house, exchange, video, rest):
        return
    house.leases.renew(video, exchange.viewer.name)
    with house.audience.attending(video, exchange.connection):
        await _of_video(house, exchange, video, rest)


async def _of_video(house: MediaHouse, exchange: Exchange, video: VideoId, rest: tuple[str, ...]) -> None:
    playable = house.shelf.playable_now(video)
    if playable is None:
        closed = NotPlayable("opening", "The video is still being opened.", hint="Try again in a moment.", status=504)
        playable = await exchange.wait_for(house.shelf.playable(video), house.patience, closed)
    await MediaRequest(house, exchange, playable).respond(rest)


@lru_cache(64)
def _route(path: str) -> tuple[VideoId, tuple[str, ...]]:
    """(video, the rest). Raises NotPlayable: an empty, dotted or unprintable step is never an address of ours."""
    steps = path.strip("/").split("/")
    if steps[0] == "media":
        steps = steps[1:]
    if not 2 <= len(steps) <= 3 or any(s in ("", ".", "..") or not s.isprintable() for s in steps):
        raise nothing()
    if not is_video_id(steps[0]):
        raise nothing()
    return VideoId(steps[0]), tuple(steps[1:])


async def _beside(house: MediaHouse, exchange: Exchange, video: VideoId, rest: tuple[str, ...]) -> bool:
    """Answer for what stands beside a video, without opening it, for looking is not watching; tell whether that was
    asked for."""
    late = NotPlayable("not_yet", "It is still being fetched.", hint="Try again in a moment.")
    match rest:
        case ["thumbnail.jpg" | "storyboard.jpg" as name]:
            drawn = beside.picture if name == "thumbnail.jpg" else beside.storyboard
            found = await exchange.wait_for(drawn(house.shelf, house.pool, video), BESIDE, late)
            if found is None:
                raise NotPlayable("no_picture", "There is no picture of this video now.")
            await tell(house, exchange, video, *found, LASTING)
        case ["captions", name] if name.endswith(".srt"):
            language = name.removesuffix(".srt")
            data = await exchange.wait_for(beside.subtitles(house.shelf, house.pool, video, language), BESIDE, late)
            if data is None:
                raise nothing()
            await tell(house, exchange, video, data, f"{SRT}; charset=utf-8", LASTING)
        case _:
            return False
    return True
