"""BitTorrent by libtorrent: this module is the swarm port's real adapter."""

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import libtorrent as lt

from appliance.clock import Clock, RealClock
from appliance.domain.shelf import Reader
from appliance.domain.traffic import Budget
from appliance.domain.units import BytesPerSecond, InfoHash
from appliance.errors import DiskError, SeedkeepError, SwarmError
from appliance.swarm.adding import Prepared, check_spec, prepare, prepare_again
from appliance.swarm.alerts import Alerts
from appliance.swarm.answers import Answers
from appliance.swarm.extents import good_pieces, sync_files
from appliance.swarm.held import Held, Inventory
from appliance.swarm.options import SwarmOptions, limit_settings, lt_limit, pace, session_settings
from appliance.swarm.port import Flow, Judged, SwarmEvent, TorrentSpec, TorrentStatus, Whole
from appliance.swarm.reader import PieceReader
from appliance.swarm.resume import ResumeFiles
from appliance.swarm.saving import Saving
from appliance.swarm.torrent import usable_trackers, usable_web_seeds
from appliance.swarm.traffic import Lan, PeerTotals, Traffic
from appliance.swarm.viewing import Viewing
from appliance.swarm.watching import Watching

_ANSWER_SECONDS = 60.0

log = logging.getLogger(__name__)

T = TypeVar("T")


