"""PeerTube's JSON for videos of our own: this module copies a recorded answer and changes its values, pure."""

import copy
import json
import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus

from tests.world import recorded

Json = dict[str, Any]
_BASE58 = "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
_UNSAFE = '/\\?%*:|"<>'


def short_uuid(uuid: str) -> str:
    """Return PeerTube's short form: the number in base 58, padded to 22."""
    number, out = uuids.UUID(uuid).int, ""
    while number:
        number, digit = divmod(number, 58)
        out = _BASE58[digit] + out
    return out.rjust(22, "1")


def dumps(value: object) -> bytes:
    """Return JSON as node writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def info_name(title: str, resolution: int, ending: str = ".mp4") -> str:
    """Return a torrent's ``info.name`` as PeerTube builds it."""
    return "".join("-" if c in _UNSAFE else c for c in f"{title} {resolution}p{ending}")


@cache
def _template(body: str) -> str:
    return recorded.read(body).decode()


def template(body: str) -> Json:
    """Return a fresh copy of a recorded JSON answer."""
    loaded: Json = json.loads(_template(body))
    return loaded


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file of a video says of itself: addresses as paths, empty where there is none."""

    id: int
    resolution: int
    width: int
    height: int
    fps: int
    size: int
    has_audio: bool
    has_video: bool
    path: str
    playlist_path: str = ""
    torrent_path: str = ""
    info_hash: str = ""


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """The values that differ from the recorded ones. ``channel`` is the channel's own JSON."""

    number: int
    uuid: str
    title: str
    description: str
    duration: int
    published_at: datetime
    updated_at: datetime
    views: int
    likes: int
    channel: Json
    state: int = 1
    privacy: int = 1
    replaced_at: datetime | None = None
    nsfw: bool = False


def file_json(facts: FileFacts, base: str, video: VideoFacts) -> Json:
    """Return one element of ``files``, as PeerTube writes it."""
    torrent = f"{base}{facts.torrent_path}" if facts.torrent_path else None
    host = base.partition("://")[2]
    found = {
        "id": facts.id,
        "resolution": {"id": facts.resolution, "label": f"{facts.resolution}p" if facts.resolution else "Audio only"},
        "width": facts.width,
        "height": facts.height,
        "magnetUri": f"magnet:?xs={quote(torrent or '', safe='')}&xt=urn:btih:{facts.info_hash}"
        f"&dn={quote_plus(video.title)}&tr={quote(f'{base}/tracker/announce', safe='')}"
        f"&tr={quote(f'ws://{host}/tracker/socket', safe='')}&ws={quote(base + facts.path, safe='')}",
        "size": facts.size,
        "fps": facts.fps,
        "torrentUrl": torrent,
        "torrentDownloadUrl": torrent and torrent.replace("/lazy-static/", "/download/"),
        "fileUrl": f"{base}{facts.path}",
        "fileDownloadUrl": f"{base}/download/web-videos/{video.uuid}-{facts.resolution}.mp4",
        "metadataUrl": f"{base}/api/v1/videos/{video.uuid}/metadata/{facts.id}",
        "hasAudio": facts.has_audio,
        "hasVideo": facts.has_video,
        "playlistUrl": f"{base}{facts.playlist_path}",
        "storage": 0,
    }
    if torrent is None:
        del found["magnetUri"]
    if not facts.playlist_path:
        del found["playlistUrl"]
    return found


def _common(element: Json, facts: VideoFacts, base: str) -> Json:
    short = short_uuid(facts.uuid)
    return element | {
        "id": facts.number,
        "uuid": facts.uuid,
        "shortUUID": short,
        "url": f"{base}/videos/watch/{facts.uuid}",
        "name": facts.title,
        "nsfw": facts.nsfw,
        "truncatedDescription": facts.description[:250] or None,
        "description": facts.description or None,
        "duration": facts.duration,
        "views": facts.views,
        "likes": facts.likes,
        "embedPath": f"/videos/embed/{short}",
        "createdAt": rfc3339(facts.published_at),
        "updatedAt": rfc3339(facts.updated_at),
        "publishedAt": rfc3339(facts.published_at),
        "originallyPublishedAt": None,
        "isLive": False,
    }


def summary_json(facts: VideoFacts, base: str) -> Json:
    """Return an element of a listing."""
    element = copy.deepcopy(template("api/talks/videos.json")["data"][0])
    channel = {k: facts.channel[k] for k in ("id", "name", "displayName", "url", "host", "avatars")}
    return _common(element, facts, base) | {"channel": channel}


def detail_json(
    facts: VideoFacts,
    base: str,
    hls: Sequence[FileFacts],
    web: Sequence[FileFacts],
    master_path: str = "",
    sha256_path: str = "",
) -> Json:
    """Return the detail of a video. Without a master there is no streaming playlist."""
    detail = _common(template("api/videos/talk-a.json"), facts, base)
    playlist = {
        "id": facts.number,
        "type": 1,
        "playlistUrl": f"{base}{master_path}",
        "segmentsSha256Url": f"{base}{sha256_path}",
        "redundancies": [],
        "files": [file_json(f, base, facts) for f in hls],
    }
    host = base.partition("://")[2]
    return detail | {
        "channel": facts.channel,
        "streamingPlaylists": [playlist] if master_path else [],
        "files": [file_json(f, base, facts) for f in web],
        "state": {"id": facts.state, "label": "Published" if facts.state == 1 else "To transcode"},
        "privacy": {"id": facts.privacy, "label": "Public" if facts.privacy == 1 else "Unlisted"},
        "inputFileUpdatedAt": facts.replaced_at and rfc3339(facts.replaced_at),
        "trackerUrls": [f"{base}/tracker/announce", f"ws://{host}/tracker/socket"],
    }


def captions_json(captions: Mapping[str, str], base: str, folder: str, has_hls: bool, at: datetime) -> Json:
    """Return a video's captions. ``captions``: language to ``{caption uuid}-{language}``."""
    data = [
        {
            "language": {"id": language, "label": {"en": "English", "fr": "French"}.get(language, language)},
            "automaticallyGenerated": False,
            "captionPath": f"/lazy-static/video-captions/{stem}.vtt",
            "fileUrl": f"{base}/lazy-static/video-captions/{stem}.vtt",
            "m3u8Url": f"{base}{folder}{stem}.m3u8" if has_hls else None,
            "updatedAt": rfc3339(at),
        }
        for language, stem in captions.items()
    ]
    return {"total": len(data), "data": data}


def channel_json(number: int, name: str, title: str, base: str) -> Json:
    """Return a channel that was not recorded."""
    host = base.partition("://")[2]
    return template("api/talks/channel.json") | {
        "id": number,
        "name": name,
        "displayName": title,
        "url": f"{base}/video-channels/{name}",
        "host": host,
    }
