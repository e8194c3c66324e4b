"""Films for tests: media made by ffmpeg behind a shelf, held or arriving piecewise, and what players asked of it.

This module has the shelf, the readers and the log of requests.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.domain.shelf import Playable, PlayableFile, PlayableRendition, Reader
from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.domain.video import RenditionKind
from appliance.domain.viewer import Viewer
from appliance.library.bytemap import read_playlist
from appliance.serve.exchange import Receive, Scope, Send
from appliance.serve.media import create_media_app
from tests.media.shelf import VIDEO, Notes, StandInShelf, seen_as, served
from tests.world.media import Layout, Made

PIECE = 70_001


def renditions(made: Made) -> tuple[PlayableRendition, ...]:
    """Return what was made as the house shows it."""
    out = []
    for file in made.files:
        sizes = {part: ByteCount(size) for part, size in zip(file.parts, file.sizes, strict=True)}
        bytemap = read_playlist(file.playlist.encode(), "", sizes) if file.playlist else None
        out.append(
            PlayableRendition(
                name=RenditionName(f"{file.resolution}p" if file.resolution else "audio"),
                kind=RenditionKind.WEB if made.recipe.layout is Layout.WEB else RenditionKind.HLS,
                width=file.width,
                height=file.height,
                fps=float(file.fps),
                has_video=file.has_video,
                has_audio=file.has_audio,
                size=ByteCount(file.size),
                files=tuple(PlayableFile(n, s, f"{made.recipe.key} {n}") for n, s in sizes.items()),
                bytemap=bytemap,
                codecs=file.codecs,
            )
        )
    return tuple(out)


def playable(made: Made) -> Playable:
    return Playable(VIDEO, "A film", made.recipe.seconds, renditions(made))


class Piecewise:
    """A reader that never gives more than a piece of an odd size, as a swarm would."""

    def __init__(self, path: Path, piece: int) -> None:
        self._path, self._piece = path, piece

    @property
    def size(self) -> ByteCount:
        return ByteCount(self._path.stat().st_size)

    async def read(self, offset: int, length: int) -> bytes:
        end = (offset // self._piece + 1) * self._piece
        return await asyncio.to_thread(self._bytes, offset, min(end - offset, length))

    def _bytes(self, offset: int, length: int) -> bytes:
        with open(self._path, "rb") as file:
            file.seek(offset)
            return file.read(length)

    async def close(self) -> None:
        """Give up nothing."""


@dataclass
class Shelf(StandInShelf):
    """One film, whose files are ``arriving`` or held."""

    arriving: bool = False
    piece: int = PIECE

    async def file(self, video: VideoId, name: str) -> Path | Reader:
        path = self.folder / name
        return Piecewise(path, self.piece) if self.arriving else path

    def file_now(self, video: VideoId, name: str) -> Path | None:
        return None if self.arriving else self.folder / name


def shelf(made: Made, *, arriving: bool = False, piece: int = PIECE) -> Shelf:
    return Shelf(made.folder, playable(made), arriving=arriving, piece=piece)


@dataclass
class Asked:
    """One request of a player: from which byte of the film, and, at its end, how many it was given."""

    first: int
    given: int


@dataclass
class Cinema:
    """A served film: its address, and what was asked of it."""

    url: str
    base: str
    asked: list[Asked] = field(default_factory=list)
    under_way: int = 0
    """Answers that are not over yet."""

    @property
    def given(self) -> int:
        return sum(a.given for a in self.asked)

    def forget(self) -> None:
        self.asked.clear()


@asynccontextmanager
async def cinema(shelf: Shelf, name: str, *, rate: float | None = None, **options: Any) -> AsyncIterator[Cinema]:
    """Serve a film over real sockets; ``name`` is its address below the video's.

    ``rate``: bytes/s that each answer gets at most, as if over a wire; without one as fast as it goes.
    """
    notes = Notes()

    async def throttle(is_lan: bool, size: int) -> None:
        await notes.throttle(is_lan, size)
        if rate is not None:
            await asyncio.sleep(size / rate)

    app = create_media_app(shelf, notes, notes.count, throttle)
    behind = app if rate is None else seen_as(app, lambda: Viewer(is_lan=False, name="somebody afar"))
    place = Cinema("", "")

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        before = len(notes.counted)
        told = dict(scope["headers"]).get(b"range", b"bytes=0-").decode()
        asked = Asked(int(told.removeprefix("bytes=").partition("-")[0] or 0), 0)
        place.asked.append(asked)
        place.under_way += 1
        try:
            await behind(scope, receive, send)
        finally:
            place.under_way -= 1
            asked.given = sum(size for *_, size in notes.counted[before:])

    try:
        async with served(logged, **options) as (host, port):
            place.base = f"http://{host}:{port}/media/{VIDEO}/"
            place.url = place.base + name
            yield place
    finally:
        app.close()
