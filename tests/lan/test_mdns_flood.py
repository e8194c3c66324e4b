"""Packets that take long to take apart: whatever is said on the network, others get their turn on the loop."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from appliance.lan import mdns_responder
from appliance.lan.interfaces import Household
from appliance.lan.mdns_records import Announcement
from appliance.lan.mdns_responder import Responder


class _Network:
    """A household without a network."""

    household = Household(())


class _Flooded:
    """A link on which packets wait without end; it counts those that were taken."""

    def __init__(self, wire: socket.socket, packet: bytes) -> None:
        self.taken, self.again, self._wire, self._packet = 0, asyncio.Event(), wire, packet
        self.ready, self.records = False, ()

    def fileno(self) -> int:
        return self._wire.fileno()

    def received(self) -> Iterator[tuple[bytes, tuple[str, int]]]:
        for _ in range(32):
            self.taken += 1
            if self.taken == 4:
                self.again.set()
            yield self._packet, ("192.168.7.9", 5353)


def _heavy() -> bytes:
    """Return a packet whose records all have the longest name there is, about us."""
    record = struct.pack("!2HIH", 12, 1, 120, 2) + b"\xc0\x0c"
    return (
        struct.pack("!6H", 0, 0x8400, 0, 100, 0, 0) + b"\x05_http" * 40 + b"\0" + record + (b"\xc0\x0c" + record) * 99
    )


async def test_a_flood_of_heavy_packets_is_taken_a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count()
    monkeypatch.setattr(mdns_responder, "monotonic", lambda: next(clock) * 0.006, raising=False)
    monkeypatch.setattr(mdns_responder, "_REST", 0.01, raising=False)
    loop = asyncio.get_running_loop()
    responder = Responder(Announcement("Seedkeep", 7333, "box", "1"), _Network(), lambda: 0.0, lambda _: None)  # type: ignore[arg-type]
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        ours.setblocking(False)
        link = _Flooded(ours, _heavy())
        responder._links[1, 4] = link  # type: ignore[assignment]
        theirs.send(b"x")
        try:
            responder._receive(link)  # type: ignore[arg-type]
            assert link.taken == 2
            assert not loop.remove_reader(ours.fileno()), "nothing more is taken until a while has passed"
            async with asyncio.timeout(5):
                await link.again.wait()
            assert link.taken == 4
        finally:
            loop.remove_reader(ours.fileno())
            responder._speaker.close()
