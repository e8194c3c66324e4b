"""Budgets and what others use, to limits: one purse for everything that crosses the uplink. This module is pure."""

from dataclasses import dataclass, replace

from appliance.domain.traffic import Budget
from appliance.domain.units import BytesPerSecond

_LEAST_SHARE = 10
"""A tenth of the purse is never taken from a spender that another one crowds, so that it can show what it needs."""


@dataclass(frozen=True, slots=True)
class Use:
    """What each spender used in the last second, bytes/s: players outside the LAN (up), HTTP from origins (down), the
    swarm's internet peers (down). ``player_waits``: such a player has just come and has no share yet; ``viewer_waits``:
    somebody in the house waits for bytes from an origin."""

    players_up: int = 0
    origins_down: int = 0
    swarm_down: int = 0
    player_waits: bool = False
    viewer_waits: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What each spender may use from now on; None is unlimited, 0 stops."""

    swarm: Budget
    origins_down: BytesPerSecond | None
    players_up: BytesPerSecond | None


def braked(budget: Budget, most_up: BytesPerSecond | None) -> Budget:
    """Return the budget with no more upload than ``most_up`` bytes/s; None holds nothing back."""
    if most_up is None or (budget.upload is not None and budget.upload <= most_up):
        return budget
    return replace(budget, upload=most_up)


def limits(budget: Budget, use: Use) -> Limits:
    """Split the purse: shares of one direction never come to more than it.

    Players outside the LAN come before peers and have nothing while there are none (the swarm then has it all).
    Origins and the swarm share what may come down by what each uses, half and half where both would take it all. Where
    a viewer waits, origins have what the swarm does not use at once, and half at least.
    """
    players, swarm_up = _players_first(budget.upload, use)
    waited_for = (budget.download or 0) // 2 if use.viewer_waits else 0
    origins, swarm_down = _shared(budget.download, max(use.origins_down, waited_for), use.swarm_down)
    return Limits(
        swarm=Budget(swarm_up, swarm_down, budget.lan_upload, budget.lan_download),
        origins_down=origins,
        players_up=players,
    )


_Share = BytesPerSecond | None


def _least(whole: int) -> int:
    return -(-whole // _LEAST_SHARE)


def _players_first(whole: _Share, use: Use) -> tuple[_Share, _Share]:
    if whole is None:
        return None, None
    if use.players_up <= 0 and not use.player_waits:
        return BytesPerSecond(0), whole
    least = _least(whole)
    players = max(min(2 * use.players_up, whole - least), min(least, whole))
    return BytesPerSecond(players), BytesPerSecond(whole - players)


def _shared(whole: _Share, one_used: int, other_used: int) -> tuple[_Share, _Share]:
    """Return two shares that come to ``whole``: each grows to twice what it used, and has a tenth at least."""
    if whole is None:
        return None, None
    least = _least(whole)
    one, other = max(least, 2 * one_used), max(least, 2 * other_used)
    if one + other > whole:
        one = max(whole - other, min(one, whole // 2))
    one = min(max(one, min(least, whole)), whole)
    return BytesPerSecond(one), BytesPerSecond(whole - one)
