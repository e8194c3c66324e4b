"""Folders and videos as DIDL-Lite (ContentDirectory:1, 2.8), for one family of screens: this module writes it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from appliance.domain.units import RenditionName
from appliance.serve.dlna.criteria import CLASS
from appliance.serve.dlna.families import Quirks
from appliance.serve.dlna.films import Film, films
from appliance.serve.dlna.soap import text_of
from appliance.serve.film.headers import CONTENT_FEATURES, CONVERTED_FEATURES
from appliance.serve.subtitles import SRT
from appliance.store.screens import ScreenVideo

_MOST_TITLE = 250
_MOST_CAPTIONS = 8
_HARMLESS = re.compile("[A-Za-z0-9 _.,:;!?$%()/+-]*")
_OBJECT = re.compile("^(container|item|DIDL-Lite/container|DIDL-Lite/item)@")
_OF_RESOURCES = frozenset({"@size", "@duration", "@bitrate", "@resolution", "@protocolInfo"})
_SOUND = "object.item.audioItem"

_OPEN = (
    '<DIDL-Lite xmlns="urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:upnp="urn:schemas-upnp-org:metadata-1-0/upnp/" xmlns:dlna="urn:schemas-dlna-org:metadata-1-0/" '
    'xmlns:sec="http://www.sec.co.kr/" xmlns:pv="http://www.pv.com/pvns/">'
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A container. ``children`` is None where they were not counted."""

    id: str
    parent: str
    title: str
    children: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A video in a folder. ``original`` is its id in the folder of all, where it is shown elsewhere too.

    ``captions`` are the languages there are subtitles in, the most useful first; ``drawn``: there is a picture of it.
    ``copy`` is one for televisions, ``hard`` names the renditions that no common one plays.
    """

    id: str
    parent: str
    video: ScreenVideo
    original: str | None = None
    captions: tuple[str, ...] = ()
    drawn: bool = False
    copy: Film | None = None
    hard: frozenset[RenditionName] = frozenset()


Node = Folder | Item


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which properties are asked for (2.8.8): all, or these names besides the required ones."""

    every: bool
    names: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return self.every or name in self.names


def wanted(text: str) -> Wanted:
    """Read the argument ``Filter``. Some write attributes of an object with its element (``container@childCount``),
    others those of a resource without (``@duration``). Who names nothing is given everything, as by other servers: an
    item without a resource would be of no use to anybody.
    """
    names = frozenset(_OBJECT.sub("@", part.strip()) for part in text.split(","))
    names |= {f"res{name}" for name in names & _OF_RESOURCES}
    return Wanted("*" in names or names == {""}, names | {name.partition("@")[0] for name in names})


def didl(nodes: Sequence[Node], asked: Wanted, base: str, quirks: Quirks) -> str:
    """Return the document; ``base`` is our address as the one who asks reaches it, without a slash at its end."""
    out = [_OPEN]
    for node in nodes:
        match node:
            case Folder():
                out.append(_folder(node, asked))
            case Item():
                out.append(_Drawing(node, asked, base, quirks).text())
    out.append("</DIDL-Lite>")
    return "".join(out)


def _folder(folder: Folder, asked: Wanted) -> str:
    count = f' childCount="{folder.children}"' if folder.children is not None and "@childCount" in asked else ""
    search = ' searchable="1"' if "@searchable" in asked else ""
    return (
        f'<container id="{text_of(folder.id)}" parentID="{text_of(folder.parent)}" restricted="1"{search}{count}>'
        f"<dc:title>{_title(folder.title)}</dc:title><upnp:class>object.container.storageFolder</upnp:class>"
        "<upnp:storageUsed>-1</upnp:storageUsed></container>"  # required of this class (2.7), as is -1 for unknown
    )


