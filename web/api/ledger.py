"""``/ledger``: bytes given and taken, by day or by rendition."""

from datetime import date, timedelta
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from appliance.domain.traffic import TrafficClass
from appliance.domain.units import VideoId
from appliance.errors import BadInput
from appliance.store import ledger, lists
from web.api.listing import Limit, Listing, Offset, cut
from web.context import AnyRequest, house
from web.services import Services

_LONGEST = timedelta(days=3660)
_MONTH = timedelta(days=29)


class Bytes(msgspec.Struct, frozen=True):
    up: int
    down: int


class LedgerLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A day's bytes, or a rendition's over all the days asked for; ``classes`` by who was at the other end."""

    up: int
    down: int
    classes: dict[str, Bytes]
    day: date | None = None
    video_id: str | None = None
    title: str | None = None
    rendition: str | None = None


Day = Annotated[str | None, QueryParameter(max_length=40, required=False, description="YYYY-MM-DD, UTC.")]


def _day(text: str | None, field: str, default: date) -> date:
    if not text:
        return default
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise BadInput("A day is written as YYYY-MM-DD.", field=field) from None


def _line(classes: dict[TrafficClass, tuple[int, int]]) -> LedgerLine:
    return LedgerLine(
        up=sum(up for up, _ in classes.values()),
        down=sum(down for _, down in classes.values()),
        classes={traffic.value: Bytes(up, down) for traffic, (up, down) in sorted(classes.items())},
    )


@get("/ledger")
async def read_ledger(
    request: AnyRequest,
    first: Annotated[str | None, QueryParameter(name="from", max_length=40, required=False)] = None,
    to: Day = None,
    by: Annotated[str | None, QueryParameter(max_length=20, required=False)] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Listing[LedgerLine]:
    """Read the ledger, both days included (the last 30 days where not named), ``by`` day or rendition."""
    services = house(request)
    today = services.clock.now().date()
    last = _day(to, "to", today)
    start = _day(first, "from", max(date.min + _MONTH, last) - _MONTH)
    if start > last:
        raise BadInput("The first day comes after the last.", field="from")
    if last - start > _LONGEST:
        raise BadInput("That is more than ten years.", field="from")
    if by not in (None, "", "day", "rendition"):
        raise BadInput("The ledger is read by day or by rendition.", field="by")
    await services.spending.flush()
    if by == "rendition":
        return await _by_rendition(services, start, last, limit, offset)
    days = await services.store.read(ledger.days, start, last)
    lines = [msgspec.structs.replace(_line(dict(days[day])), day=day) for day in sorted(days)]
    return cut(lines, limit, offset)


async def _by_rendition(services: Services, start: date, last: date, limit: int, offset: int) -> Listing[LedgerLine]:
    entries = await services.store.read(ledger.by_rendition, start, last, 20_000)
    groups: dict[tuple[VideoId, str], dict[TrafficClass, tuple[int, int]]] = {}
    for entry in entries:
        groups.setdefault((entry.video, entry.rendition), {})[entry.traffic] = (entry.up, entry.down)
    lines = [
        msgspec.structs.replace(_line(classes), video_id=video, rendition=rendition)
        for (video, rendition), classes in groups.items()
    ]
    lines.sort(key=lambda line: (-line.up, -line.down, line.video_id or "", line.rendition or ""))
    found = cut(lines, limit, offset)
    videos = tuple(VideoId(line.video_id) for line in found.items if line.video_id)
    titles = {line.id: line.title for line in await services.store.read(lists.lines, videos)}
    named = [msgspec.structs.replace(line, title=titles.get(VideoId(line.video_id or ""), "")) for line in found.items]
    return Listing(found.total, named)


routes = [read_ledger]
