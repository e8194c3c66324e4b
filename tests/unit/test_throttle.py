"""One purse: whatever is asked for, what is handed out never comes to more than it."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.traffic import Budget
from appliance.domain.units import BytesPerSecond
from appliance.seed.throttle import Use, limits

rates = st.none() | st.integers(0, 10**9).map(BytesPerSecond)
used = st.integers(0, 2 * 10**9)
uses = st.builds(Use, used, used, used, st.booleans(), st.booleans())
budgets = st.builds(Budget, rates, rates, rates, rates)


@given(budget=budgets, use=uses)
def test_the_purse_is_never_overdrawn(budget: Budget, use: Use) -> None:
    found = limits(budget, use)
    for purse, shares in (
        (budget.upload, (found.players_up, found.swarm.upload)),
        (budget.download, (found.origins_down, found.swarm.download)),
    ):
        if purse is None:
            assert shares == (None, None)
            continue
        assert all(share is not None and share >= 0 for share in shares)
        assert sum(share or 0 for share in shares) == purse


@given(budget=budgets, use=uses)
def test_peers_on_the_lan_have_limits_of_their_own(budget: Budget, use: Use) -> None:
    found = limits(budget, use).swarm
    assert (found.lan_upload, found.lan_download) == (budget.lan_upload, budget.lan_download)


@given(purse=st.integers(10, 10**9), use=uses)
def test_nobody_who_wants_something_is_starved(purse: int, use: Use) -> None:
    budget = Budget(BytesPerSecond(purse), BytesPerSecond(purse))
    found = limits(budget, use)
    assert found.swarm.upload is not None
    assert found.swarm.download is not None
    assert found.origins_down is not None
    assert found.swarm.upload >= purse // 10
    assert min(found.swarm.download, found.origins_down) >= purse // 10 - 1


def test_without_players_elsewhere_the_swarm_has_all_the_upload() -> None:
    found = limits(Budget(upload=BytesPerSecond(1000)), Use())
    assert (found.swarm.upload, found.players_up) == (1000, 0)


def test_a_player_that_has_just_come_gets_a_share_and_then_comes_first() -> None:
    budget = Budget(upload=BytesPerSecond(1000))
    assert limits(budget, Use(player_waits=True)).players_up == 100
    assert limits(budget, Use(players_up=200)).players_up == 400
    assert limits(budget, Use(players_up=900)).players_up == 900


def test_who_alone_uses_the_download_gets_most_of_it_and_two_share_it() -> None:
    budget = Budget(download=BytesPerSecond(1000))
    assert limits(budget, Use(origins_down=1000)).origins_down == 900
    assert limits(budget, Use(swarm_down=1000)).swarm.download == 900
    assert limits(budget, Use(origins_down=600, swarm_down=600)).origins_down == 500


def test_a_viewer_who_waits_has_at_once_what_the_swarm_does_not_use_and_half_at_least() -> None:
    budget = Budget(download=BytesPerSecond(1000))
    assert limits(budget, Use()).origins_down == 100
    assert limits(budget, Use(viewer_waits=True)).origins_down == 900
    assert limits(budget, Use(swarm_down=200, viewer_waits=True)).origins_down == 600
    assert limits(budget, Use(swarm_down=1000, viewer_waits=True)).origins_down == 500
