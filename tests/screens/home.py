"""A household for foreign screens: this module has a box with films of every layout, held and not held, the origin they
come from on the far side of a router, and the host that the screens run on.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.world.box import Box
from tests.world.lab import Host, Lab
from tests.world.media import Layout, make
from tests.world.origin import Origin

BOX, SCREEN, ORIGIN = "10.77.0.1", "10.77.0.2", "10.78.0.1"
SECONDS = 120
"""Of every film."""
PLAYERS = ("anybody", "ffprobe", "mpv", "VLC", "GStreamer", "Kodi")
"""Who has films of their own that are not held. The first in every list is anybody's."""
SHARES = (0.5, 0.9)
"""Where every player seeks to."""
RATE = 1_500_000
"""Bytes/s that the origin gives: a film in 12 s, so that a seek is to what is not here yet."""


@dataclass(frozen=True, slots=True)
class Home:
    """``resources`` are the addresses that Browse gave for films, by title."""

    lab: Lab
    box: Box
    origin: Origin
    screen: Host
    ids: dict[str, str]
    browsed: dict[str, Any]
    resources: dict[str, str]

    def film(self, layout: Layout, held: bool, player: str) -> str:
        """Return the address that Browse gave. What is not held is a film of its own for each player."""
        title = title_of(layout, "" if held else player)
        assert self.state(title) == ("pinned" if held else "not held"), title
        return self.resources[title]

    def deeds(self, screen: Host) -> set[str]:
        """Return what the box saw a screen do."""
        seen = self.box.ask("GET", "/api/v1/lan")["screens"]
        return {deed["act"] for one in seen if one["address"] == screen.address for deed in one["deeds"]}

    def state(self, title: str) -> str:
        """Return the state of a film's pin, and whether it is cached."""
        video = self.box.ask("GET", f"/api/v1/videos/{self.ids[title]}")
        if video["pin"] is not None:
            return str(video["pin"]["state"])
        return "cached" if video.get("cached") else "not held"


def title_of(layout: Layout, player: str) -> str:
    return f"{layout.capitalize()} for {player}" if player else f"{layout.capitalize()}, held"


@contextmanager
def a_home(lab: Lab, folder: Path, players: tuple[str, ...]) -> Iterator[Home]:
    """Begin it: one film of each layout is pinned, and one for each player is known and not held."""
    box_host, screen, origin_host = lab.host("box", BOX), lab.host("screen", SCREEN), lab.host("origin", ORIGIN)
    made = {layout: make(layout, (360,), SECONDS, kbits=1200) for layout in Layout}
    with origin_host.inside():
        origin = Origin(ORIGIN, 80, limit=None)
    with origin:
        for channel in ("nothing", "films"):
            origin.add_channel(channel)
        held = [origin.add_video(made[layout], "films", title=title_of(layout, "")) for layout in Layout]
        wanted = [title_of(layout, player) for layout in Layout for player in players]
        for layout in Layout:
            for player in players:
                origin.add_video(made[layout], "films", title=title_of(layout, player))
        box = Box(folder / "data", box_host, lan__dlna="true", lan__mdns="true").start()
        try:
            _follow(box, origin, len(held) + len(wanted))
            for video in held:
                box.ask("POST", "/api/v1/pins", {"url": video.address})
            box.wait_pinned(*(title_of(layout, "") for layout in Layout), seconds=120)
            ids = {v["title"]: v["id"] for v in box.ask("GET", "/api/v1/videos", limit=500)["items"]}
            for title in wanted:
                box.wait(lambda t=title: box.ask("GET", f"/api/v1/videos/{ids[t]}")["renditions"], "details", 120)  # type: ignore[misc]
            origin.shape(rate=RATE)
            browsed = browse(screen)
            yield Home(
                lab, box, origin, screen, ids, browsed, {one["title"]: one["res"][0] for one in browsed["items"]}
            )
        finally:
            box.kill()


def _follow(box: Box, origin: Origin, most: int) -> None:
    """Follow the films with no rule that wants them."""
    box.ask("POST", "/api/v1/channels", {"url": origin.channel_url("nothing")})
    box.wait(lambda: box.ask("GET", "/api/v1/rules")["items"], "the default rule")
    for rule in box.ask("GET", "/api/v1/rules")["items"]:
        box.ask("DELETE", f"/api/v1/rules/{rule['id']}")
    channel = box.ask("POST", "/api/v1/channels", {"url": origin.channel_url("films")})["id"]
    box.wait(lambda: box.ask("GET", f"/api/v1/channels/{channel}")["listed"] == most, "the listing", 60)


def browse(screen: Host) -> dict[str, Any]:
    """Have async-upnp-client find the box from the screen's host, subscribe, and walk through all folders."""
    run = screen.python("-m", "tests.screens.browse", screen.address, stdout=subprocess.PIPE)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 0
    found: dict[str, Any] = json.loads(said)
    return found
