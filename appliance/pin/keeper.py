"""The one owner of torrents and files: it opens, pins, keeps up and releases. This module is the loop; decisions come
from the plan, steps from ``reconcile``, states from STATE.md, and the work on one video is ``pinner``'s.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from appliance.clock import Clock
from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Decision, Disk, Verdict
from appliance.domain.traffic import Quota
from appliance.domain.units import ByteCount, InfoHash, Origin, RenditionName, VideoId
from appliance.errors import LibraryMissing, NoSpace, QuotaUsed, SeedkeepError
from appliance.library.space import Space
from appliance.pin.allowance import Allowance, OriginBudgetUsed
from appliance.pin.chores import Chores
from appliance.pin.holding import Holding
from appliance.pin.opened import Opened
from appliance.pin.opener import Parts, sentence
from appliance.pin.patience import NoSource, Patience
from appliance.pin.pinner import Pinner, Resting
from appliance.pin.reconcile import Fetch, Hands, Promise, Release, Stop, spoken, steps, waits_for_space
from appliance.pin.releaser import Releaser
from appliance.pin.takings import WINDOW, Takings
from appliance.store import decisions, ledger, pins
from appliance.store.engine import Touched
from appliance.store.leases import Leases
from appliance.swarm.port import Fault, SwarmEvent

_log = logging.getLogger(__name__)

TICK = 30.0
"""Seconds between looks at the library while nothing else wakes the loop."""
ORIGIN_RESTS = "origin_rests"
"""The code of what waits because its origin is left alone."""
_SEEDED_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """``at_once``: videos fetched together; ``patience``: seconds that one of which nothing comes keeps its turn;
    ``origin_daily_bytes``: media that may be taken from one origin on a UTC day."""

    at_once: int = 3
    patience: float = 120.0
    origin_daily_bytes: ByteCount | None = None


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
        self._quota, self._lacked_quota = quota, True
        self.parts, self._space, self.leases = parts, space, leases
        self._clock, self._options = clock, options
        self.opened = Opened(parts.swarm, space)
        self._chores = Chores(parts, self.opened, clock, self._guarded)
        self.pinner = Pinner(parts, self.opened, leases, clock, chance, self._chores.unadorned.put)
        self.releaser = Releaser(parts, self.opened, leases, clock)
        self._allowance = Allowance(parts.store, clock, options.origin_daily_bytes)
        self._allowance_changed, self._room_made = True, False
        self._patience, self._takings = Patience(), Takings()
        self.opened.on_close(self._count_taken)
        self._wake = asyncio.Event()
        self._renewed: dict[VideoId, bool] = {}
        self._tasks: dict[VideoId, asyncio.Task[None]] = {}
        self._fetching: set[VideoId] = set()
        self._stopping: set[VideoId] = set()
        self._resting: set[Origin] = set()
        self._faults: dict[VideoId, tuple[str, RenditionName]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.troubles: dict[str, str] = {}
        self.restored = asyncio.Event()

    # What others ask

    @property
    def holdings(self) -> dict[VideoId, Holding]:
        """The videos that are open: fetched or watched."""
        return self.opened.holdings

    def wake(self) -> None:
        self._wake.set()

    def try_again_for_room(self) -> None:
        """Somebody made room: what waits for it has its turn now."""
        self._room_made = True
        self.wake()

    def reconfigure(self, options: KeeperOptions) -> None:
        self._options, self._allowance.limit = options, options.origin_daily_bytes
        self._allowance_changed = True
        self.wake()

    def owner(self, info_hash: InfoHash) -> tuple[VideoId, RenditionName] | None:
        """Return whose torrent it is."""
        return self.opened.owner(info_hash)

    async def disk(self) -> Disk:
        """Return the library's disk as it is now. Raises LibraryMissing, DiskError."""
        await asyncio.to_thread(self.parts.library.require)
        return await self._space.disk(await self.parts.store.read(pins.held_bytes))

    async def scrub(self) -> int:
        """Have everything that is pinned hashed again, one video after the other; return how many will be."""
        return await self._chores.scrub()

    # The loop

    async def run(self) -> None:
        """Restore what is pinned, then follow the plan until cancelled."""
        chores, pinner = self._chores, self.pinner
        listening = self.parts.store.listen(self._changed)
        hearing = self.parts.swarm.subscribe(self._heard)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(chores.note_progress(self._watch), name="keeper progress")
                group.create_task(chores.count_copies(), name="keeper copies")
                group.create_task(chores.one_by_one(chores.unadorned, "pictures of", pinner.enrich), name="pictures")
                group.create_task(chores.one_by_one(chores.unscrubbed, "scrub of", pinner.scrub), name="scrub")
                while True:
                    self._wake.clear()
                    await self._guarded("the library", self._round())
                    await self._pause()
        finally:
            self._group = None
            listening()
            hearing()
            await self.opened.close_all()

    async def _round(self) -> None:
        """Nothing is done to a library that is not there; once it is (back), what is pinned is put into the swarm."""
        try:
            await asyncio.to_thread(self.parts.library.require)
        except LibraryMissing:
            self.restored.clear()
            await self._watch_disk()
            raise
        if not self.restored.is_set():
            await self._restore()
            self.restored.set()
        await self._reconcile()

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

    async def _guarded(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Do one unit of work; what goes wrong in it is logged, shown in health, and tried again at the next tick."""
        try:
            await work
            self.troubles.pop(what, None)
        except SeedkeepError as error:
            if self.troubles.get(what) != error.message:
                _log.warning("%s: %s", what, error.message)
            self.troubles[what] = error.message
        except Exception as error:  # noqa: BLE001 - the edge of one unit of work
            self.troubles[what] = sentence(error).message
            _log.exception("%s failed", what)

    def _spawn(self, video: VideoId, work: Coroutine[Any, Any, None], *, wake: bool = True) -> bool:
        """Work on one video, unless someone does already."""
        if video in self._tasks or self._group is None:
            work.close()
            return False
        task = self._group.create_task(self._guarded(f"video {video}", work), name=f"pin {video}")
        self._tasks[video] = task

        def done(_: object) -> None:
            self._tasks.pop(video, None)
            self._fetching.discard(video)
            self._stopping.discard(video)
            if wake or not self._tasks:
                self.wake()

        task.add_done_callback(done)
        return True

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
            if video in at_work or video in self._tasks:
                continue
            changed, pin = self._renewed.pop(video, False), held.get(video)
            if pin is None:
                continue
            if pin.state is PinState.PINNED:
                self._spawn(video, self.pinner.keep_up(pin))
            elif _may_help(pin, changed):
                held[video] = replace(pin, state=PinState.QUEUED, trouble=None, next_try=None)
                await self.parts.store.promise(pins.put, held[video])

    # Steps

    async def _reconcile(self) -> None:
        await self._go_on_with_rested()
        await self._mind_quota()
        await self._mind_allowance()
        if self._room_made:
            await self.parts.store.promise(pins.end_wait, NoSpace.code)
            self._room_made = False
        at_work = frozenset(self._tasks)  # before the pins are read: what ends from now on is read as it was
        wanted = await self.parts.store.read(decisions.to_carry_out)
        held = {p.video: p for p in await self.parts.store.read(pins.every)}
        self._takings.keep({video for video, pin in held.items() if pin.state is not PinState.PINNED})
        await self._follow_news(held, at_work)
        self._close_unwatched(held, wanted, at_work)
        for video, (why, rendition) in list(self._faults.items()):
            if self._spawn(video, self.pinner.lose(video, why, rendition)):
                del self._faults[video]
        self._seed_heirs(held)
        for step in steps(wanted, held, await self._hands(at_work), self._clock.now()):
            match step:
                case Promise(decision):
                    video = decision.video
                    await self.pinner.promise(video, decision.renditions, decision.size, held.get(video))
                    self.wake()
                case Fetch(pin):
                    if self._spawn(pin.video, self._fetch(pin)):
                        self._fetching.add(pin.video)
                case Stop(pin):
                    self._stop(pin.video)
                case Release(pin):
                    self._spawn(pin.video, self.releaser.release(pin))

    def _seed_heirs(self, held: dict[VideoId, Pin]) -> None:
        """Of two videos with one torrent the second seeds it once the first has let it go."""
        for video in list(self.opened.heirs):
            pin = held.get(video)
            lives = pin is not None and pin.state is PinState.PINNED
            if lives and (video in self.holdings or not self._spawn(video, self.pinner.seed(held[video]))):
                continue
            self.opened.heirs.discard(video)

    async def _hands(self, at_work: frozenset[VideoId]) -> Hands:
        return Hands(
            free=0 if self._lacked_quota else self._options.at_once - len(self._fetching),
            room=await self.opened.room(),
            busy=at_work.union(self._tasks),
            fetching=frozenset(self._fetching),
            watched=frozenset(lease.video for lease in self.leases.every()),
        )

    def _stop(self, video: VideoId) -> None:
        if video not in self._stopping and (task := self._tasks.get(video)) is not None:
            self._stopping.add(video)
            task.cancel()

    async def _fetch(self, pin: Pin) -> None:
        try:
            await self.pinner.fetch(pin, self._allowance)
        except Resting as rest:
            await self._let_wait(pin, rest)
        else:
            if not self._renewed.get(pin.video, True):
                del self._renewed[pin.video]  # the origin's answer to our own question is no news

    async def _let_wait(self, pin: Pin, rest: Resting) -> None:
        """What can only come from an origin that is left alone says so, and until when."""
        now = self._clock.now()
        until = now + timedelta(seconds=rest.seconds)
        trouble = Trouble(
            ORIGIN_RESTS,
            f"This waits for {rest.origin}, which failed or asked for a pause.",
            f"It is asked again at {spoken(until, now)}; nothing to do.",
        )
        await self.parts.store.promise(pins.let_wait, pin.video, rest.origin, trouble, until)
        self._resting.add(rest.origin)

    async def _go_on_with_rested(self) -> None:
        """An origin that answered somebody else sooner than thought is asked at once."""
        for origin in [o for o in self._resting if self.parts.fetcher.manners.rest(o) <= 0]:
            self._resting.discard(origin)
            await self.parts.store.promise(pins.go_on, origin, ORIGIN_RESTS)

    async def _mind_quota(self) -> None:
        """While the budget of transfer is used up all that is not whole waits, and says until when."""
        quota = self._quota()
        if quota is None or quota.again is None:
            if self._lacked_quota:
                await self.parts.store.promise(pins.end_wait, QuotaUsed.code)
            self._lacked_quota = False
            return
        self._lacked_quota = True
        error = QuotaUsed(
            quota.why, until=quota.again, hint="It goes on by itself then. Pages and screens here do not wait."
        )
        for video in self._fetching:
            holding = self.holdings.get(video)
            if holding is not None and holding.started:
                holding.fail(error)
            else:
                self._stop(video)
        trouble = Trouble(error.code, error.message, error.hint)
        await self.parts.store.promise(pins.begin_wait, trouble, error.until, frozenset(self._tasks))

    async def _mind_allowance(self) -> None:
        """Stop what comes from an origin of which enough was taken today."""
        if self._allowance_changed:
            self._allowance_changed = False
            await self.parts.store.promise(pins.end_wait, OriginBudgetUsed.code)
        for video in self._fetching & self.holdings.keys():
            holding = self.holdings[video]
            try:
                await self._allowance.require(Origin(holding.manifest.origin))
            except OriginBudgetUsed as error:
                holding.fail(error)

    # Restart

    async def _restore(self) -> None:
        """Put what is pinned into the swarm, a few at a time, while the plan is followed."""
        rows = await self.parts.store.read(pins.every)
        now = self._clock.now()
        taken = await self.parts.store.read(ledger.taken, (now - WINDOW).date())
        for unfinished in (row.video for row in rows if row.state is not PinState.PINNED and row.video in taken):
            self._takings.note(unfinished, taken[unfinished], now)
        wanted = {d.video for d in await self.parts.store.read(decisions.to_carry_out) if d.verdict is Verdict.PIN}
        turns = asyncio.Semaphore(_SEEDED_TOGETHER)

        async def one(pin: Pin) -> None:
            async with turns:
                await self.pinner.seed(pin)

        for row in rows:
            if row.state is PinState.PINNED:
                self._spawn(row.video, one(row), wake=False)
        ours = frozenset(wanted.union(p.video for p in rows))
        await self._guarded("what was only watched", self.releaser.drop_leftovers(ours))

    # What is open

    async def _watch(self) -> None:
        """Look after what is being fetched."""
        await self._watch_disk()
        self._watch_takings()
        self._welcome_origins()
        self._watch_sources()

    def _count_taken(self, holding: Holding) -> None:
        self._takings.note(holding.video, holding.newly_taken(), self._clock.now())

    def _watch_takings(self) -> None:
        """What is fetched again and again is left alone."""
        for video, holding in self.holdings.items():
            self._count_taken(holding)
            if video in self._fetching and holding.started and holding.done < holding.size:
                trouble = self._takings.trouble(video, holding.size, self._clock.now())
                if trouble is not None:
                    holding.fail(trouble)

    def _welcome_origins(self) -> None:
        """What began without its origin gets bytes from there too, once it may be asked."""
        for holding in self.holdings.values():
            if holding.away and self.parts.fetcher.manners.rest(Origin(holding.manifest.origin)) <= 0:
                holding.welcome()

    def _watch_sources(self) -> None:
        """Who gets nothing makes room for the next, unless it is we who hold everything back."""
        if self.parts.fetcher.stopped or self.leases.every():
            self._patience.begin_again()
            return
        going = [h for v, h in self.holdings.items() if v in self._fetching and h.started and h.done < h.size]
        fetches = [h for h in going if not h.asks_ranges]
        for video in self._patience.lost_with(fetches, self._clock.monotonic(), self._options.patience):
            self.holdings[video].fail(NoSource())

    async def _watch_disk(self) -> None:
        """At the floor everything that writes stops; at a missing library too. It goes on by itself."""
        going = [h for h in self.holdings.values() if h.started and h.done < h.size]
        if not going:
            return
        try:
            await asyncio.to_thread(self.parts.library.require)
            await self._space.require(ByteCount(1))
        except (NoSpace, LibraryMissing) as error:
            for holding in going:
                if holding.video in self._fetching:
                    holding.fail(error)
                else:
                    await holding.pause()

    def _close_unwatched(
        self, held: dict[VideoId, Pin], wanted: tuple[Decision, ...], at_work: frozenset[VideoId]
    ) -> None:
        """Close what nobody watches and nobody fetches; without a promise it is deleted."""
        coming = {d.video for d in wanted if d.verdict is Verdict.PIN}
        for video in list(self.holdings):
            pin = held.get(video)
            if video in at_work or video in self._tasks or self.leases.held(video):
                continue
            if pin is None and video not in coming:
                self._spawn(video, self.releaser.forsake(video))
            elif pin is not None and pin.state in (PinState.PINNED, PinState.WAITING, PinState.FAILED):
                self._spawn(video, self.releaser.put_away(video, keep_torrents=pin.state is PinState.PINNED))


def _may_help(pin: Pin, changed: bool) -> bool:
    """Tell whether the origin's last words may help a pin that does not go on."""
    if pin.state is PinState.FAILED:
        return changed or pin.next_try is None
    return pin.state is PinState.WAITING and changed and not waits_for_space(pin)
