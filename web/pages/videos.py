"""Videos: search and filter, one video with its player and its reasons, hand pins."""

import asyncio
from typing import Annotated

from litestar import Response, get, post
from litestar.params import PathParameter

from appliance.domain.pin import PinState, Wish
from appliance.domain.shelf import NotPlayable, Playable
from appliance.domain.units import VideoId
from appliance.errors import SeedkeepError
from appliance.store import cached, channels, copies, decisions, ledger, lists, pins
from appliance.store import videos as store
from appliance.store.rules import every as every_rule
from policies.explain import sentence
from web.pages.show import Asked, fields, go, missing, services, show
from web.services import Services
from web.views import decided, home, player, shelf, television, video, words

Ident = Annotated[str, PathParameter(max_length=64)]
GONE = ("No such video", "It may belong to a channel that is no longer followed. Search for it on the videos page.")
OPENING = 2.0
"""Seconds a page waits for what a held video's files are called."""


@get("/videos", include_in_schema=False)
async def all_videos(request: Asked) -> Response[str]:
    house = services(request)
    asked = shelf.question(request.query_params)
    page, followed = await asyncio.gather(house.store.read(lists.page, asked.filter), house.store.read(channels.every))
    titles = {channel.id: channel.info.title or channel.info.address.name for channel in followed}
    view = shelf.shelf(asked, page, titles, house.clock.now(), sentence)
    return await show(request, "videos", {"shelf": view}, here="videos")


@get("/videos/{ident:str}", include_in_schema=False)
async def one_video(request: Asked, ident: Ident) -> Response[str]:
    house, ident = services(request), VideoId(ident)
    rules = {rule.id: rule for rule in await house.store.read(every_rule)}
    record, pin, decision, moved, elsewhere, kept = await asyncio.gather(
        house.store.read(store.one, ident),
        house.store.read(pins.one, ident),
        house.store.read(decisions.one, ident),
        house.store.read(ledger.of_video, ident),
        house.store.read(copies.of, ident, house.clock.now()),
        house.store.read(cached.one, ident),
    )
    if record is None:
        return await missing(request, *GONE)
    held = await _playable(house, ident) if pin is not None and pin.state is PinState.PINNED else None
    view = video.page(record, pin, decision, moved, _beside(held), house.clock.now(), sentence, elsewhere, kept)
    activity = next((a for a in house.spending.activity() if a.video == ident), None)
    detail = home.detail(video.line_of(record, pin, decision), activity)
    told = decided.told(record, decision, rules, house.clock.now(), sentence)
    copy = television.line(None if house.copying is None else house.copying.status(ident))
    view_of = {"v": view, "detail": detail, "told": told, "tv_copy": copy}
    return await show(request, "video", view_of, here="videos")


@post("/videos/{ident:str}/pin", include_in_schema=False)
async def pin(request: Asked, ident: Ident) -> Response[str]:
    return await _wish(request, VideoId(ident), Wish.PIN, "pinned")


@post("/videos/{ident:str}/unpin", include_in_schema=False)
async def unpin(request: Asked, ident: Ident) -> Response[str]:
    return await _wish(request, VideoId(ident), None, "unpinned")


@post("/videos/{ident:str}/let-go", include_in_schema=False)
async def let_go(request: Asked, ident: Ident) -> Response[str]:
    """Allow a last copy to be released; the rules may still choose it."""
    return await _wish(request, VideoId(ident), Wish.LET_GO, "let-go")


@post("/videos/{ident:str}/drop", include_in_schema=False)
async def drop(request: Asked, ident: Ident) -> Response[str]:
    """Let go of what is here only because it was watched."""
    await fields(request)
    house, video_id = services(request), VideoId(ident)
    if await house.store.read(cached.one, video_id) is None:
        return go(request, f"videos/{ident}")
    try:
        await house.keeping.let_go(video_id)
    except SeedkeepError as error:
        return go(request, f"videos/{ident}", "watched" if error.code == "watched_now" else "not-dropped")
    return go(request, f"videos/{ident}", "dropped")


@post("/videos/{ident:str}/never", include_in_schema=False)
async def never(request: Asked, ident: Ident) -> Response[str]:
    return await _wish(request, VideoId(ident), Wish.NEVER, "barred")


async def _wish(request: Asked, ident: VideoId, wish: Wish | None, said: str) -> Response[str]:
    await fields(request)
    house = services(request)
    if not await house.store.promise(store.wish, ident, wish):
        return await missing(request, *GONE)
    house.planning.wake()
    return go(request, f"videos/{ident}", said)


async def _playable(house: Services, ident: VideoId) -> Playable | None:
    try:
        return await asyncio.wait_for(house.shelf.playable(ident), OPENING)
    except (NotPlayable, SeedkeepError, TimeoutError):
        return None


def _beside(held: Playable | None) -> video.Beside:
    if held is None:
        return video.Beside()
    media = {file.name: words.size(file.size) for rendition in held.renditions for file in rendition.files}
    files = [video.FileRow(name, size) for name, size in media.items()]
    files += [video.FileRow(name, "") for name in held.side_files if name not in media]
    captions = [
        player.Caption(c.label or c.language, c.language, f"media/{held.video}/captions/{c.language}.vtt")
        for c in held.captions
    ]
    board = player.board(held.video, held.storyboard, held.duration) if held.storyboard_file else None
    return video.Beside(files, captions, board)


routes = [all_videos, one_video, pin, unpin, let_go, drop, never]
