"""Whose copy is looked into next: the pure choice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.plan import Copies, CopySource, Rule, RuleKind
from appliance.domain.units import ChannelId, RuleId, VideoId
from appliance.plan.survey import (
    HOST_RESTS,
    NEXT_PEER_AFTER,
    RIGHT_RESTS,
    SILENT_RESTS,
    WRONG_RESTS,
    Asked,
    Target,
    Try,
    host_key,
    needing,
    next_one,
    next_peer,
    targets,
)
from appliance.store.copies import Subject
from appliance.store.trust import Line
from appliance.swarm.port import PeerSeen

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
RARE = Rule(RuleId("rare"), "Rare", RuleKind.RARE_FIRST)
HOUR = timedelta(hours=1)


def subject(name: str, *, held: bool = True, live: int | None = 1, lines: tuple[Line, ...] = ()) -> Subject:
    channel, mirrors = frozenset({ChannelId("c")}), ("https://mirror.example/static/hls/x",)
    return Subject(
        VideoId(name), held, channel, frozenset({"folk"}), Copies(live), "tube.example", mirrors, tuple(lines)
    )


def target(video: str, host: str, **changes: object) -> Target:
    made = Target(VideoId(video), CopySource.MIRRORS, host, f"https://{host}/x", True, 1, None, RIGHT_RESTS)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_only_rules_that_hang_on_copies_have_anybody_asked() -> None:
    recent = Rule(RuleId("new"), "New", RuleKind.RECENT)
    guarded = replace(recent, keep_below=2)
    assert needing((recent, RARE, guarded, replace(RARE, paused=True))) == (RARE, guarded)
    assert targets((subject("a"),), ()) == ()


def test_a_rule_looks_at_its_own_channels_and_tags_only() -> None:
    known = (subject("a"),)
    assert targets(known, (replace(RARE, channels=frozenset({ChannelId("other")})),)) == ()
    assert targets(known, (replace(RARE, tags=frozenset({"jazz"})),)) == ()
    found = targets(known, (replace(RARE, channels=frozenset({ChannelId("c")}), tags=frozenset({"Folk"})),))
    assert [(t.source, t.host) for t in found] == [
        (CopySource.ORIGIN, "tube.example"),
        (CopySource.MIRRORS, "mirror.example"),
    ]


def test_peers_are_asked_only_where_some_were_counted_and_rest_once_enough_proved_it() -> None:
    counted = Line(CopySource.TRACKER, "", 3, NOW)
    (peers,) = [t for t in targets((subject("a", lines=(counted,)),), (RARE,)) if t.source is CopySource.PEERS]
    assert (peers.host, peers.last, peers.again) == ("", None, NEXT_PEER_AFTER)
    none = subject("a", lines=(replace(counted, count=0),))
    assert all(t.source is not CopySource.PEERS for t in targets((none,), (RARE,)))
    proved = replace(subject("a", lines=(counted,)), copies=Copies(3, verified=5))
    assert [t.again for t in targets((proved,), (RARE,))] == [RIGHT_RESTS] * 3
    hungry = targets((proved,), (replace(RARE, keep_below=6),))
    assert [t.again for t in hungry if t.source is CopySource.PEERS] == [NEXT_PEER_AFTER]


def test_held_last_copies_come_first_then_held_ones_then_those_to_fetch() -> None:
    known = targets(
        (subject("fetch", held=False, live=0), subject("many", live=9), subject("last"), subject("dark", live=None)),
        (RARE,),
    )
    order = sorted(known, key=lambda t: (t.urgency, t.video))
    assert [t.video for t in order[::2]] == ["dark", "last", "many", "fetch"]
    found = next_one(known, {}, Asked(), NOW).target
    assert found is not None
    assert found.video == "dark"


def test_the_oldest_answer_is_renewed_first_and_not_before_it_is_due() -> None:
    old, older = NOW - RIGHT_RESTS - HOUR, NOW - RIGHT_RESTS - 2 * HOUR
    known = [target("a", "one", last=old), target("b", "two", last=older), target("c", "three", last=NOW - HOUR)]
    assert next_one(known, {}, Asked(), NOW).target == known[1]
    rested = next_one(known[2:], {}, Asked(), NOW)
    assert (rested.target, rested.again) == (None, NOW - HOUR + RIGHT_RESTS)
    wrong = target("a", "one", last=NOW - WRONG_RESTS, again=WRONG_RESTS)
    assert next_one([wrong], {}, Asked(), NOW).target == wrong


def test_silence_is_borne_longer_each_time() -> None:
    one = target("a", "one")
    for times, rests in ((1, SILENT_RESTS), (2, 2 * SILENT_RESTS), (9, RIGHT_RESTS), (10_000, RIGHT_RESTS)):
        tries = {one.key: Try(NOW, times)}
        found = next_one([one], tries, Asked(), NOW)
        assert (found.target, found.again) == (None, NOW + rests)
        assert next_one([one], tries, Asked(), NOW + rests).target == one


def test_one_host_is_not_asked_twice_in_a_row_while_another_is_due() -> None:
    urgent, other = target("a", "same", urgency=0), target("b", "other", urgency=2)
    before = Asked("same", NOW - HOUR)
    assert next_one([urgent, other], {}, before, NOW).target == other
    just = Asked("same", NOW)
    alone = next_one([urgent], {}, just, NOW)
    assert (alone.target, alone.again) == (None, NOW + HOST_RESTS)
    assert next_one([urgent], {}, just, NOW + HOST_RESTS).target == urgent


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 200)), max_size=12),
    st.integers(0, 300),
)
def test_whoever_is_chosen_is_due_and_who_is_not_is_due_later(made: list[tuple[str, str, int]], hours: int) -> None:
    known = [target(video, host, last=NOW + age * HOUR) for video, host, age in made]
    now = NOW + hours * HOUR
    found = next_one(known, {}, Asked("x", NOW), now)
    if found.target is not None:
        assert found.target.last is not None
        assert found.target.last + RIGHT_RESTS <= now
    elif known:
        assert found.again is not None
        assert found.again > now


def test_of_the_peers_one_that_claims_everything_and_was_not_asked_lately_is_next() -> None:
    video = VideoId("a")
    part, maybe = PeerSeen(("9.9.9.1", 1), False), PeerSeen(("9.9.9.2", 1), None)
    whole, proved = PeerSeen(("9.9.9.3", 1), True), PeerSeen(("9.9.9.4", 1), True)
    lines = (Line(CopySource.PEERS, "9.9.9.4", 1, NOW - HOUR),)
    peers = (part, maybe, proved, whole)
    assert next_peer(peers, lines, {}, video, Asked(), NOW) == whole
    assert next_peer(peers, lines, {}, video, Asked("9.9.9.3", NOW), NOW) == maybe
    tries = {(video, CopySource.PEERS, "9.9.9.3"): Try(NOW - HOUR, 1)}
    assert next_peer(peers, lines, tries, video, Asked(), NOW) == maybe
    assert next_peer((part, proved), lines, {}, video, Asked(), NOW) is None
    assert next_peer((proved,), lines, {}, video, Asked(), NOW + RIGHT_RESTS) == proved


def test_a_household_with_many_ipv6_addresses_is_one_host() -> None:
    assert host_key("2001:db8:1:2::5") == host_key("2001:db8:1:2:ffff::9") != host_key("2001:db8:1:3::5")
    assert host_key("9.9.9.9") == host_key("::ffff:9.9.9.9") == "9.9.9.9"
