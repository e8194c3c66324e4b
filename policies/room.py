"""The library as a plan fills it: the disk's room, each rule's purse, and which bound stands against a claim.

A share of the disk moves when others write to it, so newcomers fill it only up to ``SLACK`` below: else every drift
would release one video and fetch another. This module keeps the accounts.
"""

from dataclasses import dataclass, field, replace

from appliance.domain.plan import Candidate, ReasonCode, Rule, World
from appliance.domain.units import ChannelId
from policies.claims import home
from policies.sizes import Choice

SLACK = 0.02


@dataclass(slots=True)
class Purse:
    """What a rule may spend and has spent, in bytes. ``newcomers`` bounds what is not held yet."""

    rule: Rule
    budget: int | None
    newcomers: int | None
    used: int = 0
    videos: int = 0
    bytes_of: dict[ChannelId, int] = field(default_factory=dict)
    count_of: dict[ChannelId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim by its place: the rule's in the order of rules, the claim's in the rule's lists."""

    rule: int
    place: int


def space(world: World) -> int:
    """Return the bytes that the library may use in all: what it uses and what is free above the floor, or its quota."""
    room = max(0, world.disk.used + world.disk.free - world.disk.floor)
    return room if world.quota is None else min(room, world.quota)


def capacity(world: World) -> int:
    """Return the bytes that pins may use: free above the floor, and what could be released. May be negative.

    What the library holds besides the videos of this world cannot be released by a plan.
    """
    held = min(sum(video.held.done for video in world.videos if video.held is not None), world.disk.used)
    room = held + world.disk.free - world.disk.floor
    return room if world.quota is None else min(room, world.quota - (world.disk.used - held))


def purse(rule: Rule, library: int) -> Purse:
    """Return the rule's purse, unspent. The smaller of both budgets counts; None is bounded by the disk alone."""
    hard = [] if rule.budget is None else [int(rule.budget)]
    soft = list(hard)
    if rule.budget_share is not None:
        share = rule.budget_share * library
        hard.append(int(share))
        soft.append(int(share * (1 - SLACK)))
    return Purse(rule, min(hard, default=None), min(soft, default=None))


def missing(video: Candidate, wanted: Choice) -> int:
    """Return the bytes that must be fetched to have just these renditions of the video; all, where others are held."""
    held = video.held
    if held is None or (wanted.names and set(held.renditions) != set(wanted.names)):
        return int(wanted.size)
    return max(0, wanted.size - held.done)


@dataclass(slots=True)
class Room:
    """The library as it fills. ``left`` is the disk's room, ``data`` what may be fetched; both may start below zero.

    ``taken`` says by which claim a video has its place (None: by protection or a hand); ``as_held`` what stays as it is
    for now, for want of what may be fetched, or of room on the disk (``short``).
    """

    left: int
    purses: list[Purse]
    data: int | None = None
    taken: dict[int, Claimed | None] = field(default_factory=dict)
    as_held: set[int] = field(default_factory=set)
    short: set[int] = field(default_factory=set)

    def copy(self) -> "Room":
        purses = [replace(p, bytes_of=dict(p.bytes_of), count_of=dict(p.count_of)) for p in self.purses]
        return Room(self.left, purses, self.data, dict(self.taken), set(self.as_held), set(self.short))

    def take(self, at: int, video: Candidate, size: int, fetched: int, rule: int | None, by: Claimed | None) -> None:
        """Give a video its space, whatever that exceeds."""
        self.left -= size
        self.taken[at] = by
        if self.data is not None:
            self.data -= fetched
        if rule is None:
            return
        mine = self.purses[rule]
        mine.used += size
        mine.videos += 1
        if mine.rule.channel_budget is not None or mine.rule.per_channel is not None:
            channel = home(mine.rule, video)
            mine.bytes_of[channel] = mine.bytes_of.get(channel, 0) + size
            mine.count_of[channel] = mine.count_of.get(channel, 0) + 1

    def drop(self, at: int, video: Candidate, size: int, rule: int) -> None:
        """Take back the space that a claim of a rule was given for a video."""
        mine = self.purses[rule]
        del self.taken[at]
        self.left += size
        mine.used -= size
        mine.videos -= 1
        if mine.rule.channel_budget is not None or mine.rule.per_channel is not None:
            channel = home(mine.rule, video)
            mine.bytes_of[channel] -= size
            mine.count_of[channel] -= 1

    def trouble(self, number: int, video: Candidate, size: int, *, held: bool) -> ReasonCode | None:
        """Return which bound stands against a claim of the rule with this number; None where it fits."""
        mine = self.purses[number]
        limit = mine.budget if held else mine.newcomers
        if limit is not None and mine.used + size > limit:
            return ReasonCode.TOO_LARGE if size > limit else ReasonCode.OUTRANKED
        rule = mine.rule
        if rule.most is not None and mine.videos >= rule.most:
            return ReasonCode.ENOUGH
        if rule.channel_budget is not None or rule.per_channel is not None:
            found = self._trouble_of_channel(mine, home(rule, video), size)
            if found is not None:
                return found
        return ReasonCode.NO_SPACE if size > self.left else None

    def _trouble_of_channel(self, mine: Purse, channel: ChannelId, size: int) -> ReasonCode | None:
        rule = mine.rule
        if rule.per_channel is not None and mine.count_of.get(channel, 0) >= rule.per_channel:
            return ReasonCode.ENOUGH
        if rule.channel_budget is not None and mine.bytes_of.get(channel, 0) + size > rule.channel_budget:
            return ReasonCode.CHANNEL_FULL
        return None
