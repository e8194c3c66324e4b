"""Who may be answered, and how often: this module keeps count of those who search, each by its address. It is pure.

A search costs its asker one small packet and us up to seven: nobody may use us against a neighbour, or keep us busy.
"""

from dataclasses import dataclass

EACH = 10.0
"""Answers a second that one asker gets at most, and its searches that are looked at."""
TOGETHER = 50.0
"""Searches a second that are looked at, of all askers together."""
MOST = 256
"""Askers that are remembered."""
LATE = 2.0
"""Seconds after its time at which an answer helps nobody any more."""


@dataclass(slots=True)
class _Asker:
    """``tokens`` as of ``seen``; ``free`` is when the next answer may go."""

    tokens: float
    seen: float
    free: float


class Askers:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self._known: dict[str, _Asker] = {}
        self._tokens, self._seen = TOGETHER, 0.0

    def admits(self, address: str, now: float) -> bool:
        """Tell whether a search from ``address`` is looked at: ten a second, fifty of all. Before it is read."""
        asker = self._known.get(address)
        if asker is None:
            asker = self._met(address, now)
        asker.tokens = min(EACH, asker.tokens + (now - asker.seen) * EACH)
        asker.seen = now
        if asker.tokens < 1.0:
            return False
        self._tokens = min(TOGETHER, self._tokens + (now - self._seen) * TOGETHER)
        self._seen = now
        if self._tokens < 1.0:
            return False
        asker.tokens -= 1.0
        self._tokens -= 1.0
        return True

    def turn(self, address: str, now: float) -> float | None:
        """Return when an answer that is due ``now`` may go, None where that is too late. The turn is then taken.

        Turns of one asker are a tenth of a second apart, so that no second has more than ten.
        """
        asker = self._known.get(address)
        if asker is None:
            asker = self._met(address, now)
        at = max(now, asker.free)
        if at > now + LATE:
            return None
        asker.free = at + 1.0 / EACH
        return at

    def _met(self, address: str, now: float) -> _Asker:
        if len(self._known) >= MOST:  # the one that was met first: a flood of strangers leaves as it came
            self._known.pop(next(iter(self._known)))
        made = self._known[address] = _Asker(EACH, now, now)
        return made
