"""Being found over SSDP: the messages, who is answered how often, and all of it in network namespaces."""

import asyncio
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Interface
from itertools import pairwise
from subprocess import PIPE
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.clock import RealClock
from appliance.lan import ssdp
from appliance.lan.interfaces import Household, Interface
from appliance.lan.ssdp_askers import EACH, MOST, TOGETHER, Askers
from appliance.lan.ssdp_links import Place, facing
from appliance.lan.ssdp_messages import (
    ALL,
    GROUP,
    MAX_AGE,
    MEDIA_SERVER,
    PORT,
    ROOT,
    SERVICES,
    Advert,
    Kind,
    Search,
    answer,
    answered,
    notifications,
    read_search,
    search,
)
from tests.lan import boxes
from tests.lan.boxes import Event, Process, named
from tests.lan.ssdp_box import IDENT
from tests.world.lab import Host, Lab, not_run

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ADVERT = Advert(IDENT, 7333, config=77)
SET = {ROOT, f"uuid:{IDENT}", MEDIA_SERVER, *SERVICES}


def headers(text: str) -> dict[str, str]:
    first, *rest = text.removesuffix("\r\n\r\n").split("\r\n")
    return {"": first} | {name: value.strip() for name, _, value in (line.partition(":") for line in rest)}


class TestMessages:
    def test_the_whole_set_is_announced_each_with_the_name_that_goes_with_it(self) -> None:
        told = [headers(m.decode()) for m in notifications(Kind.ALIVE, ADVERT, "10.0.0.7", 5)]
        assert {t["NT"] for t in told} == SET
        for t in told:
            assert t["USN"] == (t["NT"] if t["NT"].startswith("uuid:") else f"uuid:{IDENT}::{t['NT']}")
            assert (t[""], t["NTS"], t["HOST"]) == ("NOTIFY * HTTP/1.1", "ssdp:alive", "239.255.255.250:1900")
            assert t["LOCATION"] == "http://10.0.0.7:7333/dlna/description.xml"
            assert (t["CACHE-CONTROL"], t["BOOTID.UPNP.ORG"], t["CONFIGID.UPNP.ORG"]) == ("max-age=1800", "5", "77")
            assert "UPnP/1.1" in t["SERVER"]

    def test_byebye_names_no_place_and_an_update_names_the_coming_boot(self) -> None:
        gone = [headers(m.decode()) for m in notifications(Kind.BYEBYE, ADVERT, "10.0.0.7", 5)]
        assert {t["NT"] for t in gone} == SET
        assert all(t["NTS"] == "ssdp:byebye" and "LOCATION" not in t for t in gone)
        moved = [headers(m.decode()) for m in notifications(Kind.UPDATE, ADVERT, "10.0.0.7", 5, 6)]
        assert {(t["BOOTID.UPNP.ORG"], t["NEXTBOOTID.UPNP.ORG"]) for t in moved} == {("5", "6")}

    @pytest.mark.parametrize(
        ("target", "names"),
        [
            (ALL, SET),
            (ROOT, {ROOT}),
            (f"uuid:{IDENT}", {f"uuid:{IDENT}"}),
            (f"uuid:{IDENT.upper()}", {f"uuid:{IDENT}"}),
            (MEDIA_SERVER, {MEDIA_SERVER}),
            *((service, {service}) for service in SERVICES),
            ("urn:schemas-upnp-org:device:MediaServer:2", set()),
            ("urn:schemas-upnp-org:device:MediaServer:0", set()),
            ("urn:schemas-upnp-org:device:MediaServer:١", set()),
            ("urn:schemas-upnp-org:device:MediaRenderer:1", set()),
            ("urn:dial-multiscreen-org:service:dial:1", set()),
            ("uuid:somebody-else", set()),
            ("", set()),
        ],
    )
    def test_we_answer_for_what_we_are_and_for_nothing_else(self, target: str, names: set[str]) -> None:
        assert set(answered(ADVERT, target)) == names

    def test_who_asks_for_an_older_version_gets_that_version_back(self) -> None:
        newer = Advert(IDENT, 7333, device="urn:schemas-upnp-org:device:MediaServer:3")
        assert answered(newer, "urn:schemas-upnp-org:device:MediaServer:1") == (MEDIA_SERVER,)
        told = headers(answer(newer, MEDIA_SERVER, "10.0.0.7", 5, NOW).decode())
        assert (told["ST"], told["USN"]) == (MEDIA_SERVER, f"uuid:{IDENT}::{MEDIA_SERVER}")
        assert answered(newer, "urn:schemas-upnp-org:device:MediaServer:4") == ()

    def test_an_answer_has_what_the_architecture_asks_for(self) -> None:
        told = headers(answer(ADVERT, ROOT, "10.0.0.7", 5, NOW).decode())
        assert told[""] == "HTTP/1.1 200 OK"
        assert (told["EXT"], told["DATE"]) == ("", "Sat, 21 Nov 2026 12:00:00 GMT")
        assert told["LOCATION"] == "http://10.0.0.7:7333/dlna/description.xml"
        assert {"CACHE-CONTROL", "SERVER", "BOOTID.UPNP.ORG", "CONFIGID.UPNP.ORG"} <= told.keys()

    @pytest.mark.parametrize(
        ("text", "read"),
        [
            (b'M-SEARCH * HTTP/1.1\r\nHOST:h\r\nMAN:"ssdp:discover"\r\nMX:3\r\nST:x\r\n\r\n', Search("x", 3.0)),
            (b"m-search * http/1.0\nman: ssdp:discover\nst: x\nUser-Agent: TV/2\n\n", Search("x", 0.0, "TV/2")),
            (b'M-SEARCH * HTTP/1.1\r\nMAN:"ssdp:discover"\r\nMX:120\r\nST:x\r\n\r\n', Search("x", 5.0)),
            (b'M-SEARCH * HTTP/1.1\r\nMAN:"ssdp:discover"\r\nMX:-1\r\nST:x\r\n\r\n', Search("x", 0.0)),
            (b'M-SEARCH * HTTP/1.1\r\nMAN:"ssdp:other"\r\nMX:3\r\nST:x\r\n\r\n', None),
            (b'M-SEARCH * HTTP/1.1\r\nMAN:"ssdp:discover"\r\nMX:3\r\n\r\n', None),
            (b'M-SEARCH * HTTP/1.1\r\n\r\nMAN:"ssdp:discover"\r\nST:x\r\n', None),
            (b'NOTIFY * HTTP/1.1\r\nMAN:"ssdp:discover"\r\nST:x\r\n\r\n', None),
            (b"", None),
        ],
    )
    def test_searches_are_read_as_televisions_write_them(self, text: bytes, read: Search | None) -> None:
        assert read_search(text) == read

    @given(st.binary(max_size=3000))
    def test_nothing_that_comes_in_does_harm(self, noise: bytes) -> None:
        for data in (
            noise,
            b'M-SEARCH * HTTP/1.1\r\nMAN: "ssdp:discover"\r\nST: ' + noise,
            search(ALL, 2, "x") + noise,
        ):
            found = read_search(data)
            if found is not None:
                assert found.target.isprintable()
                assert 0.0 <= found.delay <= 5.0
                for name in answered(ADVERT, found.target):
                    assert answer(ADVERT, name, "10.0.0.7", 5, NOW).count(b"\r\n\r\n") == 1


