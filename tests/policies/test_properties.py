"""What holds of every plan, whatever the world: this module looks for a world where it does not."""

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.pin import Wish
from appliance.domain.plan import Decision, Plan, Rule, RuleKind, Verdict, World
from appliance.domain.units import ByteCount, RuleId
from appliance.domain.video import Upstream
from policies import plan
from policies.explain import explain
from tests.policies.worlds import MB, NOW, STEADY, candidate, carried_out, rule_sets, world, worlds

STAYS = (Verdict.KEEP, Verdict.PIN)


def _staying(found: Plan) -> list[Decision]:
    return [decision for decision in found.decisions if decision.verdict in STAYS]


def _protected(before: World, rules: tuple[Rule, ...]) -> set[str]:
    """Say again, in other words than the policy's, which held videos nothing may take away."""
    safe: set[str] = set()
    for video in before.videos:
        if video.held is None:
            continue
        lost = video.upstream in (Upstream.GONE, Upstream.HIDDEN) and not video.gone_release
        own = [r for r in rules if r.id == video.held.rule and _scoped(r, video.channels)]
        young = any(
            video.held.pinned_at is not None and NOW - video.held.pinned_at < r.min_lifetime
            for r in own or [r for r in rules if _scoped(r, video.channels)]
        )
        if video.leased or video.wish is Wish.PIN or (video.wish is None and (lost or young)):
            safe.add(video.id)
    return safe


def _scoped(rule: Rule, channels: frozenset[str]) -> bool:
    return rule.channels is None or bool(rule.channels & channels)


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_every_video_gets_one_decision_with_reasons_that_can_be_read(before: World, rules: tuple[Rule, ...]) -> None:
    found = plan(before, rules, NOW)
    assert sorted(d.video for d in found.decisions) == sorted(v.id for v in before.videos)
    for decision in found.decisions:
        assert decision.reasons
        assert explain(decision).endswith(".")
        assert len({reason.code for reason in decision.reasons if not reason.facts}) <= len(decision.reasons)


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_a_plan_never_exceeds_a_budget_save_by_what_is_protected(before: World, rules: tuple[Rule, ...]) -> None:
    found = plan(before, rules, NOW)
    safe = _protected(before, rules)
    library = max(0, before.disk.used + before.disk.free - before.disk.floor)
    for rule in rules:
        charged = [d for d in _staying(found) if d.rule == rule.id]
        use = next(u for u in found.rules if u.rule == rule.id)
        assert use.used == sum(d.size for d in charged)
        assert use.videos == len(charged)
        limits = [limit for limit in (rule.budget, _share(rule, library)) if limit is not None]
        forced = sum(d.size for d in charged if d.video in safe)
        if limits:
            assert use.used <= max(min(limits), forced)


def _share(rule: Rule, library: int) -> int | None:
    return None if rule.budget_share is None else int(rule.budget_share * library)


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_a_plan_never_goes_below_the_floor_save_by_what_is_protected(before: World, rules: tuple[Rule, ...]) -> None:
    found = plan(before, rules, NOW)
    safe = _protected(before, rules)
    got = {v.id: v.held.done if v.held is not None else 0 for v in before.videos}
    free = before.disk.free + sum(got[d.video] for d in found.decisions if d.verdict is Verdict.RELEASE)
    free -= sum(d.size - got[d.video] for d in _staying(found))
    if any(d.verdict is Verdict.PIN and d.video not in safe for d in found.decisions):
        assert free >= before.disk.floor
    if not safe and any(d.verdict in STAYS for d in found.decisions):
        assert free >= before.disk.floor


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_nothing_protected_is_released(before: World, rules: tuple[Rule, ...]) -> None:
    released = {d.video for d in plan(before, rules, NOW).decisions if d.verdict is Verdict.RELEASE}
    assert not released & _protected(before, rules)


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_only_what_is_held_is_kept_or_released(before: World, rules: tuple[Rule, ...]) -> None:
    on_disk = {v.id for v in before.videos if v.held is not None}
    for decision in plan(before, rules, NOW).decisions:
        if decision.verdict in (Verdict.KEEP, Verdict.RELEASE):
            assert decision.video in on_disk
        if decision.verdict is Verdict.LEAVE:
            assert decision.video not in on_disk


