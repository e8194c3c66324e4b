"""Bandwidth: limits, and what crossed the wire in thirty days."""

from collections.abc import Mapping

from litestar import Response, get, post

from appliance.errors import BadInput
from appliance.store import ledger
from web.pages.show import Asked, fields, go, services, show
from web.views import settings, traffic


@get("/bandwidth", include_in_schema=False)
async def bandwidth(request: Asked) -> Response[str]:
    return await _page(request)


@post("/bandwidth", include_in_schema=False)
async def limit(request: Asked) -> Response[str]:
    """Set the limits; what environment or file fixes is not even looked at."""
    house, sent = services(request), await fields(request)
    errors: dict[str, str] = {}
    changes: dict[str, int | None] = {}
    for shown in settings.limits(house.settings.options()):
        if shown.key in sent and not shown.locked:
            try:
                changes[f"bandwidth.{shown.key}"] = settings.bytes_per_second(sent[shown.key])
            except ValueError as error:
                errors[shown.key] = str(error)
    if not errors:
        try:
            await house.settings.save(changes)
        except BadInput as error:
            errors[error.field.removeprefix("bandwidth.")] = error.message
    if errors:
        return await _page(request, errors, sent, status=422)
    return go(request, "bandwidth", "limits")


async def _page(
    request: Asked,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response[str]:
    house = services(request)
    today = house.clock.now().date()
    await house.spending.flush()
    days = await house.store.read(ledger.days, today - (traffic.SPAN - 1) * traffic.ONE_DAY, today)
    view = {
        "limits": settings.limits(house.settings.options(), errors, typed),
        "history": traffic.history(days, today),
    }
    return await show(request, "bandwidth", view, here="bandwidth", status=status)


routes = [bandwidth, limit]
