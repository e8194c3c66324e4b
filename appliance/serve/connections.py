"""Who is connected: this module bounds how many connections one source, and all together, hold, and ends dead ones.

Anybody on the network can open thousands and say nothing. Where there are too many, the one that has been idle longest
makes room: of the source that has most, so that a household's screens do not pay for one that hoards. Where nobody is
idle the newcomer is refused at once. This machine's own connections are counted apart: its owner still gets in.
"""

import asyncio
import logging
import resource
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Protocol

_log = logging.getLogger(__name__)

MOST, MOST_OF_SOURCE = 512, 64
_DESCRIPTORS_EACH = 4
"""A connection on which a held file goes out takes so many."""
LOOK_SECONDS = 30.0
"""How often connections are looked at for those on which nothing moves."""
STALLED_SECONDS = 600.0
"""Without a byte taken of what was written, a connection ends: a player that paused asks anew for the rest."""
BODY_SECONDS = 60.0
"""Without a byte of a request's body that was announced, likewise."""
_QUIET_SECONDS = 600.0
"""Refusals that follow one another sooner are told of once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """``most``: connections of all other machines together, and again of this one; ``of_source``: of one of those."""

    most: int = MOST
    of_source: int = MOST_OF_SOURCE


def bounds() -> Bounds:
    """Return the bounds that this process's limit on descriptors allows."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    fits = MOST if limit == resource.RLIM_INFINITY else limit // (2 * _DESCRIPTORS_EACH)
    most = max(16, min(MOST, fits))
    return Bounds(most, min(MOST_OF_SOURCE, max(8, most // 2)))


class Connection(Protocol):
    """A connection as far as it is minded here. Times are the loop's."""

    @property
    def source(self) -> str:
        """The address it comes from; empty where there is none."""
        ...

    @property
    def idle_since(self) -> float | None:
        """Since when it has nothing to answer; None while it has."""
        ...

    @property
    def body_since(self) -> float | None:
        """When the last of a body came whose rest is awaited; None where none is."""
        ...

    @property
    def unsent(self) -> int:
        """Bytes written that the other side has not taken yet."""
        ...

    def end(self) -> None:
        """Close it, or break it off where something is still to be sent."""
        ...


@dataclass(slots=True)
class _Stay:
    source: str
    unsent: int = 0
    moved: float = 0.0


class Door:
    """The connections of one server. Call it from the loop."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._stays: dict[Connection, _Stay] = {}
        self._by_source: dict[str, set[Connection]] = {}
        self._refused = float("-inf")
        self._look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._stays)

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in, where need be in the place of an idle one; tell whether it may stay."""
        source = _household_of(connection.source)
        if not self._has_room(source):
            self._tell(source)
            return False
        self._stays[connection] = _Stay(source)
        self._by_source.setdefault(source, set()).add(connection)
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look_round)
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection. Idempotent."""
        stay = self._stays.pop(connection, None)
        if stay is None:
            return
        theirs = self._by_source[stay.source]
        theirs.discard(connection)
        if not theirs:
            del self._by_source[stay.source]
        if not self._stays and self._look is not None:
            self._look.cancel()
            self._look = None

    # Room

    def _has_room(self, source: str) -> bool:
        theirs = self._by_source.get(source, set())
        if source == _HERE:
            return len(theirs) < self._bounds.most or self._make_room((theirs,))
        if len(theirs) >= self._bounds.of_source:
            return self._make_room((theirs,))
        others = [found for name, found in self._by_source.items() if name != _HERE]
        if sum(map(len, others)) < self._bounds.most:
            return True
        return self._make_room(sorted(others, key=len, reverse=True))

    def _make_room(self, groups: "list[set[Connection]] | tuple[set[Connection], ...]") -> bool:
        """End the connection that has been idle longest, in the first group that has one."""
        for group in groups:
            idle = [(since, id(c), c) for c in group if (since := c.idle_since) is not None]
            if idle:
                longest = min(idle)[2]
                self.leave(longest)
                longest.end()
                return True
        return False

    def _tell(self, source: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._refused > _QUIET_SECONDS:
            count = len(self._by_source.get(source, ()))
            _log.warning(
                "%s is refused: it has %d connections, others have %d, and none is idle",
                source,
                count,
                len(self._stays) - count,
            )
        self._refused = now

    # What does not move

    def _look_round(self) -> None:
        loop = asyncio.get_running_loop()
        self._look = loop.call_later(LOOK_SECONDS, self._look_round)
        now = loop.time()
        for connection, stay in list(self._stays.items()):
            unsent, body = connection.unsent, connection.body_since
            if not unsent or unsent != stay.unsent:
                stay.unsent, stay.moved = unsent, now
            elif now - stay.moved >= STALLED_SECONDS:
                connection.end()
            if body is not None and now - body >= BODY_SECONDS:
                connection.end()


_HERE = "this machine"


def _household_of(source: str) -> str:
    """Return by what a source is counted: this machine's own addresses are one."""
    try:
        found = ip_address(source.partition("%")[0])
    except ValueError:
        return source or _HERE
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return _HERE if found.is_loopback else str(found)
