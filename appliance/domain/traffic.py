"""Bytes that cross a wire, by who is at the other end. This module names the classes and the limits."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from appliance.domain.units import ByteCount, BytesPerSecond, RenditionName, VideoId


class TrafficClass(StrEnum):
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
