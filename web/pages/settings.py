"""Settings, tokens, who is logged in, the password."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import PathParameter

from appliance.errors import BadInput
from appliance.store import logins
from web.access.decide import Scope
from web.pages.show import Asked, fields, gate, go, missing, services, show, source, visit
from web.views import settings as views

Ident = Annotated[str, PathParameter(max_length=64)]


@get("/settings", include_in_schema=False)
async def settings(request: Asked) -> Response[str]:
    return await _page(request)


@post("/settings", include_in_schema=False)
async def save(request: Asked) -> Response[str]:
    """Save what was changed; what environment or file fixes is not even looked at."""
    house, sent = services(request), await fields(request)
    errors: dict[str, str] = {}
    changes: dict[str, Any] = {}
    for option in house.settings.options():
        fixed = option.locked_by is not None or option.secret
        switch = isinstance(option.default, bool)
        if fixed or (option.path not in sent and not (switch and f"has.{option.path}" in sent)):
            continue
        if views.untouched(option, sent.get(option.path, "")):
            continue
        try:
            value = views.parse(option, sent.get(option.path, ""))
        except ValueError as error:
            errors[option.path] = str(error)
            continue
        if value != option.value:
            changes[option.path] = value
    if not errors and changes:
        try:
            await house.settings.save(changes)
        except BadInput as error:
            said = {o.path: views.refused(o, error) for o in house.settings.options() if o.path == error.field}
            errors[error.field] = said.get(error.field, error.message)
    if errors:
        return await _page(request, errors=errors, typed=sent, status=422)
    return go(request, "settings", "saved")


@post("/settings/tokens", include_in_schema=False, status_code=200)
async def make_token(request: Asked) -> Response[str]:
    """Make a token and show it, this once: its page is the answer itself, never kept by the browser."""
    sent = await fields(request)
    scope = sent.get("scope", "")
    try:
        if scope not in list(Scope):
            raise BadInput("Choose what the token may do.")
        _, secret = await gate(request).make_token(sent.get("name", ""), Scope(scope))
    except BadInput as error:
        return await _page(request, error=f"{error.message} {error.hint}".strip(), status=422)
    return await _page(request, new_token=secret)


@post("/settings/tokens/{ident:str}/revoke", include_in_schema=False)
async def revoke(request: Asked, ident: Ident) -> Response[str]:
    await services(request).store.promise(logins.drop_token, ident)
    return go(request, "settings", "revoked")


@post("/settings/sessions/{ident:str}/end", include_in_schema=False)
async def end_session(request: Asked, ident: Ident) -> Response[str]:
    """Log another browser out; ``ident`` is how its login's digest begins."""
    house = services(request)
    every = await house.store.read(logins.logins, house.clock.now())
    found = next((login for login in every if login.digest.startswith(ident) and len(ident) >= 16), None)
    if found is None:
        return await missing(request, "No such login", "It has ended already.")
    await gate(request).log_out(found)
    return go(request, "settings", "ended")


@post("/settings/password", include_in_schema=False)
async def change_password(request: Asked) -> Response[str]:
    sent = await fields(request)
    try:
        await gate(request).change_password(
            sent.get("present", ""), sent.get("new", ""), visit(request).login, source(request)
        )
    except BadInput as error:
        return await _page(request, error=f"{error.message} {error.hint}".strip(), status=422)
    return go(request, "settings", "password")


async def _page(
    request: Asked,
    *,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    error: str = "",
    new_token: str = "",
    status: int = 200,
) -> Response[str]:
    house = services(request)
    now = house.clock.now()
    tokens, every = await asyncio.gather(house.store.read(logins.tokens), house.store.read(logins.logins, now))
    ours = visit(request).login
    view = {
        "groups": views.groups(house.settings.options(), errors, typed),
        "error": error or ("Nothing was saved: some settings need another look." if errors else ""),
        "tokens": views.token_rows(tokens, now),
        "new_token": new_token,
        "sessions": views.session_rows(every, ours.digest if ours else "", now),
    }
    return await show(request, "settings", view, here="settings", status=status)


routes = [settings, save, make_token, revoke, end_session, change_password]
