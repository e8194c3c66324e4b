"""Bandwidth: what is in force and why, the week, limits and budgets, and what crossed the wire in thirty days."""

from collections.abc import Mapping
from datetime import timedelta

from litestar import Response, get, post

from appliance.domain.traffic import week_of
from appliance.errors import BadInput
from appliance.store import ledger
from web.pages.show import Asked, block, fields, go, services, show
from web.views import bandwidth as form
from web.views import pace, traffic, week
from web.views.settings import refused

QUIET = timedelta(hours=2)


@get("/bandwidth", include_in_schema=False)
async def bandwidth(request: Asked) -> Response[str]:
    return await _page(request)


@post("/bandwidth", include_in_schema=False)
async def limit(request: Asked) -> Response[str]:
    """Set limits and budgets; what environment or file fixes is not even looked at."""
    house, sent = services(request), await fields(request)
    errors: dict[str, str] = {}
    changes: dict[str, int | str | None] = {}
    for shown in (f for group in form.fields(house.settings.options()) for f in group.fields):
        text = form.sent(shown, sent)
        if text is not None and not shown.locked and text.strip() != shown.value:
            try:
                changes[f"bandwidth.{shown.key}"] = form.parse(shown.key, text)
            except ValueError as error:
                errors[shown.key] = str(error)
    if not errors:
        try:
            await house.settings.save(changes)
        except BadInput as error:
            said = {o.path: refused(o, error) for o in house.settings.options() if o.path == error.field}
            errors[error.field.removeprefix("bandwidth.")] = said.get(error.field, error.message)
    if errors:
        return await _page(request, errors, sent, status=422)
    return go(request, "bandwidth", "limits")


@post("/bandwidth/week", include_in_schema=False)
async def paint(request: Asked) -> Response[str]:
    """Paint the week: the whole of it at once (a script sends that), one hour, or the same hours of several days."""
    house, sent = services(request), await fields(request)
    present = week_of(house.settings.current.bandwidth.week)
    try:
        painted = week_of(sent["week"]) if "week" in sent else week.painted(present, sent)
        await house.settings.save({"bandwidth.week": painted.text()})
    except (BadInput, ValueError, LookupError) as error:
        said = error.message if isinstance(error, BadInput) else "That is no hour of the week."
        return await _page(request, {"week": said}, status=422)
    if block(request):
        return await _page(request)
    return go(request, f"bandwidth?brush={sent.get('brush', '')}#week") if "brush" in sent else go(request, "bandwidth")


@post("/bandwidth/quiet", include_in_schema=False)
async def quiet(request: Asked) -> Response[str]:
    """Be quiet for two hours, or no longer."""
    house, sent = services(request), await fields(request)
    if "end" in sent:
        await house.spending.end_quiet()
    else:
        await house.spending.be_quiet(QUIET)
    return go(request, "bandwidth")


async def _page(
    request: Asked,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response[str]:
    house = services(request)
    ration, options = house.spending.ration(), house.settings.options()
    present = week_of(house.settings.current.bandwidth.week)
    view = {
        "standing": week.in_force(ration),
        "grid": week.grid(ration, present, options, request.query_params.get("brush", "")),
        "ranges": tuple((key, name) for key, (name, _) in week.RANGES.items()),
        "groups": form.fields(options, errors, typed),
        "pace": pace.pace(ration),
        "week_error": (errors or {}).get("week", ""),
    }
    if not block(request):
        today = house.clock.now().date()
        await house.spending.flush()
        days = await house.store.read(ledger.days, today - (traffic.SPAN - 1) * traffic.ONE_DAY, today)
        view["history"] = traffic.history(days, today)
    return await show(request, "bandwidth", view, here="bandwidth", status=status)


routes = [bandwidth, limit, paint, quiet]
