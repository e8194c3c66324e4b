"""Which videos a rule looks at and takes, which patterns match, and which rules are refused."""

import math
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.plan import (
    Candidate,
    Copies,
    Filters,
    Reason,
    ReasonCode,
    Rule,
    RuleKind,
    Verdict,
)
from appliance.domain.units import ByteCount, RuleId
from appliance.domain.video import RenditionKind
from appliance.errors import BadInput
from policies import plan
from policies.changes import SAID, remedy
from policies.explain import human_span, sentence
from policies.renditions import chosen
from policies.rules import check, in_scope, not_needed, refusal, size_refusal
from policies.titles import LONGEST_TITLE, folded, matches
from tests.policies.worlds import FILMS, MB, NEWS, NOW, STEADY, candidate, held, recent, rendition, world


@pytest.mark.parametrize(
    ("pattern", "title", "found"),
    [
        ("news", "Evening NEWS: today", True),
        ("news", "newspaper", False),
        ("foot*", "Football cup", True),
        ("foot*", "barefoot", False),
        ("*foot", "a barefoot walk", True),
        ("*cast*", "broadcasting", True),
        ("part * of", "Part 3 of 4", True),
        ("part * of", "part 3 offers", False),
        ("part*of*", "apart 3 offers", False),
        ("two words", "these two   words here", True),
        ("two words", "two other words", False),
        ("straße", "STRASSE 9", True),
        ("café", "cafe\u0301 noir", True),
        ("新闻", "今日新闻联播", True),
        ("c++", "C++ in an hour", True),
        ("*", "whatever", True),
        ("a*a", "a", False),
        ("aba*ba", "ababa", True),
        ("aba*aba", "ababa", False),
    ],
)
def test_a_pattern_is_words_at_their_edges_and_stars(pattern: str, title: str, found: bool) -> None:
    assert matches(pattern, folded(title)) is found


def _slow_match(pattern: str, title: str) -> bool:
    """The same by trying everything, for stars at both ends, where edges of words do not matter."""
    if not pattern:
        return not title
    if pattern[0] == "*":
        return any(_slow_match(pattern[1:], title[n:]) for n in range(len(title) + 1))
    return title[:1] == pattern[0] and _slow_match(pattern[1:], title[1:])


@STEADY
@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_globs_match_what_trying_everything_matches(middle: str, title: str) -> None:
    pattern = f"*{middle}*"
    assert matches(pattern, title) == _slow_match(pattern, title)


HOSTILE = (
    "*".join("a" * 100),
    "*a" * 99 + "*b",
    "*" * 200,
    "a" * 199 + "*b",
    "a" * 200,
    "*" + "a" * 198 + "b",
    "*" + "ab" * 99,
    "* " * 99 + "b",
)


