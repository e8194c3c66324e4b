"""Pictures and subtitles of what is not held: fetched when somebody wants to see them, and no more often."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.clock import Clock, RealClock
from appliance.domain.units import ByteCount
from appliance.errors import NoSpace
from appliance.library.drawer import Drawer
from appliance.library.layout import TEMPORARY
from appliance.outbound.fetch import Fetcher, OutboundOptions
from appliance.pin.adornment import is_image
from appliance.pin.errands import AT_A_STRETCH, AT_ONCE, MOST_WAITING, OF_ONE_ORIGIN, Errands, Wanted
from tests.world.http import Reply, Request, Server
from tests.world.scripted import QuickClock

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
MOST = 1000
LONG = 20.0


class Host:
    """A server of pictures at two addresses: by default every path has one. It answers once it is ``open``."""

    def __init__(self) -> None:
        self.told: dict[str, Reply] = {}
        self.asked: list[str] = []
        self._server = Server(self._answer, "127.0.0.1", (0, 0))
        self._server.start()

    def close(self) -> None:
        self._server.close()

    def url(self, path: str, door: int = 0) -> str:
        return f"http://127.0.0.1:{self._server.ports[door]}{path}"

    def slow(self, seconds: float) -> None:
        self._server.latency = seconds

    def _answer(self, request: Request) -> Reply:
        self.asked.append(request.path)
        return self.told.get(request.path, Reply(200, {"Content-Type": "text/plain"}, JPEG))


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    try:
        yield made
    finally:
        made.close()


class Runner:
    """Errands, and whether anything may come from the internet."""

    def __init__(self, fetcher: Fetcher, folder: Path, clock: Clock) -> None:
        self.fetcher, self.folder, self.may = fetcher, folder / "beside", True
        self.errands = Errands(fetcher, Drawer(self.folder, clock), clock, lambda: self.may)

    async def bring(self, url: str, patience: float = LONG) -> Path | None:
        return await self.errands.bring(Wanted(url, MOST, is_image), patience)


@asynccontextmanager
async def a_runner(folder: Path, clock: Clock | None = None) -> AsyncIterator[Runner]:
    clock = clock or RealClock()
    async with Fetcher(OutboundOptions(True, "Seedkeep/test"), clock) as fetcher:
        runner = Runner(fetcher, folder, clock)
        try:
            yield runner
        finally:
            await runner.errands.close()


async def test_five_screens_ask_an_origin_once_and_it_is_counted(host: Host, tmp_path: Path) -> None:
    async with a_runner(tmp_path) as runner:
        places = await asyncio.gather(*(runner.bring(host.url("/a")) for _ in range(5)))
        assert len(set(places)) == 1
        assert places[0] is not None
        assert places[0].read_bytes() == JPEG
        assert await runner.bring(host.url("/a")) == places[0]
        assert host.asked == ["/a"]
        (line,) = runner.fetcher.export()
        assert (line.requests, line.bytes_taken >= len(JPEG)) == (1, True)
    async with a_runner(tmp_path) as again:
        assert await again.bring(host.url("/a")) == places[0]
    assert host.asked == ["/a"]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, {"Content-Type": "image/jpeg"}, b"<html>no picture</html>"),
        Reply(200, {"Content-Type": "image/svg+xml"}, b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        Reply(200, {}, JPEG + bytes(MOST)),
        Reply(200, {}, b""),
        Reply(404, {}, b""),
        Reply(302, {"Location": "http://127.0.0.1:1/"}, b""),
    ],
    ids=["a page", "svg", "too large", "empty", "gone", "elsewhere"],
)
async def test_what_is_no_picture_is_not_kept_and_not_asked_for_again(
    host: Host, tmp_path: Path, answer: Reply
) -> None:
    host.told["/a"] = answer
    async with a_runner(tmp_path) as runner:
        for _ in range(3):
            assert await runner.bring(host.url("/a")) is None
        assert host.asked == ["/a"]
        assert await runner.bring(host.url("/b")) is not None
    assert len(list(runner.folder.iterdir())) == 1


async def test_an_origin_in_trouble_is_asked_once_for_a_list_of_a_hundred(host: Host, tmp_path: Path) -> None:
    host.told = {f"/{n}": Reply(503, {}, b"") for n in range(100)}
    async with a_runner(tmp_path) as runner:
        places = await asyncio.gather(*(runner.bring(host.url(f"/{n}")) for n in range(100)))
        assert places == [None] * 100
        assert await asyncio.gather(*(runner.bring(host.url(f"/{n}")) for n in range(100))) == [None] * 100
    assert len(host.asked) <= OF_ONE_ORIGIN


async def test_what_failed_is_asked_for_again_after_a_while(host: Host, tmp_path: Path) -> None:
    host.told["/a"] = Reply(429, {"Retry-After": "60"}, b"")
    async with a_runner(tmp_path, QuickClock()) as runner:
        assert await runner.bring(host.url("/a")) is None
        del host.told["/a"]
        async with asyncio.timeout(LONG):
            while await runner.bring(host.url("/a")) is None:  # noqa: ASYNC110 - a minute of its clock has to pass
                await asyncio.sleep(0.05)
    assert len(host.asked) == 2


class Held:
    """A server that answers nothing before it is let ``go``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go, self._news = asyncio.Event(), asyncio.Condition()
        self._port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    async def was_asked(self, times: int) -> None:
        async with asyncio.timeout(LONG), self._news:
            await self._news.wait_for(lambda: len(self.asked) >= times)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        async with self._news:
            self.asked.append(head.split()[1].decode())
            self._news.notify_all()
        await self.go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(JPEG) + JPEG)
        writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Held"]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.go.set()
            server.close()
            await server.wait_closed()


