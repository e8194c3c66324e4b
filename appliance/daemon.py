"""The composition root: it builds every part, owns the one task group and the periodic duties, and tells systemd.

This module decides nothing; it introduces the rooms to one another and starts and stops them in order.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import uvicorn
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from appliance.book import Page
from appliance.clock import Clock, RealClock, since_boot
from appliance.domain.traffic import TrafficClass
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.errors import BadInput
from appliance.follow.follower import Follower
from appliance.follow.portraits import Portraits
from appliance.front import Book, Ledger, schedule_of, until_counted
from appliance.host import process
from appliance.host.systemd import Systemd
from appliance.host.zone import host_zone
from appliance.lan.interfaces import Household, household, is_loopback
from appliance.lan.mdns import Announcement, Mdns
from appliance.lan.watch import AddressWatch
from appliance.library.marker import Library
from appliance.library.space import Floor, Space
from appliance.outbound.fetch import Fetcher, OutboundOptions
from appliance.pin.exporter import Exporter
from appliance.pin.gather import Gatherer
from appliance.pin.headroom import Headroom
from appliance.pin.keeper import Keeper, KeeperOptions
from appliance.pin.opener import Parts
from appliance.pin.reading import HouseShelf
from appliance.plan.examiner import Examiner, ExaminerOptions
from appliance.plan.planner import Planner, PlannerOptions
from appliance.plan.surveyor import SurveyOptions, Surveyor
from appliance.seed.schedule import Schedule
from appliance.seed.sharer import Sharer, SharerOptions
from appliance.seed.tender import Tender
from appliance.seed.yielding import Sending, Yielding, YieldingOptions, way_out
from appliance.serve.media import create_media_app
from appliance.serve.sendfile import WireProtocol
from appliance.settings import Settings
from appliance.store import copies, logins, observations, saved
from appliance.store.engine import Store
from appliance.store.leases import Leases
from appliance.swarm.options import SwarmOptions
from appliance.swarm.port import TorrentMeta
from appliance.swarm.session import LibtorrentSwarm
from appliance.swarm.torrent import check_files, check_single, parse_torrent
from web.app import create_app
from web.services import Health, Services

_log = logging.getLogger("seedkeep")

GRACE_SECONDS = 2
"""How long a stopping server waits for open answers."""

_LOCK_TRIES = 10

_chance = secrets.SystemRandom().random


def program_version() -> str:
    """Return the installed version, or ``0`` where it runs from a bare tree."""
    try:
        return version("seedkeep")
    except PackageNotFoundError:
        return "0"


class _Torrents:
    """``pin.gather.Torrents`` by the swarm's own reader."""

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._allow_private = allow_private

    def parse(self, raw: bytes) -> TorrentMeta:
        return parse_torrent(raw, allow_private=self._allow_private())

    def check_single(self, meta: TorrentMeta, size: int) -> None:
        check_single(meta, size)

    def check_files(self, meta: TorrentMeta, sizes: Mapping[str, int]) -> None:
        check_files(meta, sizes)


