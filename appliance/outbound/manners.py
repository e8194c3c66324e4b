"""How we behave towards one origin: this module paces, counts and backs off.

API requests: one at a time, at most one a second, at most a quarter of the limit that the origin announces
(``X-RateLimit-*``, shared with the browsers of the household); a request that a person waits for goes first, and may
take of the rest of that limit. Media: two connections, and one more for a viewer.
An origin that fails is left alone, twice as long each time; one that says how long (``Retry-After``) is obeyed.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum

from appliance.clock import Clock
from appliance.domain.catalogue import OriginToday
from appliance.domain.units import ByteCount, Origin
from appliance.errors import Throttled, Unreachable
from appliance.outbound.lane import Lane

API_SECONDS = 1.0
API_JITTER = 0.25
SHARE_OF_LIMIT = 4
MEDIA_CONNECTIONS = 2
VIEWER_CONNECTIONS = 1
SIDE_CONNECTIONS = 2
FIRST_REST = 15.0
LONGEST_REST = 6 * 3600.0
LONGEST_OBEYED = 24 * 3600.0
PATIENCE = 3.0
_LONGEST_WINDOW = 15 * 60.0


class Ask(Enum):
    """What kind of request it is: to the API, for a small file beside the media, for media."""

    API = "api"
    SIDE = "side"
    MEDIA = "media"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of an origin on one UTC day: requests to its API, other requests, bytes received."""

    day: date
    api: int = 0
    other: int = 0
    received: ByteCount = ByteCount(0)


@dataclass(slots=True)
class _Record:
    asked: Asked
    lanes: dict[Ask, Lane] = field(
        default_factory=lambda: {
            Ask.API: Lane(1, VIEWER_CONNECTIONS),
            Ask.SIDE: Lane(SIDE_CONNECTIONS, VIEWER_CONNECTIONS),
            Ask.MEDIA: Lane(MEDIA_CONNECTIONS, VIEWER_CONNECTIONS),
        }
    )
    api_turn: Lane = field(default_factory=lambda: Lane(1))
    api_from: float = 0.0
    share_from: float = 0.0
    left: int | None = None
    failures: int = 0
    rest_until: datetime | None = None
    told_to_rest: bool = False
    rests: int = 0
    last_ok: datetime | None = None
    window_ends: float = 0.0
    window_used: int = 0


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e12 else None


