"""What runs: the order in which all is opened and closed, the one task group, the periodic duties, and systemd told.

This module decides nothing. What it runs is built in ``house``, from options made in ``options``.
"""

import asyncio
import contextlib
import errno
import hashlib
import json
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from uvicorn.config import Config
from uvicorn.server import Server

from appliance.book import Page
from appliance.errors import BadInput
from appliance.front import Book, schedule_of, until_counted
from appliance.host import process
from appliance.host.systemd import Systemd
from appliance.host.zone import host_zone
from appliance.house import House
from appliance.lan.watch import HouseholdWatch
from appliance.library.marker import Library
from appliance.options import interface_choice, program_version, swarm_options
from appliance.serve.connections import Door, bounds
from appliance.serve.wire import protocol
from appliance.settings import Settings
from appliance.store import saved
from appliance.store.engine import Store
from appliance.swarm.session import LibtorrentSwarm

_log = logging.getLogger("seedkeep")

GRACE_SECONDS = 2
"""How long a stopping server waits for open answers."""
CALM_SECONDS = 3.0
"""After which the start's own duties are done as a rule."""

_LOCK_TRIES = 10


@dataclass(frozen=True, slots=True)
class Start:
    """What the command line and the environment say: settings before the database is open, and their sources."""

    page: Page
    environment: Mapping[str, str]
    file: Path | None
    given: Mapping[str, str]


async def _open_access(house: House) -> None:
    """Make the local token of the command line, and the one-time code while there is no password yet."""
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    await asyncio.to_thread(_write_private, house.data / "cli.token", token)
    await house.store.promise(saved.put, "cli_token_digest", json.dumps(digest))
    given = house.book.current.setup.admin_password
    if not given and await house.store.read(saved.get, "admin_password") is None:
        house.setup_code = "-".join(f"{secrets.randbelow(10_000):04}" for _ in range(2))


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@asynccontextmanager
async def _duties(house: House) -> AsyncIterator[None]:
    """Keep the periodic duties: each only sets an event or sweeps the store."""
    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": 3600})
    scheduler.add_job(house.planner.wake, "interval", minutes=10, id="plan")
    scheduler.add_job(house.sweep, "interval", hours=6, id="sweep")
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


class _Server(Server):
    """A server that leaves signals to the daemon and says when it listens."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


_LISTEN_HINTS = {
    errno.EADDRINUSE: "Another program uses the port: set web.port (SEEDKEEP_WEB__PORT) to a free one.",
    errno.EADDRNOTAVAIL: "This machine has no such address: set web.host (SEEDKEEP_WEB__HOST) to one of its own.",
    errno.EACCES: "Ports below 1024 are for root: set web.port (SEEDKEEP_WEB__PORT) to a higher one.",
}


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
            hint=_LISTEN_HINTS.get(error.errno or 0, "Set web.host (SEEDKEEP_WEB__HOST) or web.port to another one."),
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
        network = await stack.enter_async_context(HouseholdWatch(interface_choice(settings)))
        zone = await asyncio.to_thread(host_zone)
        schedule = await asyncio.to_thread(schedule_of, settings, zone)
        swarm = LibtorrentSwarm(swarm_options(settings, data, network.household), until_counted(settings))
        await stack.enter_async_context(swarm)
        house = House(store, book, library, swarm, network, schedule, zone)
        holder.append(house)
        await _open_access(house)
        await stack.enter_async_context(house.fetcher)
        await stack.enter_async_context(_duties(house))
        await house.tender.open()
        await _serve(house, listener, stop)


async def _serve(house: House, listener: socket.socket, stop: asyncio.Event) -> None:
    house.nameplate.port = listener.getsockname()[1]
    config = Config(
        house.web,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        http=protocol(Door(bounds())),
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
            group.create_task(house.copies.run(), name="copies for televisions"),
            group.create_task(house.follower.run(), name="follower"),
            group.create_task(house.announce(), name="mdns"),
            group.create_task(_beat(service), name="watchdog"),
        ]
        await server.listening.wait()
        await asyncio.to_thread(_tell_where, house, house.nameplate.port)
        process.freeze()
        service.ready()
        tasks.append(group.create_task(_prepare(house), name="screens"))
        await stop.wait()
        service.stopping()
        _log.info("stopping")
        house.web.stop()
        server.should_exit = True
        await serving
        for task in tasks:
            task.cancel()
        house.media.close()
        await house.dlna.close()
        await house.shelf.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _prepare(house: House) -> None:
    """Make the first answer to a screen as quick as others, once the start's own duties are done."""
    await house.clock.sleep(CALM_SECONDS)
    if house.book.current.lan.dlna:
        await house.dlna.prepare()


async def _beat(service: Systemd) -> None:
    """Tell systemd that the loop turns."""
    while (seconds := service.watchdog_interval) is not None:
        service.watchdog()
        await asyncio.sleep(seconds)


def _tell_where(house: House, port: int) -> None:
    host = house.book.current.web.host
    wide = host in ("0.0.0.0", "::", "")
    near = "127.0.0.1" if wide else host
    where = f"http://{f'[{near}]' if ':' in near else near}:{port}"
    unfinished = house.data / "service.json.new"
    unfinished.write_text(json.dumps({"url": where, "pid": os.getpid()}), encoding="utf-8")
    os.replace(unfinished, house.data / "service.json")  # whoever looks finds all of it or nothing
    reached = house.nameplate.address()  # many a box has no screen of its own
    elsewhere = f" (from other machines {reached})" if wide and not reached.startswith("http://127.") else ""
    said = f"http://localhost:{port}" if wide else where
    _log.info("Seedkeep %s is ready: %s%s", program_version(), said, elsewhere)
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
