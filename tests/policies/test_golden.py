"""Described worlds and their plans as sentences, in ``tests/golden/plans``: this module compares them.

``UPDATE_GOLDEN=1`` writes the files anew; read the difference before it is committed.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.domain.pin import Wish
from appliance.domain.plan import (
    Candidate,
    Copies,
    CopyReport,
    CopySource,
    Filters,
    Observation,
    Plan,
    Reason,
    ReasonCode,
    Rule,
    RuleKind,
    World,
)
from appliance.domain.units import ByteCount, RuleId, VideoId
from appliance.domain.video import RenditionKind, Upstream
from policies import plan
from policies.explain import explain, human_size, sentence, verdict_word
from policies.presets import default_rules
from policies.wording import counted
from tests.policies.worlds import FILMS, GB, MB, NEWS, NOW, candidate, held, recent, rendition, world

PLANS = Path(__file__).parent.parent / "golden" / "plans"


@dataclass(frozen=True)
class Scene:
    """A world worth a look: ``story`` says what is in it and what should come of it; ``shows`` is its reason."""

    story: str
    shows: ReasonCode
    world: World
    rules: tuple[Rule, ...]


def _rule(name: str, kind: RuleKind, **changes: object) -> Rule:
    made = Rule(RuleId(name.lower()), name, kind)
    return replace(made, **changes)  # type: ignore[arg-type]


def _history(*views: int) -> tuple[Observation, ...]:
    return tuple(Observation(NOW - timedelta(days=len(views) - n), count) for n, count in enumerate(views))


def first_channel() -> Scene:
    videos = [candidate(f"week-{n}", days=7 * n + 1, size=900 * MB, height=1080) for n in range(6)]
    return Scene(
        "A channel was just followed; the default rule may use half of 6 GB and takes the newest first.",
        ReasonCode.CHOSEN,
        world(*videos, free=8 * GB),
        default_rules(),
    )


def by_hand() -> Scene:
    videos = [candidate("wedding", days=900, wish=Wish.PIN), candidate("yesterday")]
    story = "An old video is pinned by hand; no rule asks for it, and it comes first."
    return Scene(story, ReasonCode.HAND_PIN, world(*videos), (recent(max_lifetime=timedelta(days=30)),))


def never_again() -> Scene:
    videos = [held(candidate("advert", wish=Wish.NEVER), rule="recent"), candidate("report")]
    return Scene(
        "The owner never wants one video, which is held: it goes.", ReasonCode.NEVER, world(*videos), (recent(),)
    )


def too_young_to_go() -> Scene:
    rule = recent(budget=ByteCount(200 * MB), min_lifetime=timedelta(days=7))
    videos = [
        held(candidate("monday", days=40), days=2, rule="recent"),
        held(candidate("sunday", days=41), days=9, rule="recent"),
        candidate("today", days=0),
    ]
    story = "A newer video would replace two old ones, but one was pinned two days ago and stays for seven."
    return Scene(story, ReasonCode.MIN_LIFETIME, world(*videos), (rule,))


def being_watched() -> Scene:
    videos = [held(candidate("film", days=400, leased=True), rule="news"), held(candidate("short", days=401))]
    rule = _rule("News", RuleKind.RECENT, max_lifetime=timedelta(days=30))
    return Scene(
        "Of two videos that no rule wants any more, one is being watched.",
        ReasonCode.WATCHED_NOW,
        world(*videos),
        (rule,),
    )


def full_budget() -> Scene:
    videos = [candidate(f"talk-{n}", views=1000 // (n + 1)) for n in range(4)]
    rule = _rule("Popular", RuleKind.MOST_VIEWED, budget=ByteCount(250 * MB))
    return Scene("Room for two of four: the most viewed get it.", ReasonCode.OUTRANKED, world(*videos), (rule,))


def one_giant() -> Scene:
    videos = [candidate("marathon", size=9 * GB, days=0), candidate("sprint", days=3)]
    story = "The newest video is larger than the whole budget; the next one is not made to wait for it."
    return Scene(story, ReasonCode.TOO_LARGE, world(*videos), (recent(budget=ByteCount(4 * GB)),))


def full_disk() -> Scene:
    videos = [candidate("wanted", days=1, size=3 * GB, wish=Wish.PIN), candidate("small", days=2, size=400 * MB)]
    story = "The disk has 500 MB above its floor: a hand pin of 3 GB waits, a small video does not."
    return Scene(story, ReasonCode.NO_SPACE, world(*videos, free=2 * GB + 500 * MB), (recent(),))


def floor_breached() -> Scene:
    videos = [held(candidate(f"v{n}", days=n, size=500 * MB), rule="recent") for n in range(1, 5)]
    story = "Someone else filled the disk: the oldest videos go until the floor holds again."
    return Scene(story, ReasonCode.NO_SPACE, world(*videos, free=1200 * MB), (recent(),))


def disk_filled_meanwhile() -> Scene:
    videos = [
        held(candidate("whole", days=3, size=500 * MB), rule="recent"),
        held(candidate("half", days=2, size=900 * MB), rule="recent", done=400 * MB),
        candidate("newest", days=1, size=300 * MB),
    ]
    before = replace(world(*videos, free=2 * GB + 100 * MB), taken_lately=ByteCount(6 * GB))
    story = "Someone else took 6 GB an hour ago: what came of a video stays and waits, a new one is left for now."
    return Scene(story, ReasonCode.NO_ROOM_NOW, before, (recent(),))


def out_of_scope() -> Scene:
    videos = [candidate("bulletin"), candidate("drama", channels=frozenset({FILMS}))]
    rule = recent(channels=frozenset({NEWS}))
    return Scene("A rule looks at one channel only.", ReasonCode.NO_RULE, world(*videos), (rule,))


def old_news() -> Scene:
    videos = [candidate("fresh", days=2), held(candidate("stale", days=31), rule="recent")]
    rule = recent(max_lifetime=timedelta(days=30))
    return Scene("A rule lets go of what is older than a month.", ReasonCode.TOO_OLD, world(*videos), (rule,))


def unseen() -> Scene:
    videos = [candidate("hit", views=5000), candidate("flop", views=3)]
    rule = _rule("Popular", RuleKind.MOST_VIEWED, filters=Filters(min_views=100))
    return Scene("A rule asks for a hundred views.", ReasonCode.TOO_FEW_VIEWS, world(*videos), (rule,))


def not_ready() -> Scene:
    videos = [candidate("stream", upstream=Upstream.LIVE), candidate("upload", upstream=Upstream.PROCESSING)]
    return Scene("A live stream and a video still being transcoded.", ReasonCode.LIVE, world(*videos), (recent(),))


def lost_upstream() -> Scene:
    videos = [
        held(candidate("rescued", days=90, upstream=Upstream.GONE), rule="recent"),
        held(candidate("obeyed", days=91, upstream=Upstream.GONE, gone_release=True), rule="recent"),
        candidate("missed", days=92, upstream=Upstream.GONE),
        held(candidate("private", days=93, upstream=Upstream.HIDDEN), rule="recent"),
        candidate("private-too", days=94, upstream=Upstream.HIDDEN),
    ]
    story = "Origins removed or hid videos: ours stay, unless the channel says to let go."
    return Scene(story, ReasonCode.GONE_KEPT, world(*videos), (recent(),))


def heights() -> Scene:
    videos = [
        candidate(
            "split",
            renditions=(
                rendition(1080, 700 * MB, audio=False),
                rendition(480, 200 * MB, audio=False),
                rendition(0, 20 * MB, video=False),
            ),
        ),
        candidate("old-site", renditions=(rendition(480, 180 * MB, kind=RenditionKind.WEB),)),
        candidate("cinema-only", height=2160, size=4 * GB),
    ]
    story = (
        "At most 720p: the best below it with its sound, plain MP4 where there is no HLS, and nothing that is larger."
    )
    return Scene(story, ReasonCode.NO_RENDITION, world(*videos), (recent(max_height=720),))


def unknown_sizes() -> Scene:
    videos = [candidate("asked", days=2), candidate("unasked", days=1, renditions=(), duration=1200)]
    before = world(*videos)
    before = replace(before, bitrates={NEWS: {720: 2_000_000}})
    story = "One video's details are not known yet: it is wanted, at a size taken from its channel."
    return Scene(story, ReasonCode.ESTIMATED, before, (recent(max_height=720),))


def rising() -> Scene:
    videos = [
        candidate("classic", days=900, views=90_000, history=_history(89_990, 89_993, 89_996, 90_000)),
        candidate("rising", days=4, views=4_000, history=_history(0, 400, 1_600, 4_000)),
        candidate("glitch", days=300, views=500, history=_history(500, 0, 500, 500)),
    ]
    rule = _rule("Trending", RuleKind.TRENDING, budget=ByteCount(100 * MB))
    return Scene("What is watched now goes before what was watched once.", ReasonCode.CHOSEN, world(*videos), (rule,))


def premiere() -> Scene:
    videos = [
        candidate("last-week", days=7, views=2_000, history=_history(0, 800, 1_300, 1_600, 1_750, 1_880, 2_000)),
        candidate("the-week-before", days=14, views=2_600, history=_history(2_450, 2_500, 2_550, 2_600)),
        candidate("tonight", days=0, views=0),
        candidate("also-tonight", days=0, views=0, channels=frozenset({FILMS})),
        candidate("a-film", days=3, views=4, channels=frozenset({FILMS})),
    ]
    rule = _rule("Trending", RuleKind.TRENDING, budget=ByteCount(200 * MB))
    story = "Nobody has seen two new videos yet: what new ones of their channels usually get is expected of them."
    return Scene(story, ReasonCode.CHOSEN, world(*videos), (rule,))


def shared() -> Scene:
    videos = [
        candidate("both", days=1, views=900, channels=frozenset({NEWS, FILMS})),
        candidate("new", days=2, views=5),
        candidate("liked", days=500, views=800),
    ]
    rules = (
        recent(budget=ByteCount(200 * MB), max_lifetime=timedelta(days=30)),
        _rule("Popular", RuleKind.MOST_VIEWED, budget=ByteCount(100 * MB), weight=2.0),
        _rule("Archive", RuleKind.EVERYTHING, paused=True),
    )
    return Scene(
        "Two rules want the same video: it is kept once, and who pays leaves most room. A paused rule is quiet.",
        ReasonCode.ALSO,
        world(*videos),
        rules,
    )


def near_tie() -> Scene:
    videos = [held(candidate("kept", views=1000), rule="popular"), candidate("rival", views=1100)]
    rule = _rule("Popular", RuleKind.MOST_VIEWED, budget=ByteCount(100 * MB))
    return Scene(
        "A challenger a tenth better does not move what is held.", ReasonCode.NEAR_TIE, world(*videos), (rule,)
    )


def picky() -> Scene:
    talk = candidate("Kitchen talk, part 3", size=300 * MB, duration=2400)
    talk = replace(talk, language="en", category="Food", tags=frozenset({"bread"}))
    videos = [
        talk,
        replace(talk, id=VideoId("trailer"), title="Kitchen talk: official Trailer"),
        replace(talk, id=VideoId("garden"), title="Garden talk"),
        replace(talk, id=VideoId("french"), language="fr"),
        replace(talk, id=VideoId("unsaid"), language=None),
        replace(talk, id=VideoId("music"), category="Music"),
        replace(talk, id=VideoId("soup"), tags=frozenset({"soup", "winter"})),
        replace(talk, id=VideoId("late-night"), nsfw=True),
        replace(talk, id=VideoId("clip"), duration=45),
        replace(talk, id=VideoId("huge"), renditions=(rendition(1080, 5 * GB),)),
        replace(talk, id=VideoId("unasked"), renditions=(), duration=20_000),
        replace(talk, id=VideoId("just-out"), published_at=NOW - timedelta(hours=3)),
        replace(talk, id=VideoId("long-ago"), published_at=NOW - timedelta(days=400)),
        replace(talk, id=VideoId("famous"), views=2_000_000),
    ]
    wanted = Filters(
        max_views=1_000_000,
        min_age=timedelta(hours=12),
        max_age=timedelta(days=365),
        min_duration=timedelta(minutes=10),
        max_size=ByteCount(4 * GB),
        languages=frozenset({"EN", "de"}),
        categories=frozenset({"Food"}),
        tags=frozenset({"bread"}),
        nsfw=False,
        include=("kitchen", "*garten*"),
        exclude=("trailer", "*preview*"),
    )
    story = (
        "A rule with every kind of filter: one video passes, each of the others fails one of them, and is told which."
    )
    return Scene(story, ReasonCode.FILTERED, world(*videos), (recent(name="Bread", filters=wanted),))


def tagged() -> Scene:
    videos = [
        replace(candidate("sourdough", channels=frozenset({FILMS})), tags=frozenset({"bread", "slow"})),
        replace(candidate("weather"), tags=frozenset({"rain"})),
        candidate("untagged"),
    ]
    rule = _rule("Baking", RuleKind.EVERYTHING, tags=frozenset({"Bread", "Cake"}))
    return Scene("A rule looks at tags, in whatever channel.", ReasonCode.NO_RULE, world(*videos), (rule,))


def smallest() -> Scene:
    small = (
        rendition(1080, 700 * MB, audio=False),
        rendition(240, 60 * MB, audio=False),
        rendition(0, 20 * MB, video=False),
    )
    videos = [candidate("split", renditions=small), candidate("single", height=480, size=90 * MB)]
    story = "The smallest that has picture, with the sound that it needs: much for little space."
    return Scene(story, ReasonCode.CHOSEN, world(*videos), (recent(smallest=True),))


def _copies(live: int | None, verified: int = 0, *, source: CopySource = CopySource.TRACKER) -> Copies:
    asked = NOW - timedelta(hours=20)
    return Copies(live, verified, () if live is None else (CopyReport(source, live, asked),))


def last_copy() -> Scene:
    def old(name: str, copies: Copies, wish: Wish | None = None) -> Candidate:
        return replace(held(candidate(name, days=400, wish=wish), rule="recent"), copies=copies)

    origin_only = _copies(1, source=CopySource.ORIGIN)
    videos = [
        old("only-ours", _copies(0)),
        old("three-others", _copies(3)),
        old("nobody-knows", _copies(None)),
        old("let-go", _copies(0), Wish.LET_GO),
        replace(old("ours-and-a-silent-origin", origin_only), origin_failing=NOW - timedelta(days=2)),
        replace(old("removed", _copies(0)), upstream=Upstream.GONE),
    ]
    story = (
        "No rule wants these any more. Whether others have them is asked: zero is not unknown, an origin that does not "
        "answer is no copy, and what the owner said counts."
    )
    return Scene(story, ReasonCode.LAST_COPY, world(*videos), (recent(max_lifetime=timedelta(days=30)),))


def origin_down() -> Scene:
    def of(name: str, days: float) -> Candidate:
        return replace(held(candidate(name, days=60), rule="recent"), origin_failing=NOW - timedelta(days=days))

    videos = [
        of("silent-for-long", 9),
        of("silent-since-yesterday", 1),
        replace(of("told-to-go", 9), wish=Wish.LET_GO),
        replace(of("not-held", 9), held=None),
        candidate("elsewhere", days=2),
    ]
    story = (
        "An origin has not answered for nine days: what is held of it stays, although no rule wants it any more. After "
        "one day that would be hasty."
    )
    return Scene(story, ReasonCode.ORIGIN_DOWN, world(*videos), (recent(max_lifetime=timedelta(days=30)),))


def enough_copies() -> Scene:
    def with_copies(name: str, verified: int, live: int | None) -> Candidate:
        return replace(candidate(name), copies=_copies(live, verified))

    videos = [
        with_copies("one-elsewhere", 1, 4),
        with_copies("two-elsewhere", 2, 2),
        held(with_copies("held-and-two-elsewhere", 2, 2), rule="rescue"),
        held(with_copies("held-and-three-elsewhere", 3, 3), rule="rescue"),
        with_copies("nobody-knows", 0, None),
    ]
    rule = _rule("Rescue", RuleKind.EVERYTHING, keep_below=2)
    story = (
        "A rule keeps what fewer than two checked copies elsewhere have. What is held goes only at three, so that it "
        "does not come and go with one of them; unknown is not enough."
    )
    return Scene(story, ReasonCode.NOT_NEEDED, world(*videos), (rule,))


def fair_shares() -> Scene:
    videos = [candidate(f"news-{n}", days=n) for n in range(1, 4)]
    videos.append(candidate("film", days=50, channels=frozenset({FILMS})))
    rule = recent(budget=ByteCount(GB), channel_budget=ByteCount(200 * MB))
    story = "A rule gives each channel 200 MB of its own: the third newest of one does not push out the other's."
    return Scene(story, ReasonCode.CHANNEL_FULL, world(*videos), (rule,))


def a_handful() -> Scene:
    videos = [candidate(f"talk-{n}", days=n) for n in range(1, 5)]
    videos += [candidate(f"film-{n}", days=n, channels=frozenset({FILMS})) for n in range(1, 3)]
    rules = (
        _rule("Latest", RuleKind.LAST_N, per_channel=2, channels=frozenset({NEWS})),
        recent(most=1, channels=frozenset({FILMS})),
    )
    return Scene(
        "The last two of one channel, and one video at most of the other.", ReasonCode.ENOUGH, world(*videos), rules
    )


def rarities() -> Scene:
    def rare(name: str, live: int | None, verified: int = 0) -> Candidate:
        return replace(candidate(name), copies=_copies(live, verified))

    videos = [rare("common", 40, 3), rare("unknown", None), rare("one-claims", 1), rare("alone", 0), rare("one", 1, 1)]
    story = "Rare first: what nobody else has, then what one other claims or has; what is not known lies between."
    return Scene(story, ReasonCode.CHOSEN, world(*videos), (_rule("Rescue", RuleKind.RARE_FIRST),))


def month_spent() -> Scene:
    videos = [candidate("monday", days=1), candidate("sunday", days=2), held(candidate("old", days=9), rule="recent")]
    before = replace(world(*videos), download_left=ByteCount(150 * MB), download_reset=NOW + timedelta(days=21))
    story = "150 MB may still be fetched this month: the newest comes, the next waits, what is held stays."
    return Scene(story, ReasonCode.NO_DATA, before, (recent(),))


def last_of_its_kind() -> Scene:
    rule = _rule("Popular", RuleKind.MOST_VIEWED, budget=ByteCount(200 * MB))
    alone = replace(held(candidate("sole", views=1), rule="popular"), copies=Copies(live=0))
    videos = [alone, *(held(candidate(f"hit-{n}", views=900 + n), rule="popular") for n in range(2))]
    videos.append(replace(held(candidate("rare", views=2, size=150 * MB), rule="popular"), copies=Copies(live=0)))
    story = "Two videos are nowhere else: both stay, beyond the budget, and the owner is asked."
    return Scene(story, ReasonCode.LAST_COPY_OVER, world(*videos), (rule,))


SCENES: tuple[Callable[[], Scene], ...] = (
    first_channel,
    by_hand,
    never_again,
    too_young_to_go,
    being_watched,
    full_budget,
    one_giant,
    full_disk,
    floor_breached,
    disk_filled_meanwhile,
    out_of_scope,
    old_news,
    unseen,
    not_ready,
    lost_upstream,
    heights,
    unknown_sizes,
    rising,
    premiere,
    shared,
    near_tie,
    picky,
    tagged,
    smallest,
    last_copy,
    origin_down,
    enough_copies,
    fair_shares,
    a_handful,
    rarities,
    month_spent,
    last_of_its_kind,
)


def told(scene: Scene, found: Plan) -> str:
    """Return a scene and its plan as a page to read."""
    disk = scene.world.disk
    lines = [scene.story, ""]
    lines += [f"Disk: {human_size(disk.free)} free, of which {human_size(disk.floor)} are never used."]
    for use in found.rules:
        rule = next(r for r in scene.rules if r.id == use.rule)
        of = f" of {human_size(use.budget)}" if use.budget is not None else ""
        paused = ", paused" if rule.paused else ""
        videos = counted(str(use.videos), "video", "videos")
        lines.append(f"Rule “{rule.name}” ({rule.kind}{paused}): {videos}, {human_size(use.used)}{of}.")
    lines.append("")
    for decision in found.decisions:
        change = "" if decision.change is None else f" {sentence(decision.change)}"
        what = f" ({', '.join(decision.renditions) or 'unasked'}, {human_size(decision.size)})" if decision.size else ""
        lines.append(f"{decision.video}: {verdict_word(decision.verdict)}{what}. {explain(decision)}{change}")
    totals = (found.kept, found.fetched, found.released)
    lines += ["", "Kept {}, to fetch {}, to let go {}.".format(*map(human_size, totals))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_described_world_gets_the_plan_that_was_written_down(scene: Callable[[], Scene]) -> None:
    made = scene()
    text = told(made, plan(made.world, made.rules, NOW))
    path = PLANS / f"{scene.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_described_worlds_show_every_reason_and_leave_no_golden_file_behind() -> None:
    seen: set[ReasonCode] = set()
    for scene in SCENES:
        made = scene()
        decisions = plan(made.world, made.rules, NOW).decisions
        reasons: list[Reason] = [r for d in decisions for r in (*d.reasons, *filter(None, [d.change]))]
        assert made.shows in {reason.code for reason in reasons}
        seen |= {reason.code for reason in reasons}
    assert seen == set(ReasonCode)
    assert {path.stem for path in PLANS.glob("*.txt")} == {scene.__name__ for scene in SCENES}
