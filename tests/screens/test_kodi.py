"""Kodi finds the box as a UPnP source, walks through its folders, plays what it found there, and seeks."""

from collections.abc import Iterator

import pytest

from tests.screens.home import SECONDS, SHARES, Home, title_of
from tests.screens.kodi import Kodi, begin
from tests.screens.players import near
from tests.world.media import Layout

pytestmark = [pytest.mark.net, pytest.mark.alone, pytest.mark.trial]

PLAYER = "Kodi"


@pytest.fixture(scope="module")
def kodi(home: Home) -> Iterator[Kodi]:
    with begin(home.screen) as running:
        yield running


@pytest.fixture(scope="module")
def films(kodi: Kodi) -> dict[str, str]:
    """Every film's path, by title, as Kodi found it from folder to folder."""
    folders = kodi.folder(kodi.server("Seedkeep"))
    assert list(folders) == ["Newest", "Channels", "Rules", "Being watched", "All by name"]
    channels = kodi.folder(folders["Channels"])
    assert set(channels) == {"Films", "Nothing"}
    listed = kodi.folder(channels["Films"])
    assert set(listed) == set(kodi.folder(folders["All by name"]))
    return listed


@pytest.mark.parametrize("held", [True, False], ids=["held", "not-held"])
@pytest.mark.parametrize("layout", Layout)
def test_kodi_plays_what_it_found_and_seeks(
    home: Home, kodi: Kodi, films: dict[str, str], layout: Layout, held: bool
) -> None:
    title = title_of(layout, "" if held else PLAYER)
    assert home.state(title) == ("pinned" if held else "not held")
    seen = kodi.play(films[title])
    print(f"{PLAYER} {layout} {'held' if held else 'not held'}: {seen}")
    assert 0 < seen.began <= 11
    assert all(near(at, SECONDS * share) for at, share in zip(seen.sought, SHARES, strict=True))


def test_the_box_knows_kodi(home: Home, films: dict[str, str]) -> None:
    (screen,) = (s for s in home.box.ask("GET", "/api/v1/lan")["screens"] if s["address"] == home.screen.address)
    assert any("Kodi" in agent for agent in screen["agents"]), screen
    assert {"searched", "described", "browsed"} <= {deed["act"] for deed in screen["deeds"]}
