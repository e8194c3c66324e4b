"""The one owner of torrents and files: it opens, pins, keeps up and releases. This module is the loop; decisions come
from the plan, steps from ``reconcile``, states from STATE.md.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from appliance.clock import Clock
from appliance.domain.channel import Trouble
from appliance.domain.pin import Pin, PinState
from appliance.domain.plan import Disk
from appliance.domain.units import ByteCount, InfoHash, RenditionName, VideoId
from appliance.errors import (
    BadAnswer,
    LibraryMissing,
    NoSpace,
    OriginError,
    SeedkeepError,
)
from appliance.library import files, release
from appliance.library.manifest import Manifest
from appliance.library.space import Space
from appliance.pin import upkeep
from appliance.pin.holding import Holding
from appliance.pin.merge import whole
from appliance.pin.opener import Parts, open_holding, picked, record_of, seed, sentence
from appliance.pin.reconcile import Fetch, Promise, Release, back_off, steps
from appliance.pin.scrub import scrub
from appliance.store import decisions, pins, videos
from appliance.store.engine import Touched
from appliance.store.leases import Leases
from appliance.swarm.port import Fault, SwarmEvent

_log = logging.getLogger(__name__)

TICK = 30.0
"""Seconds between looks at the disk while someone waits for space, or for a viewer to leave."""
_PROGRESS = 3.0
_COUNT_COPIES = 120.0


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """``at_once``: videos fetched together."""

    at_once: int = 3


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
    ) -> None:
        self.parts, self._space, self._leases = parts, space, leases
        self._clock, self._options, self._chance = clock, options, chance
        self._wake = asyncio.Event()
        self._renewed: set[VideoId] = set()
        self._tasks: dict[VideoId, asyncio.Task[None]] = {}
        self._fetching: set[VideoId] = set()
        self.holdings: dict[VideoId, Holding] = {}
        self._owners: dict[InfoHash, tuple[VideoId, RenditionName]] = {}
        self._unscrubbed: asyncio.Queue[VideoId] = asyncio.Queue()
        self._unadorned: asyncio.Queue[VideoId] = asyncio.Queue()
        self._forget: list[Callable[[VideoId], None]] = []
        self._group: asyncio.TaskGroup | None = None
        self.troubles: dict[str, str] = {}
        self.restored = asyncio.Event()

    # What others ask

    def wake(self) -> None:
        self._wake.set()

    def reconfigure(self, options: KeeperOptions) -> None:
        self._options = options
        self.wake()

    def owner(self, info_hash: InfoHash) -> tuple[VideoId, RenditionName] | None:
        """Return whose torrent it is."""
        return self._owners.get(info_hash)

    def on_change(self, listener: Callable[[VideoId], None]) -> None:
        """Call ``listener`` when what is on the disk of a video changed."""
        self._forget.append(listener)

    async def disk(self) -> Disk:
        """Return the library's disk as it is now. Raises LibraryMissing, DiskError."""
        await asyncio.to_thread(self.parts.library.require)
        rows = await self.parts.store.read(pins.every)
        return await self._space.disk(ByteCount(sum(p.done for p in rows)))

    # The loop

    async def run(self) -> None:
        """Restore what is pinned, then follow the plan until cancelled."""
        listening = self.parts.store.listen(self._changed)
        hearing = self.parts.swarm.subscribe(self._heard)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._note_progress(), name="keeper progress")
                group.create_task(self._adorn(), name="keeper pictures")
                group.create_task(self._scrub(), name="keeper scrub")
                group.create_task(self._count_copies(), name="keeper copies")
                await self._guarded("restore", self._restore())
                self.restored.set()
                while True:
                    self._wake.clear()
                    await self._guarded("reconcile", self._reconcile())
                    await self._pause()
        finally:
            listening()
            hearing()
            self._group = None

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
            self.troubles[what] = error.message
            _log.warning("%s: %s", what, error.message)
        except Exception as error:  # noqa: BLE001 - the edge of one unit of work
            self.troubles[what] = sentence(error).message
            _log.exception("%s failed", what)

    def _changed(self, marks: Touched) -> None:
        for kind, ident in marks:
            if kind in ("confirmed", "detail") and ident:
                self._renewed.add(VideoId(ident))
                self.wake()
            elif kind in ("plan", "pin_state"):
                self.wake()

    def _heard(self, event: SwarmEvent) -> None:
        owner = self._owners.get(event.info_hash)
        if isinstance(event, Fault) and owner is not None and owner[0] not in self.holdings:
            self._spawn(owner[0], self._lose(owner[0], event.message))

    def _spawn(self, video: VideoId, work: Coroutine[Any, Any, None]) -> bool:
        """Work on one video, unless someone does already."""
        if video in self._tasks or self._group is None:
            work.close()
            return False
        task = self._group.create_task(self._guarded(f"video {video}", work), name=f"pin {video}")
        self._tasks[video] = task

        def done(_: object) -> None:
            self._tasks.pop(video, None)
            self._fetching.discard(video)
            self.wake()

        task.add_done_callback(done)
        return True

    async def _reconcile(self) -> None:
        await self._watch_disk()
        await self._close_unwatched()
        now = self._clock.now()
        wanted = await self.parts.store.read(decisions.to_carry_out)
        held = {p.video: p for p in await self.parts.store.read(pins.every)}
        await self._follow_news(held)
        busy = frozenset(self._tasks)
        for step in steps(wanted, held, busy, now, self._options.at_once - len(self._fetching)):
            match step:
                case Promise(decision):
                    await self._promise(decision.video, decision.renditions, decision.size, held.get(decision.video))
                    self.wake()
                case Fetch(pin):
                    if self._spawn(pin.video, self._fetch(pin)):
                        self._fetching.add(pin.video)
                case Release(pin):
                    self._spawn(pin.video, self._release(pin))

    async def _promise(
        self, video: VideoId, renditions: tuple[RenditionName, ...], size: ByteCount, before: Pin | None
    ) -> None:
        pin = Pin(
            video=video,
            state=PinState.QUEUED,
            renditions=renditions,
            size=size,
            done=before.done if before is not None else ByteCount(0),
            since=before.since if before is not None else self._clock.now(),
        )
        await self.parts.store.promise(pins.put, pin)

    async def _follow_news(self, held: dict[VideoId, Pin]) -> None:
        renewed, self._renewed = self._renewed, set()
        for video in renewed:
            pin = held.get(video)
            if pin is None:
                continue
            if video in self._tasks:
                self._renewed.add(video)
            elif pin.state is PinState.PINNED:
                self._spawn(video, self._keep_up(pin))
            elif pin.state is PinState.FAILED and pin.next_try is None:
                held[video] = replace(pin, state=PinState.QUEUED, trouble=None)
                await self.parts.store.promise(pins.put, held[video])

    # Restart

    async def _restore(self) -> None:
        """Put what is pinned into the swarm, a few at a time; go on with releases and fetches through the plan."""
        await asyncio.to_thread(self.parts.library.require)
        rows = await self.parts.store.read(pins.every)
        turns = asyncio.Semaphore(8)

        async def one(pin: Pin) -> None:
            async with turns:
                await self._guarded(f"video {pin.video}", self._seed(pin))

        await asyncio.gather(*(one(p) for p in rows if p.state in (PinState.PINNED, PinState.MISSING)))
        await self._drop_unpromised(frozenset(p.video for p in rows))

    async def _seed(self, pin: Pin) -> None:
        record = await record_of(self.parts, pin.video)
        seeding = await seed(self.parts, pin, record)
        self._own(pin.video, seeding.torrents)
        if seeding.bare:
            self._unadorned.put_nowait(pin.video)
        if seeding.lost:
            await self._lose(pin.video, seeding.lost)
        elif pin.state is PinState.MISSING:
            await self._put(pin, PinState.PINNED)

    async def _drop_unpromised(self, pinned: frozenset[VideoId]) -> None:
        """Delete what was held only because someone watched it before the restart."""

        def drop() -> None:
            for manifest in files.load_all(self.parts.library):
                if isinstance(manifest, Manifest) and not manifest.promised and manifest.video not in pinned:
                    release.release(self.parts.library, manifest)

        await asyncio.to_thread(drop)

    # One video

    async def _fetch(self, pin: Pin) -> None:
        await self._put(pin, PinState.PINNING)
        try:
            await asyncio.to_thread(self.parts.library.require)
            await self._require_room(pin.video, ByteCount(max(0, pin.size - pin.done)))
            holding = await self._holding(pin)
            await self._require_room(pin.video, ByteCount(holding.size - holding.done))
            await holding.start()
            await holding.wait()
            await self._finish(pin, holding)
        except (NoSpace, LibraryMissing) as error:
            await self._stand(pin, PinState.WAITING, error, self._clock.now() + timedelta(seconds=TICK))
        except OriginError as error:
            again = None if not error.retryable else self._again(pin)
            state = PinState.WAITING if error.retryable else PinState.FAILED
            await self._stand(pin, state, error, again)
        except SeedkeepError as error:
            await self._stand(pin, PinState.FAILED, error, self._again(pin))
        except Exception as error:
            await self._stand(pin, PinState.FAILED, sentence(error), self._again(pin))
            raise

    def _again(self, pin: Pin) -> datetime:
        return self._clock.now() + back_off(pin.failures + 1, self._chance())

    async def _holding(self, pin: Pin) -> Holding:
        """Return the video open: as a viewer left it where it holds what the pin wants, else opened now."""
        record = await record_of(self.parts, pin.video)
        if (open_now := self.holdings.get(pin.video)) is not None:
            if open_now.renditions >= frozenset(pin.renditions):
                await open_now.promise()
                return open_now
            await self.close(pin.video, keep_torrents=False)
        if record.detail_at is None or self._clock.now() - record.detail_at > timedelta(minutes=30):
            await self.parts.sources.detail(pin.video)
            record = await record_of(self.parts, pin.video)
        holding = await open_holding(
            self.parts, record, picked(record, pin.renditions), promised=True, urgent=self._leases.held(pin.video)
        )
        self.take(holding)
        return holding

    async def _finish(self, pin: Pin, holding: Holding) -> None:
        await holding.secure()
        names = frozenset(str(n) for n in pin.renditions)
        manifest = whole(holding.manifest, names)
        await asyncio.to_thread(files.save, self.parts.library, manifest)
        now = self._clock.now()
        done = replace(
            pin,
            state=PinState.PINNED,
            size=holding.size,
            done=holding.size,
            pinned_at=pin.pinned_at or now,
            trouble=None,
            failures=0,
            next_try=None,
        )
        await self.parts.store.promise(pins.put, done)
        await self._drop_rest(manifest, pin)
        await self.close(pin.video, keep_torrents=True)
        self._tell(pin.video)
        self._unadorned.put_nowait(pin.video)

    async def _drop_rest(self, manifest: Manifest, pin: Pin) -> None:
        """Delete renditions that the pin no longer wants, and files that were replaced."""
        surplus = [RenditionName(r.name) for r in manifest.renditions if RenditionName(r.name) not in pin.renditions]
        for name in surplus:
            old = manifest.rendition(name)
            if old is not None and old.info_hash is not None:
                await self.parts.swarm.remove(old.info_hash)
                self._owners.pop(old.info_hash, None)
        if surplus:
            await asyncio.to_thread(release.release, self.parts.library, manifest, surplus)
            manifest = release.without(manifest, surplus)
        for old_hash in [h for h, owner in self._owners.items() if owner[0] == pin.video]:
            if old_hash not in {r.info_hash for r in manifest.renditions}:
                await self.parts.swarm.remove(old_hash)
                self._owners.pop(old_hash, None)
        await asyncio.to_thread(release.prune, self.parts.library, manifest)

    async def _keep_up(self, pin: Pin) -> None:
        record = await record_of(self.parts, pin.video)
        kept = await upkeep.keep_up(self.parts, pin, record)
        if kept is None:
            return
        self._own(pin.video, kept.torrents)
        self._tell(pin.video)
        if kept.replaced:
            await self._promise(
                pin.video,
                pin.renditions,
                ByteCount(sum(r.size for r in record.renditions if r.name in pin.renditions)),
                replace(pin, done=ByteCount(0)),
            )
        elif kept.stale_sides:
            self._unadorned.put_nowait(pin.video)

    async def _adorn(self) -> None:
        """Fetch captions and pictures of what is pinned, one video at a time: no media waits for them."""
        while True:
            video = await self._unadorned.get()
            await self._alone(video)
            pin = await self.parts.store.read(pins.one, video)
            if pin is not None and pin.state is PinState.PINNED and self._spawn(video, self._enrich(pin)):
                await self._alone(video)

    async def _alone(self, video: VideoId) -> None:
        """Return once nobody works on the video."""
        while (task := self._tasks.get(video)) is not None:
            await asyncio.wait({task})
            await asyncio.sleep(0)

    async def scrub(self) -> int:
        """Have everything that is pinned hashed again, one video after the other; return how many will be."""
        held = [p.video for p in await self.parts.store.read(pins.every) if p.state is PinState.PINNED]
        for video in held:
            self._unscrubbed.put_nowait(video)
        return len(held)

    async def _scrub(self) -> None:
        while True:
            video = await self._unscrubbed.get()
            await self._alone(video)
            if self._spawn(video, self._scrub_one(video)):
                await self._alone(video)

    async def _scrub_one(self, video: VideoId) -> None:
        pin = await self.parts.store.read(pins.one, video)
        if pin is None or pin.state is not PinState.PINNED:
            return
        record = await record_of(self.parts, video)
        found = await scrub(self.parts, pin, record)
        if found:
            await self._lose(video, found)

    async def _enrich(self, pin: Pin) -> None:
        await upkeep.enrich(self.parts, pin, await record_of(self.parts, pin.video))
        self._tell(pin.video)

    async def _release(self, pin: Pin) -> None:
        if pin.state is not PinState.RELEASING:
            await self._put(pin, PinState.RELEASING)
        await asyncio.to_thread(self.parts.library.require)
        await self.close(pin.video, keep_torrents=False)
        record = await record_of(self.parts, pin.video)
        manifest = await asyncio.to_thread(files.load, self.parts.library, record.summary.origin, pin.video)
        for info_hash in [h for h, owner in self._owners.items() if owner[0] == pin.video]:
            await self.parts.swarm.remove(info_hash)
            self._owners.pop(info_hash, None)
        if manifest is not None:
            await asyncio.to_thread(release.release, self.parts.library, manifest)
        await self.parts.store.promise(pins.drop, pin.video)
        self._tell(pin.video)

    async def _lose(self, video: VideoId, why: str) -> None:
        """Something of a pinned video is not there: say so, and let the plan have it fetched again."""
        await asyncio.to_thread(self.parts.library.require)
        pin = await self.parts.store.read(pins.one, video)
        if pin is None:
            return
        for info_hash in [h for h, owner in self._owners.items() if owner[0] == video]:
            await self.parts.swarm.remove(info_hash)
            self._owners.pop(info_hash, None)
        trouble = Trouble("missing", f"Part of this video is missing. {why}", "It is fetched again if a rule wants it.")
        await self.parts.store.promise(pins.put, replace(pin, state=PinState.MISSING, trouble=trouble))
        self._tell(video)

    # States

    async def _put(self, pin: Pin, state: PinState) -> None:
        await self.parts.store.promise(pins.put, replace(pin, state=state, trouble=None, next_try=None))

    async def _stand(self, pin: Pin, state: PinState, error: SeedkeepError, again: datetime | None) -> None:
        """Write down why a pin does not go on; what it has stays on the disk, its torrents stop."""
        holding = self.holdings.get(pin.video)
        done = pin.done if holding is None else holding.done
        if holding is not None and not self._leases.held(pin.video):
            await self.close(pin.video, keep_torrents=False)
        elif holding is not None and isinstance(error, NoSpace):
            await holding.pause()
        if isinstance(error, BadAnswer):
            _log.warning("%s: %s", pin.video, error.message)
        now_standing = replace(
            pin,
            state=state,
            done=done,
            trouble=Trouble(error.code, error.message, error.hint),
            failures=pin.failures + 1,
            next_try=again,
        )
        await self.parts.store.promise(pins.put, now_standing)

    def _own(self, video: VideoId, torrents: dict[RenditionName, InfoHash]) -> None:
        for name, info_hash in torrents.items():
            self._owners[info_hash] = (video, name)

    def _tell(self, video: VideoId) -> None:
        for listener in self._forget:
            listener(video)

    # Holdings

    def take(self, holding: Holding) -> None:
        """Have a video that was opened as one of ours."""
        self.holdings[holding.video] = holding
        self._own(holding.video, holding.info_hashes)
        self._tell(holding.video)

    async def close(self, video: VideoId, *, keep_torrents: bool) -> None:
        holding = self.holdings.pop(video, None)
        if holding is not None:
            await holding.close(keep_torrents=keep_torrents)
        self._tell(video)

    async def require_room(self, video: VideoId, size: ByteCount) -> None:
        """Raise NoSpace unless ``size`` more bytes fit beside what is being fetched."""
        await self._require_room(video, size)

    async def _require_room(self, video: VideoId, size: ByteCount) -> None:
        reserved = sum(max(0, h.size - h.done) for v, h in self.holdings.items() if v != video and h.started)
        await self._space.require(ByteCount(size + reserved))

    async def _watch_disk(self) -> None:
        """At the floor everything that writes stops; at a missing library too. It goes on by itself."""
        fetching = [h for h in self.holdings.values() if h.started]
        if not fetching:
            return
        try:
            await asyncio.to_thread(self.parts.library.require)
            await self._space.require(ByteCount(1))
        except (NoSpace, LibraryMissing) as error:
            for holding in fetching:
                holding.fail(error)

    async def _close_unwatched(self) -> None:
        """Close what is open without a promise and without a viewer, and delete it."""
        pinned = {p.video for p in await self.parts.store.read(pins.every)}
        for video in list(self.holdings):
            if video not in self._tasks and video not in pinned and not self._leases.held(video):
                self._spawn(video, self._forsake(video))

    async def _forsake(self, video: VideoId) -> None:
        holding = self.holdings.get(video)
        if holding is None:
            return
        await self.close(video, keep_torrents=False)
        for info_hash in holding.info_hashes.values():
            self._owners.pop(info_hash, None)
        await asyncio.to_thread(release.release, self.parts.library, holding.manifest)
        self._tell(video)

    async def _count_copies(self) -> None:
        """Write down, every few minutes, how many live copies the swarm and the trackers show."""
        while True:
            await self._clock.sleep(_COUNT_COPIES)
            seen: dict[VideoId, int | None] = {}
            for info_hash, (video, _) in self._owners.items():
                status = self.parts.swarm.status(info_hash)
                if status is None:
                    continue
                known = status.complete if status.complete is not None else (status.seeds or None)
                before = seen.get(video)
                seen[video] = known if before is None or known is None else min(before, known)
            if seen:
                await self.parts.store.write(videos.note_seeds, seen, self._clock.now())

    async def _note_progress(self) -> None:
        last: dict[VideoId, ByteCount] = {}
        while True:
            await self._clock.sleep(_PROGRESS)
            now = {video: holding.done for video, holding in self.holdings.items()}
            moved = {v: n for v, n in now.items() if last.get(v) != n}
            if moved:
                await self.parts.store.write(pins.note_done, moved)
            last = now
            await self._watch_disk()
