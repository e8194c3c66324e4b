"""Pictures and subtitles of a video as screens take them, held or not: this module reads them."""

from functools import partial
from pathlib import Path

from appliance.domain.picture import kind_of
from appliance.domain.shelf import Beside
from appliance.domain.units import VideoId
from appliance.serve.source import MediaPool
from appliance.serve.subtitles import srt

MOST = 8 * 1024 * 1024


async def picture(shelf: Beside, pool: MediaPool, video: VideoId) -> tuple[bytes, str] | None:
    """Return a picture and its media type, None where there is none, or not now. Raises NotPlayable."""
    return await _drawn(await shelf.picture(video), pool)


async def storyboard(shelf: Beside, pool: MediaPool, video: VideoId) -> tuple[bytes, str] | None:
    """Return the small pictures and their media type, None where they are not held. Raises NotPlayable."""
    return await _drawn(await shelf.storyboard(video), pool)


async def _drawn(place: Path | None, pool: MediaPool) -> tuple[bytes, str] | None:
    if place is None:
        return None
    data = await pool.whole(place, MOST)
    kind = kind_of(data)
    return None if kind is None else (data, kind)


async def subtitles(shelf: Beside, pool: MediaPool, video: VideoId, language: str) -> bytes | None:
    """Return subtitles as SRT, None where there are none in that language, or not now. Raises NotPlayable."""
    place = await shelf.caption(video, language)
    return None if place is None else await pool.run(partial(srt, await pool.whole(place, MOST)))
