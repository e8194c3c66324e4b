"""A screen that turns the pages of a media server's list as fast as they come: this module is that screen.

``python -m tests.bench.pages CONTROL_URL CONTAINER TOTAL CONNECTIONS SECONDS`` prints a ``Turned`` as JSON. A server
that closes the connection after an answer is connected to again, and what that takes counts.
"""

import http.client
import itertools
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit
from xml.etree import ElementTree

PAGE = 100
_STRIDE = 37
"""Pages from one to the next, so that no two that follow one another lie side by side."""
_KIND = "urn:schemas-upnp-org:service:ContentDirectory:1"
_BODY = (
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
    f'<u:Browse xmlns:u="{_KIND}"><ObjectID>{{ident}}</ObjectID><BrowseFlag>BrowseDirectChildren</BrowseFlag>'
    "<Filter>*</Filter><StartingIndex>{start}</StartingIndex><RequestedCount>{count}</RequestedCount>"
    "<SortCriteria></SortCriteria></u:Browse></s:Body></s:Envelope>"
)
_HEADERS = {"Content-Type": 'text/xml; charset="utf-8"', "SOAPAction": f'"{_KIND}#Browse"', "User-Agent": "SomeTV/1.0"}
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Turned:
    """``times``: milliseconds from asking to the last byte, of each page; ``seconds`` they took all in all; ``size``:
    bytes of a page on average; ``connects``: connections made."""

    times: list[float]
    seconds: float
    size: float
    connects: int

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer says of itself, and the ids that are in it."""

    returned: int
    total: int
    ids: list[str]


class Reader:
    """One connection to a media server. Raises RuntimeError where an answer is not what was asked for."""

    def __init__(self, control: str, ident: str) -> None:
        told = urlsplit(control)
        self._path, self._ident = told.path, ident
        self._wire = http.client.HTTPConnection(told.hostname or "", told.port, timeout=_PATIENCE)
        self.connects = 0

    def ask(self, start: int, count: int = PAGE) -> bytes:
        body = _BODY.format(ident=self._ident, start=start, count=count).encode()
        self.connects += self._wire.sock is None
        self._wire.request("POST", self._path, body, _HEADERS)
        answer = self._wire.getresponse()
        read = answer.read()
        if answer.status != 200 or f"<NumberReturned>{count}<".encode() not in read:
            raise RuntimeError(f"{self._path} answers {answer.status}: {read[-300:]!r}")
        return read

    def close(self) -> None:
        self._wire.close()


def page(control: str, ident: str, start: int = 0, count: int = PAGE) -> Page:
    """Return one page, looked into. Raises OSError, RuntimeError."""
    reader = Reader(control, ident)
    try:
        root = ElementTree.fromstring(reader.ask(start, count))
    finally:
        reader.close()
    returned, total = (int(root.findtext(f".//{name}") or -1) for name in ("NumberReturned", "TotalMatches"))
    return Page(
        returned, total, [node.get("id", "") for node in ElementTree.fromstring(root.findtext(".//Result") or "")]
    )


def turn(control: str, ident: str, total: int, connections: int, seconds: float) -> Turned:
    """Ask for pages of 100 out of ``total`` over so many connections at once until the time is up."""
    begun = time.monotonic()
    with ThreadPoolExecutor(connections) as crowd:
        said = list(crowd.map(lambda n: _turn(control, ident, total, n, begun + seconds), range(connections)))
    times = [took for times, _, _ in said for took in times]
    sizes, connects = sum(size for _, size, _ in said), sum(made for _, _, made in said)
    return Turned(times, time.monotonic() - begun, sizes / len(times), connects)


def _turn(control: str, ident: str, total: int, number: int, until: float) -> tuple[list[float], int, int]:
    reader, times, size, pages = Reader(control, ident), [], 0, total // PAGE
    try:
        for at in itertools.count(number * pages // 4, _STRIDE):
            begun = time.perf_counter()
            size += len(reader.ask(at % pages * PAGE))
            times.append((time.perf_counter() - begun) * 1000)
            if time.monotonic() >= until:
                break
    finally:
        reader.close()
    return times, size, reader.connects


if __name__ == "__main__":
    print(json.dumps(asdict(turn(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))))
