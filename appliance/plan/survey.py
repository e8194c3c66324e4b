"""Whose copy is looked into next. This module chooses, given what is known: pure.

Held videos that may be the last copy come first, then other held ones, then those that the plan would fetch; among
these the one whose last answer is the oldest. One host is not asked twice in a row while another one is due.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from appliance.domain.plan import CopySource, Rule, RuleKind
from appliance.domain.units import ChannelId, VideoId
from appliance.store.copies import Subject, host_of
from appliance.store.trust import Line
from appliance.swarm.port import PeerSeen

RIGHT_RESTS = timedelta(days=4)
"""How long a host that answered is left alone about one video."""

WRONG_RESTS = timedelta(days=1)
SILENT_RESTS = timedelta(hours=6)
"""How long one that said nothing is, twice as long each time."""

NEXT_PEER_AFTER = timedelta(hours=1)
HOST_RESTS = timedelta(minutes=10)
"""After this the only host that is due may be asked again."""

ENOUGH = 3
"""So many verified copies of a video are looked for, where no rule asks for more."""

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """One host that may have a copy of one video; for peers, whichever of them is next (``host`` and ``url`` empty).

    ``urgency`` 0 is first. ``last`` is the last answer, ``again`` how long it stands.
    """

    video: VideoId
    source: CopySource
    host: str
    url: str
    held: bool
    urgency: int
    last: datetime | None
    again: timedelta

    @property
    def key(self) -> tuple[VideoId, CopySource, str]:
        return self.video, self.source, self.host


@dataclass(frozen=True, slots=True)
class Try:
    """Silence: when it was met last, and how many times in a row."""

    at: datetime
    times: int

    @property
    def until(self) -> datetime:
        rests: timedelta = SILENT_RESTS * (1 << min(self.times - 1, 10))
        return self.at + min(rests, RIGHT_RESTS)


Tries = Mapping[tuple[VideoId, CopySource, str], Try]


@dataclass(frozen=True, slots=True)
class Asked:
    """The host that was asked last."""

    host: str = ""
    at: datetime = _NEVER


@dataclass(frozen=True, slots=True)
class Next:
    """Whom to ask now; where nobody, when to look again (None: not before something changes)."""

    target: Target | None
    again: datetime | None = None


def needing(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return the rules in force that hang on copies elsewhere."""
    return tuple(r for r in rules if not r.paused and (r.kind == RuleKind.RARE_FIRST or r.keep_below is not None))


def _looks_at(rule: Rule, channels: frozenset[ChannelId], tags: frozenset[str]) -> bool:
    in_channels = rule.channels is None or not rule.channels.isdisjoint(channels)
    return in_channels and (rule.tags is None or any(tag.casefold() in tags for tag in rule.tags))


def targets(subjects: Sequence[Subject], rules: Sequence[Rule]) -> tuple[Target, ...]:
    """Return all hosts worth asking about videos that these rules look at."""
    found: list[Target] = []
    for subject in subjects:
        concerned = [rule for rule in rules if _looks_at(rule, subject.channels, subject.tags)]
        if concerned:
            enough = max(ENOUGH, *((rule.keep_below or 0) for rule in concerned))
            found.extend(_targets(subject, enough))
    return tuple(found)


def _targets(subject: Subject, enough: int) -> list[Target]:
    live, ended = subject.copies.live, {(line.source, line.host): line for line in subject.lines if line.host}
    urgency = 2 if not subject.held else 1 if live is not None and live > 1 else 0

    def target(source: CopySource, host: str, url: str, line: Line | None) -> Target:
        rests = RIGHT_RESTS if line is None or line.count else WRONG_RESTS
        last = None if line is None else line.at
        return Target(subject.video, source, host, url, subject.held, urgency, last, rests)

    found = []
    if subject.origin:
        own = ended.get((CopySource.ORIGIN, subject.origin))
        found.append(target(CopySource.ORIGIN, subject.origin, "", own))
    for url in subject.mirrors:
        host = host_of(url)
        if host and host != subject.origin:
            found.append(target(CopySource.MIRRORS, host, url, ended.get((CopySource.MIRRORS, host))))
    counts = [line.count for line in subject.lines if not line.host]
    peers = [line for (source, _), line in ended.items() if source is CopySource.PEERS]
    if any(counts) or peers:
        again = NEXT_PEER_AFTER if subject.copies.verified < enough else RIGHT_RESTS
        last = max((line.at for line in peers), default=None)
        found.append(Target(subject.video, CopySource.PEERS, "", "", subject.held, urgency, last, again))
    return found


def _due(target: Target, tries: Tries) -> datetime:
    due = _NEVER if target.last is None else target.last + target.again
    tried = tries.get(target.key)
    if tried is None or (target.last is not None and tried.at <= target.last):
        return due
    return max(due, tried.until)


def next_one(known: Sequence[Target], tries: Tries, before: Asked, now: datetime) -> Next:
    """Return whom to ask now."""
    best: Target | None = None
    again: datetime | None = None
    for target in known:
        due = _due(target, tries)
        if target.host and target.host == before.host:
            due = max(due, before.at + HOST_RESTS)
        if due > now:
            again = due if again is None else min(again, due)
        elif best is None or _order(target, before) < _order(best, before):
            best = target
    return Next(best) if best is not None else Next(None, again)


def _order(target: Target, before: Asked) -> tuple[bool, int, datetime, VideoId, str]:
    return (target.host == before.host, target.urgency, target.last or _NEVER, target.video, target.host)


def next_peer(
    peers: Sequence[PeerSeen], lines: Sequence[Line], tries: Tries, video: VideoId, before: Asked, now: datetime
) -> PeerSeen | None:
    """Return the peer to ask: one that claims everything before one that may, never one that has only a part."""
    ended = {line.host: line for line in lines if line.source is CopySource.PEERS and line.host}
    ready: list[tuple[bool, datetime, str, PeerSeen]] = []
    for peer in peers:
        host = host_key(peer.address[0])
        line, tried = ended.get(host), tries.get((video, CopySource.PEERS, host))
        rests = line is not None and now - line.at < (RIGHT_RESTS if line.count else WRONG_RESTS)
        if peer.whole is False or rests or host == before.host or (tried is not None and now < tried.until):
            continue
        ready.append((peer.whole is not True, _NEVER if line is None else line.at, host, peer))
    return min(ready, key=lambda entry: entry[:3])[3] if ready else None


def host_key(address: str) -> str:
    """Return what counts as one host: an IPv4 address, or the /64 network of an IPv6 one, which is one household's."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))
