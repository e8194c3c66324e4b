"""A process in a test's network namespace: this module announces a media server there, or listens, or floods.

It writes one JSON line for each thing that happens, and ends when its input does.
"""

import asyncio
import json
import socket
import struct
import sys
import time
from typing import Any

from appliance.clock import RealClock
from appliance.lan import doctor, ssdp_look
from appliance.lan.interfaces import household
from appliance.lan.ssdp import Heard, Ssdp
from appliance.lan.ssdp_messages import GROUP, PORT, Advert, search
from appliance.lan.watch import HouseholdWatch

IDENT = "5eed5eed-0000-4000-8000-000000000001"


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def announce(quiet: str = "") -> None:
    """Announce until the input ends; each line of it asks what that cost so far, in seconds of the processor."""

    def heard(by: Heard) -> None:
        if not quiet:
            say(event="heard", address=by.address, target=by.target, agent=by.agent, interface=by.interface)

    reader = await lines()
    async with (
        HouseholdWatch() as network,
        Ssdp(Advert(IDENT, 7333), network, heard, RealClock(), lambda: 0.5) as ssdp,
    ):
        say(event="started")
        while await reader.readline():
            standing = [[s.interface, s.addresses, s.trouble, s.heard, s.answered] for s in ssdp.standing()]
            say(event="cost", seconds=time.process_time(), standing=standing)
    say(event="left")


async def examine(listens: str = "") -> None:
    """Announce, and examine the network at each line of the input."""
    reader = await lines()
    async with (
        HouseholdWatch() as network,
        Ssdp(Advert(IDENT, 7333), network, lambda _: None, RealClock(), lambda: 0.5) as ssdp,
    ):
        say(event="started")
        while await reader.readline():
            known = doctor.Known(
                home=network.household,
                listens=listens,
                port=7333,
                dlna=True,
                play=True,
                mdns=True,
                name="seedkeep",
                host="seedkeep-2.local.",
                standing=ssdp.standing(),
                seconds=1200.0,
                ident=IDENT,
            )
            found = await asyncio.to_thread(doctor.examine, known, "Test")
            say(event="examined", found=[[f.code, f.severity, f.interface, dict(f.facts)] for f in found])


def look() -> None:
    """Search for screens, once, and say who answers."""
    for found in ssdp_look.look(household(), "Test", 1.5):
        say(event="found", address=found.address, name=found.name, model=found.model, server=found.server)
    say(event="done")


def television(address: str, location: str) -> None:
    """Answer each search for a renderer as a television does, until this process is ended."""
    with joined(address) as group, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.bind((address, 0))
        say(event="listening")
        while True:
            data, source = group.recvfrom(9000)
            if b"MediaRenderer:1" in data:
                answer = f"HTTP/1.1 200 OK\r\nLOCATION: {location}\r\nSERVER: TV\x1b/1\r\nST: x\r\nUSN: x\r\n\r\n"
                answering.sendto(answer.encode(), source)


def hold(address: str, shared: str = "") -> None:
    """Keep the port to ourselves, as a program that shares nothing does; or share it, as minidlna does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, bool(shared))
        held.bind((address, PORT))
        say(event="held")
        sys.stdin.read()


def joined(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((GROUP, PORT))
    member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    return made


def listen(address: str) -> None:
    """Say each packet to the group, until this process is ended."""
    with joined(address) as group:
        say(event="listening")
        while True:
            data, (source, _) = group.recvfrom(9000)
            say(event="packet", source=source, text=data.decode())


def ask(address: str, target: str, delay: str, seconds: str, most: str) -> None:
    """Search once and say what comes back within so many seconds, or as many answers as are waited for."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind((address, 0))
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        asking.sendto(search(target, int(delay), "Test/1 UPnP/1.1 Screen/2"), (GROUP, PORT))
        begun, answers = time.monotonic(), 0
        while answers < int(most) and (left := begun + float(seconds) - time.monotonic()) > 0:
            answers += 1
            asking.settimeout(left)
            try:
                data, (source, _) = asking.recvfrom(9000)
            except TimeoutError:
                break
            say(event="answer", source=source, after=time.monotonic() - begun, text=data.decode())
    say(event="done")


def flood(rate: str, seconds: str, target: str, *addresses: str) -> None:
    """Search so many times a second from each of our addresses in turn, and say how many answers came."""
    sockets = []
    for address in addresses:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(addresses[0]))
        sockets.append(made)
    message, begun, sent = search(target, 1, "Flood/1"), time.monotonic(), 0
    while (now := time.monotonic() - begun) < float(seconds):
        while sent < now * float(rate):
            sockets[sent % len(sockets)].sendto(message, (GROUP, PORT))
            sent += 1
        time.sleep(0.005)
    answers = 0
    for each in sockets:
        each.setblocking(False)
        while True:
            try:
                each.recv(9000)
            except BlockingIOError:
                break
            answers += 1
        each.close()
    say(event="flooded", sent=sent, answers=answers, seconds=time.monotonic() - begun)


if __name__ == "__main__":
    mode, *rest = sys.argv[1:]
    match mode:
        case "announce":
            asyncio.run(announce(*rest))
        case "examine":
            asyncio.run(examine(*rest))
        case "look":
            look()
        case "television":
            television(*rest)
        case "hold":
            hold(*rest)
        case "listen":
            listen(*rest)
        case "ask":
            ask(*rest)
        case _:
            flood(*rest)
