"""What waits for something other than its turn: for an origin that rests, for a budget, for room. This module says so
on its row, and has it go on when that has passed.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from appliance.clock import Clock
from appliance.domain.catalogue import VideoRecord
from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin
from appliance.domain.traffic import Quota
from appliance.domain.units import ByteCount, Origin
from appliance.errors import NoSpace, QuotaUsed
from appliance.pin.allowance import Allowance, OriginBudgetUsed
from appliance.pin.near import Near
from appliance.pin.opened import Opened
from appliance.pin.opener import Parts
from appliance.pin.pinner import Resting
from appliance.pin.reconcile import spoken
from appliance.pin.turns import Turns
from appliance.store import pins

ORIGIN_RESTS = "origin_rests"
"""The code of what waits because its origin is left alone."""


class Waits:
    """``review`` it before each round. ``limit`` is what may be taken from one origin a day."""

    def __init__(
        self,
        parts: Parts,
        opened: Opened,
        turns: Turns,
        clock: Clock,
        quota: Callable[[], Quota | None],
        limit: ByteCount | None,
    ) -> None:
        self._parts, self._opened, self._turns, self._clock = parts, opened, turns, clock
        self._quota, self._lacked_quota = quota, True
        self.allowance = Allowance(parts.store, clock, limit)
        self._allowance_changed, self._room_made = True, False
        self._resting: set[Origin] = set()
        self._near = Near(parts.fetcher)

    def allow(self, limit: ByteCount | None) -> None:
        """Have another limit a day for each origin."""
        self.allowance.limit, self._allowance_changed = limit, True

    def note_room(self) -> None:
        """Somebody made room: what waits for it goes on at the next review."""
        self._room_made = True

    async def rest(self, pin: Pin, rest: Resting) -> None:
        """What can only come from an origin that is left alone says so, and until when."""
        now = self._clock.now()
        until = now + timedelta(seconds=rest.seconds)
        trouble = Trouble(
            ORIGIN_RESTS,
            f"This waits for {rest.origin}, which failed or asked for a pause.",
            f"It is asked again at {spoken(until, now)}; nothing to do.",
        )
        await self._parts.store.promise(pins.let_wait, pin.video, rest.origin, trouble, until)
        self._resting.add(rest.origin)

    async def review(self) -> None:
        """Have go on what need not wait any more, and wait what must now."""
        await self._go_on_with_rested()
        await self._mind_quota()
        await self._mind_allowance()
        if self._room_made:
            await self._parts.store.promise(pins.end_wait, NoSpace.code)
            self._room_made = False

    async def _go_on_with_rested(self) -> None:
        """An origin that answered somebody else sooner than thought is asked at once."""
        for origin in [o for o in self._resting if self._parts.fetcher.manners.rest(o) <= 0]:
            self._resting.discard(origin)
            await self._parts.store.promise(pins.go_on, origin, ORIGIN_RESTS)

    async def _mind_quota(self) -> None:
        """While the budget of transfer is used up all that is not whole waits, and says until when."""
        quota = self._quota()
        if quota is None or quota.again is None:
            if self._lacked_quota:
                await self._parts.store.promise(pins.end_wait, QuotaUsed.code)
                self._near.forget()
            self._lacked_quota = False
            return
        self._lacked_quota = True
        error = _used_up(quota, quota.again)
        for video in self._turns.fetching - self._near.videos:
            holding = self._opened.holdings.get(video)
            if holding is None or not holding.started:
                self._turns.stop(video)
            elif not await self._near.let_on(video, holding):
                holding.fail(error)
        trouble = Trouble(error.code, error.message, error.hint)
        busy = self._turns.taken | self._near.videos
        await self._parts.store.promise(pins.begin_wait, trouble, error.until, busy)
        if found := await self._near.among(await self._parts.store.read(pins.waiting_for, QuotaUsed.code)):
            await self._parts.store.promise(pins.go_on_with, found, QuotaUsed.code)

    async def only_near(self, pin: Pin, record: VideoRecord) -> QuotaUsed | None:
        """Return why a pin may come from a server on the LAN alone, None where it may come from anywhere.

        Raises QuotaUsed where it may not come at all.
        """
        quota = self._quota()
        if quota is None or quota.again is None:
            return None
        if not await self._near.may_come(pin, record):
            raise _used_up(quota, quota.again)
        return _used_up(quota, quota.again)

    async def _mind_allowance(self) -> None:
        """Stop what comes from an origin of which enough was taken today."""
        if self._allowance_changed:
            self._allowance_changed = False
            await self._parts.store.promise(pins.end_wait, OriginBudgetUsed.code)
        for video in self._turns.fetching & self._opened.holdings.keys():
            holding = self._opened.holdings.get(video)
            if holding is None:
                continue  # it was closed while the ledger was read for another
            try:
                await self.allowance.require(Origin(holding.manifest.origin))
            except OriginBudgetUsed as error:
                holding.fail(error)


def _used_up(quota: Quota, until: datetime) -> QuotaUsed:
    return QuotaUsed(quota.why, until=until, hint="It goes on by itself then. Pages and screens here do not wait.")
