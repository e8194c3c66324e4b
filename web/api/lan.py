"""``/lan``: the household's network as the box sees it: where we are, who was seen, and what the doctor found."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from litestar import get, post

from appliance.domain.screen import family
from appliance.store import lists
from web.context import AnyRequest, house
from web.services import Services
from web.views import doctor as views


class FindingBody(msgspec.Struct, frozen=True):
    """One finding: its stable ``code``, ``severity`` ok, hint or trouble, and its sentences;
    ``command`` is what a cure says to type, where it does."""

    code: str
    severity: str
    interface: str
    text: str
    cure: str
    command: str
    facts: Mapping[str, str | int]


class DeedBody(msgspec.Struct, frozen=True):
    act: str
    count: int
    last: datetime


class FetchedBody(msgspec.Struct, frozen=True):
    """``title`` is empty for a video that is gone; ``size`` in bytes."""

    video: str
    title: str
    size: int
    last: datetime


class ScreenBody(msgspec.Struct, frozen=True):
    """A screen that was seen since the start. ``guess`` is who it may be, ``agents`` what it calls itself."""

    address: str
    guess: str
    agents: tuple[str, ...]
    first: datetime
    last: datetime
    farthest: str
    deeds: list[DeedBody]
    fetched: list[FetchedBody]


class LanBody(msgspec.Struct, frozen=True):
    """``address`` is the dashboard's on this network, ``name`` its ``.local`` name where it has one."""

    address: str
    name: str | None
    summary: str
    findings: list[FindingBody]
    screens: list[ScreenBody]


class RendererBody(msgspec.Struct, frozen=True):
    """A screen that answered a search; every text is its own."""

    address: str
    name: str
    model: str
    server: str


class LookBody(msgspec.Struct, frozen=True):
    total: int
    items: list[RendererBody]


@get("/lan")
async def lan(request: AnyRequest) -> LanBody:
    """Examine the network (some seconds), and return that with the screens that were seen."""
    services = house(request)
    findings = await services.presence.examine()
    told = views.told(findings)
    return LanBody(
        address=services.lan_address(),
        name=services.presence.local_name,
        summary=views.summary(findings),
        findings=[
            FindingBody(t.code, t.severity, t.where, t.text, t.cure, t.command, f.facts)
            for f, t in zip(findings, told, strict=True)
        ],
        screens=await _screens(services),
    )


@post("/lan/look", status_code=200)
async def look(request: AnyRequest) -> LookBody:
    """Search for screens that can be sent something to play (some seconds), and return who answers."""
    found = await house(request).presence.look()
    return LookBody(len(found), [RendererBody(r.address, r.name, r.model, r.server) for r in found])


async def _screens(services: Services) -> list[ScreenBody]:
    seen = services.presence.sightings()
    videos = tuple(dict.fromkeys(f.video for one in seen for f in one.fetched))
    titles = {line.id: line.title for line in await services.store.read(lists.lines, videos)} if videos else {}
    return [
        ScreenBody(
            address=one.address,
            guess=family(one.agents),
            agents=one.agents,
            first=one.first,
            last=one.last,
            farthest=one.farthest.value,
            deeds=[DeedBody(act.value, deed.count, deed.last) for act, deed in one.deeds],
            fetched=[FetchedBody(f.video, titles.get(f.video, ""), f.size, f.last) for f in one.fetched],
        )
        for one in seen
    ]


routes = [lan, look]
