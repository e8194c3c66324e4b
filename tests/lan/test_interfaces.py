"""Which interfaces are the household's, by kind and by name, and how soon a change of them is known."""

import asyncio
import json
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from subprocess import PIPE

import pytest

from appliance.lan.interfaces import NO_CHOICE, Choice, Household, Interface, chosen, household, is_loopback
from appliance.lan.netlink import LOOPBACK, POINT_TO_POINT, RUNNING, UP, Link
from appliance.lan.watch import HouseholdWatch
from tests.world.lab import Lab

ROOT = Path(__file__).parents[2]


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

    def test_our_address_facing_another_is_in_the_same_subnet(self) -> None:
        here = home("192.168.1.5/24", "10.0.0.5/8", "fd00:1::5/64", "203.0.113.5/24")
        assert str(here.facing("10.9.9.9")) == "10.0.0.5"
        assert str(here.facing("::ffff:192.168.1.9")) == "192.168.1.5"
        assert str(here.facing("fd00:1::9")) == "fd00:1::5"
        assert here.facing("203.0.113.6") is None
        assert here.facing("nonsense") is None

    def test_this_machines_loopback_is_never_an_interface_of_the_household(self) -> None:
        assert all(i.name != "lo" for i in household().interfaces)


def link(
    name: str,
    kind: str = "",
    address: str = "192.168.7.7/24",
    *,
    index: int = 7,
    type: int = 1,  # noqa: A002 - as the field is called
    flags: int = UP | RUNNING,
    master: int = 0,
) -> Link:
    return Link(name, index, type, flags, kind, master, (IPv4Interface(address),) if address else ())


CARD = link("enp1s0", index=2, address="192.168.1.2/24")
TUNNEL = 65534


class TestKinds:
    @pytest.mark.parametrize(
        ("one", "ours"),
        [
            (link("eth0"), True),
            (link("wlan0"), True),
            (link("bond0", "bond"), True),
            (link("eth0.20", "vlan"), True),
            (link("lan1", "dsa"), True),
            (link("ovs_eth0", "openvswitch"), True),
            (link("eth1", "macvlan"), True),
            (link("eth1", flags=UP), False),
            (link("eth1", flags=RUNNING), False),
            (link("lo", type=772, flags=UP | RUNNING | LOOPBACK), False),
            (link("docker0", "bridge"), False),
            (link("home", "bridge"), False),
            (link("vethab12", "veth"), False),
            (link("mine", "veth"), False),
            (link("tailscale0", "tun", type=TUNNEL), False),
            (link("home", "tun"), False),
            (link("home", "wireguard", type=TUNNEL), False),
            (link("home", "vxlan"), False),
            (link("home", "dummy"), False),
            (link("home", "ipip", type=768), False),
            (link("home", flags=UP | RUNNING | POINT_TO_POINT), False),
            (link("wwan0"), False),
            (link("vmnet8"), False),
            (link("vboxnet0"), False),
        ],
    )
    def test_an_interface_is_judged_by_kind_and_name(self, one: Link, ours: bool) -> None:
        found = chosen([CARD, one], NO_CHOICE)
        assert [i.name for i in found.interfaces] == ["enp1s0", one.name][: 1 + ours]

    def test_a_bridge_counts_by_what_is_plugged_into_it(self) -> None:
        bridge = link("br0", "bridge", index=9)
        inside, machine, tap = (
            link("eth0", address="", master=9),
            link("veth1", "veth", "", master=9),
            link("vnet0", "tun", "", master=9),
        )
        assert [i.name for i in chosen([bridge, inside, machine, tap], NO_CHOICE).interfaces] == ["br0"]
        assert chosen([bridge, machine, tap], NO_CHOICE).interfaces == ()
        bonded = link("bond0", "bond", "", master=9)
        assert [i.name for i in chosen([bridge, bonded], NO_CHOICE).interfaces] == ["br0"]

    def test_a_cables_end_is_the_network_where_there_is_no_card_but_not_behind_a_containers_bridge(self) -> None:
        inside = link("eth0", "veth", "192.168.1.9/24")
        assert [i.name for i in chosen([inside], NO_CHOICE, contained=True).interfaces] == ["eth0"]
        behind = link("eth0", "veth", "172.17.0.2/16")
        assert chosen([behind], NO_CHOICE, contained=True).interfaces == ()
        assert [i.name for i in chosen([behind], NO_CHOICE).interfaces] == ["eth0"]

    def test_the_owners_choice_goes_before_what_it_is(self) -> None:
        every = [CARD, link("wlan0"), link("veth5", "veth", index=11), link("wg0", "wireguard", index=12)]
        names = {
            "all": chosen(every, NO_CHOICE),
            "only": chosen(every, Choice(allow=("veth*", "wg0"))),
            "not": chosen(every, Choice(deny=("w*",))),
            "both": chosen(every, Choice(allow=("*",), deny=("v*", "en?1s0"))),
        }
        assert {k: [i.name for i in home.interfaces] for k, home in names.items()} == {
            "all": ["enp1s0", "wlan0"],
            "only": ["veth5", "wg0"],
            "not": ["enp1s0"],
            "both": ["wlan0", "wg0"],
        }


