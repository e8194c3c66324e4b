"""The doctor: what it makes of what it sees, what it sees of a machine, and its own search in network namespaces."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

import pytest

from appliance.lan import doctor_look
from appliance.lan.doctor import Code, Finding, Known, Seen, Severity, judge
from appliance.lan.doctor_look import Firewall, PortUser
from appliance.lan.interfaces import Household, Interface
from appliance.lan.ssdp import Standing
from appliance.lan.ssdp_look import Echo
from tests.lan.boxes import named
from tests.lan.test_ssdp import running
from tests.world.lab import Host, Lab, not_run
from web.views import doctor as views


def home(*addresses: str) -> Household:
    found = tuple(IPv6Interface(a) if ":" in a else IPv4Interface(a) for a in addresses)
    return Household((Interface("eth0", 2, found),)) if found else Household(())


STANDING = Standing("eth0", ("10.0.0.5",), "", 4, 4)
SHUT = replace(STANDING, trouble="Address in use", heard=0)
KNOWN = Known(
    home=home("10.0.0.5/24"),
    listens="0.0.0.0",
    port=7333,
    dlna=True,
    play=True,
    mdns=True,
    name="seedkeep",
    host="seedkeep.local.",
    standing=(STANDING,),
    seconds=1200.0,
    searched=3,
)
SEEN = Seen(echoes={"eth0": Echo(True, True)}, members=frozenset({"eth0"}), firewall=Firewall(True))
AVAHI = PortUser(5353, "avahi-daemon", "avahi", ours=False)
MINIDLNA = PortUser(1900, "", "minidlna", ours=False)
OURS = PortUser(1900, "seedkeep", "seedkeep", ours=True)


def codes(findings: tuple[Finding, ...], severity: Severity) -> list[Code]:
    return [f.code for f in findings if f.severity is severity]


class TestJudging:
    def test_where_all_is_well_nothing_is_a_trouble_or_a_hint(self) -> None:
        found = judge(KNOWN, SEEN)
        assert codes(found, Severity.TROUBLE) == codes(found, Severity.HINT) == []
        assert {Code.ANSWERS, Code.LISTENS, Code.NAME, Code.FIREWALL_OPEN} <= {f.code for f in found}
        assert views.summary(found) == "Nothing is in the way of screens."

    @pytest.mark.parametrize(
        ("known", "seen", "code", "severity"),
        [
            ({"home": home()}, {"skipped": ("docker0",)}, Code.NO_NETWORK, Severity.TROUBLE),
            ({"home": home()}, {"container": "Docker"}, Code.CONTAINER, Severity.TROUBLE),
            ({"home": Household((), by_choice=True)}, {"container": "Docker"}, Code.NO_NETWORK, Severity.TROUBLE),
            ({"home": home("fd00::5/64")}, {}, Code.NO_IPV4, Severity.TROUBLE),
            ({"home": home("10.0.0.5/24", "fd00::5/64")}, {}, Code.IPV6, Severity.OK),
            ({"listens": "127.0.0.1"}, {}, Code.LOOPBACK_ONLY, Severity.TROUBLE),
            ({"listens": "localhost"}, {}, Code.LOOPBACK_ONLY, Severity.TROUBLE),
            ({"listens": "192.168.9.9"}, {}, Code.OTHER_ADDRESS, Severity.TROUBLE),
            ({"listens": "10.0.0.5"}, {}, Code.LISTENS, Severity.OK),
            ({"listens": "::"}, {}, Code.LISTENS, Severity.OK),
            ({"dlna": False}, {}, Code.DLNA_OFF, Severity.HINT),
            ({"play": False}, {}, Code.LOGIN_NEEDED, Severity.TROUBLE),
            ({"standing": (SHUT,)}, {"echoes": {"eth0": Echo(True, False)}}, Code.NOT_OPENED, Severity.TROUBLE),
            ({}, {"echoes": {"eth0": Echo(False, False)}}, Code.NO_ECHO, Severity.TROUBLE),
            ({}, {"echoes": {"eth0": Echo(True, False)}}, Code.NO_ANSWER, Severity.TROUBLE),
            ({}, {"echoes": {}, "members": frozenset()}, Code.NOT_MEMBER, Severity.TROUBLE),
            ({}, {"alone": frozenset({"eth0"})}, Code.SNOOPING, Severity.HINT),
            ({"searched": 0}, {}, Code.NOBODY_ASKED, Severity.HINT),
            ({}, {"users": (AVAHI,)}, Code.PORT_SHARED, Severity.OK),
            ({"standing": (SHUT,)}, {"users": (MINIDLNA,)}, Code.PORT_SHARED, Severity.HINT),
            ({}, {"users": (OURS,)}, Code.PORT_OURS, Severity.OK),
            ({}, {"firewall": Firewall(True, True)}, Code.FIREWALL_DROPS, Severity.HINT),
            ({}, {"firewall": Firewall(True, True, frozenset({1900, 7333}))}, Code.FIREWALL_DROPS, Severity.OK),
            ({}, {"firewall": Firewall(False)}, Code.FIREWALL_UNSEEN, Severity.OK),
            ({}, {"firewall": Firewall(False, program="ufw")}, Code.FIREWALL_UNSEEN, Severity.HINT),
            ({"mdns": False}, {}, Code.MDNS_OFF, Severity.HINT),
            ({"host": None}, {}, Code.NO_NAME, Severity.HINT),
            ({"host": "seedkeep-2.local"}, {}, Code.NAME_TAKEN, Severity.HINT),
        ],
    )
    def test_each_thing_that_may_be_so_is_found_and_told_with_its_cure(
        self, known: dict[str, object], seen: dict[str, object], code: Code, severity: Severity
    ) -> None:
        found = judge(replace(KNOWN, **known), replace(SEEN, **seen))  # type: ignore[arg-type]
        (finding,) = [f for f in found if f.code is code]
        assert finding.severity is severity
        (told,) = views.told([finding])
        assert told.text.endswith((".", ")"))
        assert (told.cure != "") or severity is Severity.OK

    @pytest.mark.parametrize("switch", ["dlna", "play"])
    def test_where_screens_are_not_told_of_the_box_only_the_switch_is_in_their_way(self, switch: str) -> None:
        known = replace(KNOWN, standing=(), **{switch: False})  # type: ignore[arg-type]
        found = judge(known, replace(SEEN, echoes={}, members=frozenset()))
        assert len([f for f in found if f.severity is not Severity.OK]) == 1

    def test_without_a_service_only_what_the_machine_says_is_told(self) -> None:
        found = judge(replace(KNOWN, standing=None, host=None), replace(SEEN, echoes={}))
        assert {f.code for f in found} == {Code.LISTENS, Code.FIREWALL_OPEN}

    def test_every_finding_has_its_sentences(self) -> None:
        facts = dict.fromkeys(
            ("why", "address", "host", "wished", "program", "user", "listens", "kind", "skipped"), "x"
        )
        for code in Code:
            (told,) = views.told([Finding(code, Severity.HINT, "eth0", {**facts, "port": 1900, "minutes": 7})])
            assert told.text


class TestLooking:
    def test_the_kernels_tables_are_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor_look, "_NET", tmp_path)
        (tmp_path / "udp").write_text(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref\n"
            "  1: FAFFFFEF:076C 00000000:0000 07 00000000:00000000 00:00000000 00000000 4242424 0 1111 2 0 0\n"
            "  2: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0 0 2222 2 0 0\n"
            "  3: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0 0 3333 2 0 0\n"
        )
        (tmp_path / "igmp").write_text(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
            "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
            "2\teth0      :     2      V3\n\t\t\t\tFAFFFFEF     1 0:00000000\t\t0\n"
            "3\twlan0     :     1      V2\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
        )
        found = doctor_look.port_users()
        assert [(u.port, u.program, u.user, u.ours) for u in found] == [
            (1900, "", "4242424", False),
            (5353, "", "root", False),
        ]
        assert doctor_look.members() == {"eth0"}

    def test_a_machine_without_these_files_is_no_failure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("_NET", "_SYS", "_PROC"):
            monkeypatch.setattr(doctor_look, name, tmp_path)
        monkeypatch.setattr(doctor_look, "_output", lambda *_: None)
        monkeypatch.setattr(doctor_look, "_SERVICES", ())
        assert doctor_look.port_users() == ()
        assert doctor_look.members() == frozenset()
        assert doctor_look.firewall() == Firewall(False)
        assert not doctor_look.snoops_alone("eth0")

    @pytest.mark.parametrize(
        ("rules", "drops"),
        [
            ('{"nftables": [{"chain": {"hook": "input", "policy": "drop"}}, {"rule": {"right": 1900}}]}', True),
            ('{"nftables": [{"chain": {"hook": "input", "policy": "accept"}}]}', False),
            ('{"nftables": [{"chain": {"hook": "forward", "policy": "drop"}}]}', False),
            ("[" * 100_000, False),
            ('{"nftables": 5}', False),
        ],
    )
    def test_a_firewalls_rules_are_read(self, rules: str, drops: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor_look, "_output", lambda *command: rules if command[0] == "nft" else None)
        wall = doctor_look.firewall()
        assert (wall.readable, wall.drops) == (True, drops)
        assert (1900 in wall.ports) is ("1900" in rules)


class _Description(BaseHTTPRequestHandler):
    text = b"<root><device><friendlyName>Anna&amp;s\x1b TV</friendlyName><modelName>QE55</modelName></device></root>"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text + b" " * 100_000)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def described(host: Host) -> Iterator[str]:
    """Serve a television's description on a host."""
    with host.inside():
        server = ThreadingHTTPServer((host.address, 0), _Description)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{host.address}:{server.server_port}/description.xml"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.net
