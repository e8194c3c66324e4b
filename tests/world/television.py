"""Televisions that play at the pace of the film and note when their picture stood still: this module is a room of them.

``python -m tests.world.television SECONDS SHOW [SHOW …]`` with a ``Show`` as JSON each, all played at once; it prints a
list of ``Seen`` as JSON. A film is one request for all that is left of it, read as it is shown and held back by the
connection's window meanwhile, as televisions do; an address that ends in ``.m3u8`` is played part by part.
"""

import http.client
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from urllib.parse import urljoin, urlsplit

import m3u8

AHEAD = 6.0
"""Seconds of film that a television has room for: 7.5 MB at 10 Mbit/s."""
_BEGIN = 1.0
"""Seconds of film that are here before the picture moves."""
_WINDOW = _BLOCK = 1 << 18
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Show:
    """What one television plays: an address, the film's length in seconds, and where to begin, as a share of it."""

    url: str
    length: float
    start: float = 0.0


@dataclass(slots=True)
class Seen:
    """``waited``: seconds to the first picture; ``stalls``, ``stood``: how often the picture stood still after it, and
    for how many seconds in all; ``came``: seconds of film that came, ``got``: their bytes; ``error``: what ended it."""

    waited: float = 0.0
    stalls: int = 0
    stood: float = 0.0
    came: float = 0.0
    got: int = 0
    error: str = ""


@dataclass(slots=True)
class Picture:
    """What one television shows: tell it what has come, and it knows when it stood still. A first picture that never
    came is a stall."""

    clock: Callable[[], float] = time.monotonic
    seen: Seen = field(default_factory=Seen)
    _begun: float = 0.0
    """When the film would have begun, had the picture never stood still."""
    _still_since: float | None = None
    _shown: float = 0.0
    """Seconds of film that had been shown then."""
    _moved: bool = False

    def __post_init__(self) -> None:
        self._still_since = self.clock()

    def come(self, size: int, seconds: float) -> None:
        """Note that so many bytes, and with them so many seconds of film, are here."""
        now = self.clock()
        self._look(now)
        self.seen.got += size
        self.seen.came += seconds
        if self._still_since is None or self.seen.came - self._shown < _BEGIN:
            return
        if self._moved:
            self.seen.stood += now - self._still_since
        else:
            self.seen.waited = now - self._still_since
        self._begun, self._still_since, self._moved = now - self._shown, None, True

    @property
    def ahead(self) -> float:
        """Seconds of film that are here and were not shown yet; 0 while the picture stands still."""
        return 0.0 if self._still_since is not None else self.seen.came - (self.clock() - self._begun)

    def off(self) -> Seen:
        """Switch off, and return what was seen."""
        now = self.clock()
        self._look(now)
        if self._still_since is not None:
            self.seen.stalls += not self._moved
            self.seen.stood += now - self._still_since
        return self.seen

    def _look(self, now: float) -> None:
        if self._still_since is None and now - self._begun > self.seen.came:
            self._still_since, self._shown = self._begun + self.seen.came, self.seen.came
            self.seen.stalls += 1


class _Wire(http.client.HTTPConnection):
    """A connection with little room, so that what a television has no room for stays with the server."""

    def connect(self) -> None:
        super().connect()
        wire: socket.socket = self.sock
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)


