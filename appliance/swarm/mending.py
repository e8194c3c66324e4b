"""Pieces that turn out not to be there: this module finds them, and hands the torrent over again without them."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import libtorrent as lt

from appliance.domain.shelf import NotPlayable
from appliance.domain.units import InfoHash
from appliance.errors import DiskError, SwarmError
from appliance.swarm.adding import prepare_again
from appliance.swarm.counting import Counting
from appliance.swarm.engine import Engine
from appliance.swarm.extents import good_pieces, is_there
from appliance.swarm.held import Held
from appliance.swarm.mooring import moored
from appliance.swarm.saving import Saving
from appliance.swarm.viewing import Viewing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standstill:
    """Why a torrent does not get on: pieces that are all there and not judged, or nobody left but who was banned."""

    unjudged: frozenset[int] = frozenset()
    alone: bool = False

    def __bool__(self) -> bool:
        return self.alone or bool(self.unjudged)

    def __and__(self, other: "Standstill") -> "Standstill":
        return Standstill(self.unjudged & other.unjudged, self.alone and other.alone)


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
            if self._over(held):
                return
            held.checking = True
            try:
                await self._engine.flush(held)
                claimed = [k for k, here in enumerate(held.inventory.have) if here]
                bad = set(claimed) - await self._good(held, claimed)
                if bad:  # once more, as a piece may just have been written
                    bad -= await self._good(held, bad)
                if bad and not self._over(held):
                    await self._forget(held, bad)
            finally:
                held.checking = False

    async def rotten(self, held: Held, piece: int) -> None:
        """A viewer came upon a bad piece. Raises NotPlayable where that is because the disk is away."""
        async with held.mending:
            if held.inventory.have[piece] and not held.closing:
                log.warning("piece %d of %s is rotten on disk; it is fetched again", piece, held.info_hash)
                try:
                    await self._forget(held, {piece})
                except DiskError as error:
                    raise NotPlayable("disk_trouble", error.message, error.hint, 503) from error

    async def settle(self, held: Held) -> None:
        """Wait for the disk, and take back pieces that are not on it. What is not looked at stays ``fresh`` or doubted.

        libtorrent calls a piece finished when its hash is right, before it is written; once the last one is, it calls
        the torrent whole and forgets whatever write fails from then on, and one of a piece that we gave it (as the
        window does) at any time (2.1.1: ``torrent::maybe_done_flushing``, ``torrent::on_disk_write_complete``). So
        what came last is hashed where it lies, and after an error all of it.
        """
        async with held.mending:
            if self._over(held):
                return
            await self._engine.flush(held)
            faults, doubted = held.faults, held.doubted
            claimed = {k for k, here in enumerate(held.inventory.have) if here}
            looked_at = claimed if doubted else claimed & held.fresh
            bad = looked_at - await self._good(held, looked_at)
            pieces = await self._engine.pieces(held)
            if self._over(held) or not await self._engine.in_thread(partial(is_there, held.extents)):
                return
            if any(pieces[k] for k in bad) or (doubted and await self._unjudged(held)):
                await self._forget(held, bad)
            else:
                await self._take_back(held, bad | {k for k in claimed if not pieces[k]})
            held.answered = faults
            held.fresh -= looked_at
            if held.fault:
                self._tell_viewers(held)  # what they gave to libtorrent meanwhile may never come back

    async def look(self, held: Held) -> Standstill:
        """Say what keeps a torrent from getting on."""
        async with held.mending:
            if self._over(held) or held.fault:
                return Standstill()
            unjudged = await self._unjudged(held)
            if unjudged:
                await self._engine.flush(held)  # what is still hashed or written comes first
                unjudged &= await self._unjudged(held)
            return Standstill(unjudged, held.started and await self._alone(held))

    async def free(self, held: Held, still: Standstill) -> None:
        """Hand a torrent over again that stands still; with nobody left, whom it banned gets another chance."""
        async with held.mending:
            if self._over(held) or held.fault:
                return
            log.warning("%s stood still after wrong pieces and is taken up again", held.info_hash)
            await self._forget(held, set(), pardon=still.alone)

    def _over(self, held: Held) -> bool:
        """Tell whether the session stops or the torrent leaves it: asked again after every wait, as a torrent may be
        taken out while another task waits its turn, and then has no handle any more."""
        return self.stopping or held.closing

    async def _unjudged(self, held: Held) -> frozenset[int]:
        """Return the pieces of which libtorrent believes to have all and yet not the piece: it asks for them no more,
        be it that writing failed, or that the verdict on the hash was lost."""
        begun = await self._engine.progress(held)
        pieces = await self._engine.pieces(held)
        return frozenset(k for k, share in begun.items() if share >= 1 and not pieces[k])

    async def _alone(self, held: Held) -> bool:
        """Tell whether no peer has anything that is missing, and somebody was banned."""
        available = await self._engine.availability(held)
        if any(count and not here for count, here in zip(available, held.inventory.have, strict=False)):
            return False
        return bool(lt.read_resume_data(await self._saving.buffer(held)).banned_peers)

    async def _take_back(self, held: Held, lost: set[int]) -> None:
        """Claim no more what libtorrent asks for again by itself."""
        if not lost:
            return
        held.inventory.replace(bytearray(0 if k in lost else here for k, here in enumerate(held.inventory.have)))
        held.settled, held.dirty = False, True
        self._tell_viewers(held)
        # one that came again meanwhile was announced while we still claimed it
        pieces = await self._engine.pieces(held)
        for piece in sorted(k for k in lost if pieces[k]):
            self._gained(held, piece)

    async def _good(self, held: Held, pieces: Iterable[int]) -> set[int]:
        info = held.handle.torrent_file()
        if info is None:
            raise SwarmError("This torrent is not there any more.")
        found = good_pieces(held.extents, info.hash_for_piece, pieces, lambda: self._over(held))
        return await self._engine.in_thread(lambda: set(found))

    async def _forget(self, held: Held, bad: set[int], *, pardon: bool = False) -> None:
        """Take the torrent out and hand it over again without its bad pieces: libtorrent asks for exactly those.

        ``pardon`` lets those come again that were banned, and calls them.
        """
        mooring = held.mooring
        if mooring is None or mooring.slack:
            mooring = await self._engine.in_thread(partial(moored, held.extents.folder, held.enter))
        await self._engine.rest(held)  # what is still written fails now, not after we gave up the handle
        params = lt.read_resume_data(await self._saving.buffer(held))
        params.save_path = mooring.path
        params.ti = held.handle.torrent_file()
        params.peers = list({*params.peers, *held.peers.callable})  # it leaves out many: see there
        if pardon:
            params.peers, params.banned_peers = list({*params.peers, *params.banned_peers}), []
        await self._counting.settle(held)
        async with held.writing:  # which asks the handle too
            await self._engine.take_out(held)
            held.mooring = mooring
            self._counting.forget(held)
            have = bytearray(0 if k in bad else here for k, here in enumerate(held.inventory.have))
            held.handle, refusal = await self._engine.hand_back(held.info_hash, prepare_again(params, have))
        held.inventory.replace(have)
        held.settled = held.settled and held.inventory.whole
        held.barred = False  # as the new handle has it
        held.synced, held.dirty = False, True
        self._tell_viewers(held)
        if refusal:
            held.fault = held.fault or refusal
            raise SwarmError(f"The BitTorrent engine does not accept what lies on disk: {refusal}.")
        if held.started and not held.fault:
            held.handle.resume()

    def _tell_viewers(self, held: Held) -> None:
        if viewing := self._viewings.get(held.info_hash):
            viewing.lost()
