"""Copies elsewhere in the store: what each source says, how old it is, and what all of it comes to."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.domain.catalogue import OriginToday
from appliance.domain.channel import ChannelState, Trouble
from appliance.domain.plan import Copies, CopySource
from appliance.domain.units import ByteCount, VideoId
from appliance.domain.video import Upstream, VideoDetail
from appliance.store import census, channels, copies, details, origins, trends, videos
from appliance.store.copies import Counted
from appliance.store.engine import Store
from appliance.store.trust import DOWN_AFTER, ORIGIN_TRUST, PROOF_TRUST, SEEN_TRUST
from tests.unit.test_store import HOST, NOW, followed, rendition, summary

MIRRORS = ("https://m1.example/static/x", "https://m2.example/static/x", "https://tube.example.org/static/x")
HOUR = timedelta(hours=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "catalogue.db") as opened:
        yield opened


async def known(store: Store, mirrors: tuple[str, ...] = MIRRORS) -> VideoId:
    await followed(store, 1)
    detail = VideoDetail(summary(0), Upstream.PUBLISHED, (rendition(),), mirrors=mirrors)
    await store.write(videos.put_detail, detail, None, NOW)
    return summary(0).id


async def answers(store: Store, *, failures: int = 0, after: timedelta = timedelta(0)) -> None:
    today = OriginToday(HOST, 1, ByteCount(1), failures, None, NOW)
    await store.write(origins.put, NOW + after, (today,))


async def now(store: Store, video: VideoId, after: timedelta = timedelta(0)) -> Copies:
    """Return the copies as the page has them, after seeing that a plan has the same."""
    found = await store.read(copies.of, video, NOW + after)
    (seen,) = await store.read(census.candidates, NOW, frozenset(), False, NOW + after)
    assert seen.copies == found
    return found


def told(found: Copies) -> dict[str, int]:
    return {report.source.value: report.count for report in found.reports}


async def test_nothing_known_is_unknown_not_zero(store: Store) -> None:
    await followed(store, 1)
    found = await now(store, summary(0).id)
    assert (found.live, found.verified, found.reports) == (None, 0, ())


async def test_trackers_and_peers_overlap_mirrors_and_the_origin_do_not(store: Store) -> None:
    video = await known(store)
    await answers(store)
    await store.write(copies.note_counted, {video: Counted(4, 3)}, NOW)
    found = await now(store, video)
    assert told(found) == {"tracker": 4, "peers": 3, "mirrors": 2, "origin": 1}
    assert found.live == 7
    record = await store.read(videos.one, video)
    assert record is not None
    assert (record.copies, record.copies_at) == (7, NOW)


async def test_what_grew_old_is_unknown_again(store: Store) -> None:
    video = await known(store)
    await answers(store)
    await store.write(copies.note_counted, {video: Counted(4, None)}, NOW)
    assert told(await now(store, video, SEEN_TRUST - HOUR)) == {"tracker": 4, "mirrors": 2, "origin": 1}
    assert told(await now(store, video, SEEN_TRUST)) == {"mirrors": 2, "origin": 1}
    assert (await now(store, video, ORIGIN_TRUST)).live is None
    await store.write(copies.note_counted, {video: Counted(None, None)}, NOW + SEEN_TRUST)
    assert "tracker" not in told(await now(store, video, SEEN_TRUST)), "unknown does not renew what was known"


async def test_an_unchanged_count_is_renewed_without_being_written_each_time(store: Store) -> None:
    video = await known(store, ())
    for minutes in range(0, 600, 2):
        await store.write(copies.note_counted, {video: Counted(4, None)}, NOW + timedelta(minutes=minutes))
    (line,) = (await store.read(copies.lines, [video]))[video]
    assert timedelta(hours=9) - timedelta(minutes=2) <= line.at - NOW <= timedelta(hours=10)


async def test_an_origin_counts_while_it_answers(store: Store) -> None:
    video = await known(store, ())
    await answers(store)
    assert (await now(store, video)).live == 1
    await answers(store, failures=3, after=HOUR)
    assert (await now(store, video, HOUR + DOWN_AFTER - HOUR)).live == 1, "a short spell moves nothing"
    assert (await now(store, video, HOUR + DOWN_AFTER)).live == 0
    (seen,) = await store.read(census.candidates, NOW, frozenset(), False, NOW)
    assert seen.origin_failing == NOW + HOUR
    await answers(store, failures=9, after=5 * HOUR)
    (seen,) = await store.read(census.candidates, NOW, frozenset(), False, NOW)
    assert seen.origin_failing == NOW + HOUR, "since the first time, not the last"
    await answers(store, after=6 * HOUR)
    (seen,) = await store.read(census.candidates, NOW, frozenset(), False, NOW)
    assert seen.origin_failing is None


async def test_an_origin_that_answers_but_not_for_any_channel_of_ours_fails(store: Store) -> None:
    video = await known(store, ())
    (channel,) = await store.read(channels.every)
    trouble = Trouble("bad_answer", "It says strange things.")
    await store.write(
        channels.note_check, channel.id, NOW, state=ChannelState.FAILING, next_check=NOW, trouble=trouble, failures=1
    )
    await answers(store)
    (seen,) = await store.read(census.candidates, NOW, frozenset(), False, NOW)
    assert (seen.id, seen.origin_failing) == (video, NOW)


async def test_what_is_gone_from_its_origin_has_no_copy_there(store: Store) -> None:
    video = await known(store, ())
    await answers(store)
    await store.write(copies.note_answer, video, CopySource.ORIGIN, HOST, NOW, right=True)
    assert (await now(store, video)).verified == 1
    await store.write(details.note_upstream, video, Upstream.GONE, None, NOW)
    found = await now(store, video)
    assert (found.live, found.verified) == (0, 0)


async def test_verified_are_distinct_hosts_that_answered_within_a_fortnight(store: Store) -> None:
    video = await known(store)
    await answers(store)
    for source, host in (
        (CopySource.PEERS, "9.9.9.9"),
        (CopySource.MIRRORS, "m1.example"),
        (CopySource.MIRRORS, "9.9.9.9"),
        (CopySource.ORIGIN, HOST),
    ):
        await store.write(copies.note_answer, video, source, host, NOW, right=True)
    assert (await now(store, video)).verified == 3
    assert (await now(store, video, PROOF_TRUST)).verified == 0


async def test_a_host_that_failed_does_not_count_until_it_answers_again(store: Store) -> None:
    video = await known(store)
    await answers(store)
    await store.write(copies.note_counted, {video: Counted(2, 2)}, NOW)
    await store.write(copies.note_answer, video, CopySource.PEERS, "9.9.9.9", NOW, right=True)
    for source, host in ((CopySource.PEERS, "9.9.9.9"), (CopySource.MIRRORS, "m1.example"), (CopySource.ORIGIN, HOST)):
        await store.write(copies.note_answer, video, source, host, NOW, right=False)
    found = await now(store, video)
    assert (told(found), found.live, found.verified) == ({"tracker": 2, "peers": 2, "mirrors": 1, "origin": 0}, 2, 0)
    await store.write(copies.note_answer, video, CopySource.MIRRORS, "m1.example", NOW + HOUR, right=True)
    await store.write(copies.note_answer, video, CopySource.ORIGIN, HOST, NOW + HOUR, right=True)
    again = await now(store, video, HOUR)
    assert (again.live, again.verified) == (4, 2)


async def test_what_counts_no_more_is_swept(store: Store) -> None:
    video = await known(store)
    await store.write(copies.note_counted, {video: Counted(4, None)}, NOW)
    await store.write(copies.note_answer, video, CopySource.PEERS, "9.9.9.9", NOW, right=True)
    await store.write(copies.sweep, NOW + PROOF_TRUST)
    assert [line.host for line in (await store.read(copies.lines, [video]))[video]] == ["9.9.9.9"]
    await store.write(copies.sweep, NOW + 3 * PROOF_TRUST)
    assert await store.read(copies.lines) == {}


async def test_a_trending_order_replaces_the_one_before(store: Store) -> None:
    await followed(store, 3)
    first, second = (summary(0).id, summary(2).id), (summary(1).id,)
    await store.write(trends.put, HOST, first, NOW)
    assert await store.read(trends.asked_at, HOST) == NOW
    await store.write(trends.put, HOST, second, NOW + HOUR)
    seen = await store.read(census.candidates, NOW, frozenset(), False, NOW)
    assert {c.id: c.trend_rank for c in seen} == {summary(0).id: None, summary(1).id: 1, summary(2).id: None}
    assert await store.read(trends.asked_at, HOST) == NOW + HOUR
