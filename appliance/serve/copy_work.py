"""The one copy for televisions that is being made, and those that could not be: this module keeps both.

An attempt is written down before it begins, and taken back where it was only stopped: what takes the whole machine with
it is not tried for ever.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from appliance.clock import Clock
from appliance.domain.channel import Trouble
from appliance.domain.television import CopyState, TelevisionCopy
from appliance.domain.units import VideoId
from appliance.errors import DiskError, SeedkeepError
from appliance.host.encoding import Kitchen
from appliance.library import copies
from appliance.library.copies import Attempts, Copy
from appliance.library.marker import Library
from appliance.serve.copy_making import Commission, make_copy
from appliance.serve.wanted_copies import MACHINE, MOST_FAILED, may_try, resting

_log = logging.getLogger(__name__)

_Key = tuple[VideoId, str]


@dataclass(slots=True)
class _Now:
    """What is being made: ``reached`` seconds of it, ``size`` bytes."""

    key: _Key
    seconds: int
    task: "asyncio.Task[None]"
    reached: float = 0.0
    size: int = 0


class CopyWork:
    """See the module. Call it from the loop."""

    def __init__(
        self,
        library: Library,
        kitchen: Kitchen,
        clock: Clock,
        done: Callable[[VideoId, Copy | None, DiskError | None], None],
    ) -> None:
        """``done`` is told when the work on a video ended: with a copy, with what the disk said, or with neither."""
        self._library, self._kitchen, self._clock, self._done = library, kitchen, clock, done
        self._attempts: dict[_Key, Attempts] = {}
        self._now: _Now | None = None
        self._why = ""

    @property
    def busy(self) -> bool:
        return self._now is not None

    @property
    def size(self) -> int:
        """Return the bytes of what is being made, so far."""
        return 0 if self._now is None else self._now.size

    def status(self, video: VideoId, source: str | None) -> TelevisionCopy | None:
        """Return how far the copy of a video is, where it is being made or failed."""
        if (now := self._now) is not None and now.key[0] == video:
            percent = min(100.0, 100 * now.reached / now.seconds)
            return TelevisionCopy(CopyState.RESTING if self._why else CopyState.MAKING, percent)
        tried = None if source is None else self._attempts.get((video, source))
        return None if tried is None or not tried.failed else TelevisionCopy(CopyState.FAILED, trouble=_trouble(tried))

    def barred(self, video: VideoId, source: str) -> bool:
        """Tell whether this copy failed and is not tried again now."""
        tried = self._attempts.get((video, source))
        return tried is not None and not may_try(tried.failed, tried.at, self._clock.now())

    async def recall(self) -> None:
        """Read what is remembered of attempts. Raises LibraryMissing, DiskError."""
        tried = await asyncio.to_thread(copies.attempts, self._library)
        self._attempts = {(VideoId(t.video), t.source): t for t in tried}

    async def tidy(self, keys: set[_Key]) -> None:
        """Stop the work if nobody wants it any more, and forget attempts at what is not among ``keys``."""
        if self._now is not None and self._now.key not in keys:
            await self.stop()
        for key in self._attempts.keys() - keys:
            await self._set(key, None)

    def rest_or_go_on(self, *, screens: bool, busy: float | None) -> bool:
        """Tell whether work goes on now; what is being made rests or goes on with it."""
        before, self._why = self._why, resting(screens=screens, busy=busy, was=self._why == MACHINE)
        if self._why and not before:
            self._kitchen.rest()
        elif before and not self._why:
            self._kitchen.go_on()
        return not self._why

    def begin(self, wanted: Commission) -> None:
        """Make a copy. Nothing else is being made."""
        key = wanted.video, wanted.recipe.source
        task = asyncio.create_task(self._make(key, wanted), name=f"copy of {wanted.video}")
        self._now = _Now(key, wanted.recipe.seconds, task)

    async def stop(self) -> None:
        """Give up what is being made; nothing of it is left."""
        if (now := self._now) is not None:
            now.task.cancel()
            await asyncio.wait({now.task})
            self._now = None

    async def _make(self, key: _Key, wanted: Commission) -> None:
        before = self._attempts.get(key)
        copy: Copy | None = None
        trouble: DiskError | None = None
        try:
            await self._set(key, self._attempt(key, before))
            copy = await make_copy(self._library, self._kitchen, self._clock, wanted, self._further)
            await self._set(key, None)
        except asyncio.CancelledError:
            await self._take_back(key, before)
            raise
        except DiskError as error:
            _log.warning("A copy for televisions of %s waits: %s", wanted.video, error.message)
            trouble = error
            await self._take_back(key, before)
        except SeedkeepError as error:
            _log.warning("A copy for televisions of %s failed: %s %s", wanted.video, error.message, error.hint)
            await self._set(key, self._attempt(key, before, error))
        except Exception:  # noqa: BLE001 - the edge of one unit of work: one copy
            _log.exception("A copy for televisions of %s failed", wanted.video)
        finally:
            self._now = None
            self._done(wanted.video, copy, trouble)

    def _further(self, seconds: float, size: int) -> None:
        if self._now is not None:
            self._now.reached, self._now.size = seconds, size

    def _attempt(self, key: _Key, before: Attempts | None, error: SeedkeepError | None = None) -> Attempts:
        return Attempts(
            video=key[0],
            source=key[1],
            failed=1 if before is None else before.failed + 1,
            at=self._clock.now(),
            message="" if error is None else error.message[:1000],
            hint="" if error is None else error.hint[:1000],
        )

    async def _set(self, key: _Key, one: Attempts | None) -> None:
        """Write down what became of a copy so far, or forget it. Raises DiskError."""
        if one is None:
            await asyncio.to_thread(copies.forget, self._library, *key)
            self._attempts.pop(key, None)
        else:
            await asyncio.to_thread(copies.remember, self._library, one)
            self._attempts[key] = one

    async def _take_back(self, key: _Key, before: Attempts | None) -> None:
        """It did not fail, it was stopped."""
        try:
            await self._set(key, before)
        except DiskError as error:
            _log.info("An attempt cannot be taken back: %s", error.message)


def _trouble(tried: Attempts) -> Trouble:
    message = tried.message or "Seedkeep ended while it made a copy for televisions of this video."
    again = "It is not tried again." if tried.failed >= MOST_FAILED else "It is tried again later."
    return Trouble("copy_failed", message, f"{tried.hint} {again}".strip())
