"""A disk that is unplugged or ejected: what is being written goes to that disk or nowhere, and it is not held fast."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import libtorrent as lt
import pytest

from appliance.domain.units import MIB, Origin, VideoId
from appliance.errors import DiskError, LibraryMissing
from appliance.library.marker import Library
from appliance.swarm.port import PieceArrived, TorrentSpec
from appliance.swarm.session import LibtorrentSwarm
from tests.swarm.torrents import KIB, Content, Heard, noise, quiet
from tests.world import peers
from tests.world.disk import Disk, small_disk
from tests.world.lab import not_run

ORIGIN, VIDEO = Origin("tube.example"), VideoId("a" * 16)
SEGMENTS = 20


@pytest.fixture
def film() -> Content:
    """A film of many files: libtorrent opens one after the other."""
    return Content.of({f"film/{n:02}.ts": noise(64 * KIB, str(n)) for n in range(SEGMENTS)}, name="film")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 24 * MIB) as disk:
        if not disk.survives:
            not_run("without loop devices a disk does not outlive being unplugged")
        yield disk


@pytest.fixture
async def giver() -> AsyncIterator[lt.session]:
    """A seed that takes a second or two for the film."""
    seed = await asyncio.to_thread(partial(peers.session, up=MIB, min_reconnect_time=1))
    yield seed
    for handle in seed.get_torrents():
        seed.remove_torrent(handle)


class Home:
    """A library on the disk, and one video's folder in it."""

    def __init__(self, disk: Disk, film: Content) -> None:
        self.library = Library(disk.root / "library", "a-library")
        self.library.claim()
        with self.library.open_folder(ORIGIN, VIDEO, create=True):
            pass
        folder = self.library.folder(ORIGIN, VIDEO)
        self.spec: TorrentSpec = film.spec(folder, enter=partial(self.library.enter, ORIGIN, VIDEO))
        self.film = film

    async def begin(self, swarm: LibtorrentSwarm, giver: lt.session, source: Path) -> None:
        await swarm.add(self.spec)
        await swarm.start(self.film.meta.info_hash)
        names = [p.rpartition("/")[2] for p in self.film.files]
        port = await swarm.port()
        peers.add(
            giver, self.film.meta.raw, self.film.written(source), names=names, seeding=True, peers=[("127.0.0.1", port)]
        )

    def pieces(self, heard: Heard) -> int:
        return sum(isinstance(e, PieceArrived) for e in heard.events)


@pytest.fixture
def home(disk: Disk, film: Content) -> Home:
    return Home(disk, film)


def eject(disk: Disk) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["umount", str(disk.root)], capture_output=True, text=True, timeout=20)


async def test_what_comes_while_a_disk_is_unplugged_lands_on_that_disk_and_never_below_it(
    film: Content, disk: Disk, home: Home, giver: lt.session, tmp_path: Path
) -> None:
    info_hash = film.meta.info_hash
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        heard = Heard(swarm)
        await home.begin(swarm, giver, tmp_path / "source")
        await heard.until(lambda _: home.pieces(heard) >= 4)
        disk.unplug()
        await heard.until(lambda _: home.pieces(heard) >= film.meta.pieces // 2)
        assert list(disk.root.rglob("*")) == []
        await swarm.stop(info_hash)
        came = home.pieces(heard)
        assert came < film.meta.pieces
        with pytest.raises(DiskError):
            await swarm.start(info_hash)
        await swarm.remove(info_hash)
        assert list(disk.root.rglob("*")) == []
        disk.mount()
        assert (await swarm.add(home.spec)).done >= came * film.meta.piece_length


async def test_a_disk_is_not_held_fast_by_what_is_whole_or_stopped(
    film: Content, disk: Disk, home: Home, giver: lt.session, tmp_path: Path
) -> None:
    info_hash = film.meta.info_hash
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        heard = Heard(swarm)
        await home.begin(swarm, giver, tmp_path / "source")
        await heard.until(lambda _: home.pieces(heard) >= 4)
        await swarm.stop(info_hash)
        assert eject(disk).returncode == 0
        disk.mount()
        await swarm.start(info_hash)
        giver.get_torrents()[0].connect_peer(("127.0.0.1", await swarm.port()))
        await heard.whole(film)
        await swarm.save(info_hash)
        for _ in range(50):  # it is let go just after
            if eject(disk).returncode == 0:
                break
            await asyncio.sleep(0.1)
        assert not disk.root.is_mount()
        disk.mount()
        assert (await swarm.recheck(info_hash)).whole


def test_a_folder_is_entered_only_where_the_library_is(disk: Disk, home: Home) -> None:
    disk.unplug()
    home.library.folder(ORIGIN, VIDEO).mkdir(parents=True)
    with pytest.raises(LibraryMissing):
        home.library.enter(ORIGIN, VIDEO)
