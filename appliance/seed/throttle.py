"""Budgets and what others use, to limits: one purse for everything that crosses the uplink. This module is pure."""

from dataclasses import dataclass

from appliance.domain.traffic import Budget
from appliance.domain.units import BytesPerSecond

_LEAST_SHARE = 10
"""A tenth of the purse is never taken from a spender that another one crowds, so that it can show what it needs."""


@dataclass(frozen=True, slots=True)
class Use:
    """What each spender used in the last second, bytes/s: players outside the LAN (up), HTTP from origins (down), the
    swarm's internet peers (down)."""

    players_up: int = 0
    origins_down: int = 0
    swarm_down: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What each spender may use from now on; None is unlimited, 0 stops."""

    swarm: Budget
    origins_down: BytesPerSecond | None
    players_up: BytesPerSecond | None


def limits(budget: Budget, use: Use) -> Limits:
    """Split the purse: players outside the LAN come before peers, origins and the swarm share what may come down."""
    return Limits(
        swarm=Budget(
            upload=_rest(budget.upload, use.players_up),
            download=_rest(budget.download, use.origins_down),
            lan_upload=budget.lan_upload,
            lan_download=budget.lan_download,
        ),
        origins_down=_rest(budget.download, use.swarm_down),
        players_up=budget.upload,
    )


def _rest(whole: BytesPerSecond | None, used: int) -> BytesPerSecond | None:
    if whole is None:
        return None
    return BytesPerSecond(max(whole - used, whole // _LEAST_SHARE))
