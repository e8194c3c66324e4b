"""The files that PeerTube says a video has, as renditions: this module reads what a hostile server may have written."""

import re
from urllib.parse import unquote, urlsplit

from appliance.domain.units import ByteCount, InfoHash, RenditionName
from appliance.domain.video import Rendition, RenditionKind, TorrentCarrier
from appliance.follow.sources.hostile import items, member, web_url, whole

MOST_FILE_BYTES = 1 << 44
MOST_FILES = 60
MOST_PIXELS = 32768
_HIGH_FRAME_RATE = 31
_BTIH = re.compile(r"[?&]xt=urn:btih:([0-9a-fA-F]{40})(?:&|\Z)")


def renditions_of(hls: object, web: object) -> tuple[Rendition, ...]:
    """Return what can be used of a video's two lists of files, each under a name of its own."""
    found: list[Rendition] = []
    taken: set[str] = set()
    for kind, files in ((RenditionKind.HLS, hls), (RenditionKind.WEB, web)):
        for file in items(files, MOST_FILES):
            rendition = _rendition(file, kind, taken)
            if rendition is not None:
                taken.add(rendition.name)
                found.append(rendition)
    return tuple(found)


def _rendition(file: object, kind: RenditionKind, taken: set[str]) -> Rendition | None:
    height = whole(member(file, "resolution", "id"), 0, MOST_PIXELS)
    size = whole(member(file, "size"), 1, MOST_FILE_BYTES)
    file_url = web_url(member(file, "fileUrl"))
    if height is None or size is None or file_url is None or not has_usable_name(file_url):
        return None
    fps = whole(member(file, "fps"), 0, 1000) or 0
    return Rendition(
        name=_rendition_name(height, fps, kind, taken),
        kind=kind,
        height=height,
        width=whole(member(file, "width"), 0, MOST_PIXELS) or 0,
        fps=fps,
        has_video=height > 0 and member(file, "hasVideo") is not False,
        has_audio=member(file, "hasAudio") is not False,
        size=ByteCount(size),
        file_url=file_url,
        playlist_url=web_url(member(file, "playlistUrl")) if kind is RenditionKind.HLS else None,
        torrent=_torrent(file),
    )


def _rendition_name(height: int, fps: int, kind: RenditionKind, taken: set[str]) -> RenditionName:
    name = f"{height}p{fps if fps > _HIGH_FRAME_RATE else ''}" if height else "audio"
    name += "-web" if kind is RenditionKind.WEB else ""
    alternatives = (f"{name}-{n}" for n in range(2, 2 * MOST_FILES + 2))
    return RenditionName(name if name not in taken else next(a for a in alternatives if a not in taken))


def has_usable_name(url: str) -> bool:
    """Whether the last part of the path can be a file's name; an empty one is a folder of segments."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    return name not in (".", "..") and "/" not in name and "\\" not in name and name.isprintable() and len(name) < 200


def _torrent(file: object) -> TorrentCarrier | None:
    url = web_url(member(file, "torrentUrl"))
    if url is None:
        return None
    magnet = member(file, "magnetUri")
    match = _BTIH.search(magnet) if isinstance(magnet, str) else None
    return TorrentCarrier(url, InfoHash(match[1].lower()) if match else None)
