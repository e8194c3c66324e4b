"""Films, built when they are asked for: this module chooses how one is laid out and keeps what was built for a while.

A film of files that are all held is *classic*, one of files still arriving, or read too slowly, *indexed*. A viewer who
began with one goes on with it: a player that reads on after a pause would mix them up otherwise.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from appliance.domain.shelf import NotPlayable, Playable, PlayableFile, PlayableRendition, ReadyShelf, Segment
from appliance.domain.units import VideoId
from appliance.serve.film.at_hand import AtHand
from appliance.serve.film.boxes import Box, NoRoom, malformed
from appliance.serve.film.classic import classic_layout, disk_reader
from appliance.serve.film.fragments import MOST_HEAD, Want, next_moof
from appliance.serve.film.indexed import Opening, Renumbering, indexed_layout, mended
from appliance.serve.film.layout import Footage, Layout
from appliance.serve.film.movie import MOST_INIT
from appliance.serve.film.reels import Strip, strip_of
from appliance.serve.film.refusals import Refusals
from appliance.serve.film.size import film_offer, sound_of
from appliance.serve.source import MediaPool, Source

KEPT = 32 * 1024 * 1024
"""Bytes of built films that are kept; a film of two hours weighs four million."""
STICKY_SECONDS = 3600.0
"""How long a viewer who asks nothing keeps the layout begun with: a film may be paused."""
_MOST_CHOICES = 1000
MOST_HEADS = 64
_MOST_MENDED = 4 * 1024 * 1024
"""Bytes of a segment that is rewritten in passing."""
_MOST_SEGMENTS = 4
"""Rewritten segments kept of one film."""
PATIENCE = 8.0
"""Seconds that a viewer waits for a classic film: a disk that has to seek for each fragment takes longer for a long
one. The viewer gets an indexed one then; the classic one goes on being built for the next."""
_AT_ONCE = 2
"""Films being built at once; each reads all over a disk."""
_EDITION = "1"
"""Changed when films of the same files come out with other bytes."""


class _NotHeld(NotPlayable):
    """A file of a classic film has gone since."""


class Form(StrEnum):
    CLASSIC = "classic"
    INDEXED = "indexed"
    JOINED = "joined"


@dataclass(slots=True)
class Film:
    """One progressive file. ``identity`` never changes while its bytes do not."""

    identity: str
    content_type: str
    layout: Layout
    rewriting: dict[str, Renumbering] = field(default_factory=dict)
    _mended: OrderedDict[tuple[str, int], bytes] = field(default_factory=OrderedDict)

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes, about."""
        return self.layout.weight + sum(map(len, self._mended.values()))

    async def mended(self, footage: Footage, source: Source) -> bytes:
        """Return a segment, or its beginning, as this film has it. Raises NotPlayable, Left."""
        key = footage.file.name, footage.offset
        found = self._mended.get(key)
        if found is None:
            if footage.length > _MOST_MENDED:
                malformed("a segment is too large")
            segment = await exactly(source, footage.offset, footage.length)
            found = await asyncio.to_thread(mended, segment, self.rewriting[footage.file.name])
            self._mended[key] = found
            while len(self._mended) > _MOST_SEGMENTS:
                self._mended.popitem(last=False)
        return found


OpenFile = Callable[[PlayableFile, int], Awaitable[Source]]
"""(file, its first byte that will be read): opens it. Raises NotPlayable, Left."""
_Key = tuple[Form, tuple[PlayableFile, ...], int]


@dataclass(frozen=True, slots=True)
class _Order:
    """What a film is to be made of."""

    playable: Playable
    parts: tuple[PlayableRendition, ...]
    size: int
    content_type: str

    @property
    def video(self) -> VideoId:
        return self.playable.video

    @property
    def files(self) -> tuple[PlayableFile, ...]:
        return tuple(f for part in self.parts for f in part.files)

    def key(self, form: Form) -> _Key:
        return form, self.files, self.size

    def film(self, form: Form, layout: Layout, rewriting: dict[str, Renumbering] | None = None) -> Film:
        identity = "\n".join((_EDITION, form, *(f.identity for f in self.files)))
        return Film(identity, self.content_type, layout, rewriting or {})


