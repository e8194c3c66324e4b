"""What is looked at every few seconds while something is open: the disk, what was taken, who is silent. This module
stops what must not go on.
"""

import asyncio
from collections.abc import Iterable

from appliance.clock import Clock
from appliance.domain.pin import Pin, PinState
from appliance.domain.units import ByteCount, Origin
from appliance.errors import LibraryMissing, NoSpace
from appliance.pin.holding import Holding
from appliance.pin.opened import Opened
from appliance.pin.opener import Parts
from appliance.pin.patience import NoSource, Patience
from appliance.pin.takings import WINDOW, Takings
from appliance.pin.turns import Turns
from appliance.store import ledger
from appliance.store.leases import Leases


class Lookout:
    """``patience``: seconds that a video of which nothing comes keeps its turn; it may be set at any time."""

    def __init__(
        self, parts: Parts, opened: Opened, turns: Turns, leases: Leases, clock: Clock, patience: float
    ) -> None:
        self._parts, self._opened, self._turns = parts, opened, turns
        self._leases, self._clock, self.patience = leases, clock, patience
        self._silence, self.takings = Patience(), Takings()
        opened.on_close(self._count_taken)

    async def look(self) -> None:
        """Look after what is being fetched."""
        await self.mind_disk()
        self._mind_takings()
        self._welcome_origins()
        self._mind_silence()

    async def remember(self, rows: Iterable[Pin]) -> None:
        """Count what an earlier run took for those of ``rows`` that are not whole."""
        now = self._clock.now()
        taken = await self._parts.store.read(ledger.taken, (now - WINDOW).date())
        for unfinished in (row.video for row in rows if row.state is not PinState.PINNED and row.video in taken):
            self.takings.note(unfinished, taken[unfinished], now)

    async def mind_disk(self) -> None:
        """At the floor everything that writes stops; at a missing library too. It goes on by itself."""
        going = [h for h in self._opened.holdings.values() if h.started and h.done < h.size]
        if not going:
            return
        try:
            await asyncio.to_thread(self._parts.library.require)
            await self._opened.require_any(ByteCount(sum(h.size - h.done for h in going)))
        except (NoSpace, LibraryMissing) as error:
            for holding in going:
                if holding.video in self._turns.fetching:
                    holding.fail(error)
                else:
                    await holding.pause()

    def _count_taken(self, holding: Holding) -> None:
        self.takings.note(holding.video, holding.newly_taken(), self._clock.now())

    def _mind_takings(self) -> None:
        """What is fetched again and again is left alone."""
        for video, holding in self._opened.holdings.items():
            self._count_taken(holding)
            if video in self._turns.fetching and holding.started and holding.done < holding.size:
                trouble = self.takings.trouble(video, holding.size, self._clock.now())
                if trouble is not None:
                    holding.fail(trouble)

    def _welcome_origins(self) -> None:
        """What began without its origin gets bytes from there too, once it may be asked."""
        for holding in self._opened.holdings.values():
            if holding.away and self._parts.fetcher.manners.rest(Origin(holding.manifest.origin)) <= 0:
                holding.welcome()

    def _mind_silence(self) -> None:
        """Who gets nothing makes room for the next, unless it is we who hold everything back."""
        if self._parts.fetcher.stopped or self._leases.every():
            self._silence.begin_again()
            return
        holdings = self._opened.holdings
        going = [h for v, h in holdings.items() if v in self._turns.fetching and h.started and h.done < h.size]
        fetches = [h for h in going if not h.asks_ranges]
        for video in self._silence.lost_with(fetches, self._clock.monotonic(), self.patience):
            holdings[video].fail(NoSource())
