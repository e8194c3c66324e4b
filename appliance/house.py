"""Every part of the appliance, built and introduced to the others; changed settings are handed to those they concern.

This module decides nothing: what is built here, the daemon opens, runs and closes.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
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
from appliance.lan.mdns import Announcement, Mdns
from appliance.lan.notify import notify
from appliance.lan.watch import HouseholdWatch
from appliance.library.drawer import Drawer
from appliance.library.marker import Library
from appliance.library.space import Space
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
from appliance.swarm.port import TorrentMeta
from appliance.swarm.session import LibtorrentSwarm
from appliance.swarm.torrent import check_files, check_single, parse_torrent
from web.app import create_app
from web.services import Health, Services

_chance = secrets.SystemRandom().random


class _Torrents:
    """``pin.gather.Torrents`` by the swarm's own reader."""

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._allow_private = allow_private

    def parse(self, raw: bytes) -> TorrentMeta:
        return parse_torrent(raw, allow_private=self._allow_private())

    def check_single(self, meta: TorrentMeta, size: int) -> None:
        check_single(meta, size)

    def check_files(self, meta: TorrentMeta, sizes: Mapping[str, int]) -> None:
        check_files(meta, sizes)


class _Challenges:
    """``plan.examiner.Spend`` by the tender."""

    def __init__(self, tender: Callable[[], Tender]) -> None:
        self._tender = tender

    def peers(self, video: VideoId, rendition: RenditionName, up: int, down: int) -> None:
        self._tender().count_challenge(video, rendition, up, down)

    def fetched(self, video: VideoId, rendition: RenditionName, count: int) -> None:
        self._tender().count_fetched(video, rendition, count)


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
        self.mdns: Mdns | None = None
        self.port = book.current.web.port
        settings = book.current
        self.fetcher = Fetcher(
            outbound_options(settings), self.clock, count=self._count_origin, is_lan=lambda a: self.home.is_lan(a)
        )
        portraits = Portraits(self.fetcher, self.data / "portraits")
        self.follower = Follower(self.fetcher, store, self.clock, portraits=portraits)
        self.space = Space(library.root, floor_of(settings))
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
            store,
            self.leases,
            self.keeper.disk,
            self.clock,
            planner_options(settings),
            lambda: self.tender.quota(),
        )
        self.surveyor = Surveyor(
            store, self._examiner(), self.clock, SurveyOptions(settings.plan.challenge_daily_bytes)
        )
        self.headroom = Headroom(self.space, store, self.clock, self._made_room, self.keeper.wake)
        self.tender = self._tender(schedule)
        self.yielding = Yielding(self.clock, self._sending, self._way_out, yielding_options(settings))
        self.sharer = Sharer(
            store,
            swarm,
            self.clock,
            self.keeper.owner,
            lambda: self.tender.uplink,
            self.tender.on_lan,
            SharerOptions(settings.swarm.announce_at_once),
        )
        exports = Path(settings.library.export_dir or "exports")
        self.exporter = Exporter(store, library, self.data / exports, lambda: floor_of(self.book.current), self.clock)
        self.copies = TelevisionCopies(
            store, library, self.leases, self.space, self.clock, copy_options(settings), Kitchen(), Load().share
        )
        self.keeper.take_room_of(self.copies)
        self.shelf = HouseShelf(self.keeper, self._beside())
        said = Said(device_ident(library.library_id), program_version())
        self.presence = Presence(said, network, lambda: self.book.current, self._local_name, self.clock, _chance)
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
            store,
            self.leases,
            library,
            self.clock,
            notify,
            name=self._screen_name,
            ident=said.ident,
            version=said.version,
            copies=self.copies.held,
            beside=self.shelf,
        )
        self.copies.on_change(self.dlna.stir)
        self.web = create_app(self._services())

    @property
    def home(self) -> Household:
        return self.network.household

    def _parts(self) -> Parts:
        return Parts(
            store=self.store,
            swarm=self.swarm,
            library=self.library,
            fetcher=self.fetcher,
            gatherer=Gatherer(self.fetcher, _Torrents(lambda: self.book.current.follow.allow_private_origins)),
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
            _Challenges(lambda: self.tender),
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
            lan_hosts=self.lan_hosts,
            lan_address=self.lan_address,
            is_lan=self.network.is_household,
            setup_code=lambda: self.setup_code,
            dlna=self.dlna,
        )

    def lan_hosts(self) -> frozenset[str]:
        """Return every name and address that is us on this network."""
        names = {f"{self.book.current.lan.name}.local", *map(str, self.home.addresses())}
        if (announced := self._local_name()) is not None:
            names.add(announced)
        return frozenset(names)

    def _screen_name(self) -> str:
        """What televisions show: the name as it is announced, so that two boxes can be told apart."""
        said = (self._local_name() or self.book.current.lan.name).removesuffix(".local")
        return said[:1].upper() + said[1:]

    def _local_name(self) -> str | None:
        announced = None if self.mdns is None else self.mdns.announced
        return None if announced is None else announced.host.rstrip(".")

    def lan_address(self) -> str:
        """Return the address that screens on this network reach the dashboard by, or loopback's."""
        addresses = self.home.addresses()
        host = str(addresses[0]) if addresses else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

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

    async def announce(self, port: int) -> None:
        """Say on the household's networks who we are, and follow its addresses, until cancelled."""
        async with AsyncExitStack() as stack:
            stack.callback(self.network.listen(self._moved))
            if self.book.current.lan.mdns:
                said = Announcement(
                    self.book.current.lan.name, port, self.library.library_id, program_version(), tls=False
                )
                self.mdns = await stack.enter_async_context(Mdns(said, self.network, _chance))
            await stack.enter_async_context(self.presence.announcing(port))
            await asyncio.Event().wait()

    def _moved(self, home: Household) -> None:
        self.swarm.reconfigure(swarm_options(self.book.current, self.data, home))
