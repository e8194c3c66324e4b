"""Whom a torrent knows, and what to ask of them: this module reads both out of libtorrent and off the disk.

Its functions block: run them in a thread.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import libtorrent as lt

from appliance.swarm.challenge import BLOCK
from appliance.swarm.extents import Extents, read_piece
from appliance.swarm.port import PeerSeen, PeerSource, Sample

_OUR_MOST = 100
_LASTING_SECONDS = 3600.0
"""How long a peer that left counts as one that has everything; a tracker brings those that stay back sooner."""

_BOTH_SEED = frozenset({37, 98})
"""libtorrent's ``upload_upload_connection`` and ``torrent_finished``: what it hangs up with where neither lacks
anything. The binding has no names for them."""

_OURSELVES = 47
"""libtorrent's ``self_connection``: a tracker named our own address, as the router's outside may be."""


class Acquaintances:
    """Peers of one torrent that we called or could call, and those that left because neither side lacks anything.

    libtorrent forgets the latter at once, and counts a peer's good pieces in four bits with a sign (2.1.1), so that the
    eighth makes it one not to be named. So this is kept beside it, from its alerts. ``seconds`` are monotonic.
    """

    __slots__ = ("_called", "_named", "_ours", "_whole")

    def __init__(self) -> None:
        self._called: dict[tuple[str, int], float] = {}
        self._named: dict[tuple[str, int], float] = {}
        self._ours: dict[tuple[str, int], float] = {}
        self._whole: dict[str, float] = {}

    def connected(self, address: tuple[str, int], message: str, seconds: float) -> None:
        """Note a connection; whose call it was stands only in the alert's ``message``."""
        if " outgoing " in message:
            _remember(self._called, address, seconds)

    def named(self, addresses: Iterable[tuple[str, int]], seconds: float) -> None:
        """Note where peers can be called, as libtorrent names them for the next time."""
        for address in addresses:
            _remember(self._named, address, seconds)

    def left(self, address: tuple[str, int], error: int, seconds: float) -> None:
        """Note the end of a connection."""
        if error == _OURSELVES:
            _remember(self._ours, address, seconds)
        if error in _BOTH_SEED:
            _remember(self._whole, address[0], seconds)

    @property
    def callable(self) -> tuple[tuple[str, int], ...]:
        """Whom we called or could call, but ourselves."""
        return tuple(a for a in {**self._called, **self._named} if a not in self._ours)

    def whole(self, seconds: float) -> int:
        """Return at how many addresses everything was, lately."""
        return sum(seconds - at < _LASTING_SECONDS for at in self._whole.values())

    def seen(self, now: Iterable[PeerSeen]) -> tuple[PeerSeen, ...]:
        """Return those connected ``now`` and, where no connection stands, those that we called before."""
        found = {peer.address: peer for peer in now}
        hosts = {host for host, _ in found}
        for address in reversed(self._called):
            if address[0] not in hosts and address not in self._ours:
                found[address] = PeerSeen(address, True if address[0] in self._whole else None)
        return tuple(found.values())


def _remember(book: dict[Any, float], key: object, seconds: float) -> None:
    book.pop(key, None)
    book[key] = seconds
    while len(book) > _OUR_MOST:
        del book[next(iter(book))]


def connected(handle: lt.torrent_handle) -> tuple[PeerSeen, ...]:
    """Return the peers that stand connected at our own call: of the others the port they listen at is not known."""
    try:
        infos = handle.get_peer_info()
    except RuntimeError:  # the torrent just went
        return ()
    return tuple(
        PeerSeen((str(i.ip[0]), int(i.ip[1])), bool(i.flags & i.seed), _sources(i))
        for i in infos
        if i.connection_type == i.standard_bittorrent
        and i.flags & i.outgoing_connection
        and not i.flags & (i.handshake | i.connecting)
    )


def _sources(info: Any) -> frozenset[PeerSource]:
    marks = {
        info.tracker: PeerSource.TRACKER,
        info.dht: PeerSource.DHT,
        info.pex: PeerSource.PEX,
        info.lsd: PeerSource.LSD,
        lt.peer_info.tracker << 5: PeerSource.INCOMING,
    }
    return frozenset(source for mark, source in marks.items() if info.source & mark)


def sampled(
    extents: Extents, have: bytes, hash_of: Callable[[int], bytes], chance: Callable[[], float]
) -> Sample | None:
    """See ``port.Swarm.sample``. ``have`` has one byte a piece, ``hash_of`` gives a piece's SHA-1."""
    ours = [piece for piece, here in enumerate(have) if here]
    choice = ours or range(len(have))
    if not choice:
        return None
    piece = choice[min(int(chance() * len(choice)), len(choice) - 1)]
    size, sha1 = extents.piece_size(piece), hash_of(piece)
    if not ours:
        return Sample(len(have), piece, 0, size, sha1)
    try:
        data = read_piece(extents, piece)
    except OSError:
        return None
    if hashlib.sha1(data, usedforsecurity=False).digest() != sha1:
        return None
    blocks = -(-size // BLOCK)
    begin = BLOCK * min(int(chance() * blocks), blocks - 1)
    start = piece * extents.piece_length
    part = max(extents.slices(start + begin, min(BLOCK, size - begin)), key=lambda part: part.length)
    begin = extents.starts[part.file] + part.offset - start
    return Sample(
        pieces=len(have),
        piece=piece,
        begin=begin,
        length=part.length,
        sha1=sha1,
        data=data[begin : begin + part.length],
        file=extents.names[part.file],
        offset=part.offset,
    )
