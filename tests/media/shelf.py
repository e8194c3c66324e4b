"""A shelf for tests: held files in a folder, arriving ones behind readers that a test feeds. This module has both."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn

from appliance.domain.shelf import (
    ByteMap,
    NotPlayable,
    Playable,
    PlayableCaption,
    PlayableFile,
    PlayableRendition,
    Reader,
    Segment,
)
from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.domain.video import RenditionKind
from appliance.domain.viewer import Viewer
from appliance.serve.exchange import ASGIApp, Receive, Scope, Send
from appliance.serve.media import create_media_app
from appliance.serve.request import Copied
from appliance.serve.wire import WireProtocol

VIDEO = VideoId("abcdefghijklmnop")


def noise(size: int, seed: str = "") -> bytes:
    """Return bytes that look random and are the same each time."""
    return hashlib.shake_128(seed.encode()).digest(size)


def bytemap(name: str, init: int, lengths: list[int], duration: float = 4.0) -> ByteMap:
    """Return a byte map of one fragmented file: an init range, then segments."""
    segments, offset = [], init
    for length in lengths:
        segments.append(Segment(duration, name, ByteCount(offset), ByteCount(length)))
        offset += length
    return ByteMap(Segment(0.0, name, ByteCount(0), ByteCount(init)), tuple(segments), max(1, round(duration)))


def rendition(name: str, height: int, data: bytes, *, audio: bool = True, video: bool = True) -> PlayableRendition:
    """Return an HLS rendition of one file, ``{name}.mp4``, cut in three."""
    third = (len(data) - 100) // 3
    lengths = [third, third, len(data) - 100 - 2 * third]
    codecs = ",".join(c for c, there in (("avc1.64001f", video), ("mp4a.40.2", audio)) if there)
    return PlayableRendition(
        name=RenditionName(name),
        kind=RenditionKind.HLS,
        width=height * 16 // 9,
        height=height,
        fps=25.0 if video else 0.0,
        has_video=video,
        has_audio=audio,
        size=ByteCount(len(data)),
        files=(PlayableFile(f"{name}.mp4", ByteCount(len(data)), f"identity of {name}"),),
        bytemap=bytemap(f"{name}.mp4", 100, lengths),
        codecs=codecs,
    )


class FedReader:
    """A reader whose bytes come when the test says so. ``reads`` counts calls that came, ``closed`` is its end."""

    def __init__(self, data: bytes, *, arrived: int = 0) -> None:
        self._data, self._arrived = data, arrived
        self._more = asyncio.Condition()
        self.reads = 0
        self.waiting = asyncio.Event()
        self.closed = asyncio.Event()
        self.fault: NotPlayable | None = None

    @property
    def size(self) -> ByteCount:
        return ByteCount(len(self._data))

    async def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        async with self._more:
            while offset >= self._arrived:
                if self.fault is not None:
                    raise self.fault
                self.waiting.set()
                await self._more.wait()
        return self._data[offset : min(offset + length, self._arrived)]

    async def close(self) -> None:
        self.closed.set()

    async def feed(self, arrived: int) -> None:
        async with self._more:
            self._arrived = arrived
            self._more.notify_all()

    async def fail(self, fault: NotPlayable) -> None:
        async with self._more:
            self.fault = fault
            self._more.notify_all()


@dataclass
class StandInShelf:
    """One video whose files lie in ``folder``, or come from ``readers`` by name."""

    folder: Path
    playing: Playable
    readers: dict[str, Reader] = field(default_factory=dict)
    fault: Exception | None = None
    opening: asyncio.Event | None = None
    _paths: dict[str, Path] = field(default_factory=dict)

    async def playable(self, video: VideoId) -> Playable:
        if self.opening is not None:
            await self.opening.wait()
        if self.fault is not None:
            raise self.fault
        if video != VIDEO:
            raise NotPlayable("no_video", "No such video.")
        return self.playing

    async def file(self, video: VideoId, name: str) -> Path | Reader:
        return self.readers.get(name) or self.folder / name

    async def picture(self, video: VideoId) -> Path | None:
        name = self.playing.thumbnail
        return None if name is None or video != VIDEO else self.folder / name

    async def storyboard(self, video: VideoId) -> Path | None:
        name = self.playing.storyboard_file
        return None if name is None or video != VIDEO else self.folder / name

    async def caption(self, video: VideoId, language: str) -> Path | None:
        found = (c for c in self.playing.captions if c.language == language and video == VIDEO)
        return next((self.folder / c.file for c in found), None)

    async def captions(self, video: VideoId, patience: float) -> tuple[PlayableCaption, ...]:
        return self.playing.captions

    def captions_now(self, video: VideoId) -> tuple[PlayableCaption, ...]:
        return self.playing.captions

    def playable_now(self, video: VideoId) -> Playable | None:
        return self.playing if video == VIDEO and self.fault is None and self.opening is None else None

    def file_now(self, video: VideoId, name: str) -> Path | None:
        return None if name in self.readers else self._path(name)

    def _path(self, name: str) -> Path:
        if name not in self._paths:
            self._paths[name] = self.folder / name
        return self._paths[name]

    def add(self, rendition: PlayableRendition, data: bytes | None = None) -> None:
        if data is not None:
            (self.folder / rendition.files[0].name).write_bytes(data)
        self.playing = replace(self.playing, renditions=(*self.playing.renditions, rendition))


def empty_shelf(folder: Path) -> StandInShelf:
    return StandInShelf(folder, Playable(VIDEO, "A video", 12, ()))


def with_caption(shelf: StandInShelf, caption: PlayableCaption, text: bytes) -> None:
    (shelf.folder / caption.file).write_bytes(text)
    shelf.playing = replace(
        shelf.playing,
        captions=(*shelf.playing.captions, caption),
        side_files=(*shelf.playing.side_files, caption.file),
    )


@dataclass
class Notes:
    """What the app told the rest of the house."""

    leases: list[tuple[VideoId, str]] = field(default_factory=list)
    counted: list[tuple[VideoId, str, bool, int]] = field(default_factory=list)
    throttled: list[int] = field(default_factory=list)

    def renew(self, video: VideoId, holder: str) -> None:
        self.leases.append((video, holder))

    def count(self, video: VideoId, rendition: RenditionName, is_lan: bool, size: int) -> None:
        self.counted.append((video, rendition, is_lan, size))

    async def throttle(self, is_lan: bool, size: int) -> None:
        assert not is_lan
        self.throttled.append(size)

    def given(self, rendition: str) -> int:
        return sum(size for _, name, _, size in self.counted if name == rendition)


def seen_as(app: ASGIApp, viewer: Callable[[], Viewer | None]) -> ASGIApp:
    """Wrap ``app`` as access control does: put the viewer into the scope."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        found = viewer()
        if found is not None:
            scope["state"] = {"viewer": found}
        await app(scope, receive, send)

    return wrapped


