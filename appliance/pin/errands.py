"""Small files fetched from origins when somebody wants to see them: what is asked for last comes first.

A list that is scrolled past holds up nothing that is on the screen; a hundred screens ask once; an origin that does not
answer is not asked again and again. This module minds all that; how an origin is asked at all is ``outbound``'s.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from appliance.clock import Clock
from appliance.errors import DiskError, OriginError, ServerTrouble, Throttled
from appliance.library.drawer import Drawer
from appliance.outbound.fetch import Fetcher
from appliance.outbound.manners import Ask

AT_ONCE, OF_ONE_ORIGIN = 4, 2
MOST_WAITING = 200
AT_A_STRETCH, A_SECOND = 60, 2.0
"""How many files an origin is asked for one after the other, and how many a second then: a screen is filled at once, a
whole catalogue slowly."""
FORGOTTEN = 60.0
"""Seconds after which what nobody asked for again is not fetched any more."""
_SECONDS, _OVERALL = 12.0, 20.0
"""Seconds for one answer, and with waiting for our turn."""
_USELESS, _BROKEN, _SOON = 3600.0, 900.0, 60.0
"""Seconds that an address is left alone: where it leads to nothing, where its server fails, where it may yet answer."""
_REMEMBERED = 10_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file at ``url`` of at most ``most`` bytes that ``fits``."""

    url: str
    most: int
    fits: Callable[[bytes], bool]


@dataclass(slots=True)
class _Turns:
    """How many files an origin may be asked for now."""

    at: float
    left: float = AT_A_STRETCH

    def wait(self, now: float) -> float:
        """Return the seconds until one more may be asked for."""
        self.left = min(AT_A_STRETCH, self.left + (now - self.at) * A_SECOND)
        self.at = now
        return max(0.0, (1 - self.left) / A_SECOND)


@dataclass(slots=True)
class _Errand:
    wanted: Wanted
    origin: str
    asked_at: float
    done: "asyncio.Future[Path | None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, path: Path | None) -> None:
        if not self.done.done():
            self.done.set_result(path)


