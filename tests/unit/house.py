"""A house for tests of the web: a real store, and stand-ins for the verbs, served over HTTP on loopback.

``async with a_house(folder) as house, house.served() as base`` gives the whole web at ``base``.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvicorn

from appliance.clock import Clock, RealClock
from appliance.domain.catalogue import OriginToday
from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind, Portrait
from appliance.domain.export import Export, ExportState
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Decision, Disk, Plan, Reason, ReasonCode, Rule, RuleKind, RuleUse, Verdict
from appliance.domain.shelf import NotPlayable, Playable, PlayableCaption, Reader
from appliance.domain.traffic import Budget, Entry, TrafficClass
from appliance.domain.units import (
    ByteCount,
    BytesPerSecond,
    ChannelId,
    InfoHash,
    Origin,
    RenditionName,
    RuleId,
    VideoId,
)
from appliance.domain.units import video_id as id_of
from appliance.domain.video import Rendition, RenditionKind, TorrentCarrier, Upstream, VideoDetail, VideoSummary
from appliance.errors import BadInput, SeedkeepError, Unreachable
from appliance.front import schedule_of
from appliance.seed.schedule import Span, in_force
from appliance.serve.wire import WireProtocol
from appliance.settings import Settings
from appliance.store import cached, channels, decisions, ledger, pins, rules, videos
from appliance.store.engine import Store
from appliance.store.leases import Leases
from tests.world.presence import StillPresence
from web.app import Web, create_app
from web.services import Activity, Health, Option, Rates, Ration, Services, Source, YieldsNow

CODE = "plum-otter-cloud"
PASSWORD = "correct horse battery"
HOST = Origin("tube.example.org")
NAMES = frozenset({"192.168.7.7", "seedkeep.local", "box"})
"""What the house's machine is called on its network."""


def address(name: str = "films") -> ChannelInfo:
    return ChannelInfo(ChannelAddress(f"https://{HOST}", HOST, ChannelKind.CHANNEL, name), title=name.title())


def summary(n: int, title: str = "", now: datetime | None = None) -> VideoSummary:
    when = (now or datetime(2026, 11, 20, tzinfo=UTC)) - timedelta(days=n)
    return VideoSummary(
        id=id_of(HOST, f"uuid-{n}"),
        origin=HOST,
        base_url=f"https://{HOST}",
        uuid=f"uuid-{n}",
        url=f"https://{HOST}/videos/watch/uuid-{n}",
        title=title or f"Film {n}",
        description=f"What film {n} is about.",
        duration=60 + n,
        published_at=when,
        views=10 * n,
        likes=n,
        is_live=False,
        nsfw=False,
        channel_title="Films",
        tags=("film",),
    )


def renditions(n: int) -> tuple[Rendition, ...]:
    return tuple(
        Rendition(
            RenditionName(f"{height}p"),
            RenditionKind.HLS,
            height,
            height * 16 // 9,
            25,
            True,
            True,
            ByteCount(height * 100_000),
            f"https://{HOST}/static/{n}-{height}.mp4",
            f"https://{HOST}/static/{n}-{height}.m3u8",
            TorrentCarrier(f"https://{HOST}/{n}-{height}.torrent", InfoHash("ab" * 20)),
        )
        for height in (1080, 720, 360)
    )


@dataclass
class Found:
    """What a stand-in for following came to."""

    channel: ChannelId | None
    video: VideoId | None
    title: str