class LibtorrentSwarm:
    """The session. An async context manager: it runs while it is open, and closing it leaves nothing behind."""

    def __init__(self, options: SwarmOptions, budget: Budget | None = None, clock: Clock | None = None) -> None:
        self._options, self._budget = options, budget or Budget()
        self._clock = clock or RealClock()
        self._resume = ResumeFiles(options.resume_dir)
        self._answers = Answers(_ANSWER_SECONDS)
        self._held: dict[InfoHash, Held] = {}
        self._adding: set[InfoHash] = set()
        self._viewings: dict[InfoHash, Viewing] = {}
        self._listeners: list[Callable[[SwarmEvent], None]] = []
        self._traffic = Traffic(Lan(options.lan))
        self._stopping = False
        self._counting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    # the session's life

    async def __aenter__(self) -> "LibtorrentSwarm":
        self._threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix="swarm")
        self._saving = Saving(self._resume, self._answers, self.in_thread)
        state = await self.in_thread(self._resume.open)
        self._session, self._lan_class, self._lan_info = await self.in_thread(
            functools.partial(_opened, self._options, state)
        )
        self._filter_peers()
        self._put_limits()
        self._watching = Watching(
            self._held,
            self._viewings,
            self._answers,
            self._traffic,
            lambda moved: self._spawn(self._count_peers(moved)),
            self._emit,
            lambda held: self._spawn(self._announce_whole(held)),
            lambda held: self._spawn(self._settled(held)),
            lambda: self._spawn(self._read_everything_again()),
        )
        self._alerts = Alerts(self._session, self._watching.handlers())
        self._spawn(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        for viewing in list(self._viewings.values()):
            await viewing.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._session.pause()
        await self._save_all()
        await self.in_thread(lambda: self._resume.close(_state_of(self._session)))
        self._alerts.close()
        self._answers.fail_all("The BitTorrent engine is closing.")
        self._held.clear()
        last = [self._session]
        del self._session, self._alerts
        await self.in_thread(last.clear)
        await asyncio.to_thread(self._threads.shutdown)

    async def _save_all(self) -> None:
        changed = [held for held in self._held.values() if held.dirty]
        for start in range(0, len(changed), 100):
            saves = (self._saving.save(held) for held in changed[start : start + 100])
            await asyncio.gather(*saves, return_exceptions=True)

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()):
            asyncio.get_running_loop().call_exception_handler({"message": "the swarm tripped", "exception": bug})

    async def _tick(self) -> None:
        """Once a second: ask what changed (one call for all torrents) and save what is due."""
        while True:
            await self._clock.sleep(1.0)
            self._session.post_torrent_updates()
            for held in self._saving.due(self._held.values(), self._clock.monotonic()):
                self._spawn(self._save_quietly(held))

    async def _save_quietly(self, held: Held) -> None:
        try:
            await self._saving.save(held)
        except SeedkeepError as trouble:
            log.warning("resume data of %s was not saved: %s", held.info_hash, trouble.message)

    def reconfigure(self, options: SwarmOptions) -> None:
        """Put other options in force; networks of ours bind connections made from now on. ``resume_dir`` stays."""
        self._options = options
        self._session.apply_settings(session_settings(options, watched=bool(self._viewings)))
        self._traffic.lan = Lan(options.lan)
        self._filter_peers()
        self._put_limits()
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
            prepared = await self.in_thread(
                functools.partial(
                    prepare, spec, self._options, self._resume, sequential=sequential, stop=lambda: self._stopping
                )
            )
            held = await self._enter(info_hash, prepared, spec, sequential)
        finally:
            self._adding.discard(info_hash)
        return held.judged(prepared.claim.missing)

    async def _enter(self, info_hash: InfoHash, prepared: Prepared, spec: TorrentSpec, sequential: bool) -> Held:
        handle = await self._hand_over(info_hash, prepared.params)
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
            dirty=any(claim.have),
            given_seeds=set(prepared.given_seeds),
        )
        self._held[info_hash] = held
        return held

    async def _hand_over(self, info_hash: InfoHash, params: lt.add_torrent_params) -> lt.torrent_handle:
        """Add to libtorrent and wait for its verdict. Raises SwarmError, with nothing left behind."""
        verdict = self._answers.expect("checked", info_hash)
        try:
            handle = await self.in_thread(lambda: self._session.add_torrent(params))
        except RuntimeError as trouble:
            raise SwarmError(f"The BitTorrent engine does not take this torrent: {trouble}.") from trouble
        try:
            refusal = await verdict.get()
            if refusal:
                raise SwarmError(f"The BitTorrent engine does not accept what lies on disk: {refusal}.")
        except BaseException:
            self._session.remove_torrent(handle)
            raise
        return handle

    async def remove(self, info_hash: InfoHash) -> None:
        held = self._held.get(info_hash)
        if held is None or held.closing:
            return
        held.closing = True
        await self._leave(held)
        del self._held[info_hash]
        await self.in_thread(lambda: self._resume.forget(info_hash))

    async def _leave(self, held: Held) -> None:
        """Take a torrent out of libtorrent and wait until its files are closed; nothing it spent is lost."""
        if viewing := self._viewings.pop(held.info_hash, None):
            await viewing.close()
            self._pace()
        held.handle.pause()
        await self._count(held)
        flushed = self._answers.expect("flushed", held.info_hash)
        held.handle.flush_cache()
        await flushed.get()
        removed = self._answers.expect("removed", held.info_hash)
        self._session.remove_torrent(held.handle)
        await removed.get()
        self._traffic.forget(held.info_hash)

    async def _count_peers(self, moved: list[Held]) -> None:
        """Share what just crossed the wire among the classes. One look at a time is enough."""
        if self._counting.locked():
            return
        async with self._counting:
            for held in moved:
                if not held.closing:
                    now = held.numbers
                    peers = await self.in_thread(functools.partial(_peers_of, held))
                    self._traffic.count(held.info_hash, now.total_up, now.total_down, peers)

    async def _count(self, held: Held) -> None:
        """Bring a torrent's counts up to this moment."""
        updated = self._answers.expect("updated")
        self._session.post_torrent_updates()
        await updated.get()
        if self._traffic.moved(held.info_hash, held.numbers.total_up, held.numbers.total_down):
            self._traffic.count(held.info_hash, held.numbers.total_up, held.numbers.total_down, ())

    def _must(self, info_hash: InfoHash) -> Held:
        held = self._held.get(info_hash)
        if held is None or held.closing:
            raise SwarmError("This torrent is not there.")
        return held

    # torrents at work

    async def start(self, info_hash: InfoHash) -> None:
        held = self._must(info_hash)
        if held.fault:
            await self._settled(held)
        held.started, held.fault, held.disk_full = True, "", False
        held.handle.unset_flags(lt.torrent_flags.upload_mode)
        held.handle.clear_error()
        held.handle.resume()

    async def _settled(self, held: Held) -> None:
        """Wait until everything that was on its way to disk has been written or has failed."""
        async with held.mending:
            await self._flush(held)
            await self._withdrawn(held)

    async def stop(self, info_hash: InfoHash) -> None:
        held = self._must(info_hash)
        held.started = False
        held.handle.pause()

    async def save(self, info_hash: InfoHash) -> None:
        held = self._must(info_hash)
        if held.inventory.whole and not held.synced:
            try:
                await self.in_thread(lambda: sync_files(held.extents))
            except OSError as trouble:
                raise DiskError(f"The files could not be made to last: {trouble.strerror}.") from trouble
            held.synced = held.inventory.whole
        await self._saving.save(held)

    async def recheck(self, info_hash: InfoHash) -> Judged:
        held = self._must(info_hash)
        async with held.mending:
            held.checking = True
            try:
                await self._recheck(held)
            finally:
                held.checking = False
        return held.judged()

    async def _recheck(self, held: Held) -> None:
        await self._flush(held)
        claimed = [k for k, here in enumerate(held.inventory.have) if here]
        good = await self._good(held, claimed)
        bad = set(claimed) - good
        if bad:
            bad -= await self._good(held, bad)
        if bad:
            await self._forget_pieces(held, bad)

    async def _good(self, held: Held, pieces: Iterable[int]) -> set[int]:
        info = held.handle.torrent_file()
        if info is None:
            raise SwarmError("This torrent is not there any more.")
        found = good_pieces(held.extents, info.hash_for_piece, pieces, lambda: self._stopping or held.closing)
        return await self.in_thread(lambda: set(found))

    async def _flush(self, held: Held) -> None:
        flushed = self._answers.expect("flushed", held.info_hash)
        held.handle.flush_cache()
        await flushed.get()

    async def _forget_pieces(self, held: Held, bad: set[int]) -> None:
        """Take the torrent out and add it again without its bad pieces: libtorrent asks for exactly those."""
        have = bytearray(0 if k in bad else here for k, here in enumerate(held.inventory.have))
        params = lt.read_resume_data(await self._saving.buffer(held))
        params.ti = held.handle.torrent_file()
        await self._count(held)
        removed = self._answers.expect("removed", held.info_hash)
        self._session.remove_torrent(held.handle)
        await removed.get()
        self._traffic.forget(held.info_hash)
        held.handle = await self._hand_over(held.info_hash, prepare_again(params, have))
        held.inventory.replace(have)
        held.synced, held.dirty = False, True
        if viewing := self._viewings.get(held.info_hash):
            viewing.lost()
        if held.started and not held.fault:
            held.handle.resume()

    def confirm(self, info_hash: InfoHash, trackers: tuple[str, ...], web_seeds: tuple[str, ...]) -> None:
        held = self._must(info_hash)
        allow = self._options.allow_private
        usable = tuple(usable_trackers(trackers, allow_private=allow))
        if usable != held.trackers:
            held.trackers = usable
            entries: Any = [{"url": url, "tier": 0} for url in usable]
            held.handle.replace_trackers(entries)
        held.web_seeds = tuple(usable_web_seeds(web_seeds, allow_private=allow))
        if viewing := self._viewings.get(info_hash):
            viewing.steering.again()
        else:
            held.use_web_seeds(held.web_seeds)

    # what others read

    async def port(self) -> int:
        """Return the port that peers reach us at, 0 while there is none."""
        return await self.in_thread(self._session.listen_port)

    def holds(self, info_hash: InfoHash) -> bool:
        return info_hash in self._held

    def status(self, info_hash: InfoHash) -> TorrentStatus | None:
        held = self._held.get(info_hash)
        return held.status() if held else None

    def statuses(self) -> Mapping[InfoHash, TorrentStatus]:
        return {info_hash: held.status() for info_hash, held in self._held.items()}

    async def reader(self, info_hash: InfoHash, file_index: int) -> Reader:
        held = self._must(info_hash)
        if not 0 <= file_index < len(held.extents.names):
            raise SwarmError("The torrent has no such file.")
        viewing = self._viewings.get(info_hash)
        if viewing is None:
            viewing = self._viewings[info_hash] = Viewing(held, self)
            self._pace()
        return PieceReader(viewing, file_index)

    def left(self, viewing: Viewing) -> None:
        """The last viewer of a torrent left."""
        if self._viewings.get(viewing.held.info_hash) is viewing:
            del self._viewings[viewing.held.info_hash]
            self._pace()
        if not self._stopping:
            self._spawn(viewing.close())

    def _pace(self) -> None:
        """Short queues while someone watches, long ones otherwise."""
        self._session.apply_settings(pace(self._options, watched=bool(self._viewings)))

    async def limit(self, budget: Budget) -> None:
        self._budget = budget
        self._put_limits()

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

    async def piece_from_engine(self, held: Held, piece: int) -> bytes:
        answer = self._answers.expect("piece", held.info_hash, piece)
        held.handle.read_piece(piece)
        data: bytes = await answer.get()
        return data

    async def progress(self, held: Held) -> dict[int, float]:
        return await self.in_thread(functools.partial(_progress_of, held))

    async def rotten(self, held: Held, piece: int) -> None:
        async with held.mending:
            if held.inventory.have[piece] and not held.closing:
                log.warning("piece %d of %s is rotten on disk; it is fetched again", piece, held.info_hash)
                await self._forget_pieces(held, {piece})

    # inside

    async def _announce_whole(self, held: Held) -> None:
        """Say that a torrent is whole once its bytes have really reached the file, and all of them did."""
        await self._flush(held)
        if not await self._withdrawn(held) and held.inventory.whole and not held.closing:
            self._emit(Whole(held.info_hash))

    async def _withdrawn(self, held: Held) -> bool:
        """A piece is called finished before it is on disk: take back those whose writing failed; tell whether any."""
        pieces = await self._pieces_of(held)
        if held.closing or all(pieces[k] for k, here in enumerate(held.inventory.have) if here):
            return False
        held.inventory.replace(bytearray(a and b for a, b in zip(held.inventory.have, pieces, strict=True)))
        if viewing := self._viewings.get(held.info_hash):
            viewing.lost()
        return True

    async def _pieces_of(self, held: Held) -> bytearray:
        """Return libtorrent's own view, one byte a piece."""
        status = await self.in_thread(functools.partial(held.handle.status, lt.torrent_handle.query_pieces))
        pieces = bytearray(status.pieces)[: len(held.inventory.have)]
        if not pieces and status.is_seeding:
            return bytearray(b"\x01" * len(held.inventory.have))
        return pieces + bytearray(len(held.inventory.have) - len(pieces))

    async def _read_everything_again(self) -> None:
        """libtorrent dropped alerts: ask for every torrent's pieces."""
        for held in list(self._held.values()):
            if not held.inventory.whole and not held.closing:
                for piece, here in enumerate(await self._pieces_of(held)):
                    if here:
                        self._watching.gained(held, piece)

    def _filter_peers(self) -> None:
        """Peers in our own networks are of the LAN's class, everybody else of the internet's, web seeds too."""
        peers, internet = lt.ip_filter(), 1 << lt.session.global_peer_class_id
        peers.add_rule("0.0.0.0", "255.255.255.255", internet)
        peers.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", internet)
        for first, last in self._options.lan:
            peers.add_rule(first, last, 1 << self._lan_class)
        self._session.set_peer_class_filter(peers)

    def _put_limits(self) -> None:
        lan = self._lan_info
        lan["upload_limit"] = lt_limit(self._budget.lan_upload)
        lan["download_limit"] = lt_limit(self._budget.lan_download)
        lan["ignore_unchoke_slots"] = True
        self._session.set_peer_class(self._lan_class, lan)
        self._session.apply_settings(limit_settings(self._budget))


