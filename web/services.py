"""What the web asks of the house. The daemon builds it; this module says what it must hold.

The verbs stand here as protocols, so that a page can be tried without a swarm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from appliance.book import Option, Source
from appliance.clock import Clock
from appliance.domain.catalogue import OriginToday
from appliance.domain.channel import Portrait
from appliance.domain.export import Export
from appliance.domain.pin import PinState
from appliance.domain.plan import Disk, Plan, Rule
from appliance.domain.screen import Act, Sighting
from appliance.domain.shelf import Shelf
from appliance.domain.television import TelevisionCopy
from appliance.domain.traffic import Budget
from appliance.domain.units import ByteCount, BytesPerSecond, ChannelId, VideoId
from appliance.lan.doctor import Finding
from appliance.lan.ssdp_look import Renderer
from appliance.seed.schedule import Schedule, Standing, Used
from appliance.settings import Settings
from appliance.store.engine import Store
from appliance.store.leases import Leases

__all__ = [
    "Activity",
    "Copying",
    "Exporting",
    "Followed",
    "Following",
    "Health",
    "Keeping",
    "Option",
    "Planning",
    "Presence",
    "Rates",
    "Ration",
    "Services",
    "SettingsBook",
    "Source",
    "Spending",
    "YieldsNow",
]


class Followed(Protocol):
    """What following an address came to: exactly one of the two is set; a single video became a hand pin."""

    @property
    def channel(self) -> ChannelId | None: ...

    @property
    def video(self) -> VideoId | None: ...

    @property
    def title(self) -> str: ...


class Following(Protocol):
    async def follow(self, text: str) -> Followed:
        """Resolve what a person pasted and begin. Raises BadInput, OriginError."""
        ...

    async def refresh(self, channel: ChannelId) -> None:
        """Look at a channel now."""
        ...

    async def portrait(self, channel: ChannelId) -> Portrait | None:
        """Return a channel's picture, None where there is none."""
        ...

    def origins(self) -> tuple[OriginToday, ...]:
        """Return what was asked of each origin today."""
        ...


class Planning(Protocol):
    def wake(self) -> None: ...

    async def run(self) -> Plan:
        """Plan now, put the plan in force, and return it."""
        ...

    async def preview(self, rules: tuple[Rule, ...]) -> Plan:
        """Return what these rules would come to, changing nothing."""
        ...

    async def kinds(self) -> frozenset[str]:
        """Return the names of all kinds that a rule may have, those of other packages too."""
        ...


class Keeping(Protocol):
    def wake(self) -> None: ...

    async def disk(self) -> Disk:
        """Return the library's disk as it is now. Raises LibraryMissing."""
        ...

    async def let_go(self, video: VideoId) -> None:
        """Delete what is held of a video only because it was watched.

        Raises SeedkeepError, with the code ``watched_now`` while somebody watches it.
        """
        ...

    async def scrub(self) -> int:
        """Have everything that is pinned hashed again; return how many videos that is."""
        ...


@dataclass(frozen=True, slots=True)
class Activity:
    """One video that is being fetched now. Rates in bytes/s; ``seconds_left`` None while unknown."""

    video: VideoId
    state: PinState
    done: ByteCount
    size: ByteCount
    download_rate: BytesPerSecond
    upload_rate: BytesPerSecond
    peers: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """The present second, bytes/s: everything over the uplink, LAN peers, LAN players."""

    up: BytesPerSecond
    down: BytesPerSecond
    lan_up: BytesPerSecond
    lan_down: BytesPerSecond
    players: BytesPerSecond
    peers: int
    torrents: int
    viewers: int


@dataclass(frozen=True, slots=True)
class YieldsNow:
    """How far the house holds its upload back for the household. ``why``: ``wait``, ``player``, ``listening`` for the
    few seconds in which it learns what packets take at rest, or empty. ``cap`` in bytes/s, None: not at all. ``wait``
    in seconds that packets wait in the router over their quiet value, as last felt, None: unknown."""

    why: str = ""
    cap: BytesPerSecond | None = None
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Ration:
    """What may cross the uplink and what did: all that the bandwidth page shows. ``hours``: bytes up and down."""

    schedule: Schedule
    standing: Standing
    used: Used
    hours: Mapping[datetime, tuple[int, int]]
    now: datetime
    yielding: YieldsNow = YieldsNow()


class Spending(Protocol):
    def rates(self) -> Rates: ...

    def ration(self) -> Ration: ...

    async def be_quiet(self, length: timedelta) -> None:
        """Let nothing cross the uplink for a while. Raises BadInput that names ``hours``."""
        ...

    async def end_quiet(self) -> None: ...

    def activity(self) -> tuple[Activity, ...]: ...

    @property
    def budget(self) -> Budget: ...

    async def flush(self) -> None:
        """Write the ledger's last minute down, so that a page shows it."""
        ...


class Exporting(Protocol):
    def exports(self) -> tuple[Export, ...]:
        """Return the exports since the start, the latest first."""
        ...

    async def begin(self, channel: ChannelId, folder: str = "") -> Export:
        """Queue a channel's export into a folder below the one for exports. Raises BadInput."""
        ...


class Copying(Protocol):
    def status(self, video: VideoId) -> TelevisionCopy | None:
        """Return how far a video's copy for televisions is, None where it gets none."""
        ...


class Presence(Protocol):
    """The household's network: which screens were seen on it, and whether they find us."""

    @property
    def local_name(self) -> str | None:
        """Return the ``.local`` name that is announced now, None while there is none."""
        ...

    def sightings(self) -> tuple[Sighting, ...]:
        """Return the screens that were seen since the start, the latest first."""
        ...

    def saw(self, address: str, act: Act, agent: str) -> None:
        """Remember that a screen did something."""
        ...

    async def examine(self) -> tuple[Finding, ...]:
        """Examine the network; takes some seconds. Those who ask at the same time get the same answer."""
        ...

    async def look(self) -> tuple[Renderer, ...]:
        """Search for screens that can be sent something to play; takes some seconds, likewise."""
        ...


class SettingsBook(Protocol):
    @property
    def current(self) -> Settings: ...

    def options(self) -> tuple[Option, ...]: ...

    async def save(self, changes: Mapping[str, Any]) -> None:
        """Check the whole, save, and put in force. Raises BadInput that names the path; then nothing is changed."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """``troubles`` are plain sentences; the box is degraded while there is one."""

    ok: bool
    troubles: tuple[str, ...]
    version: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Services:
    """The house, as the web sees it. ``media`` and ``dlna`` are serve's ASGI apps; ``lan_hosts`` the names and
    addresses we are."""

    clock: Clock
    store: Store
    leases: Leases
    settings: SettingsBook
    following: Following
    planning: Planning
    keeping: Keeping
    spending: Spending
    exporting: Exporting
    presence: Presence
    shelf: Shelf
    media: Callable[..., Any]
    health: Callable[[], Health]
    lan_hosts: Callable[[], frozenset[str]]
    lan_address: Callable[[], str]
    is_lan: Callable[[str], bool]
    setup_code: Callable[[], str | None]
    dlna: Callable[..., Any] | None = None
    copying: Copying | None = None