class TestAskers:
    def test_one_asker_is_looked_at_ten_times_a_second_and_others_are_not_kept_from_it(self) -> None:
        askers = Askers()
        taken = sum(askers.admits("10.0.0.9", 100.0 + n / 1000) for n in range(1000))
        assert EACH <= taken <= 2 * EACH
        assert askers.admits("10.0.0.8", 101.0)
        assert askers.admits("10.0.0.9", 103.0)

    def test_many_askers_together_are_bounded_and_are_not_remembered_for_ever(self) -> None:
        askers = Askers()
        taken = sum(askers.admits(f"10.0.{n % 200}.{n // 200}", 100.0 + n / 2000) for n in range(2000))
        assert taken <= 2 * TOGETHER
        assert len(askers._known) <= MOST

    @given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=100))
    def test_no_second_has_more_than_ten_answers_to_one_asker(self, times: list[float]) -> None:
        askers = Askers()
        turns = sorted(at for now in sorted(times) if (at := askers.turn("10.0.0.9", now)) is not None)
        for first, second in pairwise(turns):
            assert second - first >= 1.0 / EACH - 1e-9


running = partial(boxes.running, module="tests.lan.ssdp_box")


def ask(host: Host, target: str, seconds: float, most: int = 99, source: str = "") -> list[Event]:
    """Search from a host, from its own address or another; wait for ``most`` answers, at most so many seconds."""
    with running(host, "ask", source or host.address, target, "0", str(seconds), str(most)) as asking:
        return [e for e in asking.rest() if e["event"] == "answer"]


