"""What the beginnings of held media say of themselves, read once and remembered: this module is where players ask."""

import os
from collections import OrderedDict
from dataclasses import dataclass, replace

from appliance.domain.shelf import ByteMap, NotPlayable, Playable, PlayableFile, PlayableRendition, ReadyShelf
from appliance.domain.video import RenditionKind
from appliance.serve.codecs import ENOUGH, channels_of_mp4, codecs_of_mp4
from appliance.serve.key_pictures import frame_rate
from appliance.serve.source import MediaPool, opened
from appliance.serve.transport import codecs_of_ts, first_pts

_MOST_KEPT = 2000
_NTSC, _ROUGHLY = 1001 / 1000, 0.005


@dataclass(frozen=True, slots=True)
class Beginning:
    """``codecs`` as in RFC 6381, empty where they cannot be told; ``pts`` in 90 kHz ticks, of transport streams.

    ``fps``: pictures a second in the first fragment, ``channels`` of its sound; 0 where that is not to be seen.
    """

    codecs: str = ""
    pts: int | None = None
    fps: float = 0.0
    channels: int = 0


class Heads:
    """See the module. Call it from the loop."""

    def __init__(self, shelf: ReadyShelf, pool: MediaPool) -> None:
        self._shelf, self._pool = shelf, pool
        self._kept: OrderedDict[tuple[str, int], Beginning] = OrderedDict()

    async def beginning(self, playable: Playable, rendition: PlayableRendition) -> Beginning:
        """Return what a rendition's first bytes say; nothing where they are not on the disk, or cannot be read."""
        found = _first(rendition)
        if found is None:
            return Beginning()
        file, offset = found
        key = file.identity, file.size
        known = self._kept.get(key)
        if known is None:
            known = await self._read(playable, file, offset, rendition.bytemap)
            if known == Beginning():
                return known
            self._kept[key] = known
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return known

    async def checked(self, playable: Playable) -> Playable:
        """Return the video with the codecs that its held renditions have, whatever the origin called them.

        Also with their pictures a second, where the origin told none or rounded them, and their channels of sound.
        """
        renditions = []
        for rendition in playable.renditions:
            told = await self.beginning(playable, rendition)
            codecs, fps = told.codecs or rendition.codecs, pictures_a_second(rendition.fps, told.fps)
            renditions.append(replace(rendition, codecs=codecs, fps=fps, channels=told.channels or rendition.channels))
        return replace(playable, renditions=tuple(renditions))

    async def pts(self, playable: Playable) -> int | None:
        """Return when the pictures of the video's transport streams begin, None where there are none."""
        for rendition in playable.renditions:
            if rendition.has_video and (told := (await self.beginning(playable, rendition)).pts) is not None:
                return told
        return None

    async def _read(
        self, playable: Playable, file: PlayableFile, offset: int | None, bytemap: ByteMap | None
    ) -> Beginning:
        path = self._shelf.file_now(playable.video, file.name)
        if path is None:
            return Beginning()

        def read() -> Beginning:
            fd = opened(path, file.size, None)
            try:
                head = os.pread(fd, ENOUGH, offset or 0)
            finally:
                os.close(fd)
            if offset is None or bytemap is None:
                return Beginning(codecs_of_ts(head), first_pts(head))
            return Beginning(codecs_of_mp4(head), fps=frame_rate(head, bytemap), channels=channels_of_mp4(head))

        try:
            return await self._pool.run(read)
        except (NotPlayable, OSError):
            return Beginning()  # whoever asks for the media itself is told


def pictures_a_second(said: float, counted: float) -> float:
    """Return the rate that a playlist should tell; each is 0 where it is not known.

    Origins round: 30 may be 30000/1001, as films from American television have it, and strict players mind. Otherwise
    what is counted in one fragment is no better than what they say of the whole, since rates vary.
    """
    if not said or abs(counted * _NTSC - said) < _ROUGHLY:
        return counted or said
    return said


def _first(rendition: PlayableRendition) -> tuple[PlayableFile, int | None] | None:
    """The file that begins a rendition, and where its initialisation does; None for that of a transport stream."""
    bytemap = rendition.bytemap
    if rendition.kind is not RenditionKind.HLS or bytemap is None or not bytemap.segments:
        return None
    first = bytemap.init or bytemap.segments[0]
    file = next((f for f in rendition.files if f.name == first.file), None)
    return None if file is None else (file, None if bytemap.init is None else int(first.offset))


def shifted(vtt: bytes, pts: int) -> bytes:
    """Return WebVTT that says at which tick of the pictures it begins (RFC 8216 3.5); as it is where it says so."""
    first, end, rest = vtt.partition(b"\n")
    if not first.lstrip(b"\xef\xbb\xbf").startswith(b"WEBVTT") or b"X-TIMESTAMP-MAP" in rest[:200]:
        return vtt
    return first.rstrip(b"\r") + f"\nX-TIMESTAMP-MAP=MPEGTS:{pts},LOCAL:00:00:00.000".encode() + (end or b"\n") + rest
