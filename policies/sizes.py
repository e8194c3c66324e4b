"""How many bytes a video will take: known from its renditions, or estimated until its origin was asked.

An estimate is the duration times the median bitrate of its channel at the height wanted; a channel of which nothing
is known yet is taken to encode as PeerTube does by default. This module says which, and how much.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.domain.plan import Candidate
from appliance.domain.units import ByteCount, ChannelId, RenditionName
from appliance.domain.video import Rendition
from policies.renditions import HAND_PIN_HEIGHT, chosen

Bitrates = Mapping[ChannelId, Mapping[int, int]]

USUAL_BITRATES = {
    0: 128_000,
    144: 250_000,
    240: 400_000,
    360: 700_000,
    480: 1_100_000,
    720: 2_200_000,
    1080: 4_200_000,
    1440: 7_500_000,
    2160: 14_000_000,
}
"""Bits/s by height of a common upload at 25 to 30 frames/s, sound included."""

UNKNOWN_DURATION = 600
"""Seconds a video is taken to last where its listing says 0."""

UNASKED_HEIGHT = HAND_PIN_HEIGHT
"""The height a video of unknown renditions is taken to have where its rule sets no bound."""


SMALLEST_HEIGHT = 240
"""The height the smallest of unknown renditions is taken to have."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The renditions wanted of a video and their size together in bytes; ``names`` is empty while unknown."""

    names: tuple[RenditionName, ...]
    size: ByteCount
    estimated: bool = False


def choice(video: Candidate, max_height: int | None, bitrates: Bitrates, *, smallest: bool = False) -> Choice | None:
    """Return what to keep of the video, or None where it has no rendition within ``max_height``."""
    if not video.renditions:
        height = SMALLEST_HEIGHT if smallest and max_height is None else max_height
        return Choice((), estimate(video, height, bitrates), estimated=True)
    wanted = chosen(video.renditions, max_height, web_videos=video.web_videos, smallest=smallest)
    if not wanted:
        return None
    if len(wanted) == 1 and (only := wanted[0]).size > 0:
        return Choice((only.name,), only.size)
    names = tuple(r.name for r in wanted)
    known = sum(r.size if r.size > 0 else _guess(video, r, bitrates) for r in wanted)
    return Choice(names, ByteCount(known), estimated=any(r.size <= 0 for r in wanted))


def as_held(video: Candidate) -> Choice:
    """Return what is held of a held video as the choice to keep just that."""
    assert video.held is not None
    return Choice(video.held.renditions, video.held.size)


def estimate(video: Candidate, max_height: int | None, bitrates: Bitrates) -> ByteCount:
    """Return the bytes the video should take at ``max_height``; of several channels the largest bitrate counts."""
    height = UNASKED_HEIGHT if max_height is None else max_height
    known = [rate for channel in video.channels if (rate := _rate(bitrates.get(channel, {}), height)) is not None]
    rate = max(known) if known else _rate(USUAL_BITRATES, height) or USUAL_BITRATES[0]
    return ByteCount((video.duration or UNKNOWN_DURATION) * rate // 8)


def _guess(video: Candidate, rendition: Rendition, bitrates: Bitrates) -> int:
    return estimate(video, rendition.height, bitrates)


def _rate(by_height: Mapping[int, int], height: int) -> int | None:
    """Return the bitrate of the greatest height known that is at most ``height``."""
    heights = sorted(by_height)
    at = bisect_right(heights, height)
    return by_height[heights[at - 1]] if at else None
