"""What a control point searches for and sorts by (ContentDirectory:1, 2.5.5 and 2.5.6), read: this module is pure.

Both are hostile text: bounded in length, words and depth. What no item of ours has is not there, which is no error.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from appliance.serve.dlna.soap import BAD_SEARCH, BAD_SORT, Fault
from appliance.store.criteria import Every, Field, Relation, Says, Some, Sort, Test

SEARCH_CAPABILITIES = "dc:title,dc:creator,dc:date,upnp:class,upnp:genre,res@duration,@refID"
SORT_CAPABILITIES = "dc:title,dc:date,dc:creator,upnp:genre,res@duration"

MOST_SEARCH, MOST_SORT = 2000, 400
"""Characters."""
_MOST_WORDS, _DEEPEST = 160, 12

CLASS = "object.item.videoItem"
_FORMAT = "http-get:*:video/mp4:*"
_FIELDS = {
    "dc:title": Field.TITLE,
    "dc:creator": Field.CREATOR,
    "upnp:artist": Field.CREATOR,
    "upnp:author": Field.CREATOR,
    "upnp:genre": Field.GENRE,
    "dc:date": Field.DATE,
    "res@duration": Field.DURATION,
}
_SORTS = {name: field for name, field in _FIELDS.items() if name in SORT_CAPABILITIES.split(",")}
_ALIKE = frozenset({"upnp:class", "upnp:originaltracknumber", "upnp:track", "upnp:artist", "upnp:album", "@id", "res"})
"""Properties in which no two of our items differ, or that none has: sorting by them changes nothing."""
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_WORD = re.compile(r'\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<mark>[()]|<=|>=|!=|=|<|>)|(?P<word>[^\s()"<>=!]+))')
_TIME = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_LENGTH = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})(?:\.\d+)?")


def search_of(text: str) -> Test:
    """Return what a search asks of an item. Raises Fault 708."""
    if len(text) > MOST_SEARCH:
        raise Fault(BAD_SEARCH, "The search is too long.")
    if text.strip() in ("", "*"):
        return True
    reading = _Reading(tuple(_words(text)))
    found = reading.either(0)
    if reading.left:
        raise Fault(BAD_SEARCH, "The search goes on where it should end.")
    return found


def _words(text: str) -> Iterator[str]:
    at = count = 0
    text = text.rstrip()
    while at < len(text):
        found = _WORD.match(text, at)
        count += 1
        if found is None or count > _MOST_WORDS:
            raise Fault(BAD_SEARCH, "The search cannot be read.")
        at = found.end()
        yield found[0].strip()


class _Reading:
    """A reader by recursive descent; ``and`` binds before ``or``."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words, self._at = words, 0

    @property
    def left(self) -> bool:
        return self._at < len(self._words)

    def _next(self) -> str:
        if not self.left:
            raise Fault(BAD_SEARCH, "The search ends too early.")
        self._at += 1
        return self._words[self._at - 1]

    def _joined_by(self, word: str) -> bool:
        if self.left and self._words[self._at].lower() == word:
            self._at += 1
            return True
        return False

    def either(self, depth: int) -> Test:
        parts = [self.both(depth)]
        while self._joined_by("or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def both(self, depth: int) -> Test:
        parts = [self.single(depth)]
        while self._joined_by("and"):
            parts.append(self.single(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def single(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise Fault(BAD_SEARCH, "The search is nested too deeply.")
        word = self._next()
        if word == "(":
            found = self.either(depth + 1)
            if self._next() != ")":
                raise Fault(BAD_SEARCH, "A bracket of the search is not closed.")
            return found
        return _compared(word, self._next(), self._next())


def _compared(name: str, relation: str, value: str) -> Test:
    """One relation; ``value`` in quotes, or true or false after ``exists``."""
    if relation.lower() == "exists":
        if value.lower() not in ("true", "false"):
            raise Fault(BAD_SEARCH, "After exists stands true or false.")
        return _there(name, value.lower() == "true")
    if len(value) < 2 or not value.startswith('"'):
        raise Fault(BAD_SEARCH, "A value of the search is not in quotes.")
    plain = re.sub(r"\\(.)", r"\1", value[1:-1])
    if relation.lower() == "derivedfrom":
        derived = plain == CLASS or CLASS.startswith(plain + ".")
        return name == "upnp:class" and derived
    known = next((one for one in Relation if one.value.lower() == relation.lower()), None)
    if known is None:
        raise Fault(BAD_SEARCH, "The search has a relation that does not exist.")
    return _said(name, known, plain)


def _there(name: str, wanted: bool) -> Test:
    if name in ("upnp:genre", "dc:creator"):
        return Says(_FIELDS[name], Relation.KNOWN, wanted)
    there = name in ("dc:title", "dc:date", "upnp:class", "res", "res@duration", "res@size", "@id", "@parentID")
    return there is wanted


def _said(name: str, relation: Relation, value: str) -> Test:
    match name:
        case "upnp:class":
            return _constant(CLASS, relation, value)
        case "res@protocolInfo":
            return _constant(_FORMAT, relation, value)
        case "dc:date" if relation.value in _COMPARISONS:
            return Says(Field.DATE, relation, _time(value))
        case "res@duration" if relation.value in _COMPARISONS:
            return Says(Field.DURATION, relation, _seconds(value))
        case "dc:date" | "res@duration":
            raise Fault(BAD_SEARCH, f"{name} can be compared, but not searched for text.")
        case _ if name in _FIELDS:
            return Says(_FIELDS[name], relation, value)
        case _:
            return relation in (Relation.UNLIKE, Relation.LACKS)


def _constant(ours: str, relation: Relation, value: str) -> bool:
    match relation:
        case Relation.EQUAL:
            return ours == value
        case Relation.UNLIKE:
            return ours != value
        case Relation.CONTAINS:
            return value in ours
        case Relation.LACKS:
            return value not in ours
        case Relation.STARTS:
            return ours.startswith(value)
        case _:
            raise Fault(BAD_SEARCH, "That property has no order.")


def _time(text: str) -> datetime:
    found = _TIME.match(text)
    try:
        if found is None:
            raise ValueError(text)
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise Fault(BAD_SEARCH, "A date of the search is none.") from error


def _seconds(text: str) -> int:
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        raise Fault(BAD_SEARCH, "A duration of the search is none.")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def sorts_of(text: str) -> tuple[Sort, ...]:
    """Return the order asked for, empty for ours. Raises Fault 709."""
    if len(text) > MOST_SORT:
        raise Fault(BAD_SORT, "The order is too long.")
    found: dict[Field, Sort] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        sign, name = (part[0], part[1:]) if part[0] in "+-" else ("+", part)
        if name.lower() in _ALIKE:
            continue
        field = _SORTS.get(name)
        if field is None:
            raise Fault(BAD_SORT, "There is no order by one of these.")
        found.setdefault(field, Sort(field, sign == "-"))
    return tuple(found.values())
