"""A video at the origin whose media we made: this module has its files, torrents and playlists, and what befalls it."""

import base64
import hashlib
import threading
import uuid as uuids
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.world import recorded
from tests.world.bodies import bencode, info_hash, json_etag
from tests.world.http import Reply
from tests.world.media import Layout, Made, MadeFile
from tests.world.shapes import (
    FileFacts,
    Json,
    VideoFacts,
    captions_json,
    detail_json,
    dumps,
    info_name,
    short_uuid,
    summary_json,
)

_TYPES = {
    ".mp4": "video/mp4",
    ".ts": "video/mp2t",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".vtt": "text/vtt; charset=UTF-8",
}
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nMade for a test.\n"
PROBLEM = "application/problem+json; charset=utf-8"


def json_reply(value: object) -> Reply:
    body = dumps(value)
    return Reply(200, {"Content-Type": "application/json; charset=utf-8", "ETag": json_etag(body)}, body)


def static_reply(body: bytes, content_type: str, *, for_ever: bool = False) -> Reply:
    tag = f'W/"{len(body):x}-{hashlib.sha1(body).hexdigest()[:11]}"'
    return Reply(200, _static_headers(content_type, tag, for_ever), body, ranges=True)


def _static_headers(content_type: str, tag: str, for_ever: bool) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": f"public, max-age={31536000 if for_ever else 0}",
        "Last-Modified": format_datetime(datetime(2026, 11, 20, 21, 39, 51, tzinfo=UTC), usegmt=True),
        "ETag": tag,
        "Content-Type": content_type,
    }


