"""Being found, in network namespaces: names that differ, a goodbye, and only the household's interfaces."""

import pytest

from appliance.lan.mdns_records import host_label
from tests.lan.boxes import named, running
from tests.world.lab import Lab


class TestNames:
    @pytest.mark.parametrize(
        ("name", "label"),
        [("Seedkeep", "seedkeep"), ("Anna's Box", "anna-s-box"), ("…", "seedkeep"), ("a" * 60, "a" * 50), ("-x-", "x")],
    )
    def test_any_name_gives_a_host_label(self, name: str, label: str) -> None:
        assert host_label(name) == label


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

    def test_only_the_households_interface_hears_of_it(self, lab: Lab) -> None:
        box, neighbour = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        container = lab.host("c", "10.78.0.3")
        cable = f"ip link add docker0 type veth peer name inside netns {container.holder}"
        for command in (cable, "ip addr add 172.17.0.1/16 dev docker0", "ip link set docker0 up"):
            box.check(*command.split())
        for command in ("ip addr add 172.17.0.2/16 dev inside", "ip link set inside up"):
            container.check(*command.split())
        with running(neighbour, "hear", "10.77.0.2") as right, running(container, "hear", "172.17.0.2") as wrong:
            right.until(named("listening"))
            wrong.until(named("listening"))
            with running(box, "announce", "Seedkeep", "box") as process:
                assert process.until(named("announced"))["addresses"] == ["10.77.0.1"]
                process.end()
            assert any(e["event"] == "answer" for e in right.end())
            assert wrong.end() == []
