"""Asking the world over HTTP: this module is the only way there, bounded in size, time and redirects.

Every hop of a redirect is checked like a first request and counted where it goes.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import httpx

from appliance.clock import Clock
from appliance.domain.catalogue import OriginToday
from appliance.domain.units import BytesPerSecond, Origin
from appliance.errors import BadAnswer, Refused, Unreachable
from appliance.outbound.guard import addresses_of, parsed_address
from appliance.outbound.manners import Ask, Asked, Manners
from appliance.outbound.meter import Meter
from appliance.outbound.terms import Pace, require_range, require_small, require_success, wrong_range
from appliance.outbound.verdict import too_large
from appliance.outbound.wire import Inflater, Reply, Wire, origin_of, parsed_url

MOST_REDIRECTS = 5
MOST_BYTES = 8 * 1024 * 1024
OVERALL_SECONDS = 60.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_system_chance = secrets.SystemRandom().random


@dataclass(frozen=True, slots=True)
class OutboundOptions:
    """``allow_private`` lets us go to private addresses and over plain HTTP; ``user_agent`` names us to origins."""

    allow_private: bool = False
    user_agent: str = "Seedkeep"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``body`` is empty where ``not_modified``; ``url`` is where it came from after redirects."""

    status: int
    body: bytes
    etag: str | None
    not_modified: bool
    content_type: str
    url: str


