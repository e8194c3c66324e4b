"""A token bucket: so many bytes a second, at most a second's worth at once. This module paces players elsewhere."""

from appliance.clock import Clock
from appliance.domain.units import BytesPerSecond

_STOPPED = 1.0


class Bucket:
    """``rate`` in bytes/s; None is unlimited, 0 stops. Call it from the loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rate: BytesPerSecond | None = None
        self._level = 0.0
        self._at = clock.monotonic()

    def set_rate(self, rate: BytesPerSecond | None) -> None:
        self._refill()
        self._rate = rate
        self._level = min(self._level, float(rate or 0))

    def _refill(self) -> None:
        now = self._clock.monotonic()
        if self._rate:
            self._level = min(self._level + (now - self._at) * self._rate, float(self._rate))
        self._at = now

    async def take(self, count: int) -> None:
        """Wait until ``count`` bytes may go; more than a second's worth goes into debt that later calls wait for."""
        while True:
            self._refill()
            if self._rate is None:
                return
            if self._rate > 0 and self._level >= 0:
                self._level -= count
                return
            wait = _STOPPED if self._rate == 0 else min(-self._level / self._rate, _STOPPED)
            await self._clock.sleep(max(wait, 0.005))
