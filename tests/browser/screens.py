"""The screens of the sample, and what its doctor found: this module makes the network that pages are looked at with."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from appliance.clock import ManualClock
from appliance.domain.pin import PinState
from appliance.domain.plan import Verdict
from appliance.domain.screen import Act, Sighting
from appliance.domain.units import VideoId
from appliance.lan.doctor import Code, Finding, Severity
from appliance.lan.ssdp_look import Renderer
from appliance.store.leases import Leases
from appliance.store.sightings import Sightings
from tests.browser.sample import Amount, Made
from tests.world.presence import StillPresence

_WAY = (Act.SEARCHED, Act.DESCRIBED, Act.SUBSCRIBED, Act.BROWSED, Act.FETCHED)
_SEEN = (
    ("192.168.1.60", "Linux/9 UPnP/1.0 PROTOTYPE/1.0", 1, 0, timedelta(days=2)),
    ("192.168.1.44", "", 1, 0, timedelta(hours=9)),
    ("192.168.1.51", "Xbox/10.0.26100 UPnP/1.0 Xbox/10.0", 2, 0, timedelta(hours=5)),
    ("192.168.1.23", "UPnP/1.0 DLNADOC/1.50 LGE_DLNA_SDK/1.6.0", 4, 0, timedelta(hours=2)),
    (
        "fe80::5054:ff:fe12:3456",
        "Kodi/21.0 (Linux; Debian) App_Bitness/64",
        5,
        1,
        timedelta(0),
    ),
    ("192.168.1.77", "DLNADOC/1.50 SEC_HHP_[TV] Samsung Q7 Series (55)/1.0 " + "x" * 90, 5, 5, timedelta(minutes=12)),
    (
        "192.168.1.12",
        "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
        5,
        2,
        timedelta(seconds=4),
    ),
)
_FINE = (
    Finding(Code.LISTENS, Severity.OK, facts={"listens": "0.0.0.0", "port": 7333}),
    Finding(Code.ANSWERS, Severity.OK, "eth0", {"address": "192.168.1.5", "why": ""}),
    Finding(Code.PORT_OURS, Severity.OK, facts={"port": 1900}),
    Finding(Code.PORT_SHARED, Severity.OK, facts={"port": 5353, "program": "avahi-daemon", "user": "avahi"}),
    Finding(Code.FIREWALL_UNSEEN, Severity.OK, facts={"program": "", "port": 7333}),
    Finding(Code.IPV6, Severity.OK),
    Finding(Code.NAME, Severity.OK, facts={"host": "seedkeep.local"}),
)
_BAD = (
    Finding(Code.LOGIN_NEEDED, Severity.TROUBLE),
    Finding(Code.NO_ECHO, Severity.TROUBLE, "wlan0", {"address": "192.168.2.5", "why": ""}),
    Finding(Code.SNOOPING, Severity.HINT, "br0"),
    Finding(Code.NAME_TAKEN, Severity.HINT, facts={"wished": "seedkeep.local", "host": "seedkeep-2.local"}),
    Finding(Code.FIREWALL_UNSEEN, Severity.HINT, facts={"program": "ufw", "port": 7333}),
)
_RENDERERS = (
    Renderer("192.168.1.77", "[TV] Wohnzimmer", "QE55Q7F", "Samsung-Linux/4.1 UPnP/1.0 Samsung/1.0"),
    Renderer("192.168.1.31", "", "", "Linux/2.6 UPnP/1.0 SonyBravia"),
    Renderer("192.168.1.90", "Kitchen" + " radio" * 12, "A model of a very long name indeed, longer than a line", ""),
)


class _Still:
    """A clock that stands: leases taken by it do not end."""

    def __init__(self, monotonic: float) -> None:
        self._monotonic = monotonic

    def now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC)

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def watching(amount: Amount, now: float, made: Made) -> Leases:
    """Return who plays in the sample: a television, a browser, somebody elsewhere."""
    clock = _Still(now - 740)
    leases = Leases(clock)
    if amount is not Amount.MUCH:
        return leases
    pinned = [d.video for d in made.plan.decisions if d.verdict is Verdict.KEEP]
    coming = next(p.video for p in made.fetching if p.state is PinState.PINNING)
    leases.renew(pinned[0], "192.168.1.77")
    leases.renew(coming, "192.168.1.12")
    leases.renew(made.cached[0], "Grandmother’s tablet, far away from here")
    return leases


def network(amount: Amount, now: datetime, videos: Sequence[VideoId]) -> StillPresence:
    """Return the sample's network. ``videos`` are those that its screens took."""
    if amount is Amount.EMPTY:
        return StillPresence()
    if amount is Amount.LITTLE:
        return StillPresence("seedkeep.local", _sightings(now, videos)[3:4], _FINE)
    return StillPresence("seedkeep-2.local", _sightings(now, videos), (*_BAD, *_FINE[:-1]), _RENDERERS)


def _sightings(now: datetime, videos: Sequence[VideoId]) -> tuple[Sighting, ...]:
    clock = ManualClock(now - timedelta(days=3))
    kept = Sightings(clock)
    for n in range(9):
        clock.set(now - timedelta(days=2, hours=n))
        kept.saw(f"192.168.1.{100 + n}", Act.SEARCHED)
    for address, agent, far, took, before in sorted(_SEEN, key=lambda seen: -seen[4]):
        clock.set(now - before)
        for act in _WAY[-1:] if "Mozilla" in agent else _WAY[:far]:
            kept.saw(address, act, agent)
        for at, video in enumerate((*videos[:took], *([VideoId("gone")] if took > 3 else []))):
            kept.fetched(address, video, 1_400_000_000 // (at + 1))
    return kept.every()
