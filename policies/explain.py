"""Reasons as sentences that a person would say: this module writes them, from the numbers a reason carries."""

from collections.abc import Callable, Mapping
from datetime import date, datetime

from appliance.domain.plan import Decision, Reason, ReasonCode, RuleKind, Verdict

Facts = Mapping[str, str | int | float]

_WORDS = {
    Verdict.KEEP: "kept",
    Verdict.PIN: "wanted",
    Verdict.RELEASE: "going",
    Verdict.LEAVE: "skipped",
}
_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)


def verdict_word(verdict: Verdict) -> str:
    """Return the word a verdict is shown by: kept, wanted, going, skipped."""
    return _WORDS[verdict]


def explain(decision: Decision) -> str:
    """Return all reasons of a decision as one paragraph."""
    return " ".join(sentence(reason) for reason in decision.reasons)


def sentence(reason: Reason) -> str:
    """Return one reason as one sentence. A fact that is missing is left out, never an error."""
    return _SENTENCES[reason.code](reason.facts)


def human_size(count: float) -> str:
    """Return bytes in the largest decimal unit that leaves at least 1, as disks are sold: ``1.2 GB``."""
    size = max(0.0, float(count))
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < (1000 if unit == "bytes" else 999.5):
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 9.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.0f} TB" if size >= 9.95 else f"{size:.1f} TB"


def human_date(text: str | float) -> str:
    """Return an RFC 3339 time or ISO date as ``3 March 2026``; what is neither, as it is."""
    try:
        day = date.fromisoformat(str(text)) if len(str(text)) == 10 else datetime.fromisoformat(str(text)).date()
    except ValueError:
        return str(text)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def human_span(seconds: float) -> str:
    """Return a length of time in its largest whole unit, one decimal below ten: ``45 minutes``, ``1.5 days``."""
    unit, length = next(((name, size) for name, size in _UNITS if seconds >= size), ("second", 1))
    number = seconds / length
    text = f"{number:,.0f}" if number >= 10 else f"{number:.1f}".removesuffix(".0")
    return _count(text, unit, f"{unit}s")


def _rule(facts: Facts) -> str:
    return f"“{facts['rule']}”" if "rule" in facts else "The rule"


def _whole(facts: Facts, name: str) -> str:
    return f"{round(float(facts.get(name, 0))):,}"


