"""``/status``: what is held, what is happening, the disk, the rates: the first page's numbers."""

import asyncio
from datetime import datetime

import msgspec
from litestar import get

from appliance.domain.catalogue import OriginToday
from appliance.domain.plan import Disk
from appliance.store import lists
from web.context import AnyRequest, house
from web.glance import Glance
from web.services import Activity, Rates
from web.views import week


class HoldingsBody(msgspec.Struct, frozen=True):
    """All pins: videos by state, verified bytes of promised bytes; ``videos`` and ``channels`` of the catalogue."""

    pins: dict[str, int]
    done: int
    size: int
    videos: int
    channels: int


class BusyBody(msgspec.Struct, frozen=True):
    """One video that is being fetched now."""

    title: str
    activity: Activity


class StatusBody(msgspec.Struct, frozen=True):
    """``origins`` are those that were asked today or are left alone for now. ``in_force`` says which limits of the
    uplink hold now and why, as sentences for the owner."""

    version: str
    started_at: datetime
    ok: bool
    troubles: list[str]
    holdings: HoldingsBody
    disk: Disk | None
    rates: Rates
    in_force: str
    activity: list[BusyBody]
    origins: list[OriginToday]


@get("/status")
async def status(request: AnyRequest) -> StatusBody:
    """Return the house at a glance."""
    services = house(request)
    busy = services.spending.activity()
    glance: Glance = request.app.state.glance
    held, disk = await asyncio.gather(glance.of(lists.holdings), glance.disk())
    lines = await services.store.read(lists.lines, tuple(one.video for one in busy)) if busy else ()
    titles = {line.id: line.title for line in lines}
    health = services.health()
    return StatusBody(
        version=health.version,
        started_at=health.started_at,
        ok=health.ok,
        troubles=list(health.troubles),
        holdings=HoldingsBody(
            {state.value: n for state, n in held.by_state.items()}, held.done, held.size, held.videos, held.channels
        ),
        disk=disk,
        rates=services.spending.rates(),
        in_force=week.said(services.spending.ration()),
        activity=[BusyBody(titles.get(one.video, ""), one) for one in busy],
        origins=[origin for origin in services.following.origins() if _asked(origin)],
    )


def _asked(origin: OriginToday) -> bool:
    """Tell whether an origin counts: it has answered before, and was asked today or is left alone for now.

    An address that never answered was mistyped or refused, and was told so when it was given.
    """
    return origin.last_ok is not None and bool(origin.requests or origin.bytes_taken or origin.quiet_until)


routes = [status]