@dataclass
class StandInFollowing:
    """Follows ``…/c/NAME``, pins ``…/w/N`` by hand, and says of ``unreachable`` that it is."""

    store: Store
    clock: Clock
    refreshed: list[ChannelId] = field(default_factory=list)
    portraits: dict[ChannelId, Portrait] = field(default_factory=dict)

    async def follow(self, text: str) -> Found:
        if "unreachable" in text:
            raise Unreachable("The server does not answer.", hint="Try again later.")
        kind, _, name = text.removeprefix("https://").partition("/")[2].partition("/")
        if kind == "c" and name:
            ident = await self.store.promise(channels.follow, address(name), self.clock.now())
            return Found(ident, None, name.title())
        if kind == "w" and name.isascii() and name.isdigit() and len(name) < 6:
            from appliance.domain.pin import Wish

            found = summary(int(name))
            await self.store.promise(videos.put_summary, found, self.clock.now())
            await self.store.promise(videos.wish, found.id, Wish.PIN)
            return Found(None, found.id, found.title)
        raise BadInput("This is no address of a channel or a video.", field="url", hint="Paste another.")

    async def refresh(self, channel: ChannelId) -> None:
        self.refreshed.append(channel)

    async def portrait(self, channel: ChannelId) -> Portrait | None:
        return self.portraits.get(channel)

    def origins(self) -> tuple[OriginToday, ...]:
        now = self.clock.now()
        return (
            OriginToday(HOST, 42, ByteCount(123_456), 0, None, now),
            OriginToday("mistyped.example", 1, ByteCount(0), 1, None, None),
            OriginToday("left-long-ago.example", 0, ByteCount(0), 0, None, now),
        )


@dataclass
class StandInPlanning:
    """Keeps everything, whatever the rules say."""

    store: Store
    clock: Clock
    woken: int = 0

    def wake(self) -> None:
        self.woken += 1

    async def run(self) -> Plan:
        plan = await self.preview(await self.store.read(rules.every))
        await self.store.promise(decisions.put_plan, plan, self.clock.now())
        return plan

    async def preview(self, wanted: tuple[Rule, ...]) -> Plan:
        found = await self.store.read(decisions.every)
        uses = tuple(RuleUse(rule.id, rule.budget, ByteCount(0), 0) for rule in wanted)
        return Plan(found, uses, ByteCount(0), ByteCount(0), ByteCount(0))

    async def kinds(self) -> frozenset[str]:
        return frozenset(RuleKind) | {"longest"}


@dataclass
class StandInKeeping:
    """Lets go of what is cached, save of ``watched``."""

    store: Store
    watched: set[VideoId] = field(default_factory=set)

    def wake(self) -> None: ...

    async def let_go(self, video: VideoId) -> None:
        if video in self.watched:
            raise SeedkeepError("Somebody is watching this video.", hint="Try again later.", code="watched_now")
        await self.store.promise(cached.drop, video)

    async def scrub(self) -> int:
        return 7

    async def disk(self) -> Disk:
        return Disk(ByteCount(10**12), ByteCount(6 * 10**11), ByteCount(5 * 10**10), ByteCount(3 * 10**11))


@dataclass
class StandInSpending:
    busy: tuple[Activity, ...] = ()
    flushed: int = 0
    clock: Clock | None = None
    book: "StandInBook | None" = None
    quiet_until: datetime | None = None
    yielding: YieldsNow = YieldsNow()

    def rates(self) -> Rates:
        def rate(n: int) -> BytesPerSecond:
            return BytesPerSecond(n)

        return Rates(rate(1_250_000), rate(3_400_000), rate(500_000), rate(0), rate(2_000_000), 17, 40, 2)

    def activity(self) -> tuple[Activity, ...]:
        return self.busy

    @property
    def budget(self) -> Budget:
        return Budget()

    async def flush(self) -> None:
        self.flushed += 1

    def ration(self) -> Ration:
        """A month in which 40 GB of 100 came so far, by the settings of now."""
        assert self.clock is not None
        assert self.book is not None
        now, schedule = self.clock.now(), schedule_of(self.book.current, UTC)
        hours = {now - timedelta(hours=n): (10_000_000, 50_000_000) for n in range(24 * 20)}
        used = {Span.DAY: (10**9, 2 * 10**9), Span.MONTH: (8 * 10**9, 40 * 10**9)}
        return Ration(schedule, in_force(schedule, used, self.quiet_until, now), used, hours, now, self.yielding)

    async def be_quiet(self, length: timedelta) -> None:
        assert self.clock is not None
        self.quiet_until = self.clock.now() + length

    async def end_quiet(self) -> None:
        self.quiet_until = None


@dataclass
class StandInExporting:
    """Finishes every export at once; of the channel ``nothing`` nothing is held."""

    clock: Clock
    made: list[Export] = field(default_factory=list)

    def exports(self) -> tuple[Export, ...]:
        return tuple(reversed(self.made))

    async def begin(self, channel: ChannelId, folder: str = "") -> Export:
        if channel == "nothing":
            raise BadInput("Nothing of this channel is held whole yet.", field="channel")
        name = folder or "Films"
        done = Export(
            name, f"/exports/{name}", channel, "Films", ExportState.DONE, self.clock.now(), 3, 3, ByteCount(9)
        )
        self.made.append(done)
        return done


