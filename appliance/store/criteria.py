"""What screens may search for and sort by: this module has it as values, and as SQL over the videos' table."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import and_, false, func, not_, or_, true

from appliance.store.records import fold
from appliance.store.tables import VideoRow


class Field(StrEnum):
    """What can be searched for and sorted by. ``date`` is when it was published, ``duration`` in seconds."""

    TITLE = "title"
    DATE = "date"
    DURATION = "duration"
    CREATOR = "creator"
    GENRE = "genre"


class Relation(StrEnum):
    """How a field is compared, by the operators' names in UPnP ContentDirectory's search criteria."""

    EQUAL = "="
    UNLIKE = "!="
    LESS = "<"
    MOST = "<="
    MORE = ">"
    LEAST = ">="
    CONTAINS = "contains"
    LACKS = "doesNotContain"
    STARTS = "startsWith"
    KNOWN = "exists"


@dataclass(frozen=True, slots=True)
class Says:
    """One comparison. ``value``: text, a time for ``date``, seconds for ``duration``, a truth value for ``exists``."""

    field: Field
    relation: Relation
    value: str | datetime | int | bool


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple["Test", ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple["Test", ...]


Test = Says | Every | Some | bool
"""What a search asks of a video."""


@dataclass(frozen=True, slots=True)
class Sort:
    field: Field
    descending: bool = False


_FIELDS: Mapping[Field, Any] = {
    Field.TITLE: VideoRow.title_folded,
    Field.DATE: VideoRow.published_at,
    Field.DURATION: VideoRow.duration,
    Field.CREATOR: VideoRow.channel_title,
    Field.GENRE: VideoRow.category,
}


def ordered(sort: Sort) -> Any:
    """Return what a query is to be ordered by."""
    column = _FIELDS[sort.field]
    return column.desc() if sort.descending else column.asc()


def tested(test: Test) -> ColumnElement[bool]:
    """Return the test as a condition on ``VideoRow``."""
    match test:
        case bool():
            return true() if test else false()
        case Every(parts):
            return and_(true(), *map(tested, parts))
        case Some(parts):
            return or_(false(), *map(tested, parts))
        case Says(field, relation, value):
            folded = field is Field.TITLE and isinstance(value, str)
            said: ColumnElement[bool] = _COMPARED[relation](_FIELDS[field], fold(str(value)) if folded else value)
            return said


_COMPARED: Mapping[Relation, Callable[[Any, Any], Any]] = {
    Relation.EQUAL: operator.eq,
    Relation.UNLIKE: operator.ne,
    Relation.LESS: operator.lt,
    Relation.MOST: operator.le,
    Relation.MORE: operator.gt,
    Relation.LEAST: operator.ge,
    Relation.CONTAINS: lambda column, text: column.contains(str(text), autoescape=True),
    Relation.LACKS: lambda column, text: not_(func.coalesce(column, "").contains(str(text), autoescape=True)),
    Relation.STARTS: lambda column, text: column.startswith(str(text), autoescape=True),
    Relation.KNOWN: lambda column, there: column.is_not(None) if there else column.is_(None),
}
