"""The origin's own trending order, as a first guess at what is watched now. This module asks for it, once a day.

One request for each origin, and only while a rule that ranks by trend is in force: nothing else uses the answer.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from appliance.clock import Clock
from appliance.domain.plan import RuleKind
from appliance.domain.units import Origin
from appliance.errors import SeedkeepError
from appliance.follow.sources import peertube
from appliance.outbound.fetch import Fetcher
from appliance.store import channels, rules, trends
from appliance.store.engine import Store

EVERY = timedelta(days=1)
_log = logging.getLogger(__name__)


class Trends:
    """Ask one origin at a time: ``look`` is called by whoever talks to it anyway."""

    def __init__(self, fetcher: Fetcher, store: Store, clock: Clock) -> None:
        self._fetcher, self._store, self._clock = fetcher, store, clock
        self._tried: dict[Origin, datetime] = {}

    async def look(self, origin: Origin) -> None:
        """Ask ``origin`` if it is due, and write down what it says. One that does not say is asked again in a day."""
        now = self._clock.now()
        if now - self._tried.get(origin, now - EVERY) < EVERY or not await self._wanted():
            return
        known = await self._store.read(trends.asked_at, origin)
        if known is not None and now - known < EVERY:
            self._tried[origin] = known
            return
        followed = await self._store.read(channels.every)
        home = next((c.info.address.base_url for c in followed if c.info.address.origin == origin), None)
        if home is None:
            return
        self._tried[origin] = now
        try:
            await self._ask(origin, home)
        except SeedkeepError as error:
            _log.info("%s does not say what is trending: %s", origin, error.message)

    async def _wanted(self) -> bool:
        return any(r.kind == RuleKind.TRENDING and not r.paused for r in await self._store.read(rules.every))

    async def _ask(self, origin: Origin, home: str) -> None:
        answer = await self._fetcher.get(peertube.trending_url(home))
        page = await asyncio.to_thread(peertube.listing_page, answer.body, home)
        order = tuple(dict.fromkeys(video.id for video in page.videos if video.origin == origin))
        await self._store.write(trends.put, origin, order, self._clock.now())
