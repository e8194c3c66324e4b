"""Real sessions on loopback: web seeds, trackers, limits, discovery, disks that fill."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from appliance.domain.traffic import Budget, TrafficClass
from appliance.domain.units import MIB, BytesPerSecond, InfoHash
from appliance.errors import DiskError
from appliance.swarm.options import PRIVATE_DHT, SwarmOptions
from appliance.swarm.port import Fault, Flow, TorrentPhase, TorrentSpec, Whole
from appliance.swarm.session import LibtorrentSwarm
from appliance.swarm.torrent import parse_torrent
from tests.swarm.test_challenge import until
from tests.swarm.torrents import KIB, Content, Heard, noise, quiet
from tests.world import peers, recorded
from tests.world.http import Reply, Request, Server
from tests.world.lab import not_run
from tests.world.tracker import Tracker


class Files:
    """A folder over HTTP, with a tracker at ``/announce``."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder, self.tracker = folder, Tracker()
        self.server = Server(self._answer, host, (0,))
        self.server.start()
        self.base = f"http://{host}:{self.server.ports[0]}"

    def _answer(self, request: Request) -> Reply:
        if request.path == "/announce":
            return Reply(body=self.tracker.announce(request.query, request.client))
        file = self.folder / request.path.lstrip("/")
        return Reply(body=file, ranges=True) if file.is_file() else Reply(404)


@asynccontextmanager
async def files_at(folder: Path) -> AsyncIterator[Files]:
    files = Files(folder)
    try:
        yield files
    finally:
        await asyncio.to_thread(files.server.close)


@asynccontextmanager
async def foreign(host: str = "127.0.0.1", **settings: Any) -> AsyncIterator[lt.session]:
    """Somebody else's session, seen by others under its own address."""
    kept = [await asyncio.to_thread(lambda: peers.session(host, outgoing_interfaces=host, **settings))]
    try:
        yield kept[0]
    finally:
        for handle in kept[0].get_torrents():
            kept[0].remove_torrent(handle)
        await asyncio.to_thread(kept.clear)


def by_class(flows: tuple[Flow, ...]) -> dict[TrafficClass, tuple[int, int]]:
    return {
        c: (sum(f.up for f in flows if f.traffic is c), sum(f.down for f in flows if f.traffic is c))
        for c in {f.traffic for f in flows}
    }


async def test_every_recorded_torrent_completes_through_its_web_seed(tmp_path: Path) -> None:
    found = recorded.torrents()
    async with files_at(recorded.FOLDER) as files, LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        heard, sizes, expected = Heard(swarm), 0, {}
        for k, (torrent, media, _) in enumerate(found):
            meta = parse_torrent(torrent.read_bytes())
            address = f"{files.base}/{media.relative_to(recorded.FOLDER)}"
            await swarm.add(TorrentSpec(meta, tmp_path / str(k), (media.name,), web_seeds=(address,)))
            await swarm.start(meta.info_hash)
            sizes += meta.size
            expected[tmp_path / str(k) / media.name] = media
        await heard.until(lambda _: sum(isinstance(e, Whole) for e in heard.events) == len(found))
        assert all(ours.read_bytes() == theirs.read_bytes() for ours, theirs in expected.items())
        for info_hash in list(swarm.statuses()):
            await swarm.remove(info_hash)
        moved = by_class(swarm.drain())
        assert set(moved) == {TrafficClass.ORIGINS}
        assert sizes <= moved[TrafficClass.ORIGINS][1] <= sizes * 1.05


