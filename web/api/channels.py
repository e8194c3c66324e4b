"""``/channels``: follow, look at, change, leave."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from appliance.domain.catalogue import ChannelCounts
from appliance.domain.channel import Channel, WhenGone
from appliance.domain.units import ByteCount, ChannelId
from appliance.errors import BadInput
from appliance.store import channels
from web.access.areas import API
from web.api.listing import Ident, Limit, Listing, Offset, cut
from web.api.shapes import TroubleBody, trouble
from web.context import AnyRequest, house
from web.glance import Glance
from web.problems import not_found
from web.services import Followed, Services


class ChannelBody(msgspec.Struct, frozen=True):
    """A followed channel. ``listed`` counts videos we know, ``total`` is the origin's claim."""

    id: str
    title: str
    description: str
    url: str
    avatar_url: str | None
    origin: str
    kind: str
    name: str
    state: str
    paused: bool
    when_gone: str
    web_videos: bool
    trouble: TroubleBody | None
    failures: int
    followed_at: datetime
    last_check: datetime | None
    last_change: datetime | None
    next_check: datetime | None
    total: int | None
    listed: int
    wanted: int
    held: int
    held_bytes: int
    asked_today: int


class Follow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``url`` in any form a person would paste: an address, ``@name@host``, an instance, a single video."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]


class Became(msgspec.Struct, frozen=True):
    """What an address came to: a channel now followed, or a video now pinned by hand. ``url`` is its own address."""

    kind: str
    id: str
    title: str
    url: str


class ChannelChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    when_gone: WhenGone | UnsetType = UNSET
    web_videos: bool | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


def became(found: Followed) -> Became:
    """Return what following came to."""
    if found.channel is not None:
        return Became("channel", found.channel, found.title, f"{API}/channels/{found.channel}")
    if found.video is not None:
        return Became("video", found.video, found.title, f"{API}/videos/{found.video}")
    raise BadInput("Nothing that can be followed is at this address.", field="url")


def relative(found: Became) -> str:
    """Return the address as seen from a resource of the API, right below any base path."""
    return found.url.removeprefix(f"{API}/")


async def resolve(services: Services, url: str) -> tuple[Became, bool]:
    """Follow an address; return what it came to, and whether that is new. Raises BadInput, OriginError."""
    if not url.strip() or not url.strip().isprintable():
        raise BadInput("This is not an address.", field="url", hint="Paste the address of a channel or a video.")
    before = {c.id for c in await services.store.read(channels.every)}
    found = await services.following.follow(url.strip())
    new = found.channel is None or found.channel not in before
    return became(found), new


def _body(channel: Channel, counts: ChannelCounts | None, asked_today: int) -> ChannelBody:
    known = counts or ChannelCounts(channel.listed, 0, 0, ByteCount(0))
    info = channel.info
    return ChannelBody(
        id=channel.id,
        title=info.title,
        description=info.description,
        url=info.url,
        avatar_url=info.avatar_url,
        origin=info.address.origin,
        kind=info.address.kind.value,
        name=info.address.name,
        state=channel.state.value,
        paused=channel.paused,
        when_gone=channel.when_gone.value,
        web_videos=channel.web_videos,
        trouble=trouble(channel.trouble),
        failures=channel.failures,
        followed_at=channel.followed_at,
        last_check=channel.last_check,
        last_change=channel.last_change,
        next_check=channel.next_check,
        total=channel.total,
        listed=known.listed,
        wanted=known.wanted,
        held=known.held,
        held_bytes=known.held_bytes,
        asked_today=asked_today,
    )


def _told(services: Services, found: Iterable[Channel], counts: dict[ChannelId, ChannelCounts]) -> list[ChannelBody]:
    asked = {origin.origin: origin.requests for origin in services.following.origins()}
    return [_body(c, counts.get(c.id), asked.get(c.info.address.origin, 0)) for c in found]


async def _one(services: Services, ident: str) -> ChannelBody:
    found, counts = await asyncio.gather(
        services.store.read(channels.one, ChannelId(ident)), services.store.read(channels.counts)
    )
    if found is None:
        raise not_found("channel")
    return _told(services, (found,), counts)[0]


@get("/channels")
async def list_channels(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[ChannelBody]:
    """List the followed channels, the last followed first."""
    glance: Glance = request.app.state.glance
    found, counts = await asyncio.gather(glance.of(channels.every), glance.of(channels.counts))
    return cut(_told(house(request), found, counts), limit, offset)


@post("/channels")
async def follow(request: AnyRequest, data: JSONBody[Follow]) -> Response[Became]:
    """Follow a channel (201; 200 where it is followed already). A single video becomes a hand pin."""
    found, new = await resolve(house(request), data.url)
    return Response(found, status_code=201 if new else 200, headers={"location": relative(found)})


@get("/channels/{ident:str}")
async def one_channel(request: AnyRequest, ident: Ident) -> ChannelBody:
    """Return one followed channel."""
    return await _one(house(request), ident)


@patch("/channels/{ident:str}")
async def change_channel(request: AnyRequest, ident: Ident, data: JSONBody[ChannelChange]) -> ChannelBody:
    """Change the owner's settings of one channel."""
    services = house(request)
    known = await services.store.promise(
        channels.change,
        ChannelId(ident),
        when_gone=None if data.when_gone is UNSET else data.when_gone,
        web_videos=None if data.web_videos is UNSET else data.web_videos,
        paused=None if data.paused is UNSET else data.paused,
    )
    if not known:
        raise not_found("channel")
    services.planning.wake()
    return await _one(services, ident)


@delete("/channels/{ident:str}")
async def leave(request: AnyRequest, ident: Ident) -> None:
    """Stop following. What no rule wants any more the next plan releases."""
    services = house(request)
    if not await services.store.promise(channels.leave, ChannelId(ident)):
        raise not_found("channel")
    services.planning.wake()


@post("/channels/{ident:str}/refresh", status_code=202)
async def refresh(request: AnyRequest, ident: Ident) -> ChannelBody:
    """Look at the channel now, whatever its back-off."""
    services = house(request)
    await _one(services, ident)
    await services.following.refresh(ChannelId(ident))
    return await _one(services, ident)


routes = [list_channels, follow, one_channel, change_channel, leave, refresh]
