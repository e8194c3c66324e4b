"""(decisions, pins) to steps: what must happen so that what we hold matches the plan. This module is pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Decision, Verdict
from appliance.domain.units import VideoId

_UNSTARTED = frozenset({PinState.QUEUED, PinState.WAITING, PinState.FAILED})


@dataclass(frozen=True, slots=True)
class Promise:
    """Write a new pin, or one whose renditions changed, as queued."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Fetch:
    """Begin, or go on, fetching a pin."""

    pin: Pin


@dataclass(frozen=True, slots=True)
class Release:
    """Let a pin go, with everything it has on the disk."""

    pin: Pin


Step = Promise | Fetch | Release


def steps(
    decisions: Iterable[Decision],
    pins: Mapping[VideoId, Pin],
    busy: frozenset[VideoId],
    now: datetime,
    free: int,
) -> tuple[Step, ...]:
    """Return the steps to take now, in order: releases free space first, then fetches in the plan's order.

    ``busy`` are the videos someone works on already; at most ``free`` more are fetched. A pin that no decision names is
    left as it is: silence never deletes.
    """
    wanted: list[Decision] = []
    releases: list[Step] = [Release(p) for p in pins.values() if p.state is PinState.RELEASING and p.video not in busy]
    for decision in decisions:
        pin = pins.get(decision.video)
        match decision.verdict:
            case Verdict.PIN | Verdict.KEEP:
                wanted.append(decision)
            case Verdict.RELEASE:
                if pin is not None and pin.state is not PinState.RELEASING and pin.video not in busy:
                    releases.append(Release(pin))
            case Verdict.LEAVE:
                if pin is not None and pin.state in _UNSTARTED and pin.done == 0 and pin.video not in busy:
                    releases.append(Release(pin))
    promises: list[Step] = [Promise(d) for d in wanted if d.video not in busy and _is_new(d, pins.get(d.video))]
    fetches: list[Step] = []
    for decision in wanted:
        pin = pins.get(decision.video)
        if len(fetches) >= free:
            break
        if pin is not None and pin.video not in busy and not _is_new(decision, pin) and _is_due(pin, now):
            fetches.append(Fetch(pin))
    return (*releases, *promises, *fetches)


def _is_new(decision: Decision, pin: Pin | None) -> bool:
    """Tell whether the pin must be written (again): its renditions are known and not those promised."""
    if not decision.renditions:
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
