"""``/logins`` and ``/password``: who is logged in, and the word that lets them in. Only the owner sees them."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import delete, get, put
from litestar.params import JSONBody
from msgspec import Meta

from appliance.store import logins
from web.api.listing import Ident, Limit, Listing, Offset, cut
from web.context import AnyRequest, gate, house, visit
from web.problems import not_found

_SHOWN = 16
"""Digits of a session's digest that name it: enough to tell sessions apart, of no use to open one."""


class LoginBody(msgspec.Struct, frozen=True):
    """One logged-in browser; ``present`` is the one that asks."""

    id: str
    label: str
    created_at: datetime
    last_seen: datetime
    expires_at: datetime
    present: bool


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    present: Annotated[str, Meta(max_length=1000)]
    new: Annotated[str, Meta(max_length=1000)]


@get("/logins")
async def list_logins(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[LoginBody]:
    """List the logged-in browsers, the last seen first."""
    services, own = house(request), visit(request).login
    found = await services.store.read(logins.logins, services.clock.now())
    bodies = [
        LoginBody(
            id=one.digest[:_SHOWN],
            label=one.label,
            created_at=one.created_at,
            last_seen=one.last_seen,
            expires_at=one.expires_at,
            present=own is not None and own.digest == one.digest,
        )
        for one in found
    ]
    return cut(bodies, limit, offset)


@delete("/logins")
async def close_others(request: AnyRequest) -> None:
    """Log out every browser but the one that asks."""
    own = visit(request).login
    await house(request).store.promise(logins.close_all_logins, but="" if own is None else own.digest)


@delete("/logins/{ident:str}")
async def close_one(request: AnyRequest, ident: Ident) -> None:
    """Log out one browser."""
    services = house(request)
    for one in await services.store.read(logins.logins, services.clock.now()):
        if one.digest[:_SHOWN] == ident:
            await services.store.promise(logins.close_login, one.digest)
            return
    raise not_found("login")


@put("/password", status_code=204)
async def change_password(request: AnyRequest, data: JSONBody[NewPassword]) -> None:
    """Change the password, and log out every other browser."""
    asker = visit(request)
    await gate(request).change_password(data.present, data.new, asker.login, asker.source)


routes = [list_logins, close_others, close_one, change_password]
