"""A PeerTube that answers as it was recorded, at any address: this module is the origin of every test.

In a test: ``with Origin() as origin: origin.url("@harbour_films") …``. In a namespace, or by hand:
``python -m tests.world.origin --host 127.0.0.1 --port 9001``, which prints one line of JSON and takes commands as lines
of JSON on its input: ``{"call": "lay", "args": ["step-4-renamed"]}``.
"""

import argparse
import json
import sys
import threading
import time
import uuid as uuids
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from tests.world import recorded
from tests.world.bodies import RECORDED, info_hash, json_etag, rewritten, static_etag
from tests.world.catalogue import Catalogue, Channel, listing
from tests.world.faults import Fault, FaultKind
from tests.world.http import Reply, Request, Server, Visit
from tests.world.media import Made
from tests.world.published import PROBLEM, Published, json_reply
from tests.world.recorded import Recorded, Tape, as_query
from tests.world.shapes import Json, VideoFacts, dumps
from tests.world.tracker import Tracker

_LIMIT, _WINDOW_SECONDS = 50, 10.0
_CORS = {"x-powered-by": "PeerTube", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
_MEDIA = (".mp4", ".ts")
_CHANNELS, _ACCOUNTS, _VIDEOS = "/api/v1/video-channels/", "/api/v1/accounts/", "/api/v1/videos"
_EVERYTHING = as_query("start=0&count=100&sort=-publishedAt&nsfw=both")


class Origin:
    """One instance, and beside it the one that mirrors it, at two ports of ``host``.

    ``name`` is what addresses in answers say instead of ``host:port`` (``tube.example``). ``limit`` is how many API
    requests a client may make in 10 s, None for any number; PeerTube's own is 50.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        mirror_port: int = 0,
        name: str | None = None,
        limit: int | None = _LIMIT,
    ) -> None:
        self._server = Server(self._answer, host, (port, mirror_port))
        real = [host if p == 80 else f"{host}:{p}" for p in self._server.ports]
        self.host, self.mirror_host = name or real[0], real[1]
        self._addresses = {RECORDED["origin"]: self.host, RECORDED["mirror"]: self.mirror_host}
        self._tape = Tape()
        self._lock = threading.RLock()
        self._calls: dict[str, deque[float]] = {}
        self._catalogue = Catalogue(self.base_url)
        self.tracker = Tracker()
        self.limit = limit
        self._learn()

    # Life

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        return self.__enter__()

    def close(self) -> None:
        self._server.close()

    # Addresses

    @property
    def port(self) -> int:
        return self._server.ports[0]

    @property
    def base_url(self) -> str:
        return f"http://{self.host}"

    @property
    def mirror_url(self) -> str:
        return f"http://{self.mirror_host}"

    def url(self, path: str = "") -> str:
        """Return a full address; ``@name`` becomes ``name@host:port``."""
        return f"{path}@{self.host}" if path.startswith("@") else f"{self.base_url}{path}"

    def channel_url(self, name: str = "harbour_films") -> str:
        return self.url(f"/c/{name}")

    # The world changes

    def lay(self, name: str) -> None:
        """Put a recorded set in force (``step-4-renamed``, ``limited`` …), with the steps before it."""
        with self._lock:
            self._tape.lay(name)
            self._learn()

    def lift(self, name: str) -> None:
        """Take a set away again."""
        with self._lock:
            self._tape.lift(name)
            self._learn()

    def add_channel(self, name: str, videos: int = 0, *, title: str | None = None) -> str:
        """Add a channel that lists ``videos`` videos, newest first, an hour apart, with details but without media.

        Returns its address.
        """
        with self._lock:
            self._catalogue.add(name, title or name.replace("_", " ").capitalize(), videos)
        return self.channel_url(name)

    def add_video(
        self,
        made: Made,
        channel: str = "harbour_films",
        *,
        title: str = "A made film",
        description: str = "Made by ffmpeg for a test.",
        published_at: datetime | None = None,
        views: int = 0,
        uuid: str | None = None,
        torrents: bool = True,
    ) -> Published:
        """Publish a made video in a channel, recorded or added. Rename it, caption it … by what is returned."""
        with self._lock:
            number = self._catalogue.next_number()
            when = published_at or datetime.now(UTC).replace(microsecond=0) + timedelta(milliseconds=number % 1000)
            facts = VideoFacts(
                number=number,
                uuid=uuid or str(uuids.uuid5(uuids.UUID(made.uuid), str(number))),
                title=title,
                description=description,
                duration=made.recipe.seconds,
                published_at=when,
                updated_at=when,
                views=views,
                likes=0,
                channel=self._channel(channel),
            )
            video = Published(made, self.base_url, facts, torrents, lock=self._lock)
            self._catalogue.publish(channel, video)
        return video

    def fault(self, pattern: str, kind: FaultKind | str, **details: Any) -> Fault:
        """Spoil the requests whose path ``pattern`` fits. See ``FaultKind`` and ``Fault`` for the details."""
        body = details.pop("body", b"")
        fault = Fault(pattern, FaultKind(kind), body=body.encode() if isinstance(body, str) else body, **details)
        self._server.faults.insert(0, fault)
        return fault

    def mend(self, fault: Fault | None = None) -> None:
        """Take a fault away, or all of them."""
        self._server.faults[:] = [f for f in self._server.faults if fault is not None and f is not fault]

    def shape(self, *, rate: float | None = None, latency: float = 0.0) -> None:
        """Limit all bodies together to ``rate`` bytes/s, and wait ``latency`` seconds before each answer."""
        self._server.rate, self._server.latency = rate, latency

    # What was asked

    @property
    def log(self) -> list[Visit]:
        """Every request so far, in order of arrival."""
        return list(self._server.log)

    def asked(self, pattern: str) -> list[Visit]:
        """Return the requests whose path fits a pattern as in a shell."""
        return [v for v in self.log if fnmatchcase(v.path, pattern)]

    @property
    def media_bytes(self) -> int:
        """Bytes of media that left."""
        return sum(v.sent for v in self._media())

    @property
    def sends_media(self) -> bool:
        """Whether an answer is still on its way: a slow sender learns with its next bytes that it was hung up on."""
        return not all(v.over for v in self._media())

    def _media(self) -> list[Visit]:
        return [v for v in self.log if v.path.endswith(_MEDIA) and v.status in (200, 206)]

    @property
    def api_requests(self) -> int:
        return sum(v.path.startswith("/api/") for v in self.log)

    def forget(self) -> None:
        """Begin a new log; limits and faults stay."""
        self._server.log.clear()
        self.tracker.log.clear()

    def wait_for(self, pattern: str, times: int = 1, seconds: float = 10.0) -> list[Visit]:
        """Block until so many requests for ``pattern`` were answered. Raises TimeoutError."""
        end = time.monotonic() + seconds
        with self._server.changed:
            while sum(bool(v.status) for v in self.asked(pattern)) < times:
                if not self._server.changed.wait(max(0.0, end - time.monotonic())) and time.monotonic() > end:
                    raise TimeoutError(f"{pattern} was not asked {times} times in {seconds} s")
        return self.asked(pattern)

    # Answers

    def _learn(self) -> None:
        """Make the tracker know the info-hashes of the torrents that are there now."""
        found = (x for x in self._tape.all() if x.path.startswith("/lazy-static/torrents/") and x.status == 200)
        self._recorded_hashes = {info_hash(x.read()) for x in found if x.body}
        self._thumbnails = {
            part
            for x in self._tape.all()
            if x.path.startswith("/api/v1/") and x.status == 200
            for part in x.read().decode("utf-8", "replace").split('"')
            if "/lazy-static/thumbnails/" in part
        }

    def _answer(self, request: Request) -> Reply:
        with self._lock:
            reply = self._limited(request) or self._found(request)
        reply.headers = _CORS | reply.headers
        return reply

    def _limited(self, request: Request) -> Reply | None:
        if not request.path.startswith(("/api/", "/feeds/")) or self.limit is None:
            return None
        now, calls = time.monotonic(), self._calls.setdefault(request.client, deque())
        while calls and now - calls[0] > _WINDOW_SECONDS:
            calls.popleft()
        if len(calls) < self.limit:
            calls.append(now)
            return None
        wait = str(int(_WINDOW_SECONDS - (now - calls[0])) + 1)
        headers = {"Content-Type": "text/html; charset=utf-8", "Retry-After": wait} | self._rate_headers(request)
        return Reply(429, headers, b"Too many requests, please try again later.")

    def _rate_headers(self, request: Request) -> dict[str, str]:
        if self.limit is None:
            return {}
        calls = self._calls.get(request.client, deque())
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(self.limit - len(calls), 0)),
            "X-RateLimit-Reset": str(int(time.time() + _WINDOW_SECONDS)),
        }

    def _found(self, request: Request) -> Reply:
        path = request.path
        if request.method not in ("GET", "HEAD"):
            allowed = {"Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Allow-Headers": "range"}
            return Reply(204 if request.method == "OPTIONS" else 404, allowed)
        if path.startswith("/tracker/"):
            return self._tracked(request)
        reply = self._own(request) or self._listed(request) or self._played(request)
        if path.startswith("/api/"):
            reply.headers = self._rate_headers(request) | reply.headers
        return reply

    def _tracked(self, request: Request) -> Reply:
        if request.path != "/tracker/announce":
            return Reply(404)
        self.tracker.known = self._recorded_hashes | self._catalogue.info_hashes()
        return Reply(200, {}, self.tracker.announce(request.query, request.client))

    def _own(self, request: Request) -> Reply | None:
        """Answer what was made or added."""
        if request.door:
            return None
        path = request.path
        if path.startswith(f"{_VIDEOS}/"):
            name, _, rest = path.removeprefix(f"{_VIDEOS}/").partition("/")
            return self._catalogue.api(name, f"/{rest}" if rest else "")
        if path.startswith(_CHANNELS) and (channel := self._added(path.removeprefix(_CHANNELS))):
            return json_reply(channel.json)
        if path == "/.well-known/webfinger":
            return self._finger(request)
        return self._catalogue.static(path)

    def _added(self, handle: str) -> Channel | None:
        return self._catalogue.channels.get(handle.removesuffix(f"@{self.host}"))

    def _finger(self, request: Request) -> Reply | None:
        resource = dict(parse_qsl(request.query)).get("resource", "")
        name, _, host = resource.removeprefix("acct:").partition("@")
        if host != self.host or name not in self._catalogue.channels:
            return None
        url = self.url(f"/video-channels/{name}")
        link = {"rel": "self", "type": "application/activity+json", "href": url}
        return json_reply({"subject": resource, "aliases": [url], "links": [link]})

    def _listed(self, request: Request) -> Reply | None:
        """Answer a listing that was not recorded: another page, or with videos that were added."""
        scope = None if request.door else self._scope(request.path)
        if scope is None:
            return None
        asked = as_query(request.query)
        extra, changed = self._catalogue.listed(scope.channels), len(self._tape.laid) > 1 and len(scope.channels) != 1
        if not extra and not changed and self._tape.find("origin", scope.recorded_path, asked, {}):
            return None
        return listing([*self._recorded_list(scope.channels), *extra], request)

    def _scope(self, path: str) -> "_Scope | None":
        if path == _VIDEOS:
            return _Scope(path, ["harbour_films", "harbour_talks", *self._catalogue.channels])
        if path in (f"{_ACCOUNTS}harbour/videos", f"{_ACCOUNTS}harbour@{self.host}/videos"):
            return _Scope(f"{_ACCOUNTS}harbour/videos", ["harbour_films", "harbour_talks", *self._catalogue.channels])
        if path.startswith(_CHANNELS) and path.endswith("/videos"):
            name = path.removeprefix(_CHANNELS).removesuffix("/videos").removesuffix(f"@{self.host}")
            if name in ("harbour_films", "harbour_talks", *self._catalogue.channels):
                return _Scope(f"{_CHANNELS}{name}/videos", [name])
        return None

    def _recorded_list(self, channels: list[str]) -> list[Json]:
        found = (self._tape.find("origin", f"{_CHANNELS}{c}/videos", _EVERYTHING, {}) for c in channels)
        return [v for x in found if x for v in json.loads(rewritten(x.read(), "json", self._addresses))["data"]]

    def _channel(self, name: str) -> Json:
        if name in self._catalogue.channels:
            return self._catalogue.channels[name].json
        x = self._tape.find("origin", f"{_CHANNELS}{name}", (), {})
        if x is None or x.status != 200:
            raise ValueError(f"no such channel: {name}")
        channel: Json = json.loads(rewritten(x.read(), "json", self._addresses))
        return channel

    def _played(self, request: Request) -> Reply:
        """Answer as recorded."""
        server = "mirror" if request.door else "origin"
        path = request.path.replace(self.host, RECORDED["origin"])
        query = as_query(request.query.replace(self.host.replace(":", "%3A"), RECORDED["origin"]))
        query = tuple((k, v.replace(self.host, RECORDED["origin"])) for k, v in query)
        x = self._tape.find(server, path, query, request.headers)
        if x is not None:
            return self._as_recorded(x)
        if path.startswith("/lazy-static/thumbnails/") and any(t.endswith(path) for t in self._thumbnails):
            return self._as_recorded(next(y for y in self._tape.all() if y.id == "muxed-thumbnail"))
        return self._missing(path)

    def _as_recorded(self, x: Recorded) -> Reply:
        body = rewritten(x.read(), x.content_type, self._addresses)
        kept = ("content-type", "cache-control", "last-modified", "etag", "accept-ranges", "retry-after", "location")
        headers = {k: v for k, v in x.headers.items() if k.lower() in kept}
        if location := headers.get("Location"):
            headers["Location"] = rewritten(location.encode(), "json", self._addresses).decode()
        ranges = "Accept-Ranges" in headers
        if old := headers.get("ETag"):
            headers["ETag"] = static_etag(len(body), old) if ranges else json_etag(body)
        return Reply(x.status, headers, body, ranges)

    def _missing(self, path: str) -> Reply:
        if path.startswith("/lazy-static/torrents/"):
            return Reply(404, {"Content-Type": "text/plain; charset=utf-8"}, b"Not Found")
        if path.startswith("/lazy-static/"):
            return Reply(404)
        if path.startswith("/static/"):
            return Reply(404, {"Content-Type": PROBLEM}, recorded.read("api/errors/media-404.json"))
        name = {_CHANNELS: "channel", _ACCOUNTS: "account", f"{_VIDEOS}/": "video"}
        kind = next((k for prefix, k in name.items() if path.startswith(prefix)), None)
        if kind:
            return Reply(404, {"Content-Type": PROBLEM}, recorded.read(f"api/errors/{kind}-404.json"))
        if path.startswith("/api/"):
            return Reply(400, {"Content-Type": "application/json; charset=utf-8"})
        return Reply(
            404, {"Content-Type": PROBLEM}, dumps({"title": "Not Found", "detail": "Not found", "status": 404})
        )


class _Scope:
    """The channels a listing is about, and the path under which its recorded pages lie."""

    def __init__(self, recorded_path: str, channels: list[str]) -> None:
        self.recorded_path, self.channels = recorded_path, channels


def _obey(origin: Origin, line: str) -> object:
    """Do what one line of JSON says: a method's name in ``call``, or an attribute's in ``get``."""
    told = json.loads(line)
    if "get" in told:
        return getattr(origin, told["get"])
    origin_method: Callable[..., object] = getattr(origin, told["call"])
    return origin_method(*told.get("args", []), **told.get("kwargs", {}))


def main(arguments: list[str]) -> None:
    """Serve until the input ends; each line of it is a command, each line of output its answer."""
    parser = argparse.ArgumentParser(prog="python -m tests.world.origin", description="A recorded PeerTube.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mirror-port", type=int, default=0)
    parser.add_argument("--name", help="what addresses in answers say instead of host:port")
    parser.add_argument("--unlimited", action="store_true", help="never answer 429")
    told = parser.parse_args(arguments)
    limit = None if told.unlimited else _LIMIT
    with Origin(told.host, told.port, mirror_port=told.mirror_port, name=told.name, limit=limit) as origin:
        print(json.dumps({"url": origin.base_url, "mirror": origin.mirror_url}), flush=True)
        for line in sys.stdin:
            try:
                answer: dict[str, object] = {"answer": _obey(origin, line)}
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
