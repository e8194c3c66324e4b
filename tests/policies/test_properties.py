"""What holds of every plan, whatever the world: this module looks for a world where it does not."""

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.pin import Wish
from appliance.domain.plan import (
    Copies,
    Decision,
    Observation,
    Plan,
    ReasonCode,
    Rule,
    RuleKind,
    Verdict,
    World,
)
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
        failing = video.origin_failing is not None
        silent = video.origin_failing is not None and NOW - video.origin_failing >= before.protect_after
        silent = silent and (video.held.done > 0 or video.held.pinned_at is not None)
        away = failing or video.upstream is Upstream.GONE
        sole = video.held.pinned_at is not None and video.copies.live == 0 and (away or video.copies.verified == 0)
        lasting = video.wish is None and not video.gone_release and (lost or silent or sole)
        young = young and video.wish is not Wish.NEVER
        if video.leased or video.wish is Wish.PIN or lasting or young:
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
    library = max(0, before.disk.used + before.disk.free + before.taken_lately - before.disk.floor)
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
    free -= sum(d.size - got[d.video] for d in _staying(found) if not _waits_for_room(d))
    if any(d.verdict is Verdict.PIN and d.video not in safe and d.size > got[d.video] for d in found.decisions):
        assert free >= before.disk.floor
    if not safe and any(d.verdict in STAYS for d in found.decisions):
        assert free + before.taken_lately >= before.disk.floor


def _waits_for_room(decision: Decision) -> bool:
    return any(reason.code is ReasonCode.NO_ROOM_NOW for reason in decision.reasons)


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_room_that_others_took_lately_moves_out_nothing_that_would_stay_in_it(
    before: World, rules: tuple[Rule, ...]
) -> None:
    there = replace(before, taken_lately=ByteCount(0))
    back = replace(there, disk=replace(before.disk, free=ByteCount(before.disk.free + before.taken_lately)))
    got = {v.id: v.held.done for v in before.videos if v.held is not None}
    stays = {d.video for d in _staying(plan(back, rules, NOW)) if d.video in got}
    assert stays <= {d.video for d in _staying(plan(before, rules, NOW))}


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


def _within(rule: Rule, channels: frozenset[str]) -> str:
    return min(channels & rule.channels if rule.channels else channels)


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_a_plan_never_exceeds_a_channels_share_nor_a_rules_numbers_save_by_what_is_protected(
    before: World, rules: tuple[Rule, ...]
) -> None:
    found = plan(before, rules, NOW)
    safe, by_id = _protected(before, rules), {v.id: v for v in before.videos}
    for rule in rules:
        charged = [d for d in _staying(found) if d.rule == rule.id]
        free = [d for d in charged if d.video not in safe and d.video not in _forced(found)]
        if rule.most is not None and free:
            assert len(charged) <= rule.most
        for home in {_within(rule, by_id[d.video].channels) for d in free}:
            there = [d for d in charged if _within(rule, by_id[d.video].channels) == home]
            assert rule.per_channel is None or len(there) <= rule.per_channel
            assert rule.channel_budget is None or sum(d.size for d in there) <= rule.channel_budget


def _forced(found: Plan) -> set[str]:
    """Return what stays on another ground than being chosen."""
    return {d.video for d in _staying(found) if d.reasons[0].code is not ReasonCode.CHOSEN}


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_a_plan_never_exceeds_the_quota_save_by_what_is_protected(before: World, rules: tuple[Rule, ...]) -> None:
    found = plan(before, rules, NOW)
    if before.quota is None or not any(
        d.verdict is Verdict.PIN and d.video not in _forced(found) for d in _staying(found)
    ):
        return
    held = sum(v.held.done for v in before.videos if v.held is not None)
    assert before.disk.used - held + sum(d.size for d in _staying(found)) <= before.quota


@STEADY
@given(worlds(unknown=True), rule_sets())
def test_a_plan_never_fetches_more_than_may_still_be_fetched_save_for_what_is_protected(
    before: World, rules: tuple[Rule, ...]
) -> None:
    found = plan(before, rules, NOW)
    begun = {v.id for v in before.videos if v.held is not None}
    forced = sum(d.size for d in found.decisions if d.verdict is Verdict.PIN and d.video in begun & _forced(found))
    if before.download_left is not None:
        assert found.fetched <= max(before.download_left, forced)


