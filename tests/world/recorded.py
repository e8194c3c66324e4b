"""The recorded answers: this module finds which of them fits a request, in the sets that are laid over each other."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

FOLDER = Path(__file__).parent.parent / "recorded"

Query = tuple[tuple[str, str], ...]

_OWN_BUSINESS = {"Range", "If-None-Match", "If-Modified-Since", "If-Range"}
"""Request headers that the server answers by itself; exchanges with them are expectations, not answers."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded answer. ``body`` is relative to the folder of recordings, None where there was none."""

    id: str
    set: str
    server: str
    path: str
    query: Query
    asked: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    body: str | None

    @property
    def content_type(self) -> str:
        return next((v for k, v in self.headers.items() if k.lower() == "content-type"), "")

    def read(self) -> bytes:
        return read(self.body) if self.body else b""


def as_query(query: str) -> Query:
    """Return a query as sorted pairs, so that order and encoding don't matter."""
    return tuple(sorted(parse_qsl(query, keep_blank_values=True, encoding="latin-1")))


@cache
def read(body: str) -> bytes:
    """Return a recorded file's bytes, read once."""
    return (FOLDER / body).read_bytes()


@cache
def index() -> dict[str, Any]:
    """Return ``index.json``."""
    loaded: dict[str, Any] = json.loads((FOLDER / "index.json").read_bytes())
    return loaded


def _answers_by_itself(x: Mapping[str, Any]) -> bool:
    return x["method"] == "GET" and x["status"] not in (206, 304, 416) and not _OWN_BUSINESS & set(x.get("headers", {}))


@cache
def exchanges() -> tuple[Recorded, ...]:
    """Return every exchange a replay can answer with, in order."""
    return tuple(
        Recorded(
            x["id"],
            x["set"],
            x["server"],
            unquote(x["path"]),
            as_query(x.get("query", "")),
            {k.lower(): v for k, v in x.get("headers", {}).items()},
            x["status"],
            x.get("answer", {}),
            x.get("body"),
        )
        for x in index()["exchanges"]
        if _answers_by_itself(x)
    )


def video(slug: str) -> dict[str, Any]:
    """Return what the index says of one recorded video, by its slug (``muxed``, ``talk-a`` …)."""
    return next(dict(v) for v in index()["videos"] if v["slug"] == slug)


def torrents(state: str = "base") -> list[tuple[Path, Path, str]]:
    """Return (torrent, media, info-hash) of every file of every recorded video in one state."""
    return [
        (FOLDER / f["torrent"], FOLDER / f["media"], f["infohash"])
        for v in index()["videos"]
        for f in v["states"].get(state, {}).get("files", ())
        if f.get("torrent") and f.get("media")
    ]


@dataclass(slots=True)
class Tape:
    """The sets in force. Steps build on each other, so laying one lays those before it."""

    laid: list[str] = field(default_factory=lambda: ["base"])
    _found: dict[tuple[str, str, Query], list[Recorded]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._index()

    def lay(self, name: str) -> None:
        """Put a set in force, and every step before it. Raises ValueError for one that does not exist."""
        order = index()["sets"]
        if name not in order:
            raise ValueError(f"no such set: {name}")
        steps = [s for s in order if s.startswith("step-")]
        wanted = steps[: steps.index(name) + 1] if name in steps else [name]
        self.laid += [s for s in wanted if s not in self.laid]
        self._index()

    def lift(self, name: str) -> None:
        """Take a set away again."""
        self.laid.remove(name)
        self._index()

    def _index(self) -> None:
        found: dict[tuple[str, str, Query], dict[str, list[Recorded]]] = defaultdict(lambda: defaultdict(list))
        for x in exchanges():
            if x.set in self.laid:
                found[x.server, x.path, x.query][x.set].append(x)
        self._found = {key: _topmost(sets, self.laid) for key, sets in found.items()}

    def find(self, server: str, path: str, query: Query, headers: Mapping[str, str]) -> Recorded | None:
        """Return the answer to a request: of those whose headers it has, the one with the most."""
        candidates = self._found.get((server, path, query), [])
        fitting = [x for x in candidates if all(_has(headers, k, v) for k, v in x.asked.items())]
        return max(fitting, key=lambda x: len(x.asked), default=None)

    def all(self, server: str = "origin") -> Iterable[Recorded]:
        """Return every answer in force."""
        return (x for key, found in self._found.items() if key[0] == server for x in found)


def _topmost(sets: Mapping[str, list[Recorded]], laid: list[str]) -> list[Recorded]:
    seen: dict[tuple[tuple[str, str], ...], Recorded] = {}
    for name in laid:
        for x in sets.get(name, ()):
            seen[tuple(sorted(x.asked.items()))] = x
    return list(seen.values())


def _has(headers: Mapping[str, str], name: str, value: str) -> bool:
    said = headers.get(name, "")
    if name == "accept":
        return value in said or (value == "text/html" and said in ("", "*/*"))
    return said == value