class TestOnAir:
    def test_our_own_search_comes_back_and_is_answered(self, lab: Lab) -> None:
        box = lab.host("box", "10.77.0.1")
        with running(box, "examine") as examining:
            examining.until(named("started"))
            examining.line()
            found = {f[0]: f[1:] for f in examining.until(named("examined"))["found"]}
            assert found["answers"] == ["ok", "eth0", {"address": "10.77.0.1", "why": ""}]
            assert found["port_ours"] == ["ok", "", {"port": 1900}]
            assert found["name_taken"][0] == "hint"
            assert not [code for code, (severity, *_) in found.items() if severity == "trouble"]

    def test_a_program_that_keeps_the_port_to_itself_is_named(self, lab: Lab) -> None:
        box = lab.host("box", "10.77.0.1")
        with running(box, "hold", "0.0.0.0") as holding:
            holding.until(named("held"))
            with running(box, "examine") as examining:
                examining.until(named("started"))
                examining.line()
                found = {f[0]: f[1:] for f in examining.until(named("examined"))["found"]}
                assert found["not_opened"][2]["why"] == "Address already in use"
                assert found["port_shared"][2]["program"].startswith("python")

    @pytest.mark.trial
    def test_a_program_that_shares_the_port_is_no_trouble(self, lab: Lab) -> None:
        box = lab.host("box", "10.77.0.1")
        with running(box, "hold", "0.0.0.0", "shared") as holding:
            holding.until(named("held"))
            with running(box, "examine") as examining:
                examining.until(named("started"))
                examining.line()
                found = {f[0]: f[1:] for f in examining.until(named("examined"))["found"]}
                assert found["answers"][0] == found["port_shared"][0] == "ok"

    @pytest.mark.trial
    def test_a_firewall_that_drops_searches_is_seen_and_so_is_the_hole_that_mends_it(self, lab: Lab) -> None:
        if shutil.which("nft") is None:
            not_run("nft is not installed (nftables)")
        box = lab.host("box", "10.77.0.1")
        for rule in (
            "add table inet wall",
            "add chain inet wall input { type filter hook input priority 0; policy drop; }",
            "add rule inet wall input iif lo accept",
        ):
            box.check("nft", rule)
        with running(box, "examine") as examining:
            examining.until(named("started"))
            examining.line()
            found = {f[0]: f[1:] for f in examining.until(named("examined"))["found"]}
            assert found["no_echo"][:2] == ["trouble", "eth0"]
            assert found["firewall_drops"][0] == "hint"
            box.check("nft", "add rule inet wall input udp dport 1900 accept")
            box.check("nft", "add rule inet wall input tcp dport 7333 accept")
            examining.line()
            found = {f[0]: f[1:] for f in examining.until(named("examined"))["found"]}
            assert found["answers"][:2] == ["ok", "eth0"]
            assert found["firewall_drops"][0] == "ok"

    def test_screens_that_answer_are_found_by_the_name_they_give_themselves(self, lab: Lab) -> None:
        box, near = lab.host("box", "10.77.0.1"), lab.host("tv", "10.77.0.2")
        liar = lab.host("liar", "10.77.0.3")
        with (
            described(near) as location,
            running(near, "television", "10.77.0.2", location) as one,
            running(liar, "television", "10.77.0.3", location) as two,
        ):
            one.until(named("listening"))
            two.until(named("listening"))
            with running(box, "look") as looking:
                found = [e for e in looking.rest() if e["event"] == "found"]
        assert [(f["address"], f["name"], f["model"]) for f in found] == [
            ("10.77.0.2", "Anna&s TV", "QE55"),
            ("10.77.0.3", "", ""),  # it sent us to somebody else, where we do not go
        ]
        assert all("\x1b" not in f["server"] for f in found)
