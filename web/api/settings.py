"""``/settings``: every option, its value and where that came from. Only the owner sees them."""

from typing import Any

import msgspec
from litestar import get, patch
from litestar.params import JSONBody

from appliance.errors import BadInput
from web.api.listing import Listing
from web.context import AnyRequest, house
from web.services import Option, Services

_MOST_CHANGES = 100


class OptionBody(msgspec.Struct, frozen=True):
    """One option. ``locked_by`` names the variable or file that fixes it; a secret's value is never told."""

    path: str
    value: Any
    default: Any
    kind: str
    description: str
    source: str
    locked_by: str | None
    needs_restart: bool
    secret: bool
    choices: list[str]
    least: float | None
    most: float | None


def _body(option: Option) -> OptionBody:
    return OptionBody(
        path=option.path,
        value=None if option.secret else option.value,
        default=None if option.secret else option.default,
        kind=option.kind,
        description=option.description,
        source=option.source.value,
        locked_by=option.locked_by,
        needs_restart=option.needs_restart,
        secret=option.secret,
        choices=list(option.choices),
        least=option.least,
        most=option.most,
    )


def _every(services: Services) -> Listing[OptionBody]:
    options = [_body(option) for option in services.settings.options()]
    return Listing(len(options), options)


@get("/settings")
async def settings(request: AnyRequest) -> Listing[OptionBody]:
    """List every option."""
    return _every(house(request))


@patch("/settings")
async def change_settings(request: AnyRequest, data: JSONBody[dict[str, Any]]) -> Listing[OptionBody]:
    """Change options: an object of paths (``web.port``) and values. All of them are taken, or none."""
    services = house(request)
    known = {option.path: option for option in services.settings.options()}
    if len(data) > _MOST_CHANGES:
        raise BadInput("Those are too many settings at once.")
    for path in data:
        if path not in known:
            raise BadInput(f"There is no setting {path[:80]}.", field=path[:80], hint="GET /settings lists them all.")
    if data:
        await services.settings.save(data)
    return _every(services)


routes = [settings, change_settings]
