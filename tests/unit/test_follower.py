"""Following over real HTTP: a small PeerTube that a test bends, a real store, a clock that runs faster."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from appliance.domain.catalogue import VideoFilter
from appliance.domain.channel import Channel, ChannelInfo, ChannelKind, ChannelState, Portrait
from appliance.domain.pin import Wish
from appliance.domain.units import ByteCount, ChannelId, Origin, VideoId, video_id
from appliance.domain.video import Upstream, VideoDetail
from appliance.errors import BadAnswer, BadInput, Forbidden, NotFound, Refused, SeedkeepError, Unreachable
from appliance.follow.follower import Follower
from appliance.follow.portraits import Portraits
from appliance.follow.resolver import Resolver
from appliance.outbound.fetch import Fetcher, OutboundOptions
from appliance.store import channels, details, lists, origins, videos
from appliance.store.engine import Store
from tests.world.scripted import QuickClock, Server

RECORDED = Path(__file__).parents[1] / "recorded"
DETAIL: dict[str, Any] = json.loads((RECORDED / "api/videos/muxed.json").read_bytes())
CHANNEL: dict[str, Any] = json.loads((RECORDED / "api/channel/channel.json").read_bytes())
CONFIG: dict[str, Any] = json.loads((RECORDED / "api/instance/config.json").read_bytes())
SUMMARY_KEYS = set(json.loads((RECORDED / "api/channel/videos-page1.json").read_bytes())["data"][0])
NEWEST = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Tube:
    """A PeerTube with the videos a test wants. ``changes`` are laid over an element's fields, by number."""

    def __init__(self, server: Server) -> None:
        self.server, self.origin, self.base = server, server.origin, server.url
        self.numbers: list[int] = []
        self.changes: dict[int, dict[str, object]] = {}
        self.hidden: dict[int, int] = {}
        self.total: int | None = -1
        self.overrides: dict[str, Callable[[], Awaitable[tuple[int, bytes]]]] = {}
        self.others_problems = False
        server.fallback = self.answer

    @staticmethod
    def uuid(n: int) -> str:
        return str(UUID(int=(4 << 76) | (2 << 62) | n))

    def id(self, n: int) -> VideoId:
        return video_id(self.origin, self.uuid(n))

    def detail(self, n: int) -> dict[str, object]:
        text = json.dumps(DETAIL).replace("127.0.0.1:9001", self.origin).replace(DETAIL["uuid"], self.uuid(n))
        doc: dict[str, object] = json.loads(text)
        published = (NEWEST - timedelta(days=10_000 - n)).isoformat().replace("+00:00", "Z")
        doc |= {"name": f"Film {n}", "publishedAt": published, "updatedAt": published}
        return doc | self.changes.get(n, {})

    def summary(self, n: int) -> dict[str, object]:
        return {k: v for k, v in self.detail(n).items() if k in SUMMARY_KEYS}

    def problem(self, status: int, detail: str) -> tuple[int, bytes]:
        return status, json.dumps({"type": "about:blank", "detail": detail, "status": status}).encode()

    def asked(self, part: str) -> list[str]:
        return [path for path, _ in self.server.requests if part in path]

    async def answer(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(path)
        override = next((o for part, o in self.overrides.items() if part in path), None)
        status, body = await override() if override else self.reply(parts.path, parse_qs(parts.query))
        digest = base64.b64encode(hashlib.sha1(body).digest()).decode()[:27]
        etag = f'W/"{len(body):x}-{digest}"'
        if headers.get("if-none-match") == etag:
            status, body = 304, b""
        kind = "application/json" if status < 400 else "application/problem+json"
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nETag: {etag}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

    def reply(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        if path == "/api/v1/config":
            return 200, json.dumps(CONFIG).encode()
        if path.endswith("/films/videos") or path == "/api/v1/videos":
            return 200, self.listing(int(query["start"][0]), int(query["count"][0]))
        if path.startswith("/api/v1/video-channels/films") or path == "/api/v1/accounts/films":
            return 200, json.dumps(self.channel()).encode()
        if path.startswith("/api/v1/videos/"):
            return self.video(path.split("/")[4])
        if path == "/.well-known/webfinger" and query["resource"][0].startswith("acct:films@"):
            link = {"rel": "self", "type": "application/activity+json", "href": f"{self.base}/video-channels/films"}
            return 200, json.dumps({"links": [link]}).encode()
        if path == "/strange/page":
            actor = {"type": "Group", "id": f"{self.base}/video-channels/films", "preferredUsername": "films"}
            return 200, json.dumps(actor).encode()
        return self.problem(404, "Not found")

    def channel(self) -> dict[str, object]:
        text = json.dumps(CHANNEL).replace("127.0.0.1:9001", self.origin).replace("harbour_films", "films")
        doc: dict[str, object] = json.loads(text)
        return doc

    def listing(self, start: int, count: int) -> bytes:
        assert 1 <= count <= 100
        listed = [n for n in self.numbers if n not in self.hidden]
        total = len(listed) if self.total == -1 else self.total
        return json.dumps({"total": total, "data": [self.summary(n) for n in listed[start : start + count]]}).encode()

    def video(self, ident: str) -> tuple[int, bytes]:
        n = next((n for n in self.numbers if self.uuid(n) == ident), None)
        status = 404 if n is None else self.hidden.get(n, 200)
        if n is None or status == 404:
            return self.problem(404, "Video not found")
        return self.problem(status, "no") if status != 200 else (200, json.dumps(self.detail(n)).encode())


class House:
    """A follower with a store of its own, following a tube."""

    def __init__(self, follower: Follower, store: Store, fetcher: Fetcher, clock: QuickClock) -> None:
        self.follower, self.store, self.fetcher, self.clock = follower, store, fetcher, clock

    async def until(self, true: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
        """Wait until something is true of the store, looked at after each commit."""
        changed = asyncio.Event()
        stop = self.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(seconds):
                while not await true():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), 0.2)
                    changed.clear()
        finally:
            stop()

    async def channel(self, ident: ChannelId) -> Channel:
        found = await self.store.read(channels.one, ident)
        assert found is not None
        return found

    async def looked(self, ident: ChannelId, since: datetime) -> Channel:
        """Wait until the channel was looked at, wholly, after ``since``."""

        async def done() -> bool:
            found = await self.channel(ident)
            return (
                found.state not in (ChannelState.NEW, ChannelState.SYNCING)
                and found.last_check is not None
                and found.last_check > since
            )

        await self.until(done)
        return await self.channel(ident)

    async def look_again(self, ident: ChannelId) -> Channel:
        """Look as a later poll would, not as a person in a hurry."""
        now = self.clock.now()
        await self.store.write(channels.make_due, ident, now)
        self.follower.wake()
        return await self.looked(ident, now)

    async def detailed(self, count: int) -> None:
        async def done() -> bool:
            page = await self.store.read(lists.page, VideoFilter(limit=500))
            known = [await self.store.read(videos.one, line.id) for line in page.items]
            return sum(1 for r in known if r is not None and r.detail_at is not None) >= count

        await self.until(done)

    async def upstream(self, video: VideoId) -> Upstream:
        found = await self.store.read(videos.one, video)
        assert found is not None
        return found.upstream


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def tube(server: Server) -> Tube:
    made = Tube(server)
    made.numbers = list(range(5, 0, -1))
    return made


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[House]:
    clock = QuickClock()
    async with Store(path) as store, Fetcher(OutboundOptions(True, "Seedkeep/test"), clock) as fetcher:
        portraits = Portraits(fetcher, path.parent / "portraits")
        follower = Follower(fetcher, store, clock, lambda: 0.5, portraits=portraits)
        running = asyncio.create_task(follower.run())
        try:
            yield House(follower, store, fetcher, clock)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with following(tmp_path / "catalogue.db") as made:
        yield made


async def followed(house: House, tube: Tube) -> ChannelId:
    start = house.clock.now()
    done = await house.follower.follow(f"{tube.base}/c/films")
    assert done.channel is not None
    await house.looked(done.channel, start)
    return done.channel


# What a person pastes


async def resolved(tube: Tube, text: str) -> ChannelInfo | VideoDetail:
    async with Fetcher(OutboundOptions(True, "Seedkeep/test"), QuickClock()) as fetcher:
        return await Resolver(fetcher).resolve(text.replace("HOST", tube.origin))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("http://HOST/c/films", ChannelKind.CHANNEL),
        ("http://HOST/video-channels/films/videos", ChannelKind.CHANNEL),
        ("HOST/c/films", ChannelKind.CHANNEL),
        ("films@HOST", ChannelKind.CHANNEL),
        ("@films@HOST", ChannelKind.CHANNEL),
        ("http://HOST/a/films", ChannelKind.ACCOUNT),
        ("http://HOST/accounts/films", ChannelKind.ACCOUNT),
        ("http://HOST", ChannelKind.INSTANCE),
        ("HOST", ChannelKind.INSTANCE),
        ("http://HOST/strange/page", ChannelKind.CHANNEL),
    ],
)
async def test_every_form_leads_to_the_channel(tube: Tube, text: str, kind: ChannelKind) -> None:
    found = await resolved(tube, text)
    assert isinstance(found, ChannelInfo)
    assert (found.address.kind, found.address.origin, found.address.base_url) == (kind, tube.origin, tube.base)


