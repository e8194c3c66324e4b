"""The whole appliance on a network of its own: televisions find it, and it says which came how far."""

import json
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from msgspec.structs import replace

from appliance import presence
from appliance.clock import RealClock
from appliance.lan.notify import Callback
from appliance.lan.ssdp_messages import MEDIA_SERVER
from appliance.settings import Settings
from tests.lan.boxes import named
from tests.lan.ssdp_box import IDENT
from tests.lan.test_ssdp import StandInNetwork, ask, headers, running
from tests.world.box import Box
from tests.world.lab import Host, Lab

READ = """import sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"User-Agent": "DLNADOC/1.50 SEC_HHP_[TV] Samsung Q7/1.0"})
print(urllib.request.urlopen(request, timeout=10).read().decode())"""


def read(screen: Host, address: str) -> str:
    """Fetch something as a television does."""
    return screen.check(sys.executable, "-c", READ, address)


@pytest.mark.net
def test_a_television_finds_the_box_and_the_box_says_how_far_it_came(lab: Lab, tmp_path: Path) -> None:
    host, screen = lab.host("box", "10.77.0.1"), lab.host("tv", "10.77.0.2")
    with running(screen, "listen", "10.77.0.2") as listener:
        listener.until(named("listening"))
        box = Box(tmp_path / "data", host)
        del box.settings["SEEDKEEP_LAN__DLNA"]  # on by itself, and the owner's to switch
        box.settings["SEEDKEEP_WEB__HOST"] = "0.0.0.0"
        box.start()
        reached = "http://localhost:7333 (from other machines http://10.77.0.1:7333)"
        box.wait(lambda: reached in box.tail(), "saying where")
        alive = headers(listener.until(lambda e: "ssdp:alive" in e.get("text", ""))["text"])
        assert alive["LOCATION"] == "http://10.77.0.1:7333/dlna/description.xml"
        found = [headers(e["text"]) for e in ask(screen, MEDIA_SERVER, 5.0, 1)]
        assert [f["LOCATION"] for f in found] == [alive["LOCATION"]]
        ident = found[0]["USN"].partition("::")[0]
        assert f"<UDN>{ident}</UDN>" in read(screen, alive["LOCATION"])
        said = box.ask("GET", "/api/v1/lan")
        assert [f for f in said["findings"] if f["severity"] == "trouble"] == []
        assert {"answers", "listens"} <= {f["code"] for f in said["findings"]}
        (seen,) = said["screens"]
        assert (seen["address"], seen["guess"], seen["farthest"]) == (
            *("10.77.0.2", "Samsung television", "described"),
        )
        assert {d["act"]: d["count"] for d in seen["deeds"]} == {"searched": 1, "described": 1}
        for switch in ("lan.dlna", "web.play_without_login"):  # a television has no login: it would only be refused
            box.ask("PATCH", "/api/v1/settings", {switch: False})
            listener.until(lambda e: "ssdp:byebye" in e.get("text", ""))
            assert ask(screen, MEDIA_SERVER, 0.5) == []
            box.ask("PATCH", "/api/v1/settings", {switch: True})
            listener.until(lambda e: "ssdp:alive" in e.get("text", ""))
        box.stop()
        gone = headers(listener.until(lambda e: "ssdp:byebye" in e.get("text", ""))["text"])
        assert ident in gone["USN"]


async def test_only_who_is_of_this_network_is_told_of_changes_and_only_while_televisions_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A subscription lasts for half an hour; the owner's switch, and our network, may change before."""
    told: list[str] = []

    async def telling(callback: Callback, headers: tuple[tuple[str, str], ...], body: bytes) -> bool:
        told.append(callback.host)
        return True

    monkeypatch.setattr(presence, "notify", telling)
    network: Any = StandInNetwork()
    given = Settings()
    here = presence.Presence(presence.Said(IDENT, "1"), network, lambda: given, lambda: None, RealClock(), lambda: 0.5)

    async def is_told(host: str) -> bool:
        return await here.tell(Callback(host, 8080, "/"), (), b"")

    assert await is_told("10.77.0.9")
    assert await is_told("127.0.0.1")
    assert not await is_told("10.78.0.9")
    assert not await is_told("198.51.100.9")
    for off in (
        replace(given, lan=replace(given.lan, dlna=False)),
        replace(given, web=replace(given.web, play_without_login=False)),
    ):
        here.reconfigure(off)
        assert not await is_told("10.77.0.9")
        here.reconfigure(given)
        assert await is_told("10.77.0.9")
    assert told == ["10.77.0.9", "127.0.0.1", "10.77.0.9", "10.77.0.9"]


@pytest.mark.net
@pytest.mark.trial
def test_check_lan_says_it_on_the_command_line_with_a_service_and_without(lab: Lab, tmp_path: Path) -> None:
    host = lab.host("box", "10.77.0.1")
    box = Box(tmp_path / "data", host, lan__dlna="true").start()

    def check(*options: str) -> tuple[int, str]:
        command = (sys.executable, "-m", "appliance", "check", "lan", *options, "--data", str(box.data))
        process = host.run(*command, stdout=PIPE, env=box.settings)
        said, _ = process.communicate(timeout=60)
        return process.returncode, str(said)

    code, said = check()
    assert code == 0
    assert "ok   eth0: Searches come in and are answered, with the address 10.77.0.1." in said
    assert "No screen has asked yet." in said
    box.stop()
    code, said = check("--json")
    assert code == 1
    assert json.loads(said)["findings"][0]["code"] == "not_running"
