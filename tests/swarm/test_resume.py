"""What survives a stop, a kill and a power loss, and what of it is believed."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import libtorrent as lt
import pytest

from appliance.domain.units import MIB
from appliance.swarm.extents import Extents, pieces_with_data
from appliance.swarm.port import Judged, TorrentSpec
from appliance.swarm.resume import ResumeFiles
from appliance.swarm.session import LibtorrentSwarm
from tests.swarm.torrents import KIB, Content, Heard, noise, quiet, spoil
from tests.world import peers

PIECE = 16 * KIB
LOST_AT_MOST = 4
"""Pieces of 1 MiB that libtorrent calls finished and has not handed to the kernel when it is killed."""


@pytest.fixture
def film() -> Content:
    return Content.of({"film.mp4": noise(20 * PIECE - 5)}, piece=PIECE)


async def held_and_saved(folder: Path, spec: TorrentSpec) -> None:
    """Leave resume data that claims every piece, but no word of an fsync."""
    async with LibtorrentSwarm(quiet(folder)) as swarm:
        await swarm.add(spec)


async def judged(folder: Path, spec: TorrentSpec) -> Judged:
    async with LibtorrentSwarm(quiet(folder)) as swarm:
        return await swarm.add(spec)


def this_boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boot(folder: Path, mark: str) -> None:
    (folder / "session.mark").write_text(mark)


async def test_claims_are_believed_after_a_clean_stop_and_a_crash_but_not_after_a_power_loss(
    film: Content, tmp_path: Path
) -> None:
    resume, spec = tmp_path / "resume", film.spec(film.written(tmp_path / "media"))
    await held_and_saved(resume, spec)
    spoil(spec.folder / "film.mp4", 3 * PIECE)
    assert (await judged(resume, spec)).whole, "a clean stop: not hashed again"
    this_boot = this_boot_id()
    boot(resume, f"{this_boot} running")
    assert (await judged(resume, spec)).whole, "a crash of the process alone: the kernel wrote what it had"
    boot(resume, "another-boot running")
    assert (await judged(resume, spec)).done == film.meta.size - PIECE, "a power loss: hashed"


async def test_what_was_fsynced_is_believed_even_after_a_power_loss(film: Content, tmp_path: Path) -> None:
    resume, spec = tmp_path / "resume", film.spec(film.written(tmp_path / "media"))
    async with LibtorrentSwarm(quiet(resume)) as swarm:
        await swarm.add(spec)
        await swarm.save(film.meta.info_hash)
    spoil(spec.folder / "film.mp4", 3 * PIECE)
    boot(resume, "another-boot running")
    assert (await judged(resume, spec)).whole


async def test_distrust_hashes_everything(film: Content, tmp_path: Path) -> None:
    resume, spec = tmp_path / "resume", film.spec(film.written(tmp_path / "media"))
    await held_and_saved(resume, spec)
    spoil(spec.folder / "film.mp4", 3 * PIECE)
    distrusted = TorrentSpec(spec.meta, spec.folder, spec.names, distrust=True)
    assert (await judged(resume, distrusted)).done == film.meta.size - PIECE


@pytest.mark.parametrize("garbage", [b"", b"d", b"de", b"\xff" * 999, b"d11:file-format22:libtorrent resume filee"])
async def test_broken_resume_data_is_as_none(film: Content, tmp_path: Path, garbage: bytes) -> None:
    resume, spec = tmp_path / "resume", film.spec(film.written(tmp_path / "media"))
    await held_and_saved(resume, spec)
    (resume / f"{film.meta.info_hash}.resume").write_bytes(garbage)
    (resume / "session.state").write_bytes(garbage)
    assert (await judged(resume, spec)).whole


async def test_a_file_cut_short_loses_the_pieces_behind_the_cut(film: Content, tmp_path: Path) -> None:
    resume, spec = tmp_path / "resume", film.spec(film.written(tmp_path / "media"))
    await held_and_saved(resume, spec)
    os.truncate(spec.folder / "film.mp4", 7 * PIECE + 100)
    found = await judged(resume, spec)
    assert found.done == 7 * PIECE
    assert found.missing == "film.mp4 is cut short"


def test_holes_are_not_hashed(tmp_path: Path) -> None:
    extents = Extents.of(tmp_path, ("a", "b"), (40 * PIECE, 10 * PIECE), PIECE)
    assert pieces_with_data(extents) == set()
    with open(tmp_path / "a", "wb") as file:
        file.truncate(40 * PIECE)
        file.seek(20 * PIECE)
        file.write(noise(PIECE))
    assert pieces_with_data(extents) == {20}
    (tmp_path / "b").write_bytes(noise(100))
    assert pieces_with_data(extents) == {20, 40}


def test_pieces_cross_files_where_the_torrent_says(tmp_path: Path) -> None:
    extents = Extents.of(tmp_path, ("a", "b", "c"), (10, 3, 20), 16)
    assert extents.pieces == 3
    assert [(s.file, s.offset, s.length) for s in extents.piece_slices(0)] == [(0, 0, 10), (1, 0, 3), (2, 0, 3)]
    assert [(s.file, s.offset, s.length) for s in extents.piece_slices(2)] == [(2, 19, 1)]
    assert [extents.piece_at(2, k) for k in (0, 2, 3, 19)] == [0, 0, 1, 2]


def test_the_mark_of_a_clean_stop_is_taken_away_while_a_session_runs(tmp_path: Path) -> None:
    files = ResumeFiles(tmp_path, boot_id=lambda: "one")
    assert files.open() is None
    assert not files.believed
    files.close(b"state")
    assert (tmp_path / "session.mark").read_text() == "one clean"
    again = ResumeFiles(tmp_path, boot_id=lambda: "two")
    assert again.open() == b"state"
    assert again.believed
    assert (tmp_path / "session.mark").read_text() == "two running"


DOWNLOADER = """
import asyncio, json, sys
from pathlib import Path
from appliance.swarm.session import LibtorrentSwarm
from appliance.swarm.torrent import parse_torrent
from appliance.swarm.port import TorrentSpec
from appliance.swarm.options import SwarmOptions

