"""Reading a channel's listing, page by page, newest first: this module does one such reading and writes it down.

Each page is committed by itself, so that planning can begin after the first. A listing is believed as little as
possible: its total may lie, its pages may never end, and an absent video is not a deleted one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from appliance.clock import Clock
from appliance.domain.channel import Channel, ChannelState
from appliance.domain.units import ChannelId, VideoId
from appliance.domain.video import ListingPage
from appliance.errors import BadAnswer
from appliance.follow.sources import peertube
from appliance.outbound.fetch import Fetcher
from appliance.store import channels, videos
from appliance.store.engine import Store

MOST_PAGES = 500
WHOLE_EVERY = timedelta(hours=24)
"""How often all pages are read though the first says nothing new: for renamed and hidden videos further down."""

MOST_BYTES = 8 * 1024 * 1024
_INLINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at a channel came to. ``etag`` is the first page's, ``total`` the origin's claim."""

    changed: bool
    total: int | None
    etag: str | None


@dataclass(slots=True)
class _Progress:
    """One reading under way. ``number`` marks the videos it has seen, in the store."""

    number: int
    host: str
    start: int = 0
    pages: int = 0
    refused: int = 0
    changed: bool = False
    met_known: bool = False
    total: int | None = None
    etag: str | None = None
    seen: set[VideoId] = field(default_factory=set)

    def note(self, page: ListingPage) -> bool:
        """Take a page into account; answer whether it was the last. Raises BadAnswer where there is no end."""
        count = len(page.videos) + page.refused
        news = {video.id for video in page.videos} - self.seen
        self.seen |= news
        self.start += count
        self.pages += 1
        self.refused += page.refused
        self.total = page.total
        if count == 0 or (count < peertube.PAGE and (page.total is None or self.start >= page.total)):
            return True
        if (page.videos and not news) or self.pages >= MOST_PAGES:
            raise BadAnswer(
                f"{self.host} lists videos without end.",
                hint="What was read is kept. Tell the server's owner; Seedkeep looks again tomorrow.",
            )
        return False


class Listings:
    """Reads listings. ``between_pages`` is awaited after each page but the last, to ask for details meanwhile."""

    def __init__(
        self,
        fetcher: Fetcher,
        store: Store,
        clock: Clock,
        chance: Callable[[], float],
        between_pages: Callable[[Channel], Awaitable[None]],
    ) -> None:
        self._fetcher, self._store, self._clock, self._chance = fetcher, store, clock, chance
        self._between_pages = between_pages
        self._whole_at: dict[ChannelId, datetime] = {}
        self._gap: dict[ChannelId, int] = {}
        self._empty_once: set[ChannelId] = set()

    async def read(self, channel: Channel, *, hurry: bool = False) -> Reading:
        """Look at ``channel`` once, writing down what is new. ``hurry``: a person waits, and all pages are read.

        Raises OriginError.
        """
        now = self._clock.now()
        first_time = channel.state in (ChannelState.NEW, ChannelState.SYNCING)
        whole = first_time or hurry or self._whole_is_due(channel.id, now)
        going = _Progress(int(now.timestamp() * 1000), channel.info.address.origin)
        page = await self._page(channel, going, None if whole else channel.listing_etag, hurry)
        if page is None:
            return Reading(False, None, None)
        while not going.note(page):
            if first_time and going.pages == 1:
                await self._note_syncing(channel, going)
            if not whole and going.met_known:
                whole = await self._total_differs(channel, going)
                if not whole:
                    return Reading(going.changed, going.total, going.etag)
            await self._between_pages(channel)
            page = await self._page(channel, going, None, hurry) or ListingPage((), None)
        await self._close(channel, going)
        return Reading(going.changed, going.total, going.etag)

    async def _page(self, channel: Channel, going: _Progress, etag: str | None, hurry: bool) -> ListingPage | None:
        """Ask for the next page and write it down; None where it has not changed since ``etag``."""
        address = channel.info.address
        url = peertube.listing_url(address, going.start)
        answer = await self._fetcher.get(url, etag=etag, max_bytes=MOST_BYTES, priority=hurry)
        if answer.not_modified:
            return None
        if len(answer.body) > _INLINE_BYTES:
            page = await asyncio.to_thread(peertube.listing_page, answer.body, address.base_url)
        else:
            page = peertube.listing_page(answer.body, address.base_url)
        now = self._clock.now()
        # A server may only speak of its own videos: what it said of another's would stand for what that one says.
        ours = tuple(
            replace(video, published_at=min(video.published_at, now))
            for video in page.videos
            if video.origin == address.origin
        )
        outcome = await self._store.write(videos.put_page, channel.id, ours, now, going.number)
        going.changed |= bool(outcome.new)
        going.met_known |= bool(outcome.known)
        if going.pages == 0:
            going.etag = answer.etag
        return ListingPage(ours, page.total, page.refused + len(page.videos) - len(ours))

    async def _close(self, channel: Channel, going: _Progress) -> None:
        """Mark what the whole listing no longer holds, and remember how far its total is off."""
        if not going.seen and going.refused:
            raise BadAnswer(
                f"None of the {going.refused} videos that {going.host} lists could be understood.",
                hint="Seedkeep may be too old for this server, or the server hostile.",
            )
        if not going.seen and channel.id not in self._empty_once and await self._listed(channel):
            # Videos may all be hidden at once, but more often a server is having a bad moment.
            self._empty_once.add(channel.id)
            return
        self._empty_once.discard(channel.id)
        now = self._clock.now()
        absent = await self._store.write(videos.close_listing, channel.id, going.number, now)
        going.changed |= bool(absent)
        self._whole_at[channel.id] = now
        if going.total is not None:
            self._gap[channel.id] = going.total - await self._listed(channel)

    async def _listed(self, channel: Channel) -> int:
        known = await self._store.read(channels.one, channel.id)
        return 0 if known is None else known.listed

    async def _total_differs(self, channel: Channel, going: _Progress) -> bool:
        """Whether the origin's total moved against what we know: something vanished, or was added further down."""
        if going.total is None:
            return False
        return going.total - await self._listed(channel) != self._gap.get(channel.id, 0)

    def _whole_is_due(self, channel: ChannelId, now: datetime) -> bool:
        # After a start all channels are unknown here; chance spreads their whole readings over the day.
        last = self._whole_at.setdefault(channel, now - WHOLE_EVERY * self._chance())
        return now - last >= WHOLE_EVERY

    async def _note_syncing(self, channel: Channel, going: _Progress) -> None:
        now = self._clock.now()
        await self._store.write(
            channels.note_check, channel.id, now, state=ChannelState.SYNCING, next_check=now, total=going.total
        )

    def forget(self, channel: ChannelId) -> None:
        """Drop what is remembered of a channel no longer followed."""
        self._whole_at.pop(channel, None)
        self._gap.pop(channel, None)
        self._empty_once.discard(channel)
