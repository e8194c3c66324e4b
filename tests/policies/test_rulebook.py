"""Files of rules: read, written, migrated, refused; and the presets that come as such files."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.plan import Filters, Rule, RuleKind, Watched
from appliance.domain.units import ByteCount, ChannelId, RuleId
from appliance.errors import BadInput
from policies.presets import default_rules, presets
from policies.rulebook import LARGEST, read, write
from policies.rules import LONGEST, check
from tests.policies.worlds import GB, STEADY, recent

_TEXTS = st.text(min_size=1, max_size=30).filter(lambda text: bool(text.strip()))
_LABELS = st.frozensets(_TEXTS, max_size=3)
_SOME = st.frozensets(_TEXTS, min_size=1, max_size=3)
_COUNTS = st.none() | st.integers(1, 2**53 - 1)
_BYTES = st.none() | st.integers(1, 2**53 - 1).map(ByteCount)
_SPANS = st.timedeltas(timedelta(minutes=1), timedelta(days=300))
_PATTERNS = st.lists(st.text("abc* ", max_size=9).map(lambda text: f"{text}x"), max_size=3).map(tuple)
_FILTERS = st.builds(
    Filters,
    min_views=st.none() | st.integers(0, 10**6),
    max_views=st.none() | st.integers(10**6, 2**53 - 1),
    min_age=st.none() | _SPANS,
    max_age=st.none() | st.timedeltas(timedelta(days=300), LONGEST),
    max_duration=st.none() | _SPANS,
    max_size=_BYTES,
    languages=_LABELS,
    categories=_LABELS,
    tags=_LABELS,
    nsfw=st.none() | st.booleans(),
    include=_PATTERNS,
    exclude=_PATTERNS.map(lambda patterns: tuple(f"{pattern}y" for pattern in patterns)),
)


@st.composite
def _rules(draw: st.DrawFn) -> Rule:
    smallest = draw(st.booleans())
    rule = Rule(
        id=RuleId(draw(st.text(min_size=1, max_size=10))),
        name=draw(_TEXTS),
        kind=draw(st.sampled_from([kind.value for kind in RuleKind])),
        channels=draw(st.none() | _SOME.map(lambda names: frozenset(map(ChannelId, names)))),
        tags=draw(st.none() | _SOME),
        budget=draw(_BYTES),
        budget_share=draw(st.none() | st.floats(0, 1, exclude_min=True)),
        channel_budget=draw(_BYTES),
        most=draw(_COUNTS),
        per_channel=draw(st.integers(1, 2**53 - 1)),
        min_lifetime=draw(st.timedeltas(timedelta(0), timedelta(days=300))),
        max_lifetime=draw(st.none() | st.timedeltas(timedelta(days=301), LONGEST)),
        max_height=None if smallest else draw(st.none() | st.integers(1, 4320)),
        smallest=smallest,
        half_life=draw(st.none() | _SPANS),
        keep_below=draw(_COUNTS),
        ratio=draw(st.none() | st.floats(0.001, 1e6)),
        seed_below=draw(_COUNTS),
        watched=draw(st.none() | st.sampled_from(Watched)),
        weight=draw(st.floats(0, 1000, exclude_min=True)),
        paused=draw(st.booleans()),
        filters=draw(_FILTERS),
    )
    check(rule)
    return rule


@STEADY
@given(st.lists(_rules(), max_size=3, unique_by=lambda rule: rule.id))
def test_what_is_written_is_read_back_as_it_was_and_written_the_same(rules: list[Rule]) -> None:
    text = write(rules)
    assert read(text) == tuple(rules)
    assert write(read(text)) == text


def test_a_written_file_reads_like_one_that_a_person_wrote() -> None:
    rule = recent(
        name="News “now”",
        budget=ByteCount(50 * GB),
        max_lifetime=timedelta(days=14),
        half_life=timedelta(hours=36),
        channels=frozenset({ChannelId("b"), ChannelId("a")}),
        filters=Filters(min_duration=timedelta(seconds=90), nsfw=False, exclude=("*trailer*",)),
    )
    assert write([rule]) == (
        'version = 2\n\n[[rule]]\nid = "recent"\nname = "News “now”"\nkind = "recent"\nchannels = ["a", "b"]\n'
        'budget = 50000000000\nmax_lifetime = "14d"\nhalf_life = "36h"\n\n[rule.filters]\nmin_duration = "90s"\n'
        'nsfw = false\nexclude = ["*trailer*"]\n'
    )


V1 = """
[[rule]]
id = "popular"
name = "Popular"
kind = "most_viewed"
channels = ["abc"]
budget = 1_000_000
budget_share = 0.25
min_lifetime_days = 2.5
max_lifetime_days = 30
max_height = 720
min_views = 100
weight = 2
paused = true
"""


@pytest.mark.parametrize("head", ["", "version = 1\n"])
def test_a_file_of_the_first_version_is_read_as_what_it_meant(head: str) -> None:
    (rule,) = read(head + V1)
    assert rule == Rule(
        RuleId("popular"),
        "Popular",
        "most_viewed",
        channels=frozenset({ChannelId("abc")}),
        budget=ByteCount(1_000_000),
        budget_share=0.25,
        min_lifetime=timedelta(days=2.5),
        max_lifetime=timedelta(days=30),
        max_height=720,
        filters=Filters(min_views=100),
        weight=2.0,
        paused=True,
    )
    assert write([rule]).startswith("version = 2\n")


def test_a_rule_of_the_first_version_that_kept_nothing_is_paused() -> None:
    (rule,) = read("[[rule]]\nid='a'\nname='A'\nkind='recent'\nbudget=0")
    assert (rule.budget, rule.paused) == (None, True)


_BASE = "version=2\n[[rule]]\nid='a'\nname='Alpha'\nkind='recent'\n"


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("version=2\n[[rule]]\nid='a'\nname='Alpha'", "kind", "Alpha"),
        ("version=2\n[[rule]]\nname='Alpha'\nkind='recent'", "id", "Alpha"),
        ("version=2\n[[rule]]\nid='a'\nkind='recent'", "name", "Rule 1"),
        ("version=2\n[[rule]]\nid='a'\nname='A'\nkind='best'", "kind", "everything"),
        (_BASE + "colour=1", "colour", "Alpha"),
        (_BASE + "min_views=1", "min_views", "Alpha"),
        (_BASE + "budget=-1", "budget", "Alpha"),
        (_BASE + "budget=true", "budget", "whole number"),
        (_BASE + "budget='5 GB'", "budget", "whole number"),
        (_BASE + "weight=nan", "weight", "Alpha"),
        (_BASE + "weight=" + "9" * 400, "weight", "Alpha"),
        (_BASE + "max_lifetime=14", "max_lifetime", "14d"),
        (_BASE + "max_lifetime='soon'", "max_lifetime", "14d"),
        (_BASE + "max_lifetime='99999999w'", "max_lifetime", "100 years"),
        (_BASE + "max_lifetime='1d'\nmin_lifetime='2d'", "max_lifetime", "Alpha"),
        (_BASE + "channels='abc'", "channels", "list"),
        (_BASE + "tags=[1]", "tags", "list"),
        (_BASE + "filters=1", "filters", "table"),
        (_BASE + "filters={min_view=1}", "filters.min_view", "Alpha"),
        (_BASE + "filters={nsfw=0}", "filters.nsfw", "true or false"),
        (_BASE + "filters={min_views=3,max_views=2}", "filters.max_views", "Alpha"),
        (_BASE + "filters={filters={}}", "filters.filters", "Alpha"),
        (_BASE + _BASE.removeprefix("version=2\n"), "id", "Two rules"),
        (_BASE.replace("'a'", "''"), "id", "1 to 64"),
        ("version=3", "version", "reads up to 2"),
        ("version=0", "version", "from 1 on"),
        ("version=true", "version", "number"),
        ("rule=3", "rule", "tables"),
        ("rule=[3]", "rule", "tables"),
        ("colour=3", "colour", "colour"),
        ("[[rule]]\nid='a'\nname='A'\nkind='recent'\nfilters={}", "filters", "version 1"),
        ("[[rule]]\nid='a'\nname='A'\nkind='recent'\ntags=['a']", "tags", "version 1"),
        ("[[rule]]\nid='a'\nname='A'\nkind='recent'\nmin_lifetime_days=1e99", "min_lifetime", "days"),
        ("[[rule]]\nid='a'\nname='A'\nkind='recent'\nmin_lifetime_days='2'", "min_lifetime_days", "days"),
        ("[[", "", "TOML"),
        ("a=" + "[" * 50_000, "", "nested"),
        ("a=" + "9" * 5_000, "", "TOML"),
        ("#" * (LARGEST + 1), "", "characters"),
    ],
    ids=str,
)
def test_a_file_that_is_not_understood_is_refused_with_rule_and_field_named(text: str, field: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(text)
    assert (refused.value.field, refused.value.code) == (field, "bad_rule")
    assert says in refused.value.message + refused.value.hint


def test_a_kind_from_elsewhere_may_stand_in_a_file_where_it_is_known() -> None:
    text = _BASE.replace("'recent'", "'moonphase'")
    assert read(text, ["recent", "moonphase"])[0].kind == "moonphase"
    with pytest.raises(BadInput):
        read(text)


@STEADY
@given(st.text(max_size=60) | st.dictionaries(st.sampled_from(["rule", "version", "a"]), st.integers()).map(json.dumps))
def test_whatever_a_file_holds_it_is_read_or_refused(text: str) -> None:
    with suppress(BadInput):
        read(text)


def test_the_default_rule_keeps_recent_videos_in_half_of_the_space() -> None:
    (rule,) = default_rules()
    assert (rule.kind, rule.budget_share, rule.max_height) == (RuleKind.RECENT, 0.5, 1080)


def test_presets_are_whole_valid_and_say_in_a_sentence_what_they_do() -> None:
    found = presets()
    assert [preset.id for preset in found] == ["default", "archive", "news", "rescue", "family"]
    for preset in found:
        assert preset.name
        assert preset.description.endswith(".")
        assert len(preset.description) < 120
        assert preset.rules
        for rule in preset.rules:
            check(rule)
            assert rule.channels is None
        assert read(write(preset.rules)) == preset.rules
