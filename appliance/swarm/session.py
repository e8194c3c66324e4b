"""BitTorrent by libtorrent: this module is the swarm port's real adapter."""

import asyncio
import functools
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from types import TracebackType
from typing import Any, TypeVar

import libtorrent as lt

from appliance.clock import Clock, RealClock
from appliance.domain.shelf import Reader
from appliance.domain.traffic import Budget
from appliance.domain.units import BytesPerSecond, InfoHash
from appliance.errors import DiskError, SeedkeepError, SwarmError
from appliance.swarm.adding import Prepared, check_spec, prepare
from appliance.swarm.counting import Counting
from appliance.swarm.engine import Engine
from appliance.swarm.extents import sync_files
from appliance.swarm.freeing import Freeing
from appliance.swarm.held import Held, Inventory
from appliance.swarm.mending import Mending
from appliance.swarm.moorings import Moorings, cut
from appliance.swarm.options import SwarmOptions, is_even, lt_limit, only_gives
from appliance.swarm.peering import connected, sampled
from appliance.swarm.port import Flow, Judged, PeerSeen, Sample, SwarmEvent, TorrentSpec, TorrentStatus, Whole
from appliance.swarm.reader import PieceReader
from appliance.swarm.resume import ResumeFiles
from appliance.swarm.saving import Saving
from appliance.swarm.torrent import usable_trackers, usable_web_seeds
from appliance.swarm.traffic import Lan, Traffic
from appliance.swarm.viewing import Viewing
from appliance.swarm.watching import Watching

_HOLD_BACK = 5.0

log = logging.getLogger(__name__)

T = TypeVar("T")


