"""``/library.m3u``: this module writes the playlist that VLC, Kodi and IPTV apps take. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.domain.units import VideoId


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """One video that is held. ``address`` is the path below ``/media/{video}/`` that plays it."""

    video: VideoId
    title: str
    duration: int
    channel: str = ""
    thumbnail: bool = False
    address: str = "master.m3u8"


def library_m3u(entries: Iterable[LibraryEntry], base: str) -> str:
    """Return the playlist with absolute addresses below ``base`` (``http://host:port``, ``…/t/{token}``)."""
    base = base.rstrip("/")
    out = ["#EXTM3U"]
    for entry in entries:
        root = f"{base}/media/{entry.video}"
        logo = f' tvg-logo="{root}/thumbnail.jpg"' if entry.thumbnail else ""
        group = f' group-title="{_attribute(entry.channel)}"' if entry.channel else ""
        seconds = entry.duration if entry.duration > 0 else -1
        out.append(f'#EXTINF:{seconds} tvg-id="{entry.video}"{logo}{group},{_line(entry.title) or entry.video}')
        out.append(f"{root}/{entry.address}")
    return "\n".join(out) + "\n"


def _line(text: str) -> str:
    """One line of printable text, at most 300 characters: a title must not smuggle in a line of its own."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def _attribute(text: str) -> str:
    return _line(text).replace('"', "'")
