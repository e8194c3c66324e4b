"""The fields of a rule as they stand in a file: this module turns each into its value, and back into text."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from appliance.domain.plan import Watched
from appliance.domain.units import ByteCount, ChannelId, RuleId
from policies.soundness import LONGEST

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,6}))? ?([wdhms])")


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a whole number")
    return value


def _bytes(value: Any) -> ByteCount:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a whole number of bytes")
    return ByteCount(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number of usual size") from None


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text in quotes")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("a list of texts in quotes")
    return tuple(value)


def _set(value: Any) -> frozenset[str]:
    return frozenset(_texts(value))


def _span(value: Any) -> timedelta:
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a length of time such as “14d”, with w, d, h, m or s")
    whole, part, unit = found.groups()
    micro = (int(whole) * 1_000_000 + int((part or "").ljust(6, "0"))) * _SECONDS[unit]
    if micro > LONGEST.total_seconds() * 1_000_000:
        raise ValueError("longer than 100 years")
    return timedelta(microseconds=micro)


def _watched(value: Any) -> Watched:
    if value not in list(Watched):
        raise ValueError("“keep” or “drop”")
    return Watched(value)


def written(value: Any) -> str:
    """Return a field's value as TOML: sets in order, lengths of time in the largest unit that holds them whole."""
    match value:
        case bool():
            return "true" if value else "false"
        case timedelta():
            return _quoted(span_text(value))
        case str():
            return _quoted(value)
        case frozenset():
            return f"[{', '.join(_quoted(each) for each in sorted(value))}]"
        case tuple():
            return f"[{', '.join(map(_quoted, value))}]"
        case _:
            return repr(value)


def _quoted(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are among its own, and DEL must be escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def span_text(span: timedelta) -> str:
    """Return a length of time in the largest unit that holds it whole, down to parts of a second."""
    seconds, part = divmod(span, timedelta(seconds=1))
    if part:
        return f"{seconds}.{part.microseconds:06}s"
    unit = next(unit for unit, length in _SECONDS.items() if unit != "w" and seconds % length == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


RULE: dict[str, Callable[[Any], Any]] = {
    "id": lambda value: RuleId(_text(value)),
    "name": _text,
    "kind": _text,
    "channels": lambda value: frozenset(map(ChannelId, _texts(value))),
    "tags": _set,
    "budget": _bytes,
    "budget_share": _number,
    "channel_budget": _bytes,
    "most": _whole,
    "per_channel": _whole,
    "min_lifetime": _span,
    "max_lifetime": _span,
    "max_height": _whole,
    "smallest": _truth,
    "half_life": _span,
    "keep_below": _whole,
    "ratio": _number,
    "seed_below": _whole,
    "watched": _watched,
    "weight": _number,
    "paused": _truth,
}
"""Field of ``Rule`` → its value; raises ValueError that says what it has to be."""

FILTERS: dict[str, Callable[[Any], Any]] = {
    "min_views": _whole,
    "max_views": _whole,
    "min_age": _span,
    "max_age": _span,
    "min_duration": _span,
    "max_duration": _span,
    "min_size": _bytes,
    "max_size": _bytes,
    "languages": _set,
    "categories": _set,
    "tags": _set,
    "nsfw": _truth,
    "include": _texts,
    "exclude": _texts,
}
"""Field of ``Filters`` → its value, likewise."""
