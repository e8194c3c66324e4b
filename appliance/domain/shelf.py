"""What ``serve`` asks of the house: a video that can be read, held or not. This module defines that port.

``pin`` implements it (it owns torrents and files), ``serve`` uses it, ``daemon`` introduces them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.domain.video import RenditionKind, Storyboard


@dataclass(frozen=True, slots=True)
class Segment:
    """One playable slice: ``duration`` seconds, ``length`` bytes from ``offset`` in ``file`` (a base name)."""

    duration: float
    file: str
    offset: ByteCount
    length: ByteCount


@dataclass(frozen=True, slots=True)
class ByteMap:
    """A rendition's playlist as byte ranges: the initialisation range, if any, then segments in play order.

    A whole-file TS segment has offset 0 and the file's length (0 where the size is not known).
    """

    init: Segment | None
    segments: tuple[Segment, ...]
    target_duration: int

    @property
    def duration(self) -> float:
        return sum(s.duration for s in self.segments)


@dataclass(frozen=True, slots=True)
class PlayableFile:
    """A media file: its name, size in bytes, and ``identity``, which never changes while the bytes do not."""

    name: str
    size: ByteCount
    identity: str


@dataclass(frozen=True, slots=True)
class PlayableRendition:
    """A rendition that can be read now. ``codecs`` as in RFC 6381; empty where the origin did not say.

    ``channels`` of its sound, 0 where not known.
    """

    name: RenditionName
    kind: RenditionKind
    width: int
    height: int
    fps: float
    has_video: bool
    has_audio: bool
    size: ByteCount
    files: tuple[PlayableFile, ...]
    bytemap: ByteMap | None
    codecs: str = ""
    channels: int = 0


@dataclass(frozen=True, slots=True)
class PlayableCaption:
    language: str
    label: str
    file: str
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Playable:
    """A video that can be read now, with names of the side files that are on disk.

    ``language``: what is spoken in it, as the origin names languages; empty where it did not say.
    """

    video: VideoId
    title: str
    duration: int
    renditions: tuple[PlayableRendition, ...]
    captions: tuple[PlayableCaption, ...] = ()
    thumbnail: str | None = None
    storyboard: Storyboard | None = None
    storyboard_file: str | None = None
    side_files: tuple[str, ...] = ()
    language: str = ""


class NotPlayable(Exception):
    """A video, or a byte of it, cannot be had. ``status`` is the HTTP status that says so best."""

    def __init__(self, code: str, message: str, hint: str = "", status: int = 404) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.status = code, message, hint, status


class Reader(Protocol):
    """Bytes of one media file, verified before they are given out, waiting for those that are not here yet."""

    @property
    def size(self) -> ByteCount: ...

    async def read(self, offset: int, length: int) -> bytes:
        """Return 1 to ``length`` bytes from ``offset``.

        The call is the viewer's position: an implementation steers its download to it. It waits as long as the
        caller lets it (the caller sets the time limit). Raises NotPlayable when the bytes cannot be had.
        """
        ...

    async def close(self) -> None:
        """Give up this viewer's claim. Idempotent."""
        ...


class Beside(Protocol):
    """What stands beside a video, held or not. What is not here is fetched when it is asked for, and waited for a few
    seconds at most; the video itself is not opened for it."""

    async def picture(self, video: VideoId) -> Path | None:
        """Return the file of its picture; None where there is none, or not now."""
        ...

    async def storyboard(self, video: VideoId) -> Path | None:
        """Return the file of its small pictures, where that is held."""
        ...

    async def caption(self, video: VideoId, language: str) -> Path | None:
        """Return the file (WebVTT) of its subtitles in a language; None where there is none, or not now."""
        ...

    async def captions(self, video: VideoId, patience: float) -> tuple[PlayableCaption, ...]:
        """Return which subtitles there are, as far as that is known within ``patience`` seconds, the most useful
        first."""
        ...

    def captions_now(self, video: VideoId) -> tuple[PlayableCaption, ...]:
        """Return which subtitles its origin is known to have; those that are held may be missing."""
        ...


class Shelf(Beside, Protocol):
    """Where serve finds what it plays."""

    async def playable(self, video: VideoId) -> Playable:
        """Return the video, opened for reading first where it is not held. Raises NotPlayable."""
        ...

    async def file(self, video: VideoId, name: str) -> Path | Reader:
        """Return a held, whole file's path, or a reader of one that is still arriving. Raises NotPlayable."""
        ...


class ReadyShelf(Shelf, Protocol):
    """A shelf that also tells what it knows by heart: a player asks for the same video's next segment every moment."""

    def playable_now(self, video: VideoId) -> Playable | None:
        """Return what ``playable`` would, where that needs no waiting."""
        ...

    def file_now(self, video: VideoId, name: str) -> Path | None:
        """Return the path that ``file`` would, where that needs no waiting."""
        ...