class Television:
    """One that plays one show for a while."""

    def __init__(self, show: Show, seconds: float) -> None:
        told = urlsplit(show.url)
        self._show, self._path, self._until = show, told.path, time.monotonic() + seconds
        self._wire = _Wire(told.hostname or "", told.port, timeout=_PATIENCE)
        self._picture = Picture()

    def play(self) -> Seen:
        """Return what was seen when the time is up, or when it broke off: that is a stall too."""
        error = ""
        try:
            if self._path.endswith(".m3u8"):
                self._parts()
            else:
                self._film()
        except (OSError, RuntimeError, http.client.HTTPException) as wrong:
            error = f"{self._show.url}: {wrong!r}"
        finally:
            self._wire.close()
        seen = self._picture.off()
        seen.error = error
        seen.stalls += bool(error)
        return seen

    def _film(self) -> None:
        """Take all that is left in one answer, and from the start again at the end."""
        rate, at = 0.0, None
        while self._on():
            if at is None:
                size = int(self._ask(self._path, "bytes=0-0").headers["Content-Range"].rpartition("/")[2])
                rate, at = size / self._show.length, int(size * self._show.start)
            answer = self._ask(self._path, f"bytes={at}-", whole=False)
            while self._on() and (block := answer.read(_BLOCK)):
                self._picture.come(len(block), len(block) / rate)
            if self._on() and answer.left:
                raise RuntimeError(f"it broke off with {answer.left} bytes to come")
            at = 0

    def _parts(self) -> None:
        """Take the parts of the first stream of the playlist, and of its sound where that is elsewhere, in turn."""
        tracks = [list(self._listed(address)) for address in self._tracks()]
        at = int(len(tracks[0]) * self._show.start)
        while self._on():
            for number, track in enumerate(tracks):
                part = track[at % len(track)]
                size = len(self._body(*_place(part.uri, part.byterange)))
                self._picture.come(size, 0.0 if number else part.duration)
            at += 1

    def _tracks(self) -> list[str]:
        master = m3u8.loads(self._body(self._path).decode())
        stream = master.playlists[0]
        sound = [one.uri for one in stream.media if one.type == "AUDIO" and one.uri]
        return [urljoin(self._path, uri) for uri in (stream.uri, *sound[:1])]

    def _listed(self, path: str) -> Iterator[m3u8.Segment]:
        end = 0
        for part in m3u8.loads(self._body(path).decode()).segments:
            part.uri = urljoin(path, part.uri)
            if part.byterange:
                length, _, start = part.byterange.partition("@")
                end = int(start or end) + int(length)
                part.byterange = f"{length}@{end - int(length)}"
            yield part

    def _on(self) -> bool:
        """Wait until there is room for more; return whether it is still to play."""
        spare = self._picture.ahead - AHEAD
        if spare > 0:
            time.sleep(max(0.0, min(spare, self._until - time.monotonic())))
        return time.monotonic() < self._until

    def _body(self, path: str, span: str = "") -> bytes:
        return self._ask(path, span).body

    def _ask(self, path: str, span: str = "", *, whole: bool = True) -> "_Answer":
        self._wire.request("GET", path, headers={"Range": span} if span else {})
        answer = self._wire.getresponse()
        if answer.status != (206 if span else 200):
            raise RuntimeError(f"{path} answers {answer.status}")
        return _Answer(answer, answer.read() if whole else b"")


@dataclass(frozen=True, slots=True)
class _Answer:
    """``body`` where all of it was read."""

    response: http.client.HTTPResponse
    body: bytes

    @property
    def headers(self) -> http.client.HTTPMessage:
        return self.response.headers

    @property
    def left(self) -> int:
        return self.response.length or 0

    def read(self, size: int) -> bytes:
        return self.response.read(size)


def _place(path: str, byterange: str | None) -> tuple[str, str]:
    """Return a part's path and the range header that asks for it (RFC 8216, 4.3.2.2)."""
    if not byterange:
        return path, ""
    length, start = map(int, byterange.split("@"))
    return path, f"bytes={start}-{start + length - 1}"


def watch(shows: list[Show], seconds: float) -> list[Seen]:
    """Play all shows at once and return what each television has seen."""
    with ThreadPoolExecutor(len(shows)) as room:
        return list(room.map(lambda show: Television(show, seconds).play(), shows))


if __name__ == "__main__":
    print(json.dumps([asdict(s) for s in watch([Show(**json.loads(s)) for s in sys.argv[2:]], float(sys.argv[1]))]))
