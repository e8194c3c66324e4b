"""A street of origins, each bad in its own way, and one appliance that follows them all: this module builds both.

Each origin has a channel of videos of which some are spoilt and one is well. The appliance looks at all of them at
once, so that many cases take as long as the slowest.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import httpx

from tests.world.bodies import bdecoded, bencode
from tests.world.box import PASSWORD, Box
from tests.world.http import Visit
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.published import Published

CHANNEL = "harbour"
HEIGHT = 360
LISTING = f"/api/v1/video-channels/{CHANNEL}/videos"
TRACES = ("Traceback", "Task exception was never retrieved", "was never awaited", "Exception in callback")
_A_HOUSE = 6
"""Spoilt videos that share an origin, where its faults don't make it be left alone."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One spoilt video, and the paths at which its origin has its parts."""

    origin: Origin
    video: Published

    @property
    def detail(self) -> str:
        return f"/api/v1/videos/{self.video.uuid}"

    @property
    def torrent(self) -> str:
        return self._path("/lazy-static/torrents/", self._files()["torrentUrl"])

    @property
    def media(self) -> str:
        return self._path("/static/", self._files()["fileUrl"])

    @property
    def playlist(self) -> str:
        return self.video.folder + self.video.made.at(HEIGHT).stem + ".m3u8"

    @property
    def hashes(self) -> str:
        return self._path("/static/", self.video.detail()["streamingPlaylists"][0]["segmentsSha256Url"])

    @property
    def master(self) -> str:
        return self._path("/static/", self.video.detail()["streamingPlaylists"][0]["playlistUrl"])

    def _files(self) -> dict[str, Any]:
        found: dict[str, Any] = self.video.detail()["streamingPlaylists"][0]["files"][0]
        return found

    def _path(self, prefix: str, url: str) -> str:
        return prefix + url.partition(prefix)[2]

    def part(self, name: str) -> str:
        return str(getattr(self, name))


Spoil = Callable[[Spot], None]


def status(part: str, code: int, **headers: str) -> Spoil:
    def spoil(spot: Spot) -> None:
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        spot.origin.fault(spot.part(part), "status", status=code, body="<h1>no</h1>", headers=sent)

    return spoil


def fault(part: str, kind: str, **details: Any) -> Spoil:
    def spoil(spot: Spot) -> None:
        spot.origin.fault(spot.part(part), kind, **details)

    return spoil


def torrent(change: Callable[[dict[bytes, Any]], None]) -> Spoil:
    """Serve another ``.torrent``: ``change`` is given its info part."""

    def spoil(spot: Spot) -> None:
        told = bdecoded(spot.video.torrent(HEIGHT))
        change(told[b"info"])
        spot.origin.fault(spot.torrent, "replaced", body=bencode(told))

    return spoil


def detail(change: Callable[[dict[str, Any]], None]) -> Spoil:
    """Say something else of the video: ``change`` is given the answer."""

    def spoil(spot: Spot) -> None:
        told: dict[str, Any] = json.loads(json.dumps(spot.video.detail(), default=str))
        change(told)
        spot.origin.fault(spot.detail, "replaced", body=json.dumps(told))

    return spoil


def text(part: str, change: Callable[[str], str]) -> Spoil:
    def spoil(spot: Spot) -> None:
        reply = spot.video.static(spot.part(part))
        assert reply is not None
        assert isinstance(reply.body, bytes)
        spot.origin.fault(spot.part(part), "replaced", body=change(reply.body.decode()))

    return spoil


def page(browser: httpx.Client, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text[:300]
    return answer.text


def shows(html: str, sentence: str) -> bool:
    """Whether a page shows a sentence, escaped."""
    flat = html.replace("&#39;", "'").replace("&#34;", '"').replace("&quot;", '"').replace("&#x27;", "'")
    return escape(sentence, quote=False) in flat


@dataclass
class Street:
    """The appliance and its origins. ``spots``: the spoilt videos by case; ``houses``: spoilt listings by case;
    ``settled``: when everything had happened once, by the monotonic clock."""

    box: Box
    stack: ExitStack
    spots: dict[str, Spot] = field(default_factory=dict)
    houses: dict[str, Origin] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    good: dict[str, Origin] = field(default_factory=dict)
    settled: float = 0.0

    def open(self) -> Origin:
        """Open one more origin with a channel."""
        origin = self.stack.enter_context(Origin(limit=None))
        origin.add_channel(CHANNEL)
        return origin

    def settle(
        self, polite: dict[str, Spoil], rude: dict[str, Spoil], listings: dict[str, Callable[[Origin], None]]
    ) -> None:
        """Build all houses, and have the appliance follow them; return once it did."""
        names = list(polite)
        rows = [(self.open(), names[i : i + _A_HOUSE]) for i in range(0, len(names), _A_HOUSE)]
        rows += [(self.open(), [name]) for name in rude]
        for origin, cases in rows:
            self._furnish(origin, cases, polite | rude)
        for name, spoil in listings.items():
            origin = self.houses[name] = self.open()
            origin.add_video(
                make(heights=(HEIGHT,), seconds=8, segment=4, variant=1), CHANNEL, title=f"Listed by {name}"
            )
            spoil(origin)
        every = [o for o, _ in rows] + list(self.houses.values())
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda o: self.follow(o.channel_url(CHANNEL)), every))
        self.channels = {o.host: a["id"] for o, a in zip(every, answers, strict=True)}

    def _furnish(self, origin: Origin, cases: list[str], spoils: dict[str, Spoil]) -> None:
        film, spare = (make(heights=(HEIGHT,), seconds=8, segment=4, variant=v) for v in (0, 1))
        for case in cases:
            self.spots[case] = Spot(origin, origin.add_video(film, CHANNEL, title=f"Spoilt by {case}"))
        for case in cases:
            spoils[case](self.spots[case])
        title = f"Good {len(self.good)}"
        origin.add_video(spare, CHANNEL, title=title)
        self.good[title] = origin

    def follow(self, url: str) -> Any:
        return self.box.ask("POST", "/api/v1/channels", {"url": url})

    def video(self, title: str) -> dict[str, Any]:
        """Return one video as the API shows it, empty while it is not there."""
        found = self.box.ask("GET", "/api/v1/videos", q=title, limit=50)["items"]
        exact = [v for v in found if v["title"] == title]
        return dict(self.box.ask("GET", f"/api/v1/videos/{exact[0]['id']}")) if exact else {}

    def asked(self, case: str, part: str) -> list[Visit]:
        spot = self.spots[case]
        return spot.origin.asked(spot.part(part))

    def browser(self) -> httpx.Client:
        """Return a browser that is logged in."""
        browser = self.stack.enter_context(httpx.Client(base_url=self.box.url, timeout=30, trust_env=False))
        answer = browser.post("/login", data={"password": PASSWORD, "next": "/"}, headers={"origin": self.box.url})
        assert answer.status_code in (302, 303), answer.text
        return browser


def unlisted(library: Path) -> list[str]:
    """Return the files in the library that no ``video.json`` beside them lists."""
    found = []
    for path in sorted(library.rglob("*")):
        if path.is_dir() or path.parent == library:
            continue
        record = path.parent / "video.json"
        told = record.read_text() if record.exists() else ""
        if path.name != "video.json" and f'"{path.name}"' not in told:
            found.append(str(path.relative_to(library)))
    return found
