"""Budgets of transfer as a page shows them: how much is used, where it leads, and the month as a plot.

This module adds hours up and finds the words.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import accumulate

from appliance.seed.forecast import Forecast, forecast, whole
from appliance.seed.schedule import Span, Way
from web.services import Ration
from web.views import words

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Meter:
    """One budget: a bar with what it means. ``tone`` is empty, warn or bad."""

    key: str
    name: str
    used: str
    whole: str
    share: float
    pace: str
    tone: str


@dataclass(frozen=True, slots=True)
class Pace:
    """``plot`` is JSON: the month's hours as Unix seconds, bytes so far, then the pace; empty without a budget."""

    meters: tuple[Meter, ...]
    sentence: str
    plot: str


def ahead(ration: Ration, span: Span, way: Way) -> Forecast | None:
    """Return where the use of one way leads in the present period."""
    at = int(way is Way.DOWNLOAD)
    hours = {hour: counts[at] for hour, counts in ration.hours.items()}
    quiet_until = ration.standing.until if ration.standing.quiet else None
    return forecast(ration.schedule, span, way, hours, ration.used, ration.now, quiet_until)


def pace(ration: Ration) -> Pace:
    """Return every budget there is, and the month's plot where it has one."""
    found, plotted = [], []
    for span in (Span.MONTH, Span.DAY):
        for way in Way:
            budget = whole(ration.schedule, span, way)
            if budget is None:
                continue
            coming = ahead(ration, span, way)
            found.append(_meter(ration, span, way, budget, coming))
            if span is Span.MONTH:
                plotted.append(_line(ration, way, budget, coming))
    return Pace(tuple(found), " ".join(f"{m.name}: {m.pace}" for m in found), json.dumps(plotted) if plotted else "")


def _meter(ration: Ration, span: Span, way: Way, budget: int, coming: Forecast | None) -> Meter:
    used = ration.used[span][way is Way.DOWNLOAD]
    share = words.share(used, budget) if budget else 100.0
    end = ration.schedule.period(span, ration.now).end
    early = coming is not None and coming.full_at is not None and coming.full_at < end
    return Meter(
        key=f"{span.value}-{way.value}",
        name=f"{'Today' if span is Span.DAY else 'This month'}, {'given' if way is Way.UPLOAD else 'taken'}",
        used=words.size(used),
        whole=words.size(budget),
        share=share,
        pace=_words(ration, used, budget, end, coming),
        tone="bad" if used >= budget else "warn" if early else "",
    )


def _words(ration: Ration, used: int, budget: int, end: datetime, coming: Forecast | None) -> str:
    zone = ration.schedule.zone
    if used >= budget:
        return f"Used up. It begins anew {_when(end, zone, ration.now)}."
    if coming is None:
        return f"It begins anew {_when(end, zone, ration.now)}."
    if coming.full_at is not None and coming.full_at < end:
        days = (end - coming.full_at) // _DAY
        early = f", {words.many(days, 'day')} early" if days else ""
        return f"At this pace used up {_when(coming.full_at, zone, ration.now)}{early}."
    return f"At this pace {words.size(coming.expected)} of {words.size(budget)} by {_at(end, zone, ration.now)}."


def _at(moment: datetime, zone: tzinfo, now: datetime) -> str:
    local, today = moment.astimezone(zone), now.astimezone(zone)
    if local.date() - today.date() == _DAY and local.hour == 0:
        return "midnight"
    return f"{local:%H:%M}" if local.date() == today.date() else f"{local.day} {local:%B}"


def _when(moment: datetime, zone: tzinfo, now: datetime) -> str:
    text = _at(moment, zone, now)
    return f"at {text}" if text == "midnight" or ":" in text else f"on {text}"


def _line(ration: Ration, way: Way, budget: int, coming: Forecast | None) -> dict[str, object]:
    at = int(way is Way.DOWNLOAD)
    period = ration.schedule.period(Span.MONTH, ration.now)
    hours = [(hour, counts[at]) for hour, counts in sorted(ration.hours.items()) if period.start <= hour <= ration.now]
    sums = accumulate(count for _, count in hours)
    solid = [(period.start, 0), *((hour, total) for (hour, _), total in zip(hours, sums, strict=True))]
    solid.append((ration.now, ration.used[Span.MONTH][at]))
    dashed = [] if coming is None else list(coming.line)
    return {
        "name": "Given" if way is Way.UPLOAD else "Taken",
        "key": way.value,
        "budget": budget,
        "from": round(period.start.timestamp()),
        "to": round(period.end.timestamp()),
        "used": _thin(solid),
        "pace": _thin(dashed),
    }


_POINTS = 120


def _thin(points: list[tuple[datetime, int]]) -> list[tuple[int, int]]:
    """Return some of the points, the last one among them, as (Unix seconds, bytes)."""
    step = max(1, len(points) // _POINTS)
    chosen = points[::step] if not points or (len(points) - 1) % step == 0 else [*points[::step], points[-1]]
    return [(round(at.timestamp()), count) for at, count in chosen]
