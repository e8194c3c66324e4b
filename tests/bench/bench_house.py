"""The whole appliance, measured: start-up, memory idle and with thousands of torrents, the API while media saturates.

``python -m tests.bench.bench_house``: seconds, MB (10^6 bytes), and how each stands to what it is to reach.
"""

import asyncio
import os
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from tests.bench.stock import stock
from tests.world.box import Box

MB = 1e6
MEDIA_MB, MEDIA_CLIENTS, API_ASKS = 64, 8, 300
SETTLED_SECONDS = 15


def rss(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / MB


def _row(what: str, value: float, unit: str, bar: float) -> None:
    verdict = "reached" if value <= bar else "NOT reached"
    print(f"{what:44} {value:8.2f} {unit:3}  to reach {bar:g}: {verdict} ({value / bar:.2f} of it)", flush=True)


def started(data: Path) -> tuple[Box, float]:
    box = Box(data)
    begun = time.monotonic()
    box.start()
    return box, time.monotonic() - begun


def start_up(folder: Path) -> None:
    box, _ = started(folder / "idle")
    box.stop()
    times = []
    for _ in range(3):
        box, seconds = started(folder / "idle")
        times.append(seconds)
        box.stop()
    _row("start to ready, median of 3", statistics.median(times), "s", 2.0)


def seeding(box: Box, count: int) -> None:
    """Return once so many torrents are in its swarm."""
    box.wait(lambda: box.ask("GET", "/api/v1/status")["rates"]["torrents"] == count, "seeding", 120)


def memory(folder: Path) -> None:
    box, _ = started(folder / "idle")
    time.sleep(SETTLED_SECONDS)
    _row("memory idle", rss(box.pid), "MB", 120)
    box.stop()
    for count in (1000, 4000):
        asyncio.run(stock(folder / str(count), count))
        box, seconds = started(folder / str(count))
        seeding(box, count)
        process = psutil.Process(box.pid)
        time.sleep(SETTLED_SECONDS)
        before = sum(process.cpu_times()[:2])
        time.sleep(5)
        spent = (sum(process.cpu_times()[:2]) - before) / 5
        _row(f"memory with {count} torrents", rss(box.pid), "MB", 250)
        print(f"{'':44} ready in {seconds:.2f} s, {spent * 100:.1f} % of a core while idle", flush=True)
        box.stop()


def _drain(url: str, path: str, stop: threading.Event) -> None:
    """Fetch a file again and again and throw it away in the kernel."""
    parts = urlsplit(url)
    while not stop.is_set():
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as wire:
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
            while wire.recv(1 << 20, socket.MSG_TRUNC):
                if stop.is_set():
                    return


def api_under_load(folder: Path) -> None:
    size = MEDIA_MB * 1024 * 1024
    ids = asyncio.run(stock(folder / "media", 1, size))
    box, _ = started(folder / "media")
    seeding(box, 1)
    master = box.get(f"/media/{ids[0]}/master.m3u8")
    assert master.status_code == 200, master.text
    name = next((box.data / "library").glob("*/*/*.mp4")).name
    stop = threading.Event()
    load = os.fork()
    if load == 0:
        for _ in range(MEDIA_CLIENTS):
            threading.Thread(target=_drain, args=(box.url, f"/media/{ids[0]}/file/{name}", stop), daemon=True).start()
        time.sleep(600)
        os._exit(0)
    try:
        token = (box.data / "cli.token").read_text()
        with httpx.Client(base_url=box.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
            times = []
            for _ in range(API_ASKS):
                begun = time.perf_counter()
                client.get("/api/v1/status").raise_for_status()
                times.append((time.perf_counter() - begun) * 1000)
                time.sleep(0.01)
    finally:
        os.kill(load, 9)
        os.waitpid(load, 0)
        box.stop()
    cuts = statistics.quantiles(times, n=100)
    print(f"{'API while media saturates: p50':44} {cuts[49]:8.2f} ms", flush=True)
    _row("API while media saturates: p99", cuts[98], "ms", 15)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_up(folder)
        api_under_load(folder)
        memory(folder)


if __name__ == "__main__":
    main()
