"""What the origin has beside the recordings: this module keeps added channels and videos, and cuts listings."""

import hashlib
import uuid as uuids
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from tests.world import recorded
from tests.world.http import Reply, Request
from tests.world.published import PROBLEM, Published, json_reply
from tests.world.shapes import FileFacts, Json, VideoFacts, channel_json, detail_json, short_uuid, summary_json

_NEWEST = datetime(2026, 11, 20, 12, tzinfo=UTC)
_SORTS = (
    *("publishedAt", "createdAt", "originallyPublishedAt", "name", "duration"),
    *("views", "likes", "trending", "hot", "best"),
)
_NAMESPACE = uuids.UUID("0a6b7c10-4d3e-4f57-9d6e-5eedcee9c0de")


@dataclass(slots=True)
class Channel:
    """An added channel with ``many`` synthetic videos: they have details, and no media behind them."""

    number: int
    name: str
    json: Json
    many: int
    base: str
    _elements: list[Json] = field(default_factory=list)

    def elements(self) -> list[Json]:
        """Return what a listing says of them, made once."""
        if not self._elements:
            self._elements = [summary_json(self.facts(n), self.base) for n in range(self.many)]
        return self._elements

    def facts(self, n: int) -> VideoFacts:
        """Return the nth newest synthetic video."""
        at = _NEWEST - timedelta(hours=n)
        return VideoFacts(
            number=self.number * 100_000 + n,
            uuid=str(uuids.uuid5(_NAMESPACE, f"{self.base}/{self.name}/{n}")),
            title=f"{self.json['displayName']} {self.many - n}",
            description="",
            duration=60 + n * 37 % 3600,
            published_at=at,
            updated_at=at,
            views=n * 7919 % 10_007,
            likes=n * 31 % 97,
            channel=self.json,
        )

    def detail(self, n: int) -> Json:
        facts = self.facts(n)
        folder = f"/static/streaming-playlists/hls/{facts.uuid}/"
        files = [
            FileFacts(
                id=facts.number * 10 + k,
                resolution=height,
                width=height * 16 // 9 // 2 * 2,
                height=height,
                fps=25,
                size=facts.duration * height * 400,
                has_audio=True,
                has_video=True,
                path=f"{folder}{(stem := _stem(facts.uuid, height))}-fragmented.mp4",
                playlist_path=f"{folder}{stem}.m3u8",
                torrent_path=f"/lazy-static/torrents/{stem}-hls.torrent",
                info_hash=hashlib.sha1(stem.encode()).hexdigest(),
            )
            for k, height in enumerate((720, 360))
        ]
        names = f"{folder}{facts.uuid}-master.m3u8", f"{folder}{facts.uuid}-segments-sha256.json"
        return detail_json(facts, self.base, files, [], *names)


def _stem(uuid: str, height: int) -> str:
    return f"{uuids.uuid5(_NAMESPACE, uuid + str(height))}-{height}"


@dataclass(slots=True)
class Catalogue:
    """``base`` is ``http://host:port``. Numbers begin high above the recorded ones."""

    base: str
    channels: dict[str, Channel] = field(default_factory=dict)
    videos: dict[str, list[Published]] = field(default_factory=dict)
    _number: int = 1000
    _by_id: dict[str, Published] = field(default_factory=dict)
    _synthetic: dict[str, tuple[Channel, int]] = field(default_factory=dict)

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def add(self, name: str, title: str, many: int) -> None:
        number = self.next_number()
        channel = self.channels[name] = Channel(
            number, name, channel_json(number, name, title, self.base), many, self.base
        )
        for n in range(many):
            facts = channel.facts(n)
            for key in (facts.uuid, short_uuid(facts.uuid), str(facts.number)):
                self._synthetic[key] = channel, n

    def publish(self, channel: str, video: Published) -> None:
        self.videos.setdefault(channel, []).append(video)
        for key in (video.uuid, short_uuid(video.uuid), str(video.facts.number)):
            self._by_id[key] = video

    def listed(self, channels: list[str]) -> list[Json]:
        """Return the elements to add to the recorded listing of these channels, in no order."""
        made = [v.summary() for c in channels for v in self.videos.get(c, ()) if v.listed]
        added = (self.channels[c] for c in channels if c in self.channels)
        return made + [element for c in added for element in c.elements()]

    def info_hashes(self) -> set[bytes]:
        return {h for videos in self.videos.values() for v in videos for h in v.info_hashes()}

    def api(self, name: str, rest: str) -> Reply | None:
        if video := self._by_id.get(name):
            return video.api(rest)
        if found := self._synthetic.get(name):
            channel, n = found
            if not rest:
                return json_reply(channel.detail(n))
            return json_reply({"storyboards": [], "chapters": [], "total": 0, "data": []})
        return None

    def static(self, path: str) -> Reply | None:
        if not path.startswith(("/static/", "/lazy-static/", "/download/")):
            return None
        replies = (v.static(path) for videos in self.videos.values() for v in videos)
        return next((r for r in replies if r is not None), None)


def listing(videos: list[Json], request: Request) -> Reply:
    """Return the page that was asked for. Bad numbers and orders get the recorded 400."""
    asked = dict(parse_qsl(request.query))
    start, count, sort = asked.get("start", "0"), asked.get("count", "15"), asked.get("sort", "-publishedAt")
    for key, wrong in (("start", not start.isdigit()), ("count", not count.isdigit() or not 1 <= int(count) <= 100),
                       ("sort", sort.removeprefix("-") not in _SORTS)):  # fmt: skip
        if wrong:
            body = recorded.read({"count": "api/errors/count-101.json"}.get(key, f"api/errors/bad-{key}.json"))
            return Reply(400, {"Content-Type": PROBLEM}, body)
    if asked.get("nsfw") in ("true", "false"):
        videos = [v for v in videos if v["nsfw"] is (asked["nsfw"] == "true")]
    key = sort.removeprefix("-")
    key = {"trending": "views", "hot": "views", "best": "views"}.get(key, key)
    ordered = sorted(videos, key=lambda v: (v[key] is not None, v[key]), reverse=sort.startswith("-"))
    page = ordered[int(start) : int(start) + int(count)]
    total = None if asked.get("skipCount") == "true" else len(videos)
    return json_reply({"total": total, "data": page})
