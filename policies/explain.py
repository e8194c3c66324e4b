"""Reasons as sentences that a person would say: this module writes them, from the numbers a reason carries."""

from collections.abc import Callable

from appliance.domain.plan import Decision, Reason, ReasonCode, RuleKind, Verdict
from policies.changes import would_help
from policies.filter_words import filtered
from policies.wording import Facts, counted, human_date, human_size, human_span, plain, rule_of, whole

__all__ = ["explain", "human_date", "human_size", "human_span", "sentence", "verdict_word"]

_WORDS = {
    Verdict.KEEP: "kept",
    Verdict.PIN: "wanted",
    Verdict.RELEASE: "going",
    Verdict.LEAVE: "skipped",
}


def verdict_word(verdict: Verdict) -> str:
    """Return the word a verdict is shown by: kept, wanted, going, skipped."""
    return _WORDS[verdict]


def explain(decision: Decision) -> str:
    """Return all reasons of a decision as one paragraph."""
    return " ".join(sentence(reason) for reason in decision.reasons)


def sentence(reason: Reason) -> str:
    """Return one reason as one sentence. A fact that is missing is left out, never an error."""
    return _SENTENCES[reason.code](reason.facts)


def _chosen(facts: Facts) -> str:
    place = f"{rule_of(facts)} has it as number {whole(facts, 'rank')} of {whole(facts, 'of')}"
    match facts.get("kind"):
        case RuleKind.RECENT:
            return f"{place}: published on {human_date(facts.get('published', '?'))}."
        case RuleKind.MOST_VIEWED:
            return f"{place}: {counted(whole(facts, 'views'), 'view', 'views')} so far."
        case RuleKind.TRENDING:
            rate = counted(plain(float(facts.get("value", 0))), "view", "views")
            if facts.get("views") == 0:
                return f"{place}: nobody has watched it yet, but about {rate} a day are to be expected."
            return f"{place}: about {rate} a day now."
        case RuleKind.EVERYTHING:
            return f"{rule_of(facts)} keeps every video that it looks at."
        case RuleKind.RARE_FIRST:
            return f"{place}: {_elsewhere(facts)}."
        case RuleKind.LAST_N:
            return f"{place}: one of the last of its channel, published on {human_date(facts.get('published', '?'))}."
        case _:
            return f"{place}."


def _elsewhere(facts: Facts) -> str:
    verified = whole(facts, "verified")
    match whole(facts, "copies"):
        case _ if "copies" not in facts:
            return "how many others have it is not known"
        case "0":
            return "nobody else is known to have it"
        case "1":
            return f"one copy is known elsewhere, {'not ' if verified == '0' else ''}checked lately"
        case found:
            checked = "none" if verified == "0" else verified
            return f"{found} copies are known elsewhere, {checked} of them checked lately"


def _outranked(facts: Facts) -> str:
    return (
        f"{rule_of(facts)} has it as number {whole(facts, 'rank')} of {whole(facts, 'of')}, and better ones leave no "
        f"room for its {_size(facts)} in the {_size(facts, 'budget')} that the rule may use."
    )


def _size(facts: Facts, name: str = "bytes") -> str:
    return human_size(float(facts.get(name, 0)))


def _too_old(facts: Facts) -> str:
    limit = plain(float(facts.get("days", 0)))
    since = human_date(facts.get("since", "?"))
    return f"{rule_of(facts)} lets videos go {counted(limit, 'day', 'days')} after they are published: here on {since}."


def _too_few_views(facts: Facts) -> str:
    wanted = counted(whole(facts, "min_views"), "view", "views")
    return f"{rule_of(facts)} asks for at least {wanted}, and it has {whole(facts, 'views')}."


def _not_needed(facts: Facts) -> str:
    wanted, found = whole(facts, "keep_below"), whole(facts, "copies")
    most = f"fewer than {wanted} checked copies are" if wanted != "1" else "no checked copy is"
    now = f"there {'is' if found == '1' else 'are'} {found}"
    return f"{rule_of(facts)} keeps a video only while {most} elsewhere, and {now}."


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
        return f"{rule_of(facts)} wants at most {height}p, and its origin has it in nothing that small."
    return "Its origin offers no file that could be kept."


