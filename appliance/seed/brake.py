"""Household first: how much upload the household leaves us, from how long packets wait in its router. This module is
pure.

It follows LEDBAT (RFC 6817): what a packet takes over the quiet value is the time it waited in a queue, and the sender
aims at a small wait, going up a little while there is less and down while there is more. Unlike LEDBAT it steers one
limit for everything we send, over the wait towards the first hop beyond the router, which all of the household shares:
also TCP, whose own control would fill the queue. A player in the house is a second reason to hold back: what it shows
may come from the internet, and what the box reads for it comes from the disk that peers are served from.
"""

from collections import deque
from dataclasses import dataclass, field

TARGET = 0.025
"""Seconds of waiting that nobody notices: a call stays good (ITU-T G.114 allows 0.15 s one way altogether)."""
_BUCKET, _BUCKETS = 60.0, 30
"""The quiet value is the least of half an hour, forgotten minute by minute: routes change (RFC 6817, 2.4.2)."""
_GAIN_UP, _GAIN_DOWN = 0.08, 0.5
"""Of the cap, a second at most: up slowly, down at once to half."""
_LEAST = 8 * 1024
"""Bytes/s that are always left, so that peers stay and the wait can still be seen to end."""
_ROOM = 1.25
"""A cap so far above what is sent holds nobody back."""
_LIFT_AFTER = 10.0
"""Seconds of such a cap and a short wait after which it goes."""
_PLAYER_SHARE = 0.5
"""What a player in the house leaves of the limit, or, without one, of the most that we were seen to send."""
_KNOWN = 64 * 1024
"""Bytes/s from which on what we sent tells something about the uplink."""
_PLAYER_LINGERS = 15.0
"""Seconds after a player's last byte; it fetches a segment ahead every few seconds."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One second in the household. ``wait``: seconds to the first hop beyond the router and back, None unknown;
    ``sent``: our upload to the internet in bytes/s; ``limit`` in bytes/s that is in force without us, None: none."""

    at: float
    wait: float | None
    sent: int
    limit: int | None
    player: bool = False


@dataclass(slots=True)
class Brake:
    """Feed it ``feel`` once a second; ``cap`` is what may be sent in bytes/s, None while nothing holds us back."""

    target: float = TARGET
    cap: float | None = None
    why: str = ""
    _least: deque[tuple[float, float]] = field(default_factory=deque)
    _at: float | None = None
    _idle_since: float | None = None
    _player_at: float | None = None
    _player_cap: float | None = None
    _most: float = 0.0

    @property
    def quiet(self) -> float | None:
        """The wait in seconds while nothing is queued, None before the first answer."""
        return min((wait for _, wait in self._least), default=None)

    def feel(self, sign: Sign) -> int | None:
        """Return the upload that the household leaves us now, in bytes/s; None: all of it."""
        passed = 1.0 if self._at is None else min(max(sign.at - self._at, 0.0), 5.0)
        self._at = sign.at
        self._most = max(self._most * 0.9999**passed, float(sign.sent))
        self._learn(sign)
        self._by_wait(sign, passed)
        self._by_player(sign, passed)
        caps = {"wait": self.cap, "player": self._player_cap}
        held = {name: cap for name, cap in caps.items() if cap is not None}
        if not held:
            self.why = ""
            return None
        self.why = min(held, key=lambda name: held[name])
        return round(held[self.why])

    def _learn(self, sign: Sign) -> None:
        while self._least and sign.at - self._least[0][0] > _BUCKET * _BUCKETS:
            self._least.popleft()
        if sign.wait is None:
            return
        if not self._least or sign.at - self._least[-1][0] >= _BUCKET:
            self._least.append((sign.at, sign.wait))
        elif sign.wait < self._least[-1][1]:
            self._least[-1] = (self._least[-1][0], sign.wait)

    def _by_wait(self, sign: Sign, passed: float) -> None:
        quiet = self.quiet
        if sign.wait is None or quiet is None:
            return  # a router that does not answer says nothing: the cap stays where it is
        off = max(-1.0, min(1.0, (self.target - (sign.wait - quiet)) / self.target))
        if self.cap is None:
            if off < 0 and sign.sent > _LEAST:
                self.cap = max(_LEAST, sign.sent * (1 + _GAIN_DOWN * off))
            return
        if off < 0:
            self.cap = max(_LEAST, min(self.cap, sign.sent * _ROOM + _LEAST) * (1 + _GAIN_DOWN * off * passed))
            self._idle_since = None
            return
        self.cap += max(self.cap * _GAIN_UP, _LEAST) * off * passed
        self._lift(sign)

    def _lift(self, sign: Sign) -> None:
        assert self.cap is not None
        if sign.limit is not None and self.cap >= sign.limit:
            self.cap = self._idle_since = None
        elif self.cap < sign.sent * _ROOM:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = sign.at
        elif sign.at - self._idle_since >= _LIFT_AFTER:
            self.cap = self._idle_since = None

    def _by_player(self, sign: Sign, passed: float) -> None:
        whole = self._most if sign.limit is None else float(sign.limit)
        if sign.player:
            self._player_at = sign.at
        if self._player_at is not None and sign.at - self._player_at < _PLAYER_LINGERS:
            if self._player_cap is None and whole >= _KNOWN:
                self._player_cap = whole * _PLAYER_SHARE
        elif self._player_cap is not None:
            self._player_cap += max(self._player_cap * _GAIN_UP, _LEAST) * passed
        if self._player_cap is not None and self._player_cap >= whole:
            self._player_cap = None
