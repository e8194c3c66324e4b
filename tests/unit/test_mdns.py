"""Being found, in network namespaces: names that differ, a goodbye, and only the household's interfaces."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path
from typing import Any

import pytest

from appliance.lan.interfaces import Household, Interface, household, is_loopback
from appliance.lan.mdns import host_label, others, yields

ROOT = Path(__file__).parents[2]
Event = dict[str, Any]


def home(*addresses: str, name: str = "eth0") -> Household:
    found = tuple(IPv6Interface(a) if ":" in a else IPv4Interface(a) for a in addresses)
    return Household((Interface(name, 2, found),))


class TestHousehold:
    @pytest.mark.parametrize(
        ("address", "ours"),
        [
            ("192.168.1.77", True),
            ("192.168.2.1", False),
            ("8.8.8.8", False),
            ("::ffff:192.168.1.77", True),
            ("fd00:1::99", True),
            ("fd00:2::99", False),
            ("2001:db8:7::5", True),
            ("2001:db8:8::5", False),
            ("fe80::1%eth0", True),
            ("nonsense", False),
            ("", False),
            ("127.0.0.1", False),
        ],
    )
    def test_the_lan_is_our_own_subnets(self, address: str, ours: bool) -> None:
        here = home("192.168.1.5/24", "fd00:1::5/64", "2001:db8:7::1/64", "fe80::5/64")
        assert here.is_lan(address) is ours

    def test_neighbours_in_a_public_subnet_are_strangers(self) -> None:
        here = home("203.0.113.5/24", "100.64.3.4/10")
        assert here.networks() == ()
        assert not here.is_lan("203.0.113.6")

    def test_ranges_are_first_and_last_addresses(self) -> None:
        here = home("192.168.1.5/24", "fd00:1::5/64", "fe80::5/64")
        assert here.ranges() == (
            ("192.168.1.0", "192.168.1.255"),
            ("fd00:1::", "fd00:1::ffff:ffff:ffff:ffff"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        )
        assert [str(a) for a in here.addresses()] == ["192.168.1.5", "fd00:1::5"]

    @pytest.mark.parametrize(
        ("address", "loop"), [("127.0.0.5", True), ("::1", True), ("10.0.0.1", False), ("", False)]
    )
    def test_loopback_is_told_apart(self, address: str, loop: bool) -> None:
        assert is_loopback(address) is loop

    def test_this_machines_loopback_is_never_an_interface_of_the_household(self) -> None:
        assert all(i.name != "lo" for i in household().interfaces)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "label"),
        [("Seedkeep", "seedkeep"), ("Anna's Box", "anna-s-box"), ("…", "seedkeep"), ("a" * 60, "a" * 50), ("-x-", "x")],
    )
    def test_any_name_gives_a_host_label(self, name: str, label: str) -> None:
        assert host_label(name) == label

    def test_of_two_boxes_exactly_one_gives_the_name_up(self) -> None:
        one, two = [ip_address("10.0.0.1"), ip_address("fd00::9")], [ip_address("10.0.0.2"), ip_address("fd00::1")]
        assert yields(one, two)
        assert not yields(two, one)
        assert not yields(one, one)

    def test_our_own_addresses_are_no_conflict(self) -> None:
        own = (ip_address("10.0.0.1"),)
        assert others(["10.0.0.1", "fe80::1"], own) == []
        assert others(["10.0.0.1", "10.0.0.2"], own) == [ip_address("10.0.0.2")]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Lan:
    """Network namespaces joined by a bridge in one of their own. All are gone when the test is."""

    def __init__(self) -> None:
        self._made: list[str] = []
        self._switch = self.namespace("switch")
        ip("-n", self._switch, "link", "add", "wire", "type", "bridge")
        ip("-n", self._switch, "link", "set", "dev", "wire", "up")

    def namespace(self, name: str) -> str:
        full = f"sk{os.getpid()}{name}"
        ip("netns", "add", full)
        self._made.append(full)
        ip("-n", full, "link", "set", "lo", "up")
        return full

    def box(self, name: str, address: str) -> str:
        full = self.namespace(name)
        self.plug(full, "lan0", address, self._switch, name)
        ip("-n", self._switch, "link", "set", "dev", name, "master", "wire")
        return full

    def plug(self, inside: str, interface: str, address: str, outside: str, end: str) -> None:
        """Join two namespaces by a cable; only the inner end gets an address."""
        ip("-n", inside, "link", "add", interface, "type", "veth", "peer", "name", end, "netns", outside)
        ip("-n", inside, "addr", "add", address, "dev", interface)
        ip("-n", inside, "link", "set", "dev", interface, "up")
        ip("-n", outside, "link", "set", "dev", end, "up")

    def remove(self) -> None:
        for name in self._made:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


class Process:
    """A ``mdns_box`` that runs in a namespace."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until(self, wanted: Callable[[Event], bool], seconds: float = 15) -> Event:
        """Return the next event that is wanted; those before it are passed over."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            while line := await self._process.stdout.readline():
                event: Event = json.loads(line)
                if wanted(event):
                    return event
        raise AssertionError("the process has ended")

    async def end(self) -> list[Event]:
        """Let it end; return what it still had to say."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        output, _ = await asyncio.wait_for(self._process.communicate(), 15)
        return [json.loads(line) for line in output.splitlines()]


