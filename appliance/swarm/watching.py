"""What libtorrent's alerts mean to the house: this module turns them into answers, events, counts and states."""

import errno
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import libtorrent as lt

from appliance.domain.units import InfoHash, PieceIndex
from appliance.swarm.answers import Answers
from appliance.swarm.held import Held, Numbers
from appliance.swarm.port import Fault, PieceArrived, SwarmEvent
from appliance.swarm.saving import saved_buffer
from appliance.swarm.traffic import Traffic
from appliance.swarm.viewing import Viewing

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def info_hash_of(alert: Any) -> InfoHash:
    return InfoHash(str(alert.handle.info_hashes().v1))


class Watching:
    """Handles a session's alerts. ``became_whole`` is told once a torrent's last piece is verified."""

    def __init__(
        self,
        held: Mapping[InfoHash, Held],
        viewings: MutableMapping[InfoHash, Viewing],
        answers: Answers,
        traffic: Traffic,
        moved: Callable[[list[Held]], None],
        emit: Callable[[SwarmEvent], None],
        became_whole: Callable[[Held], None],
        faulted: Callable[[Held], None],
        wrong: Callable[[Held], None],
        dropped: Callable[[], None],
    ) -> None:
        self._held, self._viewings, self._answers, self._traffic = held, viewings, answers, traffic
        self._moved, self._emit, self._became_whole = moved, emit, became_whole
        self._faulted, self._wrong, self._dropped = faulted, wrong, dropped

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            lt.torrent_checked_alert: lambda a: self._answers.give("", "checked", info_hash_of(a)),
            lt.fastresume_rejected_alert: lambda a: self._answers.give(a.message(), "checked", info_hash_of(a)),
            lt.torrent_removed_alert: lambda a: self._answers.give(None, "removed", InfoHash(str(a.info_hashes.v1))),
            lt.storage_moved_alert: lambda a: self._answers.give(True, "moved", info_hash_of(a)),
            lt.storage_moved_failed_alert: lambda a: self._answers.give(False, "moved", info_hash_of(a)),
            lt.cache_flushed_alert: lambda a: self._answers.give(None, "flushed", info_hash_of(a)),
            lt.save_resume_data_alert: self._saved,
            lt.save_resume_data_failed_alert: lambda a: self._answers.fail(a.message(), "saved", info_hash_of(a)),
            lt.read_piece_alert: self._piece_read,
            lt.piece_finished_alert: self._piece_finished,
            lt.hash_failed_alert: self._piece_failed,
            lt.state_update_alert: self._state_update,
            lt.peer_connect_alert: self._connected,
            lt.peer_disconnected_alert: self._disconnected,
            lt.torrent_error_alert: self._torrent_error,
            lt.file_error_alert: self._file_error,
            lt.tracker_reply_alert: self._tracker_answered,
            lt.tracker_error_alert: self._tracker_failed,
            lt.alerts_dropped_alert: lambda _: self._dropped(),
        }

    def _saved(self, alert: Any) -> None:
        if held := self._held.get(info_hash_of(alert)):
            held.peers.named(alert.params.peers, time.monotonic())
        self._answers.give(saved_buffer(alert), "saved", info_hash_of(alert))

    def _piece_read(self, alert: Any) -> None:
        data = b"" if alert.error.value() else bytes(alert.buffer)
        self._answers.give(data, "piece", info_hash_of(alert), alert.piece)

    def _piece_finished(self, alert: Any) -> None:
        if held := self._held.get(info_hash_of(alert)):
            self.gained(held, alert.piece_index)

    def _piece_failed(self, alert: Any) -> None:
        if held := self._held.get(info_hash_of(alert)):
            self._wrong(held)

    def gained(self, held: Held, piece: int) -> None:
        """Note a verified piece and tell whom it concerns."""
        if not held.inventory.gained(piece):
            return
        held.dirty, held.synced = True, False
        held.fresh.add(piece)
        if viewing := self._viewings.get(held.info_hash):
            viewing.arrived(piece)
        self._emit(PieceArrived(held.info_hash, PieceIndex(piece)))
        if held.inventory.whole:
            self._became_whole(held)

    def _state_update(self, alert: Any) -> None:
        moved = []
        for status in alert.status:
            held = self._held.get(InfoHash(str(status.info_hashes.v1)))
            if held is None:
                continue
            held.numbers = Numbers.of(status)
            if self._traffic.moved(held.info_hash, held.numbers.total_up, held.numbers.total_down):
                moved.append(held)
        if moved:
            self._moved(moved)
        self._answers.give(None, "updated")

    def _connected(self, alert: Any) -> None:
        if held := self._held.get(info_hash_of(alert)):
            held.peers.connected((alert.ip[0], alert.ip[1]), alert.message(), time.monotonic())

    def _disconnected(self, alert: Any) -> None:
        if (held := self._held.get(info_hash_of(alert))) and held.started:
            held.peers.left((alert.ip[0], alert.ip[1]), alert.error.value(), time.monotonic())
            self._traffic.ended(held.info_hash, alert.ip[0], web_seed=held.is_web_seed(*alert.ip))

    def _tracker_answered(self, alert: Any) -> None:
        if held := self._held.get(info_hash_of(alert)):
            held.answering.add(alert.tracker_url())

    def _tracker_failed(self, alert: Any) -> None:
        if held := self._held.get(info_hash_of(alert)):
            held.answering.discard(alert.tracker_url())

    def _torrent_error(self, alert: Any) -> None:
        self._fault(info_hash_of(alert), alert.error, alert.message())

    def _file_error(self, alert: Any) -> None:
        held = self._held.get(info_hash_of(alert))
        if held and (not held.settled or alert.op == lt.operation_t.file_write):
            held.faults += 1  # libtorrent may claim what was not written, for good once it has the last piece
        self._fault(info_hash_of(alert), alert.error, alert.message())

    def _fault(self, info_hash: InfoHash, error: Any, message: str) -> None:
        self._answers.give(message, "checked", info_hash)
        held = self._held.get(info_hash)
        if held is None or held.fault:
            return
        held.fault, held.disk_full = message, error.value() in _NO_ROOM
        if held.mooring is not None:
            held.mooring.slack = True
        held.handle.pause()
        self._emit(Fault(info_hash, message, held.disk_full))
        self._faulted(held)
