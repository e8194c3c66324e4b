"""A process in a test's network namespace: this module announces a box there, browses, or counts packets.

It writes one JSON line for each thing that happens, and ends when its input does.
"""

import asyncio
import json
import logging
import socket
import struct
import sys
from secrets import SystemRandom
from typing import Any

from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from appliance.lan.interfaces import household
from appliance.lan.mdns import Announced, Announcement, Mdns
from appliance.lan.watch import HouseholdWatch


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


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
            say(event="announced", host=announced.host, instance=announced.instance, addresses=announced.addresses)

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


async def count(address: str) -> None:
    """Say each multicast DNS packet that comes in on the interface that has ``address``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("224.0.0.251", 5353))
        member = struct.pack("4s4s", socket.inet_aton("224.0.0.251"), socket.inet_aton(address))
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        asyncio.get_running_loop().add_reader(
            listening.fileno(), lambda: say(event="packet", source=listening.recvfrom(9000)[1][0])
        )
        say(event="listening")
        await input_ends()
        asyncio.get_running_loop().remove_reader(listening.fileno())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    mode, *rest = sys.argv[1:]
    match mode:
        case "announce":
            asyncio.run(announce(*rest))
        case "browse":
            asyncio.run(browse(*rest))
        case _:
            asyncio.run(count(*rest))
