"""One request for a part of an opened video: this module answers it, whichever part it is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from appliance.domain.shelf import NotPlayable, Playable, PlayableCaption, PlayableFile, PlayableRendition, ReadyShelf
from appliance.domain.television import HeldCopy
from appliance.domain.units import RenditionName, VideoId
from appliance.domain.video import RenditionKind
from appliance.serve.delivery import Delivery
from appliance.serve.exchange import Exchange
from appliance.serve.film.films import Films, film_kind
from appliance.serve.film.headers import asks_for_captions, film_headers
from appliance.serve.film.size import plain_type
from appliance.serve.film.source import FilmSource
from appliance.serve.heads import Heads, shifted
from appliance.serve.iframes import IFrames
from appliance.serve.playlist import (
    caption_playlist,
    master_playlist,
    offered_captions,
    rendition_playlist,
    stills_playlist,
    wound_through,
)
from appliance.serve.ranges import Answer, Headers, answer, entity_tag
from appliance.serve.source import ArrivingSource, MediaPool, Source
from appliance.store.audience import Audience

HLS = "application/vnd.apple.mpegurl"
SMALL_FILE = 8 * 1024 * 1024
LISTED = 0.3
"""Seconds that a player waits for the list of subtitles of a video that is not held."""
RENEWAL = 15.0
"""Seconds of one long answer after which its viewer's lease is renewed."""

_TYPES = {"mp4": "video/mp4", "ts": "video/mp2t", "m4s": "video/iso.segment", "webm": "video/webm"}
LASTING = b"private, max-age=3600"

Count = Callable[[VideoId, RenditionName, bool, int], None]
"""(video, rendition, to the LAN, bytes given); rendition is empty for playlists and pictures."""

Throttle = Callable[[bool, int], Awaitable[None]]
"""(to the LAN, bytes): waits until so many bytes may go out."""

Seen = Callable[[str, VideoId, int], None]
"""(viewer on the LAN, video, bytes): that screen took so many bytes of it."""


class Leases(Protocol):
    def renew(self, video: VideoId, holder: str) -> None:
        """Say that ``holder`` watches ``video`` now."""
        ...


class Copied(Protocol):
    """Where copies for televisions are found."""

    def held(self, video: VideoId) -> HeldCopy | None:
        """Return the copy of a video, if there is one."""
        ...

    async def played(self, video: VideoId) -> None:
        """Say that a copy is being played."""
        ...


@dataclass(frozen=True, slots=True)
class MediaHouse:
    """What answering stands on."""

    shelf: ReadyShelf
    leases: Leases
    count: Count
    throttle: Throttle
    patience: float
    seen: Seen
    pool: MediaPool
    films: Films
    heads: Heads
    iframes: IFrames
    copies: Copied | None
    audience: Audience


async def tell(
    house: MediaHouse, exchange: Exchange, video: VideoId, data: bytes, content_type: str, cache: bytes
) -> None:
    """Answer with a playlist, a picture or subtitles, all of it at once."""
    lan = exchange.viewer.is_lan
    if not lan:
        await house.throttle(lan, len(data))
    sent = await exchange.text(data, content_type, cache)
    if sent:
        house.count(video, RenditionName(""), lan, sent)


