"""Resume data on its way to disk: this module asks for it, writes it, and does so by itself while pieces arrive."""

import errno
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol, TypeVar

import libtorrent as lt

from appliance.errors import DiskError, NoSpace, SwarmError
from appliance.swarm.answers import Answers
from appliance.swarm.held import Held
from appliance.swarm.resume import ResumeFiles

EVERY_SECONDS = 10.0
AT_ONCE = 20

T = TypeVar("T")


class InThread(Protocol):
    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


class Saving:
    """Writes resume data of the torrents of one session."""

    def __init__(
        self, resume: ResumeFiles, answers: Answers, in_thread: InThread, flush: Callable[[Held], Awaitable[None]]
    ) -> None:
        self._resume, self._answers, self._in_thread, self._flush = resume, answers, in_thread, flush

    async def buffer(self, held: Held) -> bytes:
        """Return libtorrent's resume data, without the torrent itself and without priorities. Raises SwarmError."""
        asked = self._answers.waits("saved", held.info_hash)
        answer = self._answers.expect("saved", held.info_hash)
        if not asked:
            held.handle.save_resume_data()
        buffer: bytes = await answer.get()
        return buffer

    async def save(self, held: Held) -> None:
        """Store what is known of one torrent, one at a time for each. Raises SwarmError or DiskError."""
        async with held.writing:
            await self._save(held)

    async def forget(self, held: Held) -> None:
        """Delete what is stored of one torrent."""
        async with held.writing:
            await self._in_thread(partial(self._resume.forget, held.info_hash))

    async def _save(self, held: Held) -> None:
        held.dirty, synced = False, held.synced
        try:
            claimed, fresh = bytes(held.inventory.have), frozenset(held.fresh)
            await self._flush(held)
            buffer = await self.buffer(held)
            if held.closing:
                return
            if held.doubted:
                claimed, synced = bytes(len(claimed)), False
            held.fresh -= fresh if not held.doubted else frozenset()
            await self._in_thread(partial(self._resume.write, held.info_hash, buffer, claimed, synced=synced))
        except OSError as trouble:
            held.dirty = True
            if trouble.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpace(
                    "The disk with the data folder is full.", hint="Free some space there. It goes on by itself."
                ) from trouble
            raise DiskError(f"Resume data could not be written: {trouble.strerror}.") from trouble
        except SwarmError:
            held.dirty = True
            raise

    def due(self, torrents: Iterable[Held], now: float) -> list[Held]:
        """Return the torrents whose pieces changed and that were not saved for a while, a bounded number."""
        late = [h for h in torrents if h.dirty and not h.closing and now - h.saved_at >= EVERY_SECONDS][:AT_ONCE]
        for held in late:
            held.saved_at = now
        return late


def saved_buffer(alert: lt.save_resume_data_alert) -> bytes:
    """Return an alert's resume data as bytes; priorities are a viewer's moment and stay out of it."""
    params = alert.params
    params.piece_priorities = []
    params.file_priorities = []
    return bytes(lt.write_resume_data_buf(params))
