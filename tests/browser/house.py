"""The pages served over a socket from the sample: this module has the stand-ins for the verbs, and the server."""

import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec

from appliance.clock import RealClock
from appliance.domain.catalogue import OriginToday
from appliance.domain.channel import Portrait
from appliance.domain.export import Export, ExportState
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Disk, Plan, Rule, RuleKind
from appliance.domain.shelf import NotPlayable, Playable, PlayableCaption, PlayableFile, PlayableRendition, Reader
from appliance.domain.traffic import Budget
from appliance.domain.units import ByteCount, BytesPerSecond, ChannelId, RenditionName, VideoId
from appliance.domain.video import RenditionKind, Storyboard
from appliance.errors import BadInput, NotFound
from appliance.front import schedule_of
from appliance.host.ffmpeg import find_ffmpeg
from appliance.seed.schedule import Span, in_force
from appliance.settings import Settings
from appliance.store.engine import Store
from policies import plan as planned
from tests.browser.sample import CACHED, Amount, Made, fill
from tests.browser.screens import network, watching
from tests.media.shelf import served
from tests.unit.house import StandInShelf
from web.access.gate import Gate
from web.app import create_app
from web.services import Activity, Health, Option, Rates, Ration, Services, Source, YieldsNow

CODE = "grow-seven-quiet-oaks"
PASSWORD = "a long enough password"
VERSION = "0.1.0"


class Followed(msgspec.Struct, frozen=True):
    channel: ChannelId | None
    video: VideoId | None
    title: str


class Following:
    def __init__(self) -> None:
        self.refreshed: list[ChannelId] = []

    async def follow(self, text: str) -> Followed:
        if "nowhere" in text:
            raise NotFound(
                "There is no PeerTube channel at this address.",
                hint="Open the channel in a browser and copy its address.",
            )
        return Followed(ChannelId("harbour"), None, "Harbour Films")

    async def refresh(self, channel: ChannelId) -> None:
        self.refreshed.append(channel)

    async def portrait(self, channel: ChannelId) -> Portrait | None:
        return Portrait("image/svg+xml", landscape(channel).encode())

    def origins(self) -> tuple[OriginToday, ...]:
        hosts = ("tube.harbour.example", "video.workbench.example", "peertube.orchard.example", "lectures.example")
        return tuple(OriginToday(h, 14 + 9 * i, ByteCount(10**8), 0, None, None) for i, h in enumerate(hosts))


class Planning:
    def __init__(self, made: Made) -> None:
        self.made, self.woken = made, 0

    def wake(self) -> None:
        self.woken += 1

    async def run(self) -> Plan:
        return self.made.plan

    async def preview(self, rules: tuple[Rule, ...]) -> Plan:
        return planned(self.made.world, rules, datetime.now(UTC))

    async def kinds(self) -> frozenset[str]:
        return frozenset(RuleKind)


class Keeping:
    def __init__(self, made: Made) -> None:
        disk = made.world.disk
        kept = ByteCount(CACHED if made.cached else 0)
        self._disk = replace(disk, free=ByteCount(disk.free - kept), cached=kept)

    def wake(self) -> None: ...

    async def disk(self) -> Disk:
        return self._disk

    async def scrub(self) -> int:
        return 0

    async def let_go(self, video: VideoId) -> None:
        raise NotFound("Nothing of this video is kept from watching it.")