def swarm_options(settings: Settings, data: Path, home: Household) -> SwarmOptions:
    """Return the settings as the swarm takes them."""
    s = settings.swarm
    return SwarmOptions(
        resume_dir=data / "resume",
        interfaces=_list(s.interfaces),
        port=s.listen_port,
        dht=s.dht,
        dht_bootstrap=_list(s.dht_bootstrap),
        lsd=s.lsd,
        upnp=s.upnp,
        outgoing_utp=s.outgoing_utp,
        encryption=s.encryption,
        peers_per_torrent=s.peers_per_video,
        webtorrent=s.webtorrent,
        allow_private=settings.follow.allow_private_origins,
        lan=home.ranges(),
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def outbound_options(settings: Settings) -> OutboundOptions:
    """Return how we behave towards origins; the User-Agent names us and where to complain."""
    contact = f" (+{settings.follow.contact})" if settings.follow.contact else ""
    return OutboundOptions(
        allow_private=settings.follow.allow_private_origins, user_agent=f"Seedkeep/{program_version()}{contact}"
    )


def keeper_options(settings: Settings) -> KeeperOptions:
    most = settings.follow.origin_daily_bytes
    return KeeperOptions(settings.pin.at_once, float(settings.pin.patience), None if most is None else ByteCount(most))


def yielding_options(settings: Settings) -> YieldingOptions:
    b = settings.bandwidth
    return YieldingOptions(b.yield_to_players, b.yield_to_household, b.probe_host)


def planner_options(settings: Settings) -> PlannerOptions:
    return PlannerOptions(settings.pin.web_videos, timedelta(days=settings.plan.protect_days))


def examiner_options(settings: Settings, home: Household) -> ExaminerOptions:
    """Return whom challenges may call, and from where: as the swarm's own calls."""
    s = settings.swarm
    return ExaminerOptions(s.encryption != "forced", _list(s.interfaces), frozenset(map(str, home.addresses())))


class _Challenges:
    """``plan.examiner.Spend`` by the tender."""

    def __init__(self, tender: Callable[[], Tender]) -> None:
        self._tender = tender

    def peers(self, video: VideoId, rendition: RenditionName, up: int, down: int) -> None:
        self._tender().count_challenge(video, rendition, up, down)

    def fetched(self, video: VideoId, rendition: RenditionName, count: int) -> None:
        self._tender().count_fetched(video, rendition, count)


def floor_of(settings: Settings) -> Floor:
    return Floor(ByteCount(settings.library.floor_bytes), settings.library.floor_percent)


@dataclass(frozen=True, slots=True)
class Start:
    """What the command line and the environment say: settings before the database is open, and their sources."""

    page: Page
    environment: Mapping[str, str]
    file: Path | None
    given: Mapping[str, str]


class House:
    """Every part, built and introduced. Open it with ``open_house``."""

    def __init__(
        self,
        start: Start,
        store: Store,
        book: Book,
        library: Library,
        swarm: LibtorrentSwarm,
        home: Household,
        schedule: Schedule,
        zone: tzinfo,
    ) -> None:
        self.start, self.store, self.book, self.library, self.swarm = start, store, book, library, swarm
        self.clock: Clock = RealClock()
        self.data = Path(book.current.data_dir)
        self.home, self.zone = home, zone
        self.leases = Leases(self.clock)
        self.setup_code: str | None = None
        self.started_at = self.clock.now()
        self.mdns: Mdns | None = None
        self.port = book.current.web.port
        settings = book.current
        self.fetcher = Fetcher(outbound_options(settings), self.clock, count=self._count_origin)
        portraits = Portraits(self.fetcher, self.data / "portraits")
        self.follower = Follower(self.fetcher, store, self.clock, portraits=portraits)
        self.space = Space(library.root, floor_of(settings))
        parts = Parts(
            store=store,
            swarm=swarm,
            library=library,
            fetcher=self.fetcher,
            gatherer=Gatherer(self.fetcher, _Torrents(lambda: self.book.current.follow.allow_private_origins)),
            sources=self.follower,
            spend=self._count_fetched,
        )
        self.keeper = Keeper(
            parts, self.space, self.leases, self.clock, keeper_options(settings), _chance, lambda: self.tender.quota()
        )
        self.planner = Planner(
            store,
            self.leases,
            self.keeper.disk,
            self.clock,
            planner_options(settings),
            lambda: self.tender.quota(),
        )
        examiner = Examiner(
            store,
            swarm,
            library,
            self.fetcher,
            lambda: examiner_options(self.book.current, self.home),
            _Challenges(lambda: self.tender),
            _chance,
        )
        self.surveyor = Surveyor(store, examiner, self.clock, SurveyOptions(settings.plan.challenge_daily_bytes))
        self.headroom = Headroom(self.space, store, self.clock, self._made_room)
        self.tender = Tender(
            store,
            swarm,
            self.fetcher,
            self.clock,
            schedule,
            self.keeper.owner,
            steady=since_boot,
            stirred=self._quota_stirred,
            brake=lambda: self.yielding.cap,
        )
        self.yielding = Yielding(self.clock, self._sending, self._way_out, yielding_options(settings))
        self.sharer = Sharer(
            store,
            swarm,
            self.clock,
            self.keeper.owner,
            lambda: self.tender.uplink,
            self.tender.on_lan,
            SharerOptions(settings.swarm.announce_at_once),
        )
        exports = Path(settings.library.export_dir or "exports")
        self.exporter = Exporter(store, library, self.data / exports, lambda: floor_of(self.book.current), self.clock)
        self.shelf = HouseShelf(self.keeper)
        self.media = create_media_app(self.shelf, self.leases, self.tender.count_player, self.tender.pace_player)
        self.web = create_app(self._services())

    def _sending(self) -> Sending:
        up, _ = self.tender.rate(TrafficClass.INTERNET_PEERS, TrafficClass.WAN_PLAYERS)
        to_screens, _ = self.tender.rate(TrafficClass.LAN_PLAYERS)
        return Sending(up, self.tender.budget.upload, to_screens > 0)

    async def _way_out(self, host: str) -> str | None:
        return await way_out(self.store, host, allow_private=self.book.current.follow.allow_private_origins)

    def _quota_stirred(self) -> None:
        self.keeper.wake()
        self.planner.wake()

    def _count_origin(self, origin: Origin, count: int) -> None:
        self.tender.count_origin(origin, count)

    def _count_fetched(self, video: VideoId, rendition: RenditionName, count: int) -> None:
        self.tender.count_fetched(video, rendition, count)

    def _made_room(self) -> None:
        self.planner.wake()
        self.keeper.try_again_for_room()

    def _services(self) -> Services:
        return Services(
            clock=self.clock,
            store=self.store,
            leases=self.leases,
            settings=self.book,
            following=self.follower,
            planning=self.planner,
            keeping=self.keeper,
            spending=Ledger(self.tender, self.yielding, self.swarm, self.keeper, self.leases, self.clock),
            exporting=self.exporter,
            shelf=self.shelf,
            media=self.media,
            health=self.health,
            lan_hosts=self.lan_hosts,
            lan_address=self.lan_address,
            is_lan=lambda address: is_loopback(address) or self.home.is_lan(address),
            setup_code=lambda: self.setup_code,
        )

    def lan_hosts(self) -> frozenset[str]:
        """Return every name and address that is us on this network."""
        names = {f"{self.book.current.lan.name}.local", *map(str, self.home.addresses())}
        if self.mdns is not None and self.mdns.announced is not None:
            names.add(self.mdns.announced.host.rstrip("."))
        return frozenset(names)

    def lan_address(self) -> str:
        """Return the address that screens on this network reach the dashboard by, or loopback's."""
        addresses = self.home.addresses()
        host = str(addresses[0]) if addresses else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def health(self) -> Health:
        troubles = [*self.keeper.troubles.values()]
        troubles += [t for t in (self.store.trouble, self.planner.trouble, self.headroom.trouble) if t is not None]
        unique = tuple(dict.fromkeys(troubles))
        return Health(ok=not unique, troubles=unique, version=program_version(), started_at=self.started_at)

    async def apply(self, before: Settings, after: Settings) -> None:
        """Hand changed settings to the rooms they concern, at once."""
        if after.bandwidth != before.bandwidth:
            await self.tender.reconfigure(await asyncio.to_thread(schedule_of, after, self.zone))
            self.yielding.reconfigure(yielding_options(after))
        if after.swarm.announce_at_once != before.swarm.announce_at_once:
            self.sharer.reconfigure(SharerOptions(after.swarm.announce_at_once))
        if after.follow != before.follow:
            self.fetcher.reconfigure(outbound_options(after))
        if (after.swarm, after.follow) != (before.swarm, before.follow):
            self.swarm.reconfigure(swarm_options(after, self.data, self.home))
        if after.library != before.library:
            self.space.reconfigure(floor_of(after))
            self._made_room()
        if keeper_options(after) != keeper_options(before):
            self.keeper.reconfigure(keeper_options(after))
        if (after.pin, after.plan) != (before.pin, before.plan):
            self.planner.reconfigure(planner_options(after))
            self.surveyor.reconfigure(SurveyOptions(after.plan.challenge_daily_bytes))

    async def open_access(self) -> None:
        """Make the local token of the command line, and the one-time code while there is no password yet."""
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).hexdigest()
        await asyncio.to_thread(_write_private, self.data / "cli.token", token)
        await self.store.promise(saved.put, "cli_token_digest", json.dumps(digest))
        given = self.book.current.setup.admin_password
        if not given and await self.store.read(saved.get, "admin_password") is None:
            self.setup_code = "-".join(f"{secrets.randbelow(10_000):04}" for _ in range(2))

    @asynccontextmanager
    async def duties(self) -> AsyncIterator[None]:
        """Keep the periodic duties: each only sets an event or sweeps the store."""
        scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": 3600})
        scheduler.add_job(self.planner.wake, "interval", minutes=10, id="plan")
        scheduler.add_job(self._sweep, "interval", hours=6, id="sweep")
        scheduler.start()
        try:
            yield
        finally:
            scheduler.shutdown(wait=False)

    async def _sweep(self) -> None:
        now = self.clock.now()
        await self.store.write(logins.sweep, now)
        await self.store.write(observations.thin, now)
        await self.store.write(copies.sweep, now)

    async def announce(self, port: int) -> None:
        """Say on the household's networks who we are, and follow its addresses, until cancelled."""
        async with AsyncExitStack() as stack:
            if self.book.current.lan.mdns:
                said = Announcement(
                    self.book.current.lan.name, port, self.library.library_id, program_version(), tls=False
                )
                self.mdns = await stack.enter_async_context(Mdns(said))
            watch = await stack.enter_async_context(AddressWatch())
            while True:
                await watch.changed()
                self.home = await asyncio.to_thread(household)
                self.swarm.reconfigure(swarm_options(self.book.current, self.data, self.home))


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


