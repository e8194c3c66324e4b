"""A file of rules: TOML that an owner can write, read, keep and carry to another box. This module reads and writes it.

    version = 2

    [[rule]]
    id = "news"
    name = "News"
    kind = "recent"
    budget = 50_000_000_000      # bytes
    max_lifetime = "14d"         # a number with w, d, h, m or s
    filters = { min_views = 10, exclude = ["*trailer*"] }

The fields are those of ``Rule`` and ``Filters``; what is left out keeps its default. A field or a value that is not
understood is refused, never skipped: a filter that was misspelt must not widen a rule. Files of version 1 (which did
not say so) had ``min_views`` beside the other fields and lifetimes as ``…_days``; they are read as what they meant.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any

from appliance.domain.plan import Filters, Rule
from appliance.errors import BadInput
from policies.fields import FILTERS, RULE, span_text, written
from policies.soundness import BUILT_IN, LONGEST, check

VERSION = 2
LARGEST = 256 * 1024
"""Characters of a file; a hundred rules with every field take a quarter of that."""
MOST_RULES = 1000

Table = Mapping[str, Any]


def read(text: str, kinds: Iterable[str] = BUILT_IN) -> tuple[Rule, ...]:
    """Return the rules of a file, of this version or an older one.

    Raises BadInput (``bad_rule``), whose message names the rule and whose ``field`` the field that is wrong.
    """
    return rules_of(parse(text), kinds)


def write(rules: Iterable[Rule]) -> str:
    """Return the rules as a file of the present version, the same for the same rules; what is default is left out."""
    return "\n".join([f"version = {VERSION}\n", *map(_written, rules)])


def parse(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text. Raises BadInput where it is none, or too long to be one of ours."""
    if len(text) > LARGEST:
        raise _bad("", f"A file of rules has at most {LARGEST:,} characters.")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise _bad("", "This is nested too deeply to be a file of rules.") from error
    except ValueError as error:
        raise _bad("", f"This is not TOML: {error}.") from error


def rules_of(tables: Table, kinds: Iterable[str] = BUILT_IN) -> tuple[Rule, ...]:
    """Return the rules that the tables of a file say. Raises BadInput as ``read`` does."""
    version = tables.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _bad("version", "The version of a file of rules is a number from 1 on.")
    if version > VERSION:
        hint = "Update Seedkeep, or export the rules from the older one."
        raise _bad("version", f"These rules are of version {version}; this Seedkeep reads up to {VERSION}.", hint)
    unknown = sorted(set(tables) - {"rule", "version"})
    if unknown:
        raise _bad(unknown[0], f"Only version and [[rule]] tables are expected, not {unknown[0]}.")
    entries = tables.get("rule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _bad("rule", "Rules are written as [[rule]] tables.")
    if len(entries) > MOST_RULES:
        raise _bad("rule", f"A file has at most {MOST_RULES:,} rules.")
    known = frozenset(kinds)
    made = tuple(_rule(entry if version == VERSION else _from_1(entry), n, known) for n, entry in enumerate(entries, 1))
    _check_ids(made)
    return made


def _check_ids(rules: tuple[Rule, ...]) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise _bad("id", f"Two rules have the id {rule.id}.")
        seen.add(rule.id)


def _from_1(entry: Table) -> Table:
    """Return a rule of version 1 as one of version 2 that means the same.

    Numbers that kept nothing (a budget or a height of 0) are no longer written so: such a rule is paused.
    """
    new = dict(entry)
    for key in [key for key in entry if key in ("min_views", "min_lifetime_days", "max_lifetime_days")]:
        value = new.pop(key)
        if key == "min_views":
            new["filters"] = {"min_views": value}
        else:
            new[key.removesuffix("_days")] = _from_days(value, key)
    for key in ("budget", "budget_share", "max_height"):
        if new.get(key) == 0 and not isinstance(new[key], bool):
            del new[key]
            new["paused"] = True
    strange = sorted(set(new) - {"filters", *_OF_VERSION_1})
    if strange or "filters" in entry:
        raise _bad((strange or ["filters"])[0], f"A rule of version 1 has no field {(strange or ['filters'])[0]}.")
    return new


_OF_VERSION_1 = (
    "id name kind channels budget budget_share min_lifetime max_lifetime max_height weight paused".split()  # noqa: SIM905
)


def _from_days(value: Any, key: str) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _bad(key, f"The field {key} is a number of days.")
    if not 0 <= value <= LONGEST.days:
        raise _bad(key.removesuffix("_days"), f"A lifetime is between 0 and {LONGEST.days:,} days.")
    return span_text(timedelta(days=value))


def _rule(entry: Table, number: int, kinds: frozenset[str]) -> Rule:
    name = entry.get("name")
    label = f"Rule “{name[:100]}”" if isinstance(name, str) and name.strip() else f"Rule {number}"
    try:
        for key in ("id", "name", "kind"):
            if key not in entry:
                raise _bad(key, f"it needs {key}.")
        values = _values(entry, RULE, "")
        filters = Filters(**_values(entry.get("filters", {}), FILTERS, "filters."))
        made = Rule(**values, filters=filters)
        if not made.id or len(made.id) > 64:
            raise _bad("id", "an id has 1 to 64 characters.")
        check(made, kinds)
    except BadInput as error:
        raise _bad(error.field, f"{label}: {error.message[0].lower()}{error.message[1:]}", error.hint) from error
    return made


def _values(entry: Any, known: Mapping[str, Callable[[Any], Any]], prefix: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise _bad("filters", "filters are written as a table.")
    values = {}
    for key, found in entry.items():
        if key == "filters" and not prefix:
            continue
        if key not in known:
            raise _bad(f"{prefix}{key}"[:100], f"there is no field {prefix}{key[:80]}.")
        try:
            values[key] = known[key](found)
        except ValueError as error:
            raise _bad(prefix + key, f"{prefix}{key} is {error}.") from error
    return values


def _written(rule: Rule) -> str:
    lines = ["[[rule]]", *_lines(rule, RULE)]
    filters = _lines(rule.filters, FILTERS)
    if filters:
        lines += ["", "[rule.filters]", *filters]
    return "\n".join([*lines, ""])


def _lines(made: Rule | Filters, known: Iterable[str]) -> list[str]:
    default = {field.name: field.default for field in fields(made)}
    lines = []
    for key in known:
        value = getattr(made, key)
        if default[key] is MISSING or value != default[key]:
            lines.append(f"{key} = {written(value)}")
    return lines


def _bad(field: str, message: str, hint: str = "") -> BadInput:
    return BadInput(message, code="bad_rule", field=field, hint=hint)
