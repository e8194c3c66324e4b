"""``/bandwidth``: what may cross the uplink, and what does now."""

from typing import Annotated

import msgspec
from litestar import get, put
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from web.context import AnyRequest, house
from web.services import Rates, Services, Source

Limit = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_FIELDS = ("upload", "download", "lan_upload", "lan_download")


class BandwidthBody(msgspec.Struct, frozen=True):
    """Limits in bytes/s: null is unlimited, 0 stops. ``locked`` names those that the environment or a file fixes."""

    upload: int | None
    download: int | None
    lan_upload: int | None
    lan_download: int | None
    locked: list[str]
    now: Rates


class NewLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is not named stays as it is."""

    upload: Limit | UnsetType | None = UNSET
    download: Limit | UnsetType | None = UNSET
    lan_upload: Limit | UnsetType | None = UNSET
    lan_download: Limit | UnsetType | None = UNSET


def _body(services: Services) -> BandwidthBody:
    limits = services.settings.current.bandwidth
    fixed = (Source.FILE, Source.ENVIRONMENT)
    locked = [
        option.path.removeprefix("bandwidth.")
        for option in services.settings.options()
        if option.path.startswith("bandwidth.") and option.source in fixed
    ]
    return BandwidthBody(
        limits.upload, limits.download, limits.lan_upload, limits.lan_download, locked, services.spending.rates()
    )


@get("/bandwidth")
async def bandwidth(request: AnyRequest) -> BandwidthBody:
    """Return the limits, and the present second."""
    return _body(house(request))


@put("/bandwidth")
async def set_bandwidth(request: AnyRequest, data: JSONBody[NewLimits]) -> BandwidthBody:
    """Set limits; they are in force within 2 s."""
    given = {name: getattr(data, name) for name in _FIELDS}
    changes = {f"bandwidth.{name}": value for name, value in given.items() if value is not UNSET}
    if changes:
        await house(request).settings.save(changes)
    return _body(house(request))


routes = [bandwidth, set_bandwidth]