class Spending:
    def __init__(self, made: Made, amount: Amount, book: "Book") -> None:
        self._pins, self._amount, self._beat, self._book = made.fetching, amount, 0, book
        self._quiet_until: datetime | None = None
        watched = YieldsNow("player", BytesPerSecond(480_000), 0.004)
        self.yielding = watched if amount is Amount.MUCH else YieldsNow()

    def rates(self) -> Rates:
        self._beat += 1
        wave = (self._beat * 7919) % 700_000
        quiet = self._amount is Amount.EMPTY
        up, down = (0, 0) if quiet else (2_600_000 + wave, 5_400_000 - 2 * wave)
        watching = 2 if self._amount is Amount.MUCH else 0
        each = BytesPerSecond
        return Rates(each(up), each(down), each(0), each(0), each(0), 31, 120, watching)

    def activity(self) -> tuple[Activity, ...]:
        return tuple(self._one(pin) for pin in self._pins if pin.state is PinState.PINNING)

    def _one(self, pin: Pin) -> Activity:
        rate = BytesPerSecond(1_830_000)
        left = (pin.size - pin.done) / rate
        return Activity(pin.video, pin.state, pin.done, pin.size, rate, BytesPerSecond(0), 7, left)

    @property
    def budget(self) -> Budget:
        stopped = BytesPerSecond(0)
        return Budget(BytesPerSecond(4_000_000)) if self._quiet_until is None else Budget(stopped, stopped)

    async def flush(self) -> None: ...

    def ration(self) -> Ration:
        """Three weeks of nights and evenings, by the settings of now."""
        now, schedule = datetime.now(UTC), schedule_of(self._book.current, ZoneInfo("Europe/Paris"))
        quiet = self._amount is Amount.EMPTY
        hour = now.replace(minute=0, second=0, microsecond=0)
        hours = {
            at: (0, 0) if quiet else (600_000_000 + 80_000_000 * (n % 7), 200_000_000 + 300_000_000 * (at.hour < 6))
            for n in range(24 * 24)
            for at in (hour - timedelta(hours=n),)
        }
        used = {span: _sum(hours, schedule.period(span, now).start) for span in Span}
        return Ration(schedule, in_force(schedule, used, self._quiet_until, now), used, hours, now, self.yielding)

    async def be_quiet(self, length: timedelta) -> None:
        self._quiet_until = datetime.now(UTC) + length

    async def end_quiet(self) -> None:
        self._quiet_until = None


def _sum(hours: dict[datetime, tuple[int, int]], first: datetime) -> tuple[int, int]:
    since = [counts for at, counts in hours.items() if at >= first]
    return sum(up for up, _ in since), sum(down for _, down in since)


BUSY = {
    "bandwidth.week": " ".join(["nnnnnnfppfffffffppppppnn"] * 5 + ["nnnnnnnnffffffppppppoonn"] * 2),
    "bandwidth.monthly_upload": 600_000_000_000,
    "bandwidth.monthly_download": 500_000_000_000,
    "bandwidth.daily_upload": 10_000_000_000,
    "bandwidth.billing_day": 3,
}


class Exporting:
    """One export that is done and one that goes on, in a house with much."""

    def __init__(self, amount: Amount) -> None:
        at, some = datetime.now(UTC), amount is Amount.MUCH
        states = ((ExportState.RUNNING, "Quiet Machines", 4), (ExportState.DONE, "Theatre on the Quay", 6))
        self.made = [
            Export(
                folder=title,
                path=f"/srv/seedkeep/exports/{title}",
                channel=ChannelId(f"c{n}"),
                title=title,
                state=state,
                begun_at=at - timedelta(hours=n, minutes=2),
                videos=6,
                done=n,
                linked=ByteCount(n * 1_400_000_000),
                left=("Opening night: nothing of it is whole here.",) if state is ExportState.DONE else (),
            )
            for state, title, n in states
            if some
        ]

    def exports(self) -> tuple[Export, ...]:
        return tuple(self.made)

    async def begin(self, channel: ChannelId, folder: str = "") -> Export:
        made = Export(folder or "Films", "/srv/Films", channel, "Films", ExportState.QUEUED, datetime.now(UTC), 3)
        self.made.insert(0, made)
        return made


class Book:
    """Settings in memory; two are fixed, so that locks show."""

    def __init__(self) -> None:
        self.current = Settings()
        self._fixed = {
            "web.port": (Source.ENVIRONMENT, "SEEDKEEP_WEB__PORT"),
            "swarm.dht": (Source.FILE, "seedkeep.toml"),
        }
        self._saved: set[str] = {"bandwidth.upload"}

    def options(self) -> tuple[Option, ...]:
        found: list[Option] = []
        for info in msgspec.structs.fields(self.current):
            value = getattr(self.current, info.name)
            if isinstance(value, msgspec.Struct):
                for inner in msgspec.structs.fields(value):
                    path = f"{info.name}.{inner.name}"
                    found.append(self._option(path, inner.type, getattr(value, inner.name), inner.default))
            else:
                found.append(self._option(info.name, info.type, value, info.default))
        return tuple(found)

    def _option(self, path: str, annotation: Any, value: Any, default: Any) -> Option:
        plain, *extra = get_args(annotation) if hasattr(annotation, "__metadata__") else (annotation,)
        meta = next((m for m in extra if isinstance(m, msgspec.Meta)), msgspec.Meta())
        source, where = self._fixed.get(path, (Source.SAVED if path in self._saved else Source.DEFAULT, None))
        choices = tuple(get_args(plain)) if "Literal" in str(get_origin(plain)) else ()
        return Option(
            path=path,
            value=value,
            default=default,
            kind=type(default).__name__,
            description=meta.description or "",
            source=source,
            locked_by=where,
            needs_restart=path in ("web.host", "data_dir"),
            secret=path == "setup.admin_password",
            choices=choices,
        )

    async def save(self, changes: Mapping[str, Any]) -> None:
        if changes.get("web.port") == 0 or changes.get("pin.at_once") == 0:
            raise BadInput("This must be 1 or more.", field="pin.at_once")
        whole = msgspec.to_builtins(self.current)
        for path, value in changes.items():
            group, _, name = path.rpartition(".")
            (whole[group] if group else whole)[name] = value
            self._saved.add(path)
        self.current = msgspec.convert(whole, Settings)


