"""Values as rules see them, renditions chosen, sizes guessed, sentences made."""

import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.plan import (
    Candidate,
    Copies,
    Decision,
    Disk,
    Filters,
    Observation,
    Reason,
    ReasonCode,
    Rule,
    RuleKind,
    Verdict,
    World,
)
from appliance.domain.units import ByteCount, ChannelId, RuleId, VideoId
from appliance.domain.video import RenditionKind
from policies import plan
from policies.explain import explain, human_date, human_size, sentence, verdict_word
from policies.newcomers import newcomers
from policies.renditions import chosen
from policies.sizes import choice, estimate
from policies.worth import BUILT_IN, rarity, trend
from tests.policies.worlds import (
    FILMS,
    MB,
    NEWS,
    NOW,
    STEADY,
    candidate,
    candidates,
    carried_out,
    histories,
    recent,
    rendition,
    world,
)


def _hourly(*views: int) -> tuple[Observation, ...]:
    last = len(views) - 1
    return tuple(Observation(NOW - timedelta(hours=last - n), count) for n, count in enumerate(views))


def test_a_steady_rate_is_found_whatever_the_video_had_before() -> None:
    steady = _hourly(*range(50_000, 50_000 + 10 * 240, 10))
    assert trend(candidate("a", views=52_390, days=240, history=steady), NOW) == pytest.approx(240, rel=0.08)


def test_a_burst_now_outweighs_the_same_burst_last_week() -> None:
    week = [100] * 168
    now = candidate("now", views=200, days=30, history=_hourly(*week, 200))
    then = candidate("then", views=200, days=30, history=_hourly(100, *[200] * 168))
    assert trend(now, NOW) > 3 * trend(then, NOW)


def test_a_video_never_observed_twice_has_its_lifetime_average_brought_to_the_present() -> None:
    young, old = (trend(candidate("a", views=100 * days, days=days), NOW) for days in (2, 300))
    assert 10 < old < young <= 100


def test_the_origins_own_trending_list_raises_what_was_not_observed_and_hardly_what_was() -> None:
    first, tenth, none = (replace(candidate("a", views=900, days=8), trend_rank=rank) for rank in (1, 10, None))
    assert trend(first, NOW) > trend(tenth, NOW) > trend(none, NOW)
    watched = _hourly(*range(0, 10 * 240, 10))
    listed = replace(first, history=watched, views=2390)
    assert trend(listed, NOW) < 1.25 * trend(replace(listed, trend_rank=None), NOW)


def _channel(name: str, *views: int) -> list[Candidate]:
    """Videos of a channel, one published each second day, with the views that they had after a day."""
    here = frozenset({ChannelId(name)})
    return [
        candidate(
            f"{name}{n}",
            days=2 * n + 2,
            views=2 * many,
            channels=here,
            history=(Observation(NOW - timedelta(days=2 * n + 1), many), Observation(NOW, 2 * many)),
        )
        for n, many in enumerate(views)
    ]


def test_a_video_that_nobody_has_seen_yet_ranks_by_what_its_channels_new_ones_usually_get() -> None:
    loud, quiet = _channel("loud", 900, 1200, 1000), _channel("quiet", 3, 5, 0)
    fresh = [candidate(f"{name}-new", days=0, views=0, channels=frozenset({ChannelId(name)})) for name in _NAMES]
    rule = Rule(RuleId("t"), "Trending", RuleKind.TRENDING)
    found = plan(world(*loud, *quiet, *fresh), [rule], NOW).decisions
    values = {d.video: d.value for d in found}
    order = sorted(values, key=lambda video: -values[video])
    assert order[0] == "loud-new"
    assert order.index(VideoId("quiet-new")) >= 4
    assert 0 < values[VideoId("quiet-new")] < 0.1 * values[VideoId("loud-new")]
    assert 700 < values[VideoId("loud-new")] < 1500


_NAMES = ("loud", "quiet")


