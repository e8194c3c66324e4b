"""Whole listings in order, remembered until the catalogue changes: a screen asks for the same one page after page.

This module also counts the changes, which is what control points know as SystemUpdateID.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from appliance.clock import Clock
from appliance.domain.units import VideoId
from appliance.store import screens
from appliance.store.engine import Session, Store, Touched
from appliance.store.screens import Choice, Folder, Sort

T = TypeVar("T")

_MOST_LISTS, _MOST_IDS = 24, 400_000
_MATTERS = frozenset({"listing", "detail", "pin_state", "wish", "channel", "rule", "plan", "cached"})
"""Kinds of change that a screen can see. Not ``video``: an origin's counters move with every view."""
_OF_RULES = frozenset({"rule", "plan"})
"""Those that change no folder but the rules': a plan is made every few minutes."""
EVERYWHERE = ("0", "new", "channels", "rules", "all")
"""The folders that change when nobody can say which."""
_EPOCH = 1_767_225_600
"""2026 began; seconds since 1970."""


class Listings:
    """What is listed where. Call it from the loop; ``close`` ends its listening."""

    def __init__(self, store: Store, clock: Clock, changed: Callable[[], None]) -> None:
        """``changed`` is called on the loop after each change that a screen can see."""
        self._store, self._clock, self._changed = store, clock, changed
        self._containers: dict[str, int] = {}
        self._lists: OrderedDict[tuple[Choice, tuple[Sort, ...]], tuple[VideoId, ...]] = OrderedDict()
        self._reading: dict[tuple[Choice, tuple[Sort, ...]], asyncio.Task[tuple[VideoId, ...]]] = {}
        self._folders: dict[str, tuple[Folder, ...]] = {}
        self._turn = 0
        self._update = int(clock.now().timestamp()) - _EPOCH
        self._stop = store.listen(self._heard)

    @property
    def update_id(self) -> int:
        """A number that is another after each change, and larger than before a restart too."""
        return self._update % 2**32

    async def close(self) -> None:
        self._stop()
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def containers(self) -> str:
        """Return the folders that changed since the start, each with the number of its last change (CDS, 2.5.21)."""
        return ",".join(f"{folder},{number % 2**32}" for folder, number in self._containers.items())

    def stir(self, *folders: str) -> None:
        """Count a change of these folders."""
        self._update = max(self._update + 1, int(self._clock.now().timestamp()) - _EPOCH)
        self._containers.update(dict.fromkeys(folders, self._update))
        self._changed()

    def _heard(self, touched: Touched) -> None:
        kinds = frozenset(kind for kind, _ in touched) & _MATTERS
        if kinds:
            self._turn += 1
            self._reading.clear()  # who asks from now on wants what is there now
            if kinds <= _OF_RULES:
                self._lists = OrderedDict((key, ids) for key, ids in self._lists.items() if key[0].rule is None)
                self._folders.pop("rules", None)
            else:
                self._lists.clear()
                self._folders.clear()
            self.stir(*_folders(kinds))

    async def ids(self, choice: Choice, sorts: tuple[Sort, ...]) -> tuple[VideoId, ...]:
        """Return all videos of a choice in order; all who ask for the same at once share one reading."""
        key = (choice, sorts)
        if key in self._lists:
            self._lists.move_to_end(key)
            return self._lists[key]
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(choice, sorts), name="a listing")
            task.add_done_callback(lambda done: self._reading.pop(key) if self._reading.get(key) is done else None)
        return await asyncio.shield(task)

    async def _read(self, choice: Choice, sorts: tuple[Sort, ...]) -> tuple[VideoId, ...]:
        turn = self._turn
        found = await self._store.read(screens.order, choice, sorts)
        if turn == self._turn and choice.among is None:
            self._lists[choice, sorts] = found
            while len(self._lists) > _MOST_LISTS or sum(map(len, self._lists.values())) > _MOST_IDS:
                self._lists.popitem(last=False)
        return found

    async def channels(self) -> tuple[Folder, ...]:
        return await self._known("channels", screens.channels)

    async def rules(self) -> tuple[Folder, ...]:
        return await self._known("rules", screens.rules)

    async def _known(self, name: str, ask: Callable[[Session], tuple[Folder, ...]]) -> tuple[Folder, ...]:
        if name in self._folders:
            return self._folders[name]
        turn = self._turn
        found = await self._store.read(ask)
        if turn == self._turn:
            self._folders[name] = found
        return found


def _folders(kinds: frozenset[str]) -> tuple[str, ...]:
    """Return the folders that change when things of these kinds do."""
    if kinds <= _OF_RULES:
        return ("rules",)
    return EVERYWHERE
