"""What may not be released, and on whose word it may."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from appliance.domain.pin import Wish
from appliance.domain.plan import Candidate, Copies, CopyReport, CopySource, ReasonCode, Rule, Verdict, World
from appliance.domain.units import RuleId
from appliance.domain.video import Upstream
from policies import plan
from policies.explain import sentence
from policies.protect import bar, copies_elsewhere, is_last_copy, protection
from tests.policies.worlds import MB, NOW, STEADY, candidate, held, recent, rule_sets, worlds

OLD = held(candidate("a", days=100), days=50, rule="recent")
RULES = (recent(),)


def _copies(live: int | None, verified: int = 0, **reports: int) -> Copies:
    said = tuple(CopyReport(CopySource(source), count, NOW) for source, count in reports.items())
    return Copies(live, verified, said)


def _codes(video: Candidate, rules: tuple[Rule, ...] = RULES) -> list[ReasonCode]:
    found = protection(video, rules, NOW)
    return [] if found is None else [reason.code for reason in found.reasons]


@pytest.mark.parametrize(
    ("copies", "last"),
    [
        (_copies(None), False),
        (_copies(0), True),
        (_copies(0, tracker=0, mirrors=0), True),
        (_copies(1, origin=1, tracker=0), False),
        (_copies(2, tracker=2), False),
        (_copies(0, verified=1), False),
    ],
)
def test_the_last_copy_is_one_where_others_are_known_to_be_none(copies: Copies, last: bool) -> None:
    assert is_last_copy(replace(OLD, copies=copies)) is last
    assert (_codes(replace(OLD, copies=copies)) == [ReasonCode.LAST_COPY]) is last


@pytest.mark.parametrize("away", [{"upstream": Upstream.GONE}, {"origin_failing": NOW - timedelta(hours=1)}])
def test_the_copy_of_an_origin_that_is_away_is_not_there(away: dict[str, object]) -> None:
    gone = replace(OLD, **away)  # type: ignore[arg-type]
    assert copies_elsewhere(replace(gone, copies=_copies(1, origin=1))) == 0
    assert copies_elsewhere(replace(gone, copies=_copies(1, origin=1, tracker=0))) == 0
    assert copies_elsewhere(replace(gone, copies=_copies(3, origin=1, tracker=2))) == 2
    assert copies_elsewhere(replace(gone, copies=_copies(None))) is None
    assert is_last_copy(replace(gone, copies=_copies(1, verified=1, origin=1)))
    assert not is_last_copy(replace(gone, copies=_copies(None)))


def test_part_of_a_video_is_no_copy_of_it() -> None:
    part = replace(held(candidate("a"), done=10 * MB), copies=_copies(0))
    assert not is_last_copy(part)
    assert not is_last_copy(replace(candidate("a"), copies=_copies(0)))


def test_a_last_copy_is_charged_to_who_holds_it_and_asks_where_that_is_too_much() -> None:
    other = replace(recent(), id=RuleId("other"), name="Other", weight=9.0)
    found = protection(replace(OLD, copies=_copies(0)), (other, *RULES), NOW)
    assert found is not None
    assert (found.rule, found.last_copy, found.as_is) == (RULES[0], True, False)
    orphan = replace(OLD, copies=_copies(0), held=replace(OLD.held, rule=None))  # type: ignore[type-var]
    unpaid = protection(orphan, (), NOW)
    assert unpaid is not None
    assert (unpaid.rule, unpaid.last_copy) == (None, True)


def test_an_origin_that_fails_for_long_protects_what_we_hold_of_it() -> None:
    def failing(video: Candidate, days: float) -> Candidate:
        return replace(video, origin_failing=NOW - timedelta(days=days))

    assert _codes(failing(OLD, 7)) == [ReasonCode.ORIGIN_DOWN]
    assert _codes(failing(OLD, 6.99)) == []
    found = protection(failing(OLD, 2), RULES, NOW, timedelta(days=1))
    assert found is not None
    assert sentence(found.reasons[0]) == "Its origin has not answered since 8 March 2026, so our copy stays."
    assert not found.last_copy
    assert _codes(failing(held(candidate("a"), done=10 * MB), 8)) == [ReasonCode.ORIGIN_DOWN]
    assert _codes(failing(held(candidate("a"), done=0), 8)) == []
    assert protection(failing(candidate("a"), 8), RULES, NOW) is None


def test_the_owners_word_lets_go_and_a_shortest_lifetime_still_counts() -> None:
    everything = replace(
        OLD, copies=_copies(0), origin_failing=NOW - timedelta(days=30), upstream=Upstream.GONE, wish=Wish.LET_GO
    )
    assert _codes(replace(everything, wish=None)) == [
        ReasonCode.GONE_KEPT,
        ReasonCode.LAST_COPY,
        ReasonCode.ORIGIN_DOWN,
    ]
    assert _codes(everything) == []
    assert _codes(replace(everything, wish=Wish.NEVER)) == []
    young = (recent(min_lifetime=timedelta(days=60)),)
    assert _codes(everything, young) == [ReasonCode.MIN_LIFETIME]
    assert _codes(replace(everything, wish=Wish.NEVER), young) == []
    assert bar(replace(everything, wish=Wish.NEVER)) is not None
    assert bar(everything) is None


def test_a_channels_release_when_gone_is_the_owners_word_too() -> None:
    gone = replace(OLD, upstream=Upstream.GONE, gone_release=True, copies=_copies(0))
    assert _codes(gone) == []
    reason = bar(gone)
    assert reason is not None
    assert reason.code is ReasonCode.GONE_RELEASED
    let_go = bar(replace(gone, wish=Wish.LET_GO))
    assert let_go is not None
    assert bar(replace(gone, wish=Wish.PIN)) is None


def test_a_viewer_keeps_what_is_there_and_no_more() -> None:
    watched = protection(replace(OLD, leased=True), RULES, NOW)
    assert watched is not None
    assert watched.as_is
    both = protection(replace(OLD, leased=True, copies=_copies(0)), RULES, NOW)
    assert both is not None
    assert not both.as_is
    assert [reason.code for reason in both.reasons] == [ReasonCode.LAST_COPY, ReasonCode.WATCHED_NOW]


def test_the_end_of_a_shortest_lifetime_is_said() -> None:
    found = protection(OLD, (recent(min_lifetime=timedelta(days=60)),), NOW)
    assert found is not None
    assert found.until == NOW + timedelta(days=10)
    assert protection(replace(OLD, wish=Wish.PIN), RULES, NOW) is not None


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_no_last_copy_and_nothing_of_a_silent_origin_goes_without_the_owners_word(
    before: World, rules: tuple[Rule, ...]
) -> None:
    released = {d.video for d in plan(before, rules, NOW).decisions if d.verdict is Verdict.RELEASE}
    for video in before.videos:
        if video.held is None or video.wish not in (None, Wish.PIN) or video.gone_release:
            continue
        whole = video.held.pinned_at is not None
        last = whole and video.copies.live == 0
        failing = video.origin_failing
        silent = failing is not None and NOW - failing >= before.protect_after and (whole or video.held.done > 0)
        assert not (video.id in released and (last or silent))


@STEADY
@given(worlds(), rule_sets())
def test_what_stays_only_because_it_is_protected_says_on_what_ground(before: World, rules: tuple[Rule, ...]) -> None:
    grounds = {
        ReasonCode.CHOSEN,
        ReasonCode.HAND_PIN,
        ReasonCode.MIN_LIFETIME,
        ReasonCode.GONE_KEPT,
        ReasonCode.LAST_COPY,
        ReasonCode.ORIGIN_DOWN,
        ReasonCode.WATCHED_NOW,
    }
    for decision in plan(before, rules, NOW).decisions:
        if decision.verdict is Verdict.KEEP:
            assert grounds & {reason.code for reason in decision.reasons}
