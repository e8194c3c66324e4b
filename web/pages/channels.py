"""Channels: follow, look at, set, leave."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from litestar import Response, get, post
from litestar.params import PathParameter

from appliance.domain.channel import WhenGone
from appliance.domain.units import ChannelId
from appliance.errors import OriginError, SeedkeepError
from appliance.store import channels as store
from web.pages.show import Asked, block, fields, go, missing, services, show
from web.services import Services
from web.views import channel as views

Ident = Annotated[str, PathParameter(max_length=64)]
GONE = ("No such channel", "It may have been left already. Followed channels are on the channels page.")


@dataclass(frozen=True, slots=True)
class Follow:
    """The follow form: what stands in its field, and what came of it."""

    url: str = ""
    error: str = ""
    hint: str = ""
    done: str = ""
    href: str = ""


@get("/channels", include_in_schema=False)
async def all_channels(request: Asked) -> Response[str]:
    return await _list(request, Follow())


@post("/channels", include_in_schema=False, status_code=200)
async def follow(request: Asked) -> Response[str]:
    """Follow an address; a single video becomes a hand pin."""
    house = services(request)
    text = (await fields(request)).get("url", "").strip()[:2000]
    try:
        found = await house.following.follow(text)
    except SeedkeepError as error:
        return await _list(request, Follow(url=text, error=error.message, hint=_hint(error)), status=422)
    href = f"channels/{found.channel}" if found.channel else f"videos/{found.video}"
    if block(request):
        done = (
            f"{found.title or 'It'} is followed."
            if found.channel
            else f"{found.title or 'The video'} is pinned by hand."
        )
        return await _list(request, Follow(done=done, href=href))
    return go(request, href, "followed" if found.channel else "pinned")


@get("/channels/{ident:str}", include_in_schema=False)
async def one_channel(request: Asked, ident: Ident) -> Response[str]:
    cards = await _cards(services(request), ChannelId(ident))
    return await show(request, "channel", {"c": cards[0]}, here="channels") if cards else await missing(request, *GONE)


@get("/channels/{ident:str}/portrait", include_in_schema=False)
async def portrait(request: Asked, ident: Ident) -> Response[bytes]:
    """Answer with the channel's picture. Its address changes with it, so that a browser may keep it."""
    found = await services(request).following.portrait(ChannelId(ident))
    if found is None:
        return Response(b"", status_code=404, media_type="text/plain")
    return Response(found.data, media_type=found.kind, headers={"Cache-Control": "private, max-age=604800"})


@post("/channels/{ident:str}", include_in_schema=False)
async def change(request: Asked, ident: Ident) -> Response[str]:
    form = await fields(request)
    done = await services(request).store.promise(
        store.change,
        ChannelId(ident),
        when_gone=WhenGone.RELEASE if form.get("when_gone") == "release" else WhenGone.KEEP,
        web_videos="web_videos" in form,
    )
    return await _back(request, ident, done, "saved")


@post("/channels/{ident:str}/refresh", include_in_schema=False)
async def refresh(request: Asked, ident: Ident) -> Response[str]:
    house = services(request)
    known = await house.store.read(store.one, ChannelId(ident)) is not None
    if known:
        await house.following.refresh(ChannelId(ident))
    return await _back(request, ident, known, "asked")


@post("/channels/{ident:str}/pause", include_in_schema=False)
async def pause(request: Asked, ident: Ident) -> Response[str]:
    paused = bool((await fields(request)).get("paused"))
    done = await services(request).store.promise(store.change, ChannelId(ident), paused=paused)
    return await _back(request, ident, done, "paused" if paused else "resumed")


@post("/channels/{ident:str}/unfollow", include_in_schema=False)
async def unfollow(request: Asked, ident: Ident) -> Response[str]:
    house = services(request)
    if not await house.store.promise(store.leave, ChannelId(ident)):
        return await missing(request, *GONE)
    house.planning.wake()
    return go(request, "channels", "left")


def _hint(error: SeedkeepError) -> str:
    """Return the remedy for a person who waits: an address that nobody follows yet is not tried again by itself."""
    if not isinstance(error, OriginError):
        return error.hint
    return error.hint if "by itself" not in error.hint and "tries again" not in error.hint else "Try again later."


async def _back(request: Asked, ident: str, found: bool, said: str) -> Response[str]:
    return go(request, f"channels/{ident}", said) if found else await missing(request, *GONE)


async def _list(request: Asked, form: Follow, status: int = 200) -> Response[str]:
    cards = await _cards(services(request))
    return await show(request, "channels", {"channels": cards, "follow": form}, here="channels", status=status)


async def _cards(house: Services, only: ChannelId | None = None) -> list[views.Card]:
    now = house.clock.now()
    every, counts = await asyncio.gather(house.store.read(store.every), house.store.read(store.counts))
    today = {origin.origin: origin for origin in house.following.origins()}
    return [
        views.card(channel, counts.get(channel.id), today.get(channel.info.address.origin), now)
        for channel in every
        if only is None or channel.id == only
    ]


routes = [all_channels, follow, one_channel, portrait, change, refresh, pause, unfollow]
