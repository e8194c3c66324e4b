"""Being found, in network namespaces: names that differ, a goodbye, and only the household's interfaces."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import ifaddr
import pytest

from appliance.lan import interfaces
from appliance.lan.interfaces import Household, Interface, household, is_loopback
from appliance.lan.mdns import host_label, others, yields
from tests.world.lab import Host, Lab

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


class TestKinds:
    @pytest.mark.parametrize(
        ("name", "facts", "ours"),
        [
            ("eth0", {"type": "1", "flags": "0x1003"}, True),
            ("wlan0", {"type": "1", "flags": "0x1003"}, True),
            ("docker0", {"type": "1", "flags": "0x1003"}, False),
            ("br-1f2e3d", {"type": "1", "flags": "0x1003"}, False),
            ("tailscale0", {"type": "65534", "flags": "0x10d1"}, False),
            ("home", {"type": "65534", "flags": "0x10d1"}, False),
            ("vpn", {"type": "1", "flags": "0x1003", "tun_flags": "0x1002"}, False),
            ("uplink", {"type": "1", "flags": "0x1013"}, False),
            (
                "br0",
                {"type": "1", "flags": "0x1003", "bridge/x": "", "brif/enp3s0/x": "", "../enp3s0/device": ""},
                True,
            ),
            ("br1", {"type": "1", "flags": "0x1003", "bridge/x": "", "brif/vnet0/x": ""}, False),
            ("unseen", {}, True),
        ],
    )
    def test_an_interface_is_judged_by_name_and_kind(
        self, name: str, facts: dict[str, str], ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(interfaces, "_SYS", tmp_path)
        monkeypatch.setattr(ifaddr, "get_adapters", lambda: [adapter(name), adapter("other", "10.9.9.9")])
        for path, text in facts.items():
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        assert any(i.name == name for i in household().interfaces) is ours
        assert not any(i.name == name for i in household(deny=frozenset({name})).interfaces)
        assert [i.name for i in household(allow=frozenset({name})).interfaces] == [name]


def adapter(name: str, address: str = "192.168.7.7") -> ifaddr.Adapter:
    return ifaddr.Adapter(name, name, [ifaddr.IP(address, 24, name)], index=7)


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


class Process:
    """A ``mdns_box`` that runs on a host, and what it said."""

    def __init__(self, host: Host, *arguments: str) -> None:
        self.process = host.python("-m", "tests.unit.mdns_box", *arguments, stdin=PIPE, stdout=PIPE, cwd=ROOT)
        self.said: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(json.loads(line))
        self.said.put(None)

    def until(self, wanted: Callable[[Event], bool], seconds: float = 15) -> Event:
        """Return the next event that is wanted; those before it are passed over."""
        while (event := self.said.get(timeout=seconds)) is not None:
            if wanted(event):
                return event
        raise AssertionError("the process has ended")

    def end(self) -> list[Event]:
        """Let it end by itself; return what it still had to say."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(15) == 0
        self._reader.join(5)
        out = []
        while (event := self.said.get(timeout=5)) is not None:
            out.append(event)
        return out


@contextmanager
def running(host: Host, *arguments: str) -> Iterator[Process]:
    process = Process(host, *arguments)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        process._reader.join(5)


def named(event: str) -> Callable[[Event], bool]:
    return lambda found: found["event"] == event


@pytest.mark.net
class TestOnAir:
    def test_two_boxes_get_names_that_differ_and_a_stopped_one_says_goodbye(self, lab: Lab) -> None:
        first, second, third = (lab.host(n, a) for n, a in (("a", "10.77.0.1"), ("b", "10.77.0.2"), ("c", "10.77.0.3")))
        with (
            running(third, "browse", "_seedkeep._tcp.local.") as browser,
            running(first, "announce", "Seedkeep", "box-one") as one,
        ):
            browser.until(named("listening"))
            said = one.until(named("announced"))
            assert (said["host"], said["addresses"]) == ("seedkeep.local", ["10.77.0.1"])
            with running(second, "announce", "Seedkeep", "box-two") as two:
                said = two.until(named("announced"))
                assert said["host"] == "seedkeep-2.local"
                seen = [browser.until(named("seen")) for _ in range(2)]
                facts = {s["id"]: (s["host"], s["addresses"], s["port"], s["api"], s["tls"]) for s in seen}
                assert facts == {
                    "box-one": ("seedkeep.local.", ["10.77.0.1"], 7333, "1", "0"),
                    "box-two": ("seedkeep-2.local.", ["10.77.0.2"], 7333, "1", "0"),
                }
                assert len({s["name"] for s in seen}) == 2
                two.end()
                gone = browser.until(named("gone"), 5)
                assert gone["name"] in {s["name"] for s in seen if s["id"] == "box-two"}

    @pytest.mark.trial
    def test_two_boxes_that_start_together_end_with_names_that_differ(self, lab: Lab) -> None:
        first, second = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with (
            running(first, "announce", "Seedkeep", "box-one") as one,
            running(second, "announce", "Seedkeep", "box-two") as two,
        ):
            hosts = [box.until(named("announced"))["host"] for box in (one, two)]
            if len(set(hosts)) == 1:  # both claimed it at once: the one with the lower address gives it up
                hosts[0] = one.until(named("announced"))["host"]
            assert sorted(hosts) == ["seedkeep-2.local", "seedkeep.local"]

    def test_only_the_households_interface_hears_of_it(self, lab: Lab) -> None:
        box, neighbour = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        container = lab.host("c", "10.78.0.3")
        there = container.run("cat", stdin=PIPE, stdout=DEVNULL)
        cable = f"ip link add docker0 type veth peer name inside netns {there.pid}"
        for command in (cable, "ip addr add 172.17.0.1/16 dev docker0", "ip link set docker0 up"):
            box.check(*command.split())
        for command in ("ip addr add 172.17.0.2/16 dev inside", "ip link set inside up"):
            container.check(*command.split())
        with running(neighbour, "count", "10.77.0.2") as right, running(container, "count", "172.17.0.2") as wrong:
            right.until(named("listening"))
            wrong.until(named("listening"))
            with running(box, "announce", "Seedkeep", "box") as process:
                assert process.until(named("announced"))["addresses"] == ["10.77.0.1"]
                process.end()
            assert any(e["event"] == "packet" for e in right.end())
            assert [e for e in wrong.end() if e["event"] == "packet"] == []

    @pytest.mark.trial
    def test_a_new_address_is_announced_instead_of_the_old(self, lab: Lab) -> None:
        box = lab.host("a", "10.77.0.1")
        with running(box, "announce", "Seedkeep", "box") as process:
            process.until(named("announced"))
            box.check("ip", "addr", "add", "10.79.0.9/24", "dev", "eth0")
            box.check("ip", "addr", "del", "10.77.0.1/24", "dev", "eth0")
            process.until(lambda e: e.get("addresses") == ["10.79.0.9"])
