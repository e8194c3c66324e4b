"""Rules to begin with, as TOML that an owner could have written: this module reads them.

A file holds ``[[rule]]`` tables with the fields of ``Rule``; lifetimes are in days. The files come with the program
and are read through the import system, not from the disk of the library.
"""

import tomllib
from datetime import timedelta
from importlib.resources import files
from typing import Any

from appliance.domain.plan import Rule, RuleKind
from appliance.domain.units import ByteCount, ChannelId, RuleId
from appliance.errors import BadInput
from policies.rules import LONGEST, check

_PLAIN: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "name": (str,),
    "kind": (str,),
    "channels": (list,),
    "budget": (int,),
    "budget_share": (int, float),
    "min_lifetime_days": (int, float),
    "max_lifetime_days": (int, float),
    "max_height": (int,),
    "min_views": (int,),
    "weight": (int, float),
    "paused": (bool,),
}


def default_rules() -> tuple[Rule, ...]:
    """Return the rules in force from the first channel on."""
    return rules_from(files(__name__).joinpath("default.toml").read_text(encoding="utf-8"))


def rules_from(text: str) -> tuple[Rule, ...]:
    """Return the rules a TOML text describes. Raises BadInput with the field named."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"This is not TOML: {error}.", code="bad_rule") from error
    unknown = sorted(set(tables) - {"rule"})
    if unknown:
        raise BadInput(f"Only [[rule]] tables are expected, not {unknown[0]}.", code="bad_rule", field=unknown[0])
    entries = tables.get("rule", [])
    if not isinstance(entries, list):
        raise BadInput("Rules are written as [[rule]] tables.", code="bad_rule", field="rule")
    return tuple(_rule(entry) for entry in entries)


def _rule(entry: dict[str, Any]) -> Rule:
    for key, found in entry.items():
        allowed = _PLAIN.get(key)
        if allowed is None:
            raise BadInput(f"A rule has no field {key}.", code="bad_rule", field=key)
        if not isinstance(found, allowed) or (isinstance(found, bool) and bool not in allowed):
            raise BadInput(f"The field {key} has a value of the wrong kind.", code="bad_rule", field=key)
    for key in ("id", "name", "kind"):
        if key not in entry:
            raise BadInput(f"A rule needs {key}.", code="bad_rule", field=key)
    if entry["kind"] not in list(RuleKind):
        kinds = ", ".join(RuleKind)
        raise BadInput(f"A rule's kind is one of {kinds}.", code="bad_rule", field="kind")
    longest = entry.get("max_lifetime_days")
    rule = Rule(
        id=RuleId(entry["id"]),
        name=entry["name"],
        kind=RuleKind(entry["kind"]),
        channels=frozenset(ChannelId(str(c)) for c in entry["channels"]) if "channels" in entry else None,
        budget=ByteCount(entry["budget"]) if "budget" in entry else None,
        budget_share=entry.get("budget_share"),
        min_lifetime=_days(entry.get("min_lifetime_days", 0), "min_lifetime"),
        max_lifetime=None if longest is None else _days(longest, "max_lifetime"),
        max_height=entry.get("max_height"),
        min_views=entry.get("min_views"),
        weight=float(entry.get("weight", 1.0)),
        paused=entry.get("paused", False),
    )
    check(rule)
    return rule


def _days(count: float, field: str) -> timedelta:
    if not 0 <= count <= LONGEST.days:
        raise BadInput("A lifetime is between 0 and 36,500 days.", code="bad_rule", field=field)
    return timedelta(days=count)
