"""The house as its network sees it: announced over SSDP, who was seen there, the doctor. This module is its part of it.

It is what the web knows as ``web.services.Presence``.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from appliance.clock import Clock
from appliance.domain.screen import Act, Sighting
from appliance.domain.units import VideoId
from appliance.lan import doctor, ssdp_look
from appliance.lan.doctor import Finding, Known
from appliance.lan.interfaces import is_loopback, parsed
from appliance.lan.notify import Callback, notify
from appliance.lan.ssdp import Heard, Ssdp
from appliance.lan.ssdp_look import Renderer
from appliance.lan.ssdp_messages import Advert
from appliance.lan.watch import HouseholdWatch
from appliance.settings import Settings
from appliance.store.sightings import Sightings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of the box on the network. ``ident`` is the device's UUID, ``version`` the program's."""

    ident: str
    version: str

    @property
    def agent(self) -> str:
        """How our own searches call us."""
        return f"Linux UPnP/1.1 Seedkeep/{self.version}"


class Presence:
    """See the module. ``host`` tells the ``.local`` name that is announced now, if any."""

    def __init__(
        self,
        said: Said,
        network: HouseholdWatch,
        settings: Callable[[], Settings],
        host: Callable[[], str | None],
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._said, self._network, self._settings = said, network, settings
        self._host, self._clock, self._chance = host, clock, chance
        self._sightings = Sightings(clock)
        self._ssdp: Ssdp | None = None
        self._since, self._port, self._searched = clock.monotonic(), 0, 0
        self._shown = _is_shown(settings())
        self._examined = _Shared(self._examine)
        self._looked = _Shared(self._look)

    def announcing(self, port: int) -> Ssdp:
        """Return what announces the web server at ``port`` to televisions while it is entered."""
        settings = self._settings()
        advert = Advert(self._said.ident, port, server=f"Linux/1 UPnP/1.1 Seedkeep/{self._said.version}")
        self._since, self._port, self._shown = self._clock.monotonic(), port, _is_shown(settings)
        self._ssdp = Ssdp(
            advert,
            self._network,
            self._heard,
            self._clock,
            self._chance,
            on=self._shown,
            listens=settings.web.host,
        )
        return self._ssdp

    def reconfigure(self, settings: Settings) -> None:
        """Take changed settings: televisions are told at once where it concerns them."""
        shown = _is_shown(settings)
        if self._ssdp is not None and shown != self._shown:
            self._ssdp.reconfigure(on=shown)
        self._shown = shown

    async def tell(self, callback: Callback, headers: tuple[tuple[str, str], ...], body: bytes) -> bool:
        """Tell a subscriber what changed, as ``notify`` does: not while televisions may not be here at all, and nobody
        who is of our network no longer."""
        near = is_loopback(callback.host) or self._network.household.is_lan(callback.host)
        return self._shown and near and await notify(callback, headers, body)

    @property
    def local_name(self) -> str | None:
        return self._host()

    def sightings(self) -> tuple[Sighting, ...]:
        return self._sightings.every()

    def saw(self, address: str, act: Act, agent: str) -> None:
        self._sightings.saw(address, act, agent)

    def fetched(self, address: str, video: VideoId, size: int) -> None:
        self._sightings.fetched(address, video, size)

    async def examine(self) -> tuple[Finding, ...]:
        return await self._examined.now()

    async def look(self) -> tuple[Renderer, ...]:
        return await self._looked.now()

    def _heard(self, by: Heard) -> None:
        ours = by.agent == self._said.agent and parsed(by.address) in self._network.household.addresses()
        if not ours:  # the doctor's own search is nobody's
            self._searched += 1
            self._sightings.saw(by.address, Act.SEARCHED, by.agent)

    async def _examine(self) -> tuple[Finding, ...]:
        settings = self._settings()
        known = Known(
            home=self._network.household,
            listens=settings.web.host,
            port=self._port or settings.web.port,
            dlna=settings.lan.dlna,
            play=settings.web.play_without_login,
            mdns=settings.lan.mdns,
            name=settings.lan.name,
            host=self._host(),
            standing=self._ssdp.standing() if self._ssdp is not None else None,
            seconds=self._clock.monotonic() - self._since,
            searched=self._searched,
            ident=self._said.ident,
        )
        return await asyncio.to_thread(doctor.examine, known, self._said.agent)

    async def _look(self) -> tuple[Renderer, ...]:
        return await asyncio.to_thread(partial(ssdp_look.look, self._network.household, self._said.agent))


def _is_shown(settings: Settings) -> bool:
    """Whether televisions are told of the box: not where it would refuse them, which have no login."""
    return settings.lan.dlna and settings.web.play_without_login


class _Shared(Generic[T]):
    """Work of some seconds that is done once for all who ask for it meanwhile."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._running: asyncio.Task[T] | None = None

    async def now(self) -> T:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._work(), name="a look at the network")
        return await asyncio.shield(self._running)