@STEADY
@given(worlds(unknown=True), rule_sets(), st.randoms(use_true_random=False))
def test_the_same_world_gives_the_same_plan_in_whatever_order_it_is_told(
    before: World, rules: tuple[Rule, ...], chance: random.Random
) -> None:
    videos, shuffled = list(before.videos), list(rules)
    chance.shuffle(videos)
    chance.shuffle(shuffled)
    assert plan(replace(before, videos=tuple(videos)), shuffled, NOW) == plan(before, rules, NOW)


@STEADY
@given(worlds(), rule_sets())
def test_a_plan_carried_out_and_made_again_changes_nothing(before: World, rules: tuple[Rule, ...]) -> None:
    first = plan(before, rules, NOW)
    again = plan(carried_out(before, first), rules, NOW)
    assert {d.video for d in _staying(again)} == {d.video for d in _staying(first)}
    assert again.fetched == again.released == 0
    charged = {d.video: d.rule for d in _staying(first)}
    assert {d.video: d.rule for d in _staying(again)} == charged


@STEADY
@given(worlds(), rule_sets(most=1), st.integers(0, 300), st.integers(1, 100))
def test_more_budget_never_keeps_less_worth_for_one_rule(
    before: World, rules: tuple[Rule, ...], budget: int, more: int
) -> None:
    empty = replace(before, videos=tuple(replace(v, held=None, wish=None) for v in before.videos))
    kept = []
    for limit in (budget, budget + more):
        rule = [replace(r, budget=ByteCount(limit * 10 * MB), budget_share=None) for r in rules]
        kept.append(sum(d.value * d.size for d in _staying(plan(empty, rule, NOW))))
    assert kept[1] >= kept[0] * (1 - 1e-9)


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_a_video_is_charged_at_most_once(before: World, rules: tuple[Rule, ...]) -> None:
    found = plan(before, rules, NOW)
    assert sum(use.used for use in found.rules) <= sum(d.size for d in _staying(found))
    assert sum(use.videos for use in found.rules) <= len(_staying(found))


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_releases_come_first_then_pins_best_first(before: World, rules: tuple[Rule, ...]) -> None:
    order = [Verdict.RELEASE, Verdict.PIN, Verdict.KEEP, Verdict.LEAVE]
    decisions = plan(before, rules, NOW).decisions
    turns = [order.index(d.verdict) for d in decisions]
    assert turns == sorted(turns)
    for rule in rules:
        ranks = [d.rank for d in decisions if d.verdict is Verdict.PIN and d.rule == rule.id and d.rank is not None]
        assert ranks == sorted(ranks)


@STEADY
@given(st.lists(st.integers(0, 4000), min_size=1, max_size=12), st.integers(1, 12))
def test_a_budget_of_n_equal_videos_keeps_the_n_best(views: list[int], room: int) -> None:
    videos = [candidate(f"v{n:02}", views=count) for n, count in enumerate(views)]
    rule = Rule(RuleId("top"), "Top", RuleKind.MOST_VIEWED, budget=ByteCount(room * 100 * MB))
    kept = {d.video for d in _staying(plan(world(*videos), [rule], NOW))}
    best = sorted(views, reverse=True)[:room]
    assert sorted((v.views for v in videos if v.id in kept), reverse=True) == best


@STEADY
@given(st.integers(0, 10_000), st.integers(0, 90))
def test_a_near_tie_never_swaps_what_is_held(views: int, percent: int) -> None:
    rule = Rule(RuleId("top"), "Top", RuleKind.MOST_VIEWED, budget=ByteCount(100 * MB))
    first = world(candidate("old", views=views))
    settled = carried_out(first, plan(first, [rule], NOW))
    rival = candidate("rival", views=views * (100 + percent) // 100, days=0.5)
    found = plan(replace(settled, videos=(*settled.videos, rival)), [rule], NOW + timedelta(hours=1))
    kept = {d.video for d in _staying(found)}
    assert kept == ({"rival"} if rival.views > views * 1.2 else {"old"})