@pytest.mark.parametrize("text", ["http://HOST/w/{uuid}", "http://HOST/videos/watch/{uuid}"])
async def test_a_videos_address_leads_to_the_video(tube: Tube, text: str) -> None:
    found = await resolved(tube, text.format(uuid=tube.uuid(3)))
    assert isinstance(found, VideoDetail)
    assert found.summary.id == tube.id(3)
    assert found.renditions


async def test_a_channel_shown_by_another_server_is_followed_at_its_home(tube: Tube) -> None:
    mirror = Server()
    await mirror.start()
    mirror.answer("/api/v1/video-channels/films", json.dumps(tube.channel()).encode())
    found = await resolved(tube, f"http://{mirror.origin}/c/films")
    await mirror.stop()
    assert isinstance(found, ChannelInfo)
    assert found.address.origin == tube.origin
    assert tube.asked("/api/v1/video-channels/films")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("http://HOST/c/nobody", NotFound, "has no channel called nobody"),
        ("nobody@HOST", NotFound, "has no channel called nobody"),
        ("http://HOST/a/nobody", NotFound, "has no account called nobody"),
        ("http://HOST/w/9mVB9MB2Pzb4H3ZJniJNFZ", NotFound, "has no video"),
        ("http://HOST/some/page", BadInput, "neither a channel nor a video"),
        ("http://HOST/w/p/9mVB9MB2Pzb4H3ZJniJNFZ", BadInput, "Playlists"),
    ],
)
async def test_what_is_not_there_is_said_plainly(tube: Tube, text: str, error: type[SeedkeepError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        await resolved(tube, text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["http://HOST/c/films", "films@HOST", "http://HOST", "http://HOST/x/y"])
@pytest.mark.parametrize(("status", "body"), [(200, b"<html>A blog</html>"), (404, b"Not here"), (403, b"no")])
async def test_a_server_that_is_no_peertube_is_called_so(tube: Tube, text: str, status: int, body: bytes) -> None:
    async def blog() -> tuple[int, bytes]:
        return status, body

    tube.overrides["/"] = blog
    with pytest.raises(BadAnswer, match="is not a PeerTube server") as caught:
        await resolved(tube, text)
    assert (caught.value.code, bool(caught.value.hint)) == ("not_peertube", True)


async def test_a_private_address_is_refused_unless_allowed(tube: Tube) -> None:
    async with Fetcher(OutboundOptions(False, "Seedkeep/test"), QuickClock()) as fetcher:
        for text in (f"https://{tube.origin}/c/films", f"http://{tube.origin}/c/films", f"films@{tube.origin}"):
            with pytest.raises(Refused, match="private network"):
                await Resolver(fetcher).resolve(text)
    assert tube.server.requests == []


async def test_a_password_protected_video_is_forbidden_and_a_live_one_refused(tube: Tube) -> None:
    tube.hidden[3] = 401
    with pytest.raises(Forbidden, match="does not show this to everyone"):
        await resolved(tube, f"http://HOST/w/{tube.uuid(3)}")
    tube.changes[2] = {"isLive": True, "state": {"id": 4}}
    with pytest.raises(BadInput, match="Live"):
        await resolved(tube, f"http://HOST/w/{tube.uuid(2)}")


async def test_nobody_at_that_address_is_said_plainly(tube: Tube) -> None:
    await tube.server.stop()
    with pytest.raises(Unreachable) as caught:
        await resolved(tube, "http://HOST/c/films")
    assert caught.value.hint


# A channel's first reading


async def test_a_followed_channel_is_catalogued_with_its_renditions(house: House, tube: Tube) -> None:
    ident = await followed(house, tube)
    await house.detailed(5)
    channel = await house.channel(ident)
    assert (channel.state, channel.total, channel.listed, channel.trouble) == (ChannelState.FOLLOWED, 5, 5, None)
    record = await house.store.read(videos.one, tube.id(3))
    assert record is not None
    assert [r.name for r in record.renditions] == ["360p", "240p"]
    assert channel.next_check is not None
    assert timedelta(minutes=5) < channel.next_check - house.clock.now() < timedelta(hours=30)


async def test_a_long_channel_is_read_in_pages_and_details_begin_after_the_first(house: House, tube: Tube) -> None:
    tube.numbers = list(range(250, 0, -1))
    ident = await followed(house, tube)
    assert (await house.channel(ident)).listed == 250
    paths = [path for path, _ in tube.server.requests]
    pages = [n for n, path in enumerate(paths) if "/videos?start=" in path]
    assert [parse_qs(urlsplit(paths[n]).query)["start"][0] for n in pages] == ["0", "100", "200"]
    assert any("/api/v1/videos/" in path for path in paths[pages[0] : pages[1]])


async def test_details_come_in_the_order_of_the_wishes(house: House, tube: Tube) -> None:
    tube.numbers = list(range(60, 0, -1))
    start = house.clock.now()
    ident = (await house.follower.follow(f"{tube.base}/c/films")).channel
    assert ident is not None
    await house.looked(ident, start)
    await house.store.write(videos.wish, tube.id(2), Wish.PIN)
    await house.detailed(12)
    order = [path.rsplit("/", 1)[1] for path in tube.asked("/api/v1/videos/")]
    assert tube.uuid(2) in order[:12]


async def test_a_single_video_becomes_a_hand_pin(house: House, tube: Tube) -> None:
    done = await house.follower.follow(f"{tube.base}/w/{tube.uuid(4)}")
    assert (done.channel, done.video, done.title) == (None, tube.id(4), "Film 4")
    record = await house.store.read(videos.one, tube.id(4))
    assert record is not None
    assert (record.wish, bool(record.renditions)) == (Wish.PIN, True)


async def test_live_videos_are_listed_and_left_alone(house: House, tube: Tube) -> None:
    tube.changes[5] = {"isLive": True}
    await followed(house, tube)
    await house.detailed(4)
    assert await house.upstream(tube.id(5)) is Upstream.LIVE
    assert not tube.asked(f"/api/v1/videos/{tube.uuid(5)}")


async def test_a_channel_shows_only_its_own_servers_videos(house: House, tube: Tube) -> None:
    tube.changes[3] = {"url": f"https://victim.example/videos/watch/{tube.uuid(3)}", "name": "Not mine to say"}
    ident = await followed(house, tube)
    assert (await house.channel(ident)).listed == 4
    assert await house.store.read(videos.one, video_id(Origin("victim.example"), tube.uuid(3))) is None


async def test_titles_of_ten_thousand_characters_are_stored_cut_and_clean(house: House, tube: Tube) -> None:
    tube.changes[3] = {"name": "\u202e<b>\x00" + "é" * 10_000}
    await followed(house, tube)
    record = await house.store.read(videos.one, tube.id(3))
    assert record is not None
    assert record.summary.title.startswith("<b>é")
    assert len(record.summary.title) == 300


# Later looks


async def test_an_unchanged_channel_costs_one_conditional_request(house: House, tube: Tube) -> None:
    ident = await followed(house, tube)
    await house.detailed(5)
    before = len(tube.server.requests)
    channel = await house.look_again(ident)
    new = tube.server.requests[before:]
    assert len(new) == 1
    assert "if-none-match" in new[0][1]
    assert (channel.state, channel.listed) == (ChannelState.FOLLOWED, 5)


async def test_a_new_video_is_found_without_reading_all_pages(house: House, tube: Tube) -> None:
    tube.numbers = list(range(250, 0, -1))
    ident = await followed(house, tube)
    await house.detailed(3)
    tube.numbers.insert(0, 251)
    before = len(tube.asked("/videos?start="))
    channel = await house.look_again(ident)
    assert channel.listed == 251
    assert len(tube.asked("/videos?start=")) - before == 1
    assert channel.last_change is not None


async def test_a_renamed_video_keeps_its_identity_and_is_asked_anew(house: House, tube: Tube) -> None:
    ident = await followed(house, tube)
    await house.detailed(5)
    before = await house.store.read(videos.one, tube.id(3))
    asked = len(tube.asked(tube.uuid(3)))
    magnet = json.dumps(DETAIL["streamingPlaylists"]).replace("127.0.0.1:9001", tube.origin)
    magnet = magnet.replace(DETAIL["uuid"], tube.uuid(3)).replace("bb95d5816a70783e", "aa95d5816a70783e")
    tube.changes[3] = {"name": "Another name", "streamingPlaylists": json.loads(magnet)}
    await house.look_again(ident)

    async def renamed() -> bool:
        record = await house.store.read(videos.one, tube.id(3))
        torrent = record.renditions[0].torrent if record else None
        return torrent is not None and str(torrent.info_hash).startswith("aa95")

    await house.until(renamed)
    after = await house.store.read(videos.one, tube.id(3))
    assert before is not None
    assert after is not None
    assert after.summary.title == "Another name"
    assert [r.file_url for r in after.renditions] == [r.file_url for r in before.renditions]
    assert len(tube.asked(tube.uuid(3))) == asked + 1


@pytest.mark.parametrize(("status", "upstream"), [(404, Upstream.GONE), (401, Upstream.HIDDEN), (403, Upstream.HIDDEN)])
async def test_a_video_that_vanished_is_asked_about_and_said_gone_or_hidden(
    house: House, tube: Tube, status: int, upstream: Upstream
) -> None:
    ident = await followed(house, tube)
    await house.detailed(5)
    tube.hidden[3] = status
    await house.look_again(ident)

    async def told() -> bool:
        return await house.upstream(tube.id(3)) is upstream

    await house.until(told)
    record = await house.store.read(videos.one, tube.id(3))
    assert record is not None
    assert record.trouble is not None
    assert record.trouble.hint
    assert record.renditions
    assert await house.upstream(tube.id(2)) is Upstream.PUBLISHED
    del tube.hidden[3]
    await house.look_again(ident)
    await house.until(lambda: _is(house, tube.id(3), Upstream.PUBLISHED))


async def _is(house: House, video: VideoId, upstream: Upstream) -> bool:
    return await house.upstream(video) is upstream


async def test_a_video_being_replaced_is_waited_for(house: House, tube: Tube) -> None:
    ident = await followed(house, tube)
    await house.detailed(5)
    tube.changes[3] = {"state": {"id": 2}, "streamingPlaylists": [], "name": "Film 3, being replaced"}
    await house.look_again(ident)
    await house.until(lambda: _is(house, tube.id(3), Upstream.PROCESSING))
    del tube.changes[3]
    await house.look_again(ident)
    await house.until(lambda: _is(house, tube.id(3), Upstream.PUBLISHED))


async def test_a_parked_domain_makes_nothing_gone(house: House, tube: Tube) -> None:
    ident = await followed(house, tube)
    await house.detailed(5)

    async def parked() -> tuple[int, bytes]:
        return 404, b"This domain is for sale"

    tube.overrides["/"] = parked
    channel = await house.look_again(ident)
    assert channel.state is ChannelState.FAILING
    await house.store.write(details.make_due, (tube.id(3),))
    house.follower.wake()

    async def troubled() -> bool:
        record = await house.store.read(videos.one, tube.id(3))
        return record is not None and record.trouble is not None

    await house.until(troubled)
    assert await house.upstream(tube.id(3)) is Upstream.PUBLISHED
    assert (await house.channel(ident)).listed == 5


async def test_an_empty_listing_is_not_believed_at_once(house: House, tube: Tube) -> None:
    ident = await followed(house, tube)
    kept, tube.numbers = tube.numbers, []
    assert (await house.look_again(ident)).listed == 5
    tube.numbers = kept
    assert (await house.look_again(ident)).listed == 5


# Listings that lie


@pytest.mark.parametrize("total", [0, 3, 10**9, None])
async def test_a_total_that_lies_changes_nothing(house: House, tube: Tube, total: int | None) -> None:
    tube.numbers = list(range(150, 0, -1))
    tube.total = total
    ident = await followed(house, tube)
    channel = await house.channel(ident)
    assert (channel.state, channel.listed) == (ChannelState.FOLLOWED, 150)
    before = len(tube.asked("/videos?start="))
    tube.changes[150] = {"name": "Changed"}
    await house.look_again(ident)
    assert len(tube.asked("/videos?start=")) - before <= 1


async def test_the_same_page_for_ever_ends_in_one_sentence(house: House, tube: Tube) -> None:
    tube.numbers = list(range(100, 0, -1))
    page = json.loads(tube.listing(0, 100)) | {"total": 10**6}

    async def same() -> tuple[int, bytes]:
        return 200, json.dumps(page).encode()

    tube.overrides["/films/videos"] = same
    ident = await followed(house, tube)
    channel = await house.channel(ident)
    assert channel.state is ChannelState.FAILING
    assert channel.trouble is not None
    assert "without end" in channel.trouble.message
    assert (channel.listed, len(tube.asked("/films/videos"))) == (100, 2)
    assert channel.next_check is not None
    assert channel.next_check - house.clock.now() > timedelta(hours=20)


@pytest.mark.parametrize(
    ("status", "body", "code", "hours"),
    [
        (200, b"<html>maintenance</html>", "bad_answer", (23, 25)),
        (200, b"[" * 100_000, "bad_answer", (23, 25)),
        (200, b'{"total":1,"data":[{"uuid":"x"}]}', "bad_answer", (23, 25)),
        (401, b"", "forbidden", (23, 25)),
        (403, b"", "forbidden", (23, 25)),
        (404, b"", "not_found", (23, 25)),
        (410, b"", "not_found", (23, 25)),
        (500, b"oops", "server_trouble", (0.05, 0.2)),
        (502, b"oops", "server_trouble", (0.05, 0.2)),
    ],
)
async def test_a_listing_that_fails_is_said_on_the_channel_and_retried_where_that_helps(
    house: House, tube: Tube, status: int, body: bytes, code: str, hours: tuple[float, float]
) -> None:
    async def broken() -> tuple[int, bytes]:
        return status, body

    tube.overrides["/films/videos"] = broken
    channel = await house.channel(await followed(house, tube))
    assert channel.state is ChannelState.FAILING
    assert channel.trouble is not None
    assert (channel.trouble.code, bool(channel.trouble.hint)) == (code, True)
    assert channel.next_check is not None
    assert channel.last_check is not None
    assert hours[0] <= (channel.next_check - channel.last_check) / timedelta(hours=1) <= hours[1]


async def test_a_channel_that_is_well_again_has_no_trouble(house: House, tube: Tube) -> None:
    async def broken() -> tuple[int, bytes]:
        return 500, b"oops"

    tube.overrides["/films/videos"] = broken
    ident = await followed(house, tube)
    tube.overrides.clear()
    start = house.clock.now()
    await house.follower.refresh(ident)
    channel = await house.looked(ident, start)
    assert (channel.state, channel.trouble, channel.failures, channel.listed) == (ChannelState.FOLLOWED, None, 0, 5)


async def test_a_bug_of_ours_ends_on_the_channel_and_not_the_loop(
    house: House, tube: Tube, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("appliance.follow.sources.peertube.listing_page", broken)
    channel = await house.channel(await followed(house, tube))
    assert channel.trouble is not None
    assert channel.trouble.code == "internal"
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    start = house.clock.now()
    await house.follower.refresh(channel.id)
    assert (await house.looked(channel.id, start)).listed == 5


async def test_another_video_in_the_place_of_the_one_asked_for_is_refused(house: House, tube: Tube) -> None:
    await followed(house, tube)
    await house.detailed(5)

    async def other() -> tuple[int, bytes]:
        return 200, json.dumps(tube.detail(2)).encode()

    tube.overrides[tube.uuid(3)] = other
    with pytest.raises(BadAnswer, match="another video"):
        await house.follower.detail(tube.id(3), max_age=timedelta(0))
    record = await house.store.read(videos.one, tube.id(3))
    assert record is not None
    assert record.summary.title == "Film 3"


# What others ask of it


async def test_a_detail_is_fresh_and_asked_conditionally(house: House, tube: Tube) -> None:
    await followed(house, tube)
    await house.detailed(5)
    before = len(tube.server.requests)
    young = await house.follower.detail(tube.id(3), max_age=timedelta(days=1))
    assert len(tube.server.requests) == before
    fresh = await house.follower.detail(tube.id(3), priority=True, max_age=timedelta(0))
    assert young == fresh
    assert "if-none-match" in tube.server.requests[-1][1]


async def test_what_stands_beside_a_video_may_be_missing(house: House, tube: Tube) -> None:
    await followed(house, tube)

    async def missing() -> tuple[int, bytes]:
        return 404, b""

    async def captions() -> tuple[int, bytes]:
        text = (RECORDED / "api/videos/muxed-captions.json").read_text().replace("127.0.0.1:9001", tube.origin)
        return 200, text.encode()

    tube.overrides |= {"/captions": captions, "/storyboards": missing}
    extras = await house.follower.extras(tube.id(3))
    assert ([c.language for c in extras.captions], extras.storyboard) == (["en", "fr"], None)


async def test_what_was_asked_of_an_origin_outlives_a_restart(tmp_path: Path, tube: Tube) -> None:
    async with following(tmp_path / "catalogue.db") as house:
        await followed(house, tube)
        asked = house.follower.origins()[0].requests
        assert asked >= 2
    async with Store(tmp_path / "catalogue.db") as store:
        kept = await store.read(origins.every, datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert [o.origin for o in kept] == [tube.origin]
    assert kept[0].requests >= asked
    assert kept[0].bytes_taken > ByteCount(1000)


async def test_refreshing_a_channel_nobody_follows_is_an_error(house: House) -> None:
    with pytest.raises(NotFound):
        await house.follower.refresh(ChannelId("nothing"))


async def test_a_channel_left_while_it_is_read_ends_quietly(house: House, tube: Tube) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> tuple[int, bytes]:
        reached.set()
        await go_on.wait()
        return 200, tube.listing(0, 100)

    tube.overrides["/films/videos"] = slow
    done = await house.follower.follow(f"{tube.base}/c/films")
    assert done.channel is not None
    await reached.wait()
    await house.store.write(channels.leave, done.channel)
    go_on.set()
    other = await house.follower.follow(f"{tube.base}/w/{tube.uuid(4)}")
    assert other.video is not None
    assert await house.store.read(channels.one, done.channel) is None


async def test_a_followed_channel_has_its_picture(tube: Tube, house: House) -> None:
    data = b"\x89PNG\r\n\x1a\n" + bytes(40)

    async def picture() -> tuple[int, bytes]:
        return 200, data

    tube.overrides["/avatars/"] = picture
    ident = await followed(house, tube)

    async def shown() -> bool:
        return await house.follower.portrait(ident) == Portrait("image/png", data)

    await house.until(shown)
    await house.look_again(ident)
    assert len(tube.asked("/avatars/")) == 1
