"""Copies for televisions, made by the real ffmpeg of real clips: what comes out, what is not made, what goes first."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from appliance.clock import ManualClock, RealClock
from appliance.domain.pin import Wish
from appliance.domain.shelf import PlayableFile
from appliance.domain.television import CopyState, HeldCopy
from appliance.domain.units import ByteCount, VideoId
from appliance.host.encoders import ENCODERS
from appliance.host.encoding import Job, Kitchen, Reel
from appliance.host.ffmpeg import find_ffmpeg
from appliance.library import copies
from appliance.library.copies import FOLDER
from appliance.library.marker import Library
from appliance.library.space import Floor, Space
from appliance.serve.copies import CopyOptions, TelevisionCopies
from appliance.serve.insides import insides_of_file
from appliance.serve.television import playable_by_tv
from appliance.store import pins, saved, videos
from appliance.store.engine import Store
from appliance.store.leases import Leases
from tests.media.clips import NOW, Calm, Clip, Shelf, a_shelf, eventually, later, make
from tests.media.shelf import VIDEO, Notes, empty_shelf, noise, serving
from tests.world.service import Service

ON = CopyOptions(wanted=True, size=ByteCount(50_000_000))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def kitchen() -> Kitchen:
    """One that does not try this machine's hardware again in every test."""
    made = Kitchen()
    for encoder in ENCODERS[:-1]:
        made.distrust(encoder)
    return made


async def until(shelf: Shelf, true: Callable[[], bool], seconds: float = 60) -> None:
    """Run the loop until something is true. It says so itself where a copy came or went; progress says nothing."""
    running = asyncio.create_task(shelf.copies.run())
    try:
        await eventually(lambda: true() or running.done(), seconds)
        assert not running.done(), running.result()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def is_ready(shelf: Shelf, *ids: VideoId) -> Callable[[], bool]:
    return lambda: all((told := shelf.copies.status(one)) is not None and told.state is CopyState.READY for one in ids)


def streams(path: str) -> dict[str, dict[str, object]]:
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", path],
        capture_output=True,
        check=True,
        timeout=30,
    )
    found = json.loads(told.stdout)
    assert abs(float(found["format"]["duration"]) - 2) < 0.3
    return {s["codec_type"]: s for s in found["streams"]}


async def check_copy(tmp_path: Path, clips: Path, kitchen: Kitchen, clip: Clip) -> dict[str, dict[str, object]]:
    async with a_shelf(tmp_path, ON, kitchen=kitchen) as shelf:
        video = await shelf.pin(1, make(clip, clips))
        await until(shelf, is_ready(shelf, video))
        held = shelf.copies.held(video)
        assert held is not None
        inside = await asyncio.to_thread(insides_of_file, Path(held.path))
        assert playable_by_tv(inside.codecs, held.height, 25), inside
        head = await asyncio.to_thread(Path(held.path).read_bytes)
        assert (held.width, held.height, held.file.size) == (160, 90, len(head))
        assert head.index(b"moov") < head.index(b"mdat")
        found = await asyncio.to_thread(streams, held.path)
        assert found["video"]["codec_name"] == "h264"
        assert (found["audio"]["codec_name"], found["audio"]["profile"]) == ("aac", "LC")
        assert len(shelf.files()) == 1
        return found


async def test_vp9_with_opus_becomes_h264_with_aac(tmp_path: Path, clips: Path, kitchen: Kitchen) -> None:
    found = await check_copy(tmp_path, clips, kitchen, Clip.VP9)
    assert (found["video"]["profile"], found["video"]["pix_fmt"], found["video"]["level"]) == ("High", "yuv420p", 41)


@pytest.mark.trial
async def test_sound_alone_is_made_anew_where_only_that_differs(tmp_path: Path, clips: Path, kitchen: Kitchen) -> None:
    found = await check_copy(tmp_path, clips, kitchen, Clip.OPUS)
    assert found["video"]["nb_frames"] == "50"
    assert found["video"]["level"] == 11, "the pictures are the origin's own"


