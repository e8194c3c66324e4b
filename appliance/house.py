"""Every part of the appliance, built and introduced to the others; changed settings are handed to those they concern.

This module decides nothing: what is built here, the daemon opens, runs and closes.
"""

import asyncio
import secrets
from contextlib import AsyncExitStack
from datetime import tzinfo
from pathlib import Path

from appliance.clock import Clock, RealClock, since_boot
from appliance.domain.traffic import TrafficClass
from appliance.domain.units import Origin, RenditionName, VideoId
from appliance.follow.follower import Follower
from appliance.follow.portraits import Portraits
from appliance.front import Book, Ledger, schedule_of
from appliance.host.encoding import Kitchen
from appliance.host.load import Load
from appliance.lan.interfaces import Household
from appliance.lan.watch import HouseholdWatch
from appliance.library.drawer import Drawer
from appliance.library.marker import Library
from appliance.library.space import Space
from appliance.nameplate import Nameplate
from appliance.options import (
    copy_options,
    device_ident,
    examiner_options,
    floor_of,
    interface_choice,
    keeper_options,
    outbound_options,
    planner_options,
    program_version,
    swarm_options,
    yielding_options,
)
from appliance.outbound.fetch import Fetcher
from appliance.pin.beside import Beside
from appliance.pin.errands import Errands
from appliance.pin.exporter import Exporter
from appliance.pin.gather import Gatherer
from appliance.pin.headroom import Headroom
from appliance.pin.keeper import Keeper
from appliance.pin.opener import Parts
from appliance.pin.reading import HouseShelf
from appliance.plan.examiner import Examiner
from appliance.plan.planner import Planner
from appliance.plan.surveyor import SurveyOptions, Surveyor
from appliance.presence import Presence, Said
from appliance.seed.schedule import Schedule
from appliance.seed.sharer import Sharer, SharerOptions
from appliance.seed.tender import Tender
from appliance.seed.yielding import Sending, Yielding, way_out
from appliance.serve.copies import TelevisionCopies
from appliance.serve.dlna.app import create_dlna_app
from appliance.serve.media import create_media_app
from appliance.settings import Settings
from appliance.store import copies, logins, observations
from appliance.store.engine import Store
from appliance.store.leases import Leases
from appliance.swarm.session import LibtorrentSwarm
from appliance.swarm.torrent import Torrents
from web.app import create_app
from web.services import Health, Services

_chance = secrets.SystemRandom().random


