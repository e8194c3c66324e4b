"""Pieces that turn out not to be there: this module finds them, and hands the torrent over again without them."""

import logging
from collections.abc import Callable, Iterable, Mapping

import libtorrent as lt

from appliance.domain.units import InfoHash
from appliance.errors import SwarmError
from appliance.swarm.adding import prepare_again
from appliance.swarm.counting import Counting
from appliance.swarm.engine import Engine
from appliance.swarm.extents import good_pieces
from appliance.swarm.held import Held
from appliance.swarm.saving import Saving
from appliance.swarm.viewing import Viewing

log = logging.getLogger(__name__)


class Mending:
    """Checks and mends torrents; for one torrent, one thing at a time (``Held.mending``)."""

    def __init__(
        self,
        engine: Engine,
        saving: Saving,
        counting: Counting,
        viewings: Mapping[InfoHash, Viewing],
        gained: Callable[[Held, int], None],
    ) -> None:
        self._engine, self._saving, self._counting, self._viewings = engine, saving, counting, viewings
        self._gained = gained
        self.stopping = False

    async def recheck(self, held: Held) -> None:
        """Hash every piece we claim; what is bad is asked for again. Seeding goes on meanwhile."""
        async with held.mending:
            held.checking = True
            try:
                await self._engine.flush(held)
                claimed = [k for k, here in enumerate(held.inventory.have) if here]
                bad = set(claimed) - await self._good(held, claimed)
                if bad:  # once more, as a piece may just have been written
                    bad -= await self._good(held, bad)
                if bad and not self.stopping and not held.closing:
                    await self._forget(held, bad)
            finally:
                held.checking = False

    async def rotten(self, held: Held, piece: int) -> None:
        """A viewer came upon a bad piece."""
        async with held.mending:
            if held.inventory.have[piece] and not held.closing:
                log.warning("piece %d of %s is rotten on disk; it is fetched again", piece, held.info_hash)
                await self._forget(held, {piece})

    async def settled(self, held: Held) -> bool:
        """Wait for the disk, and take back pieces whose writing failed; tell whether all that we claim is there.

        libtorrent calls a piece finished when its hash is right, before it is on disk.
        """
        async with held.mending:
            await self._engine.flush(held)
            claimed = [k for k, here in enumerate(held.inventory.have) if here]
            pieces = await self._engine.pieces(held)
            lost = {k for k in claimed if not pieces[k]}
            if held.closing or not lost:
                return not held.closing
            have = held.inventory.have
            held.inventory.replace(bytearray(0 if k in lost else here for k, here in enumerate(have)))
            self._tell_viewers(held)
            # one that came again meanwhile was announced while we still claimed it
            for k, here in enumerate(await self._engine.pieces(held)):
                if here:
                    self._gained(held, k)
            return False

    async def _good(self, held: Held, pieces: Iterable[int]) -> set[int]:
        info = held.handle.torrent_file()
        if info is None:
            raise SwarmError("This torrent is not there any more.")
        found = good_pieces(held.extents, info.hash_for_piece, pieces, lambda: self.stopping or held.closing)
        return await self._engine.in_thread(lambda: set(found))

    async def _forget(self, held: Held, bad: set[int]) -> None:
        """Take the torrent out and hand it over again without its bad pieces: libtorrent asks for exactly those."""
        params = lt.read_resume_data(await self._saving.buffer(held))
        params.ti = held.handle.torrent_file()
        await self._counting.settle(held)
        await self._engine.take_out(held)
        self._counting.forget(held)
        have = bytearray(0 if k in bad else here for k, here in enumerate(held.inventory.have))
        held.handle = await self._engine.hand_over(held.info_hash, prepare_again(params, have))
        held.inventory.replace(have)
        held.barred = False  # as the new handle has it
        held.synced, held.dirty = False, True
        self._tell_viewers(held)
        if held.started and not held.fault:
            held.handle.resume()

    def _tell_viewers(self, held: Held) -> None:
        if viewing := self._viewings.get(held.info_hash):
            viewing.lost()
