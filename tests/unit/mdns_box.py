"""A process in a test's network namespace: this module announces a box there, browses, asks, or listens.

It writes one JSON line for each thing that happens, with the machine's monotonic time, and ends when its input does.
"""

import asyncio
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from secrets import SystemRandom
from typing import Any

import uvloop
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf._dns import DNSQuestion
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from appliance.lan.interfaces import household
from appliance.lan.mdns import Announced, Announcement, Mdns
from appliance.lan.mdns_packets import read
from appliance.lan.watch import HouseholdWatch


def say(**fields: Any) -> None:
    print(json.dumps({"time": time.monotonic(), **fields}), flush=True)


async def input_ends() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def announce(name: str, box: str) -> None:
    def changed(announced: Announced | None) -> None:
        if announced is None:
            say(event="silent")
        else:
            said = {"host": announced.host, "instance": announced.instance, "addresses": announced.addresses}
            say(event="announced", by=announced.by.name.lower(), **said)

    say(event="starting")
    async with HouseholdWatch() as network:
        mdns = Mdns(Announcement(name=name, port=7333, box=box, version="1"), network, SystemRandom().random)
        mdns.listen(changed)
        async with mdns:
            await input_ends()
    say(event="left")


async def browse(kind: str) -> None:
    async with AsyncZeroconf(interfaces=[str(a) for a in household().addresses() if a.version == 4]) as zeroconf:
        tasks: set[asyncio.Task[None]] = set()

        async def resolve(name: str) -> None:
            info = AsyncServiceInfo(kind, name)
            await info.async_request(zeroconf.zeroconf, 3000)
            facts = {k.decode(): (v or b"").decode() for k, v in info.properties.items()}
            say(event="seen", name=name, host=info.server, addresses=info.parsed_addresses(), port=info.port, **facts)

        def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
            if state_change is ServiceStateChange.Added:
                task = asyncio.ensure_future(resolve(name))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            elif state_change is ServiceStateChange.Removed:
                say(event="gone", name=name)

        async with AsyncServiceBrowser(zeroconf.zeroconf, kind, handlers=[changed]):
            say(event="listening")
            await input_ends()


async def register(name: str, address: str) -> None:
    """Take the host name ``name`` as python-zeroconf does: without a probe, and without answers to ANY."""
    kind = "_elsewhere._tcp.local."
    info = AsyncServiceInfo(kind, f"x.{kind}", port=80, server=f"{name}.local.", parsed_addresses=[address])
    async with AsyncZeroconf(interfaces=[address]) as zeroconf:
        await (await zeroconf.async_register_service(info))
        say(event="registered")
        await input_ends()


@contextmanager
def member(address: str) -> Iterator[socket.socket]:
    """Join the group on the interface that has ``address``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as joined:
        joined.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        joined.bind(("224.0.0.251", 5353))
        own = socket.inet_aton(address)
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + own)
        yield joined


async def hear(address: str, *asked: str) -> None:
    """Say what each answer on the air is about; first ask for ANY of the names ``asked``."""
    with member(address) as joined:

        def receive() -> None:
            packet, source = joined.recvfrom(9000)
            heard = read(packet)
            if heard is not None and source[0] != address:
                said = [[r.name, r.type, r.data.hex(), r.ttl] for r in heard.records]
                kind = "answer" if heard.response else "probe" if heard.probe else "question"
                say(event=kind, source=source[0], records=said)

        asyncio.get_running_loop().add_reader(joined.fileno(), receive)
        for name in asked:
            out = DNSOutgoing(0)
            out.add_question(DNSQuestion(name, 255, 1))
            joined.sendto(out.packets()[0], ("224.0.0.251", 5353))
        say(event="listening")
        await input_ends()
        asyncio.get_running_loop().remove_reader(joined.fileno())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    mode, *rest = sys.argv[1:]
    works: dict[str, Callable[..., Coroutine[Any, Any, None]]]
    works = {"announce": announce, "browse": browse, "register": register, "hear": hear}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the appliance itself
        runner.run(works[mode](*rest))
