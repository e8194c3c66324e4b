"""A keeper with real store, library and HTTP, and a swarm that brings what it is given: this module sets it up.

``async with a_box(folder, origin) as box: video = await box.know(origin.add_video(…)); await box.want(video)``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Decision, Plan, Reason, ReasonCode, Verdict
from appliance.domain.traffic import Quota
from appliance.domain.units import ByteCount, InfoHash, Origin, RenditionName, VideoId, video_id
from appliance.domain.video import Caption, Extras, Upstream, VideoDetail
from appliance.follow.details import Details
from appliance.follow.sources import peertube
from appliance.library import files
from appliance.library.drawer import Drawer
from appliance.library.manifest import Manifest
from appliance.library.marker import Library
from appliance.library.space import Floor, Space
from appliance.outbound.fetch import Fetcher, OutboundOptions
from appliance.pin.beside import Beside
from appliance.pin.errands import Errands
from appliance.pin.gather import Gatherer
from appliance.pin.keeper import Keeper, KeeperOptions
from appliance.pin.opener import Parts
from appliance.pin.reading import HouseShelf
from appliance.store import decisions, details, pins, videos
from appliance.store.engine import Store
from appliance.store.leases import Leases
from appliance.swarm import torrent
from appliance.swarm.fake import FakeSwarm
from appliance.swarm.port import Swarm, TorrentMeta
from tests.world.origin import Origin as Tube
from tests.world.published import Published
from tests.world.scripted import QuickClock
from tests.world.shapes import dumps

PATIENCE = 15.0
NOTHING = Floor(ByteCount(0), 0.0)
EVERYTHING = Floor(ByteCount(1 << 60), 0.0)
"""A floor that leaves no room at all."""


class Torrents:
    """The swarm's own reader of torrents, private hosts allowed."""

    def parse(self, raw: bytes) -> TorrentMeta:
        return torrent.parse_torrent(raw, allow_private=True)

    check_single = staticmethod(torrent.check_single)
    check_files = staticmethod(torrent.check_files)


class Asking:
    """Following, as pinning sees it: the origin is really asked."""

    def __init__(self, details: Details) -> None:
        self._details = details

    async def detail(self, video: VideoId, *, priority: bool = False) -> VideoDetail:
        return await self._details.ask(video, priority=priority)

    async def captions(self, video: VideoId, watched: bool) -> tuple[Caption, ...]:
        return await self._details.captions(video, priority=watched)

    async def extras(self, video: VideoId) -> Extras:
        return await self._details.extras(video)