class _Server(uvicorn.Server):
    """A server that leaves signals to the daemon and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.web.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.web.host, settings.web.port))
    except OSError as error:
        listener.close()
        raise BadInput(
            f"The dashboard cannot listen on {settings.web.host} port {settings.web.port}: {error.strerror}.",
            hint="Another program may use the port: set web.port (SEEDKEEP_WEB__PORT) to a free one.",
            field="web.port",
        ) from error
    listener.listen(256)
    listener.setblocking(False)
    return listener


async def _library(store: Store, settings: Settings, data: Path) -> Library:
    """Return the library, claimed at its first start or when the owner moved it. Raises BadInput, DiskError."""
    ident = await store.read(saved.get, "library_id")
    if ident is None:
        ident = secrets.token_hex(16)
        await store.promise(saved.put, "library_id", ident)
    root = await asyncio.to_thread(Path(settings.library_dir or data / "library").absolute)
    library = Library(root, ident)
    if await store.read(saved.get, "library_root") != json.dumps(str(root)):
        await asyncio.to_thread(library.claim)
        await store.promise(saved.put, "library_root", json.dumps(str(root)))
    return library


async def run(start: Start) -> None:
    """Run the appliance until SIGTERM or SIGINT. Raises BadInput, SchemaTooNew, StoreError before it is ready."""
    data = await asyncio.to_thread(Path(start.page.settings.data_dir).absolute)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(_make, data)
        stack.enter_context(await asyncio.to_thread(_locked, data))
        store = await stack.enter_async_context(Store(data / "catalogue.db"))
        holder: list[House] = []

        async def apply(before: Settings, after: Settings) -> None:
            await holder[0].apply(before, after)

        book = Book(store, start.environment, start.file, {**start.given, "data_dir": str(data)}, apply)
        settings = await book.open()
        listener = _listen(settings)
        stack.callback(listener.close)
        library = await _library(store, settings, data)
        home = await asyncio.to_thread(household)
        zone = await asyncio.to_thread(host_zone)
        schedule = await asyncio.to_thread(schedule_of, settings, zone)
        swarm = LibtorrentSwarm(swarm_options(settings, data, home), until_counted(settings))
        await stack.enter_async_context(swarm)
        house = House(start, store, book, library, swarm, home, schedule, zone)
        holder.append(house)
        await house.open_access()
        await stack.enter_async_context(house.fetcher)
        await stack.enter_async_context(house.duties())
        await house.tender.open()
        await _serve(house, listener, stop)


async def _serve(house: House, listener: socket.socket, stop: asyncio.Event) -> None:
    house.port = listener.getsockname()[1]
    config = uvicorn.Config(
        house.web,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        http=WireProtocol,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=30,
    )
    server = _Server(config)
    service = Systemd(os.environ)
    try:
        await _work(house, server, service, listener, stop)
    finally:
        await house.tender.close()
        await asyncio.to_thread((house.data / "service.json").unlink, missing_ok=True)


async def _work(house: House, server: _Server, service: Systemd, listener: socket.socket, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]), name="web")
        tasks = [
            group.create_task(house.tender.run(), name="tender"),
            group.create_task(house.yielding.run(), name="yielding"),
            group.create_task(house.sharer.run(), name="sharer"),
            group.create_task(house.keeper.run(), name="keeper"),
            group.create_task(house.planner.keep_planning(), name="planner"),
            group.create_task(house.surveyor.keep_asking(), name="surveyor"),
            group.create_task(house.headroom.keep_watching(), name="headroom"),
            group.create_task(house.exporter.run(), name="exporter"),
            group.create_task(house.follower.run(), name="follower"),
            group.create_task(house.announce(house.port), name="mdns"),
            group.create_task(_beat(service), name="watchdog"),
        ]
        await server.listening.wait()
        await asyncio.to_thread(_tell_where, house, house.port)
        process.freeze()
        service.ready()
        await stop.wait()
        service.stopping()
        _log.info("stopping")
        house.web.stop()
        server.should_exit = True
        await serving
        for task in tasks:
            task.cancel()
        house.media.close()
        await house.shelf.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _beat(service: Systemd) -> None:
    """Tell systemd that the loop turns."""
    while (seconds := service.watchdog_interval) is not None:
        service.watchdog()
        await asyncio.sleep(seconds)


def _tell_where(house: House, port: int) -> None:
    host = house.book.current.web.host
    near = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    where = f"http://{f'[{near}]' if ':' in near else near}:{port}"
    unfinished = house.data / "service.json.new"
    unfinished.write_text(json.dumps({"url": where, "pid": os.getpid()}), encoding="utf-8")
    os.replace(unfinished, house.data / "service.json")  # whoever looks finds all of it or nothing
    _log.info("Seedkeep %s is ready: http://localhost:%d", program_version(), port)
    if house.setup_code is not None:
        _log.info("To set a password, open the dashboard and enter this one-time code: %s", house.setup_code)


def _make(data: Path) -> None:
    """Make the data folder, and find out whether it can be written to. Raises BadInput."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / "lock").touch()
    except OSError as error:
        raise BadInput(
            f"The data folder {data} cannot be written to: {error.strerror}.",
            hint="Give another one with --data, or mend its permissions.",
            field="data_dir",
        ) from error


@contextlib.contextmanager
def _locked(data: Path) -> Any:
    """Hold the data folder against a second process. Raises BadInput."""
    import fcntl

    with open(data / "lock", "w", encoding="utf-8") as file:
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.05)  # the command line may just be looking whether we run
        else:
            raise BadInput(
                f"Another Seedkeep is running with the data folder {data}.",
                hint="Stop it first, or give this one another folder with --data.",
                field="data_dir",
            )
        yield
