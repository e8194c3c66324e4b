"""PeerTube's REST answers, bytes in, domain values out: this module reads what a hostile server may have written.

Written against recorded answers of PeerTube 8.2.1. Unknown keys and missing optional ones are accepted; what cannot be
used is left out; what is no answer at all raises BadAnswer, and nothing else is raised.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind
from appliance.domain.units import Origin, video_id
from appliance.domain.video import ListingPage, Upstream, VideoDetail, VideoSummary
from appliance.errors import BadAnswer
from appliance.follow.sources.hostile import (
    count,
    items,
    line,
    member,
    moment,
    not_understood,
    parsed,
    text,
    web_url,
    whole,
)
from appliance.follow.sources.peertube_files import MOST_PIXELS, renditions_of

PAGE = 100
LONGEST_TITLE, LONGEST_DESCRIPTION, LONGEST_NAME = 300, 20_000, 120
MOST_VIEWS = 10**12
MOST_SECONDS = 30 * 86400
MOST_MIRRORS, MOST_TAGS, MOST_IMAGES = 50, 30, 50
_THUMBNAIL_WIDTH = 850
_AVATAR_WIDTH = 600
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_NAME = re.compile(r"[A-Za-z0-9_.\-:]{1,120}\Z")
_LANGUAGE = re.compile(r"[A-Za-z0-9\-]{1,20}\Z")
_PUBLISHED = 1
_SEEN_BY_ALL = frozenset({1, 2})
"""Privacy ids of what anyone with the address may see: public, unlisted. Others: private, internal, password."""


# Addresses


def channel_url(address: ChannelAddress) -> str:
    """Return where the channel describes itself; an instance does so in its configuration."""
    match address.kind:
        case ChannelKind.CHANNEL:
            return f"{address.base_url}/api/v1/video-channels/{quote(address.name, safe='@:')}"
        case ChannelKind.ACCOUNT:
            return f"{address.base_url}/api/v1/accounts/{quote(address.name, safe='@:')}"
        case ChannelKind.INSTANCE:
            return f"{address.base_url}/api/v1/config"


def listing_url(address: ChannelAddress, start: int) -> str:
    """Return the address of up to 100 listed videos from ``start``, newest first."""
    query = f"start={start}&count={PAGE}&sort=-publishedAt&nsfw=both"
    if address.kind is ChannelKind.INSTANCE:
        return f"{address.base_url}/api/v1/videos?{query}&isLocal=true"
    return f"{channel_url(address)}/videos?{query}"


def trending_url(base_url: str) -> str:
    """Return the address of the 100 videos of this server's own that are watched most these days, the first first."""
    return f"{base_url}/api/v1/videos?start=0&count={PAGE}&sort=-trending&nsfw=both&isLocal=true&skipCount=true"


def video_url(base_url: str, uuid: str, part: str = "") -> str:
    """Return the address of a video's detail, or of its ``captions`` or ``storyboards``."""
    return f"{base_url}/api/v1/videos/{quote(uuid, safe='')}{'/' + part if part else ''}"


def home_of(url: str) -> tuple[str, Origin]:
    """Return ``scheme://host[:port]`` of an address that ``web_url`` let through, and its origin."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    own = parts.port in (None, 443 if parts.scheme == "https" else 80)
    origin = Origin(host if own else f"{host}:{parts.port}")
    return f"{parts.scheme}://{origin}", origin


# Channels


def channel_info(body: bytes, asked: ChannelAddress) -> ChannelInfo:
    """Return what a channel or account says of itself. Its address is the one at its home. Raises BadAnswer."""
    what = "description of the channel"
    doc = parsed(body, what)
    name = doc.get("name")
    if not isinstance(name, str) or not _NAME.match(name) or asked.kind is ChannelKind.INSTANCE:
        raise not_understood(what)
    url = web_url(doc.get("url"))
    base_url, origin = home_of(url) if url else (asked.base_url, asked.origin)
    return ChannelInfo(
        address=ChannelAddress(base_url, origin, asked.kind, name),
        title=line(doc.get("displayName"), LONGEST_NAME) or name,
        description=text(doc.get("description"), LONGEST_DESCRIPTION),
        url=url or f"{base_url}/{'c' if asked.kind is ChannelKind.CHANNEL else 'a'}/{name}",
        avatar_url=_image(doc.get("avatars"), asked.base_url, _AVATAR_WIDTH),
    )


def instance_info(body: bytes, asked: ChannelAddress) -> ChannelInfo:
    """Return what an instance says of itself in its configuration. Raises BadAnswer where it is no PeerTube."""
    doc = parsed(body, "configuration")
    if not line(doc.get("serverVersion"), 40):
        raise not_understood("configuration")
    return ChannelInfo(
        address=asked,
        title=line(member(doc, "instance", "name"), LONGEST_NAME) or asked.origin,
        description=text(member(doc, "instance", "shortDescription"), LONGEST_DESCRIPTION),
        url=asked.base_url,
        avatar_url=_image(member(doc, "instance", "avatars"), asked.base_url, _AVATAR_WIDTH),
    )


def is_peertube(body: bytes) -> bool:
    """Whether ``/api/v1/config`` answered as PeerTube does."""
    try:
        return bool(line(parsed(body, "configuration").get("serverVersion"), 40))
    except BadAnswer:
        return False


def _image(images: object, base_url: str, width: int) -> str | None:
    """Return the picture nearest to ``width`` pixels."""
    found = []
    for image in items(images, MOST_IMAGES):
        url = web_url(member(image, "fileUrl")) or web_url(member(image, "path"), base_url)
        if url:
            found.append((abs((whole(member(image, "width"), 1, MOST_PIXELS) or MOST_PIXELS) - width), url))
    return min(found)[1] if found else None


# Listings


def listing_page(body: bytes, base_url: str) -> ListingPage:
    """Return one page of a listing asked of ``base_url``. Raises BadAnswer where it is no listing at all."""
    doc = parsed(body, "list of videos")
    data = doc.get("data")
    if not isinstance(data, list):
        raise not_understood("list of videos")
    videos: dict[str, VideoSummary] = {}
    refused = max(len(data) - PAGE, 0)
    for element in data[:PAGE]:
        summary = _summary(element, base_url)
        if summary is None or summary.id in videos:
            refused += 1
        else:
            videos[summary.id] = summary
    return ListingPage(tuple(videos.values()), whole(doc.get("total"), 0, 10**9), refused)


def _summary(element: object, base_url: str) -> VideoSummary | None:
    uuid = member(element, "uuid")
    uuid = uuid.lower() if isinstance(uuid, str) else ""
    published = _published(element)
    if not _UUID.match(uuid) or published is None:
        return None
    url = web_url(member(element, "url"))
    if url is None and member(element, "url") is not None:
        return None
    home, origin = home_of(url or base_url)
    return VideoSummary(
        id=video_id(origin, uuid),
        origin=origin,
        base_url=home,
        uuid=uuid,
        url=url or f"{home}/videos/watch/{uuid}",
        title=line(member(element, "name"), LONGEST_TITLE) or "(untitled)",
        description=text(member(element, "description"), LONGEST_DESCRIPTION),
        duration=count(member(element, "duration"), MOST_SECONDS),
        published_at=published,
        views=count(member(element, "views"), MOST_VIEWS),
        likes=count(member(element, "likes"), MOST_VIEWS),
        is_live=member(element, "isLive") is True,
        nsfw=member(element, "nsfw") is True,
        updated_at=moment(member(element, "updatedAt")),
        originally_published_at=moment(member(element, "originallyPublishedAt")),
        language=language_of(member(element, "language", "id")),
        category=_category(element),
        thumbnail_url=_thumbnail(element, base_url),
        channel_name=line(member(element, "channel", "name"), LONGEST_NAME),
        channel_title=line(member(element, "channel", "displayName"), LONGEST_NAME),
        tags=tuple(filter(None, (line(tag, 60) for tag in items(member(element, "tags"), MOST_TAGS)))),
    )


def _published(element: object) -> datetime | None:
    return moment(member(element, "publishedAt")) or moment(member(element, "createdAt"))


def language_of(value: object) -> str | None:
    """Return a language's code, None where it is none."""
    return value if isinstance(value, str) and _LANGUAGE.match(value) else None


