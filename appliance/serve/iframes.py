"""What is to be told of held fragments beyond their playlist: this module reads it once and remembers it.

Which single pictures can be cut out (for I-frame playlists, RFC 8216 4.3.3.6), and whether each segment can be begun
with (4.3.5.1). Reading a segment's head for each few seconds of a film is quick where the disk's cache has it, and long
where it does not: so nobody waits for it but one who asks for the list itself.
"""

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from appliance.domain.shelf import ByteMap, NotPlayable, Playable, PlayableFile, PlayableRendition, ReadyShelf, Segment
from appliance.domain.units import RenditionName
from appliance.domain.video import RenditionKind
from appliance.serve.film.movie import MOST_INIT, Track
from appliance.serve.key_pictures import Opening, opening_of, picture_track, stills_of
from appliance.serve.playlist import Findings
from appliance.serve.source import MediaPool, opened

log = logging.getLogger(__name__)

GLANCE = 0.1
"""Seconds that an answer waits for what is better said than not."""
_AT_ONCE = 200
"""Segments read in one turn of a thread; others get theirs between."""
_MOST_KEPT = 40_000
"""Segments remembered: some 20 films of two hours. One weighs 200 bytes."""
_MOST_WAITING = 16
_NOTHING = Findings()

_Key = tuple[PlayableFile, ...]


class IFrames:
    """See the module. Call it from the loop; close it."""

    def __init__(self, shelf: ReadyShelf, pool: MediaPool) -> None:
        self._shelf, self._pool = shelf, pool
        self._kept: OrderedDict[_Key, tuple[Findings, int]] = OrderedDict()
        self._weight = 0
        self._reading: dict[_Key, asyncio.Task[Findings | None]] = {}
        self._turn = asyncio.Semaphore(1)

    async def soon(self, playable: Playable, renditions: Sequence[PlayableRendition]) -> dict[RenditionName, Findings]:
        """Return what is known of all renditions of a video within a moment; the rest of ``renditions`` is read on."""
        unread = [r for r in renditions if r.files not in self._reading]  # what took longer than a moment once
        begun = [t for r in unread if (t := self._begin(playable, r, most=_MOST_WAITING)) is not None]
        if begun:
            await asyncio.wait(begun, timeout=GLANCE)
        known = ((r.name, self._kept.get(r.files)) for r in playable.renditions)
        return {name: found[0] for name, found in known if found is not None}

    async def findings(self, playable: Playable, rendition: PlayableRendition) -> Findings:
        """Return all that a rendition's fragments say, read now if need be; nothing where they are not held."""
        known = self._kept.get(rendition.files)
        if known is not None:
            return known[0]
        reading = self._begin(playable, rendition, most=10 * _MOST_WAITING)
        return (await asyncio.shield(reading) if reading is not None else None) or _NOTHING

    def close(self) -> None:
        """Give up what is being read."""
        for task in self._reading.values():
            task.cancel()

    def _begin(
        self, playable: Playable, rendition: PlayableRendition, most: int
    ) -> "asyncio.Task[Findings | None] | None":
        """Return the reading of a rendition; None where it was read, is not held, or too many wait."""
        key, bytemap = rendition.files, rendition.bytemap
        if key in self._kept:
            self._kept.move_to_end(key)
            return None
        if key in self._reading:
            return self._reading[key]
        fragmented = rendition.kind is RenditionKind.HLS and bytemap is not None and bytemap.init is not None
        if bytemap is None or not fragmented or not rendition.has_video or len(self._reading) >= most:
            return None
        paths = self._held(playable, rendition)
        if paths is None:
            return None
        task = asyncio.create_task(self._read(bytemap, paths), name=f"key pictures of {playable.video}")
        self._reading[key] = task
        task.add_done_callback(partial(self._done, key, len(bytemap.segments)))
        return task

    def _held(self, playable: Playable, rendition: PlayableRendition) -> dict[str, tuple[Path, PlayableFile]] | None:
        out: dict[str, tuple[Path, PlayableFile]] = {}
        for file in rendition.files:
            path = self._shelf.file_now(playable.video, file.name)
            if path is None:
                return None
            out[file.name] = path, file
        return out

    def _done(self, key: _Key, segments: int, task: "asyncio.Task[Findings | None]") -> None:
        self._reading.pop(key, None)
        if task.cancelled():
            return
        if (fault := task.exception()) is not None:
            log.error("Reading fragments failed", exc_info=fault)
            return
        found = task.result()
        if found is None:
            return
        weight = segments if found.stills is not None else 1
        self._kept[key] = found, weight
        self._weight += weight
        while self._weight > _MOST_KEPT and len(self._kept) > 1:
            self._weight -= self._kept.popitem(last=False)[1][1]

    async def _read(self, bytemap: ByteMap, paths: dict[str, tuple[Path, PlayableFile]]) -> Findings | None:
        """Read all segments' beginnings, a share at a time. None where the disk does not give them.

        Nothing is read ahead: a player that begins meanwhile goes before it on a slow disk.
        """
        openings: list[Opening] = []
        async with self._turn:
            try:
                track = await self._pool.run(partial(_track, bytemap, paths))
                if track is None:
                    return _NOTHING
                for first in range(0, len(bytemap.segments), _AT_ONCE):
                    share = bytemap.segments[first : first + _AT_ONCE]
                    openings += await self._pool.run(partial(_openings, share, track, paths))
            except _BadMedia:
                return _NOTHING
            except OSError:
                return None  # whoever asks for the media itself is told
        return Findings(stills_of(bytemap, openings), independent=all(o.is_key for o in openings))


class _BadMedia(Exception):
    """The fragments are not what they should be; reading them again helps nothing."""


class _Files:
    """Reads from a rendition's files, one of which is open at a time: segments lie one after another."""

    def __init__(self, paths: dict[str, tuple[Path, PlayableFile]]) -> None:
        self._paths, self._name, self._fd = paths, "", -1

    def read(self, name: str, offset: int, length: int) -> bytes:
        if name != self._name:
            found = self._paths.get(name)
            if found is None:
                raise _BadMedia
            self.close()
            try:
                self._fd, self._name = opened(found[0], found[1].size, None), name
            except NotPlayable as error:
                raise OSError("the file is not on the disk") from error
        data = os.pread(self._fd, length, offset)
        if len(data) != length:
            raise OSError("the file is shorter than it should be")
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._name = -1, ""


def _track(bytemap: ByteMap, paths: dict[str, tuple[Path, PlayableFile]]) -> Track | None:
    init = bytemap.init
    if init is None or init.length > MOST_INIT:
        return None
    with closing(_Files(paths)) as files:
        data = files.read(init.file, init.offset, init.length or paths[init.file][1].size)
    try:
        return picture_track(data)
    except NotPlayable as error:
        raise _BadMedia from error


def _openings(segments: Sequence[Segment], track: Track, paths: dict[str, tuple[Path, PlayableFile]]) -> list[Opening]:
    out = []
    with closing(_Files(paths)) as files:
        for segment in segments:
            try:
                out.append(opening_of(segment, track, partial(files.read, segment.file)))
            except NotPlayable as error:
                raise _BadMedia from error
    return out