@asynccontextmanager
async def running(namespace: str, *arguments: str) -> AsyncIterator[Process]:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-m", "tests.unit.mdns_box", *arguments]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def named(event: str) -> Callable[[Event], bool]:
    return lambda found: found["event"] == event


@pytest.mark.net
class TestOnAir:
    @pytest.fixture
    def lan(self) -> Iterator[Lan]:
        lan = Lan()
        try:
            yield lan
        finally:
            lan.remove()

    async def test_two_boxes_get_names_that_differ_and_a_stopped_one_says_goodbye(self, lan: Lan) -> None:
        first, second = lan.box("a", "10.77.0.1/24"), lan.box("b", "10.77.0.2/24")
        third = lan.box("c", "10.77.0.3/24")
        async with (
            running(third, "browse", "_seedkeep._tcp.local.") as browser,
            running(first, "announce", "Seedkeep", "box-one") as one,
        ):
            await browser.until(named("listening"))
            said = await one.until(named("announced"))
            assert (said["host"], said["addresses"]) == ("seedkeep.local", ["10.77.0.1"])
            async with running(second, "announce", "Seedkeep", "box-two") as two:
                said = await two.until(named("announced"))
                assert said["host"] == "seedkeep-2.local"
                seen = [await browser.until(named("seen")) for _ in range(2)]
                facts = {s["id"]: (s["host"], s["addresses"], s["port"], s["api"], s["tls"]) for s in seen}
                assert facts == {
                    "box-one": ("seedkeep.local.", ["10.77.0.1"], 7333, "1", "0"),
                    "box-two": ("seedkeep-2.local.", ["10.77.0.2"], 7333, "1", "0"),
                }
                assert len({s["name"] for s in seen}) == 2
                await two.end()
                gone = await browser.until(named("gone"), 5)
                assert gone["name"] in {s["name"] for s in seen if s["id"] == "box-two"}

    async def test_two_boxes_that_start_together_end_with_names_that_differ(self, lan: Lan) -> None:
        first, second = lan.box("a", "10.77.0.1/24"), lan.box("b", "10.77.0.2/24")
        async with (
            running(first, "announce", "Seedkeep", "box-one") as one,
            running(second, "announce", "Seedkeep", "box-two") as two,
        ):
            hosts: dict[str, str] = {}
            differ = asyncio.Event()

            async def follow(name: str, box: Process) -> None:
                while True:
                    hosts[name] = (await box.until(named("announced")))["host"]
                    if set(hosts.values()) == {"seedkeep.local", "seedkeep-2.local"}:
                        differ.set()

            following = [asyncio.create_task(follow("one", one)), asyncio.create_task(follow("two", two))]
            await asyncio.wait([asyncio.create_task(differ.wait()), *following], return_when=asyncio.FIRST_COMPLETED)
            for task in following:
                task.cancel()
            assert differ.is_set()

    async def test_only_the_households_interface_hears_of_it(self, lan: Lan) -> None:
        box, neighbour = lan.box("a", "10.77.0.1/24"), lan.box("b", "10.77.0.2/24")
        container = lan.namespace("c")
        lan.plug(box, "docker0", "172.17.0.1/16", container, "inside")
        ip("-n", container, "addr", "add", "172.17.0.2/16", "dev", "inside")
        async with (
            running(neighbour, "count", "10.77.0.2") as right,
            running(container, "count", "172.17.0.2") as wrong,
        ):
            await right.until(named("listening"))
            await wrong.until(named("listening"))
            async with running(box, "announce", "Seedkeep", "box") as process:
                said = await process.until(named("announced"))
                assert said["addresses"] == ["10.77.0.1"]
                await process.end()
            assert any(e["event"] == "packet" for e in await right.end())
            assert [e for e in await wrong.end() if e["event"] == "packet"] == []

    async def test_a_new_address_is_announced_instead_of_the_old(self, lan: Lan) -> None:
        box = lan.box("a", "10.77.0.1/24")
        async with running(box, "announce", "Seedkeep", "box") as process:
            await process.until(named("announced"))
            ip("-n", box, "addr", "add", "10.78.0.9/24", "dev", "lan0")
            ip("-n", box, "addr", "del", "10.77.0.1/24", "dev", "lan0")
            await process.until(lambda e: e.get("addresses") == ["10.78.0.9"])