def notes(listener: Process, kind: str, source: str = "10.77.0.1") -> dict[str, dict[str, str]]:
    """Return the next whole set of notifications of a kind, by what they are for."""
    found: dict[str, dict[str, str]] = {}
    while found.keys() != SET:
        said = headers(listener.until(named("packet"))["text"])
        if said.get("NTS") == kind:
            found[said["NT"]] = said
    return found


@pytest.mark.net
class TestOnAir:
    def test_a_box_is_announced_answers_and_says_byebye(self, lab: Lab) -> None:
        box, screen = lab.host("box", "10.77.0.1"), lab.host("tv", "10.77.0.2")
        with running(screen, "listen", "10.77.0.2") as listener:
            listener.until(named("listening"))
            with running(box, "announce") as announcing:
                alive = notes(listener, "ssdp:alive")
                assert {a["LOCATION"] for a in alive.values()} == {"http://10.77.0.1:7333/dlna/description.xml"}
                notes(listener, "ssdp:alive")  # and once more, for the first may be lost
                found = ask(screen, ALL, 5.0, len(SET))
                told = [headers(e["text"]) for e in found]
                assert sorted(t["ST"] for t in told) == sorted(SET)
                assert {t["LOCATION"] for t in told} == {"http://10.77.0.1:7333/dlna/description.xml"}
                assert {e["source"] for e in found} == {"10.77.0.1"}
                heard = announcing.until(named("heard"))
                assert (heard["address"], heard["target"], heard["agent"], heard["interface"]) == (
                    *("10.77.0.2", ALL, "Test/1 UPnP/1.1 Screen/2", "eth0"),
                )
                announcing.close()
                gone = notes(listener, "ssdp:byebye")
                assert {g["BOOTID.UPNP.ORG"] for g in gone.values()} == {a["BOOTID.UPNP.ORG"] for a in alive.values()}

    @pytest.mark.parametrize("seconds", [20.0, pytest.param(2.0, marks=pytest.mark.trial)])
    def test_an_address_that_goes_is_taken_back_and_the_new_one_is_announced(self, lab: Lab, seconds: float) -> None:
        box, screen = lab.host("box", "10.77.0.1"), lab.host("tv", "10.77.0.2")
        screen.check("ip", "addr", "add", "10.79.0.2/24", "dev", "eth0")
        with running(screen, "listen", "10.77.0.2") as listener, running(box, "announce"):
            before = notes(listener, "ssdp:alive")[ROOT]
            box.check("ip", "addr", "add", "10.79.0.9/24", "dev", "eth0")
            box.check("ip", "addr", "del", "10.77.0.1/24", "dev", "eth0")
            notes(listener, "ssdp:byebye")
            new = listener.until(lambda e: "10.79.0.9" in e.get("text", ""), seconds)
            said = headers(new["text"])
            assert (said["NTS"], said["LOCATION"]) == ("ssdp:alive", "http://10.79.0.9:7333/dlna/description.xml")
            assert int(said["BOOTID.UPNP.ORG"]) > int(before["BOOTID.UPNP.ORG"])

    @pytest.mark.trial
    def test_a_second_network_is_told_the_first_before_it_counts_as_a_new_start(self, lab: Lab) -> None:
        box, screen = lab.host("box", "10.77.0.1"), lab.host("tv", "10.77.0.2")
        with running(screen, "listen", "10.77.0.2") as listener, running(box, "announce"):
            before = notes(listener, "ssdp:alive")[ROOT]["BOOTID.UPNP.ORG"]
            for command in (
                "ip link add eth1 type veth peer name eth1p",
                "ip link set eth1p up",
                "ip link set eth1 up",
                "ip addr add 192.168.60.1/24 dev eth1",
            ):
                box.check(*command.split())
            update = notes(listener, "ssdp:update")[ROOT]
            assert update["BOOTID.UPNP.ORG"] == before
            alive = notes(listener, "ssdp:alive")[ROOT]
            assert alive["BOOTID.UPNP.ORG"] == update["NEXTBOOTID.UPNP.ORG"]
            assert alive["LOCATION"] == "http://10.77.0.1:7333/dlna/description.xml"

    def test_two_networks_get_an_address_of_their_own_each_and_strangers_get_nothing(self, lab: Lab) -> None:
        box, screen = lab.host("box", "10.77.0.1"), lab.host("tv", "10.77.0.2")
        box.check("ip", "addr", "add", "192.168.50.1/24", "dev", "eth0")
        screen.check("ip", "addr", "add", "192.168.50.2/24", "dev", "eth0")
        screen.check("ip", "addr", "add", "198.51.100.2/24", "dev", "eth0")
        box.check("ip", "route", "add", "198.51.100.0/24", "dev", "eth0")  # an answer would find its way
        with running(box, "announce") as announcing:
            announcing.until(named("started"))
            found = {}
            for address, seconds in (("10.77.0.2", 5.0), ("192.168.50.2", 5.0), ("198.51.100.2", 0.5)):
                answers = ask(screen, MEDIA_SERVER, seconds, 1, address)
                found[address] = [headers(e["text"])["LOCATION"] for e in answers]
            assert found == {
                "10.77.0.2": ["http://10.77.0.1:7333/dlna/description.xml"],
                "192.168.50.2": ["http://192.168.50.1:7333/dlna/description.xml"],
                "198.51.100.2": [],
            }

    @pytest.mark.alone
    @pytest.mark.trial
    def test_answers_to_a_flood_are_few_and_it_costs_under_a_twentieth_of_a_core(self, lab: Lab) -> None:
        box, screen = lab.host("box", "10.77.0.1"), lab.host("tv", "10.77.0.2")
        screens = [f"10.77.0.{n}" for n in range(2, 52)]
        for address in screens[1:]:
            screen.check("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        with running(box, "announce", "quiet") as announcing:
            announcing.until(named("started"))
            for target, those in ((ALL, screens[:1]), (ALL, screens), ("urn:schemas-upnp-org:device:Other:1", screens)):
                announcing.line()
                before = announcing.until(named("cost"))
                with running(screen, "flood", "1000", "8", target, *those) as flooding:
                    done = flooding.until(named("flooded"), 30)
                announcing.line()
                after = announcing.until(named("cost"))
                spent = (after["seconds"] - before["seconds"]) / done["seconds"]
                print(f"{done['sent']} searches, {done['answers']} answers: {spent:.1%} of a core")
                assert done["sent"] >= 7900
                assert spent < 0.05
                assert done["answers"] <= 11 * len(those) * (done["seconds"] + 1)


@pytest.mark.net
@pytest.mark.trial
class TestForeignPrograms:
    def test_gssdp_finds_the_box_with_its_right_address_and_sees_it_leave(self, lab: Lab) -> None:
        if shutil.which("gssdp-discover") is None:
            not_run("gssdp-discover is not installed (gupnp-tools)")
        box, screen = lab.host("box", "10.77.0.1"), lab.host("tv", "10.77.0.2")
        with running(box, "announce") as announcing:
            announcing.until(named("started"))
            options = ("-i", "eth0", "-r", "0", "-m", "all", "-t", MEDIA_SERVER)
            looking = screen.run("timeout", "20", "stdbuf", "-oL", "gssdp-discover", *options, stdout=PIPE)
            assert looking.stdout is not None
            seen: list[str] = []
            for line in looking.stdout:
                seen.append(line.strip())
                if "Location" in line:
                    announcing.close()
                if "unavailable" in line:
                    break
            text = "\n".join(seen)
            assert f"uuid:{IDENT}::{MEDIA_SERVER}" in text
            assert "http://10.77.0.1:7333/dlna/description.xml" in text
            assert "unavailable" in seen[-1]


class StandInLink:
    """An interface without sockets: what is sent by it is noted as (from, to, text)."""

    def __init__(self, place: Place) -> None:
        self.place, self.trouble, self.heard, self.answered = place, "", 0, 0
        self.listener, self._other = socket.socketpair()
        self.sent: list[tuple[str, tuple[str, int], str]] = []

    def facing(self, source: str) -> str:
        return facing(source, self.place.addresses)

    def send(self, data: bytes, address: str, to: tuple[str, int] = (GROUP, PORT)) -> bool:
        self.sent.append((address, to, data.decode()))
        return True

    def close(self) -> None:
        self.listener.close()
        self._other.close()


class StandInNetwork:
    """Two interfaces that never change."""

    household = Household(
        (
            Interface("eth0", 2, (IPv4Interface("10.77.0.1/24"),)),
            Interface("wlan0", 3, (IPv4Interface("192.168.50.1/24"),)),
        )
    )

    def listen(self, _: Callable[[Household], None]) -> Callable[[], None]:
        return lambda: None


class TestSpeaking:
    """What is said when, without a network."""

    @pytest.fixture(autouse=True)
    def _without_sockets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ssdp, "Link", StandInLink)

    def box(self, chance: float = 0.0) -> Any:
        network: Any = StandInNetwork()
        return ssdp.Ssdp(ADVERT, network, lambda _: None, RealClock(), lambda: chance)

    async def test_the_set_is_said_at_once_and_then_every_third_of_its_lifetime(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        box, waits, enough = self.box(chance=1.0), list[float](), asyncio.Event()

        async def stirs(seconds: float) -> bool:
            waits.append(seconds)
            if len(waits) == 8:
                enough.set()
                await asyncio.Event().wait()
            return False

        monkeypatch.setattr(box, "_stirs", stirs)
        async with box:
            await enough.wait()
            for link in box._links.values():
                said = [headers(text) for _, to, text in link.sent if to == (GROUP, PORT)]
                assert {h["NTS"] for h in said} == {"ssdp:alive"}
                assert len(said) == 7 * len(SET)
                assert {h["LOCATION"] for h in said} == {ADVERT.location(str(link.place.addresses[0].ip))}
                assert {h["CACHE-CONTROL"] for h in said} == {f"max-age={MAX_AGE}"}
        assert waits[:3] == [0.0, 0.3, 0.7]
        assert all(0.25 * MAX_AGE < wait <= MAX_AGE / 3 for wait in waits[3:])
        assert "ssdp:byebye" in link.sent[-1][2]

    @pytest.mark.parametrize("delay", [0, 1, 3, 120, 999_999])
    async def test_everything_is_answered_by_the_askers_own_network_and_in_time(self, delay: int) -> None:
        async with self.box(chance=1.0) as box:
            box._settle()
            first, second = box._links.values()
            for link, near in ((first, "10.77.0.9"), (second, "192.168.50.9")):
                link.sent.clear()
                box._take(link, search(ALL, delay, "TV/1"), near, 50_000)
                now = asyncio.get_running_loop().time()
                due = [handle.when() - now for handle in box._waiting.values()]
                assert all(wait <= min(delay, 5.0) for wait in due)
                assert len(due) == len(SET)
                for waiting in list(box._waiting.items()):  # their time has come
                    (host, port, target), handle = waiting
                    handle.cancel()
                    box._answer(link, link.facing(host), (host, port), target)
                answers = [(to, headers(text)) for _, to, text in link.sent if text.startswith("HTTP/1.1 200")]
                assert {h["ST"] for _, h in answers} == SET
                assert {to for to, _ in answers} == {(near, 50_000)}
                assert {h["LOCATION"] for _, h in answers} == {ADVERT.location(str(link.place.addresses[0].ip))}

    @pytest.mark.parametrize("stranger", ["192.168.50.9", "8.8.8.8", "10.78.0.1", "127.0.0.1", "0.0.0.0", "nonsense"])
    async def test_who_is_not_of_the_interfaces_network_is_not_even_noted(self, stranger: str) -> None:
        async with self.box() as box:
            box._settle()
            link, _ = box._links.values()
            box._take(link, search(ALL, 1, "TV/1"), stranger, 50_000)
            assert (link.heard, dict(box._waiting)) == (0, {})

    async def test_who_asks_a_thousand_times_gets_ten_answers_a_second_and_some_not_at_all(self) -> None:
        async with self.box() as box:
            box._settle()
            link, _ = box._links.values()
            for n in range(1000):
                box._take(link, search(ALL, 0, "TV/1"), "10.77.0.9", 50_000 + n)
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # what is due at once has had its turn
            due = sorted(handle.when() for handle in box._waiting.values())
            assert 10 <= len(due) <= 2 * EACH + 1
            assert all(after - before > 0.99 / EACH for before, after in pairwise(due))
