"""Screens: which of them asked for this box and how far they came, what is in their way, and where the box is."""

from typing import Any

from litestar import Response, get, post

from appliance.domain.screen import Sighting
from appliance.store import lists
from web.context import base_address
from web.pages.show import Asked, block, services, show, visit
from web.services import Services
from web.views import doctor, words
from web.views import lan as views


@get("/lan", include_in_schema=False)
async def screens(request: Asked) -> Response[str]:
    """The examination takes seconds, so a browser with scripts asks for that part by itself."""
    view = await _view(request)
    if block(request) == "health" or "examine" in request.query_params:
        findings = await services(request).presence.examine()
        view |= {"findings": doctor.told(findings), "summary": doctor.summary(findings)}
    return await show(request, "lan", view, here="lan")


@post("/lan/look", include_in_schema=False, status_code=200)
async def look(request: Asked) -> Response[str]:
    presence = services(request).presence
    found = views.found(await presence.look(), presence.sightings())
    return await show(request, "lan", await _view(request) | {"found": found, "looked": True}, here="lan")


async def _view(request: Asked) -> dict[str, Any]:
    house = services(request)
    address = base_address(house, visit(request))
    name = house.presence.local_name
    seen, more = views.shown(house.presence.sightings())
    return {
        "screens": await _screens(house, seen),
        "more": words.many(more, "other") if more else "",
        "address": address,
        "name": _named(address, name) if name else "",
        "qr": views.qr(address),
        "findings": None,
        "summary": "",
        "found": (),
        "looked": False,
        "dlna": house.settings.current.lan.dlna,
    }


async def _screens(house: Services, seen: tuple[Sighting, ...]) -> tuple[views.Screen, ...]:
    videos = tuple(dict.fromkeys(f.video for one in seen for f in one.fetched))
    titles = {line.id: line.title for line in await house.store.read(lists.lines, videos)} if videos else {}
    return views.screens(seen, titles, house.clock.now())


def _named(address: str, name: str) -> str:
    """Return the address with the ``.local`` name instead of the bare one."""
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    _, colon, port = host.rpartition("]")[2].partition(":")
    return f"{scheme}://{name}{colon}{port}{slash}{path}"


routes = [screens, look]
