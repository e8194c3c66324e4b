"""The one owner of torrents and files: it opens, pins, keeps up and releases. This module is the loop; decisions come
from the plan, steps from ``reconcile``, states from STATE.md; the work on one video is ``pinner``'s until it is
whole and ``warden``'s then; what must wait ``waits`` knows, and ``lookout`` minds what is open.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.clock import Clock
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Decision, Disk, Verdict
from appliance.domain.traffic import Quota
from appliance.domain.units import ByteCount, InfoHash, RenditionName, VideoId
from appliance.errors import LibraryMissing
from appliance.host.mounts import MountWatch
from appliance.library.space import Space
from appliance.pin.cache import Cache, CacheOptions
from appliance.pin.chores import Chores
from appliance.pin.holding import Holding
from appliance.pin.lookout import Lookout
from appliance.pin.opened import Opened, Spare
from appliance.pin.opener import Parts
from appliance.pin.pinner import Pinner, Resting
from appliance.pin.reconcile import Fetch, Hands, Promise, Release, Stop, steps, waits_for_space
from appliance.pin.releaser import Releaser
from appliance.pin.spares import Spares
from appliance.pin.turns import Turns
from appliance.pin.waits import Waits
from appliance.pin.warden import Warden
from appliance.store import cached, decisions, pins
from appliance.store.audience import Audience
from appliance.store.engine import Touched
from appliance.store.leases import Leases
from appliance.swarm.port import Fault, SwarmEvent

TICK = 30.0
"""Seconds between looks at the library while nothing else wakes the loop."""
_SEEDED_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """``at_once``: videos fetched together; ``patience``: seconds that one of which nothing comes keeps its turn;
    ``origin_daily_bytes``: media that may be taken from one origin on a UTC day; ``cache``: what was only watched."""

    at_once: int = 3
    patience: float = 120.0
    origin_daily_bytes: ByteCount | None = None
    cache: CacheOptions = CacheOptions()


class Keeper:
    """Makes what we hold match the plan. Run it as one task; ``wake`` it when the plan changed."""

    def __init__(
        self,
        parts: Parts,
        space: Space,
        leases: Leases,
        clock: Clock,
        options: KeeperOptions,
        chance: Callable[[], float],
        quota: Callable[[], Quota | None] = lambda: None,
    ) -> None:
        """``quota`` says what may still be taken from the internet, None for no bound; ``wake`` when that changed."""
        self.parts, self._space, self.leases = parts, space, leases
        self.audience = Audience()
        self.audience.listen(self.rest)
        self._clock, self._options = clock, options
        self.opened = Opened(parts.swarm, space)
        self.cache = self.opened.spare = Cache(parts, self.opened, leases, clock, options.cache)
        self._copies: Spare | None = None
        self._turns = Turns(self.wake)
        self._chores = Chores(parts, self.opened, clock, self._turns.guarded)
        adorn = self._chores.unadorned.put
        self.releaser = Releaser(parts, self.opened, leases, clock)
        self.pinner = Pinner(parts, self.opened, leases, self.releaser, clock, chance, adorn)
        self.warden = Warden(parts, self.opened, self.pinner, self.releaser, adorn)
        self.quota = quota
        self._waits = Waits(parts, self.opened, self._turns, clock, quota, options.origin_daily_bytes)
        self._lookout = Lookout(parts, self.opened, self._turns, leases, clock, options.patience)
        self._wake = asyncio.Event()
        self._renewed: dict[VideoId, bool] = {}
        self._faults: dict[VideoId, tuple[str, RenditionName]] = {}
        self.restored = asyncio.Event()

    # What others ask

    @property
    def holdings(self) -> dict[VideoId, Holding]:
        """The videos that are open: fetched or watched."""
        return self.opened.holdings

    @property
    def troubles(self) -> dict[str, str]:
        """What went wrong and is not mended yet: the work, and a sentence on it."""
        return self._turns.troubles

    def wake(self) -> None:
        self._wake.set()

    def try_again_for_room(self) -> None:
        """Somebody made room: what waits for it has its turn now."""
        self._waits.note_room()
        self.wake()

    def reconfigure(self, options: KeeperOptions) -> None:
        self._options, self._lookout.patience, self.cache.options = options, options.patience, options.cache
        self._waits.allow(options.origin_daily_bytes)
        self.wake()

    def owner(self, info_hash: InfoHash) -> tuple[VideoId, RenditionName] | None:
        """Return whose torrent it is."""
        return self.opened.owner(info_hash)

    async def disk(self) -> Disk:
        """Return the library's disk as it is now. Raises LibraryMissing, DiskError."""
        await asyncio.to_thread(self.parts.library.require)
        disk = await self._space.disk(await self.parts.store.read(pins.held_bytes))
        copies = ByteCount(0) if self._copies is None else await self._copies.size(None)
        return replace(disk, cached=await self.parts.store.read(cached.held_bytes), copies=copies)

    def take_room_of(self, copies: Spare) -> None:
        """Have these copies go where a pin needs their room, before what is cached: they can be made again here."""
        self._copies, self.opened.spare = copies, Spares(copies, self.cache)

    def rest(self, video: VideoId) -> None:
        """The last viewer of a video has left: what is open for viewers alone is fetched no further until one comes."""
        holding = self.holdings.get(video)
        if holding is not None and holding.started and video not in self._turns.taken:
            self._turns.begin(video, self._rest(holding), wake=False)

    async def _rest(self, holding: Holding) -> None:
        pin = await self.parts.store.read(pins.one, holding.video)
        if (pin is None or pin.state is not PinState.PINNED) and not self.audience.present(holding.video):
            await holding.pause()

    async def let_go(self, video: VideoId) -> None:
        """Delete what is held of a video only because it was watched. Raises NotFound, WatchedNow, DiskError."""
        await self.cache.let_go(video)

    async def scrub(self) -> int:
        """Have everything that is pinned hashed again, one video after the other; return how many will be."""
        return await self._chores.scrub()

    # The loop

    async def run(self) -> None:
        """Restore what is pinned, then follow the plan until cancelled."""
        chores, warden = self._chores, self.warden
        listening = self.parts.store.listen(self._changed)
        hearing = self.parts.swarm.subscribe(self._heard)
        try:
            async with asyncio.TaskGroup() as group:
                self._turns.group = group
                group.create_task(chores.note_progress(self._lookout.look), name="keeper progress")
                group.create_task(self._follow_mounts(), name="keeper mounts")
                group.create_task(chores.count_copies(), name="keeper copies")
                group.create_task(chores.one_by_one(chores.unadorned, "pictures of", warden.enrich), name="pictures")
                group.create_task(chores.one_by_one(chores.unscrubbed, "scrub of", warden.scrub), name="scrub")
                while True:
                    self._wake.clear()
                    await self._turns.guarded("the library", self._round())
                    await self._pause()
        finally:
            self._turns.group = None
            listening()
            hearing()
            await self.opened.close_all()

    async def _follow_mounts(self) -> None:
        """A disk that goes is noticed before much is written where it was, one that is back without waiting."""
        async with MountWatch() as watch:
            while True:
                await watch.changed()
                await self._turns.guarded("the disk", self._lookout.mind_disk())
                self.wake()

    async def _round(self) -> None:
        """Nothing is done to a library that is not there; once it is (back), what is pinned is put into the swarm."""
        try:
            await asyncio.to_thread(self.parts.library.require)
        except LibraryMissing:
            self.restored.clear()
            await self._lookout.mind_disk()
            raise
        if not self.restored.is_set():
            await self._restore()
            self.restored.set()
        await self._reconcile()
        await self._turns.guarded("what was only watched", self.cache.trim())

    async def _pause(self) -> None:
        now = self._clock.now()
        due = await self.parts.store.read(pins.next_try, now)
        seconds = TICK if due is None else min(TICK, max((due - now).total_seconds(), 0.1))
        waking = asyncio.create_task(self._wake.wait())
        sleeping = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait({waking, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            sleeping.cancel()

    # News

    def _changed(self, marks: Touched) -> None:
        for kind, ident in marks:
            if kind in ("confirmed", "detail") and ident:
                video = VideoId(ident)
                self._renewed[video] = self._renewed.get(video, False) or kind == "detail"
                self.wake()
            elif kind in ("plan", "pin_state"):
                self.wake()

    def _heard(self, event: SwarmEvent) -> None:
        owner = self.opened.owner(event.info_hash)
        if isinstance(event, Fault) and owner is not None and owner[0] not in self.holdings:
            self._faults[owner[0]] = (event.message, owner[1])
            self.wake()

    async def _follow_news(self, held: dict[VideoId, Pin], at_work: frozenset[VideoId]) -> None:
        """Look again at what its origin just spoke of: pinned videos each time, others where it said something new.

        Of what is (or was, as ``held`` was read) being worked on it is kept for the next time.
        """
        for video in list(self._renewed):
            if video in at_work or video in self._turns.taken:
                continue
            changed, pin = self._renewed.pop(video, False), held.get(video)
            if pin is None:
                continue
            if pin.state is PinState.PINNED:
                self._turns.begin(video, self.warden.keep_up(pin))
            elif _may_help(pin, changed):
                held[video] = replace(pin, state=PinState.QUEUED, trouble=None, next_try=None)
                await self.parts.store.promise(pins.put, held[video])

    # Steps

    async def _reconcile(self) -> None:
        await self._waits.review()
        at_work = self._turns.taken  # before the pins are read: what ends from now on is read as it was
        wanted = await self.parts.store.read(decisions.to_carry_out)
        held = {p.video: p for p in await self.parts.store.read(pins.every)}
        self._lookout.takings.keep({video for video, pin in held.items() if pin.state is not PinState.PINNED})
        await self._follow_news(held, at_work)
        self._close_unwatched(held, wanted, at_work)
        for video, (why, rendition) in list(self._faults.items()):
            if self._turns.begin(video, self.warden.lose(video, why, rendition)):
                del self._faults[video]
        self._seed_heirs(held)
        for step in steps(wanted, held, await self._hands(at_work), self._clock.now()):
            match step:
                case Promise(decision):
                    video = decision.video
                    await self.pinner.promise(video, decision.renditions, decision.size, held.get(video))
                    self.wake()
                case Fetch(pin):
                    self._turns.fetch(pin.video, self._fetch(pin))
                case Stop(pin):
                    self._turns.stop(pin.video)
                case Release(pin):
                    self._turns.begin(pin.video, self.releaser.release(pin))

    def _seed_heirs(self, held: dict[VideoId, Pin]) -> None:
        """Of two videos with one torrent the second seeds it once the first has let it go."""
        for video in list(self.opened.heirs):
            pin = held.get(video)
            lives = pin is not None and pin.state is PinState.PINNED
            if lives and (video in self.holdings or not self._turns.begin(video, self.warden.seed(held[video]))):
                continue
            self.opened.heirs.discard(video)

    async def _hands(self, at_work: frozenset[VideoId]) -> Hands:
        return Hands(
            free=self._options.at_once - len(self._turns.fetching),
            room=await self.opened.room(),
            busy=at_work | self._turns.taken,
            fetching=frozenset(self._turns.fetching),
            watched=frozenset(lease.video for lease in self.leases.every()),
        )

    async def _fetch(self, pin: Pin) -> None:
        try:
            await self.pinner.fetch(pin, self._waits.allowance, self._waits.only_near)
        except Resting as rest:
            await self._waits.rest(pin, rest)
        else:
            if not self._renewed.get(pin.video, True):
                del self._renewed[pin.video]  # the origin's answer to our own question is no news

    # Restart

    async def _restore(self) -> None:
        """Put what is pinned into the swarm, a few at a time, while the plan is followed."""
        rows = await self.parts.store.read(pins.every)
        await self._lookout.remember(rows)
        wanted = {d.video for d in await self.parts.store.read(decisions.to_carry_out) if d.verdict is Verdict.PIN}
        turns = asyncio.Semaphore(_SEEDED_TOGETHER)

        async def one(pin: Pin) -> None:
            async with turns:
                await self.warden.seed(pin)

        for row in rows:
            if row.state is PinState.PINNED:
                self._turns.begin(row.video, one(row), wake=False)
        ours = frozenset(wanted.union(p.video for p in rows))
        await self._turns.guarded("what was only watched", self.cache.restore(ours))

    def _close_unwatched(
        self, held: dict[VideoId, Pin], wanted: tuple[Decision, ...], at_work: frozenset[VideoId]
    ) -> None:
        """Close what nobody watches and nobody fetches; without a promise it is cached, or deleted."""
        coming = {d.video for d in wanted if d.verdict is Verdict.PIN}
        for video in list(self.holdings):
            pin = held.get(video)
            if video in at_work or video in self._turns.taken or self.leases.held(video):
                continue
            if pin is None and video not in coming:
                self._turns.begin(video, self.cache.put_by(video))
            elif pin is not None and pin.state in (PinState.PINNED, PinState.WAITING, PinState.FAILED):
                self._turns.begin(video, self.releaser.put_away(video, keep_torrents=pin.state is PinState.PINNED))


def _may_help(pin: Pin, changed: bool) -> bool:
    """Tell whether the origin's last words may help a pin that does not go on."""
    if pin.state is PinState.FAILED:
        return changed or pin.next_try is None
    return pin.state is PinState.WAITING and changed and not waits_for_space(pin)
