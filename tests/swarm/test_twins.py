"""Two videos with one torrent, on real libtorrent: when one is let go, the other seeds it."""

import asyncio
from pathlib import Path

import pytest

from appliance.domain.pin import PinState
from appliance.domain.units import VideoId
from appliance.swarm.session import LibtorrentSwarm
from tests.swarm.torrents import quiet
from tests.unit.box import a_box
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.peers import add, session
from tests.world.published import Published


async def _downloads(film: Published, folder: Path, port: int) -> bytes:
    """Return a film as a stranger gets it from us alone."""
    await asyncio.to_thread(folder.mkdir)
    (file,) = film.made.files
    peer = session("127.0.0.3", outgoing_interfaces="127.0.0.3")  # an address is one peer, the web seed is 127.0.0.1
    handle = add(peer, film.torrent(file.resolution), folder, names=file.parts, trackers=False)
    async with asyncio.timeout(20):
        while not (await asyncio.to_thread(handle.status)).is_seeding:
            handle.connect_peer(("127.0.0.1", port))
            await asyncio.sleep(0.1)
    peer.pause()
    return (folder / file.parts[0]).read_bytes()


@pytest.mark.parametrize("goes", [0, 1], ids=["the first goes", "the second goes"])
async def test_when_one_of_two_videos_with_one_torrent_goes_the_other_seeds(
    tmp_path: Path, origin: Origin, goes: int
) -> None:
    with Origin() as other:
        films = [o.add_video(make(), title="Twin") for o in (origin, other)]
        whole = films[0].made.path(films[0].made.files[0].parts[0]).read_bytes()
        async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm, a_box(tmp_path, origin, swarm=swarm) as box:
            info_hash = box.hash_of(films[0], films[0].made.files[0].resolution)
            assert info_hash == box.hash_of(films[1], films[1].made.files[0].resolution)
            videos: list[VideoId] = []
            for film, tube in zip(films, (origin, other), strict=True):
                videos.append(await box.know(film, tube))
                await box.want(videos[-1])
                await box.pinned(videos[-1])
            await box.quiet()
            first = box.keeper.owner(info_hash)
            assert first is not None
            assert first[0] == videos[0]
            stays = videos[1 - goes]
            await box.let_go(videos[goes])
            await box.until(videos[goes], None)
            await box.turns(lambda: (box.keeper.owner(info_hash) or ("", ""))[0] == stays and swarm.holds(info_hash))
            await box.quiet()
            assert await _downloads(films[0], tmp_path / "stranger", await swarm.port()) == whole
            pin = await box.pin(stays)
            assert pin is not None
            assert pin.state is PinState.PINNED
