"""The store on a real SQLite file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from appliance.clock import ManualClock
from appliance.domain.catalogue import VideoFilter, VideoSort
from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind, ChannelState, Trouble, WhenGone
from appliance.domain.pin import Pin, PinState, Wish
from appliance.domain.plan import Decision, Filters, Observation, Plan, Reason, ReasonCode, Rule, RuleKind, Verdict
from appliance.domain.traffic import Entry, TrafficClass
from appliance.domain.units import ByteCount, ChannelId, Origin, RenditionName, RuleId, VideoId, video_id
from appliance.domain.video import Rendition, RenditionKind, Upstream, VideoDetail, VideoSummary
from appliance.errors import SchemaTooNew, StoreError
from appliance.store import (
    channels,
    decisions,
    details,
    ledger,
    lists,
    observations,
    pins,
    rules,
    saved,
    videos,
)
from appliance.store.engine import Session, Store, Touched
from appliance.store.leases import MOST, MOST_OF_HOLDER, SILENCE, Leases

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HOST = Origin("tube.example.org")


def info(name: str = "films") -> ChannelInfo:
    return ChannelInfo(ChannelAddress("https://tube.example.org", HOST, ChannelKind.CHANNEL, name), title=name.title())


def summary(n: int, **changes: object) -> VideoSummary:
    values: dict[str, object] = {
        "id": video_id(HOST, f"uuid-{n}"),
        "origin": HOST,
        "base_url": "https://tube.example.org",
        "uuid": f"uuid-{n}",
        "url": f"https://tube.example.org/videos/watch/uuid-{n}",
        "title": f"Film {n}",
        "description": "",
        "duration": 60,
        "published_at": NOW - timedelta(days=n),
        "views": 10 * n,
        "likes": 0,
        "is_live": False,
        "nsfw": False,
    }
    return VideoSummary(**(values | changes))  # type: ignore[arg-type]


def rendition(name: str = "720p", size: int = 1000) -> Rendition:
    return Rendition(
        RenditionName(name), RenditionKind.HLS, 720, 1280, 25, True, True, ByteCount(size), "https://x/f-720.mp4"
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "catalogue.db") as opened:
        yield opened


async def followed(store: Store, count: int = 3) -> ChannelId:
    channel = await store.write(channels.follow, info(), NOW)
    await store.write(videos.put_page, channel, tuple(summary(n) for n in range(count)), NOW, 1)
    return channel


async def test_a_page_is_new_once_and_known_after(store: Store) -> None:
    channel = await store.write(channels.follow, info(), NOW)
    page = tuple(summary(n) for n in range(3))
    first = await store.write(videos.put_page, channel, page, NOW, 1)
    again = await store.write(videos.put_page, channel, page, NOW, 2)
    assert len(first.new) == 3
    assert (again.new, again.changed, again.known) == ((), (), 3)


async def test_no_detail_is_asked_for_of_a_channel_that_was_left(store: Store) -> None:
    channel = await followed(store, 2)
    assert await store.read(details.wanted, HOST, NOW, 10) != ()
    await store.promise(channels.leave, channel)
    assert await store.read(details.wanted, HOST, NOW, 10) == ()
    assert (await store.read(details.origins, NOW)) == ((), None)


async def test_a_changed_title_makes_the_detail_due_and_a_changed_counter_does_not(store: Store) -> None:
    channel = await followed(store, 2)
    for n in range(2):
        await store.write(videos.put_detail, VideoDetail(summary(n), Upstream.PUBLISHED, (rendition(),)), "e", NOW)
    page = (summary(0, title="Another"), summary(1, views=999))
    outcome = await store.write(videos.put_page, channel, page, NOW, 2)
    assert outcome.changed == (summary(0).id,)
    assert await store.read(details.wanted, HOST, NOW, 10) == (summary(0).id,)


async def test_a_detail_rests_while_only_the_time_of_change_moves_and_not_when_it_never_came(store: Store) -> None:
    channel = await followed(store, 2)
    detail = VideoDetail(summary(0), Upstream.PUBLISHED, (rendition(),))
    await store.write(videos.put_detail, detail, "e", NOW)
    page = tuple(summary(n, updated_at=NOW) for n in range(2))
    await store.write(videos.put_page, channel, page, NOW, 2)
    assert await store.read(details.wanted, HOST, NOW, 10) == (summary(1).id,)
    later = NOW + videos.TOUCHED_RESTS
    assert set(await store.read(details.wanted, HOST, later, 10)) == {summary(0).id, summary(1).id}


async def test_what_a_whole_listing_no_longer_names_is_absent_and_its_detail_due(store: Store) -> None:
    channel = await followed(store, 3)
    for n in range(3):
        await store.write(videos.put_detail, VideoDetail(summary(n), Upstream.PUBLISHED, (rendition(),)), "e", NOW)
    await store.write(videos.put_page, channel, (summary(0), summary(2)), NOW, 2)
    assert await store.write(videos.close_listing, channel, 2, NOW) == (summary(1).id,)
    assert await store.read(details.wanted, HOST, NOW, 10) == (summary(1).id,)
    kept = await store.read(channels.one, channel)
    assert kept is not None
    assert kept.listed == 2


async def test_details_are_wanted_in_the_order_of_the_plan_with_hand_pins_first(store: Store) -> None:
    await followed(store, 4)
    ids = [summary(n).id for n in range(4)]
    order = (ids[2], ids[1], ids[0])
    lines = tuple(Decision(v, Verdict.PIN, (Reason(ReasonCode.CHOSEN, {"rank": 1}),)) for v in order)
    await store.write(decisions.put_plan, Plan(lines, (), ByteCount(0), ByteCount(0), ByteCount(0)), NOW)
    await store.promise(videos.wish, ids[3], Wish.PIN)
    assert await store.read(details.wanted, HOST, NOW, 10) == (ids[3], *order)


async def test_a_detail_comes_back_as_it_was_put(store: Store) -> None:
    await followed(store, 1)
    detail = VideoDetail(
        summary(0, tags=("a", "b")), Upstream.PUBLISHED, (rendition(),), "https://x/m", "https://x/s", ("t",), ("m",)
    )
    assert await store.write(videos.put_detail, detail, "etag", NOW)
    assert not await store.write(videos.put_detail, detail, "etag", NOW)
    record = await store.read(videos.one, summary(0).id)
    assert record is not None
    assert (record.summary, record.renditions, record.trackers) == (detail.summary, detail.renditions, ("t",))
    assert (record.detail_etag, record.detail_at, record.master_url) == ("etag", NOW, "https://x/m")


async def test_lists_filter_sort_and_page(store: Store) -> None:
    channel = await followed(store, 30)
    page = await store.read(lists.page, VideoFilter(channel=channel, text="film 2", sort=VideoSort.VIEWS, limit=5))
    assert page.total == 11
    assert [line.title for line in page.items] == ["Film 29", "Film 28", "Film 27", "Film 26", "Film 25"]
    assert (await store.read(lists.page, VideoFilter(text="100%"))).total == 0


async def test_only_a_changed_verdict_is_logged(store: Store) -> None:
    await followed(store, 1)
    video = summary(0).id

    def plan(verdict: Verdict, value: float = 0.0) -> Plan:
        line = Decision(video, verdict, (Reason(ReasonCode.CHOSEN),), value=value)
        return Plan((line,), (), ByteCount(0), ByteCount(0), ByteCount(0))

    assert await store.write(decisions.put_plan, plan(Verdict.PIN), NOW) == 1
    assert await store.write(decisions.put_plan, plan(Verdict.PIN, 2.0), NOW) == 0
    assert await store.write(decisions.put_plan, plan(Verdict.RELEASE), NOW) == 1
    log = await store.read(decisions.changes, 10)
    assert [(c.before, c.after) for c in log] == [(Verdict.PIN, Verdict.RELEASE), (None, Verdict.PIN)]


async def test_listeners_hear_once_of_what_changed_and_never_of_what_failed(store: Store) -> None:
    heard: list[Touched] = []
    told = asyncio.Event()

    def listener(marks: Touched) -> None:
        heard.append(marks)
        told.set()

    end = store.listen(listener)
    channel = await store.write(channels.follow, info(), NOW)
    await asyncio.wait_for(told.wait(), 5)
    assert heard == [frozenset({("channel", channel), ("listing", channel)})]
    told.clear()
    with pytest.raises(AttributeError):
        await store.write(pins.put, None)  # type: ignore[arg-type]
    end()
    await store.write(channels.make_due, channel, NOW)
    assert not told.is_set()


async def test_a_reader_cannot_write(store: Store) -> None:
    from sqlalchemy.exc import OperationalError

    def writes(session: object) -> None:
        channels.follow(session, info(), NOW)  # type: ignore[arg-type]
        session.commit()  # type: ignore[attr-defined]

    with pytest.raises(OperationalError, match="readonly"):
        await store.read(writes)


async def test_pins_rules_and_the_ledger_come_back_as_they_were_put(store: Store) -> None:
    await followed(store, 1)
    pin = Pin(
        summary(0).id,
        PinState.WAITING,
        (RenditionName("720p"),),
        ByteCount(10),
        ByteCount(4),
        NOW,
        trouble=Trouble("no_space", "The disk is full.", "Make room."),
    )
    await store.promise(pins.put, pin)
    assert await store.read(pins.every) == (pin,)
    await store.promise(pins.drop, pin.video)
    assert await store.read(pins.every) == ()

    rule = Rule(RuleId("r1"), "News", RuleKind.RECENT, frozenset({ChannelId("c")}), min_lifetime=timedelta(days=2))
    await store.promise(rules.put, rule)
    assert await store.read(rules.every) == (rule,)

    entry = Entry(
        date(2026, 11, 21), VideoId("v"), RenditionName("720p"), TrafficClass.LAN_PEERS, ByteCount(5), ByteCount(7)
    )
    await store.write(ledger.add, (entry, entry))
    days = await store.read(ledger.days, date(2026, 11, 1), date(2026, 11, 30))
    assert days == {date(2026, 11, 21): {TrafficClass.LAN_PEERS: (10, 14)}}


async def test_leaving_a_channel_keeps_the_videos_another_one_lists(store: Store) -> None:
    first = await followed(store, 2)
    second = await store.write(channels.follow, info("talks"), NOW)
    await store.write(videos.put_page, second, (summary(0),), NOW, 1)
    assert await store.promise(channels.leave, first)
    record = await store.read(videos.one, summary(0).id)
    assert record is not None
    assert record.channels == (second,)
    assert [c.id for c in await store.read(channels.every)] == [second]


async def test_what_only_a_left_channel_listed_is_neither_shown_nor_counted(store: Store) -> None:
    channel = await followed(store, 4)
    await store.promise(videos.wish, summary(0).id, Wish.PIN)
    await store.promise(videos.wish, summary(1).id, Wish.NEVER)
    held = VideoId(summary(2).id)
    await store.promise(pins.put, Pin(held, PinState.PINNED, (RenditionName("720p"),), ByteCount(9), ByteCount(9), NOW))
    before = await store.read(lists.holdings)
    assert (before.videos, before.channels) == (4, 1)
    await store.promise(channels.leave, channel)
    after, page = await store.read(lists.holdings), await store.read(lists.page, VideoFilter())
    assert (after.videos, after.channels, page.total) == (3, 0, 3)
    assert {line.id for line in page.items} == {summary(n).id for n in range(3)}
    await followed(store, 4)
    assert (await store.read(lists.holdings)).videos == 4


async def test_settings_of_a_channel_outlive_following_it_again(store: Store) -> None:
    channel = await store.promise(channels.follow, info(), NOW)
    await store.promise(channels.change, channel, when_gone=WhenGone.RELEASE)
    await store.promise(channels.follow, info(), NOW + timedelta(days=1))
    kept = await store.read(channels.one, channel)
    assert kept is not None
    assert (kept.when_gone, kept.state, kept.followed_at) == (WhenGone.RELEASE, ChannelState.NEW, NOW)


async def test_old_observations_are_thinned_and_the_newest_of_each_hour_stays(store: Store) -> None:
    await followed(store, 1)
    video = summary(0).id
    start = (NOW - timedelta(days=5)).replace(minute=0)
    for minutes in range(0, 120, 20):
        seen = Observation(start + timedelta(minutes=minutes), minutes)
        await store.write(observations.add, video, seen)
    assert await store.write(observations.thin, NOW) == 4
    left = await store.read(observations.of, video)
    assert [o.views for o in left if o.at < NOW] == [40, 100]


async def test_a_newer_schema_is_refused_and_a_torn_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    async with Store(path):
        pass
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num='9999'")
    raw.close()
    with pytest.raises(SchemaTooNew, match="newer Seedkeep"):
        async with Store(path):
            pass
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        async with Store(path):
            pass


async def test_a_lease_wakes_once_and_ends_after_silence() -> None:
    clock = ManualClock(NOW)
    leases = Leases(clock)
    woken: list[VideoId] = []
    leases.listen(woken.append)
    video = VideoId("v")
    leases.renew(video, "tv")
    leases.renew(video, "phone")
    clock.advance(SILENCE - 1)
    leases.renew(video, "tv")
    clock.advance(2)
    assert woken == [video]
    assert [lease.holder for lease in leases.every()] == ["tv"]
    clock.advance(SILENCE)
    assert not leases.held(video)


async def test_who_asks_for_any_number_of_videos_takes_no_one_elses_lease() -> None:
    leases = Leases(ManualClock(NOW))
    leases.renew(VideoId("v"), "tv")
    for n in range(MOST):
        leases.renew(VideoId(f"video {n}"), "stranger")
    assert leases.held(VideoId("v"))
    assert [lease.video for lease in leases.every() if lease.holder == "stranger"] == [
        f"video {n}" for n in range(MOST - MOST_OF_HOLDER, MOST)
    ]
    for n in range(MOST):
        leases.renew(VideoId("v"), "tv")
        leases.renew(VideoId("w"), f"stranger {n}")
    assert len(leases.every()) == MOST
    assert "tv" in {lease.holder for lease in leases.every()}


def test_the_migrations_make_the_tables_that_the_code_declares(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlmodel import SQLModel

    from appliance.store.engine import SCHEMA
    from appliance.store.migrations.run import known_versions, upgrade

    upgrade(tmp_path / "x.db")
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, SQLModel.metadata) == []
        assert context.get_current_revision() == SCHEMA, "a database that says so is not looked at any further"
    engine.dispose()
    assert SCHEMA in known_versions()


@pytest.mark.parametrize(("least", "filters"), [("100", Filters(min_views=100)), ("null", Filters())])
async def test_a_rule_of_the_first_schema_keeps_what_it_asked_for(tmp_path: Path, least: str, filters: Filters) -> None:
    from alembic import command
    from alembic.config import Config

    from appliance.store.migrations import run

    path = tmp_path / "catalogue.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(run.__file__).parent))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO rules (id, position, body) VALUES ('popular', 1, ?)", (V1_RULE % least,)
        )
        connection.commit()
    engine.dispose()
    async with Store(path) as store:
        (rule,) = await store.read(rules.every)
    assert rule == Rule(
        RuleId("popular"),
        "Popular",
        "most_viewed",
        channels=frozenset({ChannelId("abc")}),
        budget=ByteCount(1_000_000),
        min_lifetime=timedelta(days=2),
        max_height=720,
        filters=filters,
        weight=2.0,
    )


V1_RULE = (
    '{"id":"popular","name":"Popular","kind":"most_viewed","channels":["abc"],"budget":1000000,"budget_share":null,'
    '"min_lifetime":"P2D","max_lifetime":null,"max_height":720,"min_views":%s,"weight":2.0,"paused":false}'
)
"""As the first schema's Seedkeep wrote it."""


async def test_a_database_that_cannot_grow_says_so_and_goes_on_once_it_can(tmp_path: Path) -> None:
    def grow(session: Session, most: int) -> None:
        session.connection().exec_driver_sql(f"PRAGMA max_page_count={most}")
        saved.put(session, "large", '"' + "x" * 500_000 + '"')

    async with Store(tmp_path / "catalogue.db") as store:
        with pytest.raises(StoreError, match="its disk is full"):
            await store.write(grow, 1)
        assert store.trouble is not None
        assert await store.read(saved.get, "large") is None
        await store.write(grow, 1 << 20)
        assert store.trouble is None
        assert await store.read(saved.get, "large") is not None
