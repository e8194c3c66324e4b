"""Who works on which video now: one task each, what goes wrong in it noted. This module keeps that list."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from appliance.domain.units import VideoId
from appliance.errors import SeedkeepError
from appliance.pin.opener import sentence

_log = logging.getLogger(__name__)


class Turns:
    """``wake`` is called when a turn is free again. Nothing is begun but while there is a ``group`` for it."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.group: asyncio.TaskGroup | None = None
        self.troubles: dict[str, str] = {}
        self.fetching: set[VideoId] = set()
        self._tasks: dict[VideoId, asyncio.Task[None]] = {}
        self._stopping: set[VideoId] = set()

    @property
    def taken(self) -> frozenset[VideoId]:
        """The videos that are being worked on."""
        return frozenset(self._tasks)

    async def guarded(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Do one unit of work; what goes wrong in it is logged, shown in health, and tried again at the next tick."""
        try:
            await work
            self.troubles.pop(what, None)
        except SeedkeepError as error:
            if self.troubles.get(what) != error.message:
                _log.warning("%s: %s", what, error.message)
            self.troubles[what] = error.message
        except Exception as error:  # noqa: BLE001 - the edge of one unit of work
            self.troubles[what] = sentence(error).message
            _log.exception("%s failed", what)

    def begin(self, video: VideoId, work: Coroutine[Any, Any, None], *, wake: bool = True) -> bool:
        """Work on one video, unless someone does already."""
        if video in self._tasks or self.group is None:
            work.close()
            return False
        task = self.group.create_task(self.guarded(f"video {video}", work), name=f"pin {video}")
        self._tasks[video] = task

        def done(_: object) -> None:
            self._tasks.pop(video, None)
            self.fetching.discard(video)
            self._stopping.discard(video)
            if wake or not self._tasks:
                self._wake()

        task.add_done_callback(done)
        return True

    def fetch(self, video: VideoId, work: Coroutine[Any, Any, None]) -> None:
        """Begin work that fetches a video, unless someone works on it already."""
        if self.begin(video, work):
            self.fetching.add(video)

    def stop(self, video: VideoId) -> None:
        """Cancel the work on a video, once."""
        if video not in self._stopping and (task := self._tasks.get(video)) is not None:
            self._stopping.add(video)
            task.cancel()