class LibtorrentSwarm:
    """The session. An async context manager: it runs while it is open, and closing it leaves nothing behind."""

    def __init__(self, options: SwarmOptions, budget: Budget | None = None, clock: Clock | None = None) -> None:
        self._options, self._budget = options, budget or Budget()
        self._clock = clock or RealClock()
        self._resume = ResumeFiles(options.resume_dir)
        self._held: dict[InfoHash, Held] = {}
        self._adding: set[InfoHash] = set()
        self._viewings: dict[InfoHash, Viewing] = {}
        self._listeners: list[Callable[[SwarmEvent], None]] = []
        self._traffic = Traffic(Lan(options.lan))
        self._stopping = False
        self._announced: frozenset[InfoHash] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # the session's life

    async def __aenter__(self) -> "LibtorrentSwarm":
        self._engine = engine = Engine()
        self._saving = Saving(self._resume, engine.answers, engine.in_thread, engine.flush)
        self._counting = Counting(engine, self._traffic)
        self._mending = Mending(engine, self._saving, self._counting, self._viewings, self._gained)
        self._moorings = Moorings(engine)
        self._freeing = Freeing(self._mending, self._clock, self._spawn)
        try:
            await engine.open(self._options, await engine.in_thread(self._resume.open))
        except OSError as trouble:
            raise DiskError(f"The folder for resume data cannot be used: {trouble.strerror}.") from trouble
        engine.part(self._options.lan)
        engine.limit(self._budget)
        self._pace()
        self._watching = Watching(
            self._held,
            self._viewings,
            engine.answers,
            self._traffic,
            lambda moved: self._spawn(self._counting.look(moved)),
            self._emit,
            lambda held: self._spawn(self._settle(held)),
            lambda held: self._spawn(self._settle(held)),
            self._freeing.wrong,
            lambda: self._spawn(self._read_everything_again()),
        )
        engine.listen(self._watching.handlers())
        self._spawn(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = self._mending.stopping = True
        for viewing in list(self._viewings.values()):
            await viewing.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            self._engine.session.pause()
            await self._save_all()
            state = await self._engine.state()
            await self._engine.in_thread(lambda: self._resume.close(state))
        except OSError as trouble:
            log.warning("the swarm's state could not be written: %s", trouble.strerror)
        finally:
            torrents = list(self._held.values())
            self._held.clear()
            await self._engine.close()
            for held in torrents:
                cut(held)

    async def _save_all(self) -> None:
        changed = [held for held in self._held.values() if held.dirty]
        for start in range(0, len(changed), 100):
            saves = (self._saving.save(held) for held in changed[start : start + 100])
            await asyncio.gather(*saves, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        bug = None if task.cancelled() else task.exception()
        if isinstance(bug, SeedkeepError):
            log.warning("the swarm: %s", bug.message)
        elif bug:
            asyncio.get_running_loop().call_exception_handler({"message": "the swarm tripped", "exception": bug})

    async def _tick(self) -> None:
        """Once a second: ask what changed (one call for all torrents) and save what is due."""
        while True:
            await self._clock.sleep(1.0)
            self._engine.session.post_torrent_updates()
            self._bar()
            for held in self._saving.due(self._held.values(), self._clock.monotonic()):
                self._spawn(self._saving.save(held))

    def reconfigure(self, options: SwarmOptions) -> None:
        """Put other options in force; networks of ours bind connections made from now on. ``resume_dir`` stays."""
        self._options = options
        self._engine.configure(options, watched=bool(self._viewings))
        self._traffic.lan = Lan(options.lan)
        self._engine.part(options.lan)
        self._engine.limit(self._budget)
        self._pace()
        for held in self._held.values():
            held.handle.set_max_connections(options.peers_per_torrent)

    # torrents come and go

    async def add(self, spec: TorrentSpec, *, sequential: bool = False) -> Judged:
        check_spec(spec)
        info_hash = spec.meta.info_hash
        if info_hash in self._held or info_hash in self._adding:
            raise SwarmError("This torrent is already there.")
        self._adding.add(info_hash)
        try:
            prepared = await self._prepare(spec, sequential)
            held = await self._enter(info_hash, prepared, spec, sequential)
        finally:
            self._adding.discard(info_hash)
        return held.judged(prepared.claim.missing)

    async def _prepare(self, spec: TorrentSpec, sequential: bool) -> Prepared:
        work = functools.partial(
            prepare, spec, self._options, self._resume, sequential=sequential, stop=lambda: self._stopping
        )
        preparing = asyncio.ensure_future(self._engine.in_thread(work))
        try:
            return await asyncio.shield(preparing)
        except asyncio.CancelledError:
            preparing.add_done_callback(_put_aside)
            raise

    async def _enter(self, info_hash: InfoHash, prepared: Prepared, spec: TorrentSpec, sequential: bool) -> Held:
        try:
            handle = await self._engine.hand_over(info_hash, prepared.params)
        except BaseException:
            if prepared.mooring is not None:
                prepared.mooring.cut()
            raise
        claim = prepared.claim
        held = Held(
            info_hash=info_hash,
            extents=prepared.extents,
            handle=handle,
            inventory=Inventory(prepared.extents, claim.have),
            window=spec.window,
            web_seeds=prepared.web_seeds,
            trackers=prepared.trackers,
            sequential=sequential,
            synced=claim.synced,
            settled=all(claim.have),
            dirty=any(claim.have),
            given_seeds=set(prepared.given_seeds),
            enter=spec.enter,
            mooring=prepared.mooring,
        )
        self._held[info_hash] = held
        held.bar(only_gives(self._budget) and not held.inventory.whole)
        if self._announced is not None:
            held.hush(held.inventory.whole and info_hash not in self._announced)
        return held

    async def remove(self, info_hash: InfoHash) -> None:
        held = self._held.get(info_hash)
        if held is None or held.closing:
            return
        held.closing = True
        try:
            await self._leave(held)
        except BaseException:
            held.closing = False
            raise
        await self._saving.forget(held)
        del self._held[info_hash]

    async def _leave(self, held: Held) -> None:
        """Take a torrent out of libtorrent and wait until its files are closed; nothing it spent is lost."""
        if viewing := self._viewings.pop(held.info_hash, None):
            await viewing.close()
            self._pace()
        async with held.mending:
            held.handle.pause()
            await self._counting.settle(held)
            await self._engine.flush(held)
            await self._engine.take_out(held)
            cut(held)
            self._counting.forget(held)

    def _must(self, info_hash: InfoHash) -> Held:
        held = self._held.get(info_hash)
        if held is None or held.closing:
            raise SwarmError("This torrent is not there.")
        return held

    # torrents at work

    async def start(self, info_hash: InfoHash) -> None:
        held = self._must(info_hash)
        if held.fault or held.doubted:
            await self._settle(held)
        if held.doubted:
            raise DiskError("The video's files cannot be looked at.", hint="Is the disk there? It is tried again.")
        await self._moorings.hold(held)
        held.started, held.fault, held.disk_full = True, "", False
        held.handle.unset_flags(lt.torrent_flags.upload_mode)
        held.handle.clear_error()
        held.handle.resume()
        if set(held.web_seeds) != held.given_seeds and info_hash not in self._viewings:
            asyncio.get_running_loop().call_later(_HOLD_BACK, self._give_seeds, held)

    def _give_seeds(self, held: Held) -> None:
        """The viewer for whom web seeds were held back did not come."""
        if self._held.get(held.info_hash) is held and not held.closing and held.info_hash not in self._viewings:
            held.use_web_seeds(held.web_seeds)

    async def stop(self, info_hash: InfoHash) -> None:
        held = self._must(info_hash)
        held.started = False
        held.handle.pause()
        if held.mooring is not None:
            held.mooring.slack = True
        viewing = self._viewings.get(info_hash)
        if viewing is not None and not viewing.steering.watched:
            self.left(viewing)  # nobody reads now, so nothing is read ahead either
        elif viewing is None:
            await self._moorings.let_go(held)

    async def save(self, info_hash: InfoHash) -> None:
        held = self._must(info_hash)
        if held.inventory.whole and held.settled and not held.synced:
            try:
                await self._engine.in_thread(lambda: sync_files(held.extents))
            except OSError as trouble:
                raise DiskError(f"The files could not be made to last: {trouble.strerror}.") from trouble
            held.synced = held.inventory.whole
        await self._saving.save(held)

    async def recheck(self, info_hash: InfoHash) -> Judged:
        held = self._must(info_hash)
        await self._mending.recheck(held)
        if self._must(info_hash) is not held:
            raise SwarmError("This torrent was taken out while it was checked.")
        self._say_whole(held)
        return held.judged()

    def confirm(self, info_hash: InfoHash, trackers: tuple[str, ...], web_seeds: tuple[str, ...]) -> None:
        held = self._must(info_hash)
        allow = self._options.allow_private
        usable = tuple(usable_trackers(trackers, allow_private=allow))
        if usable != held.trackers:
            held.trackers = usable
            held.answering &= set(usable)
            held.tell()
        held.web_seeds = tuple(usable_web_seeds(web_seeds, allow_private=allow))
        if viewing := self._viewings.get(info_hash):
            viewing.steering.again()
        else:
            held.use_web_seeds(held.web_seeds)

    # giving

    def share(self, limits: Mapping[InfoHash, BytesPerSecond]) -> None:
        for info_hash, held in self._held.items():
            share = lt_limit(limits[info_hash]) if info_hash in limits else 0
            if share != held.share and not held.closing:
                held.share = share
                held.handle.set_upload_limit(share)

    def announce(self, chosen: Collection[InfoHash]) -> None:
        self._announced = frozenset(chosen)
        for info_hash, held in self._held.items():
            if not held.closing:
                held.hush(held.inventory.whole and info_hash not in self._announced)

    # what others read

    async def port(self) -> int:
        """Return the port that peers reach us at, 0 while there is none."""
        return await self._engine.in_thread(self._engine.session.listen_port)

    def holds(self, info_hash: InfoHash) -> bool:
        return info_hash in self._held

    def status(self, info_hash: InfoHash) -> TorrentStatus | None:
        held = self._held.get(info_hash)
        return held.status() if held else None

    def statuses(self) -> Mapping[InfoHash, TorrentStatus]:
        return {info_hash: held.status() for info_hash, held in self._held.items()}

    async def peers(self, info_hash: InfoHash) -> tuple[PeerSeen, ...]:
        held = self._held.get(info_hash)
        if held is None or held.closing:
            return ()
        now = await self._engine.in_thread(lambda: connected(held.handle))
        return held.peers.seen(now)

    async def sample(self, info_hash: InfoHash, chance: Callable[[], float]) -> Sample | None:
        held = self._held.get(info_hash)
        if held is None or held.closing:
            return None
        have = bytes(held.inventory.have)
        return await self._engine.in_thread(lambda: sampled(held.extents, have, held.hash_of, chance))

    async def reader(self, info_hash: InfoHash, file_index: int) -> Reader:
        held = self._must(info_hash)
        if not 0 <= file_index < len(held.extents.names):
            raise SwarmError("The torrent has no such file.")
        await self._moorings.hold(held)  # a viewer's bytes are written also where it is stopped
        viewing = self._viewings.get(info_hash)
        if viewing is None:
            viewing = self._viewings[info_hash] = Viewing(held, self)
            self._pace()
        return PieceReader(viewing, file_index)

    def _pace(self) -> None:
        self._engine.pace(self._options, watched=bool(self._viewings), even=is_even(self._budget))

    async def limit(self, budget: Budget) -> None:
        before, self._budget = self._budget, budget
        self._bar()
        self._engine.limit(budget)
        if is_even(before) != is_even(budget):
            self._pace()

    def _bar(self) -> None:
        """While we only give, nothing comes to what is not whole; also to what just was, and is mended."""
        giving = only_gives(self._budget)
        for held in self._held.values():
            if not held.closing:
                held.bar(giving and not held.inventory.whole)

    def drain(self) -> tuple[Flow, ...]:
        return self._traffic.drain(self._held)

    def rates(self) -> tuple[BytesPerSecond, BytesPerSecond]:
        going = [held.numbers for held in self._held.values() if held.started and not held.fault]
        return (
            BytesPerSecond(sum(n.upload_rate for n in going)),
            BytesPerSecond(sum(n.download_rate for n in going)),
        )

    def subscribe(self, listener: Callable[[SwarmEvent], None]) -> Callable[[], None]:
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def _emit(self, event: SwarmEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    # what a viewing asks

    def others_wait(self, viewing: Viewing) -> bool:
        return any(other.waits for other in self._viewings.values() if other is not viewing)

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await self._engine.in_thread(work)

    async def piece_from_engine(self, held: Held, piece: int) -> bytes:
        return await self._engine.piece(held, piece)

    async def progress(self, held: Held) -> dict[int, float]:
        return await self._engine.progress(held)

    async def rotten(self, held: Held, piece: int) -> None:
        await self._mending.rotten(held, piece)

    def left(self, viewing: Viewing) -> None:
        """Nobody came back to a torrent for a while."""
        if self._viewings.get(viewing.held.info_hash) is viewing:
            del self._viewings[viewing.held.info_hash]
            self._pace()
        if not self._stopping:
            self._spawn(self._close(viewing))

    async def _close(self, viewing: Viewing) -> None:
        await viewing.close()
        if not viewing.held.started:
            await self._moorings.let_go(viewing.held)

    # what alerts lead to

    async def _settle(self, held: Held) -> None:
        """The last piece came, or a disk error stopped a torrent: find out what was really written."""
        await self._mending.settle(held)
        self._say_whole(held)

    def _say_whole(self, held: Held) -> None:
        """Say that a torrent is whole once its bytes have really reached the files, and all of them did."""
        if held.inventory.whole and not held.settled and not held.fresh and not held.doubted and not held.closing:
            held.settled = True
            self._spawn(self._moorings.let_go(held))
            self._emit(Whole(held.info_hash))

    async def _read_everything_again(self) -> None:
        """libtorrent dropped alerts: ask for every torrent's pieces."""
        for held in list(self._held.values()):
            if not held.settled and not held.closing:
                held.faults += 1  # one may have been among them
                for piece, here in enumerate(await self._engine.pieces(held)):
                    if here:
                        self._gained(held, piece)

    def _gained(self, held: Held, piece: int) -> None:
        self._watching.gained(held, piece)


def _put_aside(preparing: "asyncio.Future[Prepared]") -> None:
    """Nobody waits any more for what was prepared."""
    if not preparing.cancelled() and preparing.exception() is None and (mooring := preparing.result().mooring):
        mooring.cut()
