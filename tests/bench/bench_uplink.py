"""TCP against uTP on a household's uplink, in one run: this module prints how long others wait, and what gets through.

    python -m tests.bench.bench_uplink

Box, router (8 Mbit/s out, half a second of queue), far side and a neighbour, in namespaces of their own. On the machine
it was written on: TCP 0.35 s of waiting, uTP 0.11 s, both with 0.96 of the link; the appliance's own yielding over TCP
0.02 to 0.15 s with 0.5 to 0.8 of it (``tests/swarm/test_household.py``). Yielding holds whatever carries the bytes and
whoever called, uTP only the calls of our own, at twice the processor: so outgoing uTP is a setting and off.
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from appliance.domain.units import MIB
from tests.swarm.test_household import QUEUE, SINK, UPLINK, Neighbour, common
from tests.swarm.torrents import KIB, Content, noise
from tests.world.lab import Lab

_PEER = """
import json, sys, time
from pathlib import Path
from tests.world import peers
host, folder, torrent, seeding, utp, other = sys.argv[1:7]
on = {"enable_outgoing_utp": utp == "1", "enable_incoming_utp": utp == "1"}
off = {"enable_outgoing_tcp": utp == "0", "enable_incoming_tcp": utp == "0"}
session = peers.session(host, 6900, **on, **off)
known = [(other, 6900)] if other else []
handle = peers.add(session, Path(torrent).read_bytes(), Path(folder), seeding=seeding == "1", peers=known)
while True:
    time.sleep(1)
    print(json.dumps(handle.status().total_payload_download), flush=True)
"""
_WARM, _SECONDS = 8, 15


def measure(folder: Path, utp: bool) -> tuple[float, float]:
    """Return the median wait in seconds, and the share of the uplink that got through as payload."""
    content = Content.of({"film.mp4": noise(60 * MIB)}, piece=256 * KIB, private=True)
    content.written(folder / "seed")
    torrent, program, flag = folder / "film.torrent", folder / "peer.py", str(int(utp))
    torrent.write_bytes(content.meta.raw)
    program.write_text(_PEER)
    with Lab() as lab:
        lab.shape(UPLINK, QUEUE)
        box, far = common(lab.host("box", "10.77.0.2")), lab.host("far", "10.78.0.2")
        lab.host("sink", SINK)
        neighbour = Neighbour(lab.host("neighbour", "10.77.0.3"))
        box.python(program, "10.77.0.2", folder / "seed", torrent, "1", flag, "", stdout=subprocess.DEVNULL)
        time.sleep(1)
        away = ("10.78.0.2", folder / "far", torrent, "0", flag, "10.77.0.2")
        leech = far.python(program, *away, stdout=subprocess.PIPE)
        time.sleep(_WARM)
        waits = neighbour.waits(_SECONDS)
        leech.terminate()
        taken = [json.loads(line) for line in leech.communicate()[0].splitlines()][_WARM - 1 :]
    return statistics.median(waits), (taken[-1] - taken[0]) / (len(taken) - 1) / (UPLINK / 8)


def run() -> None:
    """Take turns, and print both."""
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for utp in (False, True) * 2:
        with tempfile.TemporaryDirectory() as folder:
            found[utp].append(measure(Path(folder), utp))
    for utp, rows in found.items():
        wait, share = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{'uTP' if utp else 'TCP'}: others wait {wait:.3f} s, {share:.2f} of the uplink")


if __name__ == "__main__":
    run()
