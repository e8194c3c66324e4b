"""What held renditions are made of, by their own bytes: this module reads it. It blocks: call it in a thread."""

import os
from dataclasses import dataclass
from pathlib import Path

from appliance.domain.shelf import NotPlayable, PlayableRendition
from appliance.domain.video import RenditionKind
from appliance.serve.codecs import ENOUGH, channels_of_mp4, codecs_of_mp4
from appliance.serve.source import opened
from appliance.serve.transport import codecs_of_ts

_MOST_MOOV = 64 * 1024 * 1024
_MOST_BOXES = 100
_MP4 = frozenset({".mp4", ".m4v", ".m4s", ".m4a", ".mov"})


@dataclass(frozen=True, slots=True)
class Insides:
    """``codecs`` as in RFC 6381, empty where they are none that we know; ``channels`` of the sound, 0 where unknown.

    ``plain``: its container is one that televisions take.
    """

    codecs: str
    channels: int = 0
    plain: bool = True


def insides_of(folder: Path, rendition: PlayableRendition) -> Insides | None:
    """Return what a rendition whose files lie whole in ``folder`` is made of; None where they cannot be read."""
    if not rendition.files:
        return None
    file, offset = rendition.files[0], None
    bytemap = rendition.bytemap
    if rendition.kind is RenditionKind.HLS and bytemap is not None and bytemap.segments:
        first = bytemap.init or bytemap.segments[0]
        file = next((f for f in rendition.files if f.name == first.file), file)
        offset = int(first.offset)
    return insides_at(folder / file.name, file.size, offset or 0)


def insides_at(path: Path, size: int, offset: int = 0) -> Insides | None:
    """Return what a media file of ``size`` bytes is made of, whose beginning lies at ``offset``; None where it cannot
    be read."""
    try:
        fd = opened(path, size, None)
    except NotPlayable:
        return None
    try:
        suffix = path.suffix.lower()
        if suffix == ".ts":
            return Insides(codecs_of_ts(os.pread(fd, ENOUGH, offset)))
        if suffix not in _MP4:
            return Insides("", plain=False)
        moov = _moov(fd, offset)
        return Insides(codecs_of_mp4(moov), channels_of_mp4(moov))
    except OSError:
        return None
    finally:
        os.close(fd)


def insides_of_file(path: Path) -> Insides:
    """Return what an MP4 of our own making is made of. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        moov = _moov(fd, 0)
        return Insides(codecs_of_mp4(moov), channels_of_mp4(moov))
    finally:
        os.close(fd)


def _moov(fd: int, at: int) -> bytes:
    """The box that describes an MP4's tracks, wherever it lies; nothing where there is none of a sane size."""
    for _ in range(_MOST_BOXES):
        head = os.pread(fd, 16, at)
        if len(head) < 8:
            return b""
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:], "big")
        if kind == b"moov":
            return os.pread(fd, size, at) if size <= _MOST_MOOV else b""
        if size < 8:
            return b""
        at += size
    return b""
