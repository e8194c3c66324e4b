"""Peers that send wrong bytes: what they leave behind in libtorrent is got over."""

import asyncio
import shutil
from pathlib import Path

import libtorrent as lt
import pytest

from appliance.swarm import freeing
from appliance.swarm.adding import prepare_again
from appliance.swarm.held import Held
from appliance.swarm.session import LibtorrentSwarm
from tests.swarm.test_challenge import until
from tests.swarm.test_wire import files_at, foreign
from tests.swarm.torrents import KIB, Content, Heard, noise, quiet
from tests.world import peers
from tests.world.liar import Liar

PIECE = 64 * KIB
ROUNDS = 100


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torrents are looked at often, so that no test waits."""
    monkeypatch.setattr(freeing, "LOOK_SECONDS", 0.2)


def held_by(swarm: LibtorrentSwarm, film: Content) -> Held:
    return swarm._held[film.meta.info_hash]


async def lose_the_verdict(swarm: LibtorrentSwarm, film: Content, folder: Path, piece: int) -> None:
    """Bring libtorrent where it waits for a verdict on ``piece`` for ever: all its blocks came, and hashing failed."""
    held, engine = held_by(swarm, film), swarm._engine
    params = lt.read_resume_data(await swarm._saving.buffer(held))
    params.ti = held.handle.torrent_file()
    await engine.take_out(held)
    Content({"film.mp4": bytes(piece * PIECE + 1)}, film.meta).written(folder)
    params = prepare_again(params, bytearray(film.meta.pieces))
    params.unfinished_pieces = {piece: [True] * (PIECE // (16 * KIB))}
    held.fault = "a disk that cannot read"
    held.handle, _ = await engine.hand_back(held.info_hash, params)
    await until(lambda: held.faults > 0)
    held.handle.clear_error()
    held.fault, held.answered = "", held.faults


def unjudged(swarm: LibtorrentSwarm, film: Content) -> list[int]:
    queue = held_by(swarm, film).handle.get_download_queue()
    return [e["piece_index"] for e in queue if all(b["state"] == 3 for b in e["blocks"])]


@pytest.mark.usefixtures("soon")
async def test_a_piece_whose_verdict_was_lost_is_asked_for_again_after_a_lie(tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(8 * PIECE)}, piece=PIECE)
    source = film.written(tmp_path / "source")
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm, foreign("127.0.0.2") as seed:
        heard = Heard(swarm)
        await swarm.add(film.spec(tmp_path / "media"))
        await lose_the_verdict(swarm, film, tmp_path / "media", 2)
        await swarm.start(film.meta.info_hash)
        peers.add(seed, film.meta.raw, source, seeding=True, trackers=False, peers=[("127.0.0.1", await swarm.port())])
        await until(lambda: held_by(swarm, film).inventory.count == film.meta.pieces - 1)
        assert unjudged(swarm, film) == [2]
        swarm._freeing.wrong(held_by(swarm, film))  # as after a piece that did not fit its hash
        await heard.whole(film)
    assert (tmp_path / "media" / "film.mp4").read_bytes() == film.whole


@pytest.mark.usefixtures("soon")
async def test_whom_we_banned_gets_another_chance_when_nobody_else_is_left(tmp_path: Path) -> None:
    film = Content.of({"film.mp4": noise(8 * PIECE)}, piece=PIECE)
    bad = Content.of({"film.mp4": noise(8 * PIECE, "other")})
    source = bad.written(tmp_path / "source")
    careless = {"disable_hash_checks": True}
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm, foreign("127.0.0.2", **careless) as seed:
        heard = Heard(swarm)
        await swarm.add(film.spec(tmp_path / "media"))
        await swarm.start(film.meta.info_hash)
        peers.add(seed, film.meta.raw, source, seeding=True, trackers=False, peers=[("127.0.0.1", await swarm.port())])
        await until(lambda: swarm._freeing.watched > 0)
        film.written(tmp_path / "source")
        await heard.whole(film)
    assert (tmp_path / "media" / "film.mp4").read_bytes() == film.whole


@pytest.mark.usefixtures("soon")
async def test_a_torrent_is_looked_after_only_for_a_while_after_a_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeing, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(freeing, "CALM_SECONDS", 0.05)
    film = Content.of({"film.mp4": noise(8 * PIECE)}, piece=PIECE)
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        await swarm.add(film.spec(tmp_path / "media"))
        await swarm.start(film.meta.info_hash)
        handle = held_by(swarm, film).handle
        handle.add_piece(5, bytes(PIECE), 0)
        await until(lambda: swarm._freeing.watched > 0)
        await until(lambda: not swarm._freeing.watched)
        assert held_by(swarm, film).handle is handle  # nothing was banned or lost: it is left as it is


@pytest.mark.trial
async def test_a_viewer_beside_a_liar_and_a_seed_sees_the_film_every_time(tmp_path: Path) -> None:
    for n in range(ROUNDS):
        await _beside_a_liar(tmp_path / "one", str(n))
        shutil.rmtree(tmp_path / "one")


async def _beside_a_liar(folder: Path, name: str) -> None:
    film = Content.of({"film.mp4": noise(32 * PIECE, name)}, piece=PIECE)
    source = film.written(folder / "source")
    info_hash = bytes.fromhex(film.meta.info_hash)
    async with (
        files_at(folder) as web,
        LibtorrentSwarm(quiet(folder / "resume")) as swarm,
        foreign("127.0.0.2") as seed,
    ):
        web.tracker.public = True
        await swarm.add(film.spec(folder / "media", trackers=(f"{web.base}/announce",)), sequential=True)
        address = ("127.0.0.1", await swarm.port())
        await swarm.start(film.meta.info_hash)
        with await asyncio.to_thread(Liar, info_hash, film.meta.pieces, address):
            await until(lambda: bool(web.tracker.log))
            web.tracker.extra = [("127.0.0.2", seed.listen_port())]  # it came after we asked, and calls us
            peers.add(seed, film.meta.raw, source, seeding=True, trackers=False, peers=[address])
            reader = await swarm.reader(film.meta.info_hash, 0)
            seen = bytearray()
            async with asyncio.timeout(40):
                while len(seen) < reader.size:
                    seen += await reader.read(len(seen), PIECE)
            await reader.close()
            assert seen == film.whole
