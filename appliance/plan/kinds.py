"""Rule kinds from other packages: the entry points of the group ``seedkeep.rule_kinds``.

An entry point's name is the kind's, its object a function ``(rule, video, now) -> float`` that answers the worth of one
byte of the video to the rule (``policies.worth.Ranking``): pure, the same for the same arguments, from 0 up. One that
cannot be loaded, is no function, has no usable name or takes the name of a kind that is built in is named in the log
and left out; one that fails later ranks nothing. This module loads them.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from policies.worth import BUILT_IN, Ranking

GROUP = "seedkeep.rule_kinds"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

_log = logging.getLogger(__name__)


def every() -> Mapping[str, Ranking]:
    """Return all rule kinds, those built in and those of packages installed beside; reads the disk."""
    return kinds(entry_points(group=GROUP))


def kinds(offered: Iterable[EntryPoint]) -> Mapping[str, Ranking]:
    """Return the kinds built in and those offered, of two of the same name the one whose package sorts first."""
    found: dict[str, Ranking] = dict(BUILT_IN)
    for point in sorted(offered, key=lambda point: (point.name, point.value)):
        ranking = None if _unusable(point, found) else _loaded(point)
        if ranking is not None:
            found[point.name] = ranking
    return MappingProxyType(found)


def _unusable(point: EntryPoint, taken: Mapping[str, Ranking]) -> bool:
    if point.name in taken:
        _log.warning("rule kind %r of %s is left out: there is one of that name already", point.name, point.value)
        return True
    if _NAME.fullmatch(point.name) is None:
        _log.warning("rule kind %r of %s is left out: a name is a to z, 0 to 9 and _", point.name, point.value)
        return True
    return False


def _loaded(point: EntryPoint) -> Ranking | None:
    try:
        ranking = point.load()
    except Exception as error:  # noqa: BLE001 - what a foreign package does when imported is not ours to know
        _log.warning("rule kind %r of %s is left out: it cannot be loaded (%r)", point.name, point.value, error)
        return None
    if not callable(ranking):
        _log.warning("rule kind %r of %s is left out: it is not a function", point.name, point.value)
        return None
    made: Ranking = ranking
    return made
