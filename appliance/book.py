"""The book of settings: every value with where it came from. This module reads the sources, checks the whole and says
what is locked.

The environment (``SEEDKEEP_*``, ``__`` between levels, ``_FILE`` for secrets) wins over the TOML file, the file over
what the dashboard saved, that over the default.
"""

import os
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from appliance.endpoints import CHECKS, Unusable, quoted
from appliance.errors import BadInput
from appliance.settings import Settings

PREFIX = "SEEDKEEP_"
_ELSEWHERE = frozenset({"SEEDKEEP_CONFIG"})
"""Variables of ours that are no settings."""

SECRET = frozenset({"setup.admin_password"})
AT_START_ONLY = frozenset({"data_dir", "library_dir", "library.export_dir", "setup.admin_password"})
"""Not to be changed from the dashboard: they say where the dashboard's own data lies, or matter once."""

NEEDS_RESTART = frozenset(
    {"web.host", "web.port", "web.base_path", "lan.mdns", "lan.name", "swarm.listen_port", "swarm.interfaces"}
)
_NOTHING = frozenset({"", "none", "unlimited"})
LARGEST = 2**53 - 1
"""A bound that is there for JSON's sake (RFC 8259, 6): nobody meets it."""


class Source(StrEnum):
    DEFAULT = "default"
    SAVED = "saved"
    FILE = "file"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as a page shows it. ``path`` is ``web.port``; ``locked_by`` says what fixes it, if anything does.

    ``kind`` is one of text, number, decimal, switch, choice; ``least`` and ``most`` bound numbers; a secret's value is
    never shown.
    """

    path: str
    value: Any
    default: Any
    kind: str
    description: str
    source: Source
    locked_by: str | None
    needs_restart: bool
    secret: bool
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class _Field:
    path: str
    default: Any
    kind: str
    description: str
    choices: tuple[str, ...]
    least: float | None
    most: float | None
    optional: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Settings in force, and each path's source with what fixes it."""

    settings: Settings
    sources: Mapping[str, tuple[Source, str | None]]

    def options(self) -> tuple[Option, ...]:
        """Return every setting in the order of ``settings.py``."""
        found: list[Option] = []
        for field in FIELDS.values():
            source, locked_by = self.sources.get(field.path, (Source.DEFAULT, None))
            if field.path in AT_START_ONLY and locked_by is None:
                locked_by = "the start of the program"
            secret = field.path in SECRET
            found.append(
                Option(
                    path=field.path,
                    value=None if secret else _at(self.settings, field.path),
                    default=None if secret else field.default,
                    kind=field.kind,
                    description=field.description,
                    source=source,
                    locked_by=locked_by,
                    needs_restart=field.path in NEEDS_RESTART,
                    secret=secret,
                    choices=field.choices,
                    least=field.least,
                    most=field.most,
                    optional=field.optional,
                )
            )
        return tuple(found)


def _at(settings: Settings, path: str) -> Any:
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _field(path: str, hint: Any, default: Any) -> _Field:
    meta = msgspec.Meta()
    if get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        meta = next(m for m in metas if isinstance(m, msgspec.Meta))
    optional = get_origin(hint) in (Union, types.UnionType)
    if optional:
        hint = next(h for h in get_args(hint) if h is not type(None))
        if get_origin(hint) is Annotated:
            hint, inner = get_args(hint)
            meta = msgspec.Meta(description=meta.description, ge=inner.ge, le=inner.le)
    choices = tuple(get_args(hint)) if get_origin(hint) is Literal else ()
    kind = "choice" if choices else {bool: "switch", int: "number", float: "decimal", str: "text"}[hint]
    return _Field(path, default, kind, meta.description or "", choices, meta.ge, meta.le, optional)


def _fields(kind: type[msgspec.Struct], before: str = "") -> dict[str, _Field]:
    hints = get_type_hints(kind, include_extras=True)
    found: dict[str, _Field] = {}
    for info in msgspec.structs.fields(kind):
        path, hint = before + info.name, hints[info.name]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            found |= _fields(hint, path + ".")
        else:
            found[path] = _field(path, hint, info.default)
    return found


FIELDS: Mapping[str, _Field] = _fields(Settings)


def variable(path: str) -> str:
    """Return the environment variable that fixes a setting: ``web.port`` → ``SEEDKEEP_WEB__PORT``."""
    return PREFIX + path.replace(".", "__").upper()


_BY_VARIABLE = {variable(path): path for path in FIELDS}


def from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """Return path to (text, variable). Raises BadInput for a variable of ours that is no setting."""
    found: dict[str, tuple[Any, str]] = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX) or name in _ELSEWHERE:
            continue
        path = _BY_VARIABLE.get(name)
        if path is None and name.endswith("_FILE"):
            path = _BY_VARIABLE.get(name.removesuffix("_FILE"))
            text = _secret(name, text) if path in SECRET else ""
            path = path if path in SECRET else None
        if path is None:
            raise BadInput(f"{name} is not a setting.", hint="`seedkeep config` lists all of them.", field=name)
        found[path] = (text, name)
    return found