def _http_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110 §10.2.3), a day at most; None without it."""
    text = headers.get("retry-after")
    seconds = _seconds(text)
    if seconds is None:
        moment = _http_date(text)
        if moment is None:
            return None
        seconds = max((moment - now).total_seconds(), 0.0)
    return min(seconds, LONGEST_OBEYED)


class Manners:
    """The book on all origins. ``chance`` gives numbers from 0 to 1, for the jitter."""

    def __init__(self, clock: Clock, chance: Callable[[], float]) -> None:
        self._clock, self._chance = clock, chance
        self._records: dict[Origin, _Record] = {}

    # Asking

    @asynccontextmanager
    async def turn(self, origin: Origin, ask: Ask, priority: bool = False) -> AsyncIterator[int]:
        """Wait for our turn at ``origin`` and hold it. ``priority`` (someone waits) goes first.

        Gives the number of rests it had so far, for ``heard``.
        Raises Throttled where the origin has to be left alone for longer than a moment.
        """
        record = self._record(origin)
        lane = record.lanes[ask]
        self._check_rest(origin, record, priority)
        await lane.enter(priority)
        try:
            await self._rest(origin, record, priority)
            if ask is not Ask.API:
                self._count(origin, api=False)
                yield record.rests
                return
            async with self._api_turn(record, priority):
                self._count(origin, api=True)
                yield record.rests
        except Unreachable:
            self._fail(record, None)
            raise
        finally:
            lane.leave()

    def heard(
        self, origin: Origin, ask: Ask, status: int, headers: Mapping[str, str], rests: int | None = None
    ) -> None:
        """Note an answer's status and headers (names in lower case).

        ``rests`` is what ``turn`` gave: a question put before the origin asked for a rest does not end that.
        """
        record = self._record(origin)
        if ask is Ask.API:
            self._note_limit(record, headers)
        if status == 429 or status >= 500:
            self._fail(record, retry_after(headers, self._clock.now()) if status in (429, 503) else None)
            return
        record.last_ok = self._clock.now()
        if rests is None or rests == record.rests:
            record.failures, record.rest_until, record.told_to_rest = 0, None, False

    def received(self, origin: Origin, count: int) -> None:
        """Count bytes that came from ``origin``."""
        asked = self._today(self._record(origin))
        self._record(origin).asked = Asked(asked.day, asked.api, asked.other, ByteCount(asked.received + count))

    # The book

    def asked_today(self, origin: Origin) -> Asked:
        """Return what was asked of ``origin`` on this UTC day."""
        record = self._records.get(origin)
        return self._today(record) if record else Asked(self._clock.now().date())

    def rest(self, origin: Origin) -> float:
        """Return for how many seconds ``origin`` is to be left alone; 0: not at all."""
        record = self._records.get(origin)
        if record is None or record.rest_until is None:
            return 0.0
        return max((record.rest_until - self._clock.now()).total_seconds(), 0.0)

    def export(self) -> tuple[OriginToday, ...]:
        """Return all that must outlive this process."""
        return tuple(self._line(origin, record) for origin, record in self._records.items())

    def restore(self, lines: tuple[OriginToday, ...]) -> None:
        """Take over what an earlier process exported; its requests all count as other than to the API."""
        today = self._clock.now().date()
        for line in lines:
            record = self._record(Origin(line.origin))
            record.asked = Asked(today, 0, line.requests, line.bytes_taken)
            record.failures, record.last_ok = line.failures, line.last_ok
            record.rest_until = line.quiet_until
            record.told_to_rest = line.quiet_until is not None

    def _line(self, origin: Origin, record: _Record) -> OriginToday:
        asked = self._today(record)
        return OriginToday(
            origin, asked.api + asked.other, asked.received, record.failures, record.rest_until, record.last_ok
        )

    # Inside

    def _record(self, origin: Origin) -> _Record:
        record = self._records.get(origin)
        if record is None:
            record = self._records[origin] = _Record(Asked(self._clock.now().date()))
        return record

    def _today(self, record: _Record) -> Asked:
        today = self._clock.now().date()
        if record.asked.day != today:
            record.asked = Asked(today)
        return record.asked

    def _count(self, origin: Origin, api: bool) -> None:
        record = self._record(origin)
        asked = self._today(record)
        record.asked = Asked(asked.day, asked.api + api, asked.other + (not api), asked.received)

    def _check_rest(self, origin: Origin, record: _Record, priority: bool) -> float:
        """Return the seconds still to wait. Raises Throttled where they are too many.

        A viewer's request does not wait out our own back-off, only what the origin asked for.
        """
        left = self.rest(origin)
        if left <= 0 or (priority and not record.told_to_rest):
            return 0.0
        if left > PATIENCE:
            raise Throttled(
                f"{origin} is left alone for now: it failed or asked for a pause.",
                after=left,
                hint=f"Seedkeep asks again in {_spoken(left)}.",
            )
        return left

    async def _rest(self, origin: Origin, record: _Record, priority: bool) -> None:
        left = self._check_rest(origin, record, priority)
        if left > 0:
            await self._clock.sleep(left)

    @asynccontextmanager
    async def _api_turn(self, record: _Record, priority: bool) -> AsyncIterator[None]:
        """Wait until the API may be asked, and be the only one that asks; a person overtakes whoever waits."""
        while True:
            while (wait := self._api_wait(record, priority)) > 0:
                await self._clock.sleep(wait)
            await record.api_turn.enter(priority)
            if self._api_wait(record, priority) <= 0:
                break
            record.api_turn.leave()
        try:
            record.api_from = self._clock.monotonic() + API_SECONDS + API_JITTER * self._chance()
            record.window_used += 1
            if record.left is not None:
                record.left -= 1
            yield
        finally:
            record.api_turn.leave()

    def _api_wait(self, record: _Record, priority: bool) -> float:
        """Return the seconds to wait: for the pace always, for our share of the limit unless a person waits."""
        now = self._clock.monotonic()
        used_up = record.left is not None and record.left < 1
        start = max(record.api_from, record.share_from) if used_up or not priority else record.api_from
        return start - now

    def _note_limit(self, record: _Record, headers: Mapping[str, str]) -> None:
        limit, remaining = _seconds(headers.get("x-ratelimit-limit")), _seconds(headers.get("x-ratelimit-remaining"))
        reset = _seconds(headers.get("x-ratelimit-reset"))
        if limit is None or reset is None:
            return
        # The origin's clock may be wrong, so its reset is measured against its own date.
        there = _http_date(headers.get("date")) or self._clock.now()
        left = min(max(reset - there.timestamp(), 0.0), _LONGEST_WINDOW)
        now = self._clock.monotonic()
        if now >= record.window_ends:
            record.window_used = 1
        record.window_ends = now + left
        record.left = None if remaining is None else int(remaining)
        share = max(int(limit) // SHARE_OF_LIMIT, 1)
        crowded = remaining is not None and remaining < limit / SHARE_OF_LIMIT
        if record.window_used >= share or crowded:
            record.share_from = record.window_ends

    def _fail(self, record: _Record, asked_for: float | None) -> None:
        record.failures += 1
        record.rests += 1
        own = min(FIRST_REST * 2.0 ** min(record.failures - 1, 20), LONGEST_REST) * (0.8 + 0.4 * self._chance())
        record.told_to_rest = asked_for is not None
        seconds = own if asked_for is None else asked_for + API_JITTER * self._chance()
        record.rest_until = self._clock.now() + timedelta(seconds=seconds)


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{round(seconds / 3600)} hours"
