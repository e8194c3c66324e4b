"""``/videos``: what is known of each video, what was decided and why, what we hold of it."""

from typing import Annotated, Any

from litestar import delete, get, post
from litestar.params import QueryParameter

from appliance.domain.catalogue import VideoFilter, VideoSort
from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Verdict
from appliance.domain.units import ChannelId, VideoId
from appliance.domain.video import Upstream
from appliance.errors import BadInput, SeedkeepError
from appliance.store import cached, lists, videos
from policies.explain import verdict_word
from web.api.full_video import FullVideoBody, full_video
from web.api.listing import Ident, Limit, Listing, Offset
from web.api.shapes import CACHED, VideoBody, video
from web.context import AnyRequest, house
from web.problems import Problem, Refusal, not_found
from web.services import Services

_WORDS = {verdict_word(verdict): verdict for verdict in Verdict}


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
    return await _full(house(request), VideoId(ident))


@post("/videos/{ident:str}/let-go", status_code=200)
async def let_go(request: AnyRequest, ident: Ident) -> FullVideoBody:
    """Allow a video to be released although it is the last copy known; a rule may still choose it."""
    services, key = house(request), VideoId(ident)
    if not await services.store.promise(videos.wish, key, Wish.LET_GO):
        raise not_found("video")
    services.planning.wake()
    return await _full(services, key)


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


async def _full(services: Services, key: VideoId) -> FullVideoBody:
    found = await full_video(services, key)
    if found is None:
        raise not_found("video")
    return found


routes = [list_videos, one_video, let_go, drop_cached]
