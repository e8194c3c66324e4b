"""Worlds to plan for: this module builds them small, by hand or by chance, and carries plans out on them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st

from appliance.domain.pin import Wish
from appliance.domain.plan import (
    Candidate,
    Copies,
    Disk,
    Filters,
    Held,
    Observation,
    Plan,
    Rule,
    RuleKind,
    Verdict,
    World,
)
from appliance.domain.units import ByteCount, ChannelId, RenditionName, RuleId, VideoId
from appliance.domain.video import Rendition, RenditionKind, Upstream

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MB = 1_000_000
GB = 1_000_000_000
NEWS = ChannelId("news")
FILMS = ChannelId("films")
STEADY = settings(deadline=None, derandomize=True)
"""The same examples in every run, however busy the machine."""


def rendition(
    height: int,
    size: int,
    *,
    kind: RenditionKind = RenditionKind.HLS,
    fps: int = 30,
    video: bool = True,
    audio: bool = True,
    name: str = "",
) -> Rendition:
    label = "audio" if not video else f"{height}p" + ("60" if fps > 30 else "")
    suffix = "-web" if kind is RenditionKind.WEB else ""
    return Rendition(
        name=RenditionName(name or label + suffix),
        kind=kind,
        height=height,
        width=height * 16 // 9,
        fps=fps if video else 0,
        has_video=video,
        has_audio=audio,
        size=ByteCount(size),
        file_url=f"https://tube.example/static/{label}{suffix}.mp4",
    )


def candidate(
    name: str,
    *,
    days: float = 1,
    size: int = 100 * MB,
    height: int = 720,
    views: int = 10,
    channels: frozenset[ChannelId] = frozenset({NEWS}),
    renditions: tuple[Rendition, ...] | None = None,
    history: tuple[Observation, ...] = (),
    upstream: Upstream = Upstream.PUBLISHED,
    wish: Wish | None = None,
    gone_release: bool = False,
    leased: bool = False,
    duration: int = 600,
) -> Candidate:
    return Candidate(
        id=VideoId(name),
        title=name,
        channels=channels,
        published_at=NOW - timedelta(days=days),
        duration=duration,
        views=views,
        upstream=upstream,
        renditions=(rendition(height, size),) if renditions is None else renditions,
        history=history,
        wish=wish,
        gone_release=gone_release,
        leased=leased,
    )


def held(video: Candidate, *, days: float = 5, rule: str | None = None, done: int | None = None) -> Candidate:
    """Return the video with its first rendition held: whole since ``days`` ago, or ``done`` bytes of it."""
    first = video.renditions[0]
    pinned = NOW - timedelta(days=days) if done is None else None
    got = first.size if done is None else ByteCount(done)
    owner = RuleId(rule) if rule is not None else None
    return replace(video, held=Held((first.name,), first.size, got, pinned, owner))


def world(*videos: Candidate, free: int = 100 * GB, floor: int = 2 * GB, other: int = 0) -> World:
    used = sum(v.held.done for v in videos if v.held is not None) + other
    disk = Disk(ByteCount(used + free), ByteCount(free), ByteCount(floor), ByteCount(used))
    return World(videos, disk)


def recent(**changes: object) -> Rule:
    return replace(Rule(RuleId("recent"), "Recent", RuleKind.RECENT), **changes)  # type: ignore[arg-type]


def carried_out(before: World, plan: Plan) -> World:
    """Return the world after the plan: released videos gone, wanted ones whole; what is unknown stays so."""
    by_id = {decision.video: decision for decision in plan.decisions}
    videos, delta = [], 0
    for video in before.videos:
        decision = by_id[video.id]
        done = video.held.done if video.held is not None else 0
        match decision.verdict:
            case Verdict.RELEASE:
                videos.append(replace(video, held=None))
                delta -= done
            case Verdict.KEEP if video.held is not None:
                payer = decision.rule or video.held.rule
                videos.append(replace(video, held=replace(video.held, rule=payer)))
            case Verdict.PIN if decision.renditions:
                payer = decision.rule or (video.held.rule if video.held is not None else None)
                now_held = Held(decision.renditions, decision.size, decision.size, NOW, payer)
                videos.append(replace(video, held=now_held))
                delta += decision.size - done
            case _:
                videos.append(video)
    disk = before.disk
    moved = replace(disk, used=ByteCount(disk.used + delta), free=ByteCount(disk.free - delta))
    left = before.download_left
    left = None if left is None else ByteCount(max(0, left - plan.fetched))
    return replace(before, videos=tuple(videos), disk=moved, download_left=left)


_HEIGHTS = st.sampled_from([240, 480, 720, 1080, 2160])
_SIZES = st.integers(1, 60).map(lambda n: n * 10 * MB)


@st.composite
def renditions(draw: st.DrawFn) -> tuple[Rendition, ...]:
    kind = draw(st.sampled_from(RenditionKind))
    found = draw(st.dictionaries(_HEIGHTS, _SIZES, min_size=1, max_size=3))
    split = kind is RenditionKind.HLS and draw(st.booleans())
    made = [rendition(height, size, kind=kind, audio=not split) for height, size in found.items()]
    return (*made, *([rendition(0, 5 * MB, video=False)] if split else []))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Observation, ...]:
    hours = draw(st.lists(st.integers(0, 400), max_size=6, unique=True))
    return tuple(Observation(NOW - timedelta(hours=h), draw(st.integers(0, 5000))) for h in hours)


@st.composite
def candidates(draw: st.DrawFn, name: str, *, unknown: bool = False) -> Candidate:
    known = not unknown or draw(st.booleans())
    video = candidate(
        name,
        days=draw(st.integers(0, 900)) / 10,
        views=draw(st.integers(0, 5000)),
        channels=frozenset(draw(st.sets(st.sampled_from([NEWS, FILMS]), min_size=1))),
        renditions=draw(renditions()) if known else (),
        history=draw(histories()),
        upstream=draw(st.sampled_from([Upstream.PUBLISHED] * 6 + list(Upstream))),
        wish=draw(st.sampled_from([None, None, None, None, Wish.PIN, Wish.NEVER, Wish.LET_GO])),
        gone_release=draw(st.booleans()),
        leased=draw(st.sampled_from([False, False, False, True])),
        duration=draw(st.integers(0, 3600)),
    )
    live = draw(st.sampled_from([None, None, 0, 1, 2]))
    video = replace(video, copies=Copies(live, draw(st.integers(0, live or 0))))
    if draw(st.sampled_from([False, False, False, True])):
        video = replace(video, origin_failing=NOW - timedelta(days=draw(st.sampled_from([1, 9]))))
    if video.upstream not in (Upstream.GONE, Upstream.HIDDEN):
        video = replace(video, gone_release=False)
    if not known or not draw(st.booleans()):
        return video
    part = draw(st.sampled_from([None, None, None, 0, 10 * MB]))
    rule = draw(st.sampled_from([None, "r0", "r1", "r2", "forgotten"]))
    return held(video, days=draw(st.integers(0, 40)), rule=rule, done=part)


@st.composite
def worlds(draw: st.DrawFn, *, unknown: bool = False) -> World:
    count = draw(st.integers(0, 12))
    videos = tuple(draw(candidates(f"v{n:02}", unknown=unknown)) for n in range(count))
    free, floor = draw(st.integers(0, 300)) * 10 * MB, draw(st.integers(0, 50)) * 10 * MB
    made = world(*videos, free=free, floor=floor, other=draw(st.sampled_from([0, 7 * MB])))
    quota = draw(st.sampled_from([None, None, 0, 400 * MB, 2000 * MB]))
    left = draw(st.sampled_from([None, None, None, 0, 150 * MB, 700 * MB]))
    return replace(
        made,
        quota=None if quota is None else ByteCount(quota),
        download_left=None if left is None else ByteCount(left),
        taken_lately=ByteCount(draw(st.sampled_from([0, 0, 0, 50 * MB, 400 * MB]))),
    )


@st.composite
def rule_sets(draw: st.DrawFn, *, most: int = 3) -> tuple[Rule, ...]:
    return tuple(draw(rules(f"r{n}")) for n in range(draw(st.integers(0, most))))


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    return Rule(
        id=RuleId(name),
        name=name,
        kind=draw(st.sampled_from(RuleKind)),
        channels=draw(st.sampled_from([None, None, frozenset({NEWS})])),
        channel_budget=draw(st.sampled_from([None, None, None, ByteCount(300 * MB), ByteCount(900 * MB)])),
        most=draw(st.sampled_from([None, None, None, None, 2])),
        per_channel=draw(st.sampled_from([None, None, None, None, 1, 3])),
        smallest=draw(st.sampled_from([False, False, False, True])),
        half_life=draw(st.sampled_from([None, None, timedelta(hours=6)])),
        keep_below=draw(st.sampled_from([None, None, None, 1, 2])),
        budget=draw(st.none() | st.integers(0, 200).map(lambda n: ByteCount(n * 10 * MB))),
        budget_share=draw(st.none() | st.sampled_from([0.1, 0.5, 1.0])),
        min_lifetime=timedelta(days=draw(st.sampled_from([0, 0, 7]))),
        max_lifetime=draw(st.none() | st.just(timedelta(days=30))),
        max_height=draw(st.none() | st.sampled_from([480, 1080])),
        filters=Filters(min_views=draw(st.none() | st.just(100))),
        weight=draw(st.sampled_from([1.0, 1.0, 3.0])),
        paused=draw(st.sampled_from([False, False, False, True])),
    )