class House:
    """See the module. Built once what it is given is open; the daemon opens and runs what it has."""

    def __init__(
        self,
        store: Store,
        book: Book,
        library: Library,
        swarm: LibtorrentSwarm,
        network: HouseholdWatch,
        schedule: Schedule,
        zone: tzinfo,
    ) -> None:
        self.store, self.book, self.library, self.swarm = store, book, library, swarm
        self.clock: Clock = RealClock()
        self.data = Path(book.current.data_dir)
        self.network, self.zone = network, zone
        self.leases = Leases(self.clock)
        self.setup_code: str | None = None
        self.started_at = self.clock.now()
        said = Said(device_ident(library.library_id), program_version())
        self.nameplate = Nameplate(network, lambda: book.current, library.library_id, said.version, _chance)
        self.presence = Presence(said, network, lambda: book.current, self.nameplate.local_name, self.clock, _chance)
        self._build_holding(book.current)
        self._build_giving(book.current, schedule)
        self._build_serving(book.current, said)
        self.web = create_app(self._services(), self.data / "templates.cache")

    def _build_holding(self, settings: Settings) -> None:
        """Build what follows, plans and pins."""
        self.fetcher = Fetcher(
            outbound_options(settings), self.clock, count=self._count_origin, is_lan=lambda a: self.home.is_lan(a)
        )
        portraits = Portraits(self.fetcher, self.data / "portraits")
        self.follower = Follower(self.fetcher, self.store, self.clock, portraits=portraits)
        self.space = Space(self.library.root, floor_of(settings))
        self.keeper = Keeper(
            self._parts(),
            self.space,
            self.leases,
            self.clock,
            keeper_options(settings),
            _chance,
            lambda: self.tender.quota(),
        )
        self.planner = Planner(
            self.store,
            self.leases,
            self.keeper.disk,
            self.clock,
            planner_options(settings),
            lambda: self.tender.quota(),
        )
        self.headroom = Headroom(self.space, self.store, self.clock, self._made_room, self.keeper.wake)
        exports = self.data / (settings.library.export_dir or "exports")
        self.exporter = Exporter(self.store, self.library, exports, lambda: floor_of(self.book.current), self.clock)

    def _build_giving(self, settings: Settings, schedule: Schedule) -> None:
        """Build what seeds within the budgets, and what asks others for proof of their copies out of the same purse."""
        self.tender = self._tender(schedule)
        self.surveyor = Surveyor(
            self.store, self._examiner(), self.clock, SurveyOptions(settings.plan.challenge_daily_bytes)
        )
        self.yielding = Yielding(self.clock, self._sending, self._way_out, yielding_options(settings))
        self.sharer = Sharer(
            self.store,
            self.swarm,
            self.clock,
            self.keeper.owner,
            lambda: self.tender.uplink,
            self.tender.on_lan,
            SharerOptions(settings.swarm.announce_at_once),
        )

    def _build_serving(self, settings: Settings, said: Said) -> None:
        """Build what plays on screens."""
        self.copies = TelevisionCopies(
            self.store,
            self.library,
            self.leases,
            self.space,
            self.clock,
            copy_options(settings),
            Kitchen(),
            Load().share,
        )
        self.keeper.take_room_of(self.copies)
        self.shelf = HouseShelf(self.keeper, self._beside())
        self.media = create_media_app(
            self.shelf,
            self.leases,
            self.tender.count_player,
            self.tender.pace_player,
            seen=self.presence.fetched,
            copies=self.copies,
            audience=self.keeper.audience,
        )
        self.dlna = create_dlna_app(
            self.store,
            self.leases,
            self.library,
            self.clock,
            self.presence.tell,
            name=self.nameplate.screen_name,
            ident=said.ident,
            version=said.version,
            copies=self.copies.held,
            beside=self.shelf,
        )
        self.copies.on_change(self.dlna.stir)

    @property
    def home(self) -> Household:
        return self.network.household

    def _parts(self) -> Parts:
        return Parts(
            store=self.store,
            swarm=self.swarm,
            library=self.library,
            fetcher=self.fetcher,
            gatherer=Gatherer(self.fetcher, Torrents(lambda: self.book.current.follow.allow_private_origins)),
            sources=self.follower,
            spend=self._count_fetched,
        )

    def _beside(self) -> Beside:
        return Beside(
            self.store,
            Errands(self.fetcher, Drawer(self.data / "beside", self.clock), self.clock, self._may_look),
            lambda video, watched: self.follower.captions(video, priority=watched),
            self.clock,
            self._may_look,
        )

    def _may_look(self) -> bool:
        """Whether pictures and subtitles may come that are wanted only because somebody looks."""
        quota = self.tender.quota()
        return (quota is None or quota.again is None) and not self.fetcher.stopped

    def _examiner(self) -> Examiner:
        return Examiner(
            self.store,
            self.swarm,
            self.library,
            self.fetcher,
            lambda: examiner_options(self.book.current, self.home),
            self.tender,
            _chance,
        )

    def _tender(self, schedule: Schedule) -> Tender:
        return Tender(
            self.store,
            self.swarm,
            self.fetcher,
            self.clock,
            schedule,
            self.keeper.owner,
            steady=since_boot,
            stirred=self._quota_stirred,
            brake=lambda: self.yielding.cap,
        )

    def _sending(self) -> Sending:
        up, _ = self.tender.rate(TrafficClass.INTERNET_PEERS, TrafficClass.WAN_PLAYERS)
        to_screens, _ = self.tender.rate(TrafficClass.LAN_PLAYERS)
        return Sending(up, self.tender.budget.upload, to_screens > 0)

    async def _way_out(self, host: str) -> str | None:
        return await way_out(self.store, host, allow_private=self.book.current.follow.allow_private_origins)

    def _quota_stirred(self) -> None:
        self.keeper.wake()
        self.planner.wake()

    def _count_origin(self, origin: Origin, count: int, near: bool) -> None:
        self.tender.count_origin(origin, count, near)

    def _count_fetched(self, video: VideoId, rendition: RenditionName, count: int) -> None:
        self.tender.count_fetched(video, rendition, count)

    def _made_room(self) -> None:
        self.planner.wake()
        self.keeper.try_again_for_room()

    def _services(self) -> Services:
        return Services(
            clock=self.clock,
            store=self.store,
            leases=self.leases,
            settings=self.book,
            following=self.follower,
            planning=self.planner,
            keeping=self.keeper,
            spending=Ledger(self.tender, self.yielding, self.swarm, self.keeper, self.leases, self.clock),
            exporting=self.exporter,
            copying=self.copies,
            presence=self.presence,
            shelf=self.shelf,
            media=self.media,
            health=self.health,
            lan_hosts=self.nameplate.hosts,
            lan_address=self.nameplate.address,
            is_lan=self.network.is_household,
            setup_code=lambda: self.setup_code,
            dlna=self.dlna,
        )

    def health(self) -> Health:
        troubles = [*self.keeper.troubles.values()]
        troubles += [t for t in (self.store.trouble, self.planner.trouble, self.headroom.trouble) if t is not None]
        unique = tuple(dict.fromkeys(troubles))
        return Health(ok=not unique, troubles=unique, version=program_version(), started_at=self.started_at)

    async def apply(self, before: Settings, after: Settings) -> None:
        """Hand changed settings to the rooms they concern, at once."""
        if after.bandwidth != before.bandwidth:
            await self.tender.reconfigure(await asyncio.to_thread(schedule_of, after, self.zone))
            self.yielding.reconfigure(yielding_options(after))
        if after.swarm.announce_at_once != before.swarm.announce_at_once:
            self.sharer.reconfigure(SharerOptions(after.swarm.announce_at_once))
        if after.follow != before.follow:
            self.fetcher.reconfigure(outbound_options(after))
        if (after.swarm, after.follow) != (before.swarm, before.follow):
            self.swarm.reconfigure(swarm_options(after, self.data, self.home))
        if after.lan != before.lan:
            self.network.reconfigure(interface_choice(after))
        self.presence.reconfigure(after)
        if after.library != before.library:
            self.space.reconfigure(floor_of(after))
            self._made_room()
        if keeper_options(after) != keeper_options(before):
            self.keeper.reconfigure(keeper_options(after))
        if after.tv != before.tv:
            self.copies.reconfigure(copy_options(after))
        if (after.pin, after.plan) != (before.pin, before.plan):
            self.planner.reconfigure(planner_options(after))
            self.surveyor.reconfigure(SurveyOptions(after.plan.challenge_daily_bytes))

    async def sweep(self) -> None:
        """Drop what is past from the store: logins, and observations and counts that are too many."""
        now = self.clock.now()
        await self.store.write(logins.sweep, now)
        await self.store.write(observations.thin, now)
        await self.store.write(copies.sweep, now)

    async def announce(self) -> None:
        """Say on the household's networks who we are, and follow its addresses, until cancelled."""
        async with AsyncExitStack() as stack:
            stack.callback(self.network.listen(self._moved))
            if self.book.current.lan.mdns:
                await stack.enter_async_context(self.nameplate.announcing())
            await stack.enter_async_context(self.presence.announcing(self.nameplate.port))
            await asyncio.Event().wait()

    def _moved(self, home: Household) -> None:
        self.swarm.reconfigure(swarm_options(self.book.current, self.data, home))
