"""Plans whenever the world changed enough, and stores the decisions: the loop, while the choice is policy's.

This module wakes, gathers, asks and writes down.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import policies
from appliance.clock import Clock
from appliance.domain.plan import Disk, Plan, Rule, World
from appliance.domain.traffic import Quota
from appliance.domain.units import ByteCount
from appliance.errors import SeedkeepError
from appliance.plan import census, lately
from appliance.plan.kinds import every as every_kind
from appliance.plan.lately import RoomLately
from appliance.plan.stillness import let_go, stillness
from appliance.store import channels, decisions, rules, saved
from appliance.store.engine import Store, Touched
from appliance.store.leases import Leases
from policies.presets import default_rules
from policies.worth import Ranking

_log = logging.getLogger(__name__)

_STIRRING = frozenset({"listing", "detail", "wish", "rule", "pin_state", "video_gone"})
_SETTLE = 0.3
"""Seconds to let changes gather before planning."""
_BREATH = 2.0
"""Seconds between two plans at the least, so that a first catalogue of thousands does not plan at every page."""
_AGAIN, _AGAIN_AT_MOST = 15.0, 600.0
"""Seconds after which a plan that failed is tried again though nothing changes, doubled each time: a disk that was
full says nothing when it has room."""
_SEEDED = "default_rules_given"


@dataclass(frozen=True, slots=True)
class PlannerOptions:
    """``web_videos``: pin plain MP4 besides HLS. ``protect_after``: how long an origin may fail (``World``)."""

    web_videos: bool = False
    protect_after: timedelta = timedelta(days=7)


class Planner:
    """Run ``keep_planning`` as one task. ``disk`` measures the library's disk and raises LibraryMissing without it."""

    def __init__(
        self,
        store: Store,
        leases: Leases,
        disk: Callable[[], Awaitable[Disk]],
        clock: Clock,
        options: PlannerOptions,
        quota: Callable[[], Quota | None] = lambda: None,
        offered: Callable[[], Mapping[str, Ranking]] = every_kind,
    ) -> None:
        """``quota`` says what may still be taken from the internet; ``wake`` when that changed much.

        ``offered`` finds the rule kinds, those of other packages too; it is asked once, in a thread.
        """
        self._quota = quota
        self._offered, self._kinds = offered, asyncio.Lock()
        self._known: Mapping[str, Ranking] | None = None
        self._store, self._leases, self._disk, self._clock, self._options = store, leases, disk, clock, options
        self._lately: RoomLately | None = None
        self._written = ""
        self._wake = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.trouble: str | None = None

    def wake(self) -> None:
        self._wake.set()

    def reconfigure(self, options: PlannerOptions) -> None:
        self._options = options
        self.wake()

    async def keep_planning(self) -> None:
        """Plan at each change of what a plan weighs, until cancelled."""
        end = self._store.listen(self._changed)
        end_leases = self._leases.listen(lambda _: self.wake())
        self._wake.set()
        patience = 0.0
        try:
            while True:
                await self._wait(patience)
                await self._clock.sleep(_SETTLE)
                self._wake.clear()
                try:
                    made = list((await self.run()).decisions)
                    self.trouble, patience = None, 0.0
                    await asyncio.to_thread(let_go, made)
                except SeedkeepError as error:
                    if self.trouble != error.message:
                        _log.warning("no plan: %s", error.message)
                    self.trouble, patience = error.message, _longer(patience)
                except Exception:  # noqa: BLE001 - the edge of one unit of work: one plan
                    self.trouble = "Planning failed inside Seedkeep; the log has the details."
                    patience = _longer(patience)
                    _log.exception("planning failed")
                await self._clock.sleep(_BREATH)
        finally:
            end()
            end_leases()

    async def _wait(self, patience: float) -> None:
        """Wait until something changed; where the last plan failed, for so many seconds at most."""
        if self.trouble is None:
            await self._wake.wait()
            return
        either = {asyncio.create_task(self._wake.wait()), asyncio.create_task(self._clock.sleep(patience))}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in either:
                task.cancel()
            await asyncio.gather(*either, return_exceptions=True)

    def _changed(self, marks: Touched) -> None:
        if any(kind in _STIRRING for kind, _ in marks):
            self.wake()

    async def run(self) -> Plan:
        """Plan now, put the plan in force, and return it. Raises LibraryMissing, DiskError."""
        async with self._one_at_a_time:
            await self._give_default_rules()
            with stillness():
                plan = await self.preview(await self._store.read(rules.every))
                await self._store.write(decisions.put_plan, plan, self._clock.now())
            return plan

    async def kinds(self) -> frozenset[str]:
        """Return the names of all kinds that a rule may have."""
        return frozenset(await self._rankings())

    async def _rankings(self) -> Mapping[str, Ranking]:
        async with self._kinds:
            if self._known is None:
                self._known = await asyncio.to_thread(self._offered)
            return self._known

    async def preview(self, chosen: tuple[Rule, ...]) -> Plan:
        """Return what these rules would come to now, changing nothing. Raises LibraryMissing, DiskError."""
        disk, rankings = await self._disk(), await self._rankings()
        with stillness():
            worlds = [
                await census.take(
                    self._store,
                    self._leases,
                    disk,
                    self._clock,
                    web_videos=self._options.web_videos,
                    protect_after=self._options.protect_after,
                )
            ]
            worlds = [replace(worlds[0], taken_lately=await self._taken_lately(worlds[0]))]
            if (quota := self._quota()) is not None:
                worlds = [replace(worlds[0], download_left=quota.left, download_reset=quota.reset)]
            return await asyncio.to_thread(_planned, worlds, chosen, self._clock.now(), rankings)

    async def _taken_lately(self, world: World) -> ByteCount:
        if self._lately is None:
            self._lately = RoomLately()
            if (known := await self._store.read(saved.get, lately.NAME)) is not None:
                self._lately.read(known)
        room = await asyncio.to_thread(lately.room_of, world.disk, world.videos)
        taken, text = self._lately.note(world.disk, room, self._clock.now()), self._lately.written()
        if text != self._written:
            self._written = text
            await self._store.write(saved.put, lately.NAME, text)
        return taken

    async def _give_default_rules(self) -> None:
        """From the first channel on a default rule is in force; once deleted it does not come back."""
        if await self._store.read(saved.get, _SEEDED) is not None or not await self._store.read(channels.every):
            return
        for rule in await asyncio.to_thread(default_rules):
            await self._store.promise(rules.put, rule)
        await self._store.promise(saved.put, _SEEDED, "true")


def _longer(patience: float) -> float:
    return min(max(_AGAIN, 2 * patience), _AGAIN_AT_MOST)


def _planned(worlds: list[World], chosen: tuple[Rule, ...], now: datetime, kinds: Mapping[str, Ranking]) -> Plan:
    """Plan the one world in the list, which is used up: nobody else should hold it, so that it ends in this thread."""
    world = worlds.pop()
    made = policies.plan(world, chosen, now, kinds)
    videos = list(world.videos)
    del world
    let_go(videos)
    return made
