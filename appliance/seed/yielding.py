"""Yields to the household: feels the way to the internet while we send, and says what may be sent. This module is the
loop; what it means is ``brake``'s.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.clock import Clock
from appliance.domain.units import BytesPerSecond, Origin
from appliance.lan import hops
from appliance.seed.brake import LEAST, Brake, Sign
from appliance.store import channels, origins
from appliance.store.engine import Store

_log = logging.getLogger(__name__)

_STEP = 1.0
_CALM = 30.0
"""Seconds between two looks while we send next to nothing: enough to know the quiet value."""
_SENDING = 4 * 1024
"""Bytes/s from which on what we send can be in anyone's way."""
_RELIABLE = 0.9
"""The share of probes answered while we send nothing, from which on a lost one means a full queue."""
_LOST = 1.0
_ANEW = 3600.0
"""Seconds after which the way to the target is looked at again."""


@dataclass(frozen=True, slots=True)
class YieldingOptions:
    """``to_players``: hold back while a screen in the house plays; ``to_household``: while packets wait in the router.

    ``host`` is whom the probes are addressed to, empty: chosen by the house.
    """

    to_players: bool = True
    to_household: bool = True
    host: str = ""


@dataclass(frozen=True, slots=True)
class Sending:
    """What goes out to the internet now in bytes/s, the limit that would be in force, and whether a screen plays."""

    rate: int
    limit: int | None
    player: bool


class Yielding:
    """Run ``run`` as one task. ``target`` returns the address the probes are sent towards, None while there is none."""

    def __init__(
        self,
        clock: Clock,
        sending: Callable[[], Sending],
        target: Callable[[str], Awaitable[str | None]],
        options: YieldingOptions,
    ) -> None:
        self._clock, self._sending, self._target, self._options = clock, sending, target, options
        self._brake = Brake(listens=options.to_household)
        self._cap: int | None = LEAST if options.to_household else None
        self._way: tuple[str, int] | None = None
        self._found_at: float | None = None
        self._felt_at: float | None = None
        self._answers = 1.0
        self.wait: float | None = None

    @property
    def cap(self) -> BytesPerSecond | None:
        """What may be sent to the internet in bytes/s; None: nothing holds us back."""
        return None if self._cap is None else BytesPerSecond(self._cap)

    @property
    def why(self) -> str:
        """``wait``, ``player``, ``listening`` (also before the first second), or empty while nothing holds us back."""
        return "" if self._cap is None else self._brake.why or "listening"

    @property
    def extra(self) -> float | None:
        """Seconds that packets wait over their quiet value, as last felt; None: unknown."""
        quiet = self._brake.quiet
        return None if quiet is None or self.wait is None else max(0.0, self.wait - quiet)

    def reconfigure(self, options: YieldingOptions) -> None:
        if options.host != self._options.host:
            self._way, self._found_at = None, None
        if options != self._options:
            self._brake, self._cap = Brake(listens=options.to_household), None
        self._options = options

    async def run(self) -> None:
        """Feel and yield once a second, until cancelled."""
        while True:
            await self._clock.sleep(_STEP)
            try:
                await self._feel()
            except Exception:  # noqa: BLE001 - the edge of one unit of work: one second
                _log.exception("the household could not be felt")

    async def _feel(self) -> None:
        now, sending = self._clock.monotonic(), self._sending()
        wait = await self._wait(now, sending) if self._options.to_household else None
        if wait is not None:
            self.wait = wait
        self._brake.listens = self._options.to_household and self._way is not None
        player = sending.player and self._options.to_players
        self._cap = self._brake.feel(Sign(now, wait, sending.rate, sending.limit, player))

    async def _wait(self, now: float, sending: Sending) -> float | None:
        busy = sending.rate >= _SENDING or self._cap is not None
        if not busy and self._felt_at is not None and now - self._felt_at < _CALM:
            return None
        self._felt_at = now
        way = await self._found(now)
        if way is None:
            return None
        hop = await asyncio.to_thread(hops.measure, *way)
        if not busy:
            self._answers += ((hop is not None) - self._answers) / 4
        if hop is not None:
            return hop.seconds
        quiet = self._brake.quiet
        if busy and quiet is not None and self._answers > _RELIABLE:
            return quiet + _LOST  # who always answered and no longer does is behind a queue that drops
        return None

    async def _found(self, now: float) -> tuple[str, int] | None:
        if self._found_at is not None and now - self._found_at < (_ANEW if self._way else _CALM):
            return self._way
        self._found_at = now
        address = await self._target(self._options.host)
        self._way = None if address is None else (address, await asyncio.to_thread(hops.beyond_router, address))
        return self._way


def _name(found: Iterable[Origin]) -> str:
    return next((name for origin in found if (name := urlsplit(f"//{origin}").hostname)), "")


async def way_out(store: Store, host: str, *, allow_private: bool) -> str | None:
    """Return the address of ``host``, or of the first origin that is followed or known; None where there is none.

    Probes go towards it and die on the way. An address that is not of the internet says nothing of the way there, so
    without ``allow_private`` it is none.
    """
    if not host:
        followed = [c.info.address.origin for c in await store.read(channels.every)]
        host = _name((*followed, *sorted(await store.read(origins.states))))
    if not host:
        return None
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 9, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    addresses = [str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0])]
    return next((a for a in addresses if allow_private or ipaddress.ip_address(a.partition("%")[0]).is_global), None)
