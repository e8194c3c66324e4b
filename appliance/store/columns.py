"""Column types: UTC times as integers, frozen values as JSON text. This module keeps both out of the tables' way."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Integer
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as whole milliseconds since 1970."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else round((value - _EPOCH) / timedelta(milliseconds=1))

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else _EPOCH + timedelta(milliseconds=value)


def pack(value: object) -> str:
    """Return a frozen value as JSON text."""
    return msgspec.json.encode(value).decode()


def unpack(kind: type[T], text: str) -> T:
    """Return the value that ``pack`` made of one of ``kind``."""
    return msgspec.json.decode(text, type=kind)
