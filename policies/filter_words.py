"""What a filter asked and what it found, as a sentence: this module writes it, for every filter there is."""

from policies.wording import Facts, counted, human_size, human_span, rule_of


def filtered(facts: Facts) -> str:
    """Return why a filter refused a video, from the facts of ``FILTERED``."""
    rule, name, found = rule_of(facts), str(facts.get("filter", "")), facts.get("found", "")
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
            return (
                f"{rule} takes videos of {most} {counted(f'{limit:,.0f}', 'view', 'views')}, and it has {found:,.0f}."
            )
        case _:
            return f"{rule} has a filter that it does not pass."


def _span(facts: Facts, name: str) -> str:
    return human_span(float(facts.get(name, 0)))