def _state_of(session: lt.session) -> bytes:
    return bytes(lt.write_session_params_buf(session.session_state(), lt.save_state_flags_t.save_dht_state))


def _progress_of(held: Held) -> dict[int, float]:
    """Return the share of each begun piece that has come. (``piece_info_alert`` cannot be read from Python.)"""
    queue: Any = held.handle.get_download_queue()
    return {
        entry["piece_index"]: sum(block["state"] > 1 for block in entry["blocks"]) / max(1, len(entry["blocks"]))
        for entry in queue
    }


def _peers_of(held: Held) -> list[PeerTotals]:
    return [
        PeerTotals((p.ip[0], p.ip[1]), p.total_upload, p.total_download, p.connection_type != p.standard_bittorrent)
        for p in held.handle.get_peer_info()
    ]


def _opened(options: SwarmOptions, state: bytes | None) -> tuple[lt.session, int, Any]:
    """Start a session; a stored state that cannot be read is left aside."""
    params = lt.session_params()
    if state:
        try:
            params = lt.read_session_params(state)
        except RuntimeError:
            log.warning("the stored state of the BitTorrent session cannot be read and is left aside")
    params.settings = session_settings(options)
    params.disk_io_constructor = "pread_disk_io_constructor"
    session = lt.session(params)
    lan = session.create_peer_class("lan")
    return session, lan, session.get_peer_class(lan)
