"""Copies for televisions, where the owner wants them: the loop that has them made, one at a time, while nobody watches.

What gets one, what goes and when the work rests is decided in ``wanted_copies``, what it is made of is read by
``copy_sources``, the files are ``library.copies``', the encoding is ``host.encoding``'s; this module carries between
them, and says how far each copy is.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf

from appliance.clock import Clock
from appliance.domain.pin import Pin, PinState
from appliance.domain.shelf import PlayableFile
from appliance.domain.television import CopyState, HeldCopy, TelevisionCopy
from appliance.domain.units import ByteCount, VideoId
from appliance.errors import DiskError, SeedkeepError
from appliance.host.encoding import Kitchen
from appliance.library import copies
from appliance.library.copies import Copy
from appliance.library.marker import Library
from appliance.library.space import Space
from appliance.serve.copy_making import Commission
from appliance.serve.copy_sources import CopySources
from appliance.serve.copy_work import CopyWork
from appliance.serve.wanted_copies import Wanted, orders
from appliance.store import pins
from appliance.store.engine import Store, Touched
from appliance.store.leases import Leases

_log = logging.getLogger(__name__)

MOST = ByteCount(20 * 1024**3)
SHARE = 20
"""Without a budget of the owner's: one part in so many of the library's disk, at most ``MOST``."""
LOOK = 5.0
"""Seconds between two looks at whether to rest, while there is something to make."""
ROUND = 600.0
"""Seconds after which all is looked at again though nothing was heard."""
LATER = 60.0
"""Seconds after which the disk is tried again."""
_NOTED = 600.0
"""Seconds after which it is written down again that a copy is being played."""
_COMING = (PinState.QUEUED, PinState.PINNING, PinState.WAITING)


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """``wanted``: whether copies are made at all; without, there are none. ``size``: bytes that all may have together;
    None: a share of the disk."""

    wanted: bool = False
    size: ByteCount | None = None


class TelevisionCopies:
    """Run ``run`` as one task; everything else is called from the loop. See the module.

    It has ``pin.opened.Spare``'s two methods too: the copies go where a pin needs their room.
    """

    def __init__(
        self,
        store: Store,
        library: Library,
        leases: Leases,
        space: Space,
        clock: Clock,
        options: CopyOptions,
        kitchen: Kitchen,
        load: Callable[[], float | None],
    ) -> None:
        """``load``: share of the processors that others use since it was last called; called in a thread."""
        self._store, self._library, self._leases, self._space, self._clock = store, library, leases, space, clock
        self._options, self._load = options, load
        self._work = CopyWork(library, kitchen, clock, self._ended)
        self._sources = CopySources(store, library)
        self._made: dict[VideoId, Copy] = {}
        self._watched: dict[VideoId, datetime] = {}
        self._noted: dict[VideoId, float] = {}
        self._waiting: frozenset[VideoId] = frozenset()
        self._next: Wanted | None = None
        self._swept = False
        self._stale, self._due = True, 0.0
        self._wake = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    # What others ask

    def status(self, video: VideoId) -> TelevisionCopy | None:
        """Return how far the copy of a video is, None where it gets none."""
        if (copy := self._made.get(video)) is not None:
            return TelevisionCopy(CopyState.READY, size=copy.size)
        recipe = self._sources.recipe(video)
        if (found := self._work.status(video, None if recipe is None else recipe.source)) is not None:
            return found
        return TelevisionCopy(CopyState.WAITING) if video in self._waiting else None

    @property
    def making(self) -> bool:
        """Tell whether a copy is being made now."""
        return self._work.busy

    def held(self, video: VideoId) -> HeldCopy | None:
        """Return the copy of a video that can be played now."""
        copy = self._made.get(video)
        if copy is None:
            return None
        recipe = self._sources.recipe(video)
        width, height = (0, 0) if recipe is None else (recipe.width, recipe.height)
        file = PlayableFile(copy.name, copy.size, f"a copy for televisions {copy.name}")
        return HeldCopy(str(copies.path(self._library, copy)), file, width, height)

    async def played(self, video: VideoId) -> None:
        """A copy is being played: it goes last."""
        copy, now = self._made.get(video), self._clock.monotonic()
        if copy is None or now - self._noted.get(video, -_NOTED) < _NOTED:
            return
        self._noted[video] = now
        try:
            await asyncio.to_thread(copies.touch, self._library, copy, self._clock.now())
        except SeedkeepError as error:
            _log.info("A copy's use cannot be written down: %s", error.message)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when there is another copy, or one less."""
        self._listeners.append(listener)

    def reconfigure(self, options: CopyOptions) -> None:
        self._options = options
        self._look_again()

    # Room for pins

    async def size(self, but: VideoId | None = None) -> ByteCount:
        """Return the bytes that can go at once, those of ``but`` left out."""
        return ByteCount(self._work.size + sum(c.size for c in self._idle(but)))

    async def give(self, size: ByteCount, but: VideoId | None = None) -> None:
        """Let so many bytes go, the least recently watched first, or all there are. Raises DiskError."""
        freed = 0
        if size > 0:
            freed += self._work.size
            await self._work.stop()
        for copy in self._idle(but):
            if freed >= size:
                break
            await self._drop(copy)
            freed += copy.size
        if freed:
            self._look_again()

    def _idle(self, but: VideoId | None) -> list[Copy]:
        found = [c for c in self._made.values() if c.video != but and not self._leases.held(c.video)]
        return sorted(found, key=lambda c: self._last(c.video, c.used))

    # The loop

    async def run(self) -> None:
        """Have copies made, until cancelled."""
        ends = [self._store.listen(self._heard), self._leases.listen(self._seen)]
        self._sources.forget_all()
        self._stale = True
        try:
            while True:
                self._wake.clear()
                await self._turn()
                await self._sleep()
        finally:
            for end in ends:
                end()
            await self._work.stop()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(LOOK if self._work.busy or self._next is not None else LATER):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _turn(self) -> None:
        """Do what is due. What goes wrong waits for the next round."""
        try:
            now = self._clock.monotonic()
            if self._stale or now >= self._due:
                self._stale, self._due = False, now + ROUND
                await self._round()
                if not self._options.wanted:
                    self._due = inf  # nothing is looked at any more: disks may sleep
            await self._mind()
        except SeedkeepError as error:
            _log.info("Copies for televisions wait: %s", error.message)
            self._due = self._clock.monotonic() + LATER
        except Exception:  # noqa: BLE001 - the edge of one unit of work: one look
            _log.exception("Looking after the copies for televisions failed")

    def _look_again(self) -> None:
        self._stale = True
        self._wake.set()

    def _heard(self, touched: Touched) -> None:
        changed = [ident for kind, ident in touched if kind == "pin_state"]
        if not changed:
            return
        for ident in changed:
            self._sources.forget(VideoId(ident))
        if "" in changed:
            self._sources.forget_all()
        if self._options.wanted:
            self._look_again()

    def _seen(self, video: VideoId) -> None:
        """A screen begins to watch: the work stops at once."""
        self._watched[video] = self._clock.now()
        self._wake.set()

    async def _round(self) -> None:
        """Bring copies and wishes together. Raises DiskError, LibraryMissing, StoreError."""
        await asyncio.to_thread(self._library.require)
        if not self._swept:
            await asyncio.to_thread(copies.sweep, self._library)
            self._swept = True
        found = await asyncio.to_thread(copies.every, self._library)
        await self._work.recall()
        rows = {pin.video: pin for pin in await self._store.read(pins.every)} if self._options.wanted else {}
        wanted = await self._wanted(rows, found)
        budget, room = await self._budget(), await self._room(rows)
        told = orders(wanted, found, budget, room + self._work.size)
        for copy in told.drop:
            await self._drop(copy)
        self._index([c for c in found if c not in told.drop])
        self._next, self._waiting = told.make, told.waiting
        await self._work.tidy({(w.video, w.source) for w in wanted})

    def _index(self, found: list[Copy]) -> None:
        before = set(self._made.values())
        self._made = {copy.video: copy for copy in found}
        if {(c.video, c.made) for c in before} != {(c.video, c.made) for c in found}:
            self._tell()

    async def _wanted(self, rows: dict[VideoId, Pin], found: tuple[Copy, ...]) -> list[Wanted]:
        there = {(c.video, c.source): c for c in found}
        held = {video: pin for video, pin in rows.items() if pin.state is PinState.PINNED}
        self._sources.keep(held.keys())
        out = []
        for video, pin in held.items():
            made = (await self._sources.read(video)).recipe
            if made is None:
                continue
            copy = there.get((video, made.source))
            barred = copy is None and self._work.barred(video, made.source)
            came = (pin.pinned_at or pin.since).timestamp()
            last = datetime.fromtimestamp(self._last(video, max(came, copy.used if copy else 0.0)), pin.since.tzinfo)
            out.append(Wanted(video, made.source, copy.size if copy else made.size, last, barred))
        return out

    def _last(self, video: VideoId, told: float) -> float:
        seen = self._watched.get(video)
        return max(told, seen.timestamp() if seen is not None else 0.0)

    async def _budget(self) -> int:
        if not self._options.wanted:
            return 0
        if self._options.size is not None:
            return self._options.size
        return min(MOST, (await self._space.disk(ByteCount(0))).total // SHARE)

    async def _room(self, rows: dict[VideoId, Pin]) -> int:
        """The bytes above the floor that no pin is waiting to fill."""
        coming = sum(max(0, pin.size - pin.done) for pin in rows.values() if pin.state in _COMING)
        return max(0, await self._space.room() - coming)

    # The work

    async def _mind(self) -> None:
        """Begin what is next, let it rest, or let it go on."""
        if not self._work.busy and self._next is None:
            return
        screens = bool(self._leases.every())
        goes_on = self._work.rest_or_go_on(screens=screens, busy=await asyncio.to_thread(self._load))
        if self._work.busy:
            if await self._space.room() < 1:
                await self._work.stop()
        elif goes_on and self._next is not None and not self._stale:
            known, wanted, self._next = self._sources.known(self._next.video), self._next, None
            if known is None or known.recipe is None or known.recipe.source != wanted.source:
                self._look_again()
            else:
                self._work.begin(Commission(wanted.video, known.folder, known.recipe, wanted.last))

    def _ended(self, video: VideoId, copy: Copy | None, trouble: DiskError | None) -> None:
        if copy is not None:
            self._made[video] = copy
            self._tell()
        if trouble is not None:
            self._due = self._clock.monotonic() + LATER
            self._wake.set()
        else:
            self._look_again()

    async def _drop(self, copy: Copy) -> None:
        """Delete a copy; it is offered no more from before that on. Raises LibraryMissing, DiskError."""
        if self._made.get(copy.video) == copy:
            del self._made[copy.video]
            self._tell()
        await asyncio.to_thread(copies.drop, self._library, copy)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
