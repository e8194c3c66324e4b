"""Rules to begin with, as files that an owner could have written: this module reads them.

A preset is a file of rules (``policies.rulebook``) with a ``title`` and a ``description`` of one sentence besides. The
files come with the program and are read through the import system, not from the disk of the library. Their rules have
no channels, which means all: who takes a preset for some names those.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from appliance.domain.plan import Rule
from policies.rulebook import parse, rules_of

_OFFERED = ("archive", "news", "rescue", "family")


@dataclass(frozen=True, slots=True)
class Preset:
    """A choice of rules that a newcomer takes with one click. Rule ids are unique in it, not in a household."""

    id: str
    name: str
    description: str
    rules: tuple[Rule, ...]


def default_rules() -> tuple[Rule, ...]:
    """Return the rules in force from the first channel on."""
    return _preset("default").rules


@lru_cache(maxsize=1)
def presets() -> tuple[Preset, ...]:
    """Return all presets in the order in which they are offered, the default first."""
    return tuple(_preset(name) for name in ("default", *_OFFERED))


def _preset(name: str) -> Preset:
    tables = parse(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    title, description = tables.pop("title"), tables.pop("description")
    return Preset(name, title, description, rules_of(tables))
