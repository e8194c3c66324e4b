"""What families of televisions and players need that others do not: this module reads it from ``quirks/*.toml``.

A family is known by what its requests say of themselves, else by what its address said before: many ask for pictures
and descriptions without a word on who they are. Each quirk names where it was learned.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_REMEMBERED = 256
"""Addresses whose family is known."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a family is answered. The defaults are for whom we do not know.

    ``tallest``, ``fastest``: lines, and pictures a second, of what is offered before what has more; ``resources``:
    renditions offered at most; ``art``: the picture of 160 pixels, the origin's own, or both, in either order;
    ``caption_info``: ``sec:CaptionInfoEx``, ``caption_resources``: subtitles as ``res`` too, ``caption_attributes``:
    as ``pv:`` attributes of ``res``; ``dotted``: a title has a full stop where there are subtitles; ``own_order``:
    whatever order is asked for, ours is given; ``aliases``: ids asked for that mean ones of ours; ``model``, ``suffix``
    (of the name), ``capabilities`` (``sec:ProductCap``): in the description.
    """

    family: str = ""
    tallest: int = 1080
    fastest: int = 60
    resources: int = 3
    art: Literal["small", "large", "both", "large first"] = "both"
    caption_info: bool = True
    caption_resources: bool = False
    caption_attributes: bool = False
    dotted: bool = False
    own_order: bool = False
    capabilities: str = "smi,getMediaInfo.sec,getCaptionInfo.sec"
    model: str = "Seedkeep"
    suffix: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)


PLAIN = Quirks()


class _Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    header: Literal["user-agent", "x-av-client-info"]
    contains: Annotated[str, Meta(min_length=3)]


class _Quirk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    set: dict[str, bool | int | str | dict[str, str]]
    why: Annotated[str, Meta(min_length=10)]
    source: Annotated[str, Meta(pattern=r"^https://\S+$")]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    match: tuple[_Match, ...]
    quirk: tuple[_Quirk, ...]


class Families:
    """All families, and which addresses belong to which."""

    def __init__(self) -> None:
        """Read the files; blocks, once."""
        self._known = tuple(_read())
        self._seen: OrderedDict[str, Quirks] = OrderedDict()

    def every(self) -> tuple[Quirks, ...]:
        return tuple({quirks.family: quirks for _, _, quirks in self._known}.values())

    def of(self, headers: Mapping[bytes, bytes], source: str) -> Quirks:
        """Return how to answer a request; the longest text that fits decides.

        One that says nothing of itself is answered as the last from its address that was known.
        """
        said = {name: headers.get(name.encode(), b"").decode("latin-1") for name in ("user-agent", "x-av-client-info")}
        fitting = [(len(text), quirks) for header, text, quirks in self._known if text in said[header]]
        if not fitting:
            return PLAIN if any(said.values()) else self._seen.get(source, PLAIN)
        found = max(fitting, key=lambda pair: pair[0])[1]
        self._seen[source] = found
        self._seen.move_to_end(source)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return found


def _read() -> list[tuple[str, str, Quirks]]:
    """(header, text in it, quirks) of every file."""
    found: list[tuple[str, str, Quirks]] = []
    folder = resources.files(__package__) / "quirks"
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            read = msgspec.toml.decode(entry.read_bytes(), type=_File)
            quirks = _made(entry.name.removesuffix(".toml"), read)
            found += [(match.header, match.contains, quirks) for match in read.match]
    return found


def _made(family: str, read: _File) -> Quirks:
    names = {f.name for f in fields(Quirks)} - {"family"}
    changes: dict[str, object] = {}
    for quirk in read.quirk:
        if not set(quirk.set) <= names:
            raise ValueError(f"{family} sets what no quirk is: {sorted(set(quirk.set) - names)}")
        changes |= quirk.set
    return msgspec.convert({"family": family} | changes, Quirks)
