"""Who is at a video now: requests under way, and connections that asked for one and are still open. In memory only.

A lease says that somebody watched within the last minute; this says when the last viewer has left, which is sooner. A
player closes its connections when it goes. While it plays it hops from one to the next, or is silent on an open one,
its buffer full: neither is leaving.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from appliance.domain.units import VideoId

LEFT_SECONDS = 6.0
"""Seconds without a connection after which a viewer has left."""
SILENT_SECONDS = 20.0
"""Seconds that an open connection on which nothing is asked counts: a browser keeps its own long after the page."""


class Connection(Protocol):
    """What a viewer asks on."""

    def when_lost(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` once it is gone."""
        ...


@dataclass(slots=True)
class _Seat:
    requests: int = 0
    silence: asyncio.TimerHandle | None = None


class Audience:
    """See the module. Call it from the loop only."""

    def __init__(self) -> None:
        self._seats: dict[VideoId, dict[object, _Seat]] = {}
        self._at: dict[object, VideoId] = {}
        self._leaving: dict[VideoId, asyncio.TimerHandle] = {}
        self._listeners: list[Callable[[VideoId], None]] = []

    def listen(self, listener: Callable[[VideoId], None]) -> None:
        """Call ``listener`` when the last viewer of a video has left it."""
        self._listeners.append(listener)

    def present(self, video: VideoId) -> bool:
        """Tell whether anybody is at a video, or has not been gone for long."""
        return video in self._seats or video in self._leaving

    def attending(self, video: VideoId, connection: Connection | None) -> AbstractContextManager[None]:
        """Be there while a request is answered; after it, the ``connection`` it came on is, until it closes."""
        return _Attendance(self, video, connection)

    def _sit(self, video: VideoId, key: object, connection: Connection | None) -> _Seat:
        if (timer := self._leaving.pop(video, None)) is not None:
            timer.cancel()
        seat = self._seats.setdefault(video, {}).setdefault(key, _Seat())
        seat.requests += 1
        if seat.silence is not None:
            seat.silence.cancel()
            seat.silence = None
        if connection is not None:
            before = self._at.get(key)
            self._at[key] = video
            if before is None:
                connection.when_lost(partial(self._lost, key))
            elif before != video:
                self._free(before, key)
        return seat

    def _rise(self, video: VideoId, key: object, seat: _Seat) -> None:
        seat.requests -= 1
        if seat.requests:
            return
        if self._at.get(key) == video:
            seat.silence = asyncio.get_running_loop().call_later(SILENT_SECONDS, self._free, video, key)
        else:
            self._free(video, key)

    def _lost(self, key: object) -> None:
        video = self._at.pop(key, None)
        if video is not None:
            self._free(video, key)

    def _free(self, video: VideoId, key: object) -> None:
        """Take away a seat from which nothing is asked."""
        seats = self._seats.get(video, {})
        seat = seats.get(key)
        if seat is None or seat.requests:
            return
        if seat.silence is not None:
            seat.silence.cancel()
        del seats[key]
        if not seats:
            del self._seats[video]
            self._leaving[video] = asyncio.get_running_loop().call_later(LEFT_SECONDS, self._left, video)

    def _left(self, video: VideoId) -> None:
        del self._leaving[video]
        for listener in list(self._listeners):
            listener(video)


class _Attendance(AbstractContextManager[None]):
    """A request under way. Written out, as every media request makes one."""

    __slots__ = ("_audience", "_connection", "_key", "_seat", "_video")

    def __init__(self, audience: Audience, video: VideoId, connection: Connection | None) -> None:
        self._audience, self._video, self._connection = audience, video, connection
        self._key: object = object() if connection is None else connection

    def __enter__(self) -> None:
        self._seat = self._audience._sit(self._video, self._key, self._connection)

    def __exit__(self, *exc: object) -> None:
        self._audience._rise(self._video, self._key, self._seat)
