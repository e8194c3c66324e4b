"""Bencoding (BEP 3), read strictly from hostile bytes. This module decodes, and says where a value's bytes lie."""

from collections.abc import Mapping
from dataclasses import dataclass

MAX_DEPTH = 12
MAX_DIGITS = 18

Value = int | bytes | list["Value"] | dict[bytes, "Value"]


class Malformed(ValueError):
    """Bytes that are not bencoding, or nest too deeply."""


@dataclass(slots=True)
class _Cursor:
    data: bytes
    at: int = 0

    def peek(self) -> int:
        if self.at >= len(self.data):
            raise Malformed("it ends too early")
        return self.data[self.at]

    def until(self, mark: bytes) -> bytes:
        end = self.data.find(mark, self.at, self.at + MAX_DIGITS + 2)
        if end < 0:
            raise Malformed("a number does not end")
        text, self.at = self.data[self.at : end], end + 1
        return text


def _number(text: bytes, *, signed: bool) -> int:
    digits = text[1:] if signed and text.startswith(b"-") else text
    if not digits.isdigit() or (len(digits) > 1 and digits.startswith(b"0")) or text == b"-0":
        raise Malformed("a number is malformed")
    return int(text)


def _text(cursor: _Cursor) -> bytes:
    length = _number(cursor.until(b":"), signed=False)
    if length > len(cursor.data) - cursor.at:
        raise Malformed("a string is longer than what is there")
    cursor.at += length
    return cursor.data[cursor.at - length : cursor.at]


def _pairs(cursor: _Cursor, depth: int, spans: dict[bytes, tuple[int, int]] | None) -> dict[bytes, Value]:
    found: dict[bytes, Value] = {}
    while cursor.peek() != ord("e"):
        key = _text(cursor)
        if key in found:
            raise Malformed("a key comes twice")
        start = cursor.at
        found[key] = _value(cursor, depth)
        if spans is not None:
            spans[key] = (start, cursor.at)
    cursor.at += 1
    return found


def _value(cursor: _Cursor, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise Malformed("it nests too deeply")
    match cursor.peek():
        case 0x69:  # i
            cursor.at += 1
            return _number(cursor.until(b"e"), signed=True)
        case 0x6C:  # l
            cursor.at += 1
            items: list[Value] = []
            while cursor.peek() != ord("e"):
                items.append(_value(cursor, depth + 1))
            cursor.at += 1
            return items
        case 0x64:  # d
            cursor.at += 1
            return _pairs(cursor, depth + 1, None)
        case _:
            return _text(cursor)


def decode_dict(data: bytes) -> tuple[dict[bytes, Value], Mapping[bytes, tuple[int, int]]]:
    """Return the outermost dictionary and, for each of its keys, where the value's bytes begin and end.

    Raises Malformed for anything else, for trailing bytes and for a key that comes twice.
    """
    cursor, spans = _Cursor(data), dict[bytes, tuple[int, int]]()
    if cursor.peek() != ord("d"):
        raise Malformed("it is not a dictionary")
    cursor.at = 1
    found = _pairs(cursor, 1, spans)
    if cursor.at != len(data):
        raise Malformed("something follows its end")
    return found, spans
