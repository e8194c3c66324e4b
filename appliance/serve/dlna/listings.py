"""Whole listings in order, remembered until the catalogue changes: a screen asks for the same one page after page.

Long ones are read again in the background after a change, and are a moment old until then (``remembered``). This
module also counts the changes, which is what control points know as SystemUpdateID; a listing that was given out old
counts as changed once more when it is read again, so that no screen keeps an old page for a new one.
"""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial

from appliance.clock import Clock
from appliance.domain.units import VideoId
from appliance.serve.dlna.remembered import Remembered
from appliance.store import screens
from appliance.store.criteria import Sort
from appliance.store.engine import Store, Touched
from appliance.store.screens import Choice, Folder

_MATTERS = frozenset({"listing", "detail", "pin_state", "wish", "channel", "rule", "plan", "cached"})
"""Kinds of change that a screen can see. Not ``video``: an origin's counters move with every view."""
_OF_RULES = frozenset({"rule", "plan"})
"""Those that change no folder but the rules': a plan is made every few minutes."""
EVERYWHERE = ("0", "new", "channels", "rules", "all")
"""The folders that change when nobody can say which."""
_CHANNELS, _RULES = "channels", "rules"
_EPOCH, _TICKS = 1_767_225_600, 16
"""2026 began, in seconds since 1970; numbers that a second has: changes come in bursts, and what is counted may not run
ahead of the clock, or it would go back when we start again. All of 32 bits last for eight years, and begin anew then
as UPnP has it."""


class Listings:
    """What is listed where. Call it from the loop; ``close`` ends its listening."""

    def __init__(self, store: Store, clock: Clock, changed: Callable[[], None]) -> None:
        """``changed`` is called on the loop after each change that a screen can see."""
        self._store, self._clock, self._changed = store, clock, changed
        self._containers: dict[str, int] = {}
        self._remembered = Remembered(clock, self._corrected)
        self._searching = asyncio.Lock()
        self._update = self._clocked()
        self._stop = store.listen(self._heard)

    @property
    def update_id(self) -> int:
        """A number that is another after each change, and larger than before a restart too."""
        return self._update % 2**32

    async def close(self) -> None:
        self._stop()
        await self._remembered.close()

    def containers(self) -> str:
        """Return the folders that changed since the start, each with the number of its last change (CDS, 2.5.21)."""
        return ",".join(f"{folder},{number % 2**32}" for folder, number in self._containers.items())

    def _clocked(self) -> int:
        return int((self._clock.now().timestamp() - _EPOCH) * _TICKS)

    def stir(self, *folders: str) -> None:
        """Count a change of these folders."""
        self._update = max(self._update + 1, self._clocked())
        self._containers.update(dict.fromkeys(folders, self._update))
        self._changed()

    def _heard(self, touched: Touched) -> None:
        kinds = frozenset(kind for kind, _ in touched) & _MATTERS
        if kinds:
            self._remembered.changed(_of_rules if kinds <= _OF_RULES else lambda _: True)
            self.stir(*_folders(kinds))

    def _corrected(self, key: Hashable) -> None:
        self.stir(*(("rules",) if _of_rules(key) else EVERYWHERE))

    async def ids(self, choice: Choice, sorts: tuple[Sort, ...]) -> tuple[VideoId, ...]:
        """Return all videos of a choice in order. Raises StoreError."""
        if choice.among == ():
            return ()
        read = partial(self._order, choice, sorts)
        return await self._remembered.get((choice, sorts), read, keep=choice.among is None)

    async def _order(self, choice: Choice, sorts: tuple[Sort, ...]) -> tuple[VideoId, ...]:
        """Searches are read one after the other: each takes what its asker makes it take, and who asks for many at
        once is not to keep the house from its catalogue."""
        if choice.test is True:
            return await self._store.read(screens.order, choice, sorts)
        async with self._searching:
            return await self._store.read(screens.order, choice, sorts)

    async def channels(self) -> tuple[Folder, ...]:
        """Return the followed channels by title. Raises StoreError."""
        return await self._remembered.get(_CHANNELS, partial(self._store.read, screens.channels), _videos)

    async def rules(self) -> tuple[Folder, ...]:
        """Return the rules in the owner's order. Raises StoreError."""
        return await self._remembered.get(_RULES, partial(self._store.read, screens.rules), _videos)


def _videos(folders: tuple[Folder, ...]) -> int:
    return sum(folder.videos for folder in folders)


def _of_rules(key: Hashable) -> bool:
    """Whether a plan can change what has this key."""
    match key:
        case (Choice(rule=rule), _):
            return rule is not None
        case _:
            return key == _RULES


def _folders(kinds: frozenset[str]) -> tuple[str, ...]:
    """Return the folders that change when things of these kinds do."""
    if kinds <= _OF_RULES:
        return ("rules",)
    return EVERYWHERE
