"""Bytes that cross a wire, by who is at the other end. This module names classes, limits and the week."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from appliance.domain.units import ByteCount, BytesPerSecond, RenditionName, VideoId


class TrafficClass(StrEnum):
    """``LAN_PEERS`` are whoever we trade with on the LAN: a server there that we take from over HTTP too."""

    INTERNET_PEERS = "internet_peers"
    LAN_PEERS = "lan_peers"
    LAN_PLAYERS = "lan_players"
    WAN_PLAYERS = "wan_players"
    ORIGINS = "origins"


@dataclass(frozen=True, slots=True)
class Budget:
    """What the owner lets us spend, in bytes/s; ``None`` is unlimited, 0 stops. LAN limits bind LAN peers only."""

    upload: BytesPerSecond | None = None
    download: BytesPerSecond | None = None
    lan_upload: BytesPerSecond | None = None
    lan_download: BytesPerSecond | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Bytes given (``up``) and taken (``down``) on one UTC day for one rendition and class.

    ``video`` and ``rendition`` are empty for what belongs to no video (listings, feeds).
    """

    day: date
    video: VideoId
    rendition: RenditionName
    traffic: TrafficClass
    up: ByteCount
    down: ByteCount


UPLINK_UP = frozenset({TrafficClass.INTERNET_PEERS, TrafficClass.WAN_PLAYERS})
UPLINK_DOWN = frozenset({TrafficClass.INTERNET_PEERS, TrafficClass.ORIGINS})
"""What crosses the uplink, and so what budgets of transfer count. What stays on the LAN never does."""


class Profile(StrEnum):
    """How much of the uplink may be used in an hour of the week."""

    FULL = "full"
    POLITE = "polite"
    NIGHT = "night"
    OFF = "off"


WEEK_HOURS = 168
_LETTERS = {profile.value[0]: profile for profile in Profile}


class BadWeek(ValueError):
    """A text that is no week."""


@dataclass(frozen=True, slots=True)
class Week:
    """The profile of each hour in local time, Monday 00:00 to 01:00 first."""

    hours: tuple[Profile, ...] = (Profile.FULL,) * WEEK_HOURS

    def at(self, weekday: int, hour: int) -> Profile:
        """Return the profile of an hour (0 to 23) of a day (Monday is 0)."""
        return self.hours[weekday * 24 + hour]

    def painted(self, hours: frozenset[int], profile: Profile) -> "Week":
        """Return the week with these hours (0 to 167) in another profile."""
        return Week(tuple(profile if n in hours else was for n, was in enumerate(self.hours)))

    def text(self) -> str:
        """Return seven words of 24 letters, Monday first: f(ull), p(olite), n(ight), o(ff); empty where all is full."""
        if self == Week():
            return ""
        letters = "".join(profile.value[0] for profile in self.hours)
        return " ".join(letters[n : n + 24] for n in range(0, WEEK_HOURS, 24))


def week_of(text: str) -> Week:
    """Return the week that ``Week.text`` wrote; blanks, commas and line ends between letters are ignored.

    Raises BadWeek with what is wrong.
    """
    letters = "".join(text.replace(",", " ").split()).lower()
    if not letters:
        return Week()
    for letter in letters:
        if letter not in _LETTERS:
            raise BadWeek(f"{letter!r} is not one of f, p, n and o")
    if len(letters) != WEEK_HOURS:
        raise BadWeek(f"it has {len(letters)} hours instead of {WEEK_HOURS}")
    return Week(tuple(_LETTERS[letter] for letter in letters))


@dataclass(frozen=True, slots=True)
class Quota:
    """What pinning may still take: ``left`` bytes until ``reset``.

    Once nothing may be taken now, ``why`` says so in a sentence and ``again`` is when that ends.
    """

    left: ByteCount
    reset: datetime
    why: str = ""
    again: datetime | None = None
