"""What would have to be otherwise for a video that a rule refuses: this module makes a clause of the refusal.

That would not be enough where something else is in the way too, so the sentence says *could*, not *would*.
``NEEDS_RULE`` carries the facts of the refusal and its code as ``why``; what only bytes or rank are missing for has
codes of its own (``NEEDS_BUDGET``, ``NEEDS_SPACE``, ``NEEDS_DATA``, ``NEEDS_LEAD``).
"""

from collections.abc import Callable

from appliance.domain.plan import Reason, ReasonCode
from policies.wording import Facts, counted, human_size, human_span, whole

SAID = frozenset(
    {
        ReasonCode.ENOUGH,
        ReasonCode.FILTERED,
        ReasonCode.NOT_NEEDED,
        ReasonCode.NO_RENDITION,
        ReasonCode.NO_RULE,
        ReasonCode.TOO_FEW_VIEWS,
        ReasonCode.TOO_OLD,
    }
)
"""Refusals that another rule, or more patience, would undo."""


def remedy(refusal: Reason) -> Reason | None:
    """Return what would undo a refusal as ``Decision.change``, or None where it says so itself or nothing would."""
    if refusal.code not in SAID:
        return None
    return Reason(ReasonCode.NEEDS_RULE, {**refusal.facts, "why": refusal.code.value})


def would_help(facts: Facts) -> str:
    """Return what follows *It could be kept if*; a fact that is missing is left out, never an error."""
    match facts.get("why"):
        case ReasonCode.FILTERED:
            return _filter(facts, str(facts.get("filter", "")))
        case ReasonCode.TOO_FEW_VIEWS:
            missing = float(facts.get("min_views", 0)) - float(facts.get("views", 0))
            return f"it had {counted(f'{missing:,.0f} more', 'view', 'views')}"
        case ReasonCode.TOO_OLD:
            return f"{_rule(facts)} kept videos for {human_span(86_400 * float(facts.get('age', 0)))}"
        case ReasonCode.NOT_NEEDED:
            return f"fewer than {counted(whole(facts, 'keep_below'), 'checked copy', 'checked copies')} were elsewhere"
        case ReasonCode.NO_RENDITION:
            return f"{_rule(facts)} took larger pictures than {whole(facts, 'max_height')}p"
        case ReasonCode.ENOUGH:
            return f"{_rule(facts)} kept more than {counted(whole(facts, 'most'), 'video', 'videos')}"
        case _:
            return "a rule looked at its channel and its tags, or you pinned it"


def _rule(facts: Facts) -> str:
    return f"“{facts['rule']}”" if "rule" in facts else "the rule"


def _filter(facts: Facts, name: str) -> str:
    if name in _OTHERS:
        return f"{_rule(facts)} {_OTHERS[name](facts)}"
    limit, found = (float(facts.get(key, 0)) for key in ("limit", "found"))
    match name.partition("_")[2]:
        case "age" if name == "min_age":
            return f"it were {human_span(limit)} old, which it is in {human_span(limit - found)}"
        case "age":
            return f"{_rule(facts)} took videos that are {human_span(found)} old"
        case "duration":
            return f"{_rule(facts)} took videos of {human_span(found)}"
        case "size":
            return f"{_rule(facts)} took videos of {human_size(found)}"
        case "views":
            return f"{_rule(facts)} took videos of {found:,.0f} views"
        case _:
            return f"{_rule(facts)} asked for less"


_OTHERS: dict[str, Callable[[Facts], str]] = {
    "include": lambda facts: f"asked for other words than {facts.get('wanted', 'these')}",
    "exclude": lambda facts: f"did not leave out “{facts.get('found', '*')}”",
    "nsfw": lambda facts: f"took videos {'not ' if facts.get('wanted') else ''}marked as sensitive",
    "languages": lambda facts: f"took {facts.get('found') or 'videos of no known language'} too",
    "categories": lambda facts: f"took {facts.get('found') or 'videos of no known category'} too",
    "tags": lambda facts: f"asked for other tags than {facts.get('wanted', 'these')}",
}
"""Filter → what the rule would have done instead."""
