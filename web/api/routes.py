"""Every handler of the API. This module lists the resources."""

from collections.abc import Iterator

from litestar import Router
from litestar.types import ControllerRouterHandler

from web.access.areas import API
from web.api import (
    bandwidth,
    channels,
    events,
    exports,
    health,
    lan,
    ledger,
    library,
    logins,
    pins,
    plan,
    rules,
    schema,
    scrub,
    settings,
    status,
    tokens,
    videos,
)

_RESOURCES = (
    bandwidth,
    channels,
    events,
    exports,
    lan,
    ledger,
    logins,
    pins,
    plan,
    rules,
    schema,
    scrub,
    settings,
    status,
    tokens,
    videos,
)


def resources() -> Iterator[ControllerRouterHandler]:
    """Yield the handlers of the API and of the addresses beside it that programs read."""
    yield Router(path=API, route_handlers=[handler for module in _RESOURCES for handler in module.routes])
    yield from health.routes
    yield from library.routes
