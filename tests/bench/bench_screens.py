"""A household's screens: films played beside seeding, and the lists that televisions turn, beside minidlna's.

    python -m tests.bench.bench_screens [--only play|browse] [--players 8] [--seconds 30] [--videos 10000] …

This module prints both. The appliance, the televisions, the peer that takes from it and minidlna are on hosts of a lab
of their own (network namespaces); all of them share this machine's processor.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from tests.bench.bench_media import cpu_seconds
from tests.bench.catalogue import fill
from tests.bench.minidlna import ALL_VIDEOS, minidlna, program
from tests.bench.pages import PAGE, Turned
from tests.world.box import Box
from tests.world.lab import Host, Lab, why_no_namespaces
from tests.world.media import Layout, Made, make
from tests.world.origin import Origin
from tests.world.published import Published
from tests.world.television import Seen, Show

MBIT = 10.0
"""Of each film, in 10^6 bits/s."""
LAYOUTS = {Layout.MUXED: "720p.mp4", Layout.SPLIT: "720p.mp4", Layout.TS: "720p.ts"}
"""What the films are made of, in turn, and what a television asks for."""
HLS_PLAYERS = 2
SWARM_PORT = 47333
API_EVERY = 0.05
CONNECTIONS = (1, 4)
CHANGES = 5
PAGE_MS = 50
MEAL_PATIENCE, SCAN_PATIENCE = 60.0, 900.0
SETTLED_SECONDS = 5.0
"""After its start the appliance has its first duties to do."""


# Playing


@dataclass(frozen=True)
class Phase:
    """What was seen while everybody played: ``seen`` by each television, ``cpu`` of one core and ``seeded`` bytes/s of
    the appliance, ``asked`` the milliseconds that its API took."""

    seen: list[Seen]
    seconds: float
    cpu: float
    seeded: float
    asked: list[float]


@dataclass(frozen=True)
class Cinema:
    """The appliance with its films, the televisions' host and the host of the peer that takes."""

    box: Box
    screens: Host
    peer: Host
    shows: list[Show]
    torrents: list[Path]
    folder: Path


@contextmanager
def cinema(folder: Path, players: int, length: int) -> Iterator[Cinema]:
    """Open one: a film of each layout is held, and the page cache has it."""
    made = [make(layout, (720,), length, kbits=round(MBIT * 1000), piece=1 << 20) for layout in LAYOUTS]
    with Lab() as lab:
        box, away = Box(folder / "data", lab.host("box", "10.77.0.2")), lab.host("origin", "10.78.0.1")
        with away.inside():
            origin = Origin("10.78.0.1", 80, limit=None)
        with origin:
            films = [origin.add_video(one, title=f"Film {n}") for n, one in enumerate(made)]
            try:
                box.start()
                ids = _pinned(box, films)
                shows = [_show(box, made, ids, n, players) for n in range(players)]
                torrents = [folder / f"{n}.torrent" for n in range(len(films))]
                for path, film in zip(torrents, films, strict=True):
                    path.write_bytes(film.torrent(720))
                screens, peer = lab.host("screens", "10.77.0.3"), lab.host("peer", "10.78.0.10")
                yield Cinema(box, screens, peer, shows, torrents, folder)
            finally:
                box.stop()


def _pinned(box: Box, films: list[Published]) -> list[str]:
    for film in films:
        box.ask("POST", "/api/v1/pins", {"url": film.address})
    pins = box.wait_pinned(*(f.facts.title for f in films), seconds=300)
    return [str(pins[f.facts.title]["video_id"]) for f in films]


def _show(box: Box, made: list[Made], ids: list[str], number: int, players: int) -> Show:
    """Return what one of the televisions plays: the films in turn, each television from another place."""
    film = number % len(made)
    name = "master.m3u8" if number >= players - HLS_PLAYERS else LAYOUTS[made[film].recipe.layout]
    return Show(f"{box.url}/media/{ids[film]}/{name}", made[film].recipe.seconds, 0.9 * number / players)


def phase(place: Cinema, seconds: float, *, seeding: bool) -> Phase:
    """Let all televisions play for so long, beside the peer or without it."""
    with tempfile.TemporaryDirectory(dir=place.folder) as meals:
        address = f"{place.box.url.split('/')[2].partition(':')[0]}:{SWARM_PORT}"
        told = [place.peer.address, address, meals, *map(str, place.torrents)]
        glutton = place.peer.python("-m", "tests.bench.glutton", *told, stdout=subprocess.PIPE) if seeding else None
        if glutton:
            _until_it_eats(glutton)
        told = [json.dumps(asdict(show)) for show in place.shows]
        cpu, begun = cpu_seconds(place.box.pid), time.monotonic()
        room = place.screens.python("-m", "tests.world.television", str(seconds), *told, stdout=subprocess.PIPE)
        asked = _asked(place.box, room)
        said, _ = room.communicate(timeout=60)
        took, cpu = time.monotonic() - begun, cpu_seconds(place.box.pid) - cpu
        seeded = _ended(glutton, begun) if glutton else 0.0
    return Phase([Seen(**one) for one in json.loads(said)], took, cpu / took, seeded, asked)


