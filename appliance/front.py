"""What the web sees of the house: this module fits the verbs to ``web.services``."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from appliance.book import Option, Page, Source, check_changes, compose, from_environment, from_file
from appliance.domain.pin import PinState
from appliance.domain.traffic import Budget, TrafficClass
from appliance.domain.units import BytesPerSecond
from appliance.pin.keeper import Keeper
from appliance.seed.tender import Tender
from appliance.settings import Settings
from appliance.store import saved
from appliance.store.engine import Store
from appliance.store.leases import Leases
from appliance.swarm.port import Swarm
from web.services import Activity, Rates

SAVED = "settings"
"""The name under which the dashboard's settings are saved."""

_UPLINK = (TrafficClass.INTERNET_PEERS, TrafficClass.WAN_PLAYERS, TrafficClass.ORIGINS)


def budget_of(settings: Settings) -> Budget:
    """Return the bandwidth settings as a budget."""
    b = settings.bandwidth

    def rate(value: int | None) -> BytesPerSecond | None:
        return None if value is None else BytesPerSecond(value)

    return Budget(rate(b.upload), rate(b.download), rate(b.lan_upload), rate(b.lan_download))


class Ledger:
    """Live numbers for pages (``web.services.Spending``)."""

    def __init__(self, tender: Tender, swarm: Swarm, keeper: Keeper, leases: Leases) -> None:
        self._tender, self._swarm, self._keeper, self._leases = tender, swarm, keeper, leases

    @property
    def budget(self) -> Budget:
        return self._tender.budget

    def rates(self) -> Rates:
        up, down = self._tender.rate(*_UPLINK)
        lan_up, lan_down = self._tender.rate(TrafficClass.LAN_PEERS)
        players, _ = self._tender.rate(TrafficClass.LAN_PLAYERS)
        statuses = self._swarm.statuses()
        return Rates(
            up=up,
            down=down,
            lan_up=lan_up,
            lan_down=lan_down,
            players=players,
            peers=sum(s.peers for s in statuses.values()),
            torrents=len(statuses),
            viewers=len({lease.holder for lease in self._leases.every()}),
        )

    def activity(self) -> tuple[Activity, ...]:
        found: list[Activity] = []
        for video, holding in self._keeper.holdings.items():
            statuses = [s for h in holding.info_hashes.values() if (s := self._swarm.status(h)) is not None]
            rate = sum(s.download_rate for s in statuses)
            left = holding.size - holding.done
            found.append(
                Activity(
                    video=video,
                    state=PinState.PINNING,
                    done=holding.done,
                    size=holding.size,
                    download_rate=BytesPerSecond(rate),
                    upload_rate=BytesPerSecond(sum(s.upload_rate for s in statuses)),
                    peers=sum(s.peers for s in statuses),
                    seconds_left=left / rate if rate > 0 else None,
                )
            )
        return tuple(found)

    async def flush(self) -> None:
        await self._tender.flush()


class Book:
    """Settings in force, and the way to change them (``web.services.SettingsBook``)."""

    def __init__(
        self,
        store: Store,
        environment: Mapping[str, str],
        file: Path | None,
        given: Mapping[str, str],
        apply: Callable[[Settings, Settings], Awaitable[None]],
    ) -> None:
        """``apply`` is given the settings as they were and as they are. ``open`` before use."""
        self._store, self._apply = store, apply
        self._environment = {path: text for path, (text, _) in from_environment(environment).items()} | dict(given)
        self._names = {path: name for path, (_, name) in from_environment(environment).items()}
        self._names |= dict.fromkeys(given, "the command line")
        self._file = {} if file is None else from_file(file)
        self._names = {path: str(file) for path in self._file} | self._names
        self._saved: dict[str, Any] = {}
        self._page = self._compose({})
        self._lock = asyncio.Lock()

    async def open(self) -> Settings:
        """Read what the dashboard saved. Raises BadInput."""
        text = await self._store.read(saved.get, SAVED)
        self._saved = {} if text is None else json.loads(text)
        self._page = self._compose(self._saved)
        return self._page.settings

    def _compose(self, changed: Mapping[str, Any]) -> Page:
        layers = {Source.SAVED: changed, Source.FILE: self._file, Source.ENVIRONMENT: self._environment}
        return compose(layers, self._names)

    @property
    def current(self) -> Settings:
        return self._page.settings

    def options(self) -> tuple[Option, ...]:
        return self._page.options()

    async def save(self, changes: Mapping[str, Any]) -> None:
        async with self._lock:
            check_changes(self._page, changes)
            changed = self._saved | dict(changes)
            page = self._compose(changed)
            await self._store.promise(saved.put, SAVED, json.dumps(changed))
            before, self._saved, self._page = self._page.settings, changed, page
            await self._apply(before, page.settings)
