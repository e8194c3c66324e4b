"""Household first, without a network: the brake against a modelled uplink, and hostile signs."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from appliance.seed.brake import TARGET, Brake, Sign

_UPLINK = 1_000_000
_QUEUE = 0.5
"""Seconds of sending that the router's queue holds before it drops."""


@dataclass
class Uplink:
    """A router's queue in seconds of waiting: grows by what is sent above the rate, by us and by others."""

    quiet: float = 0.012
    queue: float = 0.0
    waits: list[float] = field(default_factory=list)

    def second(self, ours: int, others: int) -> tuple[float, int]:
        """Return the wait after this second, and what of ours got through."""
        asked = ours + others
        self.queue = min(max(self.queue + (asked - _UPLINK) / _UPLINK, 0.0), _QUEUE)
        self.waits.append(self.queue)
        return self.quiet + self.queue, ours if asked <= _UPLINK else ours * _UPLINK // asked


def _play(brake: Brake, uplink: Uplink, seconds: int, others: int, wish: int, start: int = 0) -> list[int]:
    """Let us wish to send so much beside others; return what went out each second."""
    sent: list[int] = []
    cap: int | None = None
    for second in range(start, start + seconds):
        wait, through = uplink.second(wish if cap is None else min(wish, cap), others)
        sent.append(through)
        cap = brake.feel(Sign(float(second), wait, through, None))
    return sent


def test_a_quiet_household_leaves_us_everything() -> None:
    brake, uplink = Brake(), Uplink()
    sent = _play(brake, uplink, 60, others=0, wish=_UPLINK // 2)
    assert sent == [_UPLINK // 2] * 60
    assert brake.cap is None
    assert not brake.why


def test_a_full_queue_is_emptied_and_the_uplink_still_used() -> None:
    brake, uplink = Brake(), Uplink()
    _play(brake, uplink, 20, others=0, wish=1000)
    _play(brake, uplink, 60, others=0, wish=3 * _UPLINK, start=20)
    settled = sorted(uplink.waits[-40:])
    assert settled[20] <= TARGET * 2, "the median wait"
    assert settled[35] <= 0.25, "nine tenths of the time"
    sent = _play(brake, uplink, 60, others=0, wish=3 * _UPLINK, start=80)
    assert sum(sent) / 60 > 0.6 * _UPLINK


def test_upload_backs_off_for_others_and_returns_when_they_are_done() -> None:
    brake, uplink = Brake(), Uplink()
    _play(brake, uplink, 20, others=0, wish=1000)
    before = _play(brake, uplink, 40, others=0, wish=_UPLINK * 9 // 10, start=20)
    beside = _play(brake, uplink, 40, others=_UPLINK // 2, wish=_UPLINK * 9 // 10, start=60)
    after = _play(brake, uplink, 60, others=0, wish=_UPLINK * 9 // 10, start=100)
    assert sum(before[-10:]) / 10 == _UPLINK * 9 // 10
    assert sum(beside[-20:]) / 20 < 0.6 * _UPLINK
    assert sum(after[-10:]) / 10 > 0.85 * _UPLINK
    rises = [later - earlier for earlier, later in pairwise(after)]
    assert max(rises) <= 0.15 * _UPLINK, "it returns gently"


def test_a_player_in_the_house_gets_half_of_the_limit_and_it_comes_back() -> None:
    brake = Brake()
    caps = [brake.feel(Sign(float(s), None, 90_000, 100_000, player=10 <= s < 30)) for s in range(90)]
    assert caps[9] is None
    assert caps[15] == caps[40] == 50_000
    assert caps[60] is None
    assert sorted(c for c in caps[45:] if c is not None) == [c for c in caps[45:] if c is not None]


def test_a_router_that_does_not_answer_changes_nothing() -> None:
    brake = Brake()
    for second in range(20):
        assert brake.feel(Sign(float(second), 0.010, 500_000, None)) is None
    cap = brake.feel(Sign(20.0, 0.200, 500_000, None))
    assert cap is not None
    assert 290_000 < cap <= 300_000
    assert [brake.feel(Sign(21.0 + s, None, cap, None)) for s in range(30)] == [cap] * 30


def test_a_new_route_with_a_longer_way_is_learned() -> None:
    brake = Brake()
    cap: int | None = None
    for second in range(4 * 3600):
        sent = 500_000 if cap is None else min(500_000, cap)
        cap = brake.feel(Sign(float(second), 0.010 if second < 600 else 0.090, sent, None))
    assert cap is None


_SIGNS = st.lists(
    st.builds(
        Sign,
        at=st.floats(0, 1e6),
        wait=st.none() | st.floats(0, 10),
        sent=st.integers(0, 10**9),
        limit=st.none() | st.integers(0, 10**9),
        player=st.booleans(),
    ),
    max_size=60,
)


@given(_SIGNS)
def test_whatever_it_feels_a_cap_is_never_below_the_least_nor_negative(signs: list[Sign]) -> None:
    brake = Brake()
    for sign in signs:
        cap = brake.feel(sign)
        assert cap is None or cap >= 8 * 1024


def test_who_comes_while_the_queue_stands_hears_the_quiet_value_first() -> None:
    brake, uplink = Brake(listens=True), Uplink(queue=_QUEUE)
    cap: int | None = 0
    for second in range(120):
        wait, through = uplink.second(3 * _UPLINK if cap is None else min(3 * _UPLINK, cap), 0)
        cap = brake.feel(Sign(float(second), wait, through, None))
    assert brake.quiet is not None
    assert brake.quiet < uplink.quiet + 0.01
    assert sorted(uplink.waits[-40:])[20] <= TARGET * 2


def test_it_keeps_still_for_some_seconds_in_ten_minutes_at_most() -> None:
    brake, still = Brake(listens=True), 0
    for second in range(3600):
        brake.feel(Sign(float(second), 0.02, 500_000, None))
        still += brake.why == "listening"
    assert 4 <= still <= 6 * 5