def _category(element: object) -> str | None:
    if whole(member(element, "category", "id"), 0, 10**6) is None:
        return None
    return line(member(element, "category", "label"), 60) or None


def _thumbnail(element: object, base_url: str) -> str | None:
    return (
        _image(member(element, "thumbnails"), base_url, _THUMBNAIL_WIDTH)
        or web_url(member(element, "previewPath"), base_url)
        or web_url(member(element, "thumbnailPath"), base_url)
    )


# One video


def video_detail(body: bytes, base_url: str) -> VideoDetail:
    """Return what ``base_url`` says of one video. Raises BadAnswer where it is no video."""
    what = "description of the video"
    doc = parsed(body, what)
    summary = _summary(doc, base_url)
    state = whole(member(doc, "state", "id"), 0, 1000)
    if summary is None or (state is None and not summary.is_live):
        raise not_understood(what)
    playlist = next(iter(items(doc.get("streamingPlaylists"), 1)), None)
    upstream = _upstream(doc, summary.is_live, state)
    renditions = renditions_of(member(playlist, "files"), doc.get("files"))
    if upstream is Upstream.PUBLISHED and not renditions:
        raise BadAnswer(
            "The server offers no file of this video that could be kept.",
            hint="Its owner has to look into that; Seedkeep asks again tomorrow.",
        )
    mirrors = (web_url(member(m, "baseUrl")) for m in items(member(playlist, "redundancies"), MOST_MIRRORS))
    trackers = (web_url(t) for t in items(doc.get("trackerUrls"), 20))
    return VideoDetail(
        summary=summary,
        upstream=upstream,
        renditions=renditions,
        master_url=web_url(member(playlist, "playlistUrl")),
        sha256_url=web_url(member(playlist, "segmentsSha256Url")),
        trackers=tuple(dict.fromkeys(filter(None, trackers))),
        mirrors=tuple(dict.fromkeys(filter(None, mirrors))),
        replaced_at=moment(doc.get("inputFileUpdatedAt")),
    )


def _upstream(doc: dict[str, object], is_live: bool, state: int | None) -> Upstream:
    privacy = whole(member(doc, "privacy", "id"), 0, 1000)
    if doc.get("blacklisted") is True or (privacy is not None and privacy not in _SEEN_BY_ALL):
        return Upstream.HIDDEN
    if is_live:
        return Upstream.LIVE
    return Upstream.PUBLISHED if state == _PUBLISHED else Upstream.PROCESSING


# Errors


@dataclass(frozen=True, slots=True)
class Problem:
    """An error body (RFC 9457): the server's ``code`` and ``detail``, empty where it did not say."""

    code: str = ""
    detail: str = ""


def problem(body: bytes, content_type: str) -> Problem:
    """Return what an error's body says. Never raises: such bodies are often empty or plain text."""
    if "json" not in content_type or not body:
        return Problem()
    try:
        doc = parsed(body, "error")
    except BadAnswer:
        return Problem()
    return Problem(line(doc.get("code"), 60), line(doc.get("detail"), 200))
