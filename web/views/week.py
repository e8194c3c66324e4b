"""The week of limits as a grid, and what of it is in force now. This module builds both for the page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from appliance.domain.traffic import Profile, Week
from appliance.seed.schedule import NAMES, Schedule, Way, sentence, told
from web.services import Option, Ration
from web.views import settings, words

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
RANGES = {
    "all": ("Every day", range(7)),
    "weekdays": ("Monday to Friday", range(5)),
    "weekend": ("Saturday and Sunday", range(5, 7)),
    **{str(n): (name, range(n, n + 1)) for n, name in enumerate(DAYS)},
}
"""Days that are painted together, by the word in the form."""


@dataclass(frozen=True, slots=True)
class Cell:
    index: int
    profile: str
    label: str
    now: bool


@dataclass(frozen=True, slots=True)
class Brush:
    key: str
    name: str
    limits: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Grid:
    """``days`` are (name, cells); ``text`` is the week as the setting has it, all letters written."""

    days: tuple[tuple[str, tuple[Cell, ...]], ...]
    brushes: tuple[Brush, ...]
    zone: str
    text: str
    locked: str


@dataclass(frozen=True, slots=True)
class InForce:
    told: str
    up: str
    down: str
    quiet: bool
    profile: str
    yields: str


def in_force(ration: Ration) -> InForce:
    standing = ration.standing
    return InForce(
        told=told(standing, ration.schedule, ration.now),
        up=words.limit(standing.budget.upload),
        down=words.limit(standing.budget.download),
        quiet=standing.quiet,
        profile=standing.profile.value,
        yields=yields(ration),
    )


def said(ration: Ration) -> str:
    """Return what is in force, until when, and what is held back beyond that, as sentences."""
    return f"{told(ration.standing, ration.schedule, ration.now)} {yields(ration)}".strip()


def none_down(ration: Ration) -> str:
    """Return why nothing may come from the internet now and until when, as a sentence; empty where something may."""
    standing = ration.standing
    if standing.budget.download != 0:
        return ""
    spent = tuple(one for one in standing.spent if one.way is Way.DOWNLOAD)
    if spent:
        return " ".join(sentence(one, ration.schedule.zone, ration.now) for one in spent)
    return f"Nothing may come from the internet: {told(replace(standing, spent=()), ration.schedule, ration.now)}"


_NOTICED = 0.01
"""Seconds of waiting from which on a number is said: less is what any way to the internet varies by."""


def yields(ration: Ration) -> str:
    """Return one sentence on what the house holds back for the household; empty where that is nothing, or where the
    limit in force is lower."""
    held, limit = ration.yielding, ration.standing.budget.upload
    if held.cap is None or (limit is not None and limit <= held.cap):
        return ""
    if held.why == "listening":
        return "Nearly still for a few seconds, to learn how long packets take while nothing is sent."
    begun = f"Holding back to {words.rate(held.cap)}"
    if held.why == "player":
        return f"{begun} while a screen in the house plays."
    if held.wait is None or held.wait < _NOTICED:
        return f"{begun}, and a little more each second: packets waited in your router."
    return f"{begun}: packets wait {held.wait * 1000:.0f} ms in your router."


def grid(ration: Ration, week: Week, options: Iterable[Option], brush: str = "") -> Grid:
    """Return the week to be painted with ``brush``."""
    local = ration.now.astimezone(ration.schedule.zone)
    present = local.weekday() * 24 + local.hour
    chosen = Profile(brush) if brush in set(Profile) else Profile.POLITE
    option = next((o for o in options if o.path == "bandwidth.week"), None)
    cells = tuple(_cell(week, index, present) for index in range(7 * 24))
    return Grid(
        days=tuple((name, cells[day * 24 : day * 24 + 24]) for day, name in enumerate(DAYS)),
        brushes=tuple(Brush(p.value, NAMES[p], _limits(ration.schedule, p), p is chosen) for p in Profile),
        zone=getattr(ration.schedule.zone, "key", None) or f"{local:%Z}",
        text=" ".join("".join(p.value[0] for p in week.hours[n : n + 24]) for n in range(0, 168, 24)),
        locked=settings.source(option) if option is not None and option.locked_by is not None else "",
    )


def _cell(week: Week, index: int, present: int) -> Cell:
    profile = week.hours[index]
    label = f"{DAYS[index // 24]} {index % 24:02}:00, {NAMES[profile].lower()}"
    return Cell(index, profile.value, label, index == present)


def _limits(schedule: Schedule, profile: Profile) -> str:
    if profile is Profile.OFF:
        return "nothing moves"
    speeds = schedule.speeds(profile)
    if speeds.up is None and speeds.down is None:
        return "unlimited"
    return f"↑\u00a0{words.limit(speeds.up)}, ↓\u00a0{words.limit(speeds.down)}"


def painted(week: Week, sent: Mapping[str, str]) -> Week:
    """Return the week as a form paints it: one ``cell``, or the hours ``from`` to ``to`` of ``days``; ``brush`` names
    the profile. Raises ValueError for what no form of ours sends."""
    profile = Profile(sent.get("brush", ""))
    if "cell" in sent:
        hours = {int(sent["cell"])}
    else:
        first, end = int(sent.get("from", "")), int(sent.get("to", ""))
        if not (0 <= first < 24 and 0 < end <= 24):
            raise ValueError("hours are 0 to 24")
        at = range(first, end) if first < end else [*range(first, 24), *range(end)]
        hours = {day * 24 + hour for day in RANGES[sent.get("days", "")][1] for hour in at}
    return week.painted(frozenset(hours), profile)
