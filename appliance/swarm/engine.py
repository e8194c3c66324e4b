"""One libtorrent session and the questions put to it: this module opens it, asks, and ends it without a trace.

Calls that wait for libtorrent's own thread run in a few threads of ours; answers that come as alerts are awaited.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import libtorrent as lt

from appliance.domain.traffic import Budget
from appliance.domain.units import InfoHash
from appliance.errors import SwarmError
from appliance.swarm.alerts import Alerts, Handlers
from appliance.swarm.answers import Answers
from appliance.swarm.held import Held
from appliance.swarm.options import SwarmOptions, limit_settings, lt_limit, pace, session_settings

_ANSWER_SECONDS = 60.0
_THREADS = 3

log = logging.getLogger(__name__)

T = TypeVar("T")


class Engine:
    """A session. ``open`` first, then ``listen`` for its alerts, ``close`` at the end."""

    def __init__(self) -> None:
        self.answers = Answers(_ANSWER_SECONDS)
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="swarm")

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # its life

    async def open(self, options: SwarmOptions, state: bytes | None) -> None:
        self.session, self._lan_class, self._lan = await self.in_thread(partial(_opened, options, state))

    def listen(self, handlers: Handlers) -> None:
        self._alerts = Alerts(self.session, handlers)

    async def state(self) -> bytes:
        """Return what of the session is worth keeping: the DHT's nodes."""
        return await self.in_thread(partial(_state_of, self.session))

    async def close(self) -> None:
        """End the session and the threads; what still waits for an answer gets SwarmError."""
        self._alerts.close()
        self.answers.fail_all("The BitTorrent engine is closing.")
        last = [self.session]
        del self.session, self._alerts
        await self.in_thread(last.clear)
        await asyncio.to_thread(self._threads.shutdown)

    # settings

    def configure(self, options: SwarmOptions, *, watched: bool) -> None:
        self.session.apply_settings(session_settings(options, watched=watched))

    def pace(self, options: SwarmOptions, *, watched: bool, even: bool) -> None:
        """Short queues while someone watches, long ones otherwise; small limits given out evenly."""
        self.session.apply_settings(pace(options, watched=watched, even=even))

    def part(self, lan: tuple[tuple[str, str], ...]) -> None:
        """Put peers in these networks in the LAN's class, everybody else, web seeds too, in the internet's."""
        peers, internet = lt.ip_filter(), 1 << lt.session.global_peer_class_id
        peers.add_rule("0.0.0.0", "255.255.255.255", internet)
        peers.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", internet)
        for first, last in lan:
            peers.add_rule(first, last, 1 << self._lan_class)
        self.session.set_peer_class_filter(peers)

    def limit(self, budget: Budget) -> None:
        self._lan["upload_limit"] = lt_limit(budget.lan_upload)
        self._lan["download_limit"] = lt_limit(budget.lan_download)
        self._lan["ignore_unchoke_slots"] = True
        self.session.set_peer_class(self._lan_class, self._lan)
        self.session.apply_settings(limit_settings(budget))

    # torrents in and out

    async def hand_over(self, info_hash: InfoHash, params: lt.add_torrent_params) -> lt.torrent_handle:
        """Add a torrent and wait for libtorrent's verdict. Raises SwarmError, with nothing left behind."""
        handle, refusal = await self.hand_back(info_hash, params)
        if refusal:
            self.session.remove_torrent(handle)
            raise SwarmError(f"The BitTorrent engine does not accept what lies on disk: {refusal}.")
        return handle

    async def hand_back(self, info_hash: InfoHash, params: lt.add_torrent_params) -> tuple[lt.torrent_handle, str]:
        """Add a torrent, and return it with why libtorrent does not accept what lies on disk, if so: it stands still.

        Raises SwarmError, with nothing left behind.
        """
        verdict = self.answers.expect("checked", info_hash)
        adding = asyncio.create_task(self.in_thread(lambda: self.session.add_torrent(params)))
        try:
            handle = await asyncio.shield(adding)
            refusal: str = await verdict.get()
        except RuntimeError as trouble:
            raise SwarmError(f"The BitTorrent engine does not take this torrent: {trouble}.") from trouble
        except BaseException:
            self.session.remove_torrent(await adding)
            raise
        return handle, refusal

    async def take_out(self, held: Held) -> None:
        """Remove a torrent and wait until it is gone. Its files stay."""
        removed = self.answers.expect("removed", held.info_hash)
        self.session.remove_torrent(held.handle)
        await removed.get()

    async def lead(self, held: Held, path: str) -> bool:
        """Have a torrent look for its files in another folder, once what it was asked is done; tell whether it does."""
        moved = self.answers.expect("moved", held.info_hash)
        held.handle.move_storage(path, lt.move_flags_t.reset_save_path_unchecked)
        return bool(await moved.get())

    # questions about one

    async def flush(self, held: Held) -> None:
        """Wait until what was on its way to disk is in the file, and the file is closed."""
        flushed = self.answers.expect("flushed", held.info_hash)
        held.handle.flush_cache()
        await flushed.get()

    async def rest(self, held: Held) -> None:
        """Stop a torrent where it is and wait for the disk."""
        held.handle.pause()
        await self.flush(held)

    async def piece(self, held: Held, piece: int) -> bytes:
        """Return a piece as libtorrent reads it, empty where it cannot."""
        answer = self.answers.expect("piece", held.info_hash, piece)
        held.handle.read_piece(piece)
        data: bytes = await answer.get()
        return data

    async def pieces(self, held: Held) -> bytearray:
        """Return which pieces libtorrent has, one byte a piece."""
        count = len(held.inventory.have)
        status = await self.in_thread(partial(held.handle.status, lt.torrent_handle.query_pieces))
        pieces = bytearray(status.pieces)[:count]
        if not pieces and status.is_seeding:
            return bytearray(b"\x01" * count)
        return pieces + bytearray(count - len(pieces))

    async def progress(self, held: Held) -> dict[int, float]:
        """Return the share of each begun piece that has come."""
        return await self.in_thread(partial(_progress_of, held))

    async def availability(self, held: Held) -> list[int]:
        """Return how many connected peers have each piece; nothing where libtorrent lacks none."""
        return await self.in_thread(held.handle.piece_availability)

    async def refresh(self) -> None:
        """Bring every torrent's numbers up to this moment."""
        updated = self.answers.expect("updated")
        self.session.post_torrent_updates()
        await updated.get()


def _state_of(session: lt.session) -> bytes:
    return bytes(lt.write_session_params_buf(session.session_state(), lt.save_state_flags_t.save_dht_state))


def _progress_of(held: Held) -> dict[int, float]:
    # piece_info_alert would not need a thread, but its list cannot be read from Python (2.1.1)
    queue: Any = held.handle.get_download_queue()
    return {
        entry["piece_index"]: sum(block["state"] > 1 for block in entry["blocks"]) / max(1, len(entry["blocks"]))
        for entry in queue
    }


def _opened(options: SwarmOptions, state: bytes | None) -> tuple[lt.session, int, Any]:
    """Start a session and its class for the LAN; a stored state that cannot be read is left aside."""
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
