"""Screens as a person sees them: how far each came, what it took, who answered, and the address as a QR code."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.clock import ManualClock
from appliance.domain.screen import Act
from appliance.domain.units import VideoId
from appliance.lan.ssdp_look import Renderer
from appliance.store.sightings import Sightings
from web.pages.lan import _named
from web.views import lan as views

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def seen(*acts: Act, agent: str = "") -> Sightings:
    sightings = Sightings(ManualClock(START))
    for act in acts:
        sightings.saw("10.0.0.9", act, agent)
    return sightings


@pytest.mark.parametrize(
    ("acts", "badge", "done", "advised"),
    [
        ((Act.SEARCHED,), "searched", ["searched"], True),
        ((Act.DESCRIBED,), "found us", ["searched", "found us"], True),
        ((Act.SEARCHED, Act.DESCRIBED, Act.SUBSCRIBED), "looked around", ["searched", "found us"], False),
        ((Act.BROWSED,), "looked around", ["searched", "found us", "looked around"], False),
        ((Act.BROWSED, Act.FETCHED), "playing", ["searched", "found us", "looked around", "played"], False),
        ((Act.FETCHED,), "playing", [], False),
    ],
)
def test_a_screen_is_shown_with_how_far_it_came(
    acts: tuple[Act, ...], badge: str, done: list[str], advised: bool
) -> None:
    (screen,) = views.screens(seen(*acts).every(), {}, START)
    assert screen.badge.word == badge
    assert [step.word for step in screen.steps if step.done] == done
    assert (screen.advice != "") is advised
    assert screen.name == "A screen"


def test_what_a_screen_took_is_named_as_long_as_it_is_known_and_playing_ends() -> None:
    sightings = seen(Act.FETCHED, agent="VLC/3.0.24 LibVLC/3.0.24")
    sightings.fetched("10.0.0.9", VideoId("gone"), 5_000_000)
    sightings.fetched("10.0.0.9", VideoId("here"), 1_400_000_000)
    (screen,) = views.screens(sightings.every(), {}, START + timedelta(minutes=1))
    assert screen.badge.word == "playing"
    (screen,) = views.screens(sightings.every(), {VideoId("here"): "Tides"}, START + timedelta(hours=1))
    assert (screen.name, screen.badge.word, screen.last.text) == ("VLC", "played", "1\u00a0hour ago")
    assert [(t.href, t.title, t.size) for t in screen.took] == [
        ("videos/here", "Tides", "1.4\u00a0GB"),
        ("", "A video that is gone", "5\u00a0MB"),
    ]


def test_screens_that_answer_are_named_by_themselves_or_guessed() -> None:
    renderers = (
        Renderer("10.0.0.9", "Kitchen", "Q7", ""),
        Renderer("10.0.0.8", "", "", "Linux UPnP/1.0 SonyBravia"),
        Renderer("10.0.0.7", "", "", ""),
    )
    found = views.found(renderers, seen(Act.SEARCHED).every())
    assert [(f.name, f.seen) for f in found] == [
        ("Kitchen", True),
        ("Sony television", False),
        ("A screen without a name", False),
    ]


def test_of_many_that_only_searched_the_latest_are_shown_and_the_rest_is_counted() -> None:
    clock = ManualClock(START)
    sightings = Sightings(clock)
    sightings.saw("10.0.0.99", Act.BROWSED)
    for n in range(10):
        clock.advance(1)
        sightings.saw(f"10.0.0.{n}", Act.SEARCHED)
    shown, more = views.shown(sightings.every())
    assert [one.address for one in shown] == [*(f"10.0.0.{n}" for n in (9, 8, 7, 6)), "10.0.0.99"]
    assert more == 6


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("http://10.0.0.5:7333", "http://seedkeep.local:7333"),
        ("http://10.0.0.5:7333/keep", "http://seedkeep.local:7333/keep"),
        ("http://[fd00::5]:7333", "http://seedkeep.local:7333"),
        ("http://10.0.0.5", "http://seedkeep.local"),
    ],
)
def test_the_local_name_stands_beside_the_bare_address(address: str, named: str) -> None:
    assert _named(address, "seedkeep.local") == named


def test_an_address_is_a_small_qr_code_with_its_quiet_zone() -> None:
    code = views.qr("http://192.168.1.5:7333")
    assert code.size == 25 + 2 * 4  # version 2
    dark = {tuple(map(int, square.partition("h")[0].split())) for square in code.path.split("M")[1:]}
    assert all(4 <= x < 29 and 4 <= y < 29 for x, y in dark)
    for left, top in ((4, 4), (22, 4), (4, 22)):  # the finders
        assert all((left + n, top) in dark and (left, top + n) in dark for n in range(7))
