"""A screen in the house as we have seen it: this module says what it asked us for, when, and what it fetched.

All that a screen says of itself is a stranger's text: it is bounded and printable here, and believed nowhere.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.domain.units import ByteCount, VideoId

MOST_AGENT = 160
"""Letters of a screen's own name for itself at most."""


class Act(StrEnum):
    """What a screen did with us, from the first step of finding us to the last."""

    SEARCHED = "searched"
    DESCRIBED = "described"
    """It read the description: it has found us."""
    SUBSCRIBED = "subscribed"
    BROWSED = "browsed"
    FETCHED = "fetched"
    """It took media."""


@dataclass(frozen=True, slots=True)
class Deed:
    """How often a screen did something, and when last."""

    count: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Fetched:
    """A video of which a screen took ``size`` bytes, together, and when last."""

    video: VideoId
    size: ByteCount
    last: datetime


@dataclass(frozen=True, slots=True)
class Sighting:
    """One address on the household's network. ``agents``: what it called itself, the latest first; ``fetched`` too."""

    address: str
    first: datetime
    last: datetime
    agents: tuple[str, ...] = ()
    deeds: tuple[tuple[Act, Deed], ...] = ()
    fetched: tuple[Fetched, ...] = ()

    @property
    def farthest(self) -> Act:
        """The last step that it came to."""
        return max((act for act, _ in self.deeds), key=list(Act).index, default=Act.SEARCHED)


FAMILIES = (
    (("sec_hhp", "[tv] samsung", "tizen"), "Samsung television"),
    (("lge_dlna", "lge;", "webos", "lg electronics", "netcast"), "LG television"),
    (("bravia", "sony"), "Sony television"),
    (("panasonic", "viera"), "Panasonic television"),
    (("philips", "nettv"), "Philips television"),
    (("hisense", "vidaa"), "Hisense television"),
    (("sharp", "aquos"), "Sharp television"),
    (("roku",), "Roku"),
    (("xbox",), "Xbox"),
    (("playstation", "ps4", "ps5"), "PlayStation"),
    (("crkey", "chromecast"), "Chromecast"),
    (("appletv", "apple tv"), "Apple TV"),
    (("aftb", "aftm", "aftt", "fire tv"), "Fire TV"),
    (("bubbleupnp",), "BubbleUPnP"),
    (("kodi", "xbmc"), "Kodi"),
    (("vlc", "libvlc"), "VLC"),
    (("mpv",), "mpv"),
    (("gupnp", "gssdp", "rygel"), "A GNOME program"),
    (("windows-media", "wmp", "microsoft-windows"), "Windows Media Player"),
    (("android",), "Android"),
    (("iphone", "ipad", "cfnetwork", "darwin"), "iPhone, iPad or Mac"),
    (("gstreamer", "lavf", "libavformat", "ffmpeg"), "A media player"),
    (("mozilla",), "A browser"),
)
"""What parts of a User-Agent, in small letters, say of who it may be; the first that fits. A guess, for people."""


def family(agents: tuple[str, ...]) -> str:
    """Guess who somebody is from what it called itself; empty where nothing fits. Any of its names may tell most."""
    texts = [agent.lower() for agent in agents]
    for parts, name in FAMILIES:
        if any(part in text for text in texts for part in parts):
            return name
    return ""


def tidied(agent: str) -> str:
    """Return what somebody called itself, bounded and printable."""
    return " ".join("".join(c if c.isprintable() else " " for c in agent[: 4 * MOST_AGENT]).split())[:MOST_AGENT]
