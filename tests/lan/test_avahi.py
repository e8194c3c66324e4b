"""Beside avahi, the responder of most Linux machines: on another host, and on ours, within reach of its bus or not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

import pytest

from appliance.lan.avahi import NAME, AvahiVoice, BusError, Refused
from appliance.lan.interfaces import NO_CHOICE, Choice, Household, Interface
from appliance.lan.mdns_records import Announced, Announcement, Voice
from appliance.lan.watch import HouseholdWatch
from tests.lan.avahi_host import Avahi, avahi
from tests.lan.boxes import named, running
from tests.lan.test_host_name import announced, said_of
from tests.world.lab import Lab

TEXT = {"path=/api", "tls=0", "ver=1", "id=one", "api=1"}


def sees_all(neighbour: Avahi, address: str = "10.77.0.1", host: str = "seedkeep.local") -> None:
    """Check that a machine finds the box by name and by both its services, with what they say."""
    neighbour.finds(host, address, "-4")
    for kind in ("_seedkeep._tcp", "_http._tcp"):
        found = neighbour.browse(kind)
        assert address in {where for _, _, _, where, _, _ in found}
        for _, _, server, _, port, text in found:
            assert (server, port) == (host, "7333")
            assert facts(text) == (TEXT if kind == "_seedkeep._tcp" else {"path=/"})


def facts(text: str) -> set[str]:
    return set(text.strip('"').split('" "'))


def sees_nothing(neighbour: Avahi) -> None:
    """Check that the box has taken its leave: a goodbye ends a record a second later (RFC 6762, 10.1)."""
    end = time.monotonic() + 10
    while neighbour.browse("_seedkeep._tcp"):
        assert time.monotonic() < end, "the services are still there"
    assert neighbour.resolve("seedkeep.local", "-4") == ""


@pytest.mark.net
class TestAnotherHost:
    def test_avahi_finds_the_name_and_the_service_until_the_box_says_goodbye(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with (
            avahi(other, tmp_path / "b", "neighbour") as neighbour,
            neighbour.watching("_seedkeep._tcp") as until,
            running(box, "announce", "seedkeep", "one") as one,
        ):
            found = until("=")
            assert (found[6], found[7], found[8], facts(found[9])) == ("seedkeep.local", "10.77.0.1", "7333", TEXT)
            assert neighbour.resolve("seedkeep.local", "-4") == "10.77.0.1"
            one.end()
            assert until("-")[3] == "seedkeep"

    @pytest.mark.trial
    def test_avahi_finds_everything_until_the_box_says_goodbye(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with avahi(other, tmp_path / "b", "neighbour") as neighbour, running(box, "announce", "seedkeep", "one") as one:
            assert announced(one, "seedkeep.local")["by"] == "own"
            sees_all(neighbour)
            one.end()
            sees_nothing(neighbour)

    @pytest.mark.trial
    def test_an_avahi_that_was_first_keeps_its_name(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with avahi(other, tmp_path / "b", "seedkeep") as first, running(box, "announce", "seedkeep", "one") as one:
            announced(one, "seedkeep-2.local")
            sees_all(first, host="seedkeep-2.local")
            assert first.resolve("seedkeep.local", "-4") == "10.77.0.2"
            assert not any("onflict" in line for line in first.said)

    @pytest.mark.trial
    def test_an_avahi_that_comes_later_gets_its_answer_and_takes_another_name(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with running(box, "announce", "seedkeep", "one") as one:
            announced(one, "seedkeep.local")
            with avahi(other, tmp_path / "b", "seedkeep") as later:
                assert "Host name is seedkeep-2.local" in later.until("Server startup complete")
            assert [e["event"] for e in one.end()] == ["silent", "left"]

    @pytest.mark.trial
    @pytest.mark.parametrize("address", ["10.77.0.1", "10.77.0.9"])
    def test_started_with_avahi_at_once_one_of_both_has_the_name(self, lab: Lab, tmp_path: Path, address: str) -> None:
        box, other = lab.host("a", address), lab.host("b", "10.77.0.5")
        with running(box, "announce", "seedkeep", "one") as one:
            one.until(named("starting"))
            with avahi(other, tmp_path / "b", "seedkeep") as rival:
                ours = one.until(named("announced"))["host"]
                theirs = rival.until("Server startup complete").split("Host name is ")[1].split(". ")[0]
                assert {ours, theirs} == {"seedkeep.local", "seedkeep-2.local"}
                rival.finds("seedkeep.local", address if ours == "seedkeep.local" else "10.77.0.5", "-4")


@pytest.mark.net
@pytest.mark.trial
class TestTheSameHost:
    def test_avahi_speaks_for_us_and_has_the_port_for_itself(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with (
            avahi(other, tmp_path / "b", "neighbour") as neighbour,
            avahi(box, tmp_path / "a", "raspberrypi") as own,
            running(box, "announce", "seedkeep", "one", bus=own.bus) as one,
        ):
            said = announced(one, "seedkeep.local")
            assert (said["by"], said["addresses"]) == ("avahi", ["10.77.0.1"])
            sees_all(neighbour)
            sees_all(own)
            assert neighbour.resolve("raspberrypi.local", "-4") == "10.77.0.1"
            sockets = [line for line in box.check("ss", "-Hulpn").splitlines() if ":5353" in line]
            assert sockets
            assert all("avahi-daemon" in line for line in sockets)
            one.end()
            sees_nothing(neighbour)
            assert neighbour.resolve("raspberrypi.local", "-4") == "10.77.0.1"

    def test_a_taken_name_and_a_second_box_each_lead_to_the_next(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with (
            running(other, "announce", "seedkeep", "two") as two,
            avahi(box, tmp_path / "a", "raspberrypi") as own,
        ):
            announced(two, "seedkeep.local")
            with running(box, "announce", "seedkeep", "one", bus=own.bus) as one:
                began = one.until(named("starting"))["time"]
                took = announced(one, "seedkeep-2.local")["time"] - began
                print(f"avahi takes the next name after {took:.2f} s")
                assert took < 3
                with running(box, "announce", "seedkeep", "three", bus=own.bus) as three:
                    announced(three, "seedkeep-3.local")
            assert [e["event"] for e in two.end()] == ["silent", "left"]

    def test_the_machines_own_name_may_be_the_one_we_want(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with avahi(other, tmp_path / "b", "neighbour") as neighbour, avahi(box, tmp_path / "a", "seedkeep") as own:
            with running(box, "announce", "seedkeep", "one", bus=own.bus) as one:
                announced(one, "seedkeep.local")
                sees_all(neighbour)
                one.end()
            with running(box, "announce", "seedkeep", "one") as beside:
                assert announced(beside, "seedkeep.local")["by"] == "own"
                sees_all(neighbour)
                beside.end()
            neighbour.finds("seedkeep.local", "10.77.0.1", "-4")  # it stays avahi's
            assert not any("onflict" in line for line in own.said)

    def test_a_restart_of_avahi_is_followed_and_its_end_made_good(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with (
            avahi(other, tmp_path / "b", "neighbour") as neighbour,
            avahi(box, tmp_path / "a", "raspberrypi") as own,
            running(box, "announce", "seedkeep", "one", bus=own.bus) as one,
        ):
            announced(one, "seedkeep.local")
            own.stop()
            own.start()
            one.until(named("silent"))
            assert announced(one, "seedkeep.local")["by"] == "avahi"
            sees_all(neighbour)
            own.stop()
            one.until(named("silent"))
            assert announced(one, "seedkeep.local")["by"] == "own"
            sees_all(neighbour)
            own.start()
            one.until(named("silent"))
            assert announced(one, "seedkeep.local")["by"] == "avahi"
            sees_all(neighbour)

    def test_an_address_change_is_on_the_air_within_two_seconds(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with (
            running(other, "hear", "10.77.0.2") as listener,
            avahi(box, tmp_path / "a", "raspberrypi") as own,
            running(box, "announce", "seedkeep", "one", bus=own.bus) as one,
        ):
            announced(one, "seedkeep.local")
            changed = time.monotonic()
            box.check("ip", "addr", "del", "10.77.0.1/24", "dev", "eth0")
            box.check("ip", "addr", "add", "10.77.0.77/24", "dev", "eth0")
            heard = listener.until(lambda e: e["event"] == "answer" and said_of(e).get("10.77.0.77", 0) > 0)
            print(f"a new address, by avahi: on the air after {heard['time'] - changed:.2f} s")
            assert heard["time"] - changed < 2
            one.until(lambda e: e.get("addresses") == ["10.77.0.77"])

    def test_out_of_reach_of_its_bus_we_speak_beside_it_and_both_are_found(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with (
            avahi(other, tmp_path / "b", "neighbour") as neighbour,
            avahi(box, tmp_path / "a", "raspberrypi", dbus=False) as own,
            running(box, "announce", "seedkeep", "one") as one,
        ):
            assert announced(one, "seedkeep.local")["by"] == "own"
            sees_all(neighbour)
            assert neighbour.resolve("raspberrypi.local", "-4") == "10.77.0.1"
            one.end()
            sees_nothing(neighbour)
            assert neighbour.resolve("raspberrypi.local", "-4") == "10.77.0.1"
            assert not any("onflict" in line for line in own.said)

    def test_an_avahi_that_may_not_publish_for_users_leaves_it_to_us(self, lab: Lab, tmp_path: Path) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        strict = "[publish]\ndisable-user-service-publishing=yes\n[server]"
        with (
            avahi(other, tmp_path / "b", "neighbour") as neighbour,
            avahi(box, tmp_path / "a", "raspberrypi", server=strict) as own,
            running(box, "announce", "seedkeep", "one", bus=own.bus) as one,
        ):
            assert announced(one, "seedkeep.local")["by"] == "own"
            sees_all(neighbour)


class Bus:
    """An avahi's bus that does as it is told: ``taken`` are the names of others, ``refuses`` the error of all calls."""

    def __init__(self, *taken: str, refuses: str = "") -> None:
        self.owner, self.taken, self.refuses = ":1.5", taken, refuses
        self.groups: dict[str, list[tuple[Any, ...]]] = {}
        self.voice: AvahiVoice | None = None
        self.made = 0

    async def call(self, path: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        await asyncio.sleep(0)
        if self.refuses:
            self.goes(self.owner)  # nothing more is to be waited for
            raise BusError(self.refuses, "no")
        name = member.removeprefix(f"{NAME}.")
        match name:
            case "Server.EntryGroupNew":
                self.made += 1
                self.groups[path := f"/group/{self.made}"] = []
                return [path]
            case "EntryGroup.Free":
                del self.groups[path]
            case "EntryGroup.Commit":
                state = 3 if any(name in said for said in self.groups[path] for name in self.taken) else 2
                self.says(path, state)
            case _:
                assert len(body) == len(signature.replace("aay", "y"))
                self.groups[path].append((name, *body))
        return []

    def says(self, path: str, state: int) -> None:
        assert self.voice is not None
        asyncio.get_running_loop().call_soon(self.voice.heard, path, "StateChanged", [state, ""])

    def goes(self, owner: str = "") -> None:
        self.owner, self.groups = owner, {}
        assert self.voice is not None
        self.voice.turned()

    def said(self) -> list[tuple[Any, ...]]:
        return sorted(entry for group in self.groups.values() for entry in group)


class Speaking:
    """An AvahiVoice on a bus, and what it told."""

    def __init__(self, bus: Bus) -> None:
        self.bus, self.told = bus, asyncio.Queue[Announced | None]()
        self.cards: tuple[Interface, ...] = (
            Interface("eth0", 2, (IPv4Interface("10.0.0.1/24"), IPv6Interface("fe80::1/64"))),
        )
        self.network = HouseholdWatch(NO_CHOICE, lambda choice: Household(self.cards))
        self.voice = bus.voice = AvahiVoice(
            Announcement("seedkeep", 7333, "b0c5", "1.2"), self.network, self.told.put_nowait
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        async with self.network:
            task = asyncio.create_task(self.voice.run(self.bus))
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.wait({task})

    async def tells(self) -> Announced | None:
        return await asyncio.wait_for(self.told.get(), 5)


class TestOverTheBus:
    async def test_each_address_and_both_services_are_said_and_withdrawn(self) -> None:
        speaking = Speaking(Bus())
        async with speaking.running():
            assert await speaking.tells() == Announced("seedkeep.local", "seedkeep", ("10.0.0.1",), Voice.AVAHI)
            assert [entry[:7] for entry in speaking.bus.said()] == [
                ("EntryGroup.AddAddress", 2, -1, 16, "seedkeep.local", "10.0.0.1"),
                ("EntryGroup.AddService", 2, -1, 0, "seedkeep", "_http._tcp", "local"),
                ("EntryGroup.AddService", 2, -1, 0, "seedkeep", "_seedkeep._tcp", "local"),
            ]
            assert b"id=b0c5" in speaking.bus.said()[2][-1]
        assert speaking.bus.groups == {}
        assert await speaking.tells() is None

    async def test_a_name_of_another_leads_to_the_next_and_so_does_one_that_is_lost_later(self) -> None:
        speaking = Speaking(Bus("seedkeep.local"))
        async with speaking.running():
            first = await speaking.tells()
            assert first is not None
            assert (first.host, first.instance) == ("seedkeep-2.local", "seedkeep (2)")
            speaking.bus.says(next(iter(speaking.bus.groups)), 3)
            second = await speaking.tells()
            assert second is not None
            assert second.host == "seedkeep-3.local"

    async def test_only_what_changed_is_said_anew(self) -> None:
        speaking = Speaking(Bus())
        async with speaking.running():
            await speaking.tells()
            before = dict(speaking.bus.groups)
            speaking.cards += (Interface("wlan0", 3, (IPv4Interface("10.1.0.1/24"),)),)
            speaking.network.reconfigure(Choice())
            told = await speaking.tells()
            assert told is not None
            assert told.addresses == ("10.0.0.1", "10.1.0.1")
            assert before.items() <= speaking.bus.groups.items()
            assert len(speaking.bus.groups) == len(before) + 2

    async def test_it_ends_when_avahi_goes_and_when_another_one_came_at_once(self) -> None:
        for owner in ("", ":1.9"):
            speaking = Speaking(Bus())
            async with speaking.running() as task:
                await speaking.tells()
                speaking.bus.goes(owner)
                await asyncio.wait_for(task, 5)
            assert await speaking.tells() is None

    async def test_a_refusal_is_said_so_and_a_stranger_s_signal_is_nothing(self) -> None:
        refused = Speaking(Bus(refuses=f"{NAME}.NotPermittedError"))
        async with refused.running() as task:
            with pytest.raises(Refused, match="NotPermittedError"):
                await asyncio.wait_for(task, 5)
        speaking = Speaking(Bus())
        async with speaking.running():
            await speaking.tells()
            speaking.voice.heard("/group/99", "StateChanged", [3, ""])
            speaking.voice.heard(next(iter(speaking.bus.groups)), "Other", [])
            await asyncio.sleep(0)
            assert speaking.told.empty()