def _no_space(facts: Facts) -> str:
    return (
        f"The disk has no room for its {_size(facts)}: {_size(facts, 'left')} are left for it above the free "
        "space that is never used."
    )


def _channel_full(facts: Facts) -> str:
    return (
        f"{rule_of(facts)} may use {_size(facts, 'budget')} for each channel, and better ones of its channel fill that."
    )


def _enough(facts: Facts) -> str:
    what = "newest" if facts.get("last") else "best"
    many = whole(facts, "most")
    where = " of each channel" if facts.get("each") == "channel" else ""
    return f"{rule_of(facts)} keeps only the {many} {what}{where}, and it is not one of them."


def _near_tie(facts: Facts) -> str:
    return (
        f"{rule_of(facts)} has it as number {whole(facts, 'rank')} of {whole(facts, 'of')}, but it is not so much "
        "better than what is kept already that fetching it would pay."
    )


def _no_data(facts: Facts) -> str:
    until = f" until {human_date(facts['until'])}" if "until" in facts else ""
    return f"It takes {_size(facts)} to fetch, and {_size(facts, 'left')} may still be fetched{until}."


def _last_copy_over(facts: Facts) -> str:
    whose = f"the budget of {rule_of(facts)}" if "rule" in facts else "the room there is"
    return f"It passes {whose} by staying, so you are asked whether it may go."


def _needs_budget(facts: Facts) -> str:
    what = "for its channel" if facts.get("channel") else "to use"
    return f"It would be kept if {rule_of(facts)} had {_size(facts, 'more')} more {what}."


def _needs_data(facts: Facts) -> str:
    if "until" in facts:
        return f"It can be fetched from {human_date(facts['until'])} on."
    return "It can be fetched when the download budget allows it."


_SENTENCES: dict[ReasonCode, Callable[[Facts], str]] = {
    ReasonCode.HAND_PIN: lambda _: "You pinned it by hand.",
    ReasonCode.NEVER: lambda _: "You said that it should never be kept.",
    ReasonCode.CHOSEN: _chosen,
    ReasonCode.MIN_LIFETIME: lambda facts: (
        f"It stays until {human_date(facts.get('until', '?'))}, the shortest time that {rule_of(facts)} keeps a video."
    ),
    ReasonCode.WATCHED_NOW: lambda _: "Someone is watching it now.",
    ReasonCode.OUTRANKED: _outranked,
    ReasonCode.TOO_LARGE: lambda facts: (
        f"It takes {_size(facts)}, more than the {_size(facts, 'budget')} that {rule_of(facts)} may use altogether."
    ),
    ReasonCode.NO_SPACE: _no_space,
    ReasonCode.NO_RULE: lambda _: "No rule asks for it.",
    ReasonCode.TOO_OLD: _too_old,
    ReasonCode.TOO_FEW_VIEWS: _too_few_views,
    ReasonCode.FILTERED: filtered,
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
    ReasonCode.CHANNEL_FULL: _channel_full,
    ReasonCode.ENOUGH: _enough,
    ReasonCode.NEAR_TIE: _near_tie,
    ReasonCode.NO_DATA: _no_data,
    ReasonCode.NO_ROOM_NOW: lambda facts: (
        f"The {_size(facts)} that it lacks wait for room on the disk, of which somebody else took some lately."
    ),
    ReasonCode.ALSO: lambda facts: (
        f"{rule_of(facts)} wants it too: it is kept once, and “{facts.get('payer', 'another rule')}” pays."
    ),
    ReasonCode.LAST_COPY_OVER: _last_copy_over,
    ReasonCode.NEEDS_BUDGET: _needs_budget,
    ReasonCode.NEEDS_RULE: lambda facts: f"It could be kept if {would_help(facts)}.",
    ReasonCode.NEEDS_SPACE: lambda facts: f"It would be kept if {_size(facts, 'more')} more were free.",
    ReasonCode.NEEDS_DATA: _needs_data,
    ReasonCode.NEEDS_LEAD: lambda facts: (
        f"It would be kept if it were better by more than {whole(facts, 'margin')} % than what {rule_of(facts)} keeps."
    ),
}