FOLLOW = """
import asyncio, json, sys
from appliance.lan.interfaces import Choice
from appliance.lan.watch import HouseholdWatch
def say(home):
    found = {i.name: [str(a) for a in i.addresses if not a.ip.is_link_local] for i in home.interfaces}
    print(json.dumps(found), flush=True)
async def main():
    async with HouseholdWatch(Choice(deny=("eth9",))) as watch:
        say(watch.household)
        watch.listen(say)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


class TestFollowing:
    @pytest.mark.net
    def test_a_change_of_address_or_cable_is_known_without_a_restart(self, lab: Lab) -> None:
        host = lab.host("a", "10.77.0.1")
        process = host.python("-c", FOLLOW, stdin=PIPE, stdout=PIPE, cwd=ROOT)
        assert process.stdout

        def until(wanted: dict[str, list[str]]) -> None:
            while json.loads(process.stdout.readline()) != wanted:  # type: ignore[union-attr]
                pass

        until({"eth0": ["10.77.0.1/24"]})
        for command in ("addr add 10.79.0.9/16 dev eth0", "addr del 10.77.0.1/24 dev eth0"):
            host.check("ip", *command.split())
        until({"eth0": ["10.79.0.9/16"]})
        host.check(*["ip", "link", "add", "br0", "type", "bridge"])
        host.check(*["ip", "addr", "add", "172.18.0.1/16", "dev", "br0"])
        host.check(*["ip", "link", "set", "br0", "up"])
        host.check(*["ip", "-6", "addr", "add", "fd00:7::1/64", "dev", "eth0", "nodad"])
        until({"eth0": ["10.79.0.9/16", "fd00:7::1/64"]})
        host.cut()
        until({})
        host.mend()
        until({"eth0": ["10.79.0.9/16", "fd00:7::1/64"]})

    async def test_a_new_choice_is_told_to_those_who_listen(self) -> None:
        card = Interface("eth0", 2, (IPv4Interface("192.168.1.5/24"),))

        def find(choice: Choice) -> Household:
            return Household(() if choice.deny else (card,))

        def fail(home: Household) -> None:
            raise RuntimeError("a listener that fails is no reason not to tell the others")

        told: asyncio.Queue[Household] = asyncio.Queue()
        async with HouseholdWatch(NO_CHOICE, find) as watch:
            assert watch.is_household("192.168.1.9")
            watch.listen(fail)
            end = watch.listen(told.put_nowait)
            watch.reconfigure(Choice(deny=("eth0",)))
            assert await asyncio.wait_for(told.get(), 5) == Household(())
            assert not watch.is_household("192.168.1.9")
            assert watch.is_household("127.0.0.1")
            end()