async def test_only_confirmed_torrents_are_announced_and_copies_leave_us_out(tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(64 * KIB)})
    spec = film.spec(film.written(tmp_path / "media"), trackers=("wss://127.0.0.1/tracker",))
    async with files_at(tmp_path) as files, LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        files.tracker.public = True
        files.tracker.extra = [("127.0.0.1", 9)]
        await swarm.add(spec)
        await swarm.start(film.meta.info_hash)
        await asyncio.sleep(0.5)
        assert files.tracker.log == []
        swarm.confirm(film.meta.info_hash, (f"{files.base}/announce", "ws://127.0.0.1:9/x"), ())
        for _ in range(100):
            if (status := swarm.status(film.meta.info_hash)) and status.complete is not None:
                break
            await asyncio.sleep(0.05)
        assert status is not None
        assert status.complete == 0
        assert [(a.event, a.left) for a in files.tracker.log][:1] == [("started", 0)]


LAN = (("127.0.1.0", "127.0.1.255"),)


def all_seed(handles: list[lt.torrent_handle]) -> bool:
    return all(h.status().is_seeding for h in handles)


async def test_a_limit_binds_the_internet_and_not_the_lan_and_each_is_counted_as_its_own(tmp_path: Path) -> None:
    """While nothing may go to the internet the LAN gets all of it; without a limit everybody does."""
    film = Content.of({"film.mp4": noise(8 * MIB)}, piece=256 * KIB, private=True)
    async with LibtorrentSwarm(quiet(tmp_path / "resume", lan=LAN), Budget(upload=BytesPerSecond(0))) as swarm:
        await swarm.add(film.spec(film.written(tmp_path / "media")))
        await swarm.start(film.meta.info_hash)
        here = [("127.0.0.1", await swarm.port())]
        async with AsyncExitStack() as stack:
            hosts = ("127.0.0.2", "127.0.0.3", "127.0.1.9")
            others = [await stack.enter_async_context(foreign(h)) for h in hosts]
            greedy = [peers.add(s, film.meta.raw, tmp_path / f"g{k}", peers=here) for k, s in enumerate(others[:2])]
            await until(lambda: all(h.status().num_peers for h in greedy), 30)
            near = peers.add(others[2], film.meta.raw, tmp_path / "near", peers=here)
            await until(lambda: all_seed([near]), 60)
            assert taken(greedy) <= 64 * KIB
            flows: list[Flow] = []
            await until(lambda: sum(f.up for f in _more(flows, swarm)) >= film.meta.size, 60)
            await swarm.limit(Budget())
            await until(lambda: all_seed(greedy), 60)
            given = taken(greedy)
            others.clear()
        await swarm.remove(film.meta.info_hash)
        moved = by_class(tuple(_more(flows, swarm)))
    assert moved[TrafficClass.LAN_PEERS][0] == pytest.approx(film.meta.size, rel=0.02)
    assert moved[TrafficClass.INTERNET_PEERS][0] == pytest.approx(given, rel=0.05)


def _more(flows: list[Flow], swarm: LibtorrentSwarm) -> list[Flow]:
    """Take what was counted since, and return all of it: a count is of whole seconds."""
    flows.extend(swarm.drain())
    return flows


