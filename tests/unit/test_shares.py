"""Upload by need, as numbers: shares of one purse, and turns at announcing."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.units import ByteCount, BytesPerSecond, InfoHash
from appliance.seed.shares import Asked, Tended, has_given, need, shares, turns

GIB = 2**30


def _asked(name: str, rate: int, leechers: int = 4, **tended: object) -> Asked:
    return Asked(InfoHash(name), rate, leechers, Tended(ByteCount(GIB), **tended))  # type: ignore[arg-type]


def _steady(name: str, rate: int, **tended: object) -> Asked:
    return replace(_asked(name, rate, **tended), before=rate)  # type: ignore[arg-type]


def test_the_only_copy_gets_nearly_all_of_the_purse_and_the_popular_one_still_something() -> None:
    held = shares([_asked("rare", 700_000, copies=0), _asked("hit", 300_000, copies=40)], BytesPerSecond(1_000_000))
    assert held[InfoHash("rare")] > 900_000
    assert 4096 <= held[InfoHash("hit")] < 50_000


def test_what_the_rare_one_does_not_use_goes_to_the_popular_one_and_it_may_grow_again_at_once() -> None:
    held = shares([_steady("rare", 10_000, copies=0), _asked("hit", 900_000, copies=40)], BytesPerSecond(1_000_000))
    assert held[InfoHash("hit")] > 900_000
    assert held[InfoHash("rare")] > 900_000


def test_who_is_alone_is_not_held_back() -> None:
    assert shares([_asked("rare", 500_000)], BytesPerSecond(1_000_000)) == {}
    assert shares([_asked("a", 5), _asked("b", 5)], None) == {}


def test_what_has_given_its_ratio_trickles_even_without_a_limit() -> None:
    done = _asked("done", 1_000_000, given=ByteCount(3 * GIB), ratio=2.0, copies=5)
    assert shares([done], None) == {"done": 16 * 1024}
    assert shares([done, _asked("other", 1_000_000)], BytesPerSecond(1_000_000))[InfoHash("done")] == 16 * 1024


def test_few_or_unknown_seeds_keep_it_going_beyond_its_ratio() -> None:
    for copies, over in ((None, False), (1, False), (2, True), (9, True)):
        tended = Tended(ByteCount(10), ByteCount(30), copies=copies, ratio=2.0, seed_below=2)
        assert has_given(tended) is over
    assert not has_given(Tended(ByteCount(10), ByteCount(19), ratio=2.0))


_TENDED = st.builds(
    Tended,
    size=st.integers(0, 10**12),
    given=st.integers(0, 10**13),
    copies=st.none() | st.integers(0, 1000),
    weight=st.floats(0.01, 1000),
    ratio=st.none() | st.floats(0, 100),
    seed_below=st.none() | st.integers(1, 50),
)
_ASKED = st.lists(
    st.builds(
        Asked,
        info_hash=st.text("abcdef", min_size=1, max_size=3),
        rate=st.integers(0, 10**8),
        leechers=st.integers(0, 50),
        tended=_TENDED,
    ),
    max_size=20,
    unique_by=lambda one: one.info_hash,
)


@given(_ASKED, st.none() | st.integers(0, 10**9))
def test_nobody_is_stopped_and_order_does_not_matter(asked: list[Asked], limit: int | None) -> None:
    purse = None if limit is None else BytesPerSecond(limit)
    held = shares(asked, purse)
    assert all(share >= 4096 for share in held.values())
    assert held == shares(asked[::-1], purse)
    assert held.keys() <= {one.info_hash for one in asked}


@given(_TENDED, st.integers(0, 5), st.integers(0, 20))
def test_one_copy_more_never_makes_giving_more_needed(tended: Tended, copies: int, leechers: int) -> None:
    fewer = Tended(tended.size, copies=copies, weight=tended.weight)
    more = Tended(tended.size, copies=copies + 1, weight=tended.weight)
    assert need(fewer, leechers) > need(more, leechers) > 0
    assert need(fewer, leechers + 1) > need(fewer, leechers)


def test_every_torrent_has_its_turn_and_the_needed_ones_more_often() -> None:
    every = {InfoHash(f"{k:03}"): 8.0 if k < 10 else 1.0 for k in range(200)}
    began: dict[InfoHash, float] = {}
    ended: dict[InfoHash, float] = {}
    count = dict.fromkeys(every, 0)
    for minute in range(0, 60 * 24, 10):
        now = minute * 60.0
        chosen = turns(every, began, ended, now, 20, 1800.0)
        assert len(chosen) == 20
        assert all(k in chosen for k, start in began.items() if now - start < 1800.0), "a turn is whole"
        for k in began.keys() - chosen:
            ended[k] = now
        fresh = chosen - began.keys()
        began = {k: began.get(k, now) for k in chosen}
        for k in fresh:
            count[k] += 1
    assert min(count.values()) >= 1
    assert min(count[k] for k in every if every[k] == 8.0) > max(count[k] for k in every if every[k] == 1.0)


def test_fewer_than_fit_all_announce_and_a_gone_one_does_not() -> None:
    every = {InfoHash("a"): 1.0, InfoHash("b"): 2.0}
    assert turns(every, {InfoHash("gone"): 0.0}, {}, 10.0, 20, 1800.0) == {"a", "b"}
