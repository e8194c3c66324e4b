"""The way to the internet, felt through a real router's queue, without root's sockets."""

import asyncio
import json
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from appliance.lan import hops
from appliance.lan.hops import Hop, beyond_router, measure
from tests.world.lab import Host, Lab, need_namespaces


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    need_namespaces()
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def box(lab: Lab) -> Host:
    lab.host("far", "10.78.0.9")
    return lab.host("box", "10.77.0.1")


def _from(host: Host, ttl: int, target: str = "10.78.0.9") -> Hop | None:
    with host.inside():
        return measure(target, ttl)


async def test_the_first_hop_is_the_router_and_the_second_is_beyond_it(box: Host) -> None:
    first = await asyncio.to_thread(_from, box, 1)
    second = await asyncio.to_thread(_from, box, 2)
    assert first is not None
    assert (first.address, first.reached) == ("10.77.0.254", False)
    assert second is not None
    assert (second.address, second.reached) == ("10.78.0.9", True)
    assert 0 < first.seconds < 1


async def test_who_does_not_answer_is_unknown_and_nobody_waits_for_ever(box: Host) -> None:
    assert await asyncio.to_thread(_from, box, 2, "10.78.0.77") is None
    assert await asyncio.to_thread(_from, box, 2, "nonsense") is None


async def test_the_hop_beyond_a_household_is_found(box: Host) -> None:
    def look() -> int:
        with box.inside():
            return beyond_router("10.78.0.9")

    assert await asyncio.to_thread(look) == 2


class SlowPoll:
    """``select.poll`` of a process that does not get the processor: it learns of everything half a second late."""

    LATE = 0.5

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        found = self._poll.poll(milliseconds)
        time.sleep(self.LATE)
        return found


class LateSelect:
    poll = SlowPoll


async def test_a_process_that_gets_no_processor_is_not_taken_for_a_queue_in_the_router(
    box: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hops, "select", LateSelect)
    hop = await asyncio.to_thread(_from, box, 1)
    assert hop is not None
    assert hop.stamped, "the kernel says when"
    assert hop.seconds < SlowPoll.LATE


async def test_where_the_kernel_has_no_stamps_the_time_is_our_own(box: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hops, "_STAMPS", 0)
    monkeypatch.setattr(hops, "select", LateSelect)
    hop = await asyncio.to_thread(_from, box, 1)
    assert hop is not None
    assert not hop.stamped
    assert hop.seconds >= SlowPoll.LATE


@pytest.mark.parametrize(
    ("left", "came", "taken"),
    [
        (100.0, 100.25, (0.25, True)),
        (None, 100.25, (0.5, False)),
        (100.0, None, (0.5, False)),
        (100.0, 99.0, (0.5, False)),  # the clock was set back meanwhile
        (100.0, 3700.0, (0.5, False)),  # and forward
    ],
)
def test_stamps_count_where_there_are_two_and_they_can_be_true(
    left: float | None, came: float | None, taken: tuple[float, bool]
) -> None:
    assert hops._took(0.5, left, came) == taken


@contextmanager
def saturated(processes: int, threads: int) -> Iterator[None]:
    """Keep the processor busy, and the interpreter of this process too."""
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(1000))

    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    own = [threading.Thread(target=spin) for _ in range(threads)]
    for thread in own:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in own:
            thread.join()
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.alone
@pytest.mark.trial
def test_a_saturated_processor_leaves_the_round_trip_of_an_idle_link_as_it_was(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, box = lab.host("patient", "10.78.0.11"), lab.host("feeling", "10.77.0.3")
    far.check("sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit")
    seen: list[float] = []
    took = hops._took

    def noted(ours: float, left: float | None, came: float | None) -> tuple[float, bool]:
        seen.append(ours)
        return took(ours, left, came)

    monkeypatch.setattr(hops, "_took", noted)

    def median() -> tuple[float, float]:
        """Return the median of 20 looks, and what the process itself would have said."""
        seen.clear()
        found = [hop for _ in range(20) if (hop := _from(box, 2, "10.78.0.11")) is not None]
        assert len(found) >= 18
        assert all(hop.stamped for hop in found)
        return statistics.median(hop.seconds for hop in found), statistics.median(seen)

    quiet, quiet_ours = median()
    with saturated(processes=2, threads=2):
        busy, busy_ours = median()
    print(json.dumps({"quiet": quiet, "busy": busy, "quiet by ourselves": quiet_ours, "busy by ourselves": busy_ours}))
    assert busy < quiet + 0.005, "a tenth of what the brake calls a queue"


@pytest.mark.alone
async def test_what_waits_in_the_routers_queue_is_felt(lab: Lab) -> None:
    lab.shape(2_000_000, 0.4)
    far, box = lab.host("sink", "10.78.0.10"), lab.host("sender", "10.77.0.2")
    with far.inside():
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("10.78.0.10", 9))  # so that the flood is not answered, which is limited to a few a second
    quiet = await asyncio.to_thread(_from, box, 2, "10.78.0.10")

    def flood() -> Hop | None:
        with box.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for _ in range(60):  # 60 x 1200 bytes take 0.29 s at 2 Mbit/s
                out.sendto(bytes(1200), ("10.78.0.10", 9))
            return measure("10.78.0.10", 2)

    loaded = await asyncio.to_thread(flood)
    sink.close()
    assert quiet is not None
    assert loaded is not None
    assert loaded.seconds > quiet.seconds + 0.1
