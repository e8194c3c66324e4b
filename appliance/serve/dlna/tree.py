"""The tree that a screen browses, as a person would lay it out: this module finds folders, their children, videos.

    0  Newest · Channels → videos · Rules → videos · Being watched · All by name

Ids come from ours, so they are the same after a restart: ``channel-{id}``, ``rule-{id}``, and of a video in a folder
``{folder}${video}``. Searches answer with videos as they are in the folder of all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from appliance.clock import Clock
from appliance.domain.television import HeldCopy
from appliance.domain.units import ChannelId, RuleId, VideoId
from appliance.library.layout import is_video_id
from appliance.serve.dlna.didl import Folder, Item, Node
from appliance.serve.dlna.films import copy_of
from appliance.serve.dlna.listings import Listings
from appliance.serve.dlna.sides import Sides
from appliance.serve.dlna.soap import NO_SUCH_CONTAINER, NO_SUCH_OBJECT, Fault
from appliance.store import screens
from appliance.store.alphabet import alphabetical
from appliance.store.criteria import Field, Sort, Test
from appliance.store.engine import Store
from appliance.store.leases import Leases
from appliance.store.records import fold
from appliance.store.screens import Choice, ScreenVideo

ROOT, NEW, CHANNELS, RULES, WATCHED, ALL = "0", "new", "channels", "rules", "watched", "all"
_NAME = "Seedkeep"
_TITLES = {NEW: "Newest", CHANNELS: "Channels", RULES: "Rules", WATCHED: "Being watched", ALL: "All by name"}
_CHANNEL, _RULE = "channel-", "rule-"
NEWEST = 200
"""Videos in the folder of the newest."""
_RECENT, _MOST_RECENT = timedelta(days=14), 50
_BY_NAME = (Sort(Field.TITLE),)
_MOST_ID = 300


@dataclass(frozen=True, slots=True)
class Page:
    nodes: tuple[Node, ...]
    total: int


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A folder of videos: what is in it, and in which order unless another is asked for."""

    folder: Folder
    choice: Choice
    sorts: tuple[Sort, ...] = ()


Copies = Callable[[VideoId], HeldCopy | None]
"""The copy for televisions of a video, where there is one."""