@pytest.mark.alone
@pytest.mark.trial
async def test_the_internet_is_held_to_its_limit_and_the_lan_is_not(tmp_path: Path) -> None:
    """Four greedy peers of the internet, one of the LAN; the limit holds over 20 s and follows a change within two."""
    seconds, least, most = 20.0, 0.9, 1.02
    limit = 1 * MIB
    film = Content.of({"film.mp4": noise(96 * MIB)}, piece=256 * KIB, private=True)
    spec = film.spec(film.written(tmp_path / "media"))
    ih = film.meta.info_hash
    options = quiet(tmp_path / "resume", lan=LAN)
    async with LibtorrentSwarm(options, Budget(upload=BytesPerSecond(limit))) as swarm:
        await swarm.add(spec)
        await swarm.start(ih)
        port = await swarm.port()
        async with AsyncExitStack() as stack:
            hosts = [f"127.0.0.{k}" for k in range(2, 6)] + ["127.0.1.9"]
            others = [await stack.enter_async_context(foreign(h)) for h in hosts]
            greedy = [
                peers.add(s, film.meta.raw, tmp_path / f"g{k}", peers=[("127.0.0.1", port)])
                for k, s in enumerate(others[:4])
            ]
            await asyncio.sleep(3)
            before, begun = taken(greedy), time.monotonic()
            near = peers.add(others[4], film.meta.raw, tmp_path / "near", peers=[("127.0.0.1", port)])
            await asyncio.sleep(seconds)
            share = (taken(greedy) - before) / (time.monotonic() - begun) / limit
            assert least <= share <= most
            assert all(h.status().num_peers for h in greedy), "all four take part"
            assert near.status().total_done == film.meta.size, "the LAN peer had it all long ago"
            await swarm.limit(Budget(upload=BytesPerSecond(0)))
            await asyncio.sleep(2)
            before = taken(greedy)
            await asyncio.sleep(1.5)
            assert taken(greedy) - before <= 64 * KIB, "a stop stops within two seconds"
            await swarm.limit(Budget(upload=BytesPerSecond(4 * MIB)))
            await asyncio.sleep(2)
            before = taken(greedy)
            await asyncio.sleep(2)
            assert taken(greedy) - before >= 4 * MIB, "a higher limit is in force within two seconds"
            await swarm.stop(ih)
            await asyncio.sleep(0.5)
            given = taken(greedy)
            others.clear()
        await swarm.remove(ih)
        moved = by_class(swarm.drain())
        assert moved[TrafficClass.LAN_PEERS][0] == pytest.approx(film.meta.size, rel=0.02)
        assert moved[TrafficClass.INTERNET_PEERS][0] == pytest.approx(given, rel=0.05)


def taken(handles: list[lt.torrent_handle]) -> int:
    return sum(h.status().total_payload_download for h in handles)


async def test_a_web_seed_on_a_private_address_is_bound_by_the_download_limit(tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(4 * MIB)}, piece=256 * KIB)
    film.written(tmp_path)
    async with files_at(tmp_path) as files:
        options = quiet(tmp_path / "resume", lan=LAN)
        async with LibtorrentSwarm(options, Budget(download=BytesPerSecond(0))) as swarm:
            heard = Heard(swarm)
            await swarm.add(film.spec(tmp_path / "media", web_seeds=(f"{files.base}/film.mp4",)))
            await swarm.start(film.meta.info_hash)
            await asyncio.sleep(2)
            status = swarm.status(film.meta.info_hash)
            assert status is not None
            assert status.done == 0
            await swarm.limit(Budget())
            await heard.whole(film, 60)


async def test_what_is_whole_is_given_while_nothing_may_be_taken_and_the_rest_waits(tmp_path: Path) -> None:
    """A peer that comes after the stop shakes hands and asks, which is taking too; a film that lacks pieces gets none
    from that very peer, until it may."""
    ours, theirs = (Content.of({f"{k}.mp4": noise(2 * MIB, k)}, piece=256 * KIB) for k in ("ours", "theirs"))
    async with LibtorrentSwarm(quiet(tmp_path / "resume", lan=LAN), Budget(download=BytesPerSecond(0))) as swarm:
        heard = Heard(swarm)
        await swarm.add(ours.spec(ours.written(tmp_path / "media")))
        await swarm.add(theirs.spec(tmp_path / "media"))
        for film in (ours, theirs):
            await swarm.start(film.meta.info_hash)
        here = [("127.0.0.1", await swarm.port())]
        async with foreign("127.0.0.2") as other:
            source = theirs.written(tmp_path / "source")
            gives = peers.add(other, theirs.meta.raw, source, seeding=True, trackers=False, peers=here)
            takes = peers.add(other, ours.meta.raw, tmp_path / "far", trackers=False, peers=here)
            await until(lambda: all_seed([takes]), 60)
            assert gives.status().total_payload_upload == 0
            await swarm.limit(Budget())
            gives.connect_peer(here[0])
            await heard.whole(theirs, 60)


