"""Pictures of 160 pixels, which is all that some televisions show: this module makes and remembers them.

The picture comes from a stranger's server: it is decoded in a child process with little time, as the one kind of
picture that its first bytes say.
"""

import asyncio
from collections import OrderedDict
from pathlib import Path

from appliance.domain.units import VideoId
from appliance.host.ffmpeg import Ffmpeg, find_ffmpeg

SIDE = 160
"""Pixels of the longer side at most (DLNA's profile JPEG_TN)."""
_SECONDS = 10.0
_REMEMBERED = 600
_WAITING = 200
"""Pictures asked for at once that are not made yet; more are refused."""
_LARGEST = 8 * 1024 * 1024
_PIXELS = 4096 * 4096
"""Pixels of a picture that is decoded: a megabyte of a hostile one can hold as many as fill a small box's memory."""
_KINDS = {b"\xff\xd8\xff": "jpeg_pipe", b"\x89PNG": "png_pipe", b"RIFF": "webp_pipe", b"GIF8": "gif_pipe"}


class Art:
    """See the module. Call it from the loop."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[VideoId, str], bytes] = OrderedDict()
        self._making: dict[tuple[VideoId, str], asyncio.Task[bytes]] = {}
        self._ffmpeg: Ffmpeg | None = None
        self._looked = False

    async def close(self) -> None:
        for task in list(self._making.values()):
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    async def small(self, video: VideoId, picture: Path) -> bytes:
        """Return the small picture as JPEG, empty where it cannot be made."""
        key = (video, picture.name)
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        task = self._making.get(key)
        if task is None:
            if len(self._making) >= _WAITING:
                return b""
            task = self._making[key] = asyncio.create_task(self._make(key, picture), name=f"picture {video}")
            task.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(task)

    async def _make(self, key: tuple[VideoId, str], picture: Path) -> bytes:
        kind = await asyncio.to_thread(_kind, picture)
        if kind is None:
            return b""
        if not self._looked:
            program = await asyncio.to_thread(find_ffmpeg)
            self._ffmpeg, self._looked = None if program is None else Ffmpeg(program), True
        if self._ffmpeg is None:
            return b""
        scale = f"scale='min({SIDE},iw)':'min({SIDE},ih)':force_original_aspect_ratio=decrease:force_divisible_by=2"
        try:
            done = await self._ffmpeg.run(
                *("-v", "error", "-threads", "1", "-protocol_whitelist", "file,pipe", "-max_pixels", str(_PIXELS)),
                *(
                    "-f",
                    kind,
                    "-i",
                    f"file:{picture}",
                    "-frames:v",
                    "1",
                    "-vf",
                    f"{scale},format=yuvj420p",
                    "-q:v",
                    "5",
                ),
                *("-f", "mjpeg", "pipe:1"),
                seconds=_SECONDS,
            )
        except OSError:
            return b""
        made = done.output if done.ok and done.output.startswith(b"\xff\xd8") else b""
        if not made and not await asyncio.to_thread(picture.exists):
            return b""  # it went meanwhile
        self._made[key] = made
        while len(self._made) > _REMEMBERED:
            self._made.popitem(last=False)
        return made


def _kind(picture: Path) -> str | None:
    """Return how ffmpeg calls the picture's kind, None for what is no picture of a fair size."""
    try:
        with picture.open("rb") as file:
            head = file.read(4)
        if picture.stat().st_size > _LARGEST:
            return None
    except OSError:
        return None
    return next((kind for mark, kind in _KINDS.items() if head.startswith(mark)), None)
