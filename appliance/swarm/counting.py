"""Looking at connections while something crosses the wire: this module feeds ``traffic`` from libtorrent."""

import asyncio
from functools import partial

from appliance.swarm.engine import Engine
from appliance.swarm.held import Held
from appliance.swarm.traffic import PeerTotals, Traffic


class Counting:
    """Counts torrents whose totals moved. One look at a time: the next one makes up for what was left out."""

    def __init__(self, engine: Engine, traffic: Traffic) -> None:
        self._engine, self._traffic = engine, traffic
        self._looking = asyncio.Lock()

    def moved(self, held: Held) -> bool:
        return self._traffic.moved(held.info_hash, held.numbers.total_up, held.numbers.total_down)

    async def look(self, moved: list[Held]) -> None:
        """Share what just crossed the wire among the classes."""
        if self._looking.locked():
            return
        async with self._looking:
            for held in moved:
                numbers, handle = held.numbers, held.handle
                peers = await self._engine.in_thread(partial(_peers_of, held))
                if held.handle is handle and not held.closing:
                    self._traffic.count(held.info_hash, numbers.total_up, numbers.total_down, peers)

    async def settle(self, held: Held) -> None:
        """Bring a torrent's count up to this moment, before its totals go."""
        await self._engine.refresh()
        if self.moved(held):
            peers = await self._engine.in_thread(partial(_peers_of, held))
            self._traffic.count(held.info_hash, held.numbers.total_up, held.numbers.total_down, peers)

    def forget(self, held: Held) -> None:
        self._traffic.forget(held.info_hash)


def _peers_of(held: Held) -> list[PeerTotals]:
    try:
        infos = held.handle.get_peer_info()
    except RuntimeError:  # the torrent just went
        return []
    return [
        PeerTotals((p.ip[0], p.ip[1]), p.total_upload, p.total_download, p.connection_type != p.standard_bittorrent)
        for p in infos
    ]
