"""How many bytes of media may be taken from one origin in a day: this module says when that is used up."""

from datetime import datetime, time, timedelta

from appliance.clock import Clock
from appliance.domain.units import ByteCount, Origin
from appliance.errors import QuotaUsed
from appliance.store import ledger
from appliance.store.engine import Store


class OriginBudgetUsed(QuotaUsed):
    """Enough was taken from an origin on this UTC day."""

    code = "origin_budget"

    def __init__(self, origin: Origin, limit: ByteCount, until: datetime) -> None:
        super().__init__(
            f"The {limit // 1_000_000} MB a day that may be taken from {origin} are used up.",
            until=until,
            hint="It goes on by itself at midnight UTC, or when the setting follow.origin_daily_bytes is raised.",
        )


class Allowance:
    """``limit`` may be set at any time; None is no limit."""

    def __init__(self, store: Store, clock: Clock, limit: ByteCount | None) -> None:
        self._store, self._clock, self.limit = store, clock, limit

    async def require(self, origin: Origin) -> None:
        """Raise OriginBudgetUsed where no more may be taken from ``origin`` today."""
        if self.limit is None:
            return
        now = self._clock.now()
        taken = await self._store.read(ledger.taken_from, origin, now.date())
        if taken >= self.limit:
            midnight = datetime.combine(now.date() + timedelta(days=1), time(), now.tzinfo)
            raise OriginBudgetUsed(origin, self.limit, midnight)