def test_a_channel_without_counts_of_its_own_is_expected_to_do_as_others_do() -> None:
    known = newcomers([*_channel("loud", 900, 1200), *_channel("quiet", 3, 5)], NOW)
    loud, quiet, unknown = (known.rate(frozenset({ChannelId(name)})) for name in (*_NAMES, "unknown"))
    assert quiet < unknown < loud
    assert newcomers([], NOW).rate(frozenset({NEWS})) == 0
    assert newcomers([candidate("a", days=0, views=50)], NOW).rate(frozenset({NEWS})) == 0


def test_a_channel_that_publishes_once_a_month_is_known_by_what_its_old_videos_have() -> None:
    monthly = [candidate(f"m{n}", days=30 * n + 20, views=6, channels=frozenset({FILMS})) for n in range(10)]
    known = newcomers([*_channel("loud", *[900] * 30), *monthly], NOW)
    assert known.rate(frozenset({FILMS})) < 0.1 * known.rate(frozenset({ChannelId("loud")}))


def test_one_video_that_went_round_the_world_says_little_of_the_next() -> None:
    usual = newcomers(_channel("a", *[100] * 9), NOW).rate(frozenset({ChannelId("a")}))
    viral = newcomers(_channel("a", *[100] * 8, 100_000), NOW).rate(frozenset({ChannelId("a")}))
    assert usual < viral < 20 * usual


def test_what_was_expected_is_forgotten_where_nobody_comes() -> None:
    rates = [trend(candidate("a", days=n / 24, views=0, history=_hourly(*[0] * (n + 1))), NOW, None, 1000) for n in _ON]
    assert rates[0] == pytest.approx(1000)
    assert rates == sorted(rates, reverse=True)
    assert rates[1] > 500, "counters lag"
    assert rates[-1] < 10


_ON = (0, 1, 6, 24, 48)


@STEADY
@given(histories(), st.integers(0, 100), st.integers(0, 5000), st.floats(0, 1e6), st.floats(0, 1e6))
def test_more_that_is_usual_and_more_views_never_lower_the_trend(
    history: tuple[Observation, ...], tenths: int, views: int, usual: float, more: float
) -> None:
    video = candidate("a", days=tenths / 10, views=views, history=history)
    rate = trend(video, NOW, None, usual)
    assert 0 <= rate <= trend(video, NOW, None, usual + more) * (1 + 1e-9) + 1e-9
    assert rate <= trend(replace(video, views=views + int(more)), NOW, None, usual) * (1 + 1e-9) + 1e-9


@STEADY
@given(st.lists(candidates("a"), min_size=1, max_size=4), st.integers(0, 3), st.integers(1, 5000))
def test_more_views_of_any_video_never_lower_what_is_expected_of_new_ones(
    videos: list[Candidate], which: int, more: int
) -> None:
    at = which % len(videos)
    seen = tuple(replace(one, views=one.views + more) for one in videos[at].history)
    richer = replace(videos[at], views=videos[at].views + more, history=seen)
    scope = videos[0].channels
    before, after = newcomers(videos, NOW), newcomers([*videos[:at], richer, *videos[at + 1 :]], NOW)
    assert before.rate(scope) <= after.rate(scope) * (1 + 1e-9)


def test_fewer_copies_elsewhere_are_worth_more_and_an_unknown_number_lies_between_one_and_two() -> None:
    worths = [rarity(Copies(live, verified)) for live, verified in ((0, 0), (1, 0), (1, 1), (2, 2), (3, 0), (9, 9))]
    assert worths == sorted(worths, reverse=True)
    assert rarity(Copies(1, 1)) > rarity(Copies()) > rarity(Copies(2, 2))
    assert rarity(Copies(None, 4)) == rarity(Copies(4, 4))


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), -1.0, "much", None])
def test_a_further_kind_that_answers_nonsense_or_fails_ranks_nothing_and_harms_nobody(answer: object) -> None:
    def mad(rule: Rule, video: Candidate, now: datetime) -> float:
        if answer is None:
            raise RuntimeError("out of order")
        return answer  # type: ignore[return-value]

    rules = [Rule(RuleId("x"), "Mad", "mad"), recent(weight=0.5, budget=ByteCount(100 * MB))]
    found = plan(world(candidate("a", days=9), candidate("b", days=1)), rules, NOW, {**BUILT_IN, "mad": mad})
    assert {d.video: d.rule for d in found.decisions} == {"a": "x", "b": "recent"}
    assert [d.value for d in found.decisions if d.rule == "x"] == [0.0]