class Tree:
    """See the module. Call it from the loop."""

    def __init__(
        self, store: Store, leases: Leases, listings: Listings, sides: Sides, clock: Clock, copies: Copies
    ) -> None:
        self._store, self._leases, self._listings = store, leases, listings
        self._sides, self._clock, self._copies = sides, clock, copies

    async def prepare(self) -> None:
        """Have the statements at hand for the folders that are opened first; reads no listing. Raises StoreError."""
        await self._store.read(screens.prepare, ((Choice(), _BY_NAME), (Choice(newest=NEWEST), ())))

    async def node(self, ident: str) -> Node:
        """Return a folder or a video by its id. Raises Fault 701."""
        folder, mark, video = ident.rpartition("$")
        if mark:
            if not is_video_id(video) or await self._folder(folder, count=False) is None:
                raise _gone()
            found = await self._store.read(screens.one, VideoId(video))
            if found is None:
                raise _gone()
            return (await self._items(folder, (found,), alone=True))[0]
        known = await self._folder(ident)
        if known is None:
            raise _gone()
        return known

    async def children(self, ident: str, sorts: tuple[Sort, ...], start: int, count: int) -> Page:
        """Return a page of a folder. Raises Fault 710 for a video, 701 for what is not there."""
        if "$" in ident:
            await self.node(ident)
            raise Fault(NO_SUCH_CONTAINER, "That is no folder.")
        match ident:
            case "0":
                found = await asyncio.gather(*map(self._folder, _TITLES))
                folders = [folder for folder in found if folder is not None]
            case "channels":
                folders = _in_order([_channel(one) for one in await self._listings.channels()], sorts)
            case "rules":
                folders = _in_order([_rule(one) for one in await self._listings.rules()], sorts)
            case _:
                return await self._page(await self._required(ident), True, sorts, start, count)
        return Page(tuple(folders[start : start + count]), len(folders))

    async def search(self, ident: str, test: Test, sorts: tuple[Sort, ...], start: int, count: int) -> Page:
        """Return a page of the videos below a folder that pass a test. Raises Fault 701, 710."""
        if "$" in ident:
            await self.node(ident)
            raise Fault(NO_SUCH_CONTAINER, "That is no folder.")
        if test is False:
            await self.node(ident)
            return Page((), 0)
        above = ident in (ROOT, CHANNELS, RULES)
        shelf = await self._required(ALL if above else ident)
        return await self._page(shelf, test, sorts, start, count, home=ALL)

    async def _page(
        self, shelf: _Shelf, test: Test, sorts: tuple[Sort, ...], start: int, count: int, home: str | None = None
    ) -> Page:
        choice = shelf.choice
        wanted = Choice(choice.channel, choice.rule, choice.among, choice.newest, test)
        ids = await self._listings.ids(wanted, sorts or shelf.sorts)
        cut = ids[start : start + count]
        found = await self._store.read(screens.videos, cut) if cut else ()
        return Page(await self._items(home or shelf.folder.id, found), len(ids))

    async def _items(self, folder: str, found: Sequence[ScreenVideo], *, alone: bool = False) -> tuple[Item, ...]:
        sides = await (self._sides.of_one(found[0]) if alone else self._sides.of(found))
        return tuple(
            Item(
                f"{folder}${video.id}",
                folder,
                video,
                None if folder == ALL else f"{ALL}${video.id}",
                side.captions,
                side.thumbnail is not None or video.has_picture,
                None if (held := self._copies(video.id)) is None else copy_of(held),
                side.hard,
            )
            for video, side in zip(found, sides, strict=True)
        )

    async def _required(self, ident: str) -> _Shelf:
        shelf = await self._shelf(ident)
        if shelf is None:
            raise _gone()
        return shelf

    async def _folder(self, ident: str, *, count: bool = True) -> Folder | None:
        match ident:
            case "0":
                return Folder(ROOT, "-1", _NAME, len(_TITLES))
            case "channels":
                return Folder(CHANNELS, ROOT, _TITLES[CHANNELS], len(await self._listings.channels()))
            case "rules":
                return Folder(RULES, ROOT, _TITLES[RULES], len(await self._listings.rules()))
            case _:
                shelf = await self._shelf(ident)
                if shelf is None or shelf.folder.children is not None or not count:
                    return None if shelf is None else shelf.folder
                children = len(await self._listings.ids(shelf.choice, shelf.sorts))
                return Folder(shelf.folder.id, shelf.folder.parent, shelf.folder.title, children)

    async def _shelf(self, ident: str) -> _Shelf | None:
        if len(ident) > _MOST_ID:
            return None
        match ident:
            case "new":
                return _Shelf(Folder(NEW, ROOT, _TITLES[NEW]), Choice(newest=NEWEST))
            case "all":
                return _Shelf(Folder(ALL, ROOT, _TITLES[ALL]), Choice(), _BY_NAME)
            case "watched":
                return _Shelf(Folder(WATCHED, ROOT, _TITLES[WATCHED]), Choice(among=await self._watched()))
            case _ if ident.startswith(_CHANNEL):
                return await self._among(ident, self._listings.channels, _channel)
            case _ if ident.startswith(_RULE):
                return await self._among(ident, self._listings.rules, _rule)
            case _:
                return None

    async def _among(
        self,
        ident: str,
        ask: Callable[[], Awaitable[tuple[screens.Folder, ...]]],
        drawn: Callable[[screens.Folder], Folder],
    ) -> _Shelf | None:
        for one in await ask():
            folder = drawn(one)
            if folder.id == ident:
                by_channel = ident.startswith(_CHANNEL)
                choice = Choice(channel=ChannelId(one.id)) if by_channel else Choice(rule=RuleId(one.id))
                return _Shelf(folder, choice)
        return None

    async def _watched(self) -> tuple[VideoId, ...]:
        """What is watched now, the latest first, then what was."""
        leases = sorted(self._leases.every(), key=lambda lease: lease.since, reverse=True)
        since = (self._clock.now() - _RECENT).date()
        before = await self._store.read(screens.watched, since, _MOST_RECENT)
        now = (lease.video for lease in leases)
        return tuple(dict.fromkeys([*now, *before]))[:_MOST_RECENT]


def _in_order(folders: list[Folder], sorts: tuple[Sort, ...]) -> list[Folder]:
    """Return folders by title where that is asked for, else as they are; a title is all that they have to sort by."""
    by = next((sort for sort in sorts if sort.field is Field.TITLE), None)
    if by is None:
        return folders
    titles = alphabetical([fold(folder.title) for folder in folders])
    rows = sorted(zip(titles, range(len(folders)), strict=True), reverse=by.descending)
    return [folders[number] for _, number in rows]


def _channel(one: screens.Folder) -> Folder:
    return Folder(_CHANNEL + quote(one.id, safe=""), CHANNELS, one.title, one.videos)


def _rule(one: screens.Folder) -> Folder:
    return Folder(_RULE + quote(one.id, safe=""), RULES, one.title, one.videos)


def _gone() -> Fault:
    return Fault(NO_SUCH_OBJECT, "There is no such object.")