class StandInBook:
    """Settings over the real ``Settings``: what is saved is checked as the real book would, and kept in memory."""

    def __init__(self, settings: Settings, locked: frozenset[str] = frozenset()) -> None:
        self._settings, self._locked = settings, locked
        self._saved: set[str] = set()

    @property
    def current(self) -> Settings:
        return self._settings

    def options(self) -> tuple[Option, ...]:
        return tuple(self._options("", self._settings, Settings()))

    def _options(self, prefix: str, values: msgspec.Struct, defaults: msgspec.Struct) -> list[Option]:
        found: list[Option] = []
        for name in values.__struct_fields__:
            value, default = getattr(values, name), getattr(defaults, name)
            path = prefix + name
            if isinstance(value, msgspec.Struct):
                found += self._options(f"{path}.", value, default)
                continue
            locked = path in self._locked
            source = Source.ENVIRONMENT if locked else Source.SAVED if path in self._saved else Source.DEFAULT
            found.append(
                Option(
                    path=path,
                    value=value,
                    default=default,
                    kind=type(default).__name__ if default is not None else "int",
                    description=f"The setting {path}.",
                    source=source,
                    locked_by=f"SEEDKEEP_{path.upper().replace('.', '__')}" if locked else None,
                    needs_restart=path == "web.port",
                    secret=path == "setup.admin_password",
                )
            )
        return found

    async def save(self, changes: Mapping[str, Any]) -> None:
        whole = msgspec.to_builtins(self._settings)
        for path, value in changes.items():
            if path in self._locked:
                raise BadInput("This setting is fixed by the environment.", field=path)
            *parents, last = path.split(".")
            place = whole
            for name in parents:
                place = place[name]
            place[last] = value
        try:
            self._settings = msgspec.convert(whole, Settings)
        except msgspec.ValidationError as error:
            raise BadInput(str(error), field=next(iter(changes))) from error
        self._saved |= set(changes)


class StandInShelf:
    async def picture(self, video: VideoId) -> Path | None:
        return None

    async def storyboard(self, video: VideoId) -> Path | None:
        return None

    async def caption(self, video: VideoId, language: str) -> Path | None:
        return None

    async def captions(self, video: VideoId, patience: float) -> tuple[PlayableCaption, ...]:
        return ()

    def captions_now(self, video: VideoId) -> tuple[PlayableCaption, ...]:
        return ()

    async def playable(self, video: VideoId) -> Playable:
        raise NotPlayable("not_held", "It is not here.")

    async def file(self, video: VideoId, name: str) -> Path | Reader:
        raise NotPlayable("not_held", "It is not here.")


