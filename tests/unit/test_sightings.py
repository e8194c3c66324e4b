"""Which screens were seen: bounded, the household's own kept, and who they may be."""

from datetime import UTC, datetime

import pytest

from appliance.clock import ManualClock
from appliance.domain.screen import MOST_AGENT, Act, family, tidied
from appliance.domain.units import VideoId
from appliance.store.sightings import Sightings

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_screen_is_remembered_with_what_it_did_and_fetched() -> None:
    clock = ManualClock(START)
    sightings = Sightings(clock)
    sightings.saw("10.0.0.9", Act.SEARCHED)
    clock.advance(5)
    sightings.saw("10.0.0.9", Act.DESCRIBED, "DLNADOC/1.50 SEC_HHP_[TV] Samsung Q7/1.0")
    sightings.saw("10.0.0.9", Act.FETCHED, "samsung-agent/1.1")
    sightings.fetched("10.0.0.9", VideoId("a"), 100)
    sightings.fetched("10.0.0.9", VideoId("b"), 7)
    sightings.fetched("10.0.0.9", VideoId("a"), 50)
    (seen,) = sightings.every()
    assert (seen.first, seen.last, seen.farthest) == (START, clock.now(), Act.FETCHED)
    assert {act: deed.count for act, deed in seen.deeds} == {Act.SEARCHED: 1, Act.DESCRIBED: 1, Act.FETCHED: 1}
    assert [(f.video, f.size) for f in seen.fetched] == [("a", 150), ("b", 7)]
    assert family(seen.agents) == "Samsung television"


def test_a_flood_of_searches_drives_no_screen_out_that_did_more() -> None:
    sightings = Sightings(ManualClock(START), most=8)
    sightings.saw("10.0.0.9", Act.BROWSED, "Kodi")
    for n in range(1000):
        sightings.saw(f"10.0.1.{n}", Act.SEARCHED, "x" * 10_000)
        sightings.fetched(f"10.0.2.{n}", VideoId("a"), 5)
    assert len(sightings.every()) == 8
    assert "10.0.0.9" in {s.address for s in sightings.every()}
    for n in range(8):
        sightings.saw(f"10.0.3.{n}", Act.FETCHED)
    assert len(sightings.every()) == 8


def test_what_a_screen_calls_itself_is_bounded_and_printable() -> None:
    assert tidied("TV\r\n\x1b[31m  evil\u202e") == "TV [31m evil"
    assert len(tidied("x" * 10_000)) == MOST_AGENT
    sightings = Sightings(ManualClock(START))
    for n in range(100):
        sightings.saw("10.0.0.9", Act.SEARCHED, f"agent {n}")
        sightings.fetched("10.0.0.9", VideoId(str(n)), 5)
    (seen,) = sightings.every()
    assert seen.agents[0] == "agent 99"
    assert len(seen.agents) <= 4
    assert len(seen.fetched) <= 16


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("DLNADOC/1.50 SEC_HHP_[TV] Samsung Q7 Series (55)/1.0", "Samsung television"),
        ("Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36", "Samsung television"),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 webOS.TV-2023", "LG television"),
        ("UPnP/1.0 DLNADOC/1.50 LGE_DLNA_SDK/1.6.0", "LG television"),
        ("UPnP/1.0 SonyBravia", "Sony television"),
        ("VLC/3.0.24 LibVLC/3.0.24", "VLC"),
        ("Kodi/20.1 (Linux; Android 9; BRAVIA 4K) Kodi_Fork", "Sony television"),
        ("Linux/6.1 UPnP/1.0 GSSDP/1.6.2", "A GNOME program"),
        ("Mozilla/5.0 (Linux; Android 14; SM-S911B) AppleWebKit/537.36", "Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "A browser"),
        ("something else", ""),
    ],
)
def test_families_are_guessed_from_what_screens_call_themselves(agent: str, name: str) -> None:
    assert family((agent,)) == name
    assert family(("unknown thing", agent)) == name