def test_a_further_kind_ranks_by_its_own_value_and_one_that_is_missing_ranks_nothing() -> None:
    def longest(rule: Rule, video: Candidate, now: datetime) -> float:
        return float(video.duration)

    videos = [candidate("long", duration=900), candidate("short", duration=60)]
    rule = Rule(RuleId("x"), "Longest", "longest", budget=ByteCount(100 * MB))
    kept = [d for d in plan(world(*videos), [rule], NOW, {"longest": longest}).decisions if d.rank == 1]
    assert [(d.video, d.value, d.verdict) for d in kept] == [("long", 900.0, Verdict.PIN)]
    assert all(d.value == 0 for d in plan(world(*videos), [rule], NOW, {}).decisions)


def test_a_counter_that_goes_back_and_forth_makes_nobody_trend() -> None:
    honest = candidate("a", views=100, days=50, history=_hourly(*[100] * 48))
    shaky = candidate("b", views=100, days=50, history=_hourly(*[100, 0] * 24))
    assert trend(shaky, NOW) == pytest.approx(trend(honest, NOW))


@STEADY
@given(histories(), st.integers(0, 48), st.integers(0, 5000), st.integers(0, 5000))
def test_more_views_seen_last_never_lower_the_trend(
    history: tuple[Observation, ...], hours: int, views: int, more: int
) -> None:
    at = max((seen.at for seen in history), default=NOW - timedelta(days=9)) + timedelta(minutes=1)
    at = min(at, NOW - timedelta(seconds=1))
    rates = [
        trend(candidate("a", days=30, history=(*history, Observation(at, count))), NOW)
        for count in (views, views + more)
    ]
    assert 0 <= rates[0] <= rates[1] + 1e-9


def test_the_best_rendition_within_the_height_is_chosen_with_the_sound_it_needs() -> None:
    split = (
        rendition(1080, 300, audio=False),
        rendition(720, 200, fps=60, audio=False),
        rendition(720, 150, audio=False),
        rendition(0, 10, video=False),
        rendition(720, 250, kind=RenditionKind.WEB),
    )
    assert [r.name for r in chosen(split, 720, web_videos=False)] == ["720p60", "audio"]
    assert [r.name for r in chosen(split, None, web_videos=False)] == ["1080p", "audio"]
    assert [r.name for r in chosen(split, 720, web_videos=True)] == ["720p60", "audio", "720p-web"]
    assert chosen(split, 480, web_videos=False) == ()


def test_plain_mp4_is_chosen_only_where_there_is_no_hls_and_sound_alone_where_there_is_no_picture() -> None:
    web = (rendition(480, 90, kind=RenditionKind.WEB), rendition(240, 40, kind=RenditionKind.WEB))
    assert [r.name for r in chosen(web, 1080, web_videos=False)] == ["480p-web"]
    assert [r.name for r in chosen((rendition(0, 10, video=False),), 720, web_videos=False)] == ["audio"]
    assert chosen((), None, web_videos=True) == ()


