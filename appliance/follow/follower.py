"""Following: this module keeps the catalogue as its origins describe it.

It sleeps until the earliest check is due or somebody wakes it. Each origin has one worker at most, so that it is asked
one thing at a time; several origins are asked at once.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from appliance.clock import Clock
from appliance.domain.catalogue import OriginToday, VideoFilter
from appliance.domain.channel import Channel, ChannelInfo, ChannelState, Portrait, Trouble
from appliance.domain.pin import Wish
from appliance.domain.units import ChannelId, Origin, VideoId
from appliance.domain.video import Caption, Extras, VideoDetail
from appliance.errors import NotFound, OriginError, SeedkeepError, StoreError, Throttled, Unreachable
from appliance.follow.cadence import LATEST, next_check, stale_before
from appliance.follow.details import FRESH, Details, bug, trouble_of
from appliance.follow.followed import Followed
from appliance.follow.listing import Listings, Reading
from appliance.follow.portraits import Portraits
from appliance.follow.resolver import Resolver
from appliance.follow.trends import Trends
from appliance.outbound.fetch import Fetcher
from appliance.outbound.manners import PATIENCE
from appliance.store import channels, details, lists, origins, videos
from appliance.store.engine import Store

ORIGINS_AT_ONCE = 8
GONE_AFTER = 3
"""A channel is called gone after so many answers in a row that it is not there."""

_DETAILS_A_TURN = 4
_DETAILS_BETWEEN_PAGES = 2
_LONGEST_SLEEP = timedelta(minutes=5)
_STALE_EVERY = timedelta(minutes=10)
_HISTORY = 10
_FLUSH_SECONDS = 60.0
_WITHOUT_STORE = timedelta(seconds=15)
"""Nobody is asked for so long where what they said could not be written down."""
_system_chance = secrets.SystemRandom().random
_log = logging.getLogger(__name__)


class Follower:
    """The loop, and what the other rooms may ask of it. Run ``run`` in a task; cancel it to stop."""

    def __init__(
        self,
        fetcher: Fetcher,
        store: Store,
        clock: Clock,
        chance: Callable[[], float] = _system_chance,
        *,
        portraits: Portraits | None = None,
    ) -> None:
        self._fetcher, self._store, self._clock, self._chance = fetcher, store, clock, chance
        self._portraits = portraits
        self._resolver = Resolver(fetcher)
        self._details = Details(fetcher, store, clock, chance)
        self._trends = Trends(fetcher, store, clock)
        self._listings = Listings(fetcher, store, clock, chance, self._between_pages)
        self._awake = asyncio.Event()
        self._workers: dict[Origin, asyncio.Task[None]] = {}
        self._hurried: set[ChannelId] = set()
        self._stale_at: datetime | None = None
        self._idle_until: datetime | None = None

    # What others ask

    async def follow(self, text: str) -> Followed:
        """Find what a person pasted and begin to follow it; a single video becomes a hand pin.

        Raises BadInput, OriginError.
        """
        if self._fetcher.stopped:
            hint = "It is stopped by the week, a budget or quiet: Bandwidth says until when."
            raise Unreachable("Nothing may come from the internet at the moment.", hint=hint)
        found = await self._resolver.resolve(text)
        if isinstance(found, ChannelInfo):
            channel = await self._store.promise(channels.follow, found, self._clock.now())
            self.wake()
            return Followed(channel, None, found.title)
        video = found.summary.id
        await self._store.write(videos.put_detail, found, None, self._clock.now())
        await self._store.promise(videos.wish, video, Wish.PIN)
        return Followed(None, video, found.summary.title)

    async def refresh(self, channel: ChannelId) -> None:
        """Look at a channel now, all of it, whatever its back-off. Raises NotFound for one that isn't followed."""
        if not await self._store.promise(channels.make_due, channel, self._clock.now()):
            raise NotFound("This channel is not followed.", hint="It may have been left in the meantime.")
        self._hurried.add(channel)
        self.wake()

    async def detail(self, video: VideoId, *, priority: bool = False, max_age: timedelta = FRESH) -> VideoDetail:
        """Return what the origin says of a video now, asked conditionally unless asked within ``max_age``.

        ``priority`` is for a viewer who waits. Raises OriginError; NotFound and Forbidden are in the catalogue then.
        """
        return await self._details.ask(video, priority=priority, max_age=max_age)

    async def extras(self, video: VideoId, *, priority: bool = False) -> Extras:
        """Return the captions and the storyboard a video has at its origin. Raises OriginError."""
        return await self._details.extras(video, priority=priority)

    async def captions(self, video: VideoId, *, priority: bool = False) -> tuple[Caption, ...]:
        """Return the captions a video has at its origin. Raises OriginError."""
        return await self._details.captions(video, priority=priority)

    async def portrait(self, channel: ChannelId) -> Portrait | None:
        """Return a channel's picture, None where there is none."""
        return None if self._portraits is None else await self._portraits.of(channel)

    def origins(self) -> tuple[OriginToday, ...]:
        """Return what was asked of each origin today."""
        return self._fetcher.export()

    def wake(self) -> None:
        """Look again at what is due."""
        self._awake.set()

    # The loop

    async def run(self) -> None:
        """Follow until cancelled."""
        self._fetcher.restore(await self._store.read(origins.every, self._clock.now()))
        if self._portraits is not None:
            await self._portraits.sweep({channel.id for channel in await self._store.read(channels.every)})
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_book(), name="follower book")
                while True:
                    self._awake.clear()
                    await self._sleep_until(await self._turn(group))
        finally:
            await self._write_book()

    async def _turn(self, group: asyncio.TaskGroup) -> datetime:
        """Start who may work now; return when to look again."""
        if self._idle_until is not None and self._clock.now() < self._idle_until:
            return self._idle_until
        try:
            return await self._start_workers(group)
        except StoreError as error:
            return self._idle(error)

    def _idle(self, error: StoreError) -> datetime:
        """Leave everybody alone for a while: the database cannot be used."""
        now = self._clock.now()
        if self._idle_until is None or now - self._idle_until > _WITHOUT_STORE:
            _log.warning("nothing is followed: %s", error.message)
        self._idle_until = now + _WITHOUT_STORE
        return self._idle_until

    async def _start_workers(self, group: asyncio.TaskGroup) -> datetime:
        """Start a worker for each origin that has something due; return when to look again."""
        now = self._clock.now()
        await self._mark_stale(now)
        due, next_channel = await self._store.read(channels.due, now)
        with_details, next_detail = await self._store.read(details.origins, now)
        hurried = {c.info.address.origin for c in due if c.id in self._hurried}
        again = now + _LONGEST_SLEEP
        for origin in dict.fromkeys([*(c.info.address.origin for c in due), *with_details]):
            rest = self._fetcher.manners.rest(origin)
            if origin in self._workers:
                continue
            if rest > PATIENCE and origin not in hurried:
                again = min(again, now + timedelta(seconds=rest))
            elif len(self._workers) < ORIGINS_AT_ONCE:
                self._start_worker(group, origin)
        return min(t for t in (again, next_channel, next_detail) if t is not None)

    def _start_worker(self, group: asyncio.TaskGroup, origin: Origin) -> None:
        task = group.create_task(self._worker(origin), name=f"follow {origin}")
        self._workers[origin] = task

        def ended(_: asyncio.Task[None]) -> None:
            del self._workers[origin]
            self._awake.set()

        task.add_done_callback(ended)

    async def _sleep_until(self, moment: datetime) -> None:
        seconds = max((moment - self._clock.now()).total_seconds(), 0.05)
        waker = asyncio.create_task(self._awake.wait(), name="follower woken")
        sleeper = asyncio.create_task(self._clock.sleep(seconds), name="follower asleep")
        try:
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()

    async def _mark_stale(self, now: datetime) -> None:
        if self._stale_at is None or now - self._stale_at >= _STALE_EVERY:
            self._stale_at = now
            await self._store.write(details.refresh_stale, stale_before(now))

    async def _worker(self, origin: Origin) -> None:
        try:
            await self._work(origin)
        except StoreError as error:
            self._idle(error)

    async def _work(self, origin: Origin) -> None:
        """Do all that is due at one origin: its channels first, then details in the plan's order."""
        while True:
            due, _ = await self._store.read(channels.due, self._clock.now())
            channel = next((c for c in due if c.info.address.origin == origin), None)
            if channel is not None:
                await self._look(channel)
                continue
            await self._trends.look(origin)
            try:
                if not await self._details.ask_most_wanted(origin, _DETAILS_A_TURN):
                    return
            except Throttled:
                return

    async def _between_pages(self, channel: Channel) -> None:
        """Ask for a few details while a long listing is read, so that pinning can begin."""
        await self._details.ask_most_wanted(channel.info.address.origin, _DETAILS_BETWEEN_PAGES)

    # One channel

    async def _look(self, channel: Channel) -> None:
        """Look at one channel once; whatever happens ends on it, with the time of the next look."""
        hurry = channel.id in self._hurried
        self._hurried.discard(channel.id)
        try:
            reading = await self._listings.read(channel, hurry=hurry)
        except Throttled as error:
            await self._postpone(channel, error)
        except OriginError as error:
            await self._fail(channel, trouble_of(error), error)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - the edge of one unit of work: one channel
            if await self._store.read(channels.one, channel.id) is None:
                self._listings.forget(channel.id)
                return
            _log.exception("looking at channel %s failed", channel.id)
            await self._fail(channel, bug(), None)
        else:
            await self._succeed(channel, reading)
            await self._look_at_portrait(channel.id)

    async def _look_at_portrait(self, ident: ChannelId) -> None:
        """Fetch the channel's picture where it has another one now; pages hear of it."""
        if self._portraits is None or (channel := await self._store.read(channels.one, ident)) is None:
            return
        if await self._portraits.look(channel):
            await self._store.write(channels.note_portrait, ident)

    async def _succeed(self, channel: Channel, reading: Reading) -> None:
        now = self._clock.now()
        newest = await self._store.read(lists.page, VideoFilter(channel=channel.id, limit=_HISTORY))
        published = [line.published_at for line in newest.items]
        changed = reading.changed and channel.state not in (ChannelState.NEW, ChannelState.SYNCING)
        last_change = now if changed else channel.last_change
        await self._store.write(
            channels.note_check,
            channel.id,
            now,
            state=ChannelState.FOLLOWED,
            next_check=next_check(now, published, last_change, 0, self._chance()),
            changed=changed,
            total=reading.total,
            etag=reading.etag,
        )

    async def _postpone(self, channel: Channel, error: Throttled) -> None:
        """The origin, not the channel, needs a pause: this is no failure of the channel."""
        now = self._clock.now()
        await self._store.write(
            channels.note_check,
            channel.id,
            now,
            state=channel.state,
            next_check=now + timedelta(seconds=error.after),
            trouble=channel.trouble or trouble_of(error),
            failures=channel.failures,
        )

    async def _fail(self, channel: Channel, trouble: Trouble, error: SeedkeepError | None) -> None:
        now = self._clock.now()
        failures = channel.failures + 1
        helps = error is None or error.retryable
        gone = isinstance(error, NotFound) and failures >= GONE_AFTER
        when = next_check(now, (), channel.last_change, failures, self._chance())
        await self._store.write(
            channels.note_check,
            channel.id,
            now,
            state=ChannelState.GONE if gone else ChannelState.FAILING,
            next_check=when if helps else now + LATEST,
            trouble=trouble,
            failures=failures,
        )

    # The book on origins

    async def _keep_book(self) -> None:
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            await self._write_book()

    async def _write_book(self) -> None:
        lines = self._fetcher.export()
        try:
            if lines:
                await self._store.write(origins.put, self._clock.now(), lines)
        except StoreError as error:
            self._idle(error)
