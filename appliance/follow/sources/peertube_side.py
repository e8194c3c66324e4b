"""What stands beside a PeerTube video: this module reads its lists of captions and storyboards."""

from appliance.domain.video import Caption, Storyboard
from appliance.follow.sources.hostile import items, line, member, parsed, web_url, whole
from appliance.follow.sources.peertube import language_of
from appliance.follow.sources.peertube_files import MOST_PIXELS, has_usable_name

MOST_CAPTIONS = 200
_MOST_SECONDS_A_TILE = 86400


def captions(body: bytes, base_url: str) -> tuple[Caption, ...]:
    """Return a video's captions, one a language. Raises BadAnswer."""
    found: dict[str, Caption] = {}
    for entry in items(parsed(body, "list of captions").get("data"), MOST_CAPTIONS):
        language = language_of(member(entry, "language", "id"))
        url = web_url(member(entry, "fileUrl")) or web_url(member(entry, "captionPath"), base_url)
        if language is None or url is None or not has_usable_name(url):
            continue
        label = line(member(entry, "language", "label"), 60) or language
        found.setdefault(language, Caption(language, label, url, member(entry, "automaticallyGenerated") is True))
    return tuple(found.values())


def storyboards(body: bytes, base_url: str) -> Storyboard | None:
    """Return a video's first usable storyboard, None where there is none. Raises BadAnswer."""
    for entry in items(parsed(body, "storyboard").get("storyboards"), 10):
        url = web_url(member(entry, "fileUrl")) or web_url(member(entry, "storyboardPath"), base_url)
        sizes = [
            whole(member(entry, key), 1, MOST_PIXELS)
            for key in ("totalWidth", "totalHeight", "spriteWidth", "spriteHeight")
        ]
        interval = _seconds(member(entry, "spriteDuration"))
        width, height, tile_width, tile_height = sizes
        if url is None or width is None or height is None or tile_width is None or tile_height is None:
            continue
        if interval is not None and tile_width <= width and tile_height <= height:
            return Storyboard(url, width, height, tile_width, tile_height, interval)
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _MOST_SECONDS_A_TILE else None