async def main():
    job = json.loads(sys.argv[1])
    meta = parse_torrent(Path(job["torrent"]).read_bytes())
    options = SwarmOptions(Path(job["resume"]), ("127.0.0.1",), 0, dht=False, lsd=False, upnp=False, allow_private=True)
    async with LibtorrentSwarm(options) as swarm:
        await swarm.add(TorrentSpec(meta, Path(job["media"]), ("film.mp4",)))
        swarm.subscribe(lambda e: print("event", flush=True))
        await swarm.start(meta.info_hash)
        print("port", await swarm.port(), flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""


@pytest.mark.parametrize("stop_after", [5, 17])
async def test_after_a_kill_little_is_fetched_again(tmp_path: Path, stop_after: int) -> None:
    film = Content.of({"film.mp4": noise(32 * MIB)}, piece=MIB)
    source = film.written(tmp_path / "source")
    torrent = tmp_path / "film.torrent"
    torrent.write_bytes(film.meta.raw)
    job = {"torrent": str(torrent), "media": str(tmp_path / "media"), "resume": str(tmp_path / "resume")}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DOWNLOADER, json.dumps(job), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout
    port = int((await asyncio.wait_for(child.stdout.readline(), 20)).split()[1])
    seed = await asyncio.to_thread(peers.session, up=40 * MIB)
    try:
        handle = peers.add(seed, film.meta.raw, source, seeding=True, peers=[("127.0.0.1", port)])
        for _ in range(stop_after):
            assert await asyncio.wait_for(child.stdout.readline(), 20)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        first = (await asyncio.to_thread(handle.status)).total_payload_upload
        async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
            found = await swarm.add(TorrentSpec(film.meta, tmp_path / "media", ("film.mp4",)))
            print(f"{stop_after} pieces finished, {found.done // MIB} there after the kill")
            assert found.done >= (stop_after - LOST_AT_MOST) * MIB
            heard = Heard(swarm)
            await swarm.start(film.meta.info_hash)
            handle.connect_peer(("127.0.0.1", await swarm.port()))
            await heard.whole(film)
            await swarm.remove(film.meta.info_hash)
            second = sum(f.down for f in swarm.drain())
        assert (tmp_path / "media" / "film.mp4").read_bytes() == film.whole
        assert second <= film.meta.size - found.done + MIB
        assert first + second <= film.meta.size + 16 * MIB, "what the issue allows for each kill"
    finally:
        seed.remove_torrent(handle)
        last = [seed]
        del handle, seed
        await asyncio.to_thread(last.clear)


def test_resume_data_claims_no_more_than_it_is_let(film: Content, tmp_path: Path) -> None:
    """libtorrent claims every piece once the last is verified in memory; the disk may not have them all."""
    params = lt.load_torrent_buffer(film.meta.raw)
    params.have_pieces = [True] * film.meta.pieces
    files, info_hash = ResumeFiles(tmp_path / "resume"), film.meta.info_hash
    spec = film.spec(film.written(tmp_path / "media"))
    extents = Extents.of(spec.folder, spec.names, [film.meta.size], PIECE)
    files.open()
    for claimed in (bytes([1] * 7 + [0] + [1] * 12), bytes(20)):
        files.write(info_hash, lt.write_resume_data_buf(params), claimed, synced=False)
        files.believed = True
        found = files.judge(info_hash, extents, lambda _: b"", distrust=False, stop=lambda: False)
        assert bytes(found.have) == claimed