def _plain(number: float) -> str:
    """Return a number to three digits, without an exponent: ``0.25``, ``12``, ``1,234``."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number >= 0.01 or number == 0 else "less than 0.01"


def _count(number: str, one: str, many: str) -> str:
    return f"{number} {one if number == '1' else many}"


def _chosen(facts: Facts) -> str:
    place = f"{_rule(facts)} has it as number {_whole(facts, 'rank')} of {_whole(facts, 'of')}"
    match facts.get("kind"):
        case RuleKind.RECENT:
            return f"{place}: published on {human_date(facts.get('published', '?'))}."
        case RuleKind.MOST_VIEWED:
            return f"{place}: {_count(_whole(facts, 'views'), 'view', 'views')} so far."
        case RuleKind.TRENDING:
            rate = _plain(float(facts.get("value", 0)))
            return f"{place}: about {_count(rate, 'view', 'views')} a day now."
        case RuleKind.EVERYTHING:
            return f"{_rule(facts)} keeps every video that it looks at."
        case RuleKind.LAST_N:
            return f"{place}: one of the last of its channel, published on {human_date(facts.get('published', '?'))}."
        case _:
            return f"{place}."


def _outranked(facts: Facts) -> str:
    return (
        f"{_rule(facts)} has it as number {_whole(facts, 'rank')} of {_whole(facts, 'of')}, and better ones leave no "
        f"room for its {_size(facts)} in the {_size(facts, 'budget')} that the rule may use."
    )


def _size(facts: Facts, name: str = "bytes") -> str:
    return human_size(float(facts.get(name, 0)))


def _too_old(facts: Facts) -> str:
    limit = _plain(float(facts.get("days", 0)))
    since = human_date(facts.get("since", "?"))
    return f"{_rule(facts)} lets videos go {_count(limit, 'day', 'days')} after they are published: here on {since}."


def _too_few_views(facts: Facts) -> str:
    wanted = _count(_whole(facts, "min_views"), "view", "views")
    return f"{_rule(facts)} asks for at least {wanted}, and it has {_whole(facts, 'views')}."


def _filtered(facts: Facts) -> str:
    rule, name, found = _rule(facts), str(facts.get("filter", "")), facts.get("found", "")
    match name:
        case "include":
            return f"{rule} wants {facts.get('wanted', 'something else')} in the title, which this one has not."
        case "exclude":
            return f"{rule} leaves out titles with “{found}”, as this one has."
        case "nsfw":
            return f"{rule} takes {'only' if facts.get('wanted') else 'no'} videos marked as sensitive."
        case "languages" | "categories" | "tags":
            return _labelled(rule, name, str(facts.get("wanted", "?")), str(found))
        case "min_age":
            age, least = _span(facts, "found"), _span(facts, "limit")
            return f"{rule} waits until a video is {least} old, and it is {age} old."
        case _:
            return _measured(rule, name, facts)


_LABELS = {"languages": ("language", "in"), "categories": ("category", "under"), "tags": ("tag", "tagged")}


def _labelled(rule: str, name: str, wanted: str, found: str) -> str:
    label, preposition = _LABELS[name]
    have = f"this one is {preposition} {found}" if found else f"of this one no {label} is known"
    return f"{rule} takes only videos {preposition} {wanted}, and {have}."


def _measured(rule: str, name: str, facts: Facts) -> str:
    bound, _, what = name.partition("_")
    most = "at most" if bound == "max" else "at least"
    limit, found = float(facts.get("limit", 0)), float(facts.get("found", 0))
    match what:
        case "age":
            age, limit_age = _span(facts, "found"), _span(facts, "limit")
            return f"{rule} takes videos that are {most} {limit_age} old, and it is {age} old."
        case "duration":
            return f"{rule} takes videos of {most} {_span(facts, 'limit')}, and it lasts {_span(facts, 'found')}."
        case "size":
            about = "about " if facts.get("estimated") else ""
            return f"{rule} takes videos of {most} {human_size(limit)}, and it has {about}{human_size(found)}."
        case "views":
            return f"{rule} takes videos of {most} {_count(f'{limit:,.0f}', 'view', 'views')}, and it has {found:,.0f}."
        case _:
            return f"{rule} has a filter that it does not pass."


def _span(facts: Facts, name: str) -> str:
    return human_span(float(facts.get(name, 0)))


def _not_needed(facts: Facts) -> str:
    wanted, found = _whole(facts, "keep_below"), _whole(facts, "copies")
    most = f"fewer than {wanted} checked copies are" if wanted != "1" else "no checked copy is"
    now = f"there {'is' if found == '1' else 'are'} {found}"
    return f"{_rule(facts)} keeps a video only while {most} elsewhere, and {now}."


def _last_copy(facts: Facts) -> str:
    asked = f" (asked on {human_date(facts['asked'])})" if "asked" in facts else ""
    return f"Ours is the last copy known{asked}, so it stays until you let it go."


def _hidden(facts: Facts) -> str:
    if facts.get("upstream") == "gone":
        return "Its origin has removed it, and we had not kept it."
    return "Its origin shows it only to some people, and we had not kept it."


def _gone_kept(facts: Facts) -> str:
    what = "has removed it" if facts.get("upstream") == "gone" else "no longer shows it to everyone"
    return f"Its origin {what}, so our copy stays."


def _no_rendition(facts: Facts) -> str:
    height = facts.get("max_height", 0)
    if height:
        return f"{_rule(facts)} wants at most {height}p, and its origin has it in nothing that small."
    return "Its origin offers no file that could be kept."


def _no_space(facts: Facts) -> str:
    return (
        f"The disk has no room for its {_size(facts)}: {_size(facts, 'left')} are left for it above the free "
        "space that is never used."
    )


_SENTENCES: dict[ReasonCode, Callable[[Facts], str]] = {
    ReasonCode.HAND_PIN: lambda _: "You pinned it by hand.",
    ReasonCode.NEVER: lambda _: "You said that it should never be kept.",
    ReasonCode.CHOSEN: _chosen,
    ReasonCode.MIN_LIFETIME: lambda facts: (
        f"It stays until {human_date(facts.get('until', '?'))}, the shortest time that {_rule(facts)} keeps a video."
    ),
    ReasonCode.WATCHED_NOW: lambda _: "Someone is watching it now.",
    ReasonCode.OUTRANKED: _outranked,
    ReasonCode.TOO_LARGE: lambda facts: (
        f"It takes {_size(facts)}, more than the {_size(facts, 'budget')} that {_rule(facts)} may use altogether."
    ),
    ReasonCode.NO_SPACE: _no_space,
    ReasonCode.NO_RULE: lambda _: "No rule asks for it.",
    ReasonCode.TOO_OLD: _too_old,
    ReasonCode.TOO_FEW_VIEWS: _too_few_views,
    ReasonCode.FILTERED: _filtered,
    ReasonCode.NOT_NEEDED: _not_needed,
    ReasonCode.LIVE: lambda _: "It is a live stream, and those are left alone for now.",
    ReasonCode.PROCESSING: lambda _: "Its origin is still preparing it.",
    ReasonCode.HIDDEN: _hidden,
    ReasonCode.GONE_KEPT: _gone_kept,
    ReasonCode.GONE_RELEASED: lambda _: (
        "Its origin no longer shows it, and its channel's setting is to let such videos go."
    ),
    ReasonCode.LAST_COPY: _last_copy,
    ReasonCode.ORIGIN_DOWN: lambda facts: (
        f"Its origin has not answered since {human_date(facts.get('since', '?'))}, so our copy stays."
    ),
    ReasonCode.NO_RENDITION: _no_rendition,
    ReasonCode.ESTIMATED: lambda _: "Its size is an estimate, because its origin was not asked for details yet.",
}
