"""How long one who failed must wait, and a light limit on requests. This module counts both, in memory.

Time is monotonic seconds, given by the caller. The tables are bounded: the oldest entry goes first.
"""

from collections import OrderedDict
from dataclasses import dataclass

FREE_FAILURES = 5
"""Failures from one address that cost nothing; each further one doubles the wait."""
FREE_FAILURES_OF_ALL = 30
LONGEST_WAIT = 900.0
LONGEST_WAIT_OF_ALL = 30.0
"""What strangers' failures may cost the owner: never more than this."""
FORGET_AFTER = 3600.0
_MOST_SOURCES = 4096


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Attempts:
    """Failed passwords and set-up codes, by address and all together."""

    def __init__(self) -> None:
        self._by_source: OrderedDict[str, _Failures] = OrderedDict()
        self._all = _Failures(0, 0.0)

    def wait(self, source: str, now: float) -> float:
        """Return how many seconds ``source`` has to wait before it may try; 0 for at once."""
        own = self._by_source.get(source)
        return max(
            _left(own, now, FREE_FAILURES, LONGEST_WAIT) if own is not None else 0.0,
            _left(self._all, now, FREE_FAILURES_OF_ALL, LONGEST_WAIT_OF_ALL),
        )

    def failed(self, source: str, now: float) -> None:
        own = self._by_source.pop(source, None)
        if own is None or now - own.last > FORGET_AFTER:
            own = _Failures(0, now)
        self._by_source[source] = _Failures(own.count + 1, now)
        if now - self._all.last > FORGET_AFTER:
            self._all.count = 0
        self._all = _Failures(self._all.count + 1, now)
        while len(self._by_source) > _MOST_SOURCES:
            self._by_source.popitem(last=False)

    def succeeded(self, source: str) -> None:
        """Take back the failure that was counted while the answer was not known, and those before it."""
        if self._by_source.pop(source, None) is not None and self._all.count > 0:
            self._all.count -= 1


def _left(failures: _Failures, now: float, free: int, longest: float) -> float:
    if failures.count < free or now - failures.last > FORGET_AFTER:
        return 0.0
    wait = min(longest, 2.0 ** min(failures.count - free + 1, 20))
    return max(0.0, failures.last + wait - now)


class Tap:
    """A token bucket for each address: ``burst`` requests at once, ``rate`` a second for ever."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, source: str, now: float) -> float:
        """Take one request; return 0, or the seconds until there is one again (then none was taken)."""
        level, then = self._levels.pop(source, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        taken = 1.0 if level >= 1.0 else 0.0
        self._levels[source] = (level - taken, now)
        while len(self._levels) > _MOST_SOURCES:
            self._levels.popitem(last=False)
        return 0.0 if taken else (1.0 - level) / self._rate
