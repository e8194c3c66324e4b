"""What every list of the API has in common: ``limit``, ``offset``, and an answer with the total. This module has it."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import PathParameter, QueryParameter

T = TypeVar("T")

Ident = Annotated[str, PathParameter(max_length=200)]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="Items at most.", required=False)]
Offset = Annotated[int, QueryParameter(ge=0, le=10_000_000, description="Items to skip.", required=False)]


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """``total`` counts what there is, ``items`` are those asked for."""

    total: int
    items: list[T]


def cut(items: Sequence[T], limit: int, offset: int) -> Listing[T]:
    """Return the part of a whole list that is asked for."""
    return Listing(len(items), list(items[offset : offset + limit]))