class Shelf(StandInShelf):
    async def playable(self, video: VideoId) -> Playable:
        name = f"{video}-1080-fragmented.mp4"
        rendition = PlayableRendition(
            RenditionName("1080p"),
            RenditionKind.HLS,
            1920,
            1080,
            30,
            True,
            True,
            ByteCount(1_400_000_000),
            (PlayableFile(name, ByteCount(1_400_000_000), "x"),),
            None,
        )
        return Playable(
            video,
            "",
            60,
            (rendition,),
            (PlayableCaption("en", "English", "en.vtt"),),
            "thumbnail.jpg",
            Storyboard("https://tube.harbour.example/board.jpg", 640, 180, 160, 90, 8.0),
            "storyboard.jpg",
        )

    async def file(self, video: VideoId, name: str) -> Path | Reader:
        raise NotPlayable("none", "The sample holds no media.")


async def media(scope: Any, receive: Any, send: Any) -> None:
    """Answer pictures of our own drawing, an empty caption file, and of a stream only that it is not there."""
    ident, _, name = str(scope["path"]).removeprefix("/media/").partition("/")
    if name == "thumbnail.jpg":
        await _answer(send, 200, "image/svg+xml", landscape(ident))
    elif name == "storyboard.jpg":
        await _answer(send, 200, "image/svg+xml", tiles(ident))
    elif name.endswith(".vtt"):
        await _answer(send, 200, "text/vtt", "WEBVTT\n")
    elif name == "master.m3u8":
        # A playlist of nothing: a player is content with it until someone presses play.
        text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-STREAM-INF:BANDWIDTH=4200000,RESOLUTION=1920x1080\n1080p.m3u8\n"
        await _answer(send, 200, "application/vnd.apple.mpegurl", text)
    elif name == "1080p.m3u8":
        text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n"
        await _answer(send, 200, "application/vnd.apple.mpegurl", text)
    else:
        await _answer(send, 404, "text/plain", "")


async def _answer(send: Any, status: int, kind: str, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# sky above and below, sun, and four hills from far to near
_LIGHTS = (
    ("#f6c58f", "#fbe9c9", "#fff6df", "#d79a72", "#b7765c", "#8d5a50", "#5b3c3e"),
    ("#8fc1cf", "#dcebe2", "#fdf3cf", "#8fb7a4", "#6a9a83", "#477a64", "#2b5647"),
    ("#1d2b45", "#43577a", "#f3ead0", "#34486a", "#283a57", "#1d2c44", "#141f31"),
    ("#b9d3e8", "#eef2ea", "#fffbe9", "#9fb4c4", "#7b97ab", "#587790", "#3a5670"),
    ("#e3a39a", "#f7d9c4", "#fff0d6", "#c07f86", "#98627a", "#6f4a6a", "#473353"),
    ("#b6cf9a", "#eef3d6", "#fffce6", "#98b67b", "#77995f", "#567a48", "#385634"),
    ("#22423a", "#5d8a70", "#f6edc4", "#3d6a58", "#2e5546", "#224135", "#162d25"),
)


def landscape(ident: str) -> str:
    """Return a small landscape, always the same for one id: sky, sun, and hills one behind the other."""
    seed = sum((place + 3) * ord(letter) for place, letter in enumerate(ident))
    sky, low, sun, *hills = _LIGHTS[seed % len(_LIGHTS)]
    drawn = [
        f'<circle cx="{50 + seed % 220}" cy="{34 + seed % 42}" r="{11 + seed % 12}" fill="{sun}" opacity="0.95"/>',
        *(f'<path fill="{colour}" d="{_hill(seed, layer)}"/>' for layer, colour in enumerate(hills)),
    ]
    stops = f'<stop stop-color="{sky}"/><stop offset="1" stop-color="{low}"/>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360" viewBox="0 0 320 180">'
        f'<defs><linearGradient id="g" x2="0" y2="1">{stops}</linearGradient></defs>'
        f'<rect width="320" height="180" fill="url(#g)"/>{"".join(drawn)}</svg>'
    )


