"""Who gets how much of the upload, and who looks for peers: by need. This module is pure.

A copy that hardly anybody else has is needed most, and doubles in need with each copy that is missing; so does what
many ask for at once, more slowly. The owner's weights scale both. What has been given back often enough is throttled,
never stopped: a peer that has it from nobody else still gets it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.domain.units import ByteCount, BytesPerSecond, InfoHash

_PLENTY = 6
"""Copies from which on one more makes no difference."""
_UNKNOWN = 2
"""Copies that are taken to be there where nobody knows: unknown is not zero."""
_TRICKLE = BytesPerSecond(16 * 1024)
"""What a video gives that has given its ratio."""
_LEAST = 4 * 1024
_STEADY, _RISING = 1.25, 4.0
"""Times its present rate that is kept for a torrent of a greater need: little where it does not use it, much while it
grows."""
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Tended:
    """A video we hold, as giving sees it: bytes held and ever given, whole copies elsewhere (None: unknown), and what
    its rule says: weight, ratio after which it is throttled, seeds below which it is not."""

    size: ByteCount
    given: ByteCount = ByteCount(0)
    copies: int | None = None
    weight: float = 1.0
    ratio: float | None = None
    seed_below: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A torrent that somebody wants: ``rate`` it gives now in bytes/s, and ``before`` at the last parting, to
    ``leechers`` peers."""

    info_hash: InfoHash
    rate: int
    leechers: int
    tended: Tended
    before: int = 0


def need(tended: Tended, leechers: int = 0) -> float:
    """Return how much a video's giving is needed, above 0; 1 for one with plenty of copies that nobody asks for."""
    copies = _UNKNOWN if tended.copies is None else max(0, tended.copies)
    return tended.weight * 2.0 ** (_PLENTY - min(copies, _PLENTY)) * (1 + math.log2(1 + max(0, leechers)))


def has_given(tended: Tended) -> bool:
    """Say whether a video has given its ratio, and is not kept going because seeds are few or unknown."""
    if tended.ratio is None or tended.given < tended.ratio * tended.size:
        return False
    return tended.seed_below is None or (tended.copies is not None and tended.copies >= tended.seed_below)


def shares(asked: Iterable[Asked], limit: BytesPerSecond | None) -> dict[InfoHash, BytesPerSecond]:
    """Return what each torrent may give, for those that must be held back; ``limit`` is the whole purse (None: any).

    The purse is parted by need; who does not use his part leaves it to the others, with room to grow. So the parts may
    come to more than the purse, which binds above them all.
    """
    every = sorted(asked, key=lambda one: one.info_hash)
    spent = {one.info_hash: _TRICKLE for one in every if has_given(one.tended)}
    rest = [one for one in every if one.info_hash not in spent]
    if limit is None or len(rest) + bool(spent) < 2:
        return spent
    purse = max(0, limit - sum(min(one.rate, _TRICKLE) for one in every if one.info_hash in spent))
    return {**spent, **_parted(rest, purse)}


def _parted(rest: list[Asked], purse: int) -> dict[InfoHash, BytesPerSecond]:
    """Part the purse by need: nobody gets less than that part, and what is left of it goes to who can use more."""
    needs = {one.info_hash: need(one.tended, one.leechers) for one in rest}
    caps: dict[InfoHash, float] = {}
    eager, left = rest, purse
    for _ in range(_ROUNDS):
        whole = sum(needs[one.info_hash] for one in eager)
        part = {one.info_hash: left * needs[one.info_hash] / whole for one in eager}
        caps |= part
        modest = [one for one in eager if _wish(one) < part[one.info_hash]]
        eager = [one for one in eager if _wish(one) >= part[one.info_hash]]
        left = max(0, left - sum(_wish(one) for one in modest))
        if not modest or not eager:
            break
    return {info_hash: BytesPerSecond(max(_LEAST, round(cap))) for info_hash, cap in caps.items()}


def _wish(one: Asked) -> int:
    growth = _RISING if one.rate > 1.1 * one.before else _STEADY
    return int(one.rate * growth) + 4 * _LEAST


def turns(
    every: Mapping[InfoHash, float],
    began: Mapping[InfoHash, float],
    ended: Mapping[InfoHash, float],
    now: float,
    at_once: int,
    length: float,
) -> frozenset[InfoHash]:
    """Return which of the whole torrents announce now, ``at_once`` at most.

    ``every`` has the need of each, ``began`` when the present turns did, ``ended`` when others had their last. Times in
    seconds. Whoever has a turn keeps it for ``length``, so that trackers and peers have time to find it; then turns go
    by need times the time waited, so that each has one some day.
    """
    going = sorted(
        (k for k, start in began.items() if k in every and now - start < length), key=lambda k: (-every[k], k)
    )
    kept = going[:at_once]
    waiting = sorted(
        every.keys() - set(kept),
        key=lambda k: (-every[k] * (1.0 if k in began else 1.0 + (now - ended[k] if k in ended else 10 * length)), k),
    )
    return frozenset((*kept, *waiting[: at_once - len(kept)]))