async def test_what_is_wanted_comes_while_nothing_may_be_given(tmp_path: Path) -> None:
    """From a peer, whom we must greet and ask, and who gets nothing of what is whole."""
    ours, theirs = (Content.of({f"{k}.mp4": noise(2 * MIB, k)}, piece=256 * KIB) for k in ("ours", "theirs"))
    async with LibtorrentSwarm(quiet(tmp_path / "resume", lan=LAN), Budget(upload=BytesPerSecond(0))) as swarm:
        heard = Heard(swarm)
        await swarm.add(ours.spec(ours.written(tmp_path / "media")))
        await swarm.add(theirs.spec(tmp_path / "media"))
        for film in (ours, theirs):
            await swarm.start(film.meta.info_hash)
        here = [("127.0.0.1", await swarm.port())]
        async with foreign("127.0.0.2") as other:
            source = theirs.written(tmp_path / "source")
            takes = peers.add(other, ours.meta.raw, tmp_path / "far", trackers=False, peers=here)
            peers.add(other, theirs.meta.raw, source, seeding=True, trackers=False, peers=here)
            await heard.whole(theirs, 60)
            assert takes.status().num_peers == 1
            assert takes.status().total_payload_download == 0
            await swarm.limit(Budget())
            await until(lambda: all_seed([takes]), 60)


@pytest.mark.alone
@pytest.mark.trial
async def test_a_web_seed_on_a_private_address_is_held_to_the_download_limit(tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(24 * MIB)}, piece=256 * KIB)
    film.written(tmp_path)
    async with files_at(tmp_path) as files:
        options = quiet(tmp_path / "resume", lan=LAN)
        async with LibtorrentSwarm(options, Budget(download=BytesPerSecond(2 * MIB))) as swarm:
            await swarm.add(film.spec(tmp_path / "media", web_seeds=(f"{files.base}/film.mp4",)))
            await swarm.start(film.meta.info_hash)
            await asyncio.sleep(6)
            await swarm.remove(film.meta.info_hash)
            assert sum(f.down for f in swarm.drain()) <= 6 * 2 * MIB * 1.1 + 4 * MIB


async def test_peers_find_each_other_over_the_dht_alone(tmp_path: Path) -> None:
    """Each has an address of its own, as hosts have: a session that is told its own address by the DHT calls itself,
    and from then on libtorrent shuns that address, whoever else is there."""
    film = Content.of({"film.mp4": noise(64 * KIB)})
    source = film.written(tmp_path / "source")
    async with foreign("127.0.0.1", **PRIVATE_DHT, enable_dht=True) as hub:
        hub_at = f"127.0.0.1:{await asyncio.to_thread(hub.listen_port)}"

        def at(host: str) -> SwarmOptions:
            # a first announce may come before the node knows another
            often = {**PRIVATE_DHT, "dht_announce_interval": 1, "outgoing_interfaces": host}
            return quiet(tmp_path / host, interfaces=(host,), dht=True, dht_bootstrap=(hub_at,), extra=often)

        async with LibtorrentSwarm(at("127.0.0.2")) as giver, LibtorrentSwarm(at("127.0.0.3")) as taker:
            heard = Heard(taker)
            await giver.add(film.spec(source))
            await taker.add(film.spec(tmp_path / "media"))
            for swarm in (giver, taker):
                await swarm.start(film.meta.info_hash)
            await heard.whole(film, 60)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where we may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        not_run("a small file system cannot be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_stops_the_torrent_and_room_lets_it_go_on(small_disk: Path, tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(1536 * KIB)}, piece=64 * KIB)
    film.written(tmp_path)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1200 * KIB))
    async with files_at(tmp_path) as files, LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        heard = Heard(swarm)
        await swarm.add(film.spec(small_disk / "media", web_seeds=(f"{files.base}/film.mp4",)))
        await swarm.start(film.meta.info_hash)
        fault = await heard.until(lambda e: isinstance(e, Fault))
        assert isinstance(fault, Fault)
        assert fault.disk_full
        status = swarm.status(film.meta.info_hash)
        assert status is not None
        assert (status.phase, status.disk_full) == (TorrentPhase.FAULT, True)
        ballast.unlink()
        await swarm.start(film.meta.info_hash)
        await heard.whole(film)
        assert (small_disk / "media" / "film.mp4").read_bytes() == film.whole


