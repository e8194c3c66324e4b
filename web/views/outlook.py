"""What a plan would do, for a person: what comes and goes and why, how long it takes, the disk before and after.

This module finds the words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from appliance.domain.catalogue import VideoLine
from appliance.domain.pin import PinState
from appliance.domain.plan import Decision, Verdict
from appliance.domain.units import ByteCount, VideoId
from web.outlook import Outlook, Pace, PaceBy
from web.views import words
from web.views.disk import Tray, tray
from web.views.video import Say


@dataclass(frozen=True, slots=True)
class Coming:
    """One line of the plan: a video that comes or goes, and why. ``anyway``: the plan in force says the same."""

    title: str
    href: str
    size: str
    why: str
    now: bool
    anyway: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """``change`` says what is because of the change alone; trays are None where the disk is not there."""

    sentence: str
    change: str
    pace: str
    comes: tuple[Coming, ...]
    more_comes: int
    goes: tuple[Coming, ...]
    more_goes: int
    before: Tray | None
    after: Tray | None


def shown(found: Outlook, limit: int) -> tuple[VideoId, ...]:
    """Return the videos whose lines a preview of so many shows."""
    return tuple(d.video for d in (*_of(found, Verdict.PIN, limit), *_of(found, Verdict.RELEASE, limit)))


def preview(found: Outlook, lines: Mapping[VideoId, VideoLine], say: Say, limit: int) -> Preview:
    """Return what comes and what goes, ``limit`` of each; ``lines`` are of the videos that are ``shown``."""
    disk = found.disk
    freed = 0 if disk is None else min(found.goes.bytes, disk.used)
    emptied = disk and replace(disk, used=ByteCount(disk.used - freed), free=ByteCount(disk.free + freed))
    return Preview(
        sentence=outlook(found),
        change=_difference(found),
        pace=pace(found.pace, found.comes.bytes),
        comes=tuple(_line(d, lines, say, found.coming) for d in _of(found, Verdict.PIN, limit)),
        more_comes=max(0, found.comes.videos - limit),
        goes=tuple(_line(d, lines, say, found.going) for d in _of(found, Verdict.RELEASE, limit)),
        more_goes=max(0, found.goes.videos - limit),
        before=None if disk is None else tray(disk),
        after=None if emptied is None else tray(emptied, coming=found.comes.bytes),
    )


def outlook(found: Outlook) -> str:
    """Return one sentence: what comes, what goes."""
    comes, goes = found.comes, found.goes
    if not comes.videos and not goes.videos:
        return "Everything the rules want is here. Nothing comes, nothing goes."
    parts = []
    if comes.videos:
        verb = "comes" if comes.videos == 1 else "come"
        parts.append(f"{words.many(comes.videos, 'video')} {verb} ({words.size(comes.bytes)})")
    if goes.videos:
        verb = "goes" if goes.videos == 1 else "go"
        parts.append(f"{words.many(goes.videos, 'video')} {verb} ({words.size(goes.bytes)})")
    return f"{', '.join(parts)}."


def pace(found: Pace, count: int) -> str:
    """Return how long it takes to fetch so many bytes, and what that is reckoned with."""
    if count <= 0:
        return ""
    match found.by:
        case PaceBy.STOPPED:
            return "Nothing is fetched for now: the download limit is 0."
        case PaceBy.LINE:
            return "It is fetched as fast as the line allows; no limit is set."
    time = words.span(found.seconds(count) or 0)
    rate = words.rate(found.rate or 0)
    how = f"the limit of {rate}" if found.by is PaceBy.LIMIT else f"the present {rate}"
    return f"Fetching it takes about {time} at {how}."


def _difference(found: Outlook) -> str:
    comes = {d.video for d in found.decisions if d.verdict is Verdict.PIN}
    goes = {d.video for d in found.decisions if d.verdict is Verdict.RELEASE}
    parts = []
    for number, verb in (
        (len(comes - found.coming), "more come"),
        (len(goes - found.going), "more go"),
        (len(found.coming - comes), "no longer come"),
        (len(found.going - goes), "no longer go"),
    ):
        if number:
            parts.append(f"{words.count(number)} {_singular(verb) if number == 1 else verb}")
    if not parts:
        return "This changes nothing of what comes and goes."
    return f"Because of this change: {words.listed(parts)}."


def _singular(verb: str) -> str:
    return verb.replace("come", "comes") if verb.endswith("come") else verb.replace("go", "goes")


def _of(found: Outlook, verdict: Verdict, limit: int) -> Iterable[Decision]:
    """Return lines of one verdict, those first that are not so in the plan in force; each part in the plan's order."""
    known = found.coming if verdict is Verdict.PIN else found.going
    lines = [d for d in found.decisions if d.verdict is verdict]
    return islice(sorted(lines, key=lambda d: d.video in known), limit)


def _line(one: Decision, lines: Mapping[VideoId, VideoLine], say: Say, known: frozenset[VideoId]) -> Coming:
    line = lines.get(one.video)
    return Coming(
        title=(line.title if line else "") or "Untitled video",
        href=f"videos/{one.video}",
        size=("about " if one.estimated else "") + words.size(one.size),
        why=say(one.reasons[0]) if one.reasons else "",
        now=line is not None and line.pin_state is PinState.PINNING,
        anyway=one.video in known,
    )
