"""Worlds by chance, and what no plan for them could exceed: this module asks a linear programme.

Videos may be kept in part there, so that its optimum bounds every plan's worth. Worth is the policy's own: value over
the mean value of a byte of the rule's candidates, times weight, times size, for each video to the rule that pays.
"""

import random
from dataclasses import dataclass, replace
from datetime import timedelta

from scipy.optimize import linprog
from scipy.sparse import coo_array

from appliance.domain.plan import Observation, Plan, Rule, RuleKind, Verdict, World
from appliance.domain.units import ByteCount, ChannelId, RuleId
from policies import plan
from policies.claims import Claims, Desk, claims, home
from policies.room import capacity
from policies.rules import in_force
from policies.worth import BUILT_IN
from tests.policies.worlds import MB, NOW, candidate, rendition, world

KINDS = (RuleKind.EVERYTHING, RuleKind.RECENT, RuleKind.TRENDING, RuleKind.MOST_VIEWED, RuleKind.RARE_FIRST)


@dataclass(frozen=True)
class Outcome:
    kept: float
    bound: float

    @property
    def ratio(self) -> float:
        return self.kept / self.bound if self.bound > 0 else 1.0


def random_world(seed: int, *, largest: float = 0.02) -> tuple[World, tuple[Rule, ...]]:
    """Return an empty library, videos and rules. No video is above ``largest`` of its budgets."""
    chance = random.Random(seed)
    count = chance.randint(150, 500)
    channels = [ChannelId(f"c{n}") for n in range(chance.randint(1, 6))]
    skew = chance.uniform(0.4, 1.3)
    videos = []
    for n in range(count):
        views = int(200_000 / (n + 1) ** skew)
        tall = chance.randint(20, 200) * MB
        seen = tuple(Observation(NOW - timedelta(hours=6 * k), max(0, views - 20 * k)) for k in range(4, -1, -1))
        listed = frozenset(chance.sample(channels, chance.choice([1, 1, 1, min(2, len(channels))])))
        made = candidate(
            f"v{n:03}",
            days=chance.uniform(0, 400),
            views=views,
            channels=listed,
            renditions=(rendition(1080, tall), rendition(480, tall // 3)),
            history=seen,
        )
        videos.append(made)
    total = sum(v.renditions[0].size for v in videos)
    least = int(200 * MB / largest)
    rules = tuple(_rule(chance, n, channels, total, least) for n in range(chance.randint(1, 5)))
    free = max(least, int(total * chance.choice([0.3, 0.6, 2.0])))
    return world(*videos, free=free, floor=0), rules


def _rule(chance: random.Random, number: int, channels: list[ChannelId], total: int, least: int) -> Rule:
    shared = chance.random() < 0.3
    made = Rule(
        RuleId(f"r{number}"),
        f"Rule {number}",
        chance.choice(KINDS),
        channels=frozenset(chance.sample(channels, chance.randint(1, len(channels))))
        if chance.random() < 0.4
        else None,
        budget=ByteCount(max(least, int(total * chance.uniform(0.05, 0.5)))) if chance.random() < 0.85 else None,
        max_height=chance.choice([None, None, 480]),
        weight=chance.choice([0.5, 1.0, 1.0, 2.0]),
    )
    return (
        replace(made, channel_budget=ByteCount(max(least, int(total * chance.uniform(0.05, 0.3))))) if shared else made
    )


def compared(before: World, rules: tuple[Rule, ...]) -> Outcome:
    """Return what the plan keeps, in worth, and what no plan could exceed."""
    ordered = in_force(rules)
    videos = tuple(sorted(before.videos, key=lambda video: video.id))
    desk = Desk(replace(before, videos=videos), videos, ordered, NOW, BUILT_IN)
    every = [claims(desk, rule) for rule in ordered]
    return Outcome(_kept(plan(before, rules, NOW), desk, every), _bound(before, desk, every))


def _kept(found: Plan, desk: Desk, every: list[Claims]) -> float:
    place = {video.id: at for at, video in enumerate(desk.videos)}
    payer = {mine.rule.id: mine for mine in every}
    worth = 0.0
    for line in found.decisions:
        if line.verdict in (Verdict.KEEP, Verdict.PIN) and line.rule is not None:
            mine = payer[line.rule]
            at = mine.at(place[line.video])
            assert at is not None
            worth += mine.keys[at] * line.size
    return worth


def _bound(before: World, desk: Desk, every: list[Claims]) -> float:
    gains: list[float] = []
    entries: list[tuple[int, int, float]] = []
    limits: list[float] = []
    rows: dict[object, int] = {}

    def row(key: object, limit: float) -> int:
        if key not in rows:
            rows[key] = len(limits)
            limits.append(limit)
        return rows[key]

    for mine in every:
        rule = mine.rule
        for at, key, size in zip(mine.videos, mine.keys, mine.sizes, strict=True):
            column = len(gains)
            gains.append(-key * size / MB)
            entries.append((row(("video", at), 1.0), column, 1.0))
            entries.append((row("library", capacity(before) / MB), column, size / MB))
            if rule.budget is not None:
                entries.append((row(("rule", rule.id), rule.budget / MB), column, size / MB))
            if rule.channel_budget is not None:
                channel = home(rule, desk.videos[at])
                entries.append((row((rule.id, channel), rule.channel_budget / MB), column, size / MB))
    if not gains:
        return 0.0
    at_row, at_column, amounts = zip(*entries, strict=True)
    table = coo_array((amounts, (at_row, at_column)), shape=(len(limits), len(gains))).tocsr()
    solved = linprog(gains, A_ub=table, b_ub=limits, bounds=(0, 1), method="highs")
    assert solved.status == 0
    return float(-solved.fun) * MB
