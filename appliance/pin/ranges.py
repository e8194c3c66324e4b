"""The files of one open video that come by HTTP range, each checked against the origin's list of hashes: this module
fetches them side by side.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

from appliance.domain.shelf import ByteMap
from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.errors import SeedkeepError, SwarmError
from appliance.library.files import Draft
from appliance.library.manifest import Manifest, RenditionRecord
from appliance.library.marker import Library
from appliance.outbound.fetch import Fetcher
from appliance.pin.assembly import Gathered
from appliance.pin.patchwork import Patch, Patchwork, patches

_log = logging.getLogger(__name__)

T = TypeVar("T")
PATCH_SECONDS = 300.0
"""The longest one range may take; our own limit is not counted."""


class OpenRanges:
    """``spend`` is told of the bytes that came, ``stirred`` when a file is whole or its fetching ended."""

    def __init__(
        self,
        library: Library,
        fetcher: Fetcher,
        gathered: Gathered,
        spend: Callable[[VideoId, RenditionName, int], None],
        stirred: Callable[[], None],
    ) -> None:
        self._library, self._fetcher, self._gathered = library, fetcher, gathered
        self._spend, self._stirred = spend, stirred
        self._video = gathered.manifest.video
        self._works: dict[str, Patchwork] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, SeedkeepError] = {}
        self._drafts = AsyncExitStack()
        self.taken = 0
        """Bytes that came, usable or not."""

    @property
    def done(self) -> ByteCount:
        """Verified bytes."""
        return ByteCount(sum(w.done for w in self._works.values()))

    @property
    def busy(self) -> bool:
        return any(not run.done() for run in self._runs.values())

    @property
    def whole(self) -> bool:
        return all(w.whole for w in self._works.values())

    @property
    def failure(self) -> SeedkeepError | None:
        """What ended the fetching of a file."""
        return next(iter(self._failures.values()), None)

    def has_whole(self, record: RenditionRecord) -> bool:
        """Tell whether every file of a rendition comes by range and is here."""
        return bool(record.files) and all(f.name in self._works and self._works[f.name].whole for f in record.files)

    def file(self, name: str) -> Patchwork | None:
        """Return the work on a file, None where it does not come by range."""
        return self._works.get(name)

    async def add(self, record: RenditionRecord, listed: Manifest) -> None:
        """Open the files of a rendition, which ``listed`` has, and verify what lies there. Raises SeedkeepError."""
        for file in record.files:
            opening = self._drafts.enter_async_context(Draft(self._library, listed, file.name))
            draft = await to_its_end(opening)
            bytemap = self._gathered.bytemaps.get(RenditionName(record.name))
            parts = patches(file.name, ByteCount(file.size), bytemap, self._gathered.hashes.get(file.name, {}))
            _require_hashes(record, parts, bytemap)
            fetch = partial(self._range, file.url, RenditionName(record.name))
            work = Patchwork(draft, ByteCount(file.size), parts, fetch)
            await work.verify()
            self._works[file.name] = work

    async def _range(self, url: str, name: RenditionName, first: int, last: int) -> bytes:
        data = await self._fetcher.get_range(url, first, last, timeout=PATCH_SECONDS)
        self.taken += len(data)
        self._spend(self._video, name, len(data))
        return data

    def start(self) -> None:
        """Begin to fetch what is missing, or go on where that had ended."""
        for name, work in self._works.items():
            run = self._runs.get(name)
            if not work.whole and (run is None or run.done()):
                self._failures.pop(name, None)
                self._runs[name] = asyncio.create_task(self._run(name, work), name=f"fetch {self._video} {name}")

    async def _run(self, name: str, work: Patchwork) -> None:
        try:
            await work.run()
        except SeedkeepError as error:
            self._failures[name] = error
        except Exception as error:  # noqa: BLE001 - the edge of one unit of work: one file
            _log.exception("fetching %s of %s failed", name, self._video)
            self._failures[name] = SeedkeepError(
                "Something went wrong inside Seedkeep.", hint=f"The log has the details ({type(error).__name__})."
            )
        finally:
            self._stirred()

    async def stop(self) -> None:
        """Fetch no more; what came stays."""
        for run in self._runs.values():
            run.cancel()
        await asyncio.gather(*self._runs.values(), return_exceptions=True)
        self._runs.clear()

    async def close(self) -> None:
        await self.stop()
        await self._drafts.aclose()


def _require_hashes(record: RenditionRecord, parts: tuple[Patch, ...], bytemap: ByteMap | None) -> None:
    """Raise SwarmError where what should come by torrent, and does not, could not be checked segment by segment."""
    spans = {(s.offset, s.offset + s.length - 1) for s in (() if bytemap is None else bytemap.segments)}
    if record.torrent is not None and any(p.sha256 is None and (p.first, p.last) in spans for p in parts):
        raise SwarmError(
            "Another video here has the same torrent, and this one has no hashes of its own.",
            hint="It is tried again by itself; until then play the other one.",
        )


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Do work to its end even where the caller is cancelled meanwhile: it holds files that must be closed."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