async def test_what_a_full_disk_did_not_take_is_never_called_whole(small_disk: Path, tmp_path: Path) -> None:
    """libtorrent goes on claiming a piece that it was given and could not write; so the case is sure to come."""
    film = Content.of({"film.mp4": noise(1536 * KIB)}, piece=64 * KIB)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1200 * KIB))

    async def origin(file_index: int, first: int, last: int) -> bytes:
        return film.whole[first : last + 1]

    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        heard, ih = Heard(swarm), film.meta.info_hash
        told: list[bytes] = []

        def at_once(event: object) -> None:
            if isinstance(event, Whole):
                told.append((small_disk / "media" / "film.mp4").read_bytes())

        swarm.subscribe(at_once)
        await swarm.add(film.spec(small_disk / "media", window=origin), sequential=True)
        await swarm.start(ih)
        watching = asyncio.create_task(_watched(swarm, ih, film.meta.size))
        await heard.until(lambda e: isinstance(e, Fault))
        ballast.unlink()
        await swarm.start(ih)
        await heard.whole(film)
        watching.cancel()
        await asyncio.wait([watching])
    assert told == [film.whole]


async def _watched(swarm: LibtorrentSwarm, info_hash: InfoHash, size: int) -> None:
    """Read all of it over and over."""
    reader = await swarm.reader(info_hash, 0)
    while True:
        for at in range(0, size, 64 * KIB):
            await reader.read(at, 64 * KIB)
            await asyncio.sleep(0.01)  # what is in memory comes without a pause


async def test_other_options_are_put_in_force_while_it_runs(tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(64 * KIB)})
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        await swarm.add(film.spec(film.written(tmp_path / "media")))
        swarm.reconfigure(quiet(tmp_path / "resume", encryption="forced", peers_per_torrent=7, lan=LAN))
        assert swarm.status(InfoHash(film.meta.info_hash)) is not None


def descriptors() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return found


async def test_a_session_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(64 * KIB)})
    before = descriptors()
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        await swarm.add(film.spec(film.written(tmp_path / "media")))
        await swarm.start(film.meta.info_hash)
        reader = await swarm.reader(film.meta.info_hash, 0)
        assert await reader.read(0, 5) == film.whole[:5]
    assert not [name for name in descriptors() - before if "socket" in name or "pipe" in name or str(tmp_path) in name]


async def test_web_seeds_held_back_for_a_viewer_who_does_not_come_are_used_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.swarm.session._HOLD_BACK", 0.1)
    film = Content.of({"film.mp4": noise(64 * KIB)})
    film.written(tmp_path)

    async def window(file_index: int, first: int, last: int) -> bytes:
        raise AssertionError("nobody watches")

    async with files_at(tmp_path) as files, LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        heard = Heard(swarm)
        spec = film.spec(tmp_path / "media", web_seeds=(f"{files.base}/film.mp4",), window=window)
        await swarm.add(spec, sequential=True)
        await swarm.start(film.meta.info_hash)
        await heard.whole(film)


async def test_nothing_is_written_through_a_link_in_a_files_place(tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(64 * KIB)})
    elsewhere = tmp_path / "precious.mp4"
    elsewhere.write_bytes(b"precious")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "film.mp4").symlink_to(elsewhere)
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        with pytest.raises(DiskError, match="link"):
            await swarm.add(film.spec(tmp_path / "media"))
        assert not swarm.holds(film.meta.info_hash)
    assert elsewhere.read_bytes() == b"precious"
