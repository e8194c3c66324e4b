"""What each family of screens is given: golden documents, and what always holds of them.

``UPDATE_GOLDEN=1`` writes the files anew; read the difference before it is committed.
"""

import os
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

import appliance.serve.dlna
from appliance.domain.units import ByteCount, Origin, RenditionName, VideoId
from appliance.domain.video import Rendition, RenditionKind
from appliance.serve.dlna.families import PLAIN, Families
from appliance.serve.dlna.films import films
from appliance.store.screens import ScreenVideo
from tests.dlna.box import DC, DIDL, NOW, UPNP, Box

GOLDEN = Path(__file__).parents[1] / "golden" / "dlna"
QUIRKS = Path(appliance.serve.dlna.__file__).parent / "quirks"
SEC = "{http://www.sec.co.kr/}"
PV = "{http://www.pv.com/pvns/}"
DLNA = "{urn:schemas-dlna-org:metadata-1-0/}"

SAYS: dict[str, dict[str, str]] = {
    "samsung": {"user-agent": "DLNADOC/1.50 SEC_HHP_[TV] UE65JU7000/1.0 UPnP/1.0"},
    "samsung_player": {"user-agent": "DLNADOC/1.50 SEC_HHP_BD-D5100/1.0"},
    "allshare": {"user-agent": "DLNADOC/1.50 SEC_HHP_[PC]LPC001/1.0  MS-DeviceCaps/1024"},
    "lg": {"user-agent": "Linux/2.6.31-1.0 UPnP/1.0 DLNADOC/1.50 INTEL_NMPR/2.0 LGE_DLNA_SDK/1.5.0"},
    "sony": {
        "user-agent": "UPnP/1.0 DLNADOC/1.50",
        "x-av-client-info": 'av=5.0; cn="Sony Corporation"; mn="BRAVIA KDL-32W653A"; mv="1.7";',
    },
    "panasonic": {"user-agent": "Panasonic MIL DLNA CP UPnP/1.0 DLNADOC/1.50"},
    "philips": {"user-agent": "IPI/1.0 UPnP/1.0 DLNADOC/1.50"},
    "xbox": {"user-agent": "Xbox/2.0.8955.0 UPnP/1.0 Xbox/2.0.8955.0"},
    "kodi": {"user-agent": "UPnP/1.0 DLNADOC/1.50 Kodi"},
    "vlc": {"user-agent": "Linux/6.1.0, UPnP/1.0, Portable SDK for UPnP devices/1.14.13"},
    "plain": {"user-agent": "SomeTV/1.0 UPnP/1.0"},
}
"""What requests of these families really say (from other servers' records of them)."""


async def _given(box: Box, family: str) -> str:
    """Return what a family is given: who we are, and a held video with pictures and subtitles, readable by people."""
    told = await box.client.get("/dlna/description.xml", headers=SAYS[family])
    ask = {"ObjectID": f"all${box.ids[0]}", "BrowseFlag": "BrowseMetadata", "Filter": "*"}
    answer = await box.ask("ContentDirectory", "Browse", SAYS[family], **ask)
    result = ElementTree.fromstring(answer.content).findtext(".//Result") or ""
    out = [text.replace("><", ">\n<") for text in (told.text, result)]
    return "\n".join(out).replace(box.base, "http://BOX").replace(box.ids[0], "VIDEO") + "\n"


@pytest.mark.parametrize("family", sorted(SAYS))
async def test_a_family_is_given_what_it_is_known_to_need(box: Box, family: str) -> None:
    path, given = GOLDEN / f"{family}.xml", await _given(box, family)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(given, encoding="utf-8")
    assert given == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("family", sorted(SAYS))
async def test_what_holds_for_every_family(box: Box, family: str) -> None:
    ask = {"ObjectID": f"all${box.ids[0]}", "BrowseFlag": "BrowseMetadata", "Filter": "*"}
    answer = await box.ask("ContentDirectory", "Browse", SAYS[family], **ask)
    text = ElementTree.fromstring(answer.content).findtext(".//Result") or ""
    (item,) = ElementTree.fromstring(text)
    films = [res for res in item.findall(f"{DIDL}res") if "video/" in res.get("protocolInfo", "")]
    assert item.findall(f"{DIDL}res")[: len(films)] == films, "a film comes before what goes with it"
    assert 1 <= len(films) <= 3
    for film in films:
        assert "DLNA.ORG_OP=01;" in film.get("protocolInfo", "")
        assert "DLNA.ORG_PN" not in film.get("protocolInfo", "")
        assert int(film.get("size", 0)) > 0
        assert film.get("duration") == "0:01:00.000"
    assert text.isascii() or item.findtext(f"{DC}title", "").rstrip(".") == "Äpfel & Birnen"
    for address in (e.text or "" for e in item.iter() if (e.text or "").startswith("http")):
        assert address.isascii()
        assert address.startswith(box.base + "/")
    assert "<![CDATA[" not in answer.text


