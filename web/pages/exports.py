"""Exports: a channel as a folder that plays without Seedkeep."""

import asyncio

from litestar import Response, get, post

from appliance.domain.units import ChannelId
from appliance.errors import BadInput
from appliance.store import channels
from web.pages.rules import named
from web.pages.show import Asked, fields, go, services, show
from web.views import exports as views


@get("/exports", include_in_schema=False)
async def exports(request: Asked) -> Response[str]:
    return await _page(request)


@post("/exports", include_in_schema=False)
async def export(request: Asked) -> Response[str]:
    sent = await fields(request)
    try:
        await services(request).exporting.begin(ChannelId(sent.get("channel", "")[:64]), sent.get("folder", "").strip())
    except BadInput as error:
        return await _page(request, sent, f"{error.message} {error.hint}".strip(), error.field)
    return go(request, "exports", "exporting")


async def _page(request: Asked, sent: dict[str, str] | None = None, error: str = "", field: str = "") -> Response[str]:
    house, typed = services(request), sent or {}
    titles, counts = await asyncio.gather(named(house), house.store.read(channels.counts))
    held = [(ident, title, counts[ident].held) for ident, title in titles.items() if ident in counts]
    asked = typed.get("channel", request.query_params.get("channel", ""))
    found = house.exporting.exports()
    view = {
        "rows": views.rows(found, house.clock.now()),
        "busy": views.busy(found),
        "channels": sorted(((i, t, n, i == asked) for i, t, n in held if n), key=lambda one: one[1].casefold()),
        "folder": typed.get("folder", "")[:200],
        "error": error if field != "folder" else "",
        "folder_error": error if field == "folder" else "",
    }
    return await show(request, "exports", view, here="channels", status=422 if error else 200)


routes = [exports, export]
