"""A house to look at: a real store filled with made-up channels, and stand-ins for the verbs. This module builds it.

``fill`` makes it empty, little or much; what is decided and why comes from the real policies.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import Session

from appliance.domain.catalogue import OriginToday
from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind, ChannelState, Trouble, WhenGone
from appliance.domain.pin import Pin, PinState, Wish
from appliance.domain.plan import (
    Candidate,
    Copies,
    Disk,
    Filters,
    Held,
    Plan,
    Reason,
    ReasonCode,
    Rule,
    RuleKind,
    Verdict,
    World,
)
from appliance.domain.traffic import Entry, TrafficClass
from appliance.domain.units import ByteCount, ChannelId, Origin, RenditionName, RuleId, VideoId, video_id
from appliance.domain.video import (
    Rendition,
    RenditionKind,
    TorrentCarrier,
    Upstream,
    VideoDetail,
    VideoSummary,
)
from appliance.store import cached, channels, decisions, ledger, origins, pins, rules, videos
from policies import plan as planned

GB = 10**9


class Amount(StrEnum):
    EMPTY = "empty"
    LITTLE = "little"
    MUCH = "much"


@dataclass(frozen=True, slots=True)
class _Channel:
    host: str
    name: str
    title: str
    description: str
    titles: tuple[str, ...]
    kind: ChannelKind = ChannelKind.CHANNEL
    trouble: Trouble | None = None
    state: ChannelState = ChannelState.FOLLOWED
    paused: bool = False


_CHANNELS = (
    _Channel(
        "tube.harbour.example",
        "harbour_films",
        "Harbour Films",
        "Short documentaries from a working harbour: tides, ropes, engines, and the people between them.\n\n"
        "A new film every second Thursday. All films are CC BY-SA.",
        (
            "The last rope walk on the coast",
            "Night shift at the lock gates",
            "How a lighthouse lens is cleaned",
            "Forty tons of herring before breakfast",
            "The tide table, explained by someone who needs it",
            "Repairing a wooden hull, day 1 to 90",
            "What the pilot says on channel 12",
            "Ice in the harbour, winter 1987 (restored)",
        ),
    ),
    _Channel(
        "video.workbench.example",
        "quiet_machines",
        "Quiet Machines",
        "Old machines, repaired slowly. No music, no talking over the work.",
        (
            "A 1950s lathe runs again",
            "Rewinding a motor by hand",
            "Sharpening: everything I got wrong for ten years",
            "Casting a bronze bearing in the garden",
            "The slide rule that went to sea",
            "Rebuilding a diesel injection pump (4 hours, no cuts)",
            "Why this clock loses two minutes a week",
        ),
    ),
    _Channel(
        "peertube.orchard.example",
        "open_orchard",
        "Open Orchard",
        "Fruit trees, seeds and soil, season by season.",
        (
            "Saving seed from tomatoes, start to jar",
            "Grafting 12 old apple varieties onto one tree",
            "Winter pruning: the three cuts that matter",
            "A seed library for your village",
            "Compost at minus ten degrees",
            "Beekeeping diary, week 31",
        ),
    ),
    _Channel(
        "medien.nordlicht.example",
        "werkstatt",
        "Nordlicht-Werkstatt für Film und Ton",
        "Filmwerkstatt im Norden.",
        (
            "Donaudampfschifffahrtsgesellschaftskapitänskajütentürschlüsselbrettbefestigungsschraube: "
            "ein Film über sehr lange Wörter und die Menschen, die sie schreiben",
            "Tonangeln im Sturm",
            "Super 8 selbst entwickeln",
        ),
        kind=ChannelKind.ACCOUNT,
        trouble=Trouble(
            "throttled",
            "The origin asked us to come back later (429, too many requests).",
            "Nothing to do: it is asked again by itself, less often.",
        ),
        state=ChannelState.FAILING,
    ),
    _Channel(
        "tube.hara.example",
        "matbakh",
        "مطبخ الحارة",
        "وصفات من الحارة.",
        ("خبز الطابون خطوة بخطوة", "كيف نحفظ البذور القديمة", "سوق الخضار عند الفجر"),
    ),
    _Channel(
        "peer.limani.example",
        "nychta",
        "Λιμάνι τη νύχτα",
        "Ραδιόφωνο από το λιμάνι.",
        ("Ένα παλιό ραδιόφωνο ξαναπαίζει", "Οι φύλακες των σπόρων", "Ήχοι του λιμανιού, μέρος 3"),
        paused=True,
    ),
    _Channel(
        "lectures.example",
        "",
        "Open Lectures",
        "Every public lecture of a small university.",
        (
            "Lecture 1: What is a proof?",
            "Lecture 2: Counting without counting",
            "Lecture 3: Graphs and the people who draw them",
            "Lecture 14: Erasure codes, or how to lose a disk and keep your films",
            "Panel: who archives the archives?",
        ),
        kind=ChannelKind.INSTANCE,
        state=ChannelState.SYNCING,
    ),
    _Channel(
        "old.instance.example",
        "vanished",
        "Theatre on the Quay",
        "",
        ("Opening night, complete", "The prompter’s farewell"),
        trouble=Trouble(
            "unreachable",
            "The origin has not answered for 9 days.",
            "What is held stays. If the server is gone for good, this may be the last copy.",
        ),
        state=ChannelState.FAILING,
    ),
)

_RULES = (
    Rule(RuleId("recent"), "Recent", RuleKind.RECENT, budget_share=0.4, max_height=1080),
    Rule(
        RuleId("lasting"),
        "What people come back to",
        RuleKind.MOST_VIEWED,
        budget=ByteCount(180 * GB),
        max_height=720,
        filters=Filters(min_views=500),
        min_lifetime=timedelta(days=30),
    ),
)


@dataclass(slots=True)
class Made:
    """What was put into the store, for the stand-ins: the plan, the world it was made of, what is being fetched."""

    world: World
    plan: Plan
    rules: tuple[Rule, ...]
    fetching: list[Pin] = field(default_factory=list)
    cached: tuple[VideoId, ...] = ()


def disk(amount: Amount) -> Disk:
    used = {Amount.EMPTY: 0, Amount.LITTLE: 3 * GB, Amount.MUCH: 0}[amount]
    return Disk(ByteCount(1000 * GB), ByteCount(640 * GB - used), ByteCount(50 * GB), ByteCount(used))


def fill(session: Session, amount: Amount, now: datetime) -> Made:
    """Put the sample into an empty store, and return what the stand-ins need to know of it."""
    dice = random.Random(12)
    if amount is Amount.EMPTY:
        return Made(World((), disk(amount)), Plan((), (), ByteCount(0), ByteCount(0), ByteCount(0)), ())
    sources = _CHANNELS[:1] if amount is Amount.LITTLE else _CHANNELS
    rounds = 1 if amount is Amount.LITTLE else 3
    listed: dict[ChannelId, list[VideoDetail]] = {}
    for source in sources:
        ident = _follow(session, source, now)
        listed[ident] = [
            _detail(source, title, lap, place, now, dice)
            for lap in range(rounds)
            for place, title in enumerate(source.titles)
        ]
        channels_page = tuple(d.summary for d in listed[ident])
        videos.put_page(session, ident, channels_page, now, 1)
        for detail in listed[ident]:
            videos.put_detail(session, detail, None, now)
        _checked(session, source, ident, len(channels_page), now)
    chosen = _RULES[:1] if amount is Amount.LITTLE else _RULES
    for rule in chosen:
        rules.put(session, rule)
    made = _plan(session, listed, chosen, amount, now)
    _ledger(session, amount, now, dice)
    return made


def _follow(session: Session, source: _Channel, now: datetime) -> ChannelId:
    address = ChannelAddress(f"https://{source.host}", Origin(source.host), source.kind, source.name)
    url = f"https://{source.host}/c/{source.name}"
    # The first without a picture of its own, as many are.
    picture = None if source.name == _CHANNELS[0].name else f"{url}/avatar.png"
    info = ChannelInfo(address, source.title, source.description, url, picture)
    return channels.follow(session, info, now - timedelta(days=40))


def _checked(session: Session, source: _Channel, ident: ChannelId, count: int, now: datetime) -> None:
    channels.note_check(
        session,
        ident,
        now - timedelta(minutes=22),
        state=source.state,
        next_check=now + timedelta(minutes=38 if source.trouble is None else 180),
        trouble=source.trouble,
        failures=3 if source.trouble else 0,
        total=count * 31 if source.state is ChannelState.SYNCING else count,
    )
    channels.change(
        session, ident, paused=source.paused, when_gone=WhenGone.RELEASE if source.paused else WhenGone.KEEP
    )


def _detail(source: _Channel, title: str, lap: int, place: int, now: datetime, dice: random.Random) -> VideoDetail:
    uuid = f"{source.host}-{lap}-{place}"
    base = f"https://{source.host}"
    age = timedelta(days=lap * 190 + place * 11 + dice.random() * 6, hours=2)
    duration = dice.choice((94, 412, 733, 1260, 2204, 3605, 5410, 14_400))
    summary = VideoSummary(
        id=video_id(Origin(source.host), uuid),
        origin=Origin(source.host),
        base_url=base,
        uuid=uuid,
        url=f"{base}/w/{uuid}",
        title=title if lap == 0 else f"{title} ({'second' if lap == 1 else 'third'} cut)",
        description=f"{title}.\n\n{source.description}\n\nRecorded on location. Corrections are welcome at its origin.",
        duration=duration,
        published_at=now - age,
        views=int(dice.paretovariate(0.6) * 40),
        likes=dice.randrange(2, 90),
        is_live=False,
        nsfw=False,
        language="en",
        category="Films",
        thumbnail_url=f"{base}/thumb/{uuid}.jpg",
        channel_name=source.name,
        channel_title=source.title,
        tags=("seeds", "harbour", "slow film"),
    )
    gone = source.name == "vanished" and lap > 1
    return VideoDetail(
        summary, Upstream.GONE if gone else Upstream.PUBLISHED, _renditions(summary, dice), f"{base}/{uuid}/master.m3u8"
    )


def _renditions(summary: VideoSummary, dice: random.Random) -> tuple[Rendition, ...]:
    tallest = dice.choice((720, 1080, 1080, 1080, 2160))
    bitrates = {2160: 12_000_000, 1080: 4_200_000, 720: 2_300_000, 480: 1_100_000, 360: 700_000}
    made = []
    for height, bits in bitrates.items():
        if height > tallest:
            continue
        size = ByteCount(int(summary.duration * bits / 8 * (0.8 + 0.4 * dice.random())))
        name = f"{summary.uuid}-{height}-fragmented.mp4"
        made.append(
            Rendition(
                name=RenditionName(f"{height}p"),
                kind=RenditionKind.HLS,
                height=height,
                width=height * 16 // 9,
                fps=30,
                has_video=True,
                has_audio=True,
                size=size,
                file_url=f"{summary.base_url}/static/{name}",
                playlist_url=f"{summary.base_url}/static/{summary.uuid}-{height}.m3u8",
                torrent=TorrentCarrier(f"{summary.base_url}/torrents/{name}.torrent"),
            )
        )
    return tuple(made)


def _plan(
    session: Session,
    listed: dict[ChannelId, list[VideoDetail]],
    chosen: tuple[Rule, ...],
    amount: Amount,
    now: datetime,
) -> Made:
    """Plan on an empty disk, hold most of what that wants, then plan again: the second plan is what is shown."""
    candidates = _candidates(listed)
    barred, by_hand = _wishes(session, candidates, amount)
    world = World(candidates, disk(amount))
    first = planned(world, chosen, now)
    held: dict[VideoId, Held] = {}
    fetching: list[Pin] = []
    wanted = [d for d in first.decisions if d.verdict is Verdict.PIN]
    states = _states(len(wanted), amount)
    used = 0
    for decision, state in zip(wanted, states, strict=True):
        if state is None:
            continue
        done = _done(decision.size, state, len(fetching))
        pin = Pin(
            decision.video,
            state,
            decision.renditions,
            decision.size,
            ByteCount(done),
            since=now - timedelta(days=2),
            pinned_at=now - timedelta(days=2) if state is PinState.PINNED else None,
            trouble=_trouble(state),
            failures=2 if state is PinState.FAILED else 0,
            next_try=now + timedelta(minutes=48) if state is PinState.FAILED else None,
        )
        pins.put(session, pin)
        used += done
        held[decision.video] = Held(decision.renditions, decision.size, ByteCount(done), pin.pinned_at)
        if state is not PinState.PINNED:
            fetching.append(pin)
    space = disk(amount)
    space = Disk(space.total, ByteCount(space.free - used), space.floor, ByteCount(space.used + used))
    world = World(
        tuple(
            Candidate(
                **{name: getattr(c, name) for name in Candidate.__slots__ if name not in ("held", "wish")},
                held=held.get(c.id),
                wish=Wish.NEVER if c.id in barred else Wish.PIN if c.id in by_hand else None,
            )
            for c in candidates
        ),
        space,
    )
    plan = planned(world, chosen, now)
    if amount is Amount.MUCH:
        decisions.put_plan(session, first, now - timedelta(days=2))
        plan = _with_a_question(plan, now)
        origins.put(
            session, now - timedelta(days=9), (OriginToday("old.instance.example", 1, ByteCount(0), 9, None, None),)
        )
    decisions.put_plan(session, plan, now)
    return Made(world, plan, chosen, fetching, _cached(session, plan, now) if amount is Amount.MUCH else ())


CACHED = 18 * GB


def _cached(session: Session, plan: Plan, now: datetime) -> tuple[VideoId, ...]:
    """Have some of what no rule wants be here because it was watched."""
    left = [d.video for d in plan.decisions if d.verdict is Verdict.LEAVE][:3]
    for n, video in enumerate(left):
        cached.put(session, video, ByteCount(CACHED // 3), now - timedelta(hours=5 * n), whole=n != 1)
    return tuple(left)


def _with_a_question(plan: Plan, now: datetime) -> Plan:
    """Return the plan with a last copy in it that its rule has no room for."""
    one = next(d for d in plan.decisions if d.verdict is Verdict.KEEP and d.rule is not None)
    reasons = (
        Reason(ReasonCode.LAST_COPY, {"asked": now.isoformat()}),
        Reason(ReasonCode.LAST_COPY_OVER, {"bytes": one.size, "rule": "Recent"}),
    )
    asking = replace(one, reasons=reasons, rule=RuleId("recent"), rank=None, asks=True)
    return replace(plan, decisions=tuple(asking if d is one else d for d in plan.decisions))


def _wishes(session: Session, candidates: tuple[Candidate, ...], amount: Amount) -> tuple[set[VideoId], set[VideoId]]:
    if amount is not Amount.MUCH:
        return set(), set()
    by_hand = {c.id for c in candidates[3:60:19]}
    barred = {candidates[9].id}
    for ident in by_hand:
        videos.wish(session, ident, Wish.PIN)
    for ident in barred:
        videos.wish(session, ident, Wish.NEVER)
    return barred, by_hand


def _candidates(listed: dict[ChannelId, list[VideoDetail]]) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            id=d.summary.id,
            title=d.summary.title,
            channels=frozenset({channel}),
            published_at=d.summary.published_at,
            duration=d.summary.duration,
            views=d.summary.views,
            upstream=d.upstream,
            renditions=d.renditions,
            copies=Copies(2),
        )
        for channel, details in listed.items()
        for d in details
    )


def _states(wanted: int, amount: Amount) -> list[PinState | None]:
    if amount is Amount.LITTLE:
        busy: list[PinState | None] = [PinState.PINNED, PinState.PINNING, PinState.QUEUED]
        return (busy + [None] * wanted)[:wanted]
    busy = [PinState.PINNED, PinState.PINNING, PinState.PINNED, PinState.PINNING, PinState.PINNED, PinState.PINNED]
    busy += [PinState.WAITING, PinState.PINNED, PinState.FAILED, PinState.QUEUED, PinState.PINNED, PinState.PINNING]
    held: list[PinState | None] = [PinState.PINNED] * max(0, wanted - len(busy) - 14)
    return (busy + held + [PinState.QUEUED] * 6 + [None] * wanted)[:wanted]


def _done(size: ByteCount, state: PinState, place: int) -> int:
    match state:
        case PinState.PINNED:
            return size
        case PinState.PINNING | PinState.WAITING | PinState.FAILED:
            return int(size * (0.62, 0.31, 0.87, 0.12, 0.45)[place % 5])
        case _:
            return 0


def _trouble(state: PinState) -> Trouble | None:
    match state:
        case PinState.WAITING:
            return Trouble("no_space", "Waits for space on the disk.", "It goes on by itself when there is room.")
        case PinState.FAILED:
            return Trouble(
                "bad_answer",
                "The origin's torrent does not fit its video (two files where one was promised).",
                "It is tried again later; if the origin does not mend it, pin another rendition.",
            )
        case _:
            return None


def _ledger(session: Session, amount: Amount, now: datetime, dice: random.Random) -> None:
    days = 2 if amount is Amount.LITTLE else 30
    shares = {
        TrafficClass.INTERNET_PEERS: (26, 5),
        TrafficClass.LAN_PEERS: (4, 1),
        TrafficClass.LAN_PLAYERS: (9, 0),
        TrafficClass.WAN_PLAYERS: (2, 0),
        TrafficClass.ORIGINS: (0, 6),
    }
    entries = []
    for back in range(days):
        busy = 0.4 + dice.random() + (0.7 if back % 7 in (1, 2) else 0)
        for kind, (up, down) in shares.items():
            entries.append(
                Entry(
                    (now - timedelta(days=back)).date(),
                    VideoId(""),
                    RenditionName(""),
                    kind,
                    ByteCount(int(up * GB * busy * (0.6 + dice.random()))),
                    ByteCount(int(down * GB * busy * (0.4 + 1.4 * dice.random()))),
                )
            )
    ledger.add(session, entries)
