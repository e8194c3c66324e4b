"""What every swarm does, the real one and the fake."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from appliance.domain.shelf import NotPlayable
from appliance.domain.traffic import Budget, TrafficClass
from appliance.domain.units import BytesPerSecond, InfoHash
from appliance.errors import SwarmError
from appliance.swarm.fake import FakeSwarm
from appliance.swarm.port import PieceArrived, Swarm, TorrentPhase, Whole
from appliance.swarm.session import LibtorrentSwarm
from tests.swarm.torrents import KIB, Content, Heard, noise, quiet, spoil
from tests.world import peers


@dataclass
class Kind:
    """One kind of swarm: ``made`` is a session over the same resume data, ``open`` one that lasts as long as the test,
    ``bring`` lets content arrive."""

    made: Callable[[], AbstractAsyncContextManager[Any]]
    open: Callable[[], Awaitable[Any]]
    bring: Callable[[Any, Content], Awaitable[None]]


class _Real:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seeds: list[lt.session] = []

    def made(self) -> LibtorrentSwarm:
        return LibtorrentSwarm(quiet(self._folder / "resume"))

    async def bring(self, swarm: LibtorrentSwarm, content: Content) -> None:
        source = content.written(self._folder / f"seed-{content.meta.info_hash}")
        names = [p.rpartition("/")[2] for p in content.files]
        seed = await asyncio.to_thread(peers.session)
        self._seeds.append(seed)
        port = await swarm.port()
        peers.add(seed, content.meta.raw, source, names=names, seeding=True, peers=[("127.0.0.1", port)])

    async def close(self) -> None:
        for seed in self._seeds:
            for handle in seed.get_torrents():
                seed.remove_torrent(handle)
        await asyncio.to_thread(self._seeds.clear)


class _Fake:
    def __init__(self) -> None:
        self._resumed: dict[InfoHash, frozenset[int]] = {}

    def made(self) -> FakeSwarm:
        return FakeSwarm(resumed=self._resumed)

    async def bring(self, swarm: FakeSwarm, content: Content) -> None:
        swarm.provide(content.meta.content, content.whole)
        await swarm.deliver(content.meta.info_hash)


@pytest.fixture(params=["libtorrent", "fake"])
async def kind(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kind]:
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            fake = _Fake()
            yield Kind(fake.made, lambda: stack.enter_async_context(fake.made()), fake.bring)
        else:
            real = _Real(tmp_path)
            stack.push_async_callback(real.close)
            yield Kind(real.made, lambda: stack.enter_async_context(real.made()), real.bring)


@pytest.fixture
async def swarm(kind: Kind) -> Swarm:
    opened: Swarm = await kind.open()
    return opened


@pytest.fixture
def film() -> Content:
    return Content.of({"A film 720p.mp4": noise(300 * KIB + 77)})


@pytest.fixture
def parts() -> Content:
    return Content.of(
        {"a/one.ts": noise(50 * KIB, "1"), "a/two.ts": noise(3, "2"), "a/three.ts": noise(70 * KIB + 5, "3")},
        name="season",
    )


async def test_adding_creates_nothing_on_disk_and_says_what_is_there(
    swarm: Swarm, film: Content, tmp_path: Path
) -> None:
    judged = await swarm.add(film.spec(tmp_path / "media"))
    assert (judged.done, judged.size, judged.whole, judged.missing) == (0, film.meta.size, False, "")
    assert not (tmp_path / "media").exists()
    status = swarm.status(film.meta.info_hash)
    assert status is not None
    assert (status.phase, status.done, status.complete) == (TorrentPhase.STOPPED, 0, None)
    assert swarm.holds(film.meta.info_hash)
    assert set(swarm.statuses()) == {film.meta.info_hash}


async def test_what_is_there_twice_or_not_at_all_is_refused(swarm: Swarm, film: Content, tmp_path: Path) -> None:
    unknown = film.meta.info_hash
    assert swarm.status(unknown) is None
    await swarm.remove(unknown)
    for call in (swarm.start, swarm.stop, swarm.save, swarm.recheck):
        with pytest.raises(SwarmError):
            await call(unknown)
    with pytest.raises(SwarmError):
        await swarm.reader(unknown, 0)
    await swarm.add(film.spec(tmp_path / "media"))
    with pytest.raises(SwarmError):
        await swarm.add(film.spec(tmp_path / "media"))
    with pytest.raises(SwarmError):
        await swarm.reader(unknown, 1)


async def test_names_that_do_not_fit_are_refused(swarm: Swarm, parts: Content, tmp_path: Path) -> None:
    with pytest.raises(SwarmError):
        await swarm.add(replace(parts.spec(tmp_path), names=("one.ts",)))
    assert not swarm.holds(parts.meta.info_hash)


async def test_bytes_that_lie_there_are_found_without_resume_data(swarm: Swarm, film: Content, tmp_path: Path) -> None:
    spec = film.spec(film.written(tmp_path / "media"))
    spoil(spec.folder / spec.names[0], 20 * KIB)
    judged = await swarm.add(spec)
    assert judged.done == film.meta.size - film.meta.piece_length


async def test_what_peers_bring_becomes_whole_and_is_counted_once(kind: Kind, parts: Content, tmp_path: Path) -> None:
    swarm = await kind.open()
    heard = Heard(swarm)
    await swarm.add(parts.spec(tmp_path / "media"))
    await swarm.start(parts.meta.info_hash)
    await kind.bring(swarm, parts)
    await heard.whole(parts)
    assert b"".join((tmp_path / "media" / n).read_bytes() for n in ("one.ts", "two.ts", "three.ts")) == parts.whole
    arrived = [e.piece for e in heard.events if isinstance(e, PieceArrived)]
    assert sorted(arrived) == list(range(parts.meta.pieces))
    assert [type(e) for e in heard.events].count(Whole) == 1
    status = swarm.status(parts.meta.info_hash)
    assert (status.phase, status.done) == (TorrentPhase.WHOLE, parts.meta.size)
    await swarm.remove(parts.meta.info_hash)
    flows = swarm.drain()
    assert {(f.info_hash, f.traffic) for f in flows} == {(parts.meta.info_hash, TrafficClass.INTERNET_PEERS)}
    assert sum(f.down for f in flows) == parts.meta.size
    assert swarm.drain() == ()


async def test_a_stopped_torrent_asks_for_nothing(kind: Kind, film: Content, tmp_path: Path) -> None:
    swarm = await kind.open()
    await swarm.add(film.spec(tmp_path / "media"))
    await kind.bring(swarm, film)
    await swarm.start(film.meta.info_hash)
    await swarm.stop(film.meta.info_hash)
    assert swarm.status(film.meta.info_hash).phase is TorrentPhase.STOPPED


async def test_a_reader_waits_for_its_bytes_and_gives_exactly_these(kind: Kind, parts: Content, tmp_path: Path) -> None:
    swarm = await kind.open()
    await swarm.add(parts.spec(tmp_path / "media"), sequential=True)
    await swarm.start(parts.meta.info_hash)
    reader = await swarm.reader(parts.meta.info_hash, 2)
    wanted = parts.files["a/three.ts"]
    assert reader.size == len(wanted)
    waiting = asyncio.create_task(reader.read(0, 10 * KIB))
    await asyncio.sleep(0)
    assert not waiting.done()
    await kind.bring(swarm, parts)
    got = await asyncio.wait_for(waiting, 20)
    while len(got) < len(wanted):
        more = await asyncio.wait_for(reader.read(len(got), 30 * KIB), 20)
        assert 0 < len(more) <= 30 * KIB
        got += more
    assert got == wanted
    for offset, length in ((len(wanted), 1), (-1, 1), (0, 0)):
        with pytest.raises(NotPlayable):
            await reader.read(offset, length)
    await reader.close()
    await reader.close()
    with pytest.raises(NotPlayable):
        await reader.read(0, 1)


async def test_removing_keeps_the_files_and_ends_what_waits(swarm: Swarm, film: Content, tmp_path: Path) -> None:
    spec = film.spec(film.written(tmp_path / "media"))
    file = spec.folder / spec.names[0]
    file.write_bytes(film.whole[: 64 * KIB])
    await swarm.add(spec)
    await swarm.start(film.meta.info_hash)
    reader = await swarm.reader(film.meta.info_hash, 0)
    waiting = asyncio.create_task(reader.read(200 * KIB, 1))
    await asyncio.sleep(0.05)
    await swarm.remove(film.meta.info_hash)
    with pytest.raises(NotPlayable):
        await asyncio.wait_for(waiting, 5)
    assert not swarm.holds(film.meta.info_hash)
    assert file.read_bytes() == film.whole[: 64 * KIB]
    assert (await swarm.add(spec)).done == 64 * KIB


async def test_a_recheck_finds_rot_and_it_is_fetched_again(kind: Kind, film: Content, tmp_path: Path) -> None:
    swarm = await kind.open()
    spec = film.spec(film.written(tmp_path / "media"))
    assert (await swarm.add(spec)).whole
    await swarm.start(film.meta.info_hash)
    assert (await swarm.recheck(film.meta.info_hash)).whole
    file = spec.folder / spec.names[0]
    spoil(file, 100 * KIB)
    judged = await swarm.recheck(film.meta.info_hash)
    assert judged.done == film.meta.size - film.meta.piece_length
    assert swarm.status(film.meta.info_hash).phase is TorrentPhase.DOWNLOADING
    heard = Heard(swarm)
    await kind.bring(swarm, film)
    await heard.whole(film)
    assert file.read_bytes() == film.whole


async def test_a_new_session_goes_on_where_the_last_one_ended(kind: Kind, film: Content, tmp_path: Path) -> None:
    spec = film.spec(film.written(tmp_path / "media"))
    async with kind.made() as first:
        await first.add(spec)
        await first.save(film.meta.info_hash)
    second = await kind.open()
    assert (await second.add(spec)).whole


async def test_files_that_were_whole_and_are_gone_are_named(kind: Kind, film: Content, tmp_path: Path) -> None:
    spec = film.spec(film.written(tmp_path / "media"))
    async with kind.made() as first:
        await first.add(spec)
        await first.save(film.meta.info_hash)
    (spec.folder / spec.names[0]).unlink()
    second = await kind.open()
    judged = await second.add(spec)
    assert judged.done == 0
    assert spec.names[0] in judged.missing
    assert not (spec.folder / spec.names[0]).exists()


async def test_the_same_bytes_under_a_new_info_hash_are_not_fetched_again(kind: Kind, tmp_path: Path) -> None:
    data = noise(200 * KIB)
    old, new = Content.of({"Old title.mp4": data}), Content.of({"New title.mp4": data})
    assert old.meta.info_hash != new.meta.info_hash
    assert old.meta.content == new.meta.content
    swarm = await kind.open()
    heard = Heard(swarm)
    folder = tmp_path / "media"
    await swarm.add(replace(old.spec(folder), names=("film.mp4",)))
    await swarm.start(old.meta.info_hash)
    await kind.bring(swarm, old)
    await heard.whole(old)
    judged = await swarm.add(replace(new.spec(folder), names=("film.mp4",)))
    assert judged.whole
    await swarm.remove(old.meta.info_hash)
    swarm.drain()
    await swarm.start(new.meta.info_hash)
    status = swarm.status(new.meta.info_hash)
    assert (status.phase, status.done) == (TorrentPhase.WHOLE, len(data))
    assert (folder / "film.mp4").read_bytes() == data
    assert swarm.drain() == ()


async def test_limits_and_confirmations_are_taken_at_any_time(swarm: Swarm, film: Content, tmp_path: Path) -> None:
    await swarm.add(film.spec(tmp_path / "media"))
    swarm.confirm(film.meta.info_hash, (), ())
    await swarm.limit(Budget(upload=BytesPerSecond(0), lan_upload=BytesPerSecond(5)))
    await swarm.limit(Budget())
    assert swarm.rates() == (0, 0)


async def test_shares_and_turns_are_taken_at_any_time_and_a_quiet_torrent_still_gives(
    swarm: Swarm, film: Content, parts: Content, tmp_path: Path
) -> None:
    swarm.announce(())
    await swarm.add(film.spec(film.written(tmp_path / "media")))
    await swarm.add(parts.spec(tmp_path / "parts"))
    await swarm.start(film.meta.info_hash)
    swarm.share({film.meta.info_hash: BytesPerSecond(5), InfoHash("0" * 40): BytesPerSecond(1)})
    swarm.announce({film.meta.info_hash})
    swarm.announce(())
    swarm.share({})
    status = swarm.status(film.meta.info_hash)
    assert status is not None
    assert status.phase is TorrentPhase.WHOLE


async def test_a_sample_is_of_what_is_here_and_of_a_whole_piece_where_nothing_is(
    swarm: Swarm, parts: Content, tmp_path: Path
) -> None:
    unknown = parts.meta.info_hash
    assert await swarm.sample(unknown, lambda: 0.5) is None
    assert await swarm.peers(unknown) == ()
    await swarm.add(parts.spec(tmp_path / "media"))
    nothing = await swarm.sample(unknown, lambda: 0.5)
    assert nothing is not None
    assert (nothing.data, nothing.begin, nothing.length) == (None, 0, parts.meta.piece_length)
    piece = parts.whole[nothing.piece * nothing.length :][: nothing.length]
    assert hashlib.sha1(piece).digest() == nothing.sha1
    await swarm.remove(unknown)
    await swarm.add(parts.spec(parts.written(tmp_path / "media")))
    for at in (0.0, 0.4, 0.5, 0.999):
        sample = await swarm.sample(unknown, lambda at=at: at)  # type: ignore[misc]
        assert sample is not None
        assert sample.data is not None
        assert 0 < sample.length <= 16 * KIB
        start = sample.piece * parts.meta.piece_length + sample.begin
        assert sample.data == parts.whole[start : start + sample.length]
        data = next(d for path, d in parts.files.items() if path.endswith(sample.file))
        assert sample.data == data[sample.offset :][: sample.length]
