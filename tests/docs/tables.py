"""README's tables as the program itself would write them: this module makes them from settings and errors."""

import re
from typing import Any, get_args, get_origin

import msgspec
from msgspec import structs

from appliance import errors
from appliance.settings import Settings


def settings_table() -> str:
    """Return every setting as a Markdown row: its environment variable, default, range and one sentence."""
    rows = ["| Setting | Default | What it is |", "|---|---|---|"]
    for path, field in _leaves(Settings, ()):
        name = "SEEDKEEP_" + "__".join(path).upper()
        rows.append(f"| `{name}` | {_default(field.default)} | {_meaning(field.type)} |")
    return "\n".join(rows)


def errors_table() -> str:
    """Return every error of the tree as a Markdown row: its code and what the tree says of it."""
    said = dict(re.findall(r"^[│├└─ ]*(\w+) {2,}(.+)$", errors.__doc__ or "", re.MULTILINE))
    rows = ["| Code | What happened |", "|---|---|"]
    rows += [f"| `{kind.code}` | {said[kind.__name__]} |" for kind in _below(errors.SeedkeepError)]
    return "\n".join(rows)


def _below(kind: type[errors.SeedkeepError]) -> list[type[errors.SeedkeepError]]:
    own = [sub for sub in kind.__subclasses__() if sub.__module__ == errors.__name__]
    return [one for sub in own for one in (sub, *_below(sub))]


def _leaves(struct: type[msgspec.Struct], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], structs.FieldInfo]]:
    found: list[tuple[tuple[str, ...], structs.FieldInfo]] = []
    for field in structs.fields(struct):
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            found += _leaves(inner, (*path, field.name))
        else:
            found.append(((*path, field.name), field))
    return found


def _default(value: Any) -> str:
    if value is True or value is False:
        return "on" if value else "off"
    if value is None or value == "":
        return ""
    return f"`{value}`"


def _meaning(annotated: Any) -> str:
    """Return a setting's sentence, with its choices or range."""
    meta = next(extra for extra in get_args(annotated) if isinstance(extra, msgspec.Meta))
    text = (meta.description or "").replace("|", "\\|")
    kind = get_args(annotated)[0]
    if get_origin(kind) is not None and all(isinstance(choice, str) for choice in get_args(kind)):
        return f"{text} One of {', '.join(f'`{choice}`' for choice in get_args(kind))}."
    low, high = meta.ge, meta.le
    if low is not None and high is not None:
        return f"{text} {low} to {high}."
    return text