def test_a_size_is_estimated_by_the_channels_median_bitrate_and_else_by_what_is_usual() -> None:
    video = candidate("a", renditions=(), duration=100, channels=frozenset({NEWS, FILMS}))
    bitrates = {NEWS: {480: 800_000, 1080: 8_000_000}, FILMS: {720: 1_600_000}}
    assert estimate(video, 720, bitrates) == 20_000_000
    assert estimate(video, None, bitrates) == 100_000_000
    assert estimate(video, 480, {}) == 100 * 1_100_000 // 8
    assert estimate(replace(video, duration=0), 100, {}) == 600 * 128_000 // 8
    guessed = choice(replace(video, renditions=(rendition(480, 0),)), 720, bitrates)
    assert guessed is not None
    assert (guessed.names, guessed.size, guessed.estimated) == (("480p",), 10_000_000, True)


def test_every_reason_has_a_sentence_with_and_without_its_numbers() -> None:
    facts: dict[str, str | int | float] = {"rule": "X", "rank": 1, "of": 2, "bytes": 5, "until": "2026-03-01T00:00:00Z"}
    for code, given_facts in itertools.product(ReasonCode, ({}, facts)):
        text = sentence(Reason(code, given_facts))
        assert text.endswith(".")
        assert text[0].isupper() or text[0] == "“"
    decision = Decision(VideoId("a"), Verdict.LEAVE, (Reason(ReasonCode.HAND_PIN), Reason(ReasonCode.LIVE)))
    assert explain(decision) == "You pinned it by hand. It is a live stream, and those are left alone for now."
    assert [verdict_word(v) for v in Verdict] == ["kept", "wanted", "going", "skipped"]


def test_sizes_and_dates_read_as_people_write_them() -> None:
    sizes = [0, 999, 1000, 99_400, 999_499, 999_500, 12_300_000, 1_250_000_000, 3 * 10**15]
    read = ["0 bytes", "999 bytes", "1.0 kB", "99 kB", "999 kB", "1.0 MB", "12 MB", "1.2 GB", "3000 TB"]
    assert [human_size(size) for size in sizes] == read
    assert human_date("2026-03-01T10:00:00Z") == human_date("2026-03-01") == "1 March 2026"
    assert human_date("soon") == "soon"


def test_a_share_of_a_disk_that_drifts_releases_nothing_and_fetches_nothing() -> None:
    videos = tuple(candidate(f"v{n:02}", days=n, size=50 * MB) for n in range(40))
    rule = recent(budget_share=0.5)
    found = plan(world(*videos, free=2_000 * MB, floor=0), [rule], NOW)
    pins = [d.video for d in found.decisions if d.verdict is Verdict.PIN]
    assert len(pins) == 19
    settled = carried_out(world(*videos, free=2_000 * MB, floor=0), found)
    for drift in (-30 * MB, 30 * MB):
        disk = replace(settled.disk, free=ByteCount(settled.disk.free + drift))
        again = plan(replace(settled, disk=disk), [rule], NOW)
        assert (again.fetched, again.released) == (0, 0)


def test_ten_thousand_videos_and_five_rules_are_planned_within_a_second() -> None:
    history = _hourly(*range(0, 400, 10))
    videos = tuple(
        candidate(f"v{n:05}", days=n / 10, views=n * 7919 % 10_007, size=(n % 90 + 10) * MB, history=history)
        for n in range(10_000)
    )
    kinds = [*RuleKind, RuleKind.RECENT]
    rules = [
        Rule(RuleId(f"r{n}"), f"Rule {n}", kind, budget=ByteCount(40_000 * MB), filters=Filters(min_views=n))
        for n, kind in enumerate(kinds)
    ]
    big = World(videos, Disk(ByteCount(10**12), ByteCount(10**12), ByteCount(0), ByteCount(0)))
    before = time.process_time()
    found = plan(big, rules, datetime(2026, 3, 10, 12, tzinfo=UTC))
    spent = time.process_time() - before
    assert len(found.decisions) == 10_000
    assert all(use.used > 39_900 * MB for use in found.rules if use.rule != f"r{kinds.index(RuleKind.LAST_N)}")
    assert spent < 2, f"{spent:.2f} s of processor time"