async def test_what_is_asked_for_last_comes_first(tmp_path: Path) -> None:
    async with Held().serving() as held, a_runner(tmp_path) as runner:
        asking = [asyncio.create_task(runner.bring(held.url(f"/{n}"))) for n in range(OF_ONE_ORIGIN)]
        await held.was_asked(OF_ONE_ORIGIN)
        for n in range(OF_ONE_ORIGIN, 8):
            asking.append(asyncio.create_task(runner.bring(held.url(f"/{n}"))))
            while held.url(f"/{n}") not in runner.errands._waiting:  # noqa: ASYNC110 - it looks on the disk first
                await asyncio.sleep(0.005)
        held.go.set()
        assert None not in await asyncio.gather(*asking)
    assert set(held.asked[OF_ONE_ORIGIN : OF_ONE_ORIGIN + 2]) == {"/7", "/6"}
    assert set(held.asked[-2:]) == {"/3", "/2"}


async def test_an_origin_that_does_not_answer_holds_up_no_other(host: Host, tmp_path: Path) -> None:
    async with Held().serving() as held, a_runner(tmp_path) as runner:
        asking = [asyncio.create_task(runner.bring(held.url(f"/{n}"))) for n in range(12)]
        await held.was_asked(OF_ONE_ORIGIN)
        assert AT_ONCE > OF_ONE_ORIGIN
        assert await runner.bring(host.url("/0")) is not None
        assert not any(task.done() for task in asking)
        assert len(held.asked) == OF_ONE_ORIGIN
        held.go.set()
        assert None not in await asyncio.gather(*asking)


