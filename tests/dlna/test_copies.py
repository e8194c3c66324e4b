"""What a television is offered first: the copy made for it, then renditions in codecs that it knows."""

from pathlib import Path
from xml.etree import ElementTree

from appliance.domain.shelf import PlayableFile
from appliance.domain.television import HeldCopy
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.domain.video import Rendition, RenditionKind
from appliance.library import files
from appliance.library.manifest import Manifest, MediaFile, RenditionRecord
from appliance.library.marker import Library
from appliance.serve.dlna.didl import Item, didl, wanted
from appliance.serve.dlna.families import PLAIN
from appliance.serve.dlna.films import copy_of
from appliance.serve.dlna.sides import _side
from appliance.store.screens import ScreenVideo
from tests.dlna.box import DIDL, NOW
from tests.media.clips import Clip, make
from tests.unit.house import HOST, summary

BASE = "http://192.168.7.7:7333"


def rendition(name: str, height: int) -> Rendition:
    address = f"https://tube.example.org/{name}.mp4"
    return Rendition(RenditionName(name), RenditionKind.HLS, height, 0, 25, True, True, ByteCount(9_000), address)


def offered(copy: HeldCopy | None, hard: frozenset[RenditionName]) -> list[ElementTree.Element]:
    every = tuple(rendition(f"{h}p", h) for h in (1080, 720, 360))
    names = tuple(r.name for r in every)
    video = ScreenVideo(VideoId("a" * 16), Origin("x"), "A", 60, NOW, "", None, False, True, every, names)
    item = Item("all$a", "all", video, copy=None if copy is None else copy_of(copy), hard=hard)
    root = ElementTree.fromstring(didl([item], wanted("*"), BASE, PLAIN))
    return root.findall(f"{DIDL}item/{DIDL}res")


def names(found: list[ElementTree.Element]) -> list[str]:
    return [(res.text or "").rpartition("/")[2].removesuffix(".mp4") for res in found]


def test_a_copy_is_offered_first_as_what_it_is_and_no_more_are_offered_than_before() -> None:
    before = names(offered(None, frozenset()))
    found = offered(HeldCopy("/x", PlayableFile("c.mp4", ByteCount(12_345), "c"), 1280, 720), frozenset())
    assert names(found) == ["tv", *before[:-1]]
    first = found[0]
    assert (first.get("size"), first.get("resolution")) == ("12345", "1280x720")
    assert (first.get("protocolInfo") or "").startswith("http-get:*:video/mp4:DLNA.ORG_OP=01;DLNA.ORG_CI=1;")
    assert "DLNA.ORG_CI=0" in (found[1].get("protocolInfo") or "")


def test_codecs_that_no_television_knows_are_offered_last() -> None:
    assert names(offered(None, frozenset({RenditionName("1080p")}))) == ["720p", "360p", "1080p"]
    assert names(offered(None, frozenset({RenditionName("720p")}))) == ["1080p", "360p", "720p"]


def test_what_no_television_knows_is_told_by_the_media_and_not_by_the_origin(tmp_path: Path) -> None:
    library = Library(tmp_path / "library", "lib")
    library.claim()
    one, records = summary(1), []
    for clip in (Clip.VP9, Clip.PLAYS):
        path = make(clip, tmp_path)
        name = f"{clip.name.lower()}.mp4"
        records.append(
            RenditionRecord(
                name=clip.name,
                kind=RenditionKind.HLS,
                size=path.stat().st_size,
                codecs="avc1.64001f,mp4a.40.2",
                files=(MediaFile(name=name, size=path.stat().st_size),),
                whole=True,
            )
        )
    manifest = Manifest(id=one.id, origin=HOST, uuid=one.uuid, renditions=tuple(records))
    folder = files.save(library, manifest)
    for clip in (Clip.VP9, Clip.PLAYS):
        (folder / f"{clip.name.lower()}.mp4").write_bytes(make(clip, tmp_path).read_bytes())
    assert _side(library, HOST, one.id).hard == {"VP9"}