@pytest.mark.parametrize("pattern", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("piece", ["a", "ab", "a ", "aab"])
def test_no_pattern_makes_a_title_of_ten_thousand_characters_expensive(pattern: str, piece: str) -> None:
    title = (piece * LONGEST_TITLE)[:LONGEST_TITLE]
    matches(pattern, title)
    before = time.process_time()
    matches(pattern, title)
    assert time.process_time() - before < 0.25


def test_time_grows_with_the_title_and_not_faster() -> None:
    def spent(length: int) -> float:
        times = []
        for _ in range(5):
            before = time.process_time()
            for pattern in HOSTILE:
                matches(pattern, "a" * length)
            times.append(time.process_time() - before)
        return min(times)

    spent(100)
    assert spent(LONGEST_TITLE) < 4 * spent(LONGEST_TITLE // 4) * 3


def test_a_rule_looks_at_channels_and_at_tags_and_at_both_where_both_are_named() -> None:
    video = replace(candidate("a"), tags=frozenset({"bread"}))
    assert in_scope(recent(), video)
    assert in_scope(recent(tags=frozenset({"Bread", "cake"})), video)
    assert not in_scope(recent(tags=frozenset({"cake"})), video)
    assert in_scope(recent(channels=frozenset({NEWS}), tags=frozenset({"bread"})), video)
    assert not in_scope(recent(channels=frozenset({FILMS}), tags=frozenset({"bread"})), video)


_BASE = replace(candidate("Harbour at dawn", days=10, views=50, duration=300), language="en", category="Travel")

_PASSING_AND_FAILING: list[tuple[str, Filters, Filters]] = [
    ("min_views", Filters(min_views=50), Filters(min_views=51)),
    ("max_views", Filters(max_views=50), Filters(max_views=49)),
    ("min_age", Filters(min_age=timedelta(days=10)), Filters(min_age=timedelta(days=10, seconds=1))),
    ("max_age", Filters(max_age=timedelta(days=10)), Filters(max_age=timedelta(days=9))),
    ("min_duration", Filters(min_duration=timedelta(minutes=5)), Filters(min_duration=timedelta(minutes=6))),
    ("max_duration", Filters(max_duration=timedelta(minutes=5)), Filters(max_duration=timedelta(minutes=4))),
    ("min_size", Filters(min_size=ByteCount(100 * MB)), Filters(min_size=ByteCount(100 * MB + 1))),
    ("max_size", Filters(max_size=ByteCount(100 * MB)), Filters(max_size=ByteCount(100 * MB - 1))),
    ("languages", Filters(languages=frozenset({"EN", "fr"})), Filters(languages=frozenset({"fr"}))),
    ("categories", Filters(categories=frozenset({"travel"})), Filters(categories=frozenset({"Music"}))),
    ("tags", Filters(tags=frozenset({"Sea", "sky"})), Filters(tags=frozenset({"sky"}))),
    ("nsfw", Filters(nsfw=False), Filters(nsfw=True)),
    ("include", Filters(include=("sunset", "dawn")), Filters(include=("sunset", "dawning"))),
    ("exclude", Filters(exclude=("har", "*dusk*")), Filters(exclude=("dusk", "HARB*"))),
]


@pytest.mark.parametrize(
    ("name", "passing", "failing"), _PASSING_AND_FAILING, ids=lambda v: v if type(v) is str else ""
)
def test_each_filter_takes_what_is_at_its_end_and_names_itself_where_it_refuses(
    name: str, passing: Filters, failing: Filters
) -> None:
    video = replace(_BASE, tags=frozenset({"sea"}))

    def asked(filters: Filters) -> Reason | None:
        rule = recent(filters=filters)
        check(rule)
        return refusal(rule, video, NOW) or size_refusal(rule, 100 * MB, estimated=False)

    assert asked(passing) is None
    refused = asked(failing)
    assert refused is not None
    assert refused.facts["filter"] == name
    assert refused.code is (ReasonCode.TOO_FEW_VIEWS if name == "min_views" else ReasonCode.FILTERED)
    assert "Recent" in sentence(refused)
    change = remedy(refused)
    assert change is not None
    assert "asked for less" not in sentence(change)


def test_what_is_not_known_of_a_video_is_not_what_was_asked_for() -> None:
    unsaid = replace(_BASE, language=None, category=None)
    for filters in (
        Filters(languages=frozenset({"en"})),
        Filters(categories=frozenset({"Travel"})),
        Filters(tags=frozenset({"x"})),
    ):
        assert refusal(recent(filters=filters), unsaid, NOW) is not None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"kind": "best"}, "kind"),
        ({"channels": frozenset()}, "channels"),
        ({"tags": frozenset()}, "tags"),
        ({"tags": frozenset({" "})}, "tags"),
        ({"budget": -1}, "budget"),
        ({"budget": 0}, "budget"),
        ({"budget": 2**60}, "budget"),
        ({"channel_budget": 0}, "channel_budget"),
        ({"budget_share": 0.0}, "budget_share"),
        ({"budget_share": 1.5}, "budget_share"),
        ({"budget_share": math.nan}, "budget_share"),
        ({"most": 0}, "most"),
        ({"per_channel": 0}, "per_channel"),
        ({"keep_below": 0}, "keep_below"),
        ({"seed_below": -1}, "seed_below"),
        ({"weight": 0.0}, "weight"),
        ({"weight": math.nan}, "weight"),
        ({"weight": math.inf}, "weight"),
        ({"ratio": math.inf}, "ratio"),
        ({"ratio": -1.0}, "ratio"),
        ({"max_height": -1}, "max_height"),
        ({"max_height": 0}, "max_height"),
        ({"min_lifetime": timedelta(days=-1)}, "min_lifetime"),
        ({"max_lifetime": timedelta(0)}, "max_lifetime"),
        ({"min_lifetime": timedelta(days=3), "max_lifetime": timedelta(days=2)}, "max_lifetime"),
        ({"half_life": timedelta(0)}, "half_life"),
        ({"kind": RuleKind.LAST_N}, "per_channel"),
        ({"smallest": True, "max_height": 480}, "smallest"),
        ({"filters": Filters(min_views=-1)}, "filters.min_views"),
        ({"filters": Filters(min_views=5, max_views=4)}, "filters.max_views"),
        ({"filters": Filters(min_age=timedelta(days=2), max_age=timedelta(days=1))}, "filters.max_age"),
        ({"filters": Filters(max_duration=timedelta(seconds=-1))}, "filters.max_duration"),
        ({"filters": Filters(min_size=ByteCount(2), max_size=ByteCount(1))}, "filters.max_size"),
        ({"filters": Filters(languages=frozenset({""}))}, "filters.languages"),
        ({"filters": Filters(include=("* *",))}, "filters.include"),
        ({"filters": Filters(exclude=("x" * 201,))}, "filters.exclude"),
        ({"filters": Filters(exclude=("x",) * 101)}, "filters.exclude"),
        ({"filters": Filters(include=("News", "sport"), exclude=("news",))}, "filters.exclude"),
        ({"filters": Filters(include=("daily news",), exclude=("new*",))}, "filters.exclude"),
        ({"filters": Filters(include=("*a*",), exclude=("*A*",))}, "filters.exclude"),
        (
            {"filters": Filters(min_age=timedelta(days=30)), "max_lifetime": timedelta(days=30)},
            "filters.min_age",
        ),
        ({"filters": Filters(min_size=ByteCount(10)), "budget": ByteCount(9)}, "filters.min_size"),
        ({"filters": Filters(min_size=ByteCount(10)), "channel_budget": ByteCount(9)}, "filters.min_size"),
    ],
    ids=str,
)
def test_a_rule_that_cannot_mean_anything_is_refused_with_its_field_named(
    changes: dict[str, object], field: str
) -> None:
    check(recent())
    with pytest.raises(BadInput) as refused:
        check(recent(**changes))
    assert (refused.value.field, refused.value.code) == (field, "bad_rule")
    assert refused.value.message.endswith(".")


