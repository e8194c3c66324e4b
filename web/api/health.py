"""``/health``: ok or degraded, and why. It needs no login."""

from datetime import datetime

import msgspec
from litestar import get

from web.access.areas import API
from web.context import AnyRequest, house


class HealthBody(msgspec.Struct, frozen=True):
    """``status`` is ok or degraded; a degraded box works, and ``troubles`` says in plain words what does not."""

    status: str
    troubles: list[str]
    version: str
    started_at: datetime


@get(["/health", f"{API}/health"], security=[])
async def health(request: AnyRequest) -> HealthBody:
    """Return how the house is. 200 as long as it answers at all."""
    found = house(request).health()
    return HealthBody("ok" if found.ok else "degraded", list(found.troubles), found.version, found.started_at)


routes = [health]