class Films:
    """See the module. Call it from the loop; close it."""

    def __init__(self, shelf: ReadyShelf, pool: MediaPool, *, patience: float = PATIENCE) -> None:
        self._shelf, self._pool, self._patience = shelf, pool, patience
        self._kept: OrderedDict[_Key, Film] = OrderedDict()
        self._building: dict[_Key, asyncio.Task[Film]] = {}
        self._choices: OrderedDict[tuple[str, tuple[PlayableFile, ...]], tuple[Form, float]] = OrderedDict()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._refused = Refusals()

    async def film(self, playable: Playable, rendition: PlayableRendition, viewer: str, open_file: OpenFile) -> Film:
        """Return the film of a rendition of fragments, or of transport stream segments. Raises NotPlayable, Left.

        ``viewer`` tells viewers apart; ``open_file`` opens a file that is still arriving.
        """
        order = _order(playable, rendition)
        if film_kind(rendition) == "ts":
            film = self._kept.get(order.key(Form.JOINED)) or await self._build(order, Form.JOINED, open_file)
            self._keep(order.key(Form.JOINED), film)
            return film
        form = self._chosen(viewer, order.files) or await self._form(order)
        try:
            async with asyncio.timeout(None if form is Form.INDEXED else self._patience):
                film = self._kept.get(order.key(form)) or await self._build(order, form, open_file)
        except (NoRoom, _NotHeld, TimeoutError):
            if form is Form.INDEXED:
                raise
            form = Form.INDEXED
            film = self._kept.get(order.key(form)) or await self._build(order, form, open_file)
        self._keep(order.key(form), film)
        self._choose(viewer, order.files, form)
        return film

    def close(self) -> None:
        """Give up what is being built."""
        for task in self._building.values():
            task.cancel()

    def _chosen(self, viewer: str, files: tuple[PlayableFile, ...]) -> Form | None:
        found = self._choices.get((viewer, files))
        now = asyncio.get_running_loop().time()
        return found[0] if found is not None and now - found[1] < STICKY_SECONDS else None

    def _choose(self, viewer: str, files: tuple[PlayableFile, ...], form: Form) -> None:
        self._choices[viewer, files] = form, asyncio.get_running_loop().time()
        self._choices.move_to_end((viewer, files))
        while len(self._choices) > _MOST_CHOICES:
            self._choices.popitem(last=False)

    def _keep(self, key: _Key, film: Film) -> None:
        self._kept[key] = film
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(f.weight for f in self._kept.values()) > KEPT:
            self._kept.popitem(last=False)

    async def _form(self, order: _Order) -> Form:
        for file in order.files:
            if await self._path(order.video, file) is None:
                return Form.INDEXED
        return Form.CLASSIC

    async def _path(self, video: VideoId, file: PlayableFile) -> Path | None:
        known = self._shelf.file_now(video, file.name)
        if known is not None:
            return known
        place = await self._shelf.file(video, file.name)
        if isinstance(place, Path):
            return place
        await place.close()
        return None

    async def _build(self, order: _Order, form: Form, open_file: OpenFile) -> Film:
        key = order.key(form)
        self._refused.check(key)
        if form is not Form.CLASSIC:
            try:
                return await (self._indexed(order, open_file) if form is Form.INDEXED else self._joined(order))
            except NotPlayable as error:
                self._refused.note(key, error)
                raise
        task = self._building.get(key)
        if task is None:
            task = asyncio.create_task(self._classic(order), name=f"film {order.video}")
            self._building[key] = task
            task.add_done_callback(lambda done: self._built(key, done))
        return await asyncio.shield(task)

    def _built(self, key: _Key, task: asyncio.Task[Film]) -> None:
        self._building.pop(key, None)
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self._keep(key, task.result())  # also when all who asked have left
        else:
            self._refused.note(key, error)

    async def _classic(self, order: _Order) -> Film:
        async with self._turn:
            strips = await self._strips(order)
            paths = {file: await self._path(order.video, file) for file in order.files}
            layout = await self._pool.run(lambda: _read_classic(strips, order.size, paths))
            return order.film(Form.CLASSIC, layout)

    async def _indexed(self, order: _Order, open_file: OpenFile) -> Film:
        strips = await self._strips(order)
        openings = await _all_openings(strips, open_file)
        layout, rewriting = await self._pool.run(lambda: indexed_layout(strips, openings, order.size))
        return order.film(Form.INDEXED, layout, rewriting)

    async def _joined(self, order: _Order) -> Film:
        return order.film(Form.JOINED, await self._pool.run(lambda: _joined(order)))

    async def _strips(self, order: _Order) -> list[Strip]:
        """In a thread: an origin may have cut hours into seconds."""
        return await self._pool.run(lambda: [strip_of(part) for part in order.parts])


