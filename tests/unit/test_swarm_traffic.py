"""Whose bytes a torrent's are: those of web seeds among them."""

from appliance.domain.traffic import TrafficClass
from appliance.domain.units import InfoHash
from appliance.swarm.traffic import Lan, PeerTotals, Traffic

ONE = InfoHash("a" * 40)
NEAR, FAR, PEER = "192.168.1.9", "203.0.113.9", "198.51.100.7"


def _traffic() -> Traffic:
    return Traffic(Lan([("192.168.1.0", "192.168.1.255")]))


def _drained(traffic: Traffic) -> dict[TrafficClass, tuple[int, int]]:
    return {flow.traffic: (flow.up, flow.down) for flow in traffic.drain([ONE])}


def test_a_web_seed_on_the_lan_crosses_no_uplink() -> None:
    traffic = _traffic()
    seeds = [PeerTotals((NEAR, 80), 0, 700, web_seed=True), PeerTotals((FAR, 80), 0, 300, web_seed=True)]
    traffic.count(ONE, 0, 1000, seeds)
    assert _drained(traffic) == {TrafficClass.LAN_PEERS: (0, 700), TrafficClass.ORIGINS: (0, 300)}


def test_what_went_up_while_a_web_seed_on_the_lan_ended_went_to_a_peer() -> None:
    traffic = _traffic()
    traffic.ended(ONE, NEAR, web_seed=True)
    traffic.ended(ONE, PEER, web_seed=False)
    traffic.count(ONE, 400, 0, [])
    assert _drained(traffic) == {TrafficClass.INTERNET_PEERS: (400, 0)}
