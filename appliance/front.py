"""What the web sees of the house: this module fits the verbs to ``web.services``."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from appliance.book import Option, Page, Source, check_changes, compose, from_environment, from_file
from appliance.clock import Clock
from appliance.domain.pin import PinState
from appliance.domain.traffic import Budget, TrafficClass, week_of
from appliance.domain.units import ByteCount, BytesPerSecond
from appliance.pin.keeper import Keeper
from appliance.seed.schedule import Allowance, Schedule, Span, Speeds
from appliance.seed.tender import Tender
from appliance.seed.yielding import Yielding
from appliance.settings import Settings
from appliance.store import saved
from appliance.store.engine import Store
from appliance.store.leases import Leases
from appliance.swarm.port import Swarm
from web.services import Activity, Rates, Ration, YieldsNow

SAVED = "settings"
"""The name under which the dashboard's settings are saved."""

_UPLINK = (TrafficClass.INTERNET_PEERS, TrafficClass.WAN_PLAYERS, TrafficClass.ORIGINS)


def budget_of(settings: Settings) -> Budget:
    """Return the bandwidth settings as a budget."""
    b = settings.bandwidth

    def rate(value: int | None) -> BytesPerSecond | None:
        return None if value is None else BytesPerSecond(value)

    return Budget(rate(b.upload), rate(b.download), rate(b.lan_upload), rate(b.lan_download))


def until_counted(settings: Settings) -> Budget:
    """Return the limits of the first moments, while nobody knows yet what was spent: nothing crosses the uplink."""
    return replace(budget_of(settings), upload=BytesPerSecond(0), download=BytesPerSecond(0))


def schedule_of(settings: Settings, host: tzinfo) -> Schedule:
    """Return the bandwidth settings as a schedule; ``host`` is this machine's own time zone. Reads files."""
    b = settings.bandwidth

    def speeds(up: int | None, down: int | None) -> Speeds:
        return Speeds(None if up is None else BytesPerSecond(up), None if down is None else BytesPerSecond(down))

    def allowance(up: int | None, down: int | None) -> Allowance:
        return Allowance(None if up is None else ByteCount(up), None if down is None else ByteCount(down))

    return Schedule(
        full=budget_of(settings),
        week=week_of(b.week),
        polite=speeds(b.polite_upload, b.polite_download),
        night=speeds(b.night_upload, b.night_download),
        zone=ZoneInfo(b.timezone) if b.timezone else host,
        allowances={
            Span.DAY: allowance(b.daily_upload, b.daily_download),
            Span.MONTH: allowance(b.monthly_upload, b.monthly_download),
        },
        billing_day=b.billing_day,
    )


class Ledger:
    """Live numbers for pages (``web.services.Spending``)."""

    def __init__(
        self, tender: Tender, yielding: Yielding, swarm: Swarm, keeper: Keeper, leases: Leases, clock: Clock
    ) -> None:
        self._clock, self._yielding = clock, yielding
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

    def ration(self) -> Ration:
        purse, now = self._tender.purse, self._clock.now()
        held = YieldsNow(self._yielding.why, self._yielding.cap, self._yielding.extra)
        return Ration(purse.schedule, purse.standing(), purse.used(), purse.tally.hours(), now, held)

    async def be_quiet(self, length: timedelta) -> None:
        await self._tender.be_quiet(length)

    async def end_quiet(self) -> None:
        await self._tender.end_quiet()


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
        self._page = await asyncio.to_thread(self._compose, self._saved)
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
            page = await asyncio.to_thread(self._compose, changed)  # it looks time zones up in files
            await self._store.promise(saved.put, SAVED, json.dumps(changed))
            before, self._saved, self._page = self._page.settings, changed, page
            await self._apply(before, page.settings)
