"""How large a film is: this module knows it from the catalogue alone, before a byte of it was read. Pure.

A *film* is a rendition as one progressive file. Its size must be known for a hundred titles at once, held or not, and
be the same however the film is laid out. So room for an index is reserved by length and rate, generously; what the
index does not need is padding.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol, TypeVar

from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import RenditionKind

_BASE_ROOM = 64 * 1024
_RATES = (30, 60, 120, 240, 1000)
"""Pictures a second: origins round them in one place and not in another, the room must not depend on that."""
_RATE_UNKNOWN = 60
_A_PICTURE = 4 + 8 + 8
"""Bytes of index: size, composition offset, and a duration of its own in a film of uneven rate."""
_SOUND_A_SECOND = 50 * 4
"""AAC at 48 kHz has 47 samples a second, Opus 50."""
_CHUNKS_A_SECOND = 48
"""Bytes of index for where each track's fragments lie, and for pictures to begin with: fragments of a second."""
_ENDING = 2
"""Seconds more than said: lengths are rounded, and sound ends later than pictures."""
_CONTAINERS: Mapping[str, str] = {
    ".webm": "webm",
    ".mkv": "x-matroska",
    ".mov": "quicktime",
    ".ogv": "ogg",
    ".ogg": "ogg",
}


class Piece(Protocol):
    """What must be known of a rendition: ``domain.video.Rendition`` and ``domain.shelf.PlayableRendition`` have it."""

    @property
    def name(self) -> RenditionName: ...
    @property
    def kind(self) -> RenditionKind: ...
    @property
    def fps(self) -> float: ...
    @property
    def has_video(self) -> bool: ...
    @property
    def has_audio(self) -> bool: ...
    @property
    def size(self) -> ByteCount: ...


P = TypeVar("P", bound=Piece)


@dataclass(frozen=True, slots=True)
class Offer:
    """A film as it is offered: its address below the video's, its type and its exact size in bytes."""

    address: str
    content_type: str
    size: ByteCount


def film_offer(
    rendition: Piece, all_of_video: Sequence[Piece], duration: int, *, in_parts: bool = False, file_name: str = ""
) -> Offer:
    """Return the film of one rendition.

    ``all_of_video`` are the video's renditions in the catalogue's order (the sound may be one of its own),
    ``duration`` is the video's in whole seconds. ``in_parts``: the rendition is a folder of transport stream segments
    (``Rendition.file_url`` ends with a slash). ``file_name``, of a plain file (its address will do), tells its type.
    """
    if in_parts:
        return Offer(f"{rendition.name}.ts", "video/mpeg", rendition.size)
    sound = sound_of(rendition, all_of_video)
    content_type = "video/mp4" if rendition.has_video else "audio/mp4"
    if rendition.kind is RenditionKind.WEB:
        content_type = plain_type(file_name, has_video=rendition.has_video)
    return Offer(f"{rendition.name}.mp4", content_type, film_size(rendition, sound, duration))


def plain_type(file_name: str, *, has_video: bool) -> str:
    """Return the type of a plain file that is a film as it lies, by its name or address. One of no known ending is
    taken for what nearly all are, an MP4."""
    ending = PurePosixPath(file_name.partition("?")[0]).suffix.lower()
    return f"{'video' if has_video else 'audio'}/{_CONTAINERS.get(ending, 'mp4')}"


def film_size(rendition: Piece, sound: Piece | None, duration: int) -> ByteCount:
    """Return the bytes of a rendition's film: of a plain file its own, of fragments those and the index's room.

    ``sound`` is the separate rendition that is played with it, ``duration`` the video's whole seconds.
    """
    if rendition.kind is RenditionKind.WEB:
        return rendition.size
    more = 0 if sound is None else sound.size
    return ByteCount(room(rendition, sound, duration) + rendition.size + more)


def room(rendition: Piece, sound: Piece | None, duration: int) -> int:
    """Return the bytes reserved for the index."""
    a_second = _CHUNKS_A_SECOND
    if rendition.has_video:
        told = rendition.fps if math.isfinite(rendition.fps) and rendition.fps > 0 else _RATE_UNKNOWN
        a_second += _A_PICTURE * next((rate for rate in _RATES if told <= rate + 0.5), _RATES[-1])
    if rendition.has_audio or sound is not None:
        a_second += _SOUND_A_SECOND
    return _BASE_ROOM + a_second * (max(0, duration) + _ENDING)


def sound_of(rendition: P, all_of_video: Sequence[P]) -> P | None:
    """Return the rendition of sound alone that belongs to one of pictures alone: the first there is."""
    if rendition.has_audio or rendition.kind is not RenditionKind.HLS:
        return None
    return next(
        (r for r in all_of_video if r.kind is RenditionKind.HLS and r.has_audio and not r.has_video),
        None,
    )
