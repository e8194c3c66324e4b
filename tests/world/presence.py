"""A network on which nothing happens but what a test says: this module stands in for ``web.services.Presence``."""

from dataclasses import dataclass, field

from appliance.domain.screen import Act, Sighting
from appliance.lan.doctor import Finding
from appliance.lan.ssdp_look import Renderer


@dataclass(slots=True)
class StillPresence:
    """``saws`` are the deeds that were told of."""

    local_name: str | None = None
    screens: tuple[Sighting, ...] = ()
    findings: tuple[Finding, ...] = ()
    renderers: tuple[Renderer, ...] = ()
    saws: list[tuple[str, Act, str]] = field(default_factory=list)

    def sightings(self) -> tuple[Sighting, ...]:
        return self.screens

    def saw(self, address: str, act: Act, agent: str) -> None:
        self.saws.append((address, act, agent))

    async def examine(self) -> tuple[Finding, ...]:
        return self.findings

    async def look(self) -> tuple[Renderer, ...]:
        return self.renderers
