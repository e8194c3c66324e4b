"""The units every number carries, and the names that identify things: this module defines both.

A bare ``int`` of bytes and one of bytes/s look alike; these types keep them apart.
"""

import base64
import hashlib
from typing import NewType

ByteCount = NewType("ByteCount", int)
BytesPerSecond = NewType("BytesPerSecond", int)
PieceIndex = NewType("PieceIndex", int)

InfoHash = NewType("InfoHash", str)
"""BitTorrent v1 info-hash, 40 lower-case hex digits (BEP 3)."""

Origin = NewType("Origin", str)
"""The host a video comes from, lower case, with ``:port`` where it is not the scheme's own."""

ChannelId = NewType("ChannelId", str)
VideoId = NewType("VideoId", str)
RuleId = NewType("RuleId", str)
RenditionName = NewType("RenditionName", str)
"""A rendition's stable short name, unique in its video: ``720p``, ``720p60``, ``360p-web``, ``audio``."""

KIB = 1024
MIB = 1024 * 1024
GIB = 1024 * 1024 * 1024


def derived_id(*parts: str) -> str:
    """Return the 16-character id of what ``parts`` name, the same on every box.

    Ids are derived, not counted, so that a rebuilt catalogue and a second box agree.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.b32encode(digest).decode("ascii").lower()[:16]


def video_id(origin: Origin, uuid: str) -> VideoId:
    """Return the id of the video that ``origin`` calls ``uuid``."""
    return VideoId(derived_id(origin, uuid))


def channel_id(origin: Origin, kind: str, name: str) -> ChannelId:
    """Return the id of a channel: its origin, its kind (``channel``, ``account``, ``instance``) and its name there."""
    return ChannelId(derived_id(origin, kind, name))
