"""The box's name on the network by our own responder: claimed, defended, given up and given back as RFC 6762 has it."""

import contextlib
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.lan.mdns_packets import (
    AAAA,
    ANY,
    NSEC,
    PTR,
    SRV,
    TXT,
    A,
    Heard,
    Question,
    Record,
    goodbye,
    legacy_response,
    probe,
    read,
    response,
)
from appliance.lan.mdns_records import HTTP, META, SEEDKEEP, Announcement, answers_to, loses, names_for, records_for
from tests.lan.avahi_host import avahi
from tests.lan.boxes import Event, Process, named, running
from tests.world.lab import Host, Lab

SAID = Announcement("seedkeep", 7333, "b0c5", "1.2")
NAMES = names_for("seedkeep", 1)


def records(*addresses: str, said: Announcement = SAID, attempt: int = 1) -> tuple[Record, ...]:
    return records_for(said, names_for(said.name, attempt), [ip_address(a) for a in addresses])


OURS = records("10.77.0.1", "fd77::1")


def asked(*questions: Question, known: tuple[Record, ...] = (), probes: bool = False) -> Heard:
    return Heard(7, False, probes, False, questions, known)


def kinds(found: list[Record]) -> list[tuple[str, int]]:
    return sorted((r.name, r.type) for r in found)


class TestAnswers:
    def test_any_gets_every_address_of_the_host(self) -> None:
        answers, _ = answers_to(asked(Question("SEEDKEEP.local.", ANY)), OURS)
        assert kinds(answers) == [("seedkeep.local.", A), ("seedkeep.local.", AAAA)]
        assert all(r.unique for r in answers)

    def test_a_kind_of_address_that_is_not_there_is_denied_at_once(self) -> None:
        answers, additional = answers_to(asked(Question("seedkeep.local.", AAAA)), records("10.77.0.1"))
        assert kinds(answers) == [("seedkeep.local.", NSEC)]
        assert answers[0].data.endswith(b"\0\1\x40")  # the bitmap has A and nothing else
        assert kinds(additional) == []
        answers, additional = answers_to(asked(Question("seedkeep.local.", A)), records("10.77.0.1"))
        assert (kinds(answers), kinds(additional)) == ([("seedkeep.local.", A)], [("seedkeep.local.", NSEC)])

    def test_who_looks_for_a_service_gets_all_it_takes_to_call_it(self) -> None:
        answers, additional = answers_to(asked(Question(SEEDKEEP, PTR)), OURS)
        assert kinds(answers) == [(SEEDKEEP, PTR)]
        full = f"seedkeep.{SEEDKEEP}"
        assert kinds(additional) == [(full, TXT), (full, SRV), ("seedkeep.local.", A), ("seedkeep.local.", AAAA)]
        types, _ = answers_to(asked(Question(META, PTR)), OURS)
        assert {r.data for r in types} == {r.data for r in OURS if r.name == META}

    def test_what_the_asker_knows_is_not_repeated_unless_it_is_half_gone(self) -> None:
        known = tuple(r for r in OURS if r.name == SEEDKEEP)
        assert answers_to(asked(Question(SEEDKEEP, PTR), known=known), OURS) == ([], [])
        old = tuple(Record(r.name, r.type, r.data, r.ttl // 2 - 1) for r in known)
        assert answers_to(asked(Question(SEEDKEEP, PTR), known=old), OURS)[0] == list(known)

    def test_nobody_elses_names_are_answered_for(self) -> None:
        for name in ("seedkeep-2.local.", "local.", f"other.{HTTP}", "seedkeep.local.example."):
            assert answers_to(asked(Question(name, ANY)), OURS) == ([], [])


class TestPackets:
    def test_a_probe_asks_for_the_names_and_says_what_we_would_say(self) -> None:
        heard = read(probe(NAMES.unique(), OURS))
        assert heard is not None
        assert (heard.response, heard.probe) == (False, True)
        assert {q.name for q in heard.questions if q.type == ANY} == set(NAMES.unique())
        assert not any(q.unicast for q in heard.questions)
        assert {r.identity for r in heard.records} == {r.identity for r in OURS if r.unique}

    def test_an_announcement_flushes_what_was_ours_alone_and_a_goodbye_ends_everything(self) -> None:
        heard = read(response(OURS))
        assert heard is not None
        assert {(r.identity, r.ttl, r.unique) for r in heard.records} == {(r.identity, r.ttl, r.unique) for r in OURS}
        ended = read(goodbye(OURS))
        assert ended is not None
        assert {(r.identity, r.ttl) for r in ended.records} == {(r.identity, 0) for r in OURS}

    def test_a_simple_resolver_gets_its_question_back_and_short_lives(self) -> None:
        question = asked(Question("seedkeep.local.", A))
        heard = read(legacy_response(question, *answers_to(question, OURS)))
        assert heard is not None
        assert (heard.ident, heard.questions) == (7, question.questions)
        assert all(r.ttl <= 10 and not r.unique for r in heard.records)

    def test_the_longest_name_fits_a_packet(self) -> None:
        said = Announcement("n" * 60, 65535, "b" * 300, "v" * 300, path="/" + "p" * 300)
        packet = response(records(*(f"fd77::{n}" for n in range(20)), said=said, attempt=50))
        heard = read(packet)
        assert heard is not None
        assert len(heard.records) == 28
        assert len(packet) < 9000

    @given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 400))
    def test_no_packet_is_too_strange_to_be_read(self, noise: bytes, at: int, upto: int) -> None:
        whole = response(OURS)
        for packet in (noise, whole[:at] + noise + whole[upto:], probe(NAMES.unique(), OURS)[:at] + noise):
            heard = read(packet)
            if heard is not None:
                answers_to(heard, OURS)
                loses(heard.records, OURS, NAMES)


