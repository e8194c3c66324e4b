"""Control points that we did not write find the box, subscribe, and browse it: each from a host of its own."""

import re

import pytest

from tests.screens.home import BOX, Home, title_of
from tests.screens.players import need, playing
from tests.screens.programs import begun
from tests.world.media import Layout

pytestmark = [pytest.mark.net, pytest.mark.alone, pytest.mark.trial]

DESCRIPTION = f"http://{BOX}:7333/dlna/description.xml"
FOLDERS = ["Newest", "Channels", "Rules", "Being watched", "All by name"]


def test_async_upnp_client_finds_subscribes_and_walks(home: Home) -> None:
    found = home.browsed
    assert found["location"] == DESCRIPTION
    assert found["event"] == "urn:schemas-upnp-org:service:ContentDirectory:1"
    assert found["folders"] == [*FOLDERS, "Films", "Nothing"]
    assert sorted(home.resources) == sorted(home.ids)
    for item in found["items"]:
        _, protocol, size, duration = item["about"][0]
        assert protocol.startswith("http-get:*:video/")
        assert "DLNA.ORG_OP=01" in protocol
        assert (int(size) > 0, duration) == (True, "0:02:00.000"), item
    assert home.deeds(home.screen) >= {"searched", "described", "subscribed", "browsed"}


def test_gssdp_discover_finds_it(home: Home) -> None:
    need("gssdp-discover")
    kind = "urn:schemas-upnp-org:device:MediaServer:1"
    said = home.screen.check("gssdp-discover", "-i", "eth0", "-t", kind, "-n", "3")
    assert re.findall(r"Location: (\S+)", said) == [DESCRIPTION]
    assert re.search(rf"USN: +uuid:[0-9a-f-]+::{kind}", said)


def test_gupnp_av_cp_describes_subscribes_and_browses(home: Home) -> None:
    need("gupnp-av-cp")
    need("xvfb-run")
    desk = home.lab.host("desk", "10.77.0.3")
    options = ("-a", "-s", "-screen 0 640x480x24 -nolisten tcp")
    with begun(desk, "xvfb-run", *options, "gupnp-av-cp") as program:

        def browsed() -> bool:
            program.lives()
            return home.deeds(desk) >= {"described", "subscribed", "browsed"}

        home.box.wait(browsed, "browsing", 60)
        assert "failed" not in program.said().lower(), program.said()


def test_vlc_browses_a_folder_and_plays_what_is_in_it(home: Home) -> None:
    """As its list of media servers does: it is given the address of the control, not of the description. It begins
    with the first film, which is not held; then it is told which one to play."""
    need("vlc")
    den = home.lab.host("den", "10.77.0.4")
    # It listens at its IPv6 address too, which can't be used before the kernel has made sure of it.
    home.box.wait(lambda: not den.check("ip", "-6", "addr", "show", "tentative"), "an address")
    folder = f"upnp://{BOX}:7333/dlna/control/ContentDirectory?ObjectID=all"
    options = ("-I", "oldrc", "--rc-fake-tty", "--rc-unix={}/socket", "--vout", "dummy", "--aout", "dummy")
    with begun(den, "vlc", *options, folder) as program:
        talk = program.line("socket")

        def titles() -> list[str]:
            talk.say("playlist")
            lines: list[str] = []
            while not (line := talk.hear()).startswith("+----[ End"):
                lines += re.findall(r"- (.+) \(02:00\)", line)
            return lines

        home.box.wait(lambda: len(titles()) == len(home.ids), "browsing", 30)
        assert sorted(titles()) == sorted(home.ids)
        talk.say(f"goto {titles().index(title_of(Layout.MUXED, '')) + 1}")

        def place() -> float | None:
            talk.say("get_time")
            while not (said := talk.hear().strip()).isdigit():
                pass
            return float(said)

        assert playing(place, 0) < 11
    assert home.deeds(den) >= {"browsed", "fetched"}