@dataclass(slots=True)
class Published:
    """One video at the origin. Its methods are what its owner may do; each changes names as PeerTube does.

    ``base`` is ``http://host:port``; ``lock`` is held while it changes and while it answers. Times
    move by a second with each change.
    """

    made: Made
    base: str
    facts: VideoFacts
    torrents: bool = True
    listed: bool = True
    gone: str = ""
    captions: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _names: dict[str, str] = field(default_factory=dict)
    _torrents: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._regenerate()
        self._retitle()

    # What its owner does

    def rename(self, title: str) -> None:
        """Give it another title: new torrents, info-hashes and torrent addresses; the same bytes."""
        with self.lock:
            self._touch(title=title)
            self._retitle()

    def caption(self, language: str = "en") -> None:
        """Add a caption: a new master playlist and hash list; the listing does not change."""
        with self.lock:
            self.captions[language] = f"{uuids.uuid4()}-{language}"
            self._regenerate()

    def watched(self, views: int) -> None:
        """Set its views."""
        with self.lock:
            self.facts = replace(self.facts, views=views)

    def process(self) -> None:
        """Begin to replace its file: not listed, state 2, nothing to play."""
        with self.lock:
            self.listed = False
            self._touch(state=2)

    def replace_by(self, made: Made) -> None:
        """Replace its file: same uuid, all files new."""
        with self.lock:
            self.made, self.listed = made, True
            self._touch(state=1, duration=made.recipe.seconds)
            self.facts = replace(self.facts, replaced_at=self.facts.updated_at)
            self._regenerate()
            self._retitle()

    def make_private(self) -> None:
        """Hide it: 401, its files 404, its captions still there."""
        with self.lock:
            self.gone, self.listed = "private", False

    def make_public(self) -> None:
        with self.lock:
            self.gone, self.listed = "", True

    def delete(self) -> None:
        """Delete it: 404 everywhere."""
        with self.lock:
            self.gone, self.listed = "deleted", False

    def _touch(self, **changes: object) -> None:
        moved = self.facts.updated_at + timedelta(seconds=1)
        self.facts = replace(self.facts, updated_at=moved, **changes)  # type: ignore[arg-type]

    def _regenerate(self) -> None:
        self._names |= {"master": f"{uuids.uuid4()}-master.m3u8", "sha256": f"{uuids.uuid4()}-segments-sha256.json"}

    def _retitle(self) -> None:
        kind = "" if self.made.recipe.layout is Layout.WEB else "-hls"
        self._torrents = {}
        for file in self.made.files if self.torrents else ():
            self._names[file.stem] = name = f"{uuids.uuid4()}-{file.resolution}{kind}.torrent"
            self._torrents[name] = self._torrent(file)

    # What it looks like

    @property
    def uuid(self) -> str:
        return self.facts.uuid

    @property
    def address(self) -> str:
        """The page of the video, as a person would paste it."""
        return f"{self.base}/w/{short_uuid(self.uuid)}"

    @property
    def folder(self) -> str:
        """Path of its HLS folder, with a slash at the end."""
        return f"/static/streaming-playlists/hls/{self.uuid}/"

    def info_hashes(self) -> list[bytes]:
        """Return the info-hashes that the tracker knows."""
        return [] if self.gone else [info_hash(t) for t in self._torrents.values()]

    def info_hash(self, resolution: int) -> str:
        """Return the info-hash of one rendition in hex."""
        return info_hash(self.torrent(resolution)).hex()

    def torrent(self, resolution: int) -> bytes:
        """Return the ``.torrent`` of one rendition."""
        return self._torrents[self._names[self.made.at(resolution).stem]]

    def _torrent(self, file: MadeFile) -> bytes:
        info: dict[str, object] = {
            "name": info_name(self.facts.title, file.resolution, "" if len(file.parts) > 1 else ".mp4"),
            "piece length": self.made.recipe.piece,
            "pieces": base64.b64decode(file.pieces),
        }
        if self.made.recipe.layout is Layout.TS:
            info["name"] = info_name(self.facts.title, file.resolution, "")
            info["files"] = [{"length": s, "path": [p]} for p, s in zip(file.parts, file.sizes, strict=True)]
        else:
            info["length"] = file.size
        trackers = [f"ws://{self.base.partition('://')[2]}/tracker/socket", f"{self.base}/tracker/announce"]
        parts = {
            "announce": trackers[0],
            "announce-list": [[t] for t in trackers],
            "created by": "PeerTube",
            "creation date": int(self.facts.updated_at.timestamp()),
            "encoding": "UTF-8",
            "info": info,
            "url-list": [f"{self.base}{self._path(file)}"],
        }
        return bencode(parts)

    def _path(self, file: MadeFile) -> str:
        match self.made.recipe.layout:
            case Layout.WEB:
                return f"/static/web-videos/{file.parts[0]}"
            case Layout.TS:
                return f"{self.folder}{file.stem}/"
            case _:
                return f"{self.folder}{file.parts[0]}"

    def _file_facts(self) -> list[FileFacts]:
        return [
            FileFacts(
                id=self.facts.number * 10 + n,
                resolution=f.resolution,
                width=f.width,
                height=f.height,
                fps=f.fps,
                size=f.size,
                has_audio=f.has_audio,
                has_video=f.has_video,
                path=self._path(f),
                playlist_path=f"{self.folder}{f.stem}.m3u8" if f.playlist else "",
                torrent_path=f"/lazy-static/torrents/{self._names[f.stem]}" if self.torrents else "",
                info_hash=self.info_hash(f.resolution) if self.torrents else "",
            )
            for n, f in enumerate(self.made.files)
        ]

    def summary(self) -> Json:
        return summary_json(self.facts, self.base)

    def detail(self) -> Json:
        if self.facts.state != 1:
            return detail_json(self.facts, self.base, [], [])
        files = self._file_facts()
        if self.made.recipe.layout is Layout.WEB:
            return detail_json(self.facts, self.base, [], files)
        names = self._names
        return detail_json(
            self.facts, self.base, files, [], self.folder + names["master"], self.folder + names["sha256"]
        )

    def master(self) -> str:
        """Return the master playlist as PeerTube writes it."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", ""]
        subtitles = ',SUBTITLES="subtitles"' if self.captions else ""
        lines += [
            f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="{lang}",DEFAULT=NO,AUTOSELECT=NO,FORCED=NO,'
            f'LANGUAGE="{lang}",URI="{stem}.m3u8"'
            for lang, stem in self.captions.items()
        ]
        sound = next((f for f in self.made.files if not f.has_video), None)
        audio = ',AUDIO="audio"' if sound else ""
        if sound:
            group = 'TYPE=AUDIO,GROUP-ID="audio",NAME="Audio",AUTOSELECT=YES,DEFAULT=YES'
            lines += ["", f'#EXT-X-MEDIA:{group},URI="{sound.stem}.m3u8"']
        lines.append("")
        for f in sorted((f for f in self.made.files if f.has_video), key=lambda f: f.resolution):
            codecs = f"{f.codecs},mp4a.40.2" if sound else f.codecs
            lines.append(
                f"#EXT-X-STREAM-INF:BANDWIDTH={f.size * 8 // self.made.recipe.seconds},RESOLUTION={f.width}x{f.height},"
                f'FRAME-RATE={f.fps},CODECS="{codecs}"{audio}{subtitles}'
            )
            lines.append(f"{f.stem}.m3u8")
        return "\n".join([*lines, ""])

    # What it answers

    def api(self, rest: str) -> Reply:
        """Answer ``/api/v1/videos/{id}`` + ``rest``."""
        if self.gone:
            if self.gone == "private":
                return Reply(401, {"Content-Type": PROBLEM}, recorded.read("api/not-public/private.json"))
            return Reply(404, {"Content-Type": PROBLEM}, recorded.read("api/errors/video-404.json"))
        match rest:
            case "":
                return json_reply(self.detail())
            case "/captions":
                hls = self.made.recipe.layout is not Layout.WEB
                return json_reply(captions_json(self.captions, self.base, self.folder, hls, self.facts.updated_at))
            case "/storyboards":
                return json_reply({"storyboards": []})
            case "/chapters":
                return json_reply({"chapters": []})
        return Reply(400, {"Content-Type": "application/json; charset=utf-8"})

    def static(self, path: str) -> Reply | None:
        """Answer a static path, None where it is not one of this video (any more)."""
        name = path.rpartition("/")[2]
        if path.startswith("/lazy-static/video-captions/") and self.gone != "deleted":
            return (
                static_reply(VTT.encode(), _TYPES[".vtt"])
                if name.removesuffix(".vtt") in self.captions.values()
                else None
            )
        if self.gone or self.facts.state != 1:
            return None
        if path.startswith(("/lazy-static/torrents/", "/download/torrents/")):
            torrent = self._torrents.get(name)
            return static_reply(torrent, "application/x-bittorrent", for_ever=True) if torrent else None
        if path.startswith((self.folder, "/static/web-videos/")):
            return self._media(name) or self._text(name)
        return None

    def _media(self, name: str) -> Reply | None:
        if any(name in f.parts for f in self.made.files):
            path = self.made.path(name)
            tag = f'W/"{path.stat().st_size:x}-1a1fae6b22b"'
            return Reply(200, _static_headers(_TYPES[path.suffix], tag, False), path, ranges=True)
        return None

    def _text(self, name: str) -> Reply | None:
        if name == self._names["sha256"]:
            return static_reply(dumps({k: v for f in self.made.files for k, v in f.sha256.items()}), "application/json")
        text = dict(self._playlists()).get(name)
        return static_reply(text.encode(), _TYPES[".m3u8"]) if text is not None else None

    def _playlists(self) -> Iterator[tuple[str, str]]:
        yield self._names["master"], self.master()
        yield from ((f"{f.stem}.m3u8", f.playlist) for f in self.made.files if f.playlist)
        for stem in self.captions.values():
            seconds = self.made.recipe.seconds
            yield (
                f"{stem}.m3u8",
                (
                    f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:{seconds},\n"
                    f"{self.base}/lazy-static/video-captions/{stem}.vtt\n#EXT-X-ENDLIST\n"
                ),
            )
