"""Torrents are moored before anything may be written to them: this module does it, and lets go of them again.

What is whole and on the disk is only read, by its folder's own path; what is stopped has no path at all.
"""

import asyncio

from appliance.errors import DiskError
from appliance.swarm.engine import Engine
from appliance.swarm.extents import is_there
from appliance.swarm.held import Held
from appliance.swarm.mooring import NOWHERE, Mooring, moored


class Moorings:
    """See the module. What it does to one torrent, it does one after the other (``Held.mending``)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._unsure: list[Mooring] = []

    async def hold(self, held: Held) -> None:
        """See that an unfinished torrent is moored, anew where its disk may have gone meanwhile. Raises DiskError."""
        if not _lacks(held):
            return
        async with held.mending:
            if _lacks(held) and not held.closing:
                fresh = await self._engine.in_thread(lambda: moored(held.extents.folder, held.enter))
                if not await self._lead(held, fresh, fresh.path):
                    raise DiskError("The video's folder cannot be used.", hint="Is the disk there? It is tried again.")

    async def let_go(self, held: Held) -> None:
        """Let go of a torrent to which nothing is written any more: it is whole and on the disk, or stopped."""
        if not _is_moored(held):
            return
        async with held.mending:
            if not _is_moored(held) or held.closing:
                return
            if held.settled:
                if await self._engine.in_thread(lambda: is_there(held.extents)):  # else libtorrent would lay it
                    await self._lead(held, None, str(held.extents.folder))
            elif not held.started:
                await self._engine.flush(held)
                await self._lead(held, None, NOWHERE)

    async def _lead(self, held: Held, fresh: Mooring | None, path: str) -> bool:
        """Have libtorrent use another path once all that it was asked is done, then cut what it uses no more.

        Where it does not answer nothing is cut, for it may still use either.
        """
        moving = asyncio.ensure_future(self._engine.lead(held, path))
        try:
            await asyncio.shield(moving)
        except asyncio.CancelledError:
            await asyncio.wait({moving})
            raise
        finally:
            if not moving.done() or moving.cancelled() or moving.exception() is not None:
                self._unsure += [fresh] if fresh is not None else []
            else:
                unused = fresh
                if moving.result():
                    unused, held.mooring = held.mooring, fresh
                if unused is not None:
                    unused.cut()
        return moving.result()


def _is_moored(held: Held) -> bool:
    return held.mooring is not None


def _lacks(held: Held) -> bool:
    return not held.inventory.whole and (held.mooring is None or held.mooring.slack)


def cut(held: Held) -> None:
    """Close the folder of a torrent that libtorrent does not have any more."""
    mooring, held.mooring = held.mooring, None
    if mooring is not None:
        mooring.cut()
