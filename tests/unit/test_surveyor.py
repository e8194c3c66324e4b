"""Looking into copies: a held video, its origin and mirrors over real HTTP, and peers that answer or lie."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from appliance.clock import ManualClock
from appliance.domain.plan import Copies, CopySource, Rule, RuleKind
from appliance.domain.units import MIB, RenditionName, RuleId, VideoId
from appliance.follow.sources import peertube
from appliance.plan.examiner import Examiner, ExaminerOptions
from appliance.plan.survey import Asked, Target
from appliance.plan.surveyor import SurveyOptions, Surveyor, spend, spent
from appliance.store import copies, origins, rules, saved, videos
from appliance.store.copies import Counted
from appliance.store.engine import Store
from appliance.swarm.challenge import Answer, Kind
from appliance.swarm.port import PeerSeen
from appliance.swarm.torrent import parse_torrent
from tests.unit.box import Box, a_box
from tests.world.doorman import answering, at_the_door, saying
from tests.world.faults import FaultKind
from tests.world.http import Reply, Request, Server
from tests.world.media import Layout, make
from tests.world.origin import Origin
from tests.world.published import Published
from tests.world.scripted import QuickClock
from tests.world.shapes import dumps

RARE = Rule(RuleId("rare"), "Rare", RuleKind.RARE_FIRST)
FULL = RenditionName("360p")


class Spent:
    def __init__(self) -> None:
        self.up = self.down = self.named = 0

    def count_challenge(self, video: VideoId, rendition: RenditionName, up: int, down: int) -> None:
        self.up, self.down = self.up + up, self.down + down

    def count_fetched(self, video: VideoId, rendition: RenditionName, count: int) -> None:
        self.named += count


class Mirror:
    """Serves a video's media files as a mirror does, or ``body`` of each."""

    def __init__(self, made: Mapping[str, Path], spoil: Callable[[bytes], bytes] = lambda data: data) -> None:
        self._made, self._spoil = made, spoil
        self._server = Server(self._answer, "127.0.0.1", (0,))
        self.host = f"127.0.0.1:{self._server.ports[0]}"
        self.url = f"http://{self.host}/static/redundancy/hls/x"
        self._server.start()

    def _answer(self, request: Request) -> Reply:
        path = self._made.get(request.path.rpartition("/")[2])
        return Reply(404) if path is None else Reply(200, {}, self._spoil(path.read_bytes()), ranges=True)

    @property
    def asked(self) -> list[str]:
        return [visit.path for visit in self._server.log]

    def close(self) -> None:
        self._server.close()


class HastyClock(QuickClock):
    SPEED = 20_000.0


class Scene:
    def __init__(self, box: Box, options: SurveyOptions, chance: float) -> None:
        self.box, self.spent, self.clock = box, Spent(), HastyClock()
        self.examiner = Examiner(
            box.store,
            box.swarm,
            box.library,
            box.fetcher,
            ExaminerOptions,
            self.spent,
            lambda: chance,
        )
        self.surveyor = Surveyor(box.store, self.examiner, self.clock, options, lambda: 0.0)

    async def copies(self, video: VideoId) -> Copies:
        lines = self.box.fetcher.export()
        await self.box.store.write(origins.put, self.box.clock.now(), lines)
        return await self.box.store.read(copies.of, video, self.clock.now())

    async def ended(self, video: VideoId, count: int) -> dict[str, int]:
        """Wait for so many hosts' answers and return them."""
        async with asyncio.timeout(20):
            while True:
                lines = (await self.box.store.read(copies.lines, [video])).get(video, [])
                found = {line.host: line.count for line in lines if line.host}
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)


@asynccontextmanager
async def surveying(box: Box, chance: float = 0.5) -> AsyncIterator[Scene]:
    scene = Scene(box, SurveyOptions(1 << 40), chance)
    task = asyncio.create_task(scene.surveyor.keep_asking())
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def mirrored(box: Box, film: Published, *mirrors: Mirror) -> None:
    detail = peertube.video_detail(dumps(film.detail()), box.tube.base_url)
    known = replace(detail, mirrors=tuple(mirror.url for mirror in mirrors))
    await box.store.write(videos.put_detail, known, None, box.clock.now())


async def held(box: Box, film: Published) -> VideoId:
    video = await box.know(film)
    await box.want(video)
    await box.pinned(video)
    await box.quiet()
    return video


def files_of(film: Published) -> dict[str, Path]:
    return {name: film.made.path(name) for file in film.made.files for name in file.parts}