def _until_it_eats(glutton: "subprocess.Popen[str]") -> None:
    assert glutton.stdout
    end = time.monotonic() + MEAL_PATIENCE
    while json.loads(glutton.stdout.readline())["taken"] == 0:
        assert time.monotonic() < end, "the appliance gives the peer nothing"


def _ended(glutton: "subprocess.Popen[str]", begun: float) -> float:
    """End it and return the bytes/s that it took since then."""
    glutton.terminate()
    lines = [json.loads(line) for line in glutton.communicate()[0].splitlines() if line.endswith("}")]
    since = [line for line in lines if line["at"] >= begun]
    return float((since[-1]["taken"] - since[0]["taken"]) / (since[-1]["at"] - since[0]["at"]))


def _asked(box: Box, until: "subprocess.Popen[str]") -> list[float]:
    """Ask the API now and then until that program has ended; return the milliseconds that each answer took."""
    times: list[float] = []
    token = (box.data / "cli.token").read_text()
    assert box.host
    with (
        box.host.inside(),
        httpx.Client(base_url=box.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client,
    ):
        while until.poll() is None:
            begun = time.perf_counter()
            client.get("/api/v1/status").raise_for_status()
            times.append((time.perf_counter() - begun) * 1000)
            time.sleep(API_EVERY)
    return times


def _print_phase(what: str, found: Phase) -> None:
    seen, asked = found.seen, found.asked
    stalls, stood = sum(s.stalls for s in seen), sum(s.stood for s in seen)
    waited, least = max(s.waited for s in seen), min(s.came for s in seen)
    shown, seeded = (rate * 8 / 1e6 for rate in (sum(s.got for s in seen) / found.seconds, found.seeded))
    print(f"{what}: {len(seen)} players, {found.seconds:.0f} s")
    print(f"  stalls {stalls} ({stood:.1f} s in all), to reach 0: {'NOT reached' if stalls else 'reached'}")
    print(f"  first picture after {waited:.2f} s at most; {least:.0f} s of film came to each at least")
    print(f"  to screens {shown:.0f} Mbit/s, to peers {seeded:.0f} Mbit/s; appliance {found.cpu * 100:.0f} % of a core")
    print(f"  API p50 {_cut(asked, 50):.1f} ms, p99 {_cut(asked, 99):.1f} ms ({len(asked)} answers)", flush=True)
    for error in filter(None, (s.error for s in seen)):
        print(f"  {error}")


def _cut(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def play(players: int, seconds: float, length: int) -> None:
    """Let them play without the peer, with it and the appliance as it comes, and with upload that yields to nobody."""
    with tempfile.TemporaryDirectory(prefix="seedkeep-bench-") as name, cinema(Path(name), players, length) as place:
        size = sum(p.stat().st_size for p in (place.box.data / "library").rglob("*") if p.suffix in (".mp4", ".ts"))
        print(f"playing: {len(LAYOUTS)} films of {length} s, {size * 8 / 1e6 / length / len(LAYOUTS):.1f} Mbit/s each; "
              f"{HLS_PLAYERS} of the players take HLS", flush=True)  # fmt: skip
        _print_phase("nobody else", phase(place, seconds, seeding=False))
        _print_phase("a peer takes all it can", phase(place, seconds, seeding=True))
        place.box.ask("PATCH", "/api/v1/settings", {"bandwidth.yield_to_players": False})
        _print_phase("the same, upload yields to no screen", phase(place, seconds, seeding=True))


# Browsing


@dataclass(frozen=True)
class Side:
    name: str
    control: str
    container: str
    pid: int


@dataclass(frozen=True)
class Measure:
    """``cpu`` in milliseconds a page."""

    turned: Turned
    cpu: float


def measure(screen: Host, side: Side, videos: int, connections: int, seconds: float) -> Measure:
    before = cpu_seconds(side.pid)
    command = ("-m", "tests.bench.pages", side.control, side.container, videos, connections, seconds)
    turned = Turned(**json.loads(screen.check(sys.executable, *map(str, command))))
    return Measure(turned, (cpu_seconds(side.pid) - before) * 1000 / len(turned.times))


def browse(videos: int, seconds: float, rounds: int) -> None:
    """Turn the pages of all videos at ours and at minidlna, which take turns."""
    if program() is None:
        sys.exit("not run: minidlna is missing (apt install minidlna)")
    with tempfile.TemporaryDirectory(prefix="seedkeep-bench-") as name, Lab() as lab:
        folder, screen = Path(name), lab.host("screen", "10.77.0.3")
        fill(folder / "data", videos)
        box = Box(folder / "data", lab.host("box", "10.77.0.2"), lan__dlna="true")
        with minidlna(lab.host("minidlna", "10.77.0.4"), folder, videos, SCAN_PATIENCE) as (theirs, pid, scan):
            print(f"browsing {videos} videos in pages of {PAGE}, Filter *; minidlna has read them in {scan:.0f} s",
                  flush=True)  # fmt: skip
            try:
                box.start()
                time.sleep(SETTLED_SECONDS)
                box.ask("GET", "/api/v1/status")  # what comes first at the very first start waits for a password's hash
                ours = Side("seedkeep", f"{box.url}/dlna/control/ContentDirectory", "all", box.pid)
                sides = (ours, Side("minidlna", theirs, ALL_VIDEOS, pid))
                for side in sides:
                    (cold,) = measure(screen, side, videos, 1, 0).turned.times
                    print(f"  {side.name:9} the first page after the start {cold:.1f} ms", flush=True)
                _changes(screen, box, ours, videos)
                _browse(screen, *sides, videos, seconds, rounds)
            finally:
                box.stop()


def _changes(screen: Host, box: Box, ours: Side, videos: int) -> None:
    """Print what a page takes right after a change that a screen can see: the whole list is read again for it."""
    (channel,) = (one["id"] for one in box.ask("GET", "/api/v1/channels")["items"])
    took = []
    for number in range(CHANGES + 1):
        box.ask("PATCH", f"/api/v1/channels/{channel}", {"web_videos": number % 2 == 0})
        took += measure(screen, ours, videos, 1, 0).turned.times
    print(f"  {ours.name:9} a page right after a change {statistics.median(took[1:]):.1f} ms", flush=True)


def _browse(screen: Host, ours: Side, theirs: Side, videos: int, seconds: float, rounds: int) -> None:
    for side in (ours, theirs):
        measure(screen, side, videos, 1, seconds)
    for connections in CONNECTIONS:
        pairs = [tuple(measure(screen, s, videos, connections, seconds) for s in (ours, theirs)) for _ in range(rounds)]
        print(f"  {connections} connection{'s' if connections > 1 else ''}:", flush=True)
        for side, found in zip((ours, theirs), zip(*pairs, strict=True), strict=True):
            _print_side(side.name, list(found))
        ratio = statistics.median(a.turned.rate / b.turned.rate for a, b in pairs)
        print(f"    {ratio:.2f} of minidlna's requests/s", flush=True)
        if connections == 1:
            p99 = _cut([took for a, _ in pairs for took in a.turned.times], 99)
            verdict = "reached" if p99 < PAGE_MS else "NOT reached"
            print(f"    our page of {PAGE}: p99 {p99:.1f} ms, to reach less than {PAGE_MS}: {verdict}", flush=True)


def _print_side(name: str, found: list[Measure]) -> None:
    times = [took for one in found for took in one.turned.times]
    rate, cpu = statistics.median(one.turned.rate for one in found), statistics.median(one.cpu for one in found)
    kept = sum(one.turned.connects for one in found) < len(times)
    print(f"    {name:9} {rate:6.1f} requests/s, p50 {_cut(times, 50):.1f} ms, p99 {_cut(times, 99):.1f} ms; "
          f"a page: {cpu:.1f} ms of processor, {found[0].turned.size / 1000:.0f} kB"
          f"{'' if kept else ' and a connection of its own'}", flush=True)  # fmt: skip


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_screens", description=__doc__)
    parser.add_argument("--only", choices=["play", "browse"])
    parser.add_argument("--players", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0, help="that they play, three times")
    parser.add_argument("--length", type=int, default=120, help="of each film, in seconds")
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--browsing", type=float, default=3.0, help="seconds of each round")
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args(arguments)
    if why := why_no_namespaces():
        sys.exit(f"not run: network namespaces cannot be made: {why}")
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    if told.only != "browse":
        play(told.players, told.seconds, told.length)
    if told.only != "play":
        browse(told.videos, told.browsing, told.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
