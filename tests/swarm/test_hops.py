"""The way to the internet, felt through a real router's queue, without root's sockets."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

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
