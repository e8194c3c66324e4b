"""Being found, in network namespaces: names that differ, a goodbye, and only the household's interfaces."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest

from appliance.lan.mdns_records import host_label
from tests.world.lab import Host, Lab

ROOT = Path(__file__).parents[2]
Event = dict[str, Any]


class TestNames:
    @pytest.mark.parametrize(
        ("name", "label"),
        [("Seedkeep", "seedkeep"), ("Anna's Box", "anna-s-box"), ("…", "seedkeep"), ("a" * 60, "a" * 50), ("-x-", "x")],
    )
    def test_any_name_gives_a_host_label(self, name: str, label: str) -> None:
        assert host_label(name) == label


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
