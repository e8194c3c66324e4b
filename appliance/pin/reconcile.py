"""(decisions, pins) to steps: what must happen so that what we hold matches the plan. This module is pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Decision, Verdict
from appliance.domain.units import ByteCount, VideoId
from appliance.errors import LibraryMissing, NoSpace, OriginError, QuotaUsed, SeedkeepError, Throttled
from appliance.pin.patience import NoSource
from appliance.pin.takings import WINDOW, DownloadLoop

LOOK_AGAIN = timedelta(seconds=30)
"""How soon a pin that waits for the disk may go on: then it is looked at, without asking anybody anything."""
_UNSTARTED = frozenset({PinState.QUEUED, PinState.WAITING, PinState.FAILED})
_LONGEST_WITHOUT_PEERS = 3600.0
"""An origin may ask for a longer pause; peers are looked for again meanwhile."""
_PUBLISHER = "its publisher has to look at its files."
_NOTHING: frozenset[VideoId] = frozenset()


@dataclass(frozen=True, slots=True)
class Promise:
    """Write a new pin, or one whose renditions changed, as queued."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Fetch:
    """Begin, or go on, fetching a pin."""

    pin: Pin


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop fetching a pin that is no longer wanted, or not so."""

    pin: Pin


@dataclass(frozen=True, slots=True)
class Release:
    """Let a pin go, with everything it has on the disk."""

    pin: Pin


Step = Promise | Fetch | Stop | Release


@dataclass(frozen=True, slots=True)
class Hands:
    """What is going on: ``busy`` videos someone works on (or that must wait), ``fetching`` those among them that are
    being fetched, ``watched`` by viewers; at most ``free`` more are fetched; ``room`` bytes may still be filled."""

    free: int
    room: int
    busy: frozenset[VideoId] = _NOTHING
    fetching: frozenset[VideoId] = _NOTHING
    watched: frozenset[VideoId] = _NOTHING


def steps(decisions: Iterable[Decision], pins: Mapping[VideoId, Pin], hands: Hands, now: datetime) -> tuple[Step, ...]:
    """Return the steps to take now, in order: releases free space first, then fetches in the plan's order.

    A pin that no decision names is left as it is: silence never deletes. What is being watched is released later.
    """
    wanted: list[Decision] = []
    stops: list[Step] = []
    releases: list[Step] = [
        Release(p)
        for p in pins.values()
        if p.state is PinState.RELEASING and p.video not in hands.busy and (p.next_try is None or p.next_try <= now)
    ]
    for decision in decisions:
        pin = pins.get(decision.video)
        if decision.verdict in (Verdict.PIN, Verdict.KEEP):
            wanted.append(decision)
        if pin is None or pin.state is PinState.RELEASING:
            continue
        if pin.video in hands.fetching:
            if decision.verdict is Verdict.RELEASE or _is_new(decision, pin):
                stops.append(Stop(pin))
        elif pin.video not in hands.busy and pin.video not in hands.watched and _goes(decision, pin):
            releases.append(Release(pin))
    promises: list[Step] = [Promise(d) for d in wanted if d.video not in hands.busy and _is_new(d, pins.get(d.video))]
    return (*stops, *releases, *promises, *_fetches(wanted, pins, hands, now))


def _goes(decision: Decision, pin: Pin) -> bool:
    match decision.verdict:
        case Verdict.RELEASE:
            return True
        case Verdict.LEAVE:
            return pin.state in _UNSTARTED and pin.done == 0
        case Verdict.PIN | Verdict.KEEP:
            return False


def _fetches(wanted: list[Decision], pins: Mapping[VideoId, Pin], hands: Hands, now: datetime) -> list[Fetch]:
    """Return whom to fetch. Who waits for space has its turn only where it fits; nobody is asked to find that out."""
    found: list[Fetch] = []
    room = hands.room
    for decision in wanted:
        pin = pins.get(decision.video)
        if len(found) >= hands.free:
            break
        if pin is None or pin.video in hands.busy or _is_new(decision, pin) or not _is_due(pin, now):
            continue
        missing = max(0, pin.size - pin.done)
        if waits_for_space(pin) and missing > room:
            continue
        room -= missing
        found.append(Fetch(pin))
    return found


def waits_for_space(pin: Pin) -> bool:
    return pin.state is PinState.WAITING and pin.trouble is not None and pin.trouble.code == NoSpace.code


def _is_new(decision: Decision, pin: Pin | None) -> bool:
    """Tell whether the pin must be written (again): its renditions are known and not those promised."""
    if not decision.renditions or decision.verdict not in (Verdict.PIN, Verdict.KEEP):
        return False
    return pin is None or (
        pin.state is not PinState.RELEASING and frozenset(pin.renditions) != frozenset(decision.renditions)
    )


def _is_due(pin: Pin, now: datetime) -> bool:
    match pin.state:
        case PinState.QUEUED | PinState.PINNING | PinState.MISSING:
            return True
        case PinState.WAITING | PinState.FAILED:
            return pin.next_try is not None and pin.next_try <= now
        case PinState.PINNED | PinState.RELEASING:
            return False


def back_off(failures: int, chance: float) -> timedelta:
    """Return how long to wait after so many failures in a row: 1 min doubling to 6 h, ±20 % by ``chance`` (0 to 1)."""
    base = min(60.0 * 2.0 ** min(max(failures, 1) - 1, 20), 6 * 3600.0)
    return timedelta(seconds=base * (0.8 + 0.4 * chance))


def set_back(pin: Pin, error: SeedkeepError, now: datetime, chance: float) -> Pin:
    """Return the pin as it stands after ``error``: waiting where time helps, failed where it may not.

    Failed without ``next_try`` is tried again when the origin says something new. Waiting for the disk, or for the
    time that an origin asked for, is no failure.
    """
    counted = pin.failures + 1
    state, failures, again = PinState.FAILED, counted, None
    match error:
        case NoSpace() | LibraryMissing():
            state, failures, again = PinState.WAITING, pin.failures, now + LOOK_AGAIN
        case QuotaUsed():
            state, failures, again = PinState.WAITING, pin.failures, error.until
        case Throttled():
            wait = timedelta(seconds=min(max(error.after, 1.0), 86_400.0) * (1.0 + 0.1 * chance))
            state, failures, again = PinState.WAITING, pin.failures, now + wait
        case DownloadLoop():
            again = now + WINDOW
        case NoSource():
            told = timedelta(seconds=min(error.after, _LONGEST_WITHOUT_PEERS))
            state, again = PinState.WAITING, now + max(back_off(counted, chance), told)
            error.hint = f"It is tried again at {spoken(again, now)}; if that never helps, {_PUBLISHER}"
        case OriginError(retryable=True):
            state, again = PinState.WAITING, now + back_off(counted, chance)
        case OriginError():
            pass
        case _:
            again = now + back_off(counted, chance)
    trouble = Trouble(error.code, error.message, error.hint)
    return replace(pin, state=state, failures=failures, next_try=again, trouble=trouble)


def spoken(moment: datetime, now: datetime) -> str:
    """Return a time as it is said in a sentence: in UTC, with its date unless it is today's."""
    day = "" if moment.date() == now.date() else f" on {moment.day} {moment:%B}"
    return f"{moment:%H:%M} UTC{day}"


def whole_now(pin: Pin, size: ByteCount, now: datetime) -> Pin:
    """Return the pin as it stands once every byte is here and fsynced."""
    return replace(
        pin,
        state=PinState.PINNED,
        size=size,
        done=size,
        pinned_at=pin.pinned_at or now,
        trouble=None,
        failures=0,
        next_try=None,
    )