@dataclass(frozen=True, slots=True)
class MediaRequest:
    """One request for a part of an opened video."""

    house: MediaHouse
    exchange: Exchange
    playable: Playable

    async def respond(self, rest: tuple[str, ...]) -> None:
        """Answer for what ``rest``, the address below the video's, names. Raises NotPlayable."""
        match rest:
            case ["file", name]:
                return await self.file(name)
            case ["captions", name]:
                return await self.caption(name)
            case ["master.m3u8"]:
                return await self.master()
            case [name] if name.endswith(".iframes.m3u8"):
                return await self.stills_playlist(name.removesuffix(".iframes.m3u8"))
            case [name] if name.endswith(".m3u8"):
                return await self.rendition_playlist(name.removesuffix(".m3u8"))
            case ["tv.mp4"]:
                return await self.television_copy()
            case [name] if name.endswith((".mp4", ".ts")):
                rendition, _, kind = name.rpartition(".")
                return await self.film(rendition, kind)
            case _:
                raise nothing()

    async def master(self) -> None:
        captions, checked = await asyncio.gather(self._captions(), self.house.heads.checked(self.playable))
        playable = replace(checked, captions=captions)
        known = await self.house.iframes.soon(playable, wound_through(playable))
        text = await self.house.pool.run(partial(master_playlist, playable, known))
        if text is None:
            raise NotPlayable(
                "no_playlist",
                "This video has no HLS rendition.",
                hint="Play one of its files instead: " + ", ".join(f"{r.name}.mp4" for r in self.playable.renditions),
            )
        await self._text(text.encode(), HLS)

    async def rendition_playlist(self, name: str) -> None:
        known = await self.house.iframes.soon(self.playable, [self._rendition(name)])
        alone = replace(self.playable, renditions=(self._rendition(name),))
        (rendition,) = (await self.house.heads.checked(alone)).renditions
        text = await self.house.pool.run(partial(rendition_playlist, self.playable, rendition, known))
        if text is None:
            raise NotPlayable("no_playlist", "This rendition is one plain file, without a playlist.")
        await self._text(text.encode(), HLS)

    async def stills_playlist(self, name: str) -> None:
        """Answer with the list of a rendition's single pictures, once all of it is read."""
        rendition = self._rendition(name)
        late = NotPlayable("opening", "The pictures are still being read.", hint="Try again in a moment.", status=504)
        reading = self.house.iframes.findings(self.playable, rendition)
        findings = await self.exchange.wait_for(reading, self.house.patience, late)
        text = await self.house.pool.run(partial(stills_playlist, rendition, findings))
        if text is None:
            raise NotPlayable("no_playlist", "This rendition has no list of single pictures.")
        await self._text(text.encode(), HLS)

    async def caption(self, name: str) -> None:
        language, _, kind = name.rpartition(".")
        caption = next((c for c in offered_captions(self.playable) if c.language == language), None)
        if caption is None or kind not in ("m3u8", "vtt"):
            raise nothing()
        if kind == "m3u8":
            await self._text(caption_playlist(language, self.playable.duration).encode(), HLS)
        else:
            begins = await self.house.heads.pts(self.playable)
            turn = partial(shifted, pts=begins) if begins is not None else None
            await self._small_file(caption.file, "text/vtt; charset=utf-8", turn)

    async def film(self, name: str, kind: str) -> None:
        """Give a rendition as one progressive file."""
        rendition = self._rendition(name)
        if rendition.kind is RenditionKind.WEB and len(rendition.files) == 1:
            if kind != "mp4":
                raise nothing()
            file = rendition.files[0]
            content_type = plain_type(file.name, has_video=rendition.has_video)
            return await self._media(rendition, file, await self._film_headers(), content_type)
        if kind != film_kind(rendition):
            raise NotPlayable("no_film", "This rendition is not offered in this form.", hint="Play master.m3u8.")
        late = NotPlayable("opening", "The film is still being opened.", hint="Try again in a moment.", status=504)
        building = self.house.films.film(self.playable, rendition, self.exchange.viewer.name, self._opened)
        film = await self.exchange.wait_for(building, self.house.patience, late)
        size = film.layout.size
        head = answer(
            self.exchange.method, self.exchange.headers, entity_tag(film.identity, size), size, film.content_type
        )
        source = FilmSource(film, self._opened)
        try:
            await self._give(rendition.name, head, source, await self._film_headers())
        finally:
            await source.close()

    async def television_copy(self) -> None:
        copies = self.house.copies
        copy = None if copies is None else copies.held(self.playable.video)
        if copies is None or copy is None:
            raise NotPlayable("no_copy", "There is no copy for televisions of this video.")
        await copies.played(self.playable.video)
        file = copy.file
        tag = entity_tag(file.identity, file.size)
        head = answer(self.exchange.method, self.exchange.headers, tag, file.size, "video/mp4")
        first = None if self._is_empty(head) else head.offset
        path = Path(copy.path)
        source = self.house.pool.at_once(path, file, first, head.count) or await self.house.pool.open(path, file, first)
        try:
            await self._give(RenditionName("tv"), head, source, await self._film_headers(converted=True))
        finally:
            await source.close()

    async def _captions(self) -> tuple[PlayableCaption, ...]:
        """Return the subtitles there are; of what is not held its origin may be just telling them."""
        if self.playable.captions:
            return self.playable.captions
        return await self.house.shelf.captions(self.playable.video, LISTED)

    async def _film_headers(self, *, converted: bool = False) -> Headers:
        captions = await self._captions() if asks_for_captions(self.exchange) else ()
        offered = offered_captions(replace(self.playable, captions=captions))
        return film_headers(self.exchange, self.playable.video, offered, converted=converted)

    async def _opened(self, file: PlayableFile, first: int) -> Source:
        """Open a file of a film, in the midst of its reading."""
        found = self._source_now(file, first, 1 << 62)
        return await self._source(file, first) if found is None else found

    async def file(self, name: str) -> None:
        for rendition in self.playable.renditions:
            for file in rendition.files:
                if file.name == name:
                    return await self._media(rendition, file, [])
        raise nothing()

    def _rendition(self, name: str) -> PlayableRendition:
        rendition = next((r for r in self.playable.renditions if r.name == name), None)
        if rendition is None:
            raise NotPlayable("no_rendition", "This rendition is not here.", hint="master.m3u8 names those that are.")
        return rendition

    async def _text(self, data: bytes, content_type: str, cache: bytes = b"no-cache") -> None:
        await tell(self.house, self.exchange, self.playable.video, data, content_type, cache)

    async def _small_file(self, name: str, content_type: str, turn: Callable[[bytes], bytes] | None = None) -> None:
        place = await self.house.shelf.file(self.playable.video, name)
        if not isinstance(place, Path):
            await place.close()
            raise nothing()
        data = await self.house.pool.whole(place, SMALL_FILE)
        if turn is not None:
            data = await self.house.pool.run(partial(turn, data))
        await self._text(data, content_type, LASTING)

    async def _media(
        self, rendition: PlayableRendition, file: PlayableFile, extra: Headers, content_type: str = ""
    ) -> None:
        content_type = content_type or _TYPES.get(file.name.rpartition(".")[2].lower(), "application/octet-stream")
        if content_type == "video/mp4" and not rendition.has_video:
            content_type = "audio/mp4"
        tag = entity_tag(file.identity, file.size)
        head = answer(self.exchange.method, self.exchange.headers, tag, file.size, content_type)
        first = None if self._is_empty(head) else head.offset
        source = self._source_now(file, first, head.count) or await self._source(file, first)
        try:
            await self._give(rendition.name, head, source, extra)
        finally:
            await source.close()

    def _is_empty(self, head: Answer) -> bool:
        return self.exchange.method == "HEAD" or head.count == 0

    async def _give(self, rendition: RenditionName, head: Answer, source: Source, extra: Headers) -> None:
        headers = [(b"cache-control", LASTING), *extra]
        if self._is_empty(head):
            await self.exchange.start(head, headers)
            await self.exchange.body(b"")
        else:
            await self._send(rendition, head, source, headers)

    def _source_now(self, file: PlayableFile, first: int | None, count: int) -> Source | None:
        path = self.house.shelf.file_now(self.playable.video, file.name)
        return None if path is None else self.house.pool.at_once(path, file, first, count)

    async def _source(self, file: PlayableFile, first: int | None) -> Source:
        late = NotPlayable("opening", "The file is still being opened.", hint="Try again in a moment.", status=504)
        finding = self._place(file, first)
        return await self.exchange.wait_for(finding, self.house.patience, late)

    async def _place(self, file: PlayableFile, first: int | None) -> Source:
        place = await self.house.shelf.file(self.playable.video, file.name)
        if isinstance(place, Path):
            return await self.house.pool.open(place, file, first)
        return ArrivingSource(place, self.exchange, self.house.patience)

    async def _send(self, rendition: RenditionName, head: Answer, source: Source, headers: Headers) -> None:
        lan, clock = self.exchange.viewer.is_lan, asyncio.get_running_loop().time
        renewed = clock()

        def given(size: int) -> None:
            nonlocal renewed
            self.house.count(self.playable.video, rendition, lan, size)
            if lan:
                self.house.seen(self.exchange.viewer.name, self.playable.video, size)
            if clock() - renewed > RENEWAL:
                renewed = clock()
                self.house.leases.renew(self.playable.video, self.exchange.viewer.name)

        pace = None if lan else partial(self.house.throttle, lan)
        await Delivery(self.exchange, head, headers, source, given, pace).run()


def nothing() -> NotPlayable:
    """Return the refusal of an address that none of ours is."""
    return NotPlayable("not_found", "There is nothing at this address.")