class Errands:
    """See the module. Call it from the loop; ``may`` says whether anything may come from the internet now."""

    def __init__(self, fetcher: Fetcher, drawer: Drawer, clock: Clock, may: Callable[[], bool] = lambda: True) -> None:
        self._fetcher, self._drawer, self._clock, self._may = fetcher, drawer, clock, may
        self._waiting: OrderedDict[str, _Errand] = OrderedDict()
        self._running: dict[str, tuple[_Errand, asyncio.Task[None]]] = {}
        self._left_alone: OrderedDict[str, float] = OrderedDict()
        self._turns: dict[str, _Turns] = {}
        self._pause: asyncio.Task[None] | None = None
        self._closed = False

    async def close(self) -> None:
        """Fetch nothing more."""
        self._closed = True
        while self._waiting:
            self._waiting.popitem()[1].end(None)
        tasks = [task for _, task in self._running.values()]
        tasks += [] if self._pause is None else [self._pause]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def find(self, url: str) -> Path | None:
        """Return where the file lies, None where it is not here."""
        return await asyncio.to_thread(self._drawer.find, url)

    async def bring(self, wanted: Wanted, patience: float) -> Path | None:
        """Return where the file lies, fetched first where it is not here; None where it cannot be had now, or does
        not come within ``patience`` seconds. It goes on coming then."""
        found = await self.find(wanted.url)
        if found is not None or self._is_left_alone(wanted.url) or not self._may() or self._closed:
            return found
        errand = self._take(wanted)
        done, _ = await asyncio.wait({errand.done}, timeout=patience)
        return errand.done.result() if done else None

    # What waits

    def _take(self, wanted: Wanted) -> _Errand:
        now = self._clock.monotonic()
        if wanted.url in self._running:
            return self._running[wanted.url][0]
        errand = self._waiting.get(wanted.url)
        if errand is None:
            errand = self._waiting[wanted.url] = _Errand(wanted, _origin(wanted.url), now)
        errand.asked_at = now
        self._waiting.move_to_end(wanted.url)
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)[1].end(None)
        self._begin()
        return errand

    def _begin(self) -> None:
        while len(self._running) < AT_ONCE and (errand := self._next()) is not None:
            url = errand.wanted.url
            self._running[url] = (errand, asyncio.create_task(self._run(errand), name=f"fetch {url[:80]}"))

    def _next(self) -> _Errand | None:
        """Take the one asked for last out of those whose origin has a place and may be asked now."""
        now = self._clock.monotonic()
        busy = Counter(errand.origin for errand, _ in self._running.values())
        soonest: float | None = None
        for url in list(reversed(self._waiting)):
            errand = self._waiting[url]
            if errand.asked_at < now - FORGOTTEN:
                del self._waiting[url]
                errand.end(None)
            elif busy[errand.origin] < OF_ONE_ORIGIN:
                wait = self._wait(errand.origin, now)
                if wait <= 0:
                    del self._waiting[url]
                    self._turns[errand.origin].left -= 1
                    return errand
                soonest = wait if soonest is None else min(soonest, wait)
        if soonest is not None and self._pause is None:
            self._pause = asyncio.create_task(self._go_on_after(soonest), name="errands pause")
        return None

    def _wait(self, origin: str, now: float) -> float:
        if origin not in self._turns:
            if len(self._turns) >= _REMEMBERED:
                self._turns.clear()
            self._turns[origin] = _Turns(now)
        return self._turns[origin].wait(now)

    async def _go_on_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._pause = None
        self._begin()

    # One errand

    async def _run(self, errand: _Errand) -> None:
        path: Path | None = None
        try:
            path = await self._fetched(errand)
        except Exception:  # noqa: BLE001 - the edge of one unit of work: one file
            _log.exception("Fetching %s failed", errand.wanted.url[:200])
            self._leave_alone(errand.wanted.url, _USELESS)
        finally:
            errand.end(path)
            del self._running[errand.wanted.url]
            if not self._closed:
                self._begin()

    async def _fetched(self, errand: _Errand) -> Path | None:
        """Fetch one file; note how long its address is to be left alone where nothing comes of it."""
        wanted = errand.wanted
        if not self._may():
            return None
        try:
            async with asyncio.timeout(_OVERALL):  # our own limit may let it wait, and others may go first
                answer = await self._fetcher.get(
                    wanted.url, ask=Ask.SIDE, accept="*/*", max_bytes=wanted.most, timeout=_SECONDS
                )
            if wanted.fits(answer.body):
                return await asyncio.to_thread(self._drawer.put, wanted.url, answer.body)
            self._leave_alone(wanted.url, _USELESS)
        except TimeoutError:
            self._leave_alone(wanted.url, _SOON)
        except Throttled as error:
            if (turns := self._turns.get(errand.origin)) is not None:
                turns.left += 1  # most of these are said here, without asking
            self._leave_alone(wanted.url, min(max(error.after, 1.0), _BROKEN))
        except OriginError as error:
            self._leave_alone(wanted.url, _rest(error))
        except DiskError as error:
            _log.info("A small file cannot be kept: %s", error)
            self._leave_alone(wanted.url, _SOON)
        return None

    # What is not asked again for a while

    def _is_left_alone(self, url: str) -> bool:
        until = self._left_alone.get(url)
        if until is None or until > self._clock.monotonic():
            return until is not None
        del self._left_alone[url]
        return False

    def _leave_alone(self, url: str, seconds: float) -> None:
        self._left_alone[url] = self._clock.monotonic() + seconds
        self._left_alone.move_to_end(url)
        while len(self._left_alone) > _REMEMBERED:
            self._left_alone.popitem(last=False)


def _rest(error: OriginError) -> float:
    match error:
        case ServerTrouble():
            return _BROKEN
        case _:
            return _SOON if error.retryable else _USELESS


def _origin(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
