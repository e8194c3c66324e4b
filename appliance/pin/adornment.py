"""Captions, thumbnail and storyboard of a pinned video: this module fetches them, and never loses one we have.

No pin fails for want of a picture; what cannot be had is left as it is.
"""

from collections.abc import Callable

import msgspec

from appliance.domain.catalogue import VideoRecord
from appliance.domain.picture import kind_of
from appliance.domain.video import Caption, Extras, Storyboard
from appliance.errors import OriginError
from appliance.library.layout import base_name
from appliance.library.manifest import CaptionRecord, Manifest, SideFile, StoryboardRecord
from appliance.outbound.fetch import Fetcher
from appliance.outbound.manners import Ask

MAX_IMAGE = 8 * 1024 * 1024
MAX_CAPTION = 4 * 1024 * 1024
MOST_CAPTIONS = 200


class Adorner:
    """Fetches what stands beside a video. ``sides`` are the files to write, by name, once the record lists them."""

    def __init__(self, fetcher: Fetcher, present: frozenset[str]) -> None:
        """``present`` are the names of the files that are on the disk: a name never comes with other bytes."""
        self._fetcher, self._present = fetcher, present
        self.sides: dict[str, bytes] = {}

    async def adorn(self, manifest: Manifest, record: VideoRecord, extras: Extras) -> Manifest:
        """Return the record with captions, thumbnail and storyboard as the origin has them now."""
        before = {c.file: c for c in manifest.captions}
        captions = [await self._caption(c, before) for c in extras.captions[:MOST_CAPTIONS]]
        thumbnail, url = manifest.thumbnail, record.summary.thumbnail_url
        if url is not None and (name := await self._file(url, MAX_IMAGE, is_image)) is not None:
            thumbnail = SideFile(file=name, url=url)
        board = extras.storyboard
        return msgspec.structs.replace(
            manifest,
            captions=tuple(c for c in captions if c is not None),
            thumbnail=thumbnail,
            storyboard=None if board is None else await self._storyboard(board, manifest.storyboard),
        )

    async def _caption(self, caption: Caption, before: dict[str, CaptionRecord]) -> CaptionRecord | None:
        """Return a caption's record; where the file cannot be had now, the one of the same language that we have."""
        name = await self._file(caption.url, MAX_CAPTION, is_vtt)
        if name is None:
            return next((c for c in before.values() if c.language == caption.language), None)
        return CaptionRecord(
            language=caption.language, label=caption.label, file=name, url=caption.url, automatic=caption.automatic
        )

    async def _storyboard(self, board: Storyboard, before: StoryboardRecord | None) -> StoryboardRecord | None:
        name = await self._file(board.url, MAX_IMAGE, is_image)
        if name is None:
            return before
        return StoryboardRecord(
            file=name,
            url=board.url,
            total_width=board.total_width,
            total_height=board.total_height,
            tile_width=board.tile_width,
            tile_height=board.tile_height,
            interval=board.interval,
        )

    async def _file(self, url: str, most: int, fits: Callable[[bytes], bool]) -> str | None:
        """Return the file's name once it is here; None where it cannot be had or is not what it should be."""
        try:
            name = base_name(url)
            if name in self._present:
                return name
            answer = await self._fetcher.get(url, ask=Ask.SIDE, accept="*/*", max_bytes=most)
        except OriginError:
            return None
        if not fits(answer.body):
            return None
        self.sides[name] = answer.body
        return name


def is_vtt(data: bytes) -> bool:
    """Tell whether these are subtitles as origins have them."""
    return data.lstrip(b"\xef\xbb\xbf").startswith(b"WEBVTT")


def is_image(data: bytes) -> bool:
    """Tell whether this is a picture of a kind that screens show."""
    return kind_of(data) is not None