async def stand_in_media(scope: Any, receive: Any, send: Any) -> None:
    """Tell who asked, and for what."""
    viewer = scope["state"]["viewer"]
    body = msgspec.json.encode({"path": scope["path"], "is_lan": viewer.is_lan, "name": viewer.name})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"access-control-allow-origin", b"https://somewhere.example"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class House:
    """A house with its doors: ``services`` to look into, ``served`` to open it."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, locked: frozenset[str], media: Any) -> None:
        self.store, self.clock = store, clock
        self.following = StandInFollowing(store, clock)
        self.planning = StandInPlanning(store, clock)
        self.keeping = StandInKeeping(store)
        self.settings = StandInBook(settings, locked)
        self.spending = StandInSpending(clock=clock, book=self.settings)
        self.exporting = StandInExporting(clock)
        self.presence = StillPresence()
        self.leases = Leases(clock)
        self.troubles: tuple[str, ...] = ()
        self.lan: frozenset[str] = frozenset()
        self.code: str | None = CODE
        started = clock.now()
        self.services = Services(
            clock=clock,
            store=store,
            leases=self.leases,
            settings=self.settings,
            following=self.following,
            planning=self.planning,
            keeping=self.keeping,
            spending=self.spending,
            presence=self.presence,
            exporting=self.exporting,
            shelf=StandInShelf(),
            media=media,
            health=lambda: Health(not self.troubles, self.troubles, "0.1.0", started),
            lan_hosts=lambda: NAMES,
            lan_address=lambda: "192.168.7.7",
            is_lan=lambda source: source in self.lan,
            setup_code=lambda: self.code,
        )
        self.web: Web

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve the web on a free loopback port; the answer is its address, without a slash at its end."""
        config = uvicorn.Config(
            self.web,
            host="127.0.0.1",
            port=0,
            http=WireProtocol,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        server = uvicorn.Server(config)
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        task = asyncio.create_task(server._serve())
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            self.web.stop()
            server.should_exit = True
            await task


@asynccontextmanager
async def a_house(
    folder: Path,
    *,
    clock: Clock | None = None,
    settings: Settings | None = None,
    locked: frozenset[str] = frozenset(),
    media: Any = stand_in_media,
) -> AsyncIterator[House]:
    """Open a house with an empty store in ``folder``."""
    async with Store(folder / "catalogue.db") as store:
        house = House(store, clock or RealClock(), settings or Settings(), locked, media)
        house.web = await asyncio.to_thread(create_app, house.services)
        try:
            yield house
        finally:
            house.web.stop()


@asynccontextmanager
async def set_up(base: str) -> AsyncIterator[httpx.AsyncClient]:
    """Set the house up, and give a browser that is logged in."""
    async with httpx.AsyncClient(base_url=base, headers={"accept": "text/html"}) as browser:
        answer = await browser.post(
            "/setup", data={"code": CODE, "password": PASSWORD, "again": PASSWORD, "play_without_login": "on"}
        )
        assert answer.status_code == 303, answer.text
        yield browser


async def a_token(house: House, scope: str = "admin", name: str = "") -> str:
    """Return a token of this scope, made past the door."""
    from appliance.store import logins
    from web.access import keys

    secret = keys.new_token()
    token = logins.Token(keys.digest(secret)[:16], name or f"{scope} token", scope, house.clock.now(), None)
    await house.store.promise(logins.add_token, token, keys.digest(secret))
    return secret


async def fill(house: House, count: int = 12) -> ChannelId:
    """Put a channel with videos, decisions, pins, a rule and a month's ledger into the store."""
    store, now = house.store, house.clock.now()
    channel = await store.promise(channels.follow, address(), now)
    found = tuple(summary(n, now=now) for n in range(count))
    await store.write(videos.put_page, channel, found, now, 1)
    for n, one in enumerate(found):
        await store.write(videos.put_detail, VideoDetail(one, Upstream.PUBLISHED, renditions(n)), None, now)
    await store.promise(rules.put, Rule(RuleId("recent"), "Recent", RuleKind.RECENT, budget_share=0.5))
    await store.write(decisions.put_plan, _plan(found), now)
    for n, one in enumerate(found[: count // 2]):
        size = ByteCount(72_000_000)
        state = PinState.PINNED if n % 3 else PinState.PINNING
        done = size if n % 3 else ByteCount(size // 3)
        pin = Pin(one.id, state, (RenditionName("720p"),), size, done, now, now if n % 3 else None)
        await store.promise(pins.put, pin)
        await store.write(
            ledger.add,
            [
                Entry(
                    (now - timedelta(days=day)).date(),
                    one.id,
                    RenditionName("720p"),
                    TrafficClass.INTERNET_PEERS,
                    ByteCount(10_000_000 * (n + 1)),
                    ByteCount(1_000_000 * day),
                )
                for day in range(30)
            ],
        )
    return channel


def _plan(found: tuple[VideoSummary, ...]) -> Plan:
    verdicts = (Verdict.KEEP, Verdict.PIN, Verdict.RELEASE, Verdict.LEAVE)
    lines = tuple(
        Decision(
            one.id,
            verdicts[n % 4],
            (Reason(ReasonCode.CHOSEN, {"rule": "Recent", "rank": n + 1, "of": len(found)}),),
            (RenditionName("720p"),),
            ByteCount(72_000_000),
            rule=RuleId("recent") if n % 4 < 2 else None,
            rank=n + 1,
        )
        for n, one in enumerate(found)
    )
    return Plan(lines, (), ByteCount(0), ByteCount(0), ByteCount(0))
