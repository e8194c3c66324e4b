"""What following an address came to: this module says it."""

from dataclasses import dataclass

from appliance.domain.units import ChannelId, VideoId


@dataclass(frozen=True, slots=True)
class Followed:
    """Exactly one of ``channel`` and ``video`` is set; a single video became a hand pin."""

    channel: ChannelId | None
    video: VideoId | None
    title: str
