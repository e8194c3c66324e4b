"""What a rule's filters ask of a video: this module says which of them a video does not pass, with its numbers.

All filters must hold, and all are asked of what is held just as of what is not: a video that grew older than a rule's
oldest is no longer chosen by it. What is unknown of a video (its language, its category) is not one of those asked
for. Sizes are those of the renditions that the rule would keep, known or estimated, so they are asked last.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from appliance.domain.plan import Candidate, Filters, Reason, ReasonCode
from policies.titles import first_match, folded

Facts = dict[str, str | int | float]

NOTHING = Filters()
_SHOWN = 5


def refused_by(filters: Filters, rule: str, video: Candidate, now: datetime) -> Reason | None:
    """Return the first filter, save those of size, that the video does not pass; ``rule`` is the rule's name."""
    if filters is NOTHING:
        return None
    facts = _views(filters, video) or _times(filters, video, now) or _labels(filters, video) or _title(filters, video)
    if facts is None:
        return None
    code = ReasonCode.TOO_FEW_VIEWS if facts["filter"] == "min_views" else ReasonCode.FILTERED
    return Reason(code, {"rule": rule, **facts})


def size_refused_by(filters: Filters, rule: str, size: int, *, estimated: bool) -> Reason | None:
    """Return the filter of size that ``size`` bytes do not pass, or None."""
    facts = _outside("size", size, filters.min_size, filters.max_size)
    return None if facts is None else Reason(ReasonCode.FILTERED, {"rule": rule, **facts, "estimated": int(estimated)})


def pattern_at_odds(filters: Filters) -> str | None:
    """Return a pattern to include whose every title is left out again by the patterns to exclude, or None."""
    left_out = {folded(pattern) for pattern in filters.exclude}
    for pattern in filters.include:
        text = folded(pattern)
        if text in left_out or ("*" not in text and first_match(filters.exclude, text) is not None):
            return pattern
    return None


def _views(filters: Filters, video: Candidate) -> Facts | None:
    if filters.min_views is not None and video.views < filters.min_views:
        return {"filter": "min_views", "views": video.views, "min_views": filters.min_views}
    return _outside("views", video.views, None, filters.max_views)


def _times(filters: Filters, video: Candidate, now: datetime) -> Facts | None:
    if filters.min_age is not None or filters.max_age is not None:
        age = max(timedelta(0), now - video.published_at).total_seconds()
        found = _outside("age", age, _seconds(filters.min_age), _seconds(filters.max_age))
        if found is not None:
            return {**found, "published": video.published_at.date().isoformat()}
    if filters.min_duration is None and filters.max_duration is None:
        return None
    return _outside("duration", video.duration, _seconds(filters.min_duration), _seconds(filters.max_duration))


def _labels(filters: Filters, video: Candidate) -> Facts | None:
    if filters.nsfw is not None and filters.nsfw != video.nsfw:
        return {"filter": "nsfw", "wanted": int(filters.nsfw)}
    for name, wanted, found in _asked(filters, video):
        if case_folded(wanted).isdisjoint(label.casefold() for label in found):
            facts: Facts = {"filter": name, "wanted": either(sorted(wanted, key=str.casefold))}
            return {**facts, "found": ", ".join(sorted(found)[:_SHOWN])}
    return None


def _asked(filters: Filters, video: Candidate) -> Iterator[tuple[str, frozenset[str], Collection[str]]]:
    if filters.languages:
        yield "languages", filters.languages, _one(video.language)
    if filters.categories:
        yield "categories", filters.categories, _one(video.category)
    if filters.tags:
        yield "tags", filters.tags, video.tags


def _title(filters: Filters, video: Candidate) -> Facts | None:
    if not filters.include and not filters.exclude:
        return None
    title = folded(video.title)
    if filters.include and first_match(filters.include, title) is None:
        return {"filter": "include", "wanted": either([f"“{pattern}”" for pattern in filters.include])}
    unwanted = first_match(filters.exclude, title)
    return None if unwanted is None else {"filter": "exclude", "found": unwanted}


def _outside(what: str, found: float, least: float | None, most: float | None) -> Facts | None:
    if least is not None and found < least:
        return {"filter": f"min_{what}", "limit": least, "found": found}
    if most is not None and found > most:
        return {"filter": f"max_{what}", "limit": most, "found": found}
    return None


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _one(label: str | None) -> tuple[str, ...]:
    return () if label is None else (label,)


def either(labels: Sequence[str]) -> str:
    """Return labels as a choice, the first few of many: ``a, b or c``."""
    shown = [*labels[:_SHOWN], "others"] if len(labels) > _SHOWN + 1 else list(labels)
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


@lru_cache(maxsize=256)
def case_folded(labels: frozenset[str]) -> frozenset[str]:
    """Return labels as they are compared: case-folded."""
    return frozenset(label.casefold() for label in labels)
