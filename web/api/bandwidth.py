"""``/bandwidth``: what may cross the uplink, when and how much in all, and what does now."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from appliance.domain.traffic import Profile
from appliance.seed.schedule import Span, Way, left, told
from web.context import AnyRequest, house
from web.services import Rates, Ration, Services, Source, YieldsNow
from web.views import pace

Limit = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_LIMIT = Limit | UnsetType | None


class Spent(msgspec.Struct, frozen=True):
    """Bytes that crossed the uplink since ``start``. ``left`` is null without a budget; ``expected`` is what they will
    come to at ``end`` at this pace, null while nobody knows."""

    up: int
    down: int
    left_up: int | None
    left_down: int | None
    expected_up: int | None
    expected_down: int | None
    start: datetime
    end: datetime


class InForce(msgspec.Struct, frozen=True):
    """The internet limits of this moment in bytes/s, and why: ``profile`` holds until ``until`` (null: always)."""

    upload: int | None
    download: int | None
    profile: Profile
    until: datetime | None
    quiet_until: datetime | None
    told: str
    used_up: list[str]


class BandwidthBody(msgspec.Struct, frozen=True):
    """Limits in bytes/s: null is unlimited, 0 stops; budgets in bytes, null is none.

    ``upload`` and ``download`` hold in full hours of the ``week``: seven words of 24 letters in local time, Monday
    first, each f(ull), p(olite), n(ight) or o(ff); empty: always full. ``locked`` names what the environment or a file
    fixes.
    """

    upload: int | None
    download: int | None
    lan_upload: int | None
    lan_download: int | None
    week: str
    timezone: str
    polite_upload: int | None
    polite_download: int | None
    night_upload: int | None
    night_download: int | None
    daily_upload: int | None
    daily_download: int | None
    monthly_upload: int | None
    monthly_download: int | None
    billing_day: int
    yield_to_players: bool
    yield_to_household: bool
    probe_host: str
    locked: list[str]
    in_force: InForce
    yielding: YieldsNow
    day: Spent
    month: Spent
    now: Rates


class NewLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is not named stays as it is."""

    upload: _LIMIT = UNSET
    download: _LIMIT = UNSET
    lan_upload: _LIMIT = UNSET
    lan_download: _LIMIT = UNSET
    week: Annotated[str, Meta(max_length=400)] | UnsetType = UNSET
    timezone: Annotated[str, Meta(max_length=60)] | UnsetType = UNSET
    polite_upload: _LIMIT = UNSET
    polite_download: _LIMIT = UNSET
    night_upload: _LIMIT = UNSET
    night_download: _LIMIT = UNSET
    daily_upload: _LIMIT = UNSET
    daily_download: _LIMIT = UNSET
    monthly_upload: _LIMIT = UNSET
    monthly_download: _LIMIT = UNSET
    billing_day: Annotated[int, Meta(ge=1, le=31)] | UnsetType = UNSET
    yield_to_players: bool | UnsetType = UNSET
    yield_to_household: bool | UnsetType = UNSET
    probe_host: Annotated[str, Meta(max_length=253)] | UnsetType = UNSET


class NewQuiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hours: Annotated[float, Meta(ge=0.1, le=24)] = 2


def _body(services: Services) -> BandwidthBody:
    fixed = (Source.FILE, Source.ENVIRONMENT)
    locked = [
        option.path.removeprefix("bandwidth.")
        for option in services.settings.options()
        if option.path.startswith("bandwidth.") and option.source in fixed
    ]
    limits = services.settings.current.bandwidth
    ration = services.spending.ration()
    return BandwidthBody(
        **{name: getattr(limits, name) for name in NewLimits.__struct_fields__},
        locked=locked,
        in_force=_in_force(ration),
        yielding=ration.yielding,
        day=_spent(ration, Span.DAY),
        month=_spent(ration, Span.MONTH),
        now=services.spending.rates(),
    )


def _in_force(ration: Ration) -> InForce:
    standing = ration.standing
    return InForce(
        upload=standing.budget.upload,
        download=standing.budget.download,
        profile=standing.profile,
        until=standing.until,
        quiet_until=standing.until if standing.quiet else None,
        told=told(standing, ration.schedule, ration.now),
        used_up=[f"{'daily' if one.span is Span.DAY else 'monthly'}_{one.way.value}" for one in standing.spent],
    )


def _spent(ration: Ration, span: Span) -> Spent:
    period, (up, down) = ration.schedule.period(span, ration.now), ration.used[span]
    ahead = {way: pace.ahead(ration, span, way) for way in Way}
    return Spent(
        up=up,
        down=down,
        left_up=left(ration.schedule, ration.used, Way.UPLOAD).get(span),
        left_down=left(ration.schedule, ration.used, Way.DOWNLOAD).get(span),
        expected_up=None if (found := ahead[Way.UPLOAD]) is None else found.expected,
        expected_down=None if (found := ahead[Way.DOWNLOAD]) is None else found.expected,
        start=period.start,
        end=period.end,
    )


@get("/bandwidth")
async def bandwidth(request: AnyRequest) -> BandwidthBody:
    """Return the limits, what is in force and why, what was spent, and the present second."""
    return _body(house(request))


@put("/bandwidth")
async def set_bandwidth(request: AnyRequest, data: JSONBody[NewLimits]) -> BandwidthBody:
    """Set limits, the week and budgets; they are in force within 2 s."""
    given = {name: getattr(data, name) for name in NewLimits.__struct_fields__}
    changes = {f"bandwidth.{name}": value for name, value in given.items() if value is not UNSET}
    if changes:
        await house(request).settings.save(changes)
    return _body(house(request))


@post("/bandwidth/quiet", status_code=200)
async def be_quiet(request: AnyRequest, data: JSONBody[NewQuiet]) -> BandwidthBody:
    """Let nothing cross the uplink for some hours; screens on this network go on."""
    await house(request).spending.be_quiet(timedelta(hours=data.hours))
    return _body(house(request))


@delete("/bandwidth/quiet")
async def end_quiet(request: AnyRequest) -> None:
    """End the quiet, if there is one."""
    await house(request).spending.end_quiet()


routes = [bandwidth, set_bandwidth, be_quiet, end_quiet]
