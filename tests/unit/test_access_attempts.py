"""What failures cost, and how many requests pass."""

from hypothesis import given
from hypothesis import strategies as st

from web.access.attempts import (
    FREE_FAILURES,
    FREE_FAILURES_OF_ALL,
    LONGEST_WAIT,
    LONGEST_WAIT_OF_ALL,
    Attempts,
    Tap,
)


def test_five_failures_are_free_and_each_further_one_doubles_the_wait() -> None:
    attempts, now = Attempts(), 100.0
    waits = []
    for _ in range(FREE_FAILURES + 4):
        waits.append(attempts.wait("a", now))
        attempts.failed("a", now)
    assert waits[:FREE_FAILURES] == [0.0] * FREE_FAILURES
    assert waits[FREE_FAILURES:] == [2.0, 4.0, 8.0, 16.0]


def test_the_wait_runs_out_and_has_an_upper_end() -> None:
    attempts = Attempts()
    for _ in range(40):
        attempts.failed("a", 0.0)
    assert attempts.wait("a", 0.0) == LONGEST_WAIT
    assert attempts.wait("a", LONGEST_WAIT) == 0.0


def test_a_success_forgets_the_failures_before_it() -> None:
    attempts = Attempts()
    for _ in range(9):
        attempts.failed("a", 0.0)
    attempts.succeeded("a")
    assert attempts.wait("a", 0.0) == 0.0


def test_strangers_cannot_shut_the_owner_out_for_long() -> None:
    attempts = Attempts()
    for n in range(10 * FREE_FAILURES_OF_ALL):
        attempts.failed(f"stranger {n}", 0.0)
    assert 0.0 < attempts.wait("owner", 0.0) <= LONGEST_WAIT_OF_ALL


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 10)), max_size=60))
def test_a_failure_never_shortens_a_wait(steps: list[tuple[str, float]]) -> None:
    attempts, now = Attempts(), 0.0
    for source, pause in steps:
        now += pause
        before = attempts.wait(source, now)
        attempts.failed(source, now)
        assert attempts.wait(source, now) >= before


def test_the_tap_gives_its_burst_and_then_its_rate() -> None:
    tap = Tap(rate=10.0, burst=20.0)
    assert [tap.wait("a", 0.0) for _ in range(20)] == [0.0] * 20
    assert tap.wait("a", 0.0) > 0
    assert tap.wait("b", 0.0) == 0.0
    passed = sum(1 for n in range(1000) if tap.wait("a", 1.0 + n / 100) == 0.0)
    assert 100 <= passed <= 121
