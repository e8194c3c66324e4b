"""The world now, gathered for a policy: catalogue, disk, who watches. This module makes the snapshot."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from statistics import median

from appliance.clock import Clock
from appliance.domain.plan import Candidate, Disk, World
from appliance.domain.units import ByteCount, ChannelId, VideoId
from appliance.store import census
from appliance.store.engine import Store
from appliance.store.leases import Leases

HISTORY = timedelta(days=14)
"""How far back observed views are read."""


def bitrates(videos: tuple[Candidate, ...]) -> Mapping[ChannelId, Mapping[int, int]]:
    """Return the median bits/s by channel and height in pixels, of the renditions whose size is known."""
    rates: dict[ChannelId, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for video in videos:
        if video.duration <= 0:
            continue
        for rendition in video.renditions:
            for channel in video.channels:
                rates[channel][rendition.height].append(rendition.size * 8 // video.duration)
    return {
        channel: {height: int(median(known)) for height, known in by_height.items()}
        for channel, by_height in rates.items()
    }


async def take(
    store: Store, leases: Leases, disk: Disk, clock: Clock, *, web_videos: bool, protect_after: timedelta
) -> World:
    """Return all that a policy may look at, frozen now.

    What is cached counts as free, and so do copies for televisions: they go where a pin comes.
    """
    leased: frozenset[VideoId] = frozenset(lease.video for lease in leases.every())

    videos = await store.read(census.candidates, clock.now() - HISTORY, leased, web_videos, clock.now())
    rates = await asyncio.to_thread(bitrates, videos)
    disk = replace(disk, free=ByteCount(disk.free + disk.cached + disk.copies))
    return World(videos=videos, disk=disk, bitrates=rates, protect_after=protect_after)
