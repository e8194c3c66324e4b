"""A server that says what a test tells it to, and a clock that runs faster: this module has both."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from appliance.clock import RealClock
from appliance.domain.units import Origin

Handler = Callable[[str, dict[str, str], asyncio.StreamWriter], Awaitable[None]]


class QuickClock(RealClock):
    """A clock that runs a hundred times as fast, so that manners cost a test nothing."""

    SPEED = 100.0

    def __init__(self) -> None:
        self._origin, self._start = time.monotonic(), datetime(2026, 11, 21, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._start.timestamp() + self.monotonic(), UTC)

    def monotonic(self) -> float:
        return (time.monotonic() - self._origin) * self.SPEED

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.SPEED)


class Server:
    """A scripted HTTP/1.1 server on loopback: each path has a handler; requests are kept."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.fallback: Handler | None = None
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = Origin(f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}")
        self.url = f"http://{self.origin}"

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()

    def answer(
        self, path: str, body: bytes = b"{}", status: int = 200, *, length: int | None = None, **headers: str
    ) -> None:
        async def handler(_: str, __: dict[str, str], writer: asyncio.StreamWriter) -> None:
            lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)

        self.handlers[path] = handler

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                first = await reader.readexactly(1)
                if not first.isalpha():
                    break  # A TLS handshake, which only waits otherwise.
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                path = head[0].split(" ")[1]
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
                self.requests.append((path, headers))
                handler = self.handlers.get(path.partition("?")[0]) or self.handlers.get(path) or self.fallback
                if handler is None:
                    break
                await handler(path, headers, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)
            self._writers.discard(writer)
