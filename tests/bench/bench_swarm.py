"""Measure the swarm: seeding against a bare libtorrent session in one run, and what thousands of torrents cost.

``python -m tests.bench.bench_swarm`` prints ratios and figures; ``--json`` one line of JSON; ``--torrents 1000,4000``.
Each figure comes from a process of its own.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from appliance.domain.units import MIB
from appliance.swarm.port import TorrentSpec
from appliance.swarm.session import LibtorrentSwarm
from appliance.swarm.torrent import parse_torrent
from tests.swarm.torrents import KIB, Content, noise, quiet
from tests.world import peers

ROUNDS = 3
PIECES = 200
SEEDED_BYTES = 384 * MIB


def _here(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.bench_swarm", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


# Seeding


async def _seed_ours(torrent: Path, folder: Path, name: str) -> None:
    meta = parse_torrent(torrent.read_bytes())  # noqa: ASYNC240
    with tempfile.TemporaryDirectory() as resume:
        async with LibtorrentSwarm(quiet(Path(resume))) as swarm:
            await swarm.add(TorrentSpec(meta, folder, (name,)))
            await swarm.start(meta.info_hash)
            print(await swarm.port(), flush=True)
            await asyncio.to_thread(sys.stdin.readline)


def _seed_bare(torrent: Path, folder: Path, name: str) -> None:
    session = peers.session()
    peers.add(session, torrent.read_bytes(), folder, names=[name], seeding=True)
    print(session.listen_port(), flush=True)
    sys.stdin.readline()


def _fetched(torrent: Path, seed: subprocess.Popen[str]) -> tuple[float, float]:
    """Return bytes/s fetched from a seed, and the seed's CPU seconds for a GB."""
    assert seed.stdout
    assert seed.stdin
    port = int(seed.stdout.readline())
    before = sum(psutil.Process(seed.pid).cpu_times()[:2])
    with tempfile.TemporaryDirectory() as folder:
        session = peers.session()
        begun = time.monotonic()
        handle = peers.add(session, torrent.read_bytes(), Path(folder), peers=[("127.0.0.1", port)])
        while not (status := handle.status()).is_seeding:
            session.wait_for_alert(20)
            session.pop_alerts()
        took = time.monotonic() - begun
        cpu = sum(psutil.Process(seed.pid).cpu_times()[:2]) - before
        size = status.total_done
        session.remove_torrent(handle)
        del session
    seed.stdin.close()
    seed.wait(20)
    return size / took, cpu / size * 1e9


def seeding() -> dict[str, float]:
    """Return our seeding speed as a share of a bare session's, medians of rounds that take turns."""
    with tempfile.TemporaryDirectory() as folder:
        content = Content.of({"film.mp4": noise(SEEDED_BYTES)}, piece=MIB)
        source = content.written(Path(folder))
        torrent = Path(folder) / "film.torrent"
        torrent.write_bytes(content.meta.raw)
        got: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": []}
        for _ in range(ROUNDS):
            for kind, results in got.items():
                results.append(_fetched(torrent, _here("seed", kind, str(torrent), str(source))))
    speed = {k: statistics.median(s for s, _ in v) for k, v in got.items()}
    cpu = {k: statistics.median(c for _, c in v) for k, v in got.items()}
    return {
        "seeding_ratio": round(speed["ours"] / speed["bare"], 3),
        "seeding_mb_s": round(speed["ours"] / 1e6, 1),
        "cpu_s_per_gb": round(cpu["ours"], 2),
        "cpu_s_per_gb_bare": round(cpu["bare"], 2),
    }


# Thousands of torrents


async def _hold(count: int) -> dict[str, float]:
    """Hold ``count`` whole torrents of 200 pieces and measure this process. All of them are over one file."""
    me = psutil.Process()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "media"
        folder.mkdir()
        data = noise(PIECES * 16 * KIB)
        (folder / "film.mp4").write_bytes(data)
        raws = [Content.of({f"film {k}.mp4": data}).meta.raw for k in range(count)]
        empty = me.memory_info().rss
        async with LibtorrentSwarm(quiet(Path(place) / "resume")) as swarm:
            begun = time.monotonic()
            for start in range(0, count, 50):
                await asyncio.gather(*(_add(swarm, folder, raw) for raw in raws[start : start + 50]))
            added = time.monotonic() - begun
            del raws
            await asyncio.sleep(3)
            cpu, wall = sum(me.cpu_times()[:2]), time.monotonic()
            await asyncio.sleep(10)
            idle = (sum(me.cpu_times()[:2]) - cpu) / (time.monotonic() - wall)
            begun = time.monotonic()
            statuses = swarm.statuses()
            listed = time.monotonic() - begun
            rss = me.memory_info().rss
            begun = time.monotonic()
        closed = time.monotonic() - begun
    assert len(statuses) == count
    return {
        "torrents": count,
        "rss_mb": round(rss / 1e6, 1),
        "rss_before_mb": round(empty / 1e6, 1),
        "idle_cpu_percent": round(idle * 100, 2),
        "add_ms_each": round(added / count * 1000, 2),
        "statuses_ms": round(listed * 1000, 1),
        "close_s": round(closed, 2),
    }


async def _add(swarm: LibtorrentSwarm, folder: Path, raw: bytes) -> None:
    meta = parse_torrent(raw)
    judged = await swarm.add(TorrentSpec(meta, folder, ("film.mp4",)))
    assert judged.whole
    await swarm.start(meta.info_hash)


def held(count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.bench_swarm", "hold", str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(arguments: list[str]) -> None:
    match arguments:
        case ["seed", "ours", torrent, folder]:
            asyncio.run(_seed_ours(Path(torrent), Path(folder), "film.mp4"))
            return
        case ["seed", "bare", torrent, folder]:
            _seed_bare(Path(torrent), Path(folder), "film.mp4")
            return
        case ["hold", count]:
            print(json.dumps(asyncio.run(_hold(int(count)))))
            return
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_swarm", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--torrents", default="1000,4000")
    told = parser.parse_args(arguments)
    figures: dict[str, Any] = seeding()
    figures["held"] = [held(int(n)) for n in told.torrents.split(",") if n]
    if told.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        for line in value if isinstance(value, list) else [value]:
            print(f"{name:22} {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