class TestTies:
    def test_of_boxes_that_ask_at_once_exactly_one_yields(self) -> None:
        boxes = [
            records(*addresses, said=Announcement("seedkeep", 7333, box, "1"))
            for addresses, box in (
                (("10.0.0.1",), "z"),
                (("10.0.0.2",), "a"),
                (("10.0.0.1", "10.0.0.9"), "b"),
                (("fd00::1",), "c"),
                (("10.0.0.2", "fd00::1"), "d"),
            )
        ]
        for one, two in combinations(boxes, 2):
            assert loses(one, two, NAMES) != loses(two, one, NAMES)

    def test_the_greater_address_wins_and_of_equal_beginnings_the_longer_list(self) -> None:
        assert loses(records("10.0.0.2"), records("10.0.0.1"), NAMES)
        assert loses(records("200.0.0.1"), records("99.0.0.1"), NAMES)
        assert loses(records("10.0.0.1", "fd00::1"), records("10.0.0.1"), NAMES)
        assert not loses(OURS, OURS, NAMES)


@contextlib.contextmanager
def boxes(*where: tuple[Host, str]) -> Iterator[list[Process]]:
    """Announce a box on each host at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(running(host, "announce", "seedkeep", box)) for host, box in where]


def announced(box: Process, host: str) -> Event:
    return box.until(lambda e: e.get("host") == host)


def said_of(event: Event, name: str = "seedkeep.local.") -> dict[str, int]:
    """Return the addresses that a packet gives to ``name``, with their lifetimes."""
    packed = {data: ttl for owner, kind, data, ttl in event.get("records", []) if owner == name and kind in (A, AAAA)}
    return {str(ip_address(bytes.fromhex(data))): ttl for data, ttl in packed.items()}


@pytest.mark.net
@pytest.mark.trial
class TestOnAir:
    @pytest.mark.parametrize("round_", range(3))
    def test_two_boxes_that_start_together_have_two_names_within_three_seconds(self, lab: Lab, round_: int) -> None:
        first, second = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with boxes((first, "one"), (second, "two")) as both:
            began = max(box.until(named("starting"))["time"] for box in both)
            got = [box.until(named("announced")) for box in both]
            assert sorted(e["host"] for e in got) == ["seedkeep-2.local", "seedkeep.local"]
            took = max(e["time"] for e in got) - began
            print(f"two boxes at once: two names after {took:.2f} s")
            assert took < 3

    def test_five_boxes_that_start_together_have_five_names(self, lab: Lab) -> None:
        with boxes(*((lab.host(f"h{n}", f"10.77.0.{n}"), f"box-{n}") for n in range(1, 6))) as all_:
            hosts = {box.until(named("announced"), 30)["host"] for box in all_}
        assert hosts == {"seedkeep.local", *(f"seedkeep-{n}.local" for n in range(2, 6))}

    def test_a_later_box_takes_the_next_name_within_three_seconds(self, lab: Lab) -> None:
        first, second = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with boxes((first, "one")) as (one,):
            announced(one, "seedkeep.local")
            with boxes((second, "two")) as (two,):
                began = two.until(named("starting"))["time"]
                took = announced(two, "seedkeep-2.local")["time"] - began
                print(f"a second box: its name after {took:.2f} s")
                assert took < 3
                assert [e for e in one.end() if e["event"] == "announced"] == []

    def test_an_address_change_is_on_the_air_within_two_seconds_and_the_old_one_is_withdrawn(self, lab: Lab) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with running(other, "hear", "10.77.0.2") as listener, boxes((box, "one")) as (one,):
            announced(one, "seedkeep.local")
            listener.until(lambda e: said_of(e).get("10.77.0.1", 0) > 0)
            changed = time.monotonic()
            box.check("ip", "addr", "del", "10.77.0.1/24", "dev", "eth0")
            box.check("ip", "addr", "add", "10.77.0.77/24", "dev", "eth0")
            listener.until(lambda e: said_of(e).get("10.77.0.1") == 0)
            heard = listener.until(lambda e: said_of(e) == {"10.77.0.77": 120})
            print(f"a new address: on the air after {heard['time'] - changed:.2f} s")
            assert heard["time"] - changed < 2
            one.until(lambda e: e.get("addresses") == ["10.77.0.77"])

    def test_a_stop_says_goodbye_for_the_name_and_the_services(self, lab: Lab) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with running(other, "hear", "10.77.0.2") as listener, boxes((box, "one")) as (one,):
            announced(one, "seedkeep.local")
            one.end()
            last = listener.until(lambda e: said_of(e).get("10.77.0.1") == 0)
        assert {(name, kind) for name, kind, _, ttl in last["records"] if ttl == 0} == {
            (r.name, r.type) for r in records("10.77.0.1")
        }

    def test_another_network_that_is_joined_is_asked_anew(self, lab: Lab) -> None:
        first, second, third = (lab.host(n, f"10.77.0.{i}") for i, n in enumerate("abc", 1))
        second.cut()
        with boxes((first, "one"), (second, "two")) as (one, two):
            announced(one, "seedkeep.local")
            two.until(named("starting"))
            second.mend()
            announced(two, "seedkeep-2.local")
        for host in (first, second):  # two switches, each with a box of that name, which are joined: no link changes
            lab._core.check(f"bridge link set dev {host._port} isolated on")
        with boxes((first, "one"), (second, "two")) as both:
            for box in both:
                announced(box, "seedkeep.local")
            for host in (first, second):
                lab._core.check(f"bridge link set dev {host._port} isolated off")
            with running(third, "hear", "10.77.0.3", "seedkeep.local.") as listener:
                listener.until(lambda e: e["event"] == "answer" and bool(said_of(e, "seedkeep-2.local.")))
            renamed = [e["host"] for box in both for e in box.end() if e["event"] == "announced"]
            assert renamed == ["seedkeep-2.local"]

    def test_a_responder_that_leaves_any_unanswered_keeps_its_name(self, lab: Lab) -> None:
        first, second = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with running(second, "register", "seedkeep", "10.77.0.2") as other:
            other.until(named("registered"))
            with boxes((first, "one")) as (one,):
                announced(one, "seedkeep-2.local")

    def test_each_network_hears_the_address_it_can_reach(self, lab: Lab) -> None:
        box, other, far = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2"), lab.host("c", "10.78.0.3")
        cable = f"ip link add eth1 type veth peer name inside netns {far._space.pid}"
        for command in (cable, "ip addr add 10.90.0.1/24 dev eth1", "ip link set eth1 up"):
            box.check(*command.split())
        for command in ("ip addr add 10.90.0.2/24 dev inside", "ip link set inside up"):
            far.check(*command.split())
        with (
            running(other, "hear", "10.77.0.2") as here,
            running(far, "hear", "10.90.0.2") as there,
            boxes((box, "one")) as (one,),
        ):
            assert announced(one, "seedkeep.local")["addresses"] == ["10.77.0.1", "10.90.0.1"]
            for listener, reachable in ((here, "10.77.0.1"), (there, "10.90.0.1")):
                said = listener.until(lambda e: e["event"] == "answer" and bool(said_of(e)))
                assert said_of(said) == {reachable: 120}

    def test_two_interfaces_on_one_network_are_no_conflict(self, lab: Lab) -> None:
        box = lab.host("a", "10.77.0.1")
        lab._core.check(f"ip link add name q0 type veth peer name eth1 netns {box._space.pid}")
        lab._core.check("ip link set q0 master br77")
        lab._core.check("ip link set q0 up")
        for command in ("ip addr add 10.77.0.9/24 dev eth1", "ip link set eth1 up"):
            box.check(*command.split())
        with boxes((box, "one")) as (one,):
            assert announced(one, "seedkeep.local")["addresses"] == ["10.77.0.1", "10.77.0.9"]
            time.sleep(3)  # nothing is to happen in it
            assert [e["event"] for e in one.end()] == ["silent", "left"]

    def test_without_ipv4_everything_goes_by_ipv6(self, lab: Lab, tmp_path: Path) -> None:
        first, second, third = (lab.host(n, f"10.77.0.{i}") for i, n in enumerate("abc", 1))
        for number, host in enumerate((first, second, third), 1):
            host.check("ip", "addr", "del", f"10.77.0.{number}/24", "dev", "eth0")
            host.check("ip", "-6", "addr", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
        with avahi(third, tmp_path / "c", "neighbour") as neighbour, boxes((first, "one")) as (one,):
            assert announced(one, "seedkeep.local")["addresses"] == ["fd77::1"]
            with boxes((second, "two")) as (two,):
                announced(two, "seedkeep-2.local")
                neighbour.finds("seedkeep.local", "fd77::1", "-6")
                neighbour.finds("seedkeep-2.local", "fd77::2", "-6")

    def test_a_simple_resolver_is_answered_where_it_asks_from(self, lab: Lab) -> None:
        box, other = lab.host("a", "10.77.0.1"), lab.host("b", "10.77.0.2")
        with boxes((box, "one")) as (one,):
            announced(one, "seedkeep.local")
            with other.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(5)
                question = b"\0\7\0\0\0\1\0\0\0\0\0\0\x08seedkeep\5local\0\0\1\0\1"
                asking.sendto(question, ("224.0.0.251", 5353))
                heard = read(asking.recv(9000))
        assert heard is not None
        assert said_of({"records": [[r.name, r.type, r.data.hex(), r.ttl] for r in heard.records]}) == {"10.77.0.1": 10}
