"""``/pins``: what we promised to hold, and what a person wishes above all rules."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from appliance.domain.pin import PinState, Wish
from appliance.domain.units import VideoId
from appliance.errors import BadInput
from appliance.store import lists, pins, videos
from web.access.areas import API
from web.api.channels import Became, relative, resolve
from web.api.listing import Ident, Limit, Listing, Offset
from web.api.shapes import PinBody, pin_body, play_path
from web.context import AnyRequest, house
from web.problems import Problem, Refusal, not_found


class PinLine(PinBody, frozen=True, kw_only=True):
    """One promise, and whose it is. ``hand`` is true for a person's wish."""

    video_id: str
    title: str
    hand: bool
    play: str


class NewPin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of the two: a video of the catalogue, or an address."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)] | None = None
    video_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


State = Annotated[str | None, QueryParameter(name="state", max_length=50, required=False)]


@get("/pins")
async def list_pins(request: AnyRequest, of: State = None, limit: Limit = 100, offset: Offset = 0) -> Listing[PinLine]:
    """List pins, the oldest promise first; ``state`` is a pin's state."""
    if of and of not in list(PinState):
        raise BadInput("A pin has no such state.", field="state", hint=f"Known states: {', '.join(PinState)}.")
    store = house(request).store
    every = [p for p in await store.read(pins.every) if not of or p.state.value == of]
    shown = every[offset : offset + limit]
    lines = {line.id: line for line in await store.read(lists.lines, tuple(p.video for p in shown))}
    return Listing(
        len(every),
        [
            PinLine(
                **msgspec.structs.asdict(pin_body(p)),
                video_id=p.video,
                title=lines[p.video].title if p.video in lines else "",
                hand=p.video in lines and lines[p.video].wish is Wish.PIN,
                play=play_path(p.video),
            )
            for p in shown
        ],
    )


@post("/pins")
async def pin(request: AnyRequest, data: JSONBody[NewPin]) -> Response[Became]:
    """Pin by hand (201; 200 where it was pinned by hand before). A channel's address is followed instead."""
    services = house(request)
    if (data.url is None) == (data.video_id is None):
        raise BadInput("Give either url or video_id.", field="video_id" if data.url is None else "url")
    if data.url is not None:
        found, new = await resolve(services, data.url)
        return Response(found, status_code=201 if new else 200, headers={"location": relative(found)})
    ident = VideoId(data.video_id or "")
    known = await services.store.read(videos.one, ident)
    if known is None or not await services.store.promise(videos.wish, ident, Wish.PIN):
        raise not_found("video")
    services.planning.wake()
    body = Became("video", ident, known.summary.title, f"{API}/videos/{ident}")
    return Response(body, status_code=200 if known.wish is Wish.PIN else 201, headers={"location": relative(body)})


@delete("/pins/{ident:str}")
async def unpin(request: AnyRequest, ident: Ident, never: FromQuery[bool] = False) -> None:
    """Withdraw a wish; ``never=true`` also bars the video from every rule. The next plan decides what goes."""
    services, key = house(request), VideoId(ident)
    known, promise = await asyncio.gather(services.store.read(videos.one, key), services.store.read(pins.one, key))
    if known is None:
        raise not_found("video")
    if known.wish is None and promise is not None and not never:
        raise Refusal(
            Problem(
                409,
                "kept_by_rule",
                "This video was not pinned by hand: a rule keeps it.",
                "Bar it from every rule with never=true, or change the rule.",
            )
        )
    await services.store.promise(videos.wish, key, Wish.NEVER if never else None)
    services.planning.wake()


routes = [list_pins, pin, unpin]