def test_a_kind_from_elsewhere_is_known_where_its_name_is_given() -> None:
    rule = recent(kind="moonphase")
    check(rule, kinds={"recent", "moonphase"})
    with pytest.raises(BadInput, match="one of"):
        check(rule)


def _with_copies(verified: int, live: int | None = 5) -> Candidate:
    return replace(candidate("a"), copies=Copies(live, verified))


def test_a_rule_that_keeps_below_k_copies_wants_less_and_lets_go_of_more() -> None:
    rule = recent(keep_below=3)
    assert not_needed(rule, _with_copies(2)) is None
    assert not_needed(rule, _with_copies(3)) is not None
    assert not_needed(rule, held(_with_copies(3))) is None
    assert not_needed(rule, held(_with_copies(4))) is not None
    assert not_needed(rule, _with_copies(0, live=None)) is None
    assert not_needed(recent(), _with_copies(99)) is None


def test_a_number_of_copies_that_swings_by_one_neither_fetches_nor_releases() -> None:
    rule = recent(keep_below=2)
    for first in (candidate("a"), held(candidate("a"), rule="recent")):
        verdicts = set()
        for verified in (2, 1, 2, 1) if first.held else (2, 3, 2, 3):
            video = replace(first, copies=Copies(verified, verified))
            verdicts |= {d.verdict for d in plan(world(video), [rule], NOW).decisions}
        assert verdicts == ({Verdict.KEEP} if first.held else {Verdict.LEAVE})


def test_the_smallest_rendition_has_picture_and_the_sound_it_needs() -> None:
    split = (
        rendition(1080, 300, audio=False),
        rendition(240, 50, audio=False),
        rendition(360, 55),
        rendition(0, 10, video=False),
    )
    assert [r.name for r in chosen(split, None, web_videos=False, smallest=True)] == ["360p"]
    assert [r.name for r in chosen(split[:2] + split[3:], None, web_videos=False, smallest=True)] == ["240p", "audio"]
    web = (rendition(480, 90, kind=RenditionKind.WEB), rendition(240, 40, kind=RenditionKind.WEB))
    assert [r.name for r in chosen(web, None, web_videos=False, smallest=True)] == ["240p-web"]
    assert [r.name for r in chosen((*web, split[2]), None, web_videos=True, smallest=True)] == ["360p", "240p-web"]
    assert [r.name for r in chosen((split[3],), None, web_videos=False, smallest=True)] == ["audio"]


def test_where_a_size_is_unknown_the_lowest_picture_is_the_smallest() -> None:
    unsized = (rendition(1080, 0), rendition(480, 70), rendition(240, 0))
    assert [r.name for r in chosen(unsized, None, web_videos=False, smallest=True)] == ["240p"]


def test_whatever_a_rule_refuses_it_is_said_what_would_undo_that() -> None:
    facts: dict[str, str | int | float] = {
        "rule": "X",
        "keep_below": 2,
        "max_height": 480,
        "most": 1,
        "days": 30.0,
        "age": 41.2,
    }
    for code in ReasonCode:
        for given_facts in ({}, facts):
            change = remedy(Reason(code, given_facts))
            assert (change is not None) == (code in SAID)
            if change is not None:
                assert sentence(change).startswith("It could be kept if ")
    change = remedy(Reason(ReasonCode.TOO_OLD, facts))
    assert change is not None
    assert sentence(change) == "It could be kept if “X” kept videos for 41 days."


def test_lengths_of_time_read_as_people_say_them() -> None:
    spans = [0, 1, 45, 60, 90, 3600, 5400, 86_400, 129_600, 40 * 86_400]
    read = ["0 seconds", "1 second", "45 seconds", "1 minute", "1.5 minutes", "1 hour", "1.5 hours", "1 day"]
    assert [human_span(span) for span in spans] == [*read, "1.5 days", "40 days"]


def test_a_hundred_thousand_videos_pass_every_filter_within_two_seconds() -> None:
    video = replace(_BASE, tags=frozenset({"sea"}))
    rule = Rule(
        RuleId("r"),
        "R",
        RuleKind.RECENT,
        tags=frozenset({"Sea"}),
        filters=Filters(
            min_views=1,
            max_age=timedelta(days=99),
            max_duration=timedelta(hours=9),
            languages=frozenset({"en"}),
            nsfw=False,
            include=("harbour", "*x*"),
            exclude=("dusk", "night*"),
        ),
    )
    before = time.process_time()
    for _ in range(100_000):
        assert in_scope(rule, video)
        assert refusal(rule, video, NOW) is None
    assert time.process_time() - before < 4
