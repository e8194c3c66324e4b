"""Players that we did not write play the address that Browse gave, and seek to a half and to nine tenths of it."""

import time

import pytest

from tests.screens import players
from tests.screens.home import SECONDS, SHARES, Home
from tests.world.media import Layout

pytestmark = [pytest.mark.net, pytest.mark.alone, pytest.mark.trial]

PLAY = {"ffprobe": players.ffprobe, "mpv": players.mpv, "VLC": players.vlc, "GStreamer": players.gstreamer}


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("player", PLAY)
def test_what_is_held_plays_and_seeks(home: Home, player: str, layout: Layout) -> None:
    _plays(home, player, layout, held=True)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("player", PLAY)
def test_what_is_not_held_plays_and_seeks(home: Home, player: str, layout: Layout) -> None:
    before = home.origin.media_bytes
    _plays(home, player, layout, held=False)
    assert home.origin.media_bytes > before


def _plays(home: Home, player: str, layout: Layout, *, held: bool) -> None:
    begun = time.monotonic()
    seen = PLAY[player](home.screen, home.film(layout, held, player))
    print(f"{player} {layout} {'held' if held else 'not held'}: {seen} after {time.monotonic() - begun:.1f} s")
    assert 0 < seen.began <= 11
    for at, share in zip(seen.sought, SHARES, strict=True):
        assert players.near(at, SECONDS * share)
