"""Upload by need between real sessions: the only copy goes out before the popular one, and cold torrents keep quiet."""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
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
from tests.world.box import Box
from tests.world.http import Reply, Request, Server
from tests.world.lab import Host, Lab
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.published import Published
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


@pytest.mark.alone
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


@pytest.mark.net
@pytest.mark.alone
@pytest.mark.trial
def test_the_appliance_gives_its_only_copy_out_before_the_popular_one_to_hosts_of_the_internet(
    lab: Lab, tmp_path: Path
) -> None:
    """The tracker knows forty whole copies of the one and none of the other; five hosts want them, four the hit."""
    origin_host = lab.host("origin", "10.78.0.1")
    box = Box(tmp_path / "data", lab.host("box", "10.77.0.2"), **SETTINGS)
    with origin_host.inside():
        origin = Origin("10.78.0.1", 80)
    with origin:
        film = dict[str, Any](heights=(720,), segment=4, kbits=2436, piece=65_536)
        rare = origin.add_video(make(seconds=20, variant=1, **film), title="Rare")
        hit = origin.add_video(make(seconds=60, **film), title="Hit")
        _seeds(lab.host("seeds", "10.78.0.40"), origin, hit, 40)
        try:
            box.start()
            for video in (hit, rare):
                box.ask("POST", "/api/v1/pins", {"url": video.address})
            size = box.wait_pinned("Rare", "Hit", seconds=120)["Rare"]["size"]
            with ExitStack() as stack:
                crowd = [stack.enter_context(_leech(lab, hit, tmp_path, k)) for k in range(2, 6)]
                one = stack.enter_context(_leech(lab, rare, tmp_path, 6))
                one.wait("progress", 30, lambda said: said["down"] > 0)
                before = _from_the_box(crowd)
                one.wait("done", 60)
                beside = _from_the_box(crowd) - before
        finally:
            box.kill()
    print(f"{beside / size:.2f} times the rare one's bytes beside it")
    assert beside < 1.5 * size, "five equal parts would be four times as much"
    assert beside > 0, "throttled, not stopped"


SETTINGS = {
    "bandwidth__upload": str(MIB),
    "bandwidth__yield_to_household": "false",
    "bandwidth__yield_to_players": "false",
}


def _seeds(host: Host, origin: Origin, video: Published, count: int) -> None:
    """Let the tracker hear of whole copies at one host."""
    query = f"info_hash={quote(bytes.fromhex(video.info_hash(720)))}&left=0&event=started"
    with host.inside(), httpx.Client(trust_env=False) as client:
        for port in range(7000, 7000 + count):
            client.get(f"{origin.base_url}/tracker/announce?{query}&port={port}").raise_for_status()


def _leech(lab: Lab, video: Published, folder: Path, number: int) -> peers.Peer:
    """Begin a peer on a host of its own that knows nobody but the appliance."""
    host = lab.host(f"leech{number}", f"10.78.0.{number}")
    torrent = folder / f"{number}.torrent"
    torrent.write_bytes(video.torrent(720))
    options = ("--host", host.address, "--no-trackers", "--peer", "10.77.0.2:47333")
    return peers.Peer.begin("leech", torrent, folder / host.name, *options, spawn=host.python)


def _from_the_box(leeches: list[peers.Peer]) -> int:
    """Return the bytes that came from the appliance until now: what they got less what they gave one another."""
    for leech in leeches:
        while not leech._lines.empty():
            leech.wait("progress", 10)
    said = [leech.wait("progress", 10) for leech in leeches]
    return sum(one["down"] - one["up"] for one in said)


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
