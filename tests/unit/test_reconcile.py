"""Decisions and pins to steps, and what becomes of a pin after an error: pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Decision, Verdict
from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.errors import (
    BadAnswer,
    DiskError,
    LibraryMissing,
    NoSpace,
    NotFound,
    SeedkeepError,
    Throttled,
    Unreachable,
)
from appliance.pin.reconcile import Fetch, Hands, Promise, Release, Stop, back_off, set_back, steps

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAMES = (RenditionName("720p"),)
FREE = Hands(free=10, room=1 << 40)


def pin(n: int, state: PinState, *, size: int = 100, done: int = 0, next_try: datetime | None = None) -> Pin:
    trouble = Trouble("no_space", "No room.") if state is PinState.WAITING else None
    return Pin(VideoId(f"v{n}"), state, NAMES, ByteCount(size), ByteCount(done), NOW, None, trouble, 0, next_try)


def decided(n: int, verdict: Verdict, names: tuple[str, ...] = ("720p",)) -> Decision:
    return Decision(VideoId(f"v{n}"), verdict, (), tuple(RenditionName(x) for x in names), ByteCount(100))


def held(*pins: Pin) -> dict[VideoId, Pin]:
    return {p.video: p for p in pins}


def test_a_wanted_video_is_promised_first_and_fetched_then() -> None:
    want = decided(1, Verdict.PIN)
    assert steps([want], {}, FREE, NOW) == (Promise(want),)
    queued = pin(1, PinState.QUEUED)
    assert steps([want], held(queued), FREE, NOW) == (Fetch(queued),)


def test_a_video_whose_renditions_are_unknown_is_not_promised() -> None:
    assert steps([decided(1, Verdict.PIN, ())], {}, FREE, NOW) == ()


def test_no_more_are_fetched_together_than_there_are_hands() -> None:
    pins = [pin(n, PinState.QUEUED) for n in range(5)]
    found = steps([decided(n, Verdict.PIN) for n in range(5)], held(*pins), replace(FREE, free=2), NOW)
    assert found == (Fetch(pins[0]), Fetch(pins[1]))
    assert steps([decided(0, Verdict.PIN)], held(pins[0]), replace(FREE, free=-1), NOW) == ()


def test_releases_come_before_fetches_and_releasing_goes_on() -> None:
    old, going, new = pin(1, PinState.PINNED), pin(2, PinState.RELEASING), pin(3, PinState.QUEUED)
    found = steps([decided(3, Verdict.PIN), decided(1, Verdict.RELEASE)], held(old, going, new), FREE, NOW)
    assert found == (Release(going), Release(old), Fetch(new))


def test_a_release_that_is_stuck_waits_for_its_time() -> None:
    stuck = pin(1, PinState.RELEASING, next_try=NOW + timedelta(hours=1))
    assert steps([], held(stuck), FREE, NOW) == ()
    assert steps([], held(stuck), FREE, NOW + timedelta(hours=2)) == (Release(stuck),)


def test_silence_never_deletes() -> None:
    assert steps([], held(pin(1, PinState.PINNED)), FREE, NOW) == ()


def test_what_is_watched_is_not_released_yet() -> None:
    kept = pin(1, PinState.PINNED)
    watched = replace(FREE, watched=frozenset({kept.video}))
    assert steps([decided(1, Verdict.RELEASE)], held(kept), watched, NOW) == ()


def test_a_fetch_that_is_no_longer_wanted_is_stopped() -> None:
    busy = pin(1, PinState.PINNING)
    hands = replace(FREE, busy=frozenset({busy.video}), fetching=frozenset({busy.video}))
    assert steps([decided(1, Verdict.RELEASE)], held(busy), hands, NOW) == (Stop(busy),)
    assert steps([decided(1, Verdict.PIN, ("360p",))], held(busy), hands, NOW) == (Stop(busy),)
    assert steps([decided(1, Verdict.PIN)], held(busy), hands, NOW) == ()


def test_who_waits_for_space_goes_on_only_where_it_fits() -> None:
    waits = pin(1, PinState.WAITING, size=100, done=40, next_try=NOW)
    want = [decided(1, Verdict.PIN)]
    assert steps(want, held(waits), replace(FREE, room=59), NOW) == ()
    assert steps(want, held(waits), replace(FREE, room=60), NOW) == (Fetch(waits),)


def test_a_large_video_that_waits_for_space_does_not_hold_up_a_small_one() -> None:
    large, small = pin(1, PinState.WAITING, size=1000, next_try=NOW), pin(2, PinState.QUEUED, size=10)
    found = steps([decided(n, Verdict.PIN) for n in (1, 2)], held(large, small), Hands(free=1, room=50), NOW)
    assert found == (Fetch(small),)


def test_failed_pins_wait_for_their_time_and_those_without_one_for_news() -> None:
    later = pin(1, PinState.FAILED, next_try=NOW + timedelta(minutes=5))
    never = pin(2, PinState.FAILED)
    want = [decided(n, Verdict.PIN) for n in (1, 2)]
    assert steps(want, held(later, never), FREE, NOW) == ()
    assert steps(want, held(later, never), FREE, NOW + timedelta(minutes=5)) == (Fetch(later),)


@given(
    states=st.lists(st.sampled_from(PinState), max_size=12),
    verdicts=st.lists(st.sampled_from([*Verdict, None]), min_size=12, max_size=12),
    busy=st.sets(st.integers(0, 11)),
    free=st.integers(-1, 5),
    room=st.integers(0, 400),
)
def test_nothing_is_released_that_the_plan_keeps_and_no_busy_video_is_begun(
    states: list[PinState], verdicts: list[Verdict | None], busy: set[int], free: int, room: int
) -> None:
    pins = held(*(pin(n, state, next_try=NOW) for n, state in enumerate(states)))
    plan = [decided(n, verdict) for n, verdict in enumerate(verdicts) if verdict is not None]
    hands = Hands(free=free, room=room, busy=frozenset(VideoId(f"v{n}") for n in busy))
    keeps = {d.video for d in plan if d.verdict in (Verdict.PIN, Verdict.KEEP)}
    found = steps(plan, pins, hands, NOW)
    for step in found:
        match step:
            case Release(p):
                assert p.video not in hands.busy
                assert p.state is PinState.RELEASING or p.video not in keeps
            case Fetch(p):
                assert p.video not in hands.busy
                assert p.video in keeps
                assert p.state not in (PinState.PINNED, PinState.RELEASING)
            case Promise(d):
                assert d.video not in hands.busy
                assert d.video in keeps
            case Stop():
                raise AssertionError("nothing is being fetched")
    fetched = [s for s in found if isinstance(s, Fetch)]
    assert len(fetched) <= max(free, 0)
    waited = [s.pin for s in fetched if s.pin.state is PinState.WAITING]
    assert sum(p.size - p.done for p in waited) <= room


@pytest.mark.parametrize(
    ("error", "state", "again", "failures"),
    [
        (NoSpace("x"), PinState.WAITING, 30, 3),
        (LibraryMissing("x"), PinState.WAITING, 30, 3),
        (Throttled("x", after=120), PinState.WAITING, 120, 3),
        (Unreachable("x"), PinState.WAITING, 480 * 0.8, 4),
        (NotFound("x"), PinState.FAILED, None, 4),
        (BadAnswer("x"), PinState.FAILED, None, 4),
        (DiskError("x"), PinState.FAILED, 480 * 0.8, 4),
        (SeedkeepError("x"), PinState.FAILED, 480 * 0.8, 4),
    ],
)
def test_after_an_error_a_pin_waits_where_time_helps_and_fails_where_it_may_not(
    error: SeedkeepError, state: PinState, again: float | None, failures: int
) -> None:
    stands = set_back(replace(pin(1, PinState.PINNING), failures=3), error, NOW, 0.0)
    assert (stands.state, stands.failures) == (state, failures)
    assert stands.next_try == (None if again is None else NOW + timedelta(seconds=again))
    assert stands.trouble == Trouble(error.code, "x")


@given(failures=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_the_back_off_grows_and_has_an_end(failures: int, chance: float) -> None:
    assert timedelta(seconds=48) <= back_off(failures, chance) <= timedelta(hours=7.2)
    assert back_off(failures + 1, chance) >= back_off(failures, chance)
