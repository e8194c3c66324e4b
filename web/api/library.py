"""``/library.m3u``: all that is held, as a playlist for players and televisions."""

from litestar import Response, get

from appliance.domain.catalogue import VideoFilter, VideoLine
from appliance.domain.pin import PinState
from appliance.serve.m3u import LibraryEntry, library_m3u
from appliance.store import lists
from web.context import AnyRequest, base_address, house, visit

_PAGE = 500
_MOST = 20_000


@get(["/library.m3u", "/library.m3u8"], include_in_schema=False)
async def library(request: AnyRequest) -> Response[str]:
    """List what is held whole, newest first, with absolute addresses."""
    services = house(request)
    lines: list[VideoLine] = []
    while len(lines) < _MOST:
        wanted = VideoFilter(pin_state=PinState.PINNED, limit=_PAGE, offset=len(lines))
        page = await services.store.read(lists.page, wanted)
        lines += page.items
        if len(page.items) < _PAGE:
            break
    entries = [
        LibraryEntry(v.id, v.title, v.duration, v.channel_title, v.thumbnail_url is not None, _address(v))
        for v in lines
    ]
    text = library_m3u(entries, base_address(services, visit(request)))
    return Response(text, media_type="audio/x-mpegurl; charset=utf-8", headers={"cache-control": "no-cache"})


def _address(video: VideoLine) -> str:
    """Return what plays a video: its playlist, or its plain file where it has nothing else."""
    names = () if video.decision is None else video.decision.renditions
    plain = [name for name in names if name.endswith("-web")]
    return f"{plain[0]}.mp4" if plain and len(plain) == len(names) else "master.m3u8"


routes = [library]