class _Server(uvicorn.Server):
    """A server that says when it is there, and ends at once when told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready, self.stop = asyncio.Event(), asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.stop.wait()


@asynccontextmanager
async def served(app: Any, *, host: str = "127.0.0.1", **options: Any) -> AsyncIterator[tuple[str, int]]:
    """Run an ASGI app under uvicorn on a free port; give (host, port)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind((host, 0))
        # uvicorn would write an access log to pytest's own handler, which the daemon does not
        usual: dict[str, Any] = {"http": WireProtocol, "timeout_graceful_shutdown": 2, "access_log": False}
        config = uvicorn.Config(app, lifespan="off", log_config=None, **(usual | options))
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await asyncio.wait_for(server.ready.wait(), 10)
            yield listening.getsockname()
        finally:
            server.stop.set()
            await task


@asynccontextmanager
async def serving(
    shelf: StandInShelf,
    notes: Notes,
    *,
    viewer: Viewer | None = None,
    patience: float = 30.0,
    copies: Copied | None = None,
    **options: Any,
) -> AsyncIterator[tuple[str, int]]:
    app = create_media_app(shelf, notes, notes.count, notes.throttle, patience=patience, copies=copies)
    try:
        async with served(seen_as(app, lambda: viewer), **options) as address:
            yield address
    finally:
        app.close()
