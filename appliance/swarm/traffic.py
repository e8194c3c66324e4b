"""Who got and who gave: this module counts payload bytes by torrent and class, and loses none.

libtorrent counts per peer connection and per torrent, not per class. The bytes of each connection that is seen are
given to its class. What a torrent's own total says beyond that was carried by connections that ended between two looks:
it goes to their classes, else to the classes in proportion to what was seen there, else to the internet, so that a
budget errs on the safe side.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.domain.traffic import TrafficClass
from appliance.domain.units import ByteCount, InfoHash
from appliance.swarm.port import Flow

_PEERS = (TrafficClass.INTERNET_PEERS, TrafficClass.LAN_PEERS)


@dataclass(frozen=True, slots=True)
class PeerTotals:
    """One connection's payload so far: ``key`` tells it from others, ``web_seed`` is an HTTP server."""

    key: tuple[str, int]
    up: int
    down: int
    web_seed: bool


class Lan:
    """Tells LAN addresses from the internet's, by our own interfaces' networks."""

    def __init__(self, ranges: Iterable[tuple[str, str]]) -> None:
        self._ranges = [(ipaddress.ip_address(a), ipaddress.ip_address(b)) for a, b in ranges]

    def holds(self, host: str) -> bool:
        address = ipaddress.ip_address(host.split("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(a.version == address.version and int(a) <= int(address) <= int(b) for a, b in self._ranges)


@dataclass(slots=True)
class _Account:
    """One torrent: totals already given to a class, connections as last seen, and what was not drained yet."""

    up: int = 0
    down: int = 0
    seen: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    classes: dict[tuple[str, int], TrafficClass] = field(default_factory=dict)
    spent_up: dict[TrafficClass, int] = field(default_factory=dict)
    spent_down: dict[TrafficClass, int] = field(default_factory=dict)
    last_up: dict[TrafficClass, int] = field(default_factory=dict)
    last_down: dict[TrafficClass, int] = field(default_factory=dict)
    ended: dict[TrafficClass, int] = field(default_factory=dict)
    ended_peers: dict[TrafficClass, int] = field(default_factory=dict)


class Traffic:
    """The session's ledger between two drains."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self._accounts: dict[InfoHash, _Account] = {}

    def moved(self, info_hash: InfoHash, up: int, down: int) -> bool:
        """Tell whether a torrent's totals are beyond what was accounted for."""
        account = self._accounts.get(info_hash)
        return (up, down) != ((account.up, account.down) if account else (0, 0))

    def count(self, info_hash: InfoHash, up: int, down: int, peers: Iterable[PeerTotals]) -> None:
        """Account for a torrent's totals since it was added, of which ``peers`` are the connections of this moment."""
        account = self._accounts.setdefault(info_hash, _Account())
        ups, downs = self._seen(account, peers)
        _settle(account.spent_up, account.ended_peers or ups or account.last_up, ups, up - account.up)
        _settle(account.spent_down, account.ended or downs or account.last_down, downs, down - account.down)
        account.ended, account.ended_peers = {}, {}
        account.up, account.down = max(up, account.up), max(down, account.down)
        account.last_up, account.last_down = ups or account.last_up, downs or account.last_down

    def ended(self, info_hash: InfoHash, host: str, *, web_seed: bool) -> None:
        """A connection is over: what it carried since it was last looked at is told by the torrent's total alone."""
        account = self._accounts.setdefault(info_hash, _Account())
        traffic = self._class(host, web_seed)
        account.ended[traffic] = account.ended.get(traffic, 0) + 1
        if not web_seed:  # nothing is given to a web seed
            account.ended_peers[traffic] = account.ended_peers.get(traffic, 0) + 1

    def _seen(
        self, account: _Account, peers: Iterable[PeerTotals]
    ) -> tuple[dict[TrafficClass, int], dict[TrafficClass, int]]:
        ups: dict[TrafficClass, int] = {}
        downs: dict[TrafficClass, int] = {}
        now: dict[tuple[str, int], tuple[int, int]] = {}
        for peer in peers:
            if not (peer.up or peer.down):
                continue
            before = account.seen.get(peer.key, (0, 0))
            if before[0] > peer.up or before[1] > peer.down:  # another connection from the same address
                before = (0, 0)
            traffic = self._class_of(account, peer)
            now[peer.key] = (peer.up, peer.down)
            if peer.up > before[0]:
                ups[traffic] = ups.get(traffic, 0) + peer.up - before[0]
            if peer.down > before[1]:
                downs[traffic] = downs.get(traffic, 0) + peer.down - before[1]
        account.seen = now
        account.classes = {key: c for key, c in account.classes.items() if key in now}
        return ups, downs

    def _class_of(self, account: _Account, peer: PeerTotals) -> TrafficClass:
        if (known := account.classes.get(peer.key)) is None:
            known = account.classes[peer.key] = self._class(peer.key[0], peer.web_seed)
        return known

    def _class(self, host: str, web_seed: bool) -> TrafficClass:
        """A server on the LAN counts as a peer there: neither crosses the uplink."""
        near = self.lan.holds(host)
        return TrafficClass.ORIGINS if web_seed and not near else _PEERS[near]

    def forget(self, info_hash: InfoHash) -> None:
        """A torrent is gone: what it spent stays until the next drain, its totals start anew."""
        if account := self._accounts.get(info_hash):
            self._accounts[info_hash] = _Account(spent_up=account.spent_up, spent_down=account.spent_down)

    def drain(self, held: Iterable[InfoHash]) -> tuple[Flow, ...]:
        """Return what was spent since the last call; torrents not in ``held`` are dropped once drained."""
        flows = []
        for info_hash, account in self._accounts.items():
            for traffic in TrafficClass:
                up, down = account.spent_up.pop(traffic, 0), account.spent_down.pop(traffic, 0)
                if up or down:
                    flows.append(Flow(info_hash, traffic, ByteCount(up), ByteCount(down)))
        for gone in self._accounts.keys() - set(held):
            del self._accounts[gone]
        return tuple(flows)


def _settle(
    spent: dict[TrafficClass, int], weights: dict[TrafficClass, int], seen: dict[TrafficClass, int], total: int
) -> None:
    """Give ``total`` bytes to classes: first what was seen, the rest in proportion to ``weights``."""
    if total <= 0:
        return
    known = sum(seen.values())
    if known >= total:  # connections were looked at a little later than the total: scale down, the rest comes next
        weights, known = seen, 0
        seen = {}
    for traffic, amount in seen.items():
        spent[traffic] = spent.get(traffic, 0) + amount
    rest, weight = total - known, sum(weights.values())
    if not weight:
        weights, weight = {TrafficClass.INTERNET_PEERS: 1}, 1
    given = 0
    for traffic, share in weights.items():
        amount = rest * share // weight
        spent[traffic] = spent.get(traffic, 0) + amount
        given += amount
    last = next(iter(weights))
    spent[last] = spent.get(last, 0) + rest - given