async def test_no_more_wait_than_the_bound_and_an_asker_waits_no_longer_than_its_patience(
    host: Host, tmp_path: Path
) -> None:
    host.slow(1.0)
    async with a_runner(tmp_path) as runner:
        first = asyncio.create_task(runner.bring(host.url("/first")))
        while not host.asked:  # noqa: ASYNC110 - a server in a thread sends no word
            await asyncio.sleep(0.01)
        many = [asyncio.create_task(runner.bring(host.url(f"/{n}"), 0.0)) for n in range(MOST_WAITING + 50)]
        assert await asyncio.gather(*many) == [None] * len(many)
        assert len(runner.errands._waiting) <= MOST_WAITING
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_screen_is_filled_at_once_and_a_whole_catalogue_slowly(host: Host, tmp_path: Path) -> None:
    async with a_runner(tmp_path) as runner:
        many = [asyncio.create_task(runner.bring(host.url(f"/{n}"))) for n in range(AT_A_STRETCH + 100)]
        async with asyncio.timeout(LONG):
            while sum(task.done() for task in many) < AT_A_STRETCH:  # noqa: ASYNC110 - they end one by one
                await asyncio.sleep(0.01)
        begun = len(host.asked)
        assert AT_A_STRETCH <= begun < AT_A_STRETCH + 50
        assert await runner.bring(host.url("/other", door=1)) is not None
        async with asyncio.timeout(LONG):
            while len(host.asked) < begun + 2:  # noqa: ASYNC110 - a server in a thread sends no word
                await asyncio.sleep(0.01)
        for task in many:
            task.cancel()
        await asyncio.gather(*many, return_exceptions=True)


async def test_nothing_is_asked_while_nothing_may_come(host: Host, tmp_path: Path) -> None:
    async with a_runner(tmp_path) as runner:
        assert await runner.bring(host.url("/a")) is not None
        runner.may = False
        assert await runner.bring(host.url("/a")) is not None
        assert await runner.bring(host.url("/b")) is None
        runner.may = True
        assert await runner.bring(host.url("/b")) is not None
    assert host.asked == ["/a", "/b"]


# The drawer


def a_drawer(folder: Path, most: int = 100) -> Drawer:
    return Drawer(folder, RealClock(), ByteCount(most))


def test_the_least_recently_used_goes_first_also_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "beside"
    drawer = a_drawer(folder)
    for name in "abc":
        drawer.put(name, name.encode() * 30)
    assert drawer.find("a") is not None
    drawer.put("d", b"d" * 30)
    assert [name for name in "abcd" if drawer.find(name) is not None] == ["a", "c", "d"]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 100
    smaller = a_drawer(folder, 60)
    assert sum(smaller.find(name) is not None for name in "abcd") == 2
    with pytest.raises(NoSpace):
        smaller.put("e", bytes(61))
    assert sum(path.stat().st_size for path in folder.iterdir()) == 60


def test_what_is_not_its_own_is_never_touched_and_halves_are_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / "a photo.jpg").write_bytes(bytes(500))
    (folder / ("0" * 32)).symlink_to(folder / "a photo.jpg")
    (folder / (TEMPORARY + "1" * 32)).write_bytes(b"half")
    (folder / ("2" * 32)).write_bytes(b"")
    drawer = a_drawer(folder)
    place = drawer.put("a", bytes(90))
    drawer.put("b", bytes(90))
    assert not place.exists()
    assert (folder / "a photo.jpg").stat().st_size == 500
    assert (folder / ("0" * 32)).is_symlink()
    assert not (folder / (TEMPORARY + "1" * 32)).exists()
    assert not (folder / ("2" * 32)).exists()


def test_a_file_that_went_or_was_changed_is_not_given_out(tmp_path: Path) -> None:
    drawer = a_drawer(tmp_path / "beside")
    drawer.put("a", b"a" * 10).unlink()
    drawer.put("b", b"b" * 10).write_bytes(b"other")
    assert (drawer.find("a"), drawer.find("b")) == (None, None)
    assert drawer.put("b", b"b" * 10).read_bytes() == b"b" * 10
    assert drawer.find("b") is not None


def test_a_disk_that_is_nearly_full_takes_nothing(tmp_path: Path) -> None:
    drawer = Drawer(tmp_path / "beside", RealClock(), ByteCount(100), least_free=ByteCount(1 << 60))
    with pytest.raises(NoSpace):
        drawer.put("a", b"a")
    assert drawer.find("a") is None