async def test_subtitles_in_the_videos_own_language_come_first(box: Box) -> None:
    item = (await box.browse(f"all${box.ids[0]}", flag="BrowseMetadata", agent="Kodi")).nodes[0]
    told = item.findtext(f"{SEC}CaptionInfoEx", "")
    assert told.endswith(f"/media/{box.ids[0]}/captions/de.srt")
    texts = [res.text or "" for res in item.findall(f"{DIDL}res") if "text/srt" in res.get("protocolInfo", "")]
    assert [text.rpartition("/")[2] for text in texts] == ["de.srt", "fr.srt", "en.srt"]
    film = item.find(f"{DIDL}res")
    assert film is not None
    assert film.get(f"{PV}subtitleFileUri") == told


async def test_an_old_lg_finds_subtitles_by_a_full_stop_in_the_title(box: Box) -> None:
    agent = SAYS["lg"]["user-agent"]
    assert (await box.browse("all", agent=agent)).titles[:2] == ["Äpfel & Birnen.", "Bergwandern"]  # the first has some


async def test_a_picture_of_160_pixels_is_named_as_what_it_is(box: Box) -> None:
    item = (await box.browse(f"all${box.ids[0]}", flag="BrowseMetadata", agent="SomeTV/1.0")).nodes[0]
    small, large = item.findall(f"{UPNP}albumArtURI")
    assert (small.get(f"{DLNA}profileID"), large.get(f"{DLNA}profileID")) == ("JPEG_TN", None)
    assert small.text == f"{box.base}/dlna/art/{box.ids[0]}.jpg"
    assert large.text == f"{box.base}/media/{box.ids[0]}/thumbnail.jpg"


async def test_an_order_that_a_family_cannot_help_asking_for_is_not_given(box: Box) -> None:
    newest = await box.browse("new", sort="+dc:title", agent=SAYS["panasonic"]["user-agent"])
    assert newest.titles[-1] == "Fjorde"
    assert newest.titles == (await box.browse("new")).titles


def test_a_request_that_says_nothing_is_answered_as_the_last_one_from_there() -> None:
    families = Families()
    said = {name.encode(): text.encode() for name, text in SAYS["lg"].items()}
    assert families.of({}, "192.168.7.30") is PLAIN
    assert families.of(said, "192.168.7.30").family == "lg"
    assert families.of({}, "192.168.7.30").family == "lg"
    assert families.of({b"user-agent": b"SomeTV/1.0"}, "192.168.7.30") is PLAIN
    assert families.of({}, "192.168.7.31") is PLAIN
    for n in range(1000):
        families.of(said, f"10.0.{n // 250}.{n % 250}")
    assert families.of({}, "192.168.7.30") is PLAIN


def test_every_family_is_recognised_by_what_it_says() -> None:
    families = Families()
    for n, (family, said) in enumerate(SAYS.items()):
        headers = {name.encode(): text.encode() for name, text in said.items()}
        assert families.of(headers, f"192.168.7.{n}").family == ("" if family == "plain" else family)
    assert {quirks.family for quirks in families.every()} == set(SAYS) - {"plain"}


def test_every_quirk_says_why_and_where_it_was_learned() -> None:
    for path in QUIRKS.glob("*.toml"):
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        assert read["match"]
        for quirk in read["quirk"]:
            assert quirk["source"].startswith("https://github.com/")
            assert quirk["why"].endswith(".")


def test_what_a_family_can_play_comes_first_and_the_best_of_it_at_the_beginning() -> None:
    def one(name: str, height: int, fps: int) -> Rendition:
        address = f"https://tube.example.org/{name}.mp4"
        return Rendition(RenditionName(name), RenditionKind.HLS, height, 0, fps, True, True, ByteCount(9), address)

    every = (one("2160p60", 2160, 60), one("1080p60", 1080, 60), one("720p", 720, 30), one("360p", 360, 30))
    video = ScreenVideo(
        VideoId("a" * 16), Origin("x"), "", 60, NOW, "", None, False, True, every, tuple(r.name for r in every)
    )

    def first(tallest: int, fastest: int) -> list[str]:
        return [film.offer.address.removesuffix(".mp4") for film in films(video, tallest, fastest, 4)]

    assert first(1080, 60) == ["1080p60", "720p", "360p", "2160p60"]
    assert first(1080, 30) == ["720p", "360p", "1080p60", "2160p60"]
    assert first(4320, 60) == ["2160p60", "1080p60", "720p", "360p"]