class Box:
    """What the tests see. Addresses and media come from ``tube``."""

    def __init__(
        self,
        folder: Path,
        tube: Tube,
        store: Store,
        swarm: FakeSwarm,
        fetcher: Fetcher,
        another: Swarm | None = None,
    ) -> None:
        self.folder, self.tube, self.store, self.swarm, self.fetcher = folder, tube, store, swarm, fetcher
        self.clock = QuickClock()
        self.library = Library(folder / "library", "box")
        self.space = Space(self.library.root, NOTHING)
        self.leases = Leases(self.clock)
        self.fetched: dict[tuple[VideoId, RenditionName], int] = {}
        asking = Asking(Details(fetcher, store, self.clock, lambda: 0.5))
        self.parts = Parts(
            store=store,
            swarm=another or swarm,
            library=self.library,
            fetcher=fetcher,
            gatherer=Gatherer(fetcher, Torrents()),
            sources=asking,
            spend=self._spend,
        )
        self.quota: Quota | None = None
        self.keeper = Keeper(
            self.parts, self.space, self.leases, self.clock, KeeperOptions(3), lambda: 0.5, lambda: self.quota
        )
        errands = Errands(fetcher, Drawer(folder / "beside", self.clock), self.clock, self._may_look)
        self.beside = Beside(store, errands, asking.captions, self.clock, self._may_look)
        self.shelf = HouseShelf(self.keeper, self.beside)
        self._decided: dict[VideoId, Decision] = {}

    def _may_look(self) -> bool:
        return self.quota is None or self.quota.again is None

    def _spend(self, video: VideoId, name: RenditionName, count: int) -> None:
        self.fetched[video, name] = self.fetched.get((video, name), 0) + count

    def provide(self, published: Published) -> None:
        """Let the swarm find a video's bytes."""
        for made in published.made.files if published.torrents else ():
            meta = torrent.parse_torrent(published.torrent(made.resolution), allow_private=True)
            self.swarm.provide(meta.content, b"".join(published.made.path(p).read_bytes() for p in made.parts))

    async def know(self, published: Published, tube: Tube | None = None) -> VideoId:
        """Have the catalogue know what the origin (or another one) says of a video now."""
        await asyncio.to_thread(self.provide, published)
        detail = peertube.video_detail(dumps(published.detail()), (tube or self.tube).base_url)
        await self.store.write(videos.put_detail, detail, None, self.clock.now())
        return detail.summary.id

    async def is_gone(self, video: VideoId) -> None:
        """Have the catalogue know that the origin no longer shows a video."""
        trouble = Trouble("gone", "It is gone.")
        await self.store.write(details.note_upstream, video, Upstream.GONE, trouble, self.clock.now())

    async def want(self, *wanted: VideoId, names: Iterable[str] | None = None) -> None:
        """Put a plan in force that pins these videos, in this order, and leaves other decisions as they are."""
        for video in wanted:
            record = await self.store.read(videos.one, video)
            assert record is not None
            chosen = [r for r in record.renditions if names is None or r.name in set(names)]
            size = ByteCount(sum(r.size for r in chosen))
            why = (Reason(ReasonCode.CHOSEN),)
            self._decided[video] = Decision(video, Verdict.PIN, why, tuple(r.name for r in chosen), size)
        await self._plan()

    async def let_go(self, *videos_: VideoId) -> None:
        for video in videos_:
            self._decided[video] = Decision(video, Verdict.RELEASE, (Reason(ReasonCode.NO_RULE),))
        await self._plan()

    async def _plan(self) -> None:
        nothing = ByteCount(0)
        plan = Plan(tuple(self._decided.values()), (), nothing, nothing, nothing)
        await self.store.write(decisions.put_plan, plan, self.clock.now())

    async def pin(self, video: VideoId) -> Pin | None:
        return await self.store.read(pins.one, video)

    async def until(self, video: VideoId, *states: PinState | None) -> Pin | None:
        """Wait until the pin is in one of these states; None is no pin."""
        news = asyncio.Event()
        end = self.store.listen(lambda _: news.set())
        now: Pin | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    news.clear()
                    now = await self.pin(video)
                    if (None if now is None else now.state) in states:
                        return now
                    await news.wait()
        except TimeoutError:
            raise AssertionError(f"{video} is {now}, not {states}; {self.keeper.troubles}") from None
        finally:
            end()

    async def pinned(self, video: VideoId) -> Pin:
        found = await self.until(video, PinState.PINNED)
        assert found is not None
        return found

    async def turns(self, true: Callable[[], bool]) -> None:
        """Wait until something is true."""
        async with asyncio.timeout(PATIENCE):
            while not true():  # noqa: ASYNC110 - not everything that a test looks at sends word
                await asyncio.sleep(0.02)

    async def quiet(self) -> None:
        """Wait until nobody works on anything and no captions or pictures are waited for."""
        async with asyncio.timeout(PATIENCE):
            chores = self.keeper._chores
            await self.turns(lambda: not (self.keeper._turns.taken or len(chores.unadorned) or len(chores.unscrubbed)))
            for video in list(self.keeper.opened._doors.keys()):
                async with self.keeper.opened.door(video):
                    pass

    def id_of(self, published: Published) -> VideoId:
        return video_id(Origin(self.tube.host), published.uuid)

    def lies_at(self, video: VideoId) -> Path:
        return self.library.folder(Origin(self.tube.host), video)

    async def manifest(self, video: VideoId) -> Manifest | None:
        return await asyncio.to_thread(files.load, self.library, Origin(self.tube.host), video)

    def hash_of(self, published: Published, resolution: int) -> InfoHash:
        return InfoHash(published.info_hash(resolution))

    def unplug(self) -> None:
        """Take the library's disk away, as an unmounted one looks: an empty folder."""
        self.library.root.rename(self.folder / "unplugged")
        self.library.root.mkdir()

    def plug(self) -> None:
        self.library.root.rmdir()
        (self.folder / "unplugged").rename(self.library.root)

    def same(self, published: Published, video: VideoId) -> bool:
        """Tell whether every media file on the disk is that of the origin, byte for byte."""
        folder = self.lies_at(video)
        parts = [p for made in published.made.files for p in made.parts]
        return all((folder / p).read_bytes() == published.made.path(p).read_bytes() for p in parts)


@asynccontextmanager
async def a_box(
    folder: Path,
    tube: Tube,
    *,
    eager: bool = True,
    resumed: dict[InfoHash, frozenset[int]] | None = None,
    floor: Floor = NOTHING,
    running: bool = True,
    swarm: Swarm | None = None,
    is_lan: Callable[[str], bool] = lambda _: False,
    **changes: Any,
) -> AsyncIterator[Box]:
    """Open a box in ``folder``: an earlier one's, or a new one. Its keeper runs unless ``running`` is false.

    With a ``swarm`` of its own it has that in its parts.
    """
    tube.limit = None
    library = Library(folder / "library", "box")
    if not (folder / "catalogue.db").exists():
        await asyncio.to_thread(library.claim)
    async with (
        Store(folder / "catalogue.db") as store,
        FakeSwarm(eager=eager, resumed=resumed) as fake,
        Fetcher(OutboundOptions(allow_private=True), QuickClock(), is_lan=is_lan, chance=lambda: 0.5) as fetcher,
    ):
        box = Box(folder, tube, store, fake, fetcher, swarm)
        box.space.reconfigure(floor)
        task = asyncio.create_task(box.keeper.run()) if running else None
        try:
            yield box
        finally:
            await box.shelf.close()
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
