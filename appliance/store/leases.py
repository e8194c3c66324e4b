"""Leases: claims that end by themselves unless renewed. In memory only: this module keeps them and wakes who waits.

A viewer's lease is renewed by each of its media requests and gone after 60 s of silence.
"""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.clock import Clock
from appliance.domain.units import VideoId

SILENCE = 60.0
"""Seconds after which an unrenewed lease is gone."""
MOST, MOST_OF_HOLDER = 512, 32
"""Leases at once, of all and of one holder; those renewed longest ago make room. A page of another site can have a
browser of the household ask for any number of videos, whether they exist or not."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Someone (``holder``: a viewer's address or token) watches ``video``; times are monotonic seconds."""

    video: VideoId
    holder: str
    since: float
    until: float


class Leases:
    """All leases. Call it from the loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: dict[tuple[VideoId, str], Lease] = {}
        self._listeners: list[Callable[[VideoId], None]] = []

    def renew(self, video: VideoId, holder: str) -> None:
        """Take or prolong a lease; listeners hear of a video's first."""
        now = self._clock.monotonic()
        self._sweep(now)
        fresh = not self.held(video)
        old = self._leases.pop((video, holder), None)
        if old is None:
            self._make_room(holder)
        self._leases[video, holder] = Lease(video, holder, old.since if old else now, now + SILENCE)
        if fresh:
            for listener in list(self._listeners):
                listener(video)

    def held(self, video: VideoId) -> bool:
        """Tell whether anyone has a lease on the video now."""
        now = self._clock.monotonic()
        return any(lease.video == video and lease.until > now for lease in self._leases.values())

    def every(self) -> tuple[Lease, ...]:
        self._sweep(self._clock.monotonic())
        return tuple(self._leases.values())

    def listen(self, listener: Callable[[VideoId], None]) -> Callable[[], None]:
        """Call ``listener`` when a video without a lease gets one; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _make_room(self, holder: str) -> None:
        """The leases are in the order of their renewal."""
        theirs = [key for key in self._leases if key[1] == holder]
        if len(theirs) >= MOST_OF_HOLDER:
            del self._leases[theirs[0]]
        elif len(self._leases) >= MOST:
            del self._leases[next(iter(self._leases))]

    def _sweep(self, now: float) -> None:
        self._leases = {key: lease for key, lease in self._leases.items() if lease.until > now}
