"""``/library.m3u``: all that is held, as a playlist for players and televisions.

Each video's entry is its HLS playlist; ``?form=film`` names one progressive file instead. The players of many systems
(FFmpeg's HLS, and with it mpv and Kodi) cannot seek in HLS of fragments, in a film every player can.
"""

from enum import StrEnum

from litestar import Response, get

from appliance.domain.catalogue import VideoFilter, VideoLine
from appliance.domain.pin import PinState
from appliance.domain.units import VideoId
from appliance.errors import BadInput
from appliance.serve.dlna.films import films
from appliance.serve.m3u import LibraryEntry, library_m3u
from appliance.store import lists, screens
from web.context import AnyRequest, base_address, house, visit
from web.services import Services

_PAGE = 500
_MOST = 20_000
_TALLEST, _FASTEST = 2160, 60
"""Lines, and pictures a second: those who take a playlist are players rather than old televisions."""


class Form(StrEnum):
    """What a playlist's entries name."""

    HLS = "hls"
    FILM = "film"


@get(["/library.m3u", "/library.m3u8"], include_in_schema=False)
async def library(request: AnyRequest) -> Response[str]:
    """List what is held whole, newest first, with absolute addresses. Raises BadInput."""
    services, form = house(request), _form(request)
    lines: list[VideoLine] = []
    names: dict[VideoId, str] = {}
    while len(lines) < _MOST:
        wanted = VideoFilter(pin_state=PinState.PINNED, limit=_PAGE, offset=len(lines))
        page = await services.store.read(lists.page, wanted)
        lines += page.items
        if form is Form.FILM:
            names |= await _films(services, tuple(line.id for line in page.items))
        if len(page.items) < _PAGE:
            break
    entries = [
        LibraryEntry(
            v.id, v.title, v.duration, v.channel_title, v.thumbnail_url is not None, names.get(v.id) or _address(v)
        )
        for v in lines
    ]
    text = library_m3u(entries, base_address(services, visit(request)))
    return Response(text, media_type="audio/x-mpegurl; charset=utf-8", headers={"cache-control": "no-cache"})


def _form(request: AnyRequest) -> Form:
    wanted = request.query_params.get("form", Form.HLS)
    if wanted not in tuple(Form):
        raise BadInput("There is no such form.", field="form", hint=f"Known forms: {', '.join(Form)}.")
    return Form(wanted)


async def _films(services: Services, ids: tuple[VideoId, ...]) -> dict[VideoId, str]:
    """Return the address, below the video's, of the best film of each."""
    found = await services.store.read(screens.videos, ids)
    offered = {video.id: films(video, _TALLEST, _FASTEST, 1) for video in found}
    return {video: best.offer.address for video, films_of in offered.items() for best in films_of}


def _address(video: VideoLine) -> str:
    """Return what plays a video: its playlist, or its plain file where it has nothing else."""
    names = () if video.decision is None else video.decision.renditions
    plain = [name for name in names if name.endswith("-web")]
    return f"{plain[0]}.mp4" if plain and len(plain) == len(names) else "master.m3u8"


routes = [library]