def _order(playable: Playable, rendition: PlayableRendition) -> _Order:
    sound = sound_of(rendition, playable.renditions)
    parts = (rendition,) if sound is None else (rendition, sound)
    offer = film_offer(rendition, playable.renditions, playable.duration, in_parts=film_kind(rendition) == "ts")
    return _Order(playable, parts, offer.size, offer.content_type)


def film_kind(rendition: PlayableRendition) -> str:
    """Return how the address of a rendition's film ends: ``ts`` for transport stream segments, else ``mp4``."""
    return "ts" if rendition.bytemap is not None and rendition.bytemap.init is None else "mp4"


def _joined(order: _Order) -> Layout:
    """Return transport stream segments end to end, each file once, in play order. Raises NotPlayable."""
    (rendition,) = order.parts[:1]
    files = {f.name: f for f in rendition.files}
    segments = rendition.bytemap.segments if rendition.bytemap is not None else ()
    names = dict.fromkeys(s.file for s in segments)
    if not all(name in files for name in names):
        malformed("its playlist does not fit its files")
    layout = Layout(Footage(files[name], 0, files[name].size) for name in names)
    if layout.size != order.size:
        malformed("its playlist does not fit its files")
    return layout


def _read_classic(strips: Sequence[Strip], size: int, paths: dict[PlayableFile, Path | None]) -> Layout:
    """Build in a thread. Raises NotPlayable."""
    there = {file: path for file, path in paths.items() if path is not None}
    if len(there) < len(paths):
        raise _NotHeld("file_missing", "The file is not on the disk any more.", "Try again.", 503)
    with AtHand(there) as descriptors:
        try:
            return classic_layout(strips, size, *disk_reader(descriptors))
        except OSError as error:
            raise NotPlayable("file_unreadable", "The file cannot be read.", "Look at the disk.", 503) from error


async def _all_openings(strips: Sequence[Strip], open_file: OpenFile) -> list[Opening]:
    """Read the beginnings of pictures and sound side by side: each waits for others' answers most of its time."""
    reading = [asyncio.ensure_future(_opening(strip, open_file)) for strip in strips]
    try:
        return await asyncio.gather(*reading)
    finally:
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)


async def _opening(strip: Strip, open_file: OpenFile) -> Opening:
    """Read what an index needs of a strip: no more of the first segment than the head of its first fragment."""
    first = strip.segments[0]
    source = await open_file(strip.files[strip.init.file], strip.init.offset)
    try:
        init = await exactly(source, strip.init.offset, min(strip.init.length, MOST_INIT + 1))
        if first.file == strip.init.file:
            return await _beginning(init, first, source)
    finally:
        await source.close()
    source = await open_file(strip.files[first.file], first.offset)
    try:
        return await _beginning(init, first, source)
    finally:
        await source.close()


async def _beginning(init: bytes, first: Segment, source: Source) -> Opening:
    """Read the first segment up to its first fragment."""
    head = b""
    while True:
        match next_moof(head, 0, 0, first.length):
            case Box() as moof:
                return Opening(init, head, moof)
            case Want(offset, length) if len(head) < (end := min(offset + length, first.length)) <= MOST_HEAD:
                head += await exactly(source, first.offset + len(head), end - len(head))
            case _:
                malformed("its first segment has no fragment")


async def exactly(source: Source, offset: int, length: int) -> bytes:
    """Return these bytes of a file. Raises NotPlayable, Left."""
    data = b""
    while len(data) < length:
        data += await source.read(offset + len(data), length - len(data))
    return data