@pytest.mark.trial
@pytest.mark.parametrize("clip", [Clip.WEBM, Clip.HEVC, Clip.HIGH10, Clip.AV1, Clip.AC3_TS])
async def test_every_kind_becomes_what_a_television_plays(
    tmp_path: Path, clips: Path, kitchen: Kitchen, clip: Clip
) -> None:
    found = await check_copy(tmp_path, clips, kitchen, clip)
    assert int(str(found["audio"]["channels"])) <= 2


async def test_nothing_is_made_where_it_is_off_and_what_was_made_goes_as_it_is_switched_off(
    tmp_path: Path, clips: Path, kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_shelf(tmp_path, CopyOptions(), kitchen=kitchen) as shelf:
        video = await shelf.pin(1, make(Clip.OPUS, clips))
        looked = asyncio.Event()
        monkeypatch.setattr(kitchen, "make", None)
        shelf.library.root.joinpath(FOLDER).mkdir()
        stays = shelf.library.root / FOLDER / "somebody's.mp4"
        stays.write_bytes(b"not ours")
        unfinished = await asyncio.to_thread(copies.begin, shelf.library, video, "aaaaaaaaaaaaaaaa")
        await asyncio.to_thread(copies.finish, shelf.library, video, "aaaaaaaaaaaaaaaa", NOW, NOW)
        assert not unfinished.exists()
        shelf.copies.on_change(looked.set)
        await until(shelf, lambda: shelf.files() == [stays.name])
        assert shelf.copies.status(video) is None
        assert shelf.copies.held(video) is None


@pytest.mark.trial
async def test_what_plays_everywhere_gets_no_copy(tmp_path: Path, clips: Path, kitchen: Kitchen) -> None:
    async with a_shelf(tmp_path, ON, kitchen=kitchen) as shelf:
        plays = await shelf.pin(1, make(Clip.PLAYS, clips))
        both = await shelf.pin(2, make(Clip.VP9, clips), make(Clip.PLAYS, clips))
        last = await shelf.pin(3, make(Clip.OPUS, clips), since=later(-1))
        await until(shelf, is_ready(shelf, last))
        assert [shelf.copies.status(one) for one in (plays, both)] == [None, None]
        assert len(shelf.files()) == 1


@pytest.mark.trial
async def test_a_copy_goes_with_its_video_and_is_not_made_for_one_that_is_not_whole(
    tmp_path: Path, clips: Path, kitchen: Kitchen
) -> None:
    async with a_shelf(tmp_path, ON, kitchen=kitchen) as shelf:
        video = await shelf.pin(1, make(Clip.OPUS, clips))
        await until(shelf, is_ready(shelf, video))
        await shelf.store.promise(pins.drop, video)
        await until(shelf, lambda: not shelf.files())


async def test_within_its_budget_the_least_recently_watched_go_first(
    tmp_path: Path, clips: Path, kitchen: Kitchen
) -> None:
    async with a_shelf(tmp_path, ON, kitchen=kitchen) as shelf:
        media = make(Clip.OPUS, clips)
        first, second = [await shelf.pin(n, media, since=later(n)) for n in (1, 2)]
        await until(shelf, is_ready(shelf, first, second))
        shelf.leases.renew(first, "a screen")
        await shelf.copies.played(first)
        size = sum(c.size for c in await shelf.there())
        shelf.copies.reconfigure(CopyOptions(True, ByteCount(size - 1)))
        await until(shelf, lambda: len(shelf.files()) == 1)
        assert [c.video for c in await shelf.there()] == [first]
        assert shelf.copies.status(second) is None, "what does not fit is not made anew to push out another"


@pytest.mark.trial
async def test_pins_get_the_room_of_copies_and_of_what_is_being_made(
    tmp_path: Path, clips: Path, kitchen: Kitchen
) -> None:
    async with a_shelf(tmp_path, ON, kitchen=kitchen) as shelf:
        media = make(Clip.OPUS, clips)
        first, second, third = [await shelf.pin(n, media, since=later(n)) for n in (1, 2, 3)]
        await until(shelf, is_ready(shelf, first, second, third))
        shelf.leases.renew(third, "a screen")
        assert await shelf.copies.size() == sum(c.size for c in await shelf.there() if c.video != third)
        await shelf.copies.give(ByteCount(1))
        assert shelf.copies.held(first) is None
        await shelf.copies.give(ByteCount(1 << 40))
        assert [c.video for c in await shelf.there()] == [third], "nobody's film is taken away"


async def test_the_encoder_has_the_lowest_priority_in_all_its_threads_and_rests_while_a_screen_plays(
    tmp_path: Path, clips: Path, kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.serve.copies.LOOK", 0.05)
    watches = ManualClock(NOW)
    async with a_shelf(tmp_path, ON, kitchen=kitchen, watches=watches) as shelf:
        video = await shelf.pin(1, make(Clip.VP9, clips, seconds=10, size="320x180"), seconds=10, height=180)
        running = asyncio.create_task(shelf.copies.run())
        try:
            async with asyncio.timeout(60):
                child = await making(shelf, video)
                shelf.leases.renew(video, "a screen")
                await eventually(lambda: child.status() == psutil.STATUS_STOPPED)
                assert child.name().startswith("ffmpeg")
                assert (child.nice(), child.ionice().ioclass) == (19, psutil.IOPRIO_CLASS_IDLE)
                assert await asyncio.to_thread(nices, child.pid) == {19}
                told = shelf.copies.status(video)
                assert told is not None
                assert told.state is CopyState.RESTING
                assert told.percent is not None
                assert told.percent < 100
                watches.advance(61)
                await eventually(lambda: state(shelf, video) is not CopyState.RESTING)
                shelf.calm.share = 0.9
                await eventually(lambda: state(shelf, video) is not CopyState.MAKING)
                shelf.calm.share = 0.1
                await eventually(is_ready(shelf, video))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def making(shelf: Shelf, video: VideoId) -> psutil.Process:
    """Return the encoder once it has made some of a copy."""
    while True:
        told = shelf.copies.status(video)
        if told is not None and told.state is CopyState.MAKING and told.percent:
            found = [c for c in psutil.Process().children() if c.name().startswith("ffmpeg")]
            if found:
                return found[0]
        await asyncio.sleep(0.01)


def nices(pid: int) -> set[int]:
    """The niceness of every thread of a process (proc(5), field 19 of stat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int((task / "stat").read_text().rpartition(")")[2].split()[16]) for task in tasks}


@pytest.mark.trial
async def test_stopping_in_the_middle_leaves_nothing_and_does_not_count_as_a_failure(
    tmp_path: Path, clips: Path, kitchen: Kitchen
) -> None:
    async with a_shelf(tmp_path, ON, kitchen=kitchen) as shelf:
        video = await shelf.pin(1, make(Clip.VP9, clips, seconds=10, size="320x180"), seconds=10, height=180)
        running = asyncio.create_task(shelf.copies.run())
        child = await making(shelf, video)
        assert len(shelf.files()) == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert shelf.files() == []
        assert not child.is_running()


_DIES = """
import asyncio, sys
from pathlib import Path
from appliance.domain.units import ByteCount
from appliance.library.marker import Library
from appliance.library.space import Floor, Space
from appliance.serve.copies import CopyOptions, TelevisionCopies
from tests.media.clips import a_shelf

async def main() -> None:
    async with a_shelf(Path(sys.argv[1]), CopyOptions(True, ByteCount(50_000_000))) as shelf:
        await shelf.copies.run()

asyncio.run(main())
"""


@pytest.mark.trial
async def test_a_kill_in_the_middle_leaves_no_encoder_and_no_copy_and_counts_as_an_attempt(
    tmp_path: Path, clips: Path, kitchen: Kitchen
) -> None:
    async with a_shelf(tmp_path, ON, kitchen=kitchen) as shelf:
        video = await shelf.pin(1, make(Clip.VP9, clips, seconds=10, size="320x180"), seconds=10, height=180)
        root = Path(__file__).parents[2]
        service = await asyncio.create_subprocess_exec(sys.executable, "-c", _DIES, str(tmp_path), cwd=root)
        async with asyncio.timeout(60):
            await eventually(lambda: bool(encoders(service.pid)) and len(shelf.files()) == 2)
            found = encoders(service.pid)
            os.kill(service.pid, signal.SIGKILL)
            await service.wait()
            assert found
            await eventually(lambda: not any(map(is_alive, found)))
        assert await shelf.there() == ()
        [tried] = await shelf.tried()
        assert (tried.video, tried.failed, tried.message) == (video, 1, "")
        shelf.calm.share = 0.9
        await until(shelf, lambda: shelf.copies.status(video) is not None)
        told = shelf.copies.status(video)
        assert told is not None
        assert told.state is CopyState.FAILED
        assert told.trouble is not None
        assert told.trouble.hint == "It is tried again later."
        assert shelf.files() == [f"{video}-{tried.source}.json"], "what was begun is swept"


def is_alive(one: psutil.Process) -> bool:
    try:
        return bool(one.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def state(shelf: Shelf, video: VideoId) -> CopyState | None:
    told = shelf.copies.status(video)
    return None if told is None else told.state


def encoders(pid: int) -> list[psutil.Process]:
    """The processes that write a copy for a service."""
    try:
        return [c for c in psutil.Process(pid).children() if any(FOLDER in part for part in c.cmdline())]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.trial
async def test_what_cannot_be_made_is_said_in_a_sentence_and_not_tried_for_ever(
    tmp_path: Path, clips: Path, kitchen: Kitchen
) -> None:
    broken = tmp_path / "broken.mp4"
    data = bytearray(make(Clip.VP9, clips).read_bytes())
    begin = data.index(b"moof") - 4
    broken.write_bytes(bytes(data[:begin]) + b"\0" * (len(data) - begin))
    async with a_shelf(tmp_path, ON, kitchen=kitchen) as shelf:
        video = await shelf.pin(1, broken)
        await until(shelf, lambda: failed(shelf, video))
        told = shelf.copies.status(video)
        assert told is not None
        assert told.trouble is not None
        assert told.trouble.message.endswith(".")
        assert "tried again later" in told.trouble.hint
        [tried] = await shelf.tried()
        for count in (2, 3):
            again = copies.Attempts(video=video, source=tried.source, failed=count, at=NOW, message=tried.message)
            await asyncio.to_thread(copies.remember, shelf.library, again)
        await until(shelf, lambda: failed(shelf, video) and "It is not tried again." in str(shelf.copies.status(video)))
        assert [name for name in shelf.files() if not name.endswith(".json")] == []


def failed(shelf: Shelf, video: VideoId) -> bool:
    told = shelf.copies.status(video)
    return told is not None and told.state is CopyState.FAILED and not shelf.copies.making


@pytest.mark.trial
async def test_a_film_in_many_files_is_read_in_the_order_in_which_it_is_played(tmp_path: Path, clips: Path) -> None:
    program = find_ffmpeg()
    assert program is not None
    whole = make(Clip.AC3_TS, clips).read_bytes()
    cut = len(whole) // 188 // 2 * 188
    parts = [tmp_path / "b.ts", tmp_path / "a.ts"]
    for path, data in zip(parts, (whole[:cut], whole[cut:]), strict=True):
        path.write_bytes(data)
    target = tmp_path / "out.mp4"
    target.touch()
    kitchen, seen = Kitchen(program), []
    job = Job(Reel(tuple(parts), "mpegts"), None, target, 2, 900, copy_pictures=True)
    done = await kitchen.make(job, ENCODERS[-1], lambda seconds, size: seen.append((seconds, size)))
    assert done.ok, done.errors
    assert seen[-1][1] == target.stat().st_size
    found = await asyncio.to_thread(streams, str(target))
    assert (found["video"]["nb_frames"], found["audio"]["codec_name"]) == ("50", "aac")


@dataclass
class OneCopy:
    """A copy that lies at ``path``, and how often it was played."""

    path: Path
    played_times: int = 0

    def held(self, video: VideoId) -> HeldCopy | None:
        file = PlayableFile(self.path.name, ByteCount(4_000), "an identity")
        return HeldCopy(str(self.path), file, 160, 90) if video == VIDEO else None

    async def played(self, video: VideoId) -> None:
        self.played_times += 1


async def test_a_copy_is_served_by_byte_range_and_where_there_is_none_that_is_said(tmp_path: Path) -> None:
    data = noise(4_000, "a copy")
    (tmp_path / "copy.mp4").write_bytes(data)
    copy, shelf, notes = OneCopy(tmp_path / "copy.mp4"), empty_shelf(tmp_path), Notes()
    async with serving(shelf, notes, copies=copy) as (host, port), httpx.AsyncClient() as client:
        address = f"http://{host}:{port}/media/{VIDEO}/tv.mp4"
        part = await client.get(address, headers={"range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, data[1000:2000])
        assert (await client.get(address, headers={"if-none-match": part.headers["etag"]})).status_code == 304
        head = await client.head(address)
        assert (head.headers["content-length"], head.headers["content-type"]) == ("4000", "video/mp4")
        assert "DLNA.ORG_OP=01;DLNA.ORG_CI=1" in head.headers["contentfeatures.dlna.org"]
        assert (await client.get(address, headers={"range": "bytes=4000-"})).status_code == 416
        assert copy.played_times == 4
    async with serving(shelf, notes) as (host, port), httpx.AsyncClient() as client:
        none = await client.get(f"http://{host}:{port}/media/{VIDEO}/tv.mp4")
        assert (none.status_code, none.json()["code"]) == (404, "no_copy")


async def test_an_encoder_that_is_listed_but_does_not_work_here_is_not_chosen(tmp_path: Path) -> None:
    fake, real = tmp_path / "ffmpeg", find_ffmpeg()
    fake.write_text(
        textwrap.dedent(f"""\
        #!/bin/sh
        echo "$*" >> {tmp_path}/asked
        case "$*" in *libx264*) exec {real} "$@";; esac
        exit 1
        """)
    )
    fake.chmod(0o755)
    kitchen = Kitchen(fake)
    first, second = await asyncio.gather(kitchen.encoder(), kitchen.encoder())
    assert first is second is ENCODERS[-1]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == len(ENCODERS), "each is tried once"


async def _filled(data: Path, clip: Path) -> VideoId:
    """Put a pinned clip into the library of an appliance that does not run."""
    async with Store(data / "catalogue.db") as store:
        ident = await store.read(saved.get, "library_id")
        assert ident is not None
        library = Library(data / "library", ident)
        leases, kitchen = Leases(RealClock()), Kitchen()
        space = Space(library.root, Floor(ByteCount(0), 0.0))
        copying = TelevisionCopies(store, library, leases, space, RealClock(), CopyOptions(), kitchen, Calm())
        video = await Shelf(store, library, leases, copying, kitchen, Calm()).pin(1, clip)
        await store.promise(videos.wish, video, Wish.PIN)
        return video


@pytest.mark.trial
def test_the_appliance_makes_a_copy_once_its_owner_says_so_and_deletes_it_again(tmp_path: Path, clips: Path) -> None:
    service = Service(tmp_path)
    with service:
        pass
    video = asyncio.run(_filled(service.data, make(Clip.VP9, clips)))
    path = f"/api/v1/videos/{video}"
    with service:
        assert service.get(path)["tv_copy"] is None
        service.ask("PATCH", "/api/v1/settings", {"tv.copies": "when_needed"})
        service.until(path, lambda told: (told["tv_copy"] or {}).get("state") == "ready")
        address = json.loads((service.data / "service.json").read_text())["url"] + f"/media/{video}/tv.mp4"
        assert streams(address)["video"]["codec_name"] == "h264"
        service.ask("PATCH", "/api/v1/settings", {"tv.copies": "off"})
        service.until(path, lambda told: told["tv_copy"] is None)
        assert httpx.get(address, trust_env=False).status_code == 404
