"""Upload by need between real sessions: the only copy goes out before the popular one, and cold torrents keep quiet."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import libtorrent as lt
import pytest

from appliance.clock import RealClock
from appliance.domain.traffic import Budget
from appliance.domain.units import MIB, ByteCount, BytesPerSecond, InfoHash, RenditionName, VideoId
from appliance.seed.sharer import Sharer, SharerOptions
from appliance.store.engine import Store
from appliance.store.giving import Giving
from appliance.swarm.session import LibtorrentSwarm
from tests.swarm.test_challenge import until
from tests.swarm.test_wire import LAN, foreign, taken
from tests.swarm.torrents import KIB, Content, noise, quiet
from tests.world import peers
from tests.world.http import Reply, Request, Server
from tests.world.tracker import Tracker


class _Known:
    """A store that knows of each video what the test says."""

    def __init__(self, videos: dict[VideoId, Giving]) -> None:
        self._videos = videos

    async def read(self, *_: Any) -> dict[VideoId, Giving]:
        return self._videos


def _sharer(swarm: LibtorrentSwarm, films: dict[str, tuple[Content, int]], limit: int | None, at_once: int) -> Sharer:
    """Return a sharer of films by name, each with its copies elsewhere."""
    owners = {c.meta.info_hash: (VideoId(name), RenditionName("720p")) for name, (c, _) in films.items()}
    known = {VideoId(name): Giving(c.meta.size, ByteCount(0), copies, None) for name, (c, copies) in films.items()}
    return Sharer(
        cast(Store, _Known(known)),
        swarm,
        RealClock(),
        owners.get,
        lambda: None if limit is None else BytesPerSecond(limit),
        lambda _: False,
        SharerOptions(at_once),
    )


@pytest.mark.trial
async def test_the_only_copy_goes_out_before_the_popular_one_under_one_limit(tmp_path: Path) -> None:
    limit = 1 * MIB
    rare = Content.of({"rare.mp4": noise(4 * MIB, "rare")}, piece=64 * KIB, private=True)
    hit = Content.of({"hit.mp4": noise(16 * MIB, "hit")}, piece=64 * KIB, private=True)
    options = quiet(tmp_path / "resume", lan=LAN)
    async with AsyncExitStack() as stack:
        swarm = await stack.enter_async_context(LibtorrentSwarm(options, Budget(upload=BytesPerSecond(limit))))
        for content in (hit, rare):
            await swarm.add(content.spec(content.written(tmp_path / "media")))
            await swarm.start(content.meta.info_hash)
        here = [("127.0.0.1", await swarm.port())]
        others = [await stack.enter_async_context(foreign(f"127.0.0.{k}")) for k in range(2, 7)]
        crowd = [peers.add(s, hit.meta.raw, tmp_path / f"h{k}", peers=here) for k, s in enumerate(others[:4])]
        one = peers.add(others[4], rare.meta.raw, tmp_path / "one", peers=here)
        sharing = asyncio.create_task(_sharer(swarm, {"rare": (rare, 0), "hit": (hit, 40)}, limit, 10).run())
        await until(lambda: one.status().is_seeding, 60)
        beside = taken(crowd)
        sharing.cancel()
        # Without shares the crowd of four has four times as much by then; with them far less.
        assert beside < 1.7 * rare.meta.size
        assert beside > 0, "throttled, not stopped"
        others.clear()


async def test_of_many_torrents_a_few_announce_at_once_and_the_quiet_ones_still_give(tmp_path: Path) -> None:
    films = [Content.of({f"{k}.mp4": noise(64 * KIB, str(k))}, private=True) for k in range(6)]
    tracker = Tracker()
    tracker.public = True

    def answer(request: Request) -> Reply:
        return Reply(body=tracker.announce(request.query, request.client))

    server = Server(answer, "127.0.0.1", (0,))
    server.start()
    try:
        async with AsyncExitStack() as stack:
            swarm = await stack.enter_async_context(LibtorrentSwarm(quiet(tmp_path / "resume", lan=LAN)))
            swarm.announce(())
            url = f"http://127.0.0.1:{server.ports[0]}/announce"
            for content in films:
                await swarm.add(content.spec(content.written(tmp_path / "media"), trackers=(url,)))
                await swarm.start(content.meta.info_hash)
            named = {str(k): (content, k) for k, content in enumerate(films)}
            sharer = _sharer(swarm, named, None, 2)
            await sharer.step()
            await until(lambda: len(_heard(tracker)) >= 2)
            rarest = {InfoHash(films[0].meta.info_hash), InfoHash(films[1].meta.info_hash)}
            await asyncio.sleep(1.0)  # who should keep quiet had the time to speak
            assert _heard(tracker) == rarest
            assert sharer.announcing == 2
            caller = await stack.enter_async_context(foreign("127.0.0.2"))
            last = films[5].meta
            handle: lt.torrent_handle = peers.add(
                caller, last.raw, tmp_path / "caller", peers=[("127.0.0.1", await swarm.port())]
            )
            await until(lambda: handle.status().is_seeding, 30)
            del caller
    finally:
        await asyncio.to_thread(server.close)


def _heard(tracker: Tracker) -> set[str]:
    return {announce.info_hash for announce in tracker.log}