def tiles(ident: str) -> str:
    """Return eight landscapes in two rows, as a storyboard has its moments."""
    drawn = "".join(
        f'<svg x="{160 * (at % 4)}" y="{90 * (at // 4)}" width="160" height="90" viewBox="0 0 640 360">{scene}</svg>'
        for at, scene in enumerate(
            landscape(f"{ident}{at}").replace('id="g"', f'id="g{at}"').replace("url(#g)", f"url(#g{at})")
            for at in range(8)
        )
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="180">{drawn}</svg>'


def _hill(seed: int, layer: int) -> str:
    top, wave = 88 + layer * 23 + (seed >> layer) % 9, 20 - 4 * layer
    a, b = (seed * (layer + 3)) % 90, (seed * (layer + 7)) % 70
    first = f"C{30 + a} {top - wave - b % 26},{110 + b} {top + wave},{170 + a % 60} {top - wave // 2 + b % 12}"
    return f"M0 {top} {first} S{270 + b % 30} {top - wave - a % 14},320 {top + a % 12}V180H0z"


def film(folder: Path) -> Any:
    """Make four seconds of HLS (a picture that moves, and a tone), and return what shows it below ``/media/``."""
    program = find_ffmpeg()
    assert program is not None, "no ffmpeg"
    folder.mkdir()
    made = subprocess.run(
        [
            *(str(program), "-loglevel", "error"),
            *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4"),
            *("-f", "lavfi", "-i", "sine=frequency=330:duration=4"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac"),
            *("-hls_time", "2", "-hls_playlist_type", "vod", str(folder / "master.m3u8")),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    async def shown(scope: Any, receive: Any, send: Any) -> None:
        name = str(scope["path"]).rpartition("/")[2]
        if name not in files:
            await media(scope, receive, send)
            return
        kind = b"application/vnd.apple.mpegurl" if name.endswith("m3u8") else b"video/mp2t"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": files[name]})

    return shown


@dataclass(frozen=True, slots=True)
class House:
    """The served sample: its address, the cookie of someone who is logged in, and what a test may look at."""

    url: str
    cookie: str
    services: Services
    book: Book


@asynccontextmanager
async def house(folder: Path, amount: Amount, *, set_up: bool = True, shown: Any = media) -> AsyncIterator[House]:
    """Serve the pages on a free port of loopback until the block ends; ``shown`` answers below ``/media/``."""
    clock, book = RealClock(), Book()
    if amount is Amount.MUCH:
        await book.save(BUSY)
    async with Store(folder / "seedkeep.db") as store:
        made = await store.write(fill, amount, clock.now())
        troubles = ("The clock of this machine is 4 minutes off.",) if amount is Amount.LITTLE else ()
        services = Services(
            clock=clock,
            store=store,
            leases=watching(amount, clock.monotonic(), made),
            settings=book,
            following=Following(),
            planning=Planning(made),
            keeping=Keeping(made),
            spending=Spending(made, amount, book),
            presence=network(amount, clock.now(), [c.id for c in made.world.videos]),
            exporting=Exporting(amount),
            shelf=Shelf(),
            media=shown,
            health=lambda: Health(not troubles, troubles, VERSION, clock.now()),
            lan_hosts=lambda: frozenset({"127.0.0.1", "localhost"}),
            lan_address=lambda: "127.0.0.1",
            is_lan=lambda _: True,
            setup_code=lambda: CODE,
        )
        cookie = await _set_up(services) if set_up else ""
        web = create_app(services)
        async with served(web) as (host, port):
            try:
                yield House(f"http://{host}:{port}", cookie, services, book)
            finally:
                web.stop()


async def _set_up(services: Services) -> str:
    gate = Gate(services)
    try:
        return await gate.begin(CODE, PASSWORD, True, "127.0.0.1", "Firefox on Linux")
    finally:
        gate.close()
