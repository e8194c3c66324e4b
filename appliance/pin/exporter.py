"""Exports of channels, one after the other: the loop, while ``library.export`` writes the folders.

This module keeps the queue and says how far each is.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from appliance.clock import Clock
from appliance.domain.channel import Trouble
from appliance.domain.export import Export, ExportState
from appliance.domain.units import ByteCount, ChannelId, Origin, VideoId
from appliance.errors import BadInput, SeedkeepError
from appliance.library.export import Folder, Stopped
from appliance.library.export_lists import Shown
from appliance.library.marker import Library
from appliance.library.readable import readable
from appliance.library.space import Floor
from appliance.store import channels
from appliance.store.engine import Store

_log = logging.getLogger(__name__)

KEPT = 20
"""So many exports are remembered, until the program ends."""
_BUSY = (ExportState.QUEUED, ExportState.RUNNING)


class Exporter:
    """Run ``run`` as one task. Folders lie below ``root``; the floor counts where that is on the library's disk."""

    def __init__(self, store: Store, library: Library, root: Path, floor: Callable[[], Floor], clock: Clock) -> None:
        self._store, self._library, self._root, self._floor, self._clock = store, library, root, floor, clock
        self._exports: dict[str, Export] = {}
        self._waiting: deque[str] = deque()
        self._wake = asyncio.Event()

    def exports(self) -> tuple[Export, ...]:
        """Return all exports that are remembered, the latest first."""
        return tuple(reversed(self._exports.values()))

    async def begin(self, channel: ChannelId, folder: str = "") -> Export:
        """Queue a channel's export into a folder of this name (empty: the channel's title).

        Raises BadInput where there is no such channel, nothing of it is held, or the folder is being written.
        """
        found = await self._store.read(channels.one, channel)
        if found is None:
            raise BadInput("There is no such channel.", field="channel", code="not_found")
        title = found.info.title or found.info.address.name
        held = await self._store.read(channels.held, channel)
        if not held:
            raise BadInput("Nothing of this channel is held whole yet.", field="channel")
        if folder and readable(folder, "") != folder:
            hint = "Name one folder: letters, digits, spaces; it is made below the folder for exports."
            raise BadInput("This is no name for a folder.", field="folder", hint=hint)
        name = folder or readable(f"{title} ({found.info.address.origin})", "Channel")
        known = self._exports.get(name)
        if known is not None and known.state in _BUSY:
            if known.channel != channel:
                raise BadInput("Another channel is being exported there.", field="folder")
            return known
        made = Export(
            folder=name,
            path=str(self._root / name),
            channel=channel,
            title=title,
            state=ExportState.QUEUED,
            begun_at=self._clock.now(),
            videos=len(held),
        )
        self._exports.pop(name, None)
        self._exports[name] = made
        self._waiting.append(name)
        self._forget()
        self._wake.set()
        return made

    async def run(self) -> None:
        """Write what is queued, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._one(self._waiting.popleft())

    async def _one(self, name: str) -> None:
        export = replace(self._exports[name], state=ExportState.RUNNING)
        self._exports[name] = export
        try:
            await self._write(export)
        except SeedkeepError as error:
            self._failed(name, Trouble(error.code, error.message, error.hint))
        except Exception:  # noqa: BLE001 - the edge of one unit of work: one export
            _log.exception("the export of %s failed", export.channel)
            self._failed(name, Trouble("bug", "The export failed inside Seedkeep; the log has the details."))

    def _failed(self, name: str, trouble: Trouble) -> None:
        self._exports[name] = replace(self._exports[name], state=ExportState.FAILED, trouble=trouble)

    async def _write(self, export: Export) -> None:
        held = await self._store.read(channels.held, export.channel)
        stop = threading.Event()
        folder = Folder(self._library, self._root, export.folder, self._floor(), stop.is_set)
        try:
            await asyncio.to_thread(self._fill, folder, export, held)
        except asyncio.CancelledError:
            stop.set()
            raise

    def _fill(self, folder: Folder, export: Export, held: tuple[tuple[Origin, VideoId], ...]) -> None:
        shown: list[Shown] = []
        with suppress(Stopped), folder.opened() as descriptor:
            for number, (origin, video) in enumerate(held, 1):
                one = folder.add(descriptor, origin, video)
                if one is not None:
                    shown.append(one)
                self._note(folder, export, number)
            folder.finish(descriptor, export.title, shown)
            self._note(folder, export, len(held), ExportState.DONE)

    def _note(self, folder: Folder, export: Export, done: int, state: ExportState = ExportState.RUNNING) -> None:
        tally = folder.tally
        self._exports[export.folder] = replace(
            export,
            state=state,
            done=done,
            linked=ByteCount(tally.linked),
            copied=ByteCount(tally.copied),
            present=ByteCount(tally.present),
            left=tuple(tally.left[:100]),
        )

    def _forget(self) -> None:
        for name in [name for name, one in self._exports.items() if one.state not in _BUSY]:
            if len(self._exports) <= KEPT:
                return
            del self._exports[name]
