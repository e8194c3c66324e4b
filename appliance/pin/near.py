"""Pins whose every byte can come from a server on the LAN: that crosses no uplink, so they go on while a budget of
transfer for the internet is used up. This module knows which.

They come by HTTP ranges then, checked against their hashes: the fetcher sees where each connection goes, and holds back
what would come from elsewhere. libtorrent cannot take from the LAN alone for one torrent: a limit on the torrent stops
its neighbours too, and without one internet peers would give up to what they are left for talking.
"""

from collections.abc import Iterable

from appliance.domain.catalogue import VideoRecord
from appliance.domain.pin import Pin
from appliance.domain.units import Origin, VideoId
from appliance.domain.video import RenditionKind
from appliance.outbound.fetch import Fetcher
from appliance.pin.holding import Holding


class Near:
    """``videos`` are those that may go on. What is known holds until ``forget``, once there is a budget again."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self.videos: frozenset[VideoId] = frozenset()
        self._tried: set[VideoId] = set()
        self._origins: dict[Origin, bool] = {}

    def forget(self) -> None:
        self.videos, self._tried, self._origins = frozenset(), set(), {}

    async def let_on(self, video: VideoId, holding: Holding) -> bool:
        """Tell whether a video that is being fetched may go on as it is: by ranges, from the LAN."""
        if holding.info_hashes or not await self._all_near(f.url for r in holding.opened.renditions for f in r.files):
            return False
        self.videos |= {video}
        return True

    async def among(self, waiting: Iterable[tuple[VideoId, Origin]]) -> frozenset[VideoId]:
        """Return those that wait in vain, as far as their origin tells: each is let on once."""
        found = set()
        for video, origin in waiting:
            if video not in self._tried and await self._is_near(origin):
                found.add(video)
        self._tried |= found
        self.videos |= found
        return frozenset(found)

    async def may_come(self, pin: Pin, record: VideoRecord) -> bool:
        """Tell whether all files that a pin wants lie on the LAN, and can be checked without their torrents."""
        wanted = [r for r in record.renditions if r.name in pin.renditions]
        may = bool(wanted) and all(r.torrent is None or r.kind is RenditionKind.HLS for r in wanted)
        may = may and await self._is_near(record.summary.origin) and await self._all_near(r.file_url for r in wanted)
        self._tried.add(pin.video)
        self.videos = self.videos | {pin.video} if may else self.videos - {pin.video}
        return may

    async def _is_near(self, origin: Origin) -> bool:
        if origin not in self._origins:
            self._origins[origin] = await self._fetcher.stays_on_lan(f"https://{origin}")
        return self._origins[origin]

    async def _all_near(self, addresses: Iterable[str]) -> bool:
        for address in addresses:
            if not await self._fetcher.stays_on_lan(address):
                return False
        return True
