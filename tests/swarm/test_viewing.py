"""Viewers over pieces that are still arriving: the origin's help, its lies, several at once, rot."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import libtorrent as lt
import pytest

from appliance.errors import Unreachable
from appliance.swarm.port import Whole
from appliance.swarm.session import LibtorrentSwarm
from tests.swarm.test_wire import foreign
from tests.swarm.torrents import KIB, Content, Heard, noise, quiet, spoil
from tests.world import peers

PIECE = 64 * KIB


class Window:
    """An origin asked by range; ``spoil`` changes what it answers."""

    def __init__(self, content: Content, change: Callable[[bytes], bytes] = lambda data: data) -> None:
        self.data, self.change = list(content.files.values()), change
        self.asked: list[tuple[int, int, int]] = []
        self.open: asyncio.Event | None = None
        self.fails = False

    async def __call__(self, file_index: int, first: int, last: int) -> bytes:
        self.asked.append((file_index, first, last))
        if self.fails:
            raise Unreachable("The origin does not answer.")
        if self.open:
            await self.open.wait()
        return self.change(self.data[file_index][first : last + 1])


@pytest.fixture
def film() -> Content:
    return Content.of({"film.mp4": noise(40 * PIECE - 9)}, piece=PIECE)


async def read(reader: object, offset: int, length: int) -> bytes:
    got = b""
    async with asyncio.timeout(20):
        while len(got) < length:
            got += await reader.read(offset + len(got), length - len(got))  # type: ignore[attr-defined]
    return got


async def test_the_origin_alone_serves_a_viewer_and_the_torrent_keeps_the_pieces(film: Content, tmp_path: Path) -> None:
    window = Window(film)
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        heard = Heard(swarm)
        await swarm.add(film.spec(tmp_path / "media", window=window), sequential=True)
        await swarm.start(film.meta.info_hash)
        reader = await swarm.reader(film.meta.info_hash, 0)
        assert await read(reader, 30 * PIECE + 7, 3 * PIECE) == film.whole[30 * PIECE + 7 : 33 * PIECE + 7]
        assert await read(reader, 0, len(film.whole)) == film.whole
        await heard.whole(film)
        assert (tmp_path / "media" / "film.mp4").read_bytes() == film.whole
        first = [first for _, first, _ in window.asked[:3]]
        assert all(30 * PIECE <= f < 34 * PIECE for f in first), "the viewer's place comes first"
        assert len(window.asked) <= film.meta.pieces + 4, "no piece is asked for twice"
        await reader.close()


async def test_the_origin_is_read_across_the_files_of_a_torrent(tmp_path: Path) -> None:
    parts = Content.of({f"{k}.ts": noise(50 * KIB + k, str(k)) for k in range(6)}, piece=PIECE, name="parts")
    window = Window(parts)
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        await swarm.add(parts.spec(tmp_path / "media", window=window))
        await swarm.start(parts.meta.info_hash)
        reader = await swarm.reader(parts.meta.info_hash, 4)
        assert await read(reader, 0, int(reader.size)) == parts.files["4.ts"]
        await reader.close()


async def test_an_origin_that_lies_is_not_believed_and_not_asked_again(film: Content, tmp_path: Path) -> None:
    window = Window(film, lambda data: bytes(len(data)))
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm, foreign() as seed:
        await swarm.add(film.spec(tmp_path / "media", window=window))
        await swarm.start(film.meta.info_hash)
        reader = await swarm.reader(film.meta.info_hash, 0)
        waiting = asyncio.create_task(read(reader, 5 * PIECE, PIECE))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        asked = len(window.asked)
        assert asked <= 4
        source = film.written(tmp_path / "source")
        peers.add(seed, film.meta.raw, source, seeding=True, peers=[("127.0.0.1", await swarm.port())])
        assert await waiting == film.whole[5 * PIECE : 6 * PIECE]
        assert len(window.asked) == asked
        await reader.close()


async def test_where_the_origin_fails_or_hangs_the_swarm_serves(film: Content, tmp_path: Path) -> None:
    for how in ("fails", "hangs"):
        window = Window(film)
        window.fails, window.open = how == "fails", asyncio.Event()
        async with LibtorrentSwarm(quiet(tmp_path / how)) as swarm, foreign() as seed:
            await swarm.add(film.spec(tmp_path / f"media-{how}", window=window))
            await swarm.start(film.meta.info_hash)
            source = film.written(tmp_path / "source")
            peers.add(seed, film.meta.raw, source, seeding=True, peers=[("127.0.0.1", await swarm.port())])
            reader = await swarm.reader(film.meta.info_hash, 0)
            assert await read(reader, 20 * PIECE, 2 * PIECE) == film.whole[20 * PIECE : 22 * PIECE]
            assert window.asked
            await reader.close()


async def test_two_viewers_at_two_places_both_get_on(film: Content, tmp_path: Path) -> None:
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm, foreign(up=2 << 20) as seed:
        await swarm.add(film.spec(tmp_path / "media"))
        await swarm.start(film.meta.info_hash)
        source = film.written(tmp_path / "source")
        peers.add(seed, film.meta.raw, source, seeding=True, peers=[("127.0.0.1", await swarm.port())])
        one, two = [await swarm.reader(film.meta.info_hash, 0) for _ in range(2)]
        got = await asyncio.gather(read(one, 10 * PIECE, 2 * PIECE), read(two, 30 * PIECE, 2 * PIECE))
        assert list(got) == [film.whole[10 * PIECE : 12 * PIECE], film.whole[30 * PIECE : 32 * PIECE]]
        await one.close()
        await two.close()


async def test_what_is_read_ahead_gives_way_to_who_waits_for_another_torrent(film: Content, tmp_path: Path) -> None:
    sound = Content.of({"sound.mp4": noise(3 * PIECE, "sound")}, piece=PIECE)
    pictures_of, sound_of = Window(film), Window(sound)
    sound_of.open = asyncio.Event()
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        for content, window in ((film, pictures_of), (sound, sound_of)):
            await swarm.add(content.spec(tmp_path / content.meta.name, window=window), sequential=True)
            await swarm.start(content.meta.info_hash)
        hearing, seeing = [await swarm.reader(c.meta.info_hash, 0) for c in (sound, film)]
        waiting = asyncio.create_task(read(hearing, 0, PIECE))
        async with asyncio.timeout(20):
            while not sound_of.asked:  # noqa: ASYNC110 - a window tells nobody
                await asyncio.sleep(0.01)
        assert await read(seeing, 10 * PIECE, PIECE) == film.whole[10 * PIECE : 11 * PIECE]
        await asyncio.sleep(0.6)
        assert len(pictures_of.asked) < 8
        sound_of.open.set()
        assert await waiting == sound.whole[:PIECE]
        async with asyncio.timeout(20):
            while len(pictures_of.asked) < 20:  # noqa: ASYNC110 - a window tells nobody
                await asyncio.sleep(0.01)
        for reader in (hearing, seeing):
            await reader.close()


async def test_after_the_viewers_left_the_rest_comes_and_resume_data_holds_no_zeros(
    film: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.swarm.viewing.LINGER", 0.2)
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm, foreign(up=1 << 20) as seed:
        heard = Heard(swarm)
        await swarm.add(film.spec(tmp_path / "media"))
        await swarm.start(film.meta.info_hash)
        source = film.written(tmp_path / "source")
        peers.add(seed, film.meta.raw, source, seeding=True, peers=[("127.0.0.1", await swarm.port())])
        reader = await swarm.reader(film.meta.info_hash, 0)
        await read(reader, 35 * PIECE, PIECE)
        await swarm.save(film.meta.info_hash)
        saved = lt.read_resume_data((tmp_path / "resume" / f"{film.meta.info_hash}.resume").read_bytes())
        assert 0 not in saved.piece_priorities
        assert not any(isinstance(e, Whole) for e in heard.events)
        await reader.close()
        await heard.whole(film)


async def test_rot_is_found_at_the_first_serving_and_fetched_again(film: Content, tmp_path: Path) -> None:
    spec = film.spec(film.written(tmp_path / "media"))
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm, foreign() as seed:
        assert (await swarm.add(spec)).whole
        await swarm.start(film.meta.info_hash)
        spoil(spec.folder / "film.mp4", 12 * PIECE + 5)
        reader = await swarm.reader(film.meta.info_hash, 0)
        assert await read(reader, 0, PIECE) == film.whole[:PIECE]
        waiting = asyncio.create_task(read(reader, 12 * PIECE, PIECE))
        async with asyncio.timeout(10):
            while (status := swarm.status(film.meta.info_hash)) and status.done == film.meta.size:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        source = film.written(tmp_path / "source")
        peers.add(seed, film.meta.raw, source, seeding=True, peers=[("127.0.0.1", await swarm.port())])
        assert await waiting == film.whole[12 * PIECE : 13 * PIECE]
        assert (spec.folder / "film.mp4").read_bytes() == film.whole
        await reader.close()


async def test_what_is_watched_while_stopped_is_not_asked_of_the_origin(film: Content, tmp_path: Path) -> None:
    window = Window(film)
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        await swarm.add(replace(film.spec(tmp_path / "media"), window=window))
        reader = await swarm.reader(film.meta.info_hash, 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(0, 1)
        assert window.asked == []
        waiting = asyncio.create_task(reader.read(0, 1))
        await swarm.start(film.meta.info_hash)
        assert await asyncio.wait_for(waiting, 10) == film.whole[:1]
        await reader.close()