@dataclass(frozen=True, slots=True)
class _Drawing:
    """One item being written."""

    item: Item
    asked: Wanted
    base: str
    quirks: Quirks

    def text(self) -> str:
        item, video, asked = self.item, self.item.video, self.asked
        quirks = self.quirks
        offered = films(video, quirks.tallest, quirks.fastest, quirks.resources, item.hard)
        if item.copy is not None:
            offered = (item.copy, *offered)[: quirks.resources]
        sound = bool(offered) and offered[0].offer.content_type.startswith("audio/")
        original = f' refID="{_escaped(item.original)}"' if item.original is not None and "@refID" in asked else ""
        dot = "." if quirks.dotted and item.captions and "." not in video.title else ""
        out = [
            f'<item id="{_escaped(item.id)}" parentID="{_escaped(item.parent)}" restricted="1"{original}>'
            f"<dc:title>{_title(video.title)}{dot}</dc:title><upnp:class>{_SOUND if sound else CLASS}</upnp:class>"
        ]
        if "dc:date" in asked:
            out.append(f"<dc:date>{video.published_at.isoformat()[:19]}</dc:date>")
        if video.channel_title and "dc:creator" in asked:
            out.append(f"<dc:creator>{_often(video.channel_title)}</dc:creator>")
        if video.category and "upnp:genre" in asked:
            out.append(f"<upnp:genre>{_often(video.category)}</upnp:genre>")
        if item.drawn and "upnp:albumArtURI" in asked:
            out += self._pictures()
        if item.captions and self.quirks.caption_info and "sec:CaptionInfoEx" in asked:
            out.append(f'<sec:CaptionInfoEx sec:type="srt">{self._caption(item.captions[0])}</sec:CaptionInfoEx>')
        if "res" in asked:
            out += [self._film(film) for film in offered]
            out += self._caption_resources()
        out.append("</item>")
        return "".join(out)

    def _pictures(self) -> list[str]:
        small = f"{self.base}/dlna/art/{self.item.video.id}.jpg"
        large = f"{self.base}/media/{self.item.video.id}/thumbnail.jpg"
        tiny = f'<upnp:albumArtURI dlna:profileID="JPEG_TN">{small}</upnp:albumArtURI>'
        whole = f"<upnp:albumArtURI>{large}</upnp:albumArtURI>"
        match self.quirks.art:
            case "small":
                return [tiny]
            case "large":
                return [whole]
            case "both":
                return [tiny, whole]
            case "large first":
                return [whole, tiny]

    def _film(self, film: Film) -> str:
        video, offer = self.item.video, film.offer
        length = max(0, video.duration)
        more = f' size="{offer.size}"' if offer.size > 0 else ""
        if length:
            more += f' duration="{length // 3600}:{length // 60 % 60:02}:{length % 60:02}.000"'
            if offer.size > 0 and "res@bitrate" in self.asked:
                more += f' bitrate="{offer.size // length}"'
        if film.height and "res@resolution" in self.asked:
            more += f' resolution="{film.width}x{film.height}"'
        if self.item.captions and self.quirks.caption_attributes:
            address = self._caption(self.item.captions[0])
            more += f' pv:subtitleFileType="SRT" pv:subtitleFileUri="{address}"'
        address = f"{self.base}/media/{video.id}/{quote(offer.address)}"
        features = CONVERTED_FEATURES if film.converted else CONTENT_FEATURES
        return f'<res protocolInfo="http-get:*:{offer.content_type}:{features}"{more}>{address}</res>'

    def _caption_resources(self) -> list[str]:
        if not self.quirks.caption_resources:
            return []
        return [
            f'<res protocolInfo="http-get:*:{SRT}:*">{self._caption(language)}</res>'
            for language in self.item.captions[:_MOST_CAPTIONS]
        ]

    def _caption(self, language: str) -> str:
        return f"{self.base}/media/{self.item.video.id}/captions/{quote(language, safe='')}.srt"


def _title(text: str) -> str:
    """One line of text."""
    return _escaped(" ".join(text.split())[:_MOST_TITLE]) or "?"


def _escaped(text: str) -> str:
    """Most of what stands in a page needs no escaping, and that is seen sooner than done."""
    return text if _HARMLESS.fullmatch(text) is not None else text_of(text)


@lru_cache(512)
def _often(text: str) -> str:
    """One line of text that stands in many items."""
    return _title(text)
