"""What the lists of an export say: a page for browsers, a list for players, a playlist of picture and sound. Pure."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from appliance.library.manifest import RenditionRecord
from appliance.library.readable import readable

INDEX, LIST = "index.html", "All videos.m3u"
OURS = b"<!-- written by Seedkeep -->", b"#EXTM3U\n# written by Seedkeep"
"""How the two lists begin: what begins otherwise is somebody's, and stays."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One video as the lists show it: ``play`` is the file to open, ``others`` those besides it."""

    title: str
    about: str
    play: str
    seconds: int
    poster: str = ""
    others: tuple[str, ...] = ()


def index(title: str, shown: Sequence[Shown]) -> str:
    """Return a page that lists and plays all of it in a browser, from the disk."""
    parts = []
    for one in shown:
        poster = f' poster="{quote(one.poster)}"' if one.poster else ""
        plays = one.play.endswith((".mp4", ".webm"))
        video = f'<video controls preload="none" src="{quote(one.play)}"{poster}></video>' if plays else ""
        links = "".join(f' · <a href="{quote(name)}">{html.escape(name)}</a>' for name in one.others)
        parts.append(
            f"<article><h2>{html.escape(one.title)}</h2>{video}"
            f'<p>{html.escape(one.about)} <a href="{quote(one.play)}">{html.escape(one.play)}</a>{links}</p></article>'
        )
    head = html.escape(title)
    return (
        f'{OURS[0].decode()}\n<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{head}</title><style>{_STYLE}</style><h1>{head}</h1>\n" + "\n".join(parts) + "\n</html>\n"
    )


_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem;overflow-wrap:anywhere}video{width:100%;max-height:70vh;background:#000}article{margin:2rem 0}"
)


def playlist(shown: Sequence[Shown]) -> str:
    """Return a list of all of it for players."""
    lines = [OURS[1].decode()]
    for one in shown:
        lines += [f"#EXTINF:{max(0, one.seconds)},{readable(one.title)}", one.play]
    return "\n".join(lines) + "\n"


def master(parts: tuple[RenditionRecord, RenditionRecord], seconds: int, lists: tuple[str, str]) -> str:
    """Return a playlist that brings picture and sound together, ``lists`` being the names of their own."""
    best, sound = parts
    bandwidth = max(1, (best.size + sound.size) * 8 // max(1, seconds))
    shape = f",RESOLUTION={best.width}x{best.height}" if best.width else ""
    return (
        "#EXTM3U\n#EXT-X-VERSION:7\n"
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="sound",DEFAULT=YES,URI="{lists[1]}"\n'
        f'#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}{shape},AUDIO="sound"\n{lists[0]}\n'
    )