async def test_without_a_rule_that_hangs_on_copies_nobody_is_asked(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(), torrents=False)
    async with a_box(tmp_path, origin) as box:
        await held(box, film)
        before = origin.media_bytes
        await box.store.promise(rules.put, Rule(RuleId("new"), "New", RuleKind.RECENT))
        async with surveying(box) as scene:
            await asyncio.sleep(0.1)
            await box.store.promise(rules.put, replace(RARE, paused=True))
            await asyncio.sleep(0.1)
            assert scene.surveyor._targets == {}
        assert origin.media_bytes == before
        assert await box.store.read(saved.get, "challenge_bytes") is None


async def test_origin_and_mirrors_prove_their_copies_and_those_without_are_caught(
    tmp_path: Path, origin: Origin
) -> None:
    film = origin.add_video(make(Layout.SPLIT), torrents=False)
    made = await asyncio.to_thread(files_of, film)
    pictures = {name: path for name, path in made.items() if "-0-" not in name}
    mirrors = [Mirror(made), Mirror(made, lambda data: bytes(len(data))), Mirror(pictures)]
    try:
        async with a_box(tmp_path, origin) as box:
            video = await held(box, film)
            await mirrored(box, film, *mirrors)
            before = origin.media_bytes
            await box.store.promise(rules.put, RARE)
            async with surveying(box) as scene:
                good, junk, mute = mirrors
                assert await scene.ended(video, 4) == {origin.host: 1, good.host: 1, junk.host: 0, mute.host: 0}
                found = await scene.copies(video)
                assert (found.live, found.verified) == (2, 2)
                assert origin.media_bytes - before <= 16 * 1024
                assert 0 < scene.spent.named <= 4 * 16 * 1024
                tally = await box.store.read(spent, scene.clock.now().date().isoformat())
                assert scene.spent.named < tally.count <= 4 * 17 * 1024
    finally:
        for mirror in mirrors:
            mirror.close()


async def test_a_silent_origin_loses_nothing_and_is_left_alone(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(), torrents=False)
    async with a_box(tmp_path, origin) as box:
        video = await held(box, film)
        origin.fault("*-fragmented.mp4", FaultKind.STATUS, status=403)
        await box.store.promise(rules.put, RARE)
        async with surveying(box) as scene:
            await asyncio.to_thread(origin.wait_for, "*-fragmented.mp4", 2)
            await asyncio.sleep(0.3)
            assert await box.store.read(copies.lines, [video]) == {}
            assert len(scene.surveyor._tries) == 1


async def test_what_the_plan_would_fetch_is_looked_into_by_the_origins_hashes(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make(), torrents=False)
    made = await asyncio.to_thread(files_of, film)
    mirrors = [Mirror(made), Mirror(made, lambda data: bytes(len(data)))]
    try:
        async with a_box(tmp_path, origin, running=False) as box:
            video = await box.know(film)
            await mirrored(box, film, *mirrors)
            await box.want(video)
            await box.store.promise(rules.put, RARE)
            async with surveying(box) as scene:
                good, junk = mirrors
                assert await scene.ended(video, 3) == {origin.host: 1, good.host: 1, junk.host: 0}
    finally:
        for mirror in mirrors:
            mirror.close()