@STEADY
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 30)), min_size=1, max_size=14),
    st.integers(0, 300),
    st.integers(1, 40),
)
def test_more_budget_never_keeps_less_worth_however_videos_fit_together(
    made: list[tuple[int, int]], budget: int, more: int
) -> None:
    videos = [candidate(f"v{n:02}", size=size * MB, views=views) for n, (size, views) in enumerate(made)]
    kept = []
    for limit in (budget, budget + more):
        rule = Rule(RuleId("top"), "Top", RuleKind.MOST_VIEWED, budget=ByteCount(limit * MB))
        kept.append(sum(d.value * d.size for d in _staying(plan(world(*videos), [rule], NOW))))
    assert kept[1] >= kept[0]


@STEADY
@given(worlds(), rule_sets(), st.integers(0, 60), st.integers(1, 60))
def test_a_larger_disk_never_keeps_less_worth_for_one_rule(
    before: World, rules: tuple[Rule, ...], free: int, more: int
) -> None:
    empty = tuple(replace(v, held=None, wish=None) for v in before.videos)
    kept = []
    for room in (free, free + more):
        rule = [replace(r, budget=None, budget_share=None, channel_budget=None, per_channel=None) for r in rules[:1]]
        found = plan(world(*empty, free=room * 10 * MB, floor=0), rule, NOW)
        kept.append(sum(d.value * d.size for d in _staying(found)))
    assert kept[1] >= kept[0] * (1 - 1e-9)


@STEADY
@given(worlds(), rule_sets())
def test_a_smaller_budget_releases_the_least_worth_first(before: World, rules: tuple[Rule, ...]) -> None:
    rule = Rule(RuleId("top"), "Top", RuleKind.MOST_VIEWED)
    videos = [replace(v, upstream=Upstream.PUBLISHED, wish=None, leased=False, held=None) for v in before.videos]
    videos = [replace(v, copies=Copies(), origin_failing=None, gone_release=False) for v in videos]
    full = carried_out(world(*videos), plan(world(*videos), [rule], NOW))
    for share in (0.7, 0.3):
        smaller = replace(rule, budget=ByteCount(int(full.disk.used * share)))
        found = plan(full, [smaller], NOW)
        left = (smaller.budget or 0) - sum(d.size for d in _staying(found))
        views = {v.id: v.views for v in videos}
        for gone in (d for d in found.decisions if d.verdict is Verdict.RELEASE):
            lesser = sum(d.size for d in _staying(found) if views[d.video] < views[gone.video])
            assert gone.size > left + lesser or gone.size > left


def _day_later(before: World, chance: random.Random) -> World:
    """Views drift: each video's daily views are up to a fifth above or below what they are on average."""
    videos = []
    for video in before.videos:
        rate = video.views / 30 * chance.uniform(0.8, 1.2)
        seen = Observation(NOW, video.views)
        videos.append(replace(video, views=video.views + int(rate), history=(*video.history[-6:], seen)))
    return replace(before, videos=tuple(videos))


def _aged(before: World) -> World:
    """A day passes for all of the world, seen from the same instant."""
    day = timedelta(days=1)
    videos = []
    for video in before.videos:
        held = video.held
        if held is not None and held.pinned_at is not None:
            held = replace(held, pinned_at=held.pinned_at - day)
        history = tuple(replace(seen, at=seen.at - day) for seen in video.history)
        videos.append(replace(video, published_at=video.published_at - day, history=history, held=held))
    return replace(before, videos=tuple(videos))


SWAPPED_A_DAY = 0.02
"""Of the bytes kept, so much at most is exchanged on an average day on which views only drift."""


def test_in_thirty_days_of_drifting_views_hardly_anything_is_swapped() -> None:
    chance = random.Random(3)
    videos = [
        candidate(f"v{n:03}", days=60 + n, size=chance.randint(20, 200) * MB, views=int(30_000 / (n + 1) ** 0.8))
        for n in range(300)
    ]
    rules = [
        Rule(RuleId("t"), "Trending", RuleKind.TRENDING, budget=ByteCount(4_000 * MB)),
        Rule(RuleId("m"), "Popular", RuleKind.MOST_VIEWED, budget=ByteCount(3_000 * MB)),
        Rule(RuleId("e"), "All", RuleKind.EVERYTHING, budget=ByteCount(2_000 * MB), weight=0.5),
    ]
    now, swapped, kept = world(*videos), 0, 0
    for day in range(31):
        found = plan(now, rules, NOW)
        if day > 0:
            swapped, kept = swapped + found.released, kept + found.kept
        now = _aged(_day_later(carried_out(now, found), chance))
    assert kept > 30 * 8_000 * MB
    assert swapped / kept < SWAPPED_A_DAY, f"{swapped / kept:.4f} a day"
