"""What a plan would do and what it decided, in words a person would say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from appliance.domain.catalogue import Change, Replanned
from appliance.domain.plan import Decision, Disk, Reason, ReasonCode, Rule, RuleKind, Verdict
from appliance.domain.units import ByteCount, RuleId, VideoId
from policies.explain import sentence
from policies.ranked import ranked_by
from web.outlook import Outlook, Pace, PaceBy, Part
from web.views import decided
from web.views import outlook as outlooks

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GB = 10**9


def _decision(video: str, verdict: Verdict, code: ReasonCode = ReasonCode.NO_RULE, **more: object) -> Decision:
    return replace(Decision(VideoId(video), verdict, (Reason(code),), size=ByteCount(GB)), **more)  # type: ignore[arg-type]


def _outlook(comes: set[str], goes: set[str], before: tuple[set[str], set[str]], pace: Pace) -> Outlook:
    lines = [_decision(v, Verdict.PIN) for v in sorted(comes)] + [_decision(v, Verdict.RELEASE) for v in sorted(goes)]
    return Outlook(
        decisions=tuple(lines),
        rules=(),
        uses={},
        comes=Part(len(comes), len(comes) * GB),
        goes=Part(len(goes), len(goes) * GB),
        pace=pace,
        disk=Disk(ByteCount(100 * GB), ByteCount(50 * GB), ByteCount(5 * GB), ByteCount(20 * GB)),
        coming=frozenset(map(VideoId, before[0])),
        going=frozenset(map(VideoId, before[1])),
    )


LIMIT = Pace(PaceBy.LIMIT, 1_000_000)


def test_a_preview_tells_what_is_because_of_the_change_and_shows_that_first() -> None:
    found = _outlook({"a", "b", "c"}, {"x"}, ({"a", "q"}, {"y", "z"}), LIMIT)
    view = outlooks.preview(found, {}, sentence, 2)
    assert view.sentence == "3\u00a0videos come (3\u00a0GB), 1\u00a0video goes (1\u00a0GB)."
    assert view.change == "Because of this change: 2 more come, 1 more goes, 1 no longer comes and 2 no longer go."
    assert [line.href for line in view.comes] == ["videos/b", "videos/c"]
    assert (view.more_comes, view.more_goes) == (1, 0)
    assert view.pace == "Fetching it takes about 50\u00a0minutes at the limit of 1\u00a0MB/s."
    assert found.after is not None
    assert (found.after.used, found.after.free) == (22 * GB, 48 * GB)
    assert view.before is not None
    assert view.before.held == "20\u00a0GB"


@pytest.mark.parametrize(
    ("pace", "words", "seconds"),
    [
        (Pace(PaceBy.STOPPED, None), "Nothing is fetched for now", None),
        (Pace(PaceBy.LINE, None), "as fast as the line allows", None),
        (Pace(PaceBy.MEASURED, 500_000), "at the present 500\u00a0kB/s", 2000),
    ],
)
def test_the_time_to_fetch_says_what_it_is_reckoned_with(pace: Pace, words: str, seconds: int | None) -> None:
    found = _outlook({"a"}, set(), (set(), set()), pace)
    assert words in outlooks.preview(found, {}, sentence, 5).pace
    assert found.seconds == seconds


def test_a_change_that_moves_nothing_says_so() -> None:
    view = outlooks.preview(_outlook({"a"}, set(), ({"a"}, set()), LIMIT), {}, sentence, 5)
    assert view.change == "This changes nothing of what comes and goes."
    nothing = outlooks.preview(_outlook(set(), set(), (set(), set()), LIMIT), {}, sentence, 5)
    assert (nothing.sentence, nothing.pace) == (
        "Everything the rules want is here. Nothing comes, nothing goes.",
        "",
    )


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (RuleKind.EVERYTHING, 1.0, ""),
        (RuleKind.RECENT, 1 / (1 + 3), "3 days old"),
        (RuleKind.LAST_N, 1.0, "1 second old"),
        (RuleKind.TRENDING, 12.4, "about 12.4 views a day"),
        (RuleKind.MOST_VIEWED, 1234.0, "1,234 views"),
        (RuleKind.RARE_FIRST, 0.5, "as rare as with 1 checked copy elsewhere"),
        (RuleKind.RARE_FIRST, 0.0, "as rare as with very many checked copies elsewhere"),
        ("foreign", 7.0, "worth 7"),
    ],
)
def test_what_a_video_was_ranked_by_is_said_in_words_of_its_kind(kind: str, value: float, words: str) -> None:
    assert ranked_by(kind, value) == words


RULE = Rule(RuleId("r"), "News", RuleKind.MOST_VIEWED)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (_decision("a", Verdict.KEEP, ReasonCode.HAND_PIN), "until you take your hand pin back"),
        (_decision("a", Verdict.KEEP, ReasonCode.LAST_COPY), "until you let it go, or others have it again"),
        (
            _decision("a", Verdict.KEEP, ReasonCode.CHOSEN, earliest_release=NOW + timedelta(days=9)),
            "at least until 30 November 2026",
        ),
        (_decision("a", Verdict.PIN, ReasonCode.CHOSEN), "as long as it is worth its space"),
    ],
)
def test_how_long_a_video_is_safe(decision: Decision, words: str) -> None:
    assert decided.stays(decision, NOW) == words
    ranked = replace(decision, rule=RULE.id, rank=1200, value=5.0)
    facts = dict(decided.facts(ranked, {RULE.id: RULE}, None, NOW))
    assert facts == {"Rule": "News", "Rank": "number 1,200, 5 views", "Stays": words}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, Verdict.PIN, "comes"),
        (Verdict.PIN, Verdict.KEEP, "is here now"),
        (Verdict.KEEP, Verdict.RELEASE, "goes"),
        (Verdict.RELEASE, Verdict.LEAVE, "is gone"),
        (Verdict.RELEASE, Verdict.KEEP, "stays after all"),
        (Verdict.PIN, Verdict.LEAVE, "no longer comes"),
        (Verdict.KEEP, Verdict.PIN, "is to be completed"),
        (Verdict.LEAVE, Verdict.KEEP, "is kept"),
    ],
)
def test_a_change_is_told_once_and_in_one_word(before: Verdict | None, after: Verdict, words: str) -> None:
    change = Change(NOW, VideoId("a"), "Film", before, after, _decision("a", after))
    told = decided.plan_change(Replanned(NOW, 5, (change,)), NOW, sentence, frozenset())
    (turn,) = (*told.came, *told.here, *told.went, *told.other)
    assert (turn.what, turn.href, turn.why) == (words, "", "No rule asks for it.")
    assert told.more == 4
