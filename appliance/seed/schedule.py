"""What comes in force when: the week's grid, a quiet hour asked for, and what is left of the budgets of transfer, to
limits and the sentence that says why. This module is pure.

The week is local: an hour of the clock on the wall has the profile it was painted with, however long it lasts. Where
daylight saving skips an hour its profile is skipped, where it repeats one its profile stays.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from appliance.domain.traffic import Budget, Profile, Quota, Week
from appliance.domain.units import ByteCount, BytesPerSecond
from appliance.seed.period import Period, day_of, month_of

_HOUR, _SECOND = timedelta(hours=1), timedelta(seconds=1)
_AHEAD = timedelta(days=9)
"""A week that changes at all does so within eight days, even in the week of a changed clock."""
_STOP = 1 << 20
"""Bytes of a budget that are not begun any more: what is under way needs them."""
_NEAR = 1 << 30
"""Bytes before the end of a budget from which on the rate is held down, so that the end is met and not passed."""
_SECONDS_LEFT = 8
"""Near its end a budget lasts so many seconds more at any moment: counts come late by two or three."""
_DAYS_FETCHED_TOGETHER = 7


class Way(StrEnum):
    UPLOAD = "upload"
    DOWNLOAD = "download"


class Span(StrEnum):
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Speeds:
    """Internet limits of a profile in bytes/s; None is unlimited, 0 stops."""

    up: BytesPerSecond | None = None
    down: BytesPerSecond | None = None


STOPPED = Speeds(BytesPerSecond(0), BytesPerSecond(0))


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bytes that may cross the uplink in a period; None: as many as there are."""

    up: ByteCount | None = None
    down: ByteCount | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that the owner says of bandwidth. ``full`` holds the LAN's limits too, which no profile changes."""

    full: Budget = field(default_factory=Budget)
    week: Week = field(default_factory=Week)
    polite: Speeds = field(default_factory=Speeds)
    night: Speeds = field(default_factory=Speeds)
    zone: tzinfo = UTC
    allowances: Mapping[Span, Allowance] = field(default_factory=dict)
    billing_day: int = 1

    def speeds(self, profile: Profile) -> Speeds:
        match profile:
            case Profile.FULL:
                return Speeds(self.full.upload, self.full.download)
            case Profile.POLITE:
                return self.polite
            case Profile.NIGHT:
                return self.night
            case Profile.OFF:
                return STOPPED

    def period(self, span: Span, now: datetime) -> Period:
        """Return the day or the billing month, in local time, that ``now`` is in."""
        return day_of(self.zone, now) if span is Span.DAY else month_of(self.zone, self.billing_day, now)


Used = Mapping[Span, tuple[int, int]]
"""Bytes (up, down) that crossed the uplink in the present day and billing month."""


@dataclass(frozen=True, slots=True)
class Spent:
    """A budget that is used up, and when it begins anew."""

    way: Way
    span: Span
    until: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force. ``until`` is when the profile (or the quiet) ends; None: it stays."""

    budget: Budget
    profile: Profile
    until: datetime | None = None
    quiet: bool = False
    spent: tuple[Spent, ...] = ()


def profile_at(schedule: Schedule, now: datetime) -> Profile:
    """Return the profile of this instant."""
    local = now.astimezone(schedule.zone)
    return schedule.week.at(local.weekday(), local.hour)


def next_change(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the first instant after ``now`` at which another profile comes in force; None where none ever does."""
    if len(set(schedule.week.hours)) == 1:
        return None
    present = profile_at(schedule, now)
    for instant in _hours_after(schedule.zone, now):
        if profile_at(schedule, instant) is not present:
            return instant
    return None


def _hours_after(zone: tzinfo, now: datetime) -> Iterator[datetime]:
    """Give each instant at which the hour on the wall may change: whole hours, and the zone's own changes."""
    at, end = now.astimezone(UTC), now.astimezone(UTC) + _AHEAD
    while at < end:
        local = at.astimezone(zone)
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        after = at + (_HOUR - into)
        if after.astimezone(zone).utcoffset() != local.utcoffset():
            after = _turn(zone, at, after)
        at = after
        yield at