class Fetcher:
    """Asks origins, with manners. An async context manager.

    ``count`` is told of every byte received, by origin, and whether it stayed on the LAN: ``is_lan`` says so of the
    address that was connected to. Such bytes are neither limited nor in ``received_rate``, for they cross no uplink.
    ``chance`` gives numbers from 0 to 1 for the jitter.
    """

    def __init__(
        self,
        options: OutboundOptions,
        clock: Clock,
        *,
        count: Callable[[Origin, int, bool], None] | None = None,
        is_lan: Callable[[str], bool] = lambda _: False,
        chance: Callable[[], float] = _system_chance,
    ) -> None:
        self._options = options
        self._clock = clock
        self._count, self._is_lan = count, is_lan
        self._near: dict[Origin, bool] = {}
        self.manners = Manners(clock, chance)
        self._meter = Meter(clock.monotonic)
        self._wire = Wire(lambda: self._options.allow_private)

    async def __aenter__(self) -> Self:
        await self._wire.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wire.close()

    @property
    def allow_private(self) -> bool:
        """Whether private addresses and plain HTTP are allowed now."""
        return self._options.allow_private

    def reconfigure(self, options: OutboundOptions) -> None:
        """Use ``options`` from the next request on."""
        self._options = options

    def set_rate(self, rate: BytesPerSecond | None) -> None:
        """Receive at most ``rate`` bytes/s from all origins of the internet together; None: unlimited, 0 stops."""
        self._meter.set_rate(rate)

    def when_short(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Have ``listener`` awaited when a viewer has to wait for our own limit, who did not just before."""
        self._meter.when_short = listener

    @property
    def is_short(self) -> bool:
        """Whether a viewer had to wait for our own limit a moment ago."""
        return self._meter.is_short

    @property
    def stopped(self) -> bool:
        """Whether our own limit lets nothing through from the internet."""
        return self._meter.rate == 0

    def received_rate(self) -> BytesPerSecond:
        """Return the bytes received from the internet in the last second."""
        return self._meter.received_rate()

    def asked_today(self, origin: Origin) -> Asked:
        """Return what was asked of ``origin`` on this UTC day."""
        return self.manners.asked_today(origin)

    def export(self) -> tuple[OriginToday, ...]:
        """Return what must be kept of all origins over a restart."""
        return self.manners.export()

    def restore(self, lines: tuple[OriginToday, ...]) -> None:
        """Take over what an earlier process exported."""
        self.manners.restore(lines)

    async def get(
        self,
        url: str,
        *,
        ask: Ask = Ask.API,
        accept: str = "application/json",
        etag: str | None = None,
        max_bytes: int = MOST_BYTES,
        timeout: float = OVERALL_SECONDS,
        priority: bool = False,
        expect: frozenset[int] = frozenset(),
    ) -> Answer:
        """Return a whole answer of at most ``max_bytes`` within ``timeout`` seconds of being asked.

        With ``etag`` the answer may be "not modified". Statuses in ``expect`` are returned instead of raised.
        Raises OriginError.
        """
        headers = {"Accept": accept, "Accept-Encoding": "gzip, identity"}
        if etag is not None:
            headers["If-None-Match"] = etag
        async with self._asked(url, ask, headers, priority, timeout) as (reply, limit):
            if reply.status == 304 and etag is not None:
                return Answer(304, b"", etag, True, "", str(reply.url))
            if reply.status not in expect:
                require_success(reply, self._clock.now())
            body = await self._body(reply, max_bytes, priority, limit)
            return Answer(
                reply.status,
                body,
                reply.headers.get("etag"),
                False,
                reply.headers.get("content-type", ""),
                str(reply.url),
            )

    async def get_range(
        self, url: str, first: int, last: int, *, priority: bool = False, timeout: float = OVERALL_SECONDS
    ) -> bytes:
        """Return the bytes ``first`` to ``last``, both included (RFC 9110 §14): exactly these.

        ``priority`` is for a viewer who waits. Raises BadAnswer for any other range, else OriginError.
        """
        if not 0 <= first <= last:
            raise ValueError("not a range")
        wanted = last - first + 1
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "Range": f"bytes={first}-{last}"}
        async with self._asked(url, Ask.MEDIA, headers, priority, timeout) as (reply, limit):
            whole = reply.status == 200 and first == 0 and reply.length == wanted
            if not whole:
                require_range(reply, first, last, self._clock.now())
            body = await self._body(reply, wanted, priority, limit)
        if len(body) != wanted:
            raise wrong_range(reply.origin)
        return body

    async def stream(
        self, url: str, offset: int = 0, *, max_bytes: int | None = None, priority: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from ``offset`` to the end as they come.

        Close it (``contextlib.aclosing``) when leaving early: it holds a connection. Raises OriginError; BadAnswer
        past ``max_bytes`` or where the origin does not resume.
        """
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        async with self._asked(url, Ask.MEDIA, headers, priority, None) as (reply, _):
            if offset:
                require_range(reply, offset, None, self._clock.now())
            else:
                require_success(reply, self._clock.now())
            require_small(reply, max_bytes)
            pace = Pace(self._clock.monotonic, reply.origin)
            received = 0
            async for chunk in reply.chunks:
                received += len(chunk)
                if max_bytes is not None and received > max_bytes:
                    raise too_large(reply.origin, max_bytes)
                self._received(reply, len(chunk))
                yield chunk
                if not self._is_near(reply):
                    await self._meter.go_on(priority)
                pace.check(received)

    # Inside

    @asynccontextmanager
    async def _asked(
        self, text: str, ask: Ask, headers: Mapping[str, str], priority: bool, seconds: float | None
    ) -> AsyncIterator[tuple[Reply, asyncio.Timeout]]:
        """Ask, follow redirects, give the last answer with the running time limit on it."""
        headers = {"User-Agent": self._options.user_agent, **headers}
        url = parsed_url(text, self._options.allow_private)
        seen = {url}
        while True:
            async with AsyncExitStack() as stack:
                origin = origin_of(url)
                await self._let(url, priority)
                rests = await stack.enter_async_context(self.manners.turn(origin, ask, priority))
                limit = await stack.enter_async_context(_time_limit(seconds, origin))
                reply = await stack.enter_async_context(self._wire.exchange(url, headers))
                self._received(reply, reply.head_size)
                self.manners.heard(origin, ask, reply.status, reply.headers, rests)
                if reply.status not in _REDIRECTS:
                    yield reply, limit
                    return
                url = self._next(reply, seen)

    async def stays_on_lan(self, address: str) -> bool:
        """Tell whether what an address gives comes from the LAN: the last connection to its server went there, or any
        of its addresses would. While nothing may come from the internet, what comes from elsewhere all the same waits.
        """
        try:
            return await self._seems_near(parsed_url(address, True))
        except Refused:
            return False

    async def _let(self, url: httpx.URL, priority: bool) -> None:
        """Wait until our own limit lets us ask, unless this stays on the LAN as far as we know."""
        if self._meter.may_go_on(priority) or not await self._seems_near(url):
            await self._meter.go_on(priority)

    async def _seems_near(self, url: httpx.URL) -> bool:
        """Say where the last connection went, or the next one would. What comes is judged by where it comes from."""
        known = self._near.get(origin_of(url))
        if known is not None:
            return known
        try:
            found = [url.host] if parsed_address(url.host) else await addresses_of(url.host, url.port or 443)
        except Unreachable:
            return False
        return bool(found) and all(self._is_lan(address) for address in found)

    def _is_near(self, reply: Reply) -> bool:
        return bool(reply.address) and self._is_lan(reply.address)

    def _next(self, reply: Reply, seen: set[httpx.URL]) -> httpx.URL:
        try:
            target = str(reply.url.join(reply.headers.get("location", "")))
        except (httpx.InvalidURL, ValueError) as error:
            raise BadAnswer(f"{reply.origin} sends us to no usable address.", hint="Check the address.") from error
        url = parsed_url(target, self._options.allow_private)
        if reply.url.scheme == "https" and url.scheme == "http" and not self._options.allow_private:
            raise Refused(f"{reply.origin} sends us to an unencrypted address.", hint="Tell its owner.")
        if url in seen or len(seen) > MOST_REDIRECTS:
            raise Refused(
                f"{reply.origin} sends us from one address to the next without end.",
                hint="Paste the address that a browser ends up at.",
            )
        seen.add(url)
        return url

    async def _body(self, reply: Reply, max_bytes: int, priority: bool, limit: asyncio.Timeout) -> bytes:
        require_small(reply, max_bytes)
        inflater = Inflater(reply.headers.get("content-encoding", "").lower(), reply.origin, max_bytes)
        parts = []
        async for chunk in reply.chunks:
            self._received(reply, len(chunk))
            parts.append(inflater.add(chunk))
            if not self._is_near(reply) and not self._meter.may_go_on(priority):
                await self._wait_for_meter(priority, limit)
        return b"".join(parts)

    async def _wait_for_meter(self, priority: bool, limit: asyncio.Timeout) -> None:
        """Wait for our own limit without holding that time against the origin."""
        loop = asyncio.get_running_loop()
        end = limit.when()
        left = None if end is None else end - loop.time()
        limit.reschedule(None)
        await self._meter.go_on(priority)
        limit.reschedule(None if left is None else loop.time() + left)

    def _received(self, reply: Reply, count: int) -> None:
        near = self._near[reply.origin] = self._is_near(reply)
        if not near:
            self._meter.note(count)
        self.manners.received(reply.origin, count)
        if self._count is not None:
            self._count(reply.origin, count, near)


@asynccontextmanager
async def _time_limit(seconds: float | None, host: str) -> AsyncIterator[asyncio.Timeout]:
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError as error:
        raise Unreachable(
            f"{host} took too long to answer.", hint="Nothing to do: Seedkeep tries again by itself."
        ) from error
