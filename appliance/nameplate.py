"""What this box is called on the household's network, and the address it is reached at: this module knows both.

The name is announced over mDNS; where another machine has it already, ours gets a number.
"""

from collections.abc import Callable

from appliance.lan.mdns import Announcement, Mdns
from appliance.lan.watch import HouseholdWatch
from appliance.settings import Settings


class Nameplate:
    """See the module. ``port`` is the web server's, ``version`` the program's."""

    def __init__(
        self,
        network: HouseholdWatch,
        settings: Callable[[], Settings],
        library_id: str,
        version: str,
        chance: Callable[[], float],
    ) -> None:
        self._network, self._settings, self._chance = network, settings, chance
        self._library_id, self._version = library_id, version
        self._mdns: Mdns | None = None
        self.port = settings().web.port

    def announcing(self) -> Mdns:
        """Return what announces the name while it is entered."""
        said = Announcement(self._settings().lan.name, self.port, self._library_id, self._version, tls=False)
        self._mdns = Mdns(said, self._network, self._chance)
        return self._mdns

    def local_name(self) -> str | None:
        """Return the ``.local`` name that is announced now, if any."""
        announced = None if self._mdns is None else self._mdns.announced
        return None if announced is None else announced.host.rstrip(".")

    def screen_name(self) -> str:
        """Return what televisions show: the name as it is announced, so that two boxes can be told apart."""
        said = (self.local_name() or self._settings().lan.name).removesuffix(".local")
        return said[:1].upper() + said[1:]

    def hosts(self) -> frozenset[str]:
        """Return every name and address that is us on this network."""
        names = {f"{self._settings().lan.name}.local", *map(str, self._network.household.addresses())}
        if (announced := self.local_name()) is not None:
            names.add(announced)
        return frozenset(names)

    def address(self) -> str:
        """Return the address that screens on this network reach the dashboard at, or loopback's."""
        addresses = self._network.household.addresses()
        host = str(addresses[0]) if addresses else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
