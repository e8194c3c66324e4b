"""Looking for others over SSDP, and for ourselves: this module searches, from sockets of its own, in a thread.

What answers may be anybody: at most some tens of answers are read, a description only from the address that answered,
by plain HTTP without redirects, bounded in bytes and time, and nothing of it but a name is taken.
"""

import contextlib
import html
import re
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.domain.screen import tidied
from appliance.lan.interfaces import Household, parsed
from appliance.lan.ssdp_links import Place, facing, listener, places, sender
from appliance.lan.ssdp_messages import GROUP, MEDIA_RENDERER, MOST_BYTES, PORT, fields, search

_MOST_ANSWERS = 32
_AT_ONCE = 8
_MOST_DESCRIPTION = 64 * 1024
_DESCRIPTION_SECONDS = 2.0
_NAME = re.compile(rb"<friendlyName>([^<]{1,400})</friendlyName>")
_MODEL = re.compile(rb"<modelName>([^<]{1,400})</modelName>")


@dataclass(frozen=True, slots=True)
class Renderer:
    """A screen that says it can be sent something to play. ``name`` and ``model`` are its own words, may be empty."""

    address: str
    name: str
    model: str
    server: str


@dataclass(frozen=True, slots=True)
class Echo:
    """What came of our own search on one interface: whether the group heard it, and whether we answered it.

    ``trouble``: why it could not be sent at all; empty where it was.
    """

    heard: bool
    answered: bool
    trouble: str = ""


def echo(place: Place, ident: str, agent: str, seconds: float = 2.0) -> Echo:
    """Search for ourselves on one interface, from a second socket. At most ``seconds``."""
    message = search(f"uuid:{ident}", 1, agent)
    heard = answered = False
    try:
        with listener(place) as group, sender(place, place.addresses[0]) as asking:
            begun, sent = time.monotonic(), 0
            while not (heard and answered) and (passed := time.monotonic() - begun) < seconds:
                if passed >= sent * seconds / 3 and sent < 2:  # twice: the first may be lost
                    asking.sendto(message, (GROUP, PORT))
                    sent += 1
                for data, source in _arrived((group, asking), min(seconds / 3, seconds - passed)):
                    ours = parsed(source) in {a.ip for a in place.addresses}
                    heard = heard or (ours and data == message)
                    answered = answered or (ours and data.startswith(b"HTTP/1.1 200") and ident.encode() in data)
    except OSError as error:
        return Echo(heard, answered, error.strerror or "it failed")
    return Echo(heard, answered)


def look(home: Household, agent: str, seconds: float = 3.0) -> tuple[Renderer, ...]:
    """Search for screens on all of the household's interfaces; return who answers within ``seconds``, with names.

    Reading their names takes up to some seconds more.
    """
    where = places(home)
    found: dict[str, dict[str, str]] = {}
    with contextlib.ExitStack() as stack:
        asking: list[socket.socket] = []
        for place in where:
            with contextlib.suppress(OSError):
                made = stack.enter_context(sender(place, place.addresses[0]))
                made.sendto(search(MEDIA_RENDERER, max(1, int(seconds) - 1), agent), (GROUP, PORT))
                asking.append(made)
        end = time.monotonic() + seconds
        while asking and len(found) < _MOST_ANSWERS and (left := end - time.monotonic()) > 0:
            for data, source in _arrived(tuple(asking), left):
                near = any(facing(source, place.addresses) for place in where)
                if near and data.startswith(b"HTTP/1.1 200"):
                    found.setdefault(source, fields(data.split(b"\r\n")[1:]))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return tuple(threads.map(lambda one: _described(*one), sorted(found.items())))


def _arrived(sockets: tuple[socket.socket, ...], seconds: float) -> Iterator[tuple[bytes, str]]:
    for ready in select.select(sockets, (), (), seconds)[0]:
        with contextlib.suppress(OSError):
            data, (source, _) = ready.recvfrom(MOST_BYTES)
            yield data, source


def _described(address: str, said: dict[str, str]) -> Renderer:
    """Return a screen by its answer and, where that leads to itself, its description."""
    text = b""
    with contextlib.suppress(OSError, ValueError):  # a stranger's address, or one that does not answer
        where = urlsplit(said.get("location", ""))
        if where.scheme == "http" and where.hostname == address:
            asked = f"?{where.query}" if where.query else ""
            text = _read(address, where.port or 80, f"{where.path or '/'}{asked}")
    return Renderer(address, _inside(_NAME, text), _inside(_MODEL, text), tidied(said.get("server", "")))


def _read(address: str, port: int, path: str) -> bytes:
    """Return the first bytes of what ``path`` is there. Raises OSError."""
    end = time.monotonic() + _DESCRIPTION_SECONDS
    with socket.create_connection((address, port), _DESCRIPTION_SECONDS) as reading:
        request = f"GET {path} HTTP/1.0\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n"
        reading.sendall(request.encode("ascii"))  # UnicodeEncodeError is a ValueError: then it has no name
        parts, size = [], 0
        while size < _MOST_DESCRIPTION and (left := end - time.monotonic()) > 0:
            reading.settimeout(left)
            part = reading.recv(_MOST_DESCRIPTION - size)
            if not part:
                break
            parts.append(part)
            size += len(part)
    return b"".join(parts)


def _inside(pattern: re.Pattern[bytes], text: bytes) -> str:
    found = pattern.search(text)
    return tidied(html.unescape(found[1].decode("utf-8", "replace"))) if found else ""
