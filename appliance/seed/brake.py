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

TARGET = 0.05
"""Seconds of waiting that nobody notices: half of what LEDBAT allows itself, so that a call stays good (ITU-T G.114:
0.15 s one way altogether). A limit of 8 Mbit/s given out in parts of 50 ms makes others wait for up to 0.04 s."""
_BUCKET, _BUCKETS = 60.0, 30
"""The quiet value is the least of half an hour, forgotten minute by minute: routes change (RFC 6817, 2.4.2)."""
_GAIN_UP, _GAIN_DOWN = 0.04, 0.4
"""Of the cap at most: up slowly, each second; down at once."""
_GAIN_BACK, _KNOWN_GOOD = 0.3, 0.8
"""Up more quickly to this share of what was sent when the queue began to stand: that much went without one."""
_SMOOTH = 0.4
"""Of each new second in what counts as sent: counts come in lumps."""
LEAST = 8 * 1024
"""Bytes/s that are always left, so that peers stay and the wait can still be seen to end."""
_ROOM = 1.25
"""A cap so far above what is sent holds nobody back."""
_SETTLE = 2.0
"""Seconds until a lower cap shows in the router's queue: no second cut before."""
_LIFT_AFTER = 30.0
"""Seconds of such a cap and a short wait after which it goes."""
_STILL = 16 * 1024
"""Bytes/s that fill no queue: what is felt beside them is the quiet value, as far as we are concerned."""
_LISTEN_EVERY, _LISTEN_FOR = 600.0, 4.0
"""Who comes when a queue stands takes it for the quiet value, and who always sends never feels another: so we begin by
listening, and again every ten minutes, some seconds at most (LEDBAT++, draft-irtf-iccrg-ledbat-plus-plus, 4.4)."""
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
    """Feed it ``feel`` once a second; ``cap`` is what may be sent in bytes/s, None while nothing holds us back.

    ``listens``: waits are felt, so it keeps still now and then to hear the quiet value.
    """

    listens: bool = False
    target: float = TARGET
    cap: float | None = None
    why: str = ""
    _least: deque[tuple[float, float]] = field(default_factory=deque)
    _at: float | None = None
    _idle_since: float | None = None
    _player_at: float | None = None
    _player_cap: float | None = None
    _most: float = 0.0
    _sent: float = 0.0
    _knee: float = 0.0
    _cut_at: float | None = None
    _heard_at: float | None = None
    _listening_since: float | None = None

    @property
    def quiet(self) -> float | None:
        """The wait in seconds while nothing is queued, None before the first answer."""
        return min((wait for _, wait in self._least), default=None)

    def feel(self, sign: Sign) -> int | None:
        """Return the upload that the household leaves us now, in bytes/s; None: all of it."""
        passed = 1.0 if self._at is None else min(max(sign.at - self._at, 0.0), 5.0)
        self._at = sign.at
        self._sent += (sign.sent - self._sent) * _SMOOTH
        self._most = max(self._most * 0.9999**passed, float(sign.sent))
        self._learn(sign)
        if self._is_listening(sign):
            self.why = "listening"
            return LEAST
        self._by_wait(sign, passed)
        self._by_player(sign, passed)
        caps = {"wait": self.cap, "player": self._player_cap}
        held = {name: cap for name, cap in caps.items() if cap is not None}
        if not held:
            self.why = ""
            return None
        self.why = min(held, key=lambda name: held[name])
        return round(held[self.why])

    def _is_listening(self, sign: Sign) -> bool:
        """Keep still until the quiet value was heard, but not for long."""
        if sign.wait is not None and sign.sent <= _STILL:
            self._heard_at, self._listening_since = sign.at, None
        if not self.listens or (self._heard_at is not None and sign.at - self._heard_at < _LISTEN_EVERY):
            self._listening_since = None
            return False
        if self._listening_since is None:
            self._listening_since = sign.at
        if sign.at - self._listening_since < _LISTEN_FOR:
            return True
        self._heard_at, self._listening_since = sign.at, None
        return False

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
            if off < 0 and self._sent > LEAST:
                self._knee = self._sent * _KNOWN_GOOD
                self._cut(self._sent, off, sign.at)
            return
        if off < 0:
            self._idle_since = None
            if self._cut_at is None or sign.at - self._cut_at >= _SETTLE:
                used = min(self.cap, self._sent * _ROOM + LEAST)
                self._knee = max(self._knee * 0.98, used * _KNOWN_GOOD)
                self._cut(used, off, sign.at)
            return
        gain = _GAIN_BACK if self.cap < self._knee else _GAIN_UP
        self.cap += max(self.cap * gain, LEAST) * off * passed
        self._lift(sign)

    def _cut(self, used: float, off: float, at: float) -> None:
        self.cap, self._cut_at = max(LEAST, used * (1 + _GAIN_DOWN * off)), at

    def _lift(self, sign: Sign) -> None:
        assert self.cap is not None
        if sign.limit is not None and self.cap >= sign.limit:
            self.cap = self._idle_since = None
        elif self.cap < max(self._sent, self._knee) * _ROOM:
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
            self._player_cap += max(self._player_cap * _GAIN_UP, LEAST) * passed
        if self._player_cap is not None and self._player_cap >= whole:
            self._player_cap = None