async def test_peers_prove_their_copies_and_a_liar_is_caught(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    async with a_box(tmp_path, origin) as box:
        video = await held(box, film)
        record = await box.store.read(videos.one, video)
        assert record is not None
        torrent = record.renditions[0].torrent
        assert torrent is not None
        meta = parse_torrent(await asyncio.to_thread(film.torrent, record.renditions[0].height), allow_private=True)
        info_hash, length = meta.info_hash, meta.piece_length
        assert info_hash == torrent.info_hash
        made = next(f for f in film.made.files if f.resolution == record.renditions[0].height)
        whole = b"".join(film.made.path(part).read_bytes() for part in made.parts)
        honest = answering(info_hash, meta.pieces, lambda p, b, n: whole[p * length + b :][:n])
        lying = answering(info_hash, meta.pieces, lambda p, b, n: bytes(n))
        async with (
            at_the_door(honest, "127.0.0.11") as one,
            at_the_door(lying, "127.0.0.12") as two,
            at_the_door(saying(), "127.0.0.13") as three,
        ):
            box.swarm.seen[info_hash] = (PeerSeen(one, None), PeerSeen(two, True), PeerSeen(three, None))
            await box.store.write(copies.note_counted, {video: Counted(None, 2)}, box.clock.now())
            await box.store.promise(rules.put, RARE)
            async with surveying(box, chance=0.0) as scene:
                found = await scene.ended(video, 3)
                assert found == {origin.host: 1, "127.0.0.11": 1, "127.0.0.12": 0}
                assert scene.spent.down > 2 * 16 * 1024
                assert scene.spent.up > 0
                assert (await scene.copies(video)).verified == 2


class Scripted:
    """An examiner whose every challenge costs and receives the same."""

    stopped = False
    listed = 0

    def __init__(self, count: int = 16 * 1024) -> None:
        self.asked: list[tuple[str, str]] = []
        self.kind, self.count = Kind.VERIFIED, count

    def cost_of_preparing(self, target: Target) -> int:
        return 0

    async def prepare(self, target: Target, tries: object, before: Asked, now: datetime) -> object:
        from appliance.plan.examiner import Exam

        async def put() -> Answer:
            self.asked.append((target.host, target.video))
            return Answer(self.kind, self.count)

        return Exam(target.host, self.count + 1000, put)


async def test_a_days_budget_lasts_the_day_and_survives_restarts(tmp_path: Path, origin: Origin) -> None:
    films = [origin.add_video(make(), torrents=False) for _ in range(6)]
    async with a_box(tmp_path, origin, running=False) as box:
        for film in films:
            await box.want(await box.know(film))
        await box.store.promise(rules.put, RARE)
        clock, asked = ManualClock(datetime(2026, 11, 21, 9, tzinfo=UTC)), Scripted()
        budget = 128 * 1024 + 2 * 16 * 1024

        async def turns(count: int) -> list[float | None]:
            surveyor = Surveyor(box.store, asked, clock, SurveyOptions(budget), lambda: 0.5)  # type: ignore[arg-type]
            slept = []
            for _ in range(count):
                slept.append(await surveyor._turn())
                clock.advance(slept[-1] or 0)
            return slept

        first = await turns(1)
        assert first == [3600.0], "spread over the day, an hour at most"
        await turns(2)
        assert len(asked.asked) == 3
        day = clock.now().date().isoformat()
        assert (await box.store.read(spent, day)).count == 3 * 16 * 1024
        (left,) = await turns(1)
        assert left is not None
        assert left > 3600, "until midnight"
        assert clock.now() == datetime(2026, 11, 22, tzinfo=UTC)
        await turns(1)
        assert len(asked.asked) > 3
        never = Surveyor(box.store, asked, clock, SurveyOptions(0))  # type: ignore[arg-type]
        assert await never._turn() is None


async def test_a_clock_set_back_brings_no_second_budget(tmp_path: Path) -> None:
    async with Store(tmp_path / "catalogue.db") as store:
        await store.write(spend, "2026-11-21", 5 * MIB)
        assert (await store.read(spent, "2026-11-20")).count == 5 * MIB
        await store.write(spend, "2026-11-20", MIB)
        assert json.loads(str(await store.read(saved.get, "challenge_bytes"))) == {
            "day": "2026-11-21",
            "count": 6 * MIB,
        }
        assert (await store.read(spent, "2026-11-22")).count == 0
        await store.write(spend, "2026-11-22", -5)
        assert (await store.read(spent, "2026-11-22")).count == 0


async def test_hosts_take_turns(tmp_path: Path, origin: Origin) -> None:
    films = [origin.add_video(make(), torrents=False) for _ in range(4)]
    mirrors = [Mirror({}), Mirror({})]
    try:
        async with a_box(tmp_path, origin, running=False) as box:
            for film in films:
                video = await box.know(film)
                await mirrored(box, film, *mirrors)
                await box.want(video)
            await box.store.promise(rules.put, RARE)
            clock, asked = ManualClock(box.clock.now()), Scripted(1)
            surveyor = Surveyor(box.store, asked, clock, SurveyOptions(1 << 40), lambda: 0.5)  # type: ignore[arg-type]
            for _ in range(60):
                clock.advance(await surveyor._turn() or 1.0)
            hosts = [host for host, _ in asked.asked]
            assert len(asked.asked) == len(set(asked.asked)) == 12
            assert all(one != other for one, other in pairwise(hosts))
    finally:
        for mirror in mirrors:
            mirror.close()


def test_sources_are_told_apart() -> None:
    assert {s.value for s in CopySource} == {"tracker", "peers", "mirrors", "origin"}