def _secret(name: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{name} names a file that cannot be read: {file}.", field=name) from error


def from_file(path: Path) -> dict[str, Any]:
    """Return path to value of a TOML file. Raises BadInput that names the file or the unknown path."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"The settings file {path} cannot be read: {error.strerror}.",
            hint="Give another one with --config, or none.",
            field="config",
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"The settings file {path} is not TOML: it is no text.", field="config") from error
    except ValueError as error:  # TOMLDecodeError, and what Python itself refuses, such as an endless number
        raise BadInput(f"The settings file {path} is not TOML: {error}.", field="config") from error
    return flat(tree)


def flat(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested tables as path to value. Raises BadInput that names an unknown path."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        path = before + key
        if path in FIELDS:
            found[path] = value
        elif isinstance(value, Mapping) and any(known.startswith(path + ".") for known in FIELDS):
            found |= flat(value, path + ".")
        else:
            raise BadInput(f"{path} is not a setting.", hint="`seedkeep config` lists all of them.", field=path)
    return found


def _value(path: str, value: Any) -> Any:
    """Return a value of the setting's own kind; texts (from the environment, from forms) are read as such."""
    field = FIELDS[path]
    if isinstance(value, str) and field.optional and value.strip().lower() in _NOTHING:
        return None
    if isinstance(value, str) and field.kind != "text":
        value = value.strip()
        if field.kind == "switch":
            value = {"on": "true", "yes": "true", "off": "false", "no": "false"}.get(value.lower(), value.lower())
    return value


def compose(layers: Mapping[Source, Mapping[str, Any]], names: Mapping[str, str]) -> Page:
    """Return the settings that these layers come to. ``names``: what fixes a path, for locked ones.

    Raises BadInput that names the path and says what it may be.
    """
    tree: dict[str, Any] = {}
    sources: dict[str, tuple[Source, str | None]] = {}
    for source in (Source.SAVED, Source.FILE, Source.ENVIRONMENT):
        for path, value in layers.get(source, {}).items():
            if path not in FIELDS:
                continue
            *tables, leaf = path.split(".")
            inner = tree
            for table in tables:
                inner = inner.setdefault(table, {})
            inner[leaf] = _value(path, value)
            sources[path] = (source, None if source is Source.SAVED else names.get(path, source.value))
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$.")
        path = where.rstrip("`")
        field = FIELDS.get(path)
        if field is None:
            raise BadInput(f"{path or 'A setting'} cannot be used.", field=path) from error
        hint = f"{field.description} {_range(field)}".strip()
        raise BadInput(f"{path}: {_amiss(field, _in(tree, path), text)}.", hint=hint, field=path) from error
    _check_texts(settings)
    return Page(settings, sources)


def _in(tree: Mapping[str, Any], path: str) -> Any:
    value: Any = tree
    for part in path.split("."):
        value = value[part]
    return value


def _amiss(field: _Field, value: object, said: str) -> str:
    """Say what is wrong with a value, as its owner would. ``said``: what msgspec says of it."""
    if "of length <=" in said:
        return f"this is longer than {re.sub(r'[^0-9]', '', said)} letters"
    if not isinstance(value, str | int | float):
        return "this is no single value"
    shown = quoted("nothing" if value == "" else str(value))
    if field.kind == "choice":
        return f"{shown} is none of its words"
    if field.kind == "switch":
        return f"{shown} is neither on nor off"
    if field.kind == "text":
        return f"{shown} cannot be used"
    if ">=" in said or "<=" in said:
        return f"{shown} is too {'small' if '>=' in said else 'large'}"
    return f"{shown} is not a {'whole number' if field.kind == 'number' else 'number'}"


def _check_texts(settings: Settings) -> None:
    """Raise BadInput for a text with a form of its own that it does not have."""
    for path, check in CHECKS.items():
        try:
            check(_at(settings, path))
        except Unusable as error:
            raise BadInput(f"{path}: {error.message}.", hint=error.hint, field=path) from error


def _range(field: _Field) -> str:
    if field.choices:
        return "It is one of " + ", ".join(field.choices) + "."
    if field.least is not None and field.most is not None and field.most < LARGEST:
        return f"It is between {field.least:.15g} and {field.most:.15g}."
    return "" if field.least is None else f"It is at least {field.least:.15g}."


def load(
    environment: Mapping[str, str] = os.environ,
    file: Path | None = None,
    given: Mapping[str, str] | None = None,
    saved: Mapping[str, Any] | None = None,
) -> Page:
    """Return the settings in force. ``given`` are those of the command line, which win over all. Raises BadInput."""
    named = from_environment(environment)
    values: dict[str, Any] = {path: text for path, (text, _) in named.items()}
    names = {path: name for path, (_, name) in named.items()}
    in_file = {} if file is None else from_file(file)
    names = {path: str(file) for path in in_file} | names
    for path, text in (given or {}).items():
        values[path], names[path] = text, "the command line"
    return compose({Source.SAVED: saved or {}, Source.FILE: in_file, Source.ENVIRONMENT: values}, names)


def check_changes(page: Page, changes: Mapping[str, Any]) -> None:
    """Raise BadInput for a change that cannot be made from the dashboard: unknown, locked, or only at the start."""
    locks = {o.path: o.locked_by for o in page.options()}
    for path in changes:
        if path not in locks:
            raise BadInput(f"{path} is not a setting.", field=path)
        if (lock := locks[path]) is not None:
            raise BadInput(
                f"{path} is fixed by {lock}.", hint="Change it there, and restart.", field=path, code="locked"
            )