def _turn(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """Return the first whole second after ``before``, up to ``after``, at which the zone's offset is another one."""
    was = before.astimezone(zone).utcoffset()
    low, high = 0, -((before - after) // _SECOND)
    start = before.replace(microsecond=0)
    while high - low > 1:
        middle = (low + high) // 2
        if (start + middle * _SECOND).astimezone(zone).utcoffset() == was:
            low = middle
        else:
            high = middle
    return start + high * _SECOND


def in_force(schedule: Schedule, used: Used, quiet_until: datetime | None, now: datetime) -> Standing:
    """Return the limits that hold now, and why. Budgets of transfer bind above all, then quiet, then the week."""
    quiet = quiet_until is not None and now < quiet_until
    profile = Profile.OFF if quiet else profile_at(schedule, now)
    speeds = schedule.speeds(profile)
    up, up_spent = _bounded(schedule, used, Way.UPLOAD, speeds.up, now)
    down, down_spent = _bounded(schedule, used, Way.DOWNLOAD, speeds.down, now)
    return Standing(
        budget=Budget(up, down, schedule.full.lan_upload, schedule.full.lan_download),
        profile=profile,
        until=quiet_until if quiet else next_change(schedule, now),
        quiet=quiet,
        spent=(*up_spent, *down_spent),
    )


def left(schedule: Schedule, used: Used, way: Way) -> dict[Span, int]:
    """Return how many bytes of each budget of one way are left, never less than none."""
    found = {}
    for span, allowance in schedule.allowances.items():
        whole = allowance.up if way is Way.UPLOAD else allowance.down
        if whole is not None:
            found[span] = max(0, whole - used.get(span, (0, 0))[way is Way.DOWNLOAD])
    return found


def _bounded(
    schedule: Schedule, used: Used, way: Way, speed: BytesPerSecond | None, now: datetime
) -> tuple[BytesPerSecond | None, tuple[Spent, ...]]:
    """Return the speed that what is left allows, and what is used up: of two budgets the one that lasts longer."""
    rests = left(schedule, used, way)
    over = [span for span, rest in rests.items() if rest < _STOP]
    if over:
        until = max((schedule.period(span, now).end, span) for span in over)
        return BytesPerSecond(0), (Spent(way, until[1], until[0]),)
    least = min(rests.values(), default=_NEAR)
    if least >= _NEAR:
        return speed, ()
    end = max(least // _SECONDS_LEFT, 1)
    return BytesPerSecond(end if speed is None else min(speed, end)), ()


def quota(schedule: Schedule, used: Used, now: datetime) -> Quota | None:
    """Return what pinning may still take; None: there is no budget for it.

    The month's budget counts; one for the day alone is counted for a week, as a big video takes several days.
    """
    rests = left(schedule, used, Way.DOWNLOAD)
    if not rests:
        return None
    spent = next((s for s in in_force(schedule, used, None, now).spent if s.way is Way.DOWNLOAD), None)
    if Span.MONTH in rests:
        bytes_left, reset = rests[Span.MONTH], schedule.period(Span.MONTH, now).end
    else:
        whole, further = schedule.allowances[Span.DAY].down or 0, _DAYS_FETCHED_TOGETHER - 1
        bytes_left = rests[Span.DAY] + further * whole
        reset = schedule.period(Span.DAY, now).end + timedelta(days=further)
    if spent is None:
        return Quota(ByteCount(bytes_left), reset)
    return Quota(ByteCount(bytes_left), reset, sentence(spent, schedule.zone, now), spent.until)


def sentence(spent: Spent, zone: tzinfo, now: datetime) -> str:
    """Return what is used up until when, as a person would say it."""
    whose = "Today's" if spent.span is Span.DAY else "This month's"
    return f"{whose} {spent.way} is used up until {spoken(spent.until, zone, now)}."


def told(standing: Standing, schedule: Schedule, now: datetime) -> str:
    """Return what is in force and until when, in one sentence for each thing that is so."""
    said = [sentence(spent, schedule.zone, now) for spent in standing.spent]
    name = "Quiet" if standing.quiet else NAMES[standing.profile]
    if standing.until is not None:
        said.append(f"{name} until {spoken(standing.until, schedule.zone, now)}.")
    elif not said:
        said.append(f"{name}, all week.")
    return " ".join(said)


NAMES = {Profile.FULL: "Full speed", Profile.POLITE: "Polite", Profile.NIGHT: "Night", Profile.OFF: "Off"}


def spoken(moment: datetime, zone: tzinfo, now: datetime) -> str:
    """Return an instant in local time: ``23:00``, ``midnight``, ``Tuesday 07:00``, ``1 December``."""
    local, today = moment.astimezone(zone), now.astimezone(zone).date()
    days = (local.date() - today).days
    time = f"{local:%H:%M}"
    if days <= 0:
        return time
    if days == 1 and time == "00:00":
        return "midnight"
    if days >= 7 or time == "00:00":
        return f"{local.day} {local:%B}" if time == "00:00" else f"{time} on {local.day} {local:%B}"
    return f"{'tomorrow' if days == 1 else format(local, '%A')} {time}"
