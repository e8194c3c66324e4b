"""A media answer's body: this module sends it, without copying it where the server, the viewer and the source allow.

Two ways. *Shipping* (``sendfile``) is for held files to viewers on the LAN, under a server that offers a wire.
*Copying* (reads, then ASGI messages) is for everything else: viewers beyond the LAN, whose bytes are metered, files
that are still arriving, TLS, other servers. Both tell every part given, and end when the viewer leaves.
"""

from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass

from appliance.serve.exchange import Exchange
from appliance.serve.film.source import FilmSource, Run
from appliance.serve.ranges import Answer, Headers
from appliance.serve.sendfile import Shipment, Unsendable
from appliance.serve.source import HeldSource, Source
from appliance.serve.wire import Wire

METERED = 64 * 1024
"""Bytes given at once to a viewer beyond the LAN: a limit on the uplink is then kept smoothly."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One body. ``given`` is told each part's bytes; ``pace``, for a metered viewer, waits until so many may go."""

    exchange: Exchange
    head: Answer
    extra: Headers
    source: Source
    given: Callable[[int], None]
    pace: Callable[[int], Awaitable[None]] | None

    async def run(self) -> None:
        """Send head and body. Raises NotPlayable, before the head only where the first byte cannot be had."""
        wire, source = self.exchange.wire, self.source
        offset, left = self.head.offset, self.head.count
        if self.pace is None and isinstance(source, HeldSource):
            if source.whole:
                offset, left = await self._at_once(source.whole, offset)
            elif wire is not None:
                offset, left = await self._without_copying(source, wire, offset, left)
        elif self.pace is None and isinstance(source, FilmSource) and wire is not None:
            offset, left = await self._film(source, wire, offset, left)
        await self._copy(offset, left)

    async def _at_once(self, whole: bytes | bytearray, offset: int) -> tuple[int, int]:
        await self._start()
        await self.exchange.body(whole)
        self.given(len(whole))
        return offset + len(whole), 0

    async def _without_copying(self, source: HeldSource, wire: Wire, offset: int, left: int) -> tuple[int, int]:
        """Send where the wire can be had; return the offset and count of what remains to be copied."""
        await self._start()
        shipment = source.ship(wire, left)
        if shipment is None:
            return offset, left
        with closing(shipment):
            return await self._ship(shipment, source, offset, left)

    async def _ship(self, shipment: Shipment, source: HeldSource, offset: int, left: int) -> tuple[int, int]:
        try:
            while left > 0 and not self.exchange.left:
                size = await source.shipped(shipment, offset, left)
                if not size:
                    return offset, 0  # nobody takes it: the answer stays unfinished, and the server closes
                offset, left = offset + size, left - size
                self.given(size)
        except Unsendable:
            return offset, left
        if not left:
            await self.exchange.body(b"")
        return offset, 0

    async def _film(self, source: FilmSource, wire: Wire, offset: int, left: int) -> tuple[int, int]:
        """Send a film: held footage without copying where that can be had, the rest by reading.

        Return the offset and count of what remains to be copied.
        """
        self.exchange.watch()
        while left > 0 and not self.exchange.left:
            run = await source.run(offset)
            if run is None:
                size = await self._copied(offset, left)
            else:
                if not self.exchange.started:
                    await self._start()
                shipment = run.source.ship(wire, left)
                if shipment is None:  # what was written before may still be under way
                    size = await self._copied(offset, min(left, METERED), more=left > METERED)
                else:
                    with closing(shipment):
                        size = await self._shipped(shipment, run, left)
            if not size:
                return offset, 0
            offset, left = offset + size, left - size
        return offset, 0

    async def _shipped(self, shipment: Shipment, run: Run, left: int) -> int:
        """Send a run of footage; return how much of it went, 0 where the viewer takes no more."""
        size = await run.source.shipped(shipment, run.offset, min(run.length, left))
        if size:
            self.given(size)
        if size == left:
            await self.exchange.body(b"")
        return size

    async def _copied(self, offset: int, left: int, *, more: bool = False) -> int:
        data = await self.source.read(offset, left)
        size = len(data)
        if not self.exchange.started:
            await self._start()
        await self.exchange.body(data, more=more or left > size)
        self.given(size)
        return size

    async def _copy(self, offset: int, left: int) -> None:
        """Send what is left. The first part is read before the head, so that a failure has its own status."""
        if left > 0:
            self.exchange.watch()
        while left > 0 and not self.exchange.left:
            data = await self.source.read(offset, left if self.pace is None else min(left, METERED))
            size = len(data)
            offset, left = offset + size, left - size
            if self.pace is not None:
                await self.pace(size)
            if not self.exchange.started:
                await self._start()
            await self.exchange.body(data, more=left > 0)
            del data  # freed before the next read, which then reuses memory that is still in the CPU's cache
            self.given(size)

    async def _start(self) -> None:
        await self.exchange.start(self.head, self.extra)
