"""How long a video may keep its turn while nothing of it comes: this module notices who has to make room.

HTTP ranges have time limits of their own; a torrent whose every source is away or lies would wait for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from appliance.domain.units import ByteCount, VideoId
from appliance.errors import OriginError, Throttled
from appliance.outbound.fetch import Fetcher

_ASKED_SECONDS = 15.0
_WITHOUT_A_PIECE = 10
"""Bytes that never make a verified piece are borne so many times as long as silence: a piece may take its time."""


class NoSource(OriginError):
    """Nobody sends usable bytes of a video now; somebody may later."""

    code = "no_source"
    retryable = True

    def __init__(self, said: OriginError | None = None) -> None:
        """``said`` is what the origin answered when it was asked why."""
        nobody = "No server and no peer sends usable bytes of this video."
        super().__init__(
            nobody if said is None else f"No peer sends usable bytes of this video, and {said.message}",
            hint="It is tried again by itself; if that never helps, its publisher has to look at its files.",
        )
        self.after = said.after if isinstance(said, Throttled) else 0.0


async def why_nothing_comes(fetcher: Fetcher, address: str) -> NoSource:
    """Ask the origin for one byte of a file of which nothing comes, and return what is to be said then.

    BitTorrent clients keep to themselves what a web seed answered. An origin that is left alone is not asked.
    """
    try:
        await fetcher.get_range(address, 0, 0, timeout=_ASKED_SECONDS)
    except OriginError as said:
        return NoSource(said)
    return NoSource()


class Fetching(Protocol):
    """A video being fetched by torrents: its verified bytes, and all it was sent."""

    @property
    def video(self) -> VideoId: ...

    @property
    def done(self) -> ByteCount: ...

    @property
    def received(self) -> ByteCount: ...


@dataclass(slots=True)
class _Seen:
    done: ByteCount
    received: ByteCount
    moved: float
    heard: float


class Patience:
    """Remembers when each video last came on. Give it every fetch, every few seconds."""

    def __init__(self) -> None:
        self._seen: dict[VideoId, _Seen] = {}

    def lost_with(self, fetches: Iterable[Fetching], now: float, seconds: float) -> list[VideoId]:
        """Return those of which nothing came for ``seconds``, or nothing usable for much longer; ``now`` in seconds."""
        seen: dict[VideoId, _Seen] = {}
        lost = []
        for fetch in fetches:
            done, received = fetch.done, fetch.received
            past = self._seen.get(fetch.video)
            if past is None or past.done != done:
                past = _Seen(done, received, now, now)
            elif past.received != received:
                past.received, past.heard = received, now
            seen[fetch.video] = past
            if now - past.heard >= seconds or now - past.moved >= seconds * _WITHOUT_A_PIECE:
                lost.append(fetch.video)
        self._seen = seen
        return lost

    def begin_again(self) -> None:
        """Forget how long anybody waited: what holds them up is our own doing."""
        self._seen = {}
