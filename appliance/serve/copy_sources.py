"""What copies for televisions of pinned videos would be made of: this module reads it, and remembers it.

Reading it opens every rendition's files; it holds until the video's pin changes.
"""

import asyncio
import logging
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from appliance.domain.units import Origin, VideoId
from appliance.errors import DiskError, SeedkeepError
from appliance.library import files
from appliance.library.manifest import Manifest, to_playable
from appliance.library.marker import Library
from appliance.serve.insides import insides_of
from appliance.serve.wanted_copies import Recipe, recipe
from appliance.store import videos
from appliance.store.engine import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A pinned video: where its files are, and what a copy would be made of, if it needs one."""

    folder: Path
    recipe: Recipe | None


class CopySources:
    """See the module. Call it from the loop."""

    def __init__(self, store: Store, library: Library) -> None:
        self._store, self._library = store, library
        self._known: dict[VideoId, Source] = {}

    def known(self, video: VideoId) -> Source | None:
        """Return what was read and still holds."""
        return self._known.get(video)

    def recipe(self, video: VideoId) -> Recipe | None:
        """Return the recipe for a video, None where it needs no copy or was not read."""
        known = self._known.get(video)
        return None if known is None else known.recipe

    async def read(self, video: VideoId) -> Source:
        """Return what is known of a pinned video, read where it is not.

        Raises LibraryMissing, DiskError, StoreError.
        """
        known = self._known.get(video)
        if known is None:
            record = await self._store.read(videos.one, video)
            known = Source(self._library.root, None)
            if record is not None:
                known = await asyncio.to_thread(_examine, self._library, record.summary.origin, video)
            self._known[video] = known
        return known

    def forget(self, video: VideoId) -> None:
        self._known.pop(video, None)

    def forget_all(self) -> None:
        self._known.clear()

    def keep(self, pinned: AbstractSet[VideoId]) -> None:
        """Forget all others."""
        for video in self._known.keys() - pinned:
            del self._known[video]


def _examine(library: Library, origin: Origin, video: VideoId) -> Source:
    """Read what a pinned video is made of. Raises LibraryMissing, DiskError."""
    folder = library.folder(origin, video)
    try:
        manifest = files.load(library, origin, video)
    except DiskError:
        raise
    except SeedkeepError as error:
        _log.info("The record of %s cannot be read: %s", video, error.message)
        manifest = None
    return Source(folder, None if manifest is None else _recipe(library, manifest, folder))


def _recipe(library: Library, manifest: Manifest, folder: Path) -> Recipe | None:
    shown = to_playable(manifest, files.read_bytemaps(library, manifest), frozenset())
    found = {r.name: inside for r in shown.renditions if (inside := insides_of(folder, r)) is not None}
    return recipe(shown.renditions, found, manifest.duration)
