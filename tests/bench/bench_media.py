"""The media path against nginx, in one run: this module prints throughput as ratios, and CPU per GB of both.

    python -m tests.bench.bench_media

Each side is one process on loopback with the file in the page cache; the client lets the kernel throw the bytes away
(MSG_TRUNC), or it would itself be what is measured. Sides take turns, so that a busy machine slows both; differences
under a quarter are ties. Where the machine's TCP is BBR, which ours leaves for viewers in the house and nginx does not,
all is measured once more in a network of its own in which both go without.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.media.shelf import VIDEO, noise

SIZE = 256 * 1024 * 1024
SEGMENT = 8 * 1024 * 1024
CONNECTIONS = {1: 0.9, 4: 0.5, 32: 0.4}
"""Connections at once to the ratio that is to be reached."""
SECONDS, ROUNDS = 3.0, 3
_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")

NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{ access_log off; sendfile on;
tcp_nopush off; keepalive_requests 1000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/p;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
"""


@dataclass(frozen=True)
class Side:
    name: str
    port: int
    path: str
    pid: int


@dataclass(frozen=True)
class Measure:
    """Bytes/s delivered, and the server's CPU seconds for each GB."""

    rate: float
    cpu: float


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fetch(side: Side, number: int, until: float) -> int:
    """Fetch segments over one connection until the time is up; return the bytes of whole ones."""
    done, segments, waste = 0, SIZE // SEGMENT, bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", side.port)) as connection:
        while time.monotonic() < until:
            start = (number % segments) * SEGMENT
            number += 7
            ask = f"GET {side.path} HTTP/1.1\r\nHost: x\r\nRange: bytes={start}-{start + SEGMENT - 1}\r\n\r\n"
            connection.sendall(ask.encode())
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(4096)
                if not more:
                    raise ConnectionError("the server has closed the connection")
                head += more
            assert head.startswith(b"HTTP/1.1 206"), head[:200]
            left = SEGMENT - len(head.partition(b"\r\n\r\n")[2])
            while left:
                left -= _drop(connection, left, waste)
            done += SEGMENT
    return done


def _drop(connection: socket.socket, left: int, waste: bytearray) -> int:
    """Let the kernel throw away what is there, at most ``left`` bytes; return how many."""
    got = connection.recv_into(waste, min(left, len(waste)), socket.MSG_TRUNC)
    if not got:
        raise ConnectionError("the server has closed the connection")
    return got


def measure(side: Side, connections: int) -> Measure:
    with ThreadPoolExecutor(connections) as clients:
        before, started = cpu_seconds(side.pid), time.monotonic()
        runs = [clients.submit(fetch, side, n, started + SECONDS) for n in range(connections)]
        done = sum(run.result() for run in runs)
        took = time.monotonic() - started
    return Measure(done / took, (cpu_seconds(side.pid) - before) / (done / 1e9))


@contextmanager
def sides(folder: Path) -> Iterator[tuple[Side, Side]]:
    """Run ours and nginx over the same file."""
    (folder / "big.mp4").write_bytes(noise(SIZE))
    ours = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.media_server", str(folder)], stdout=subprocess.PIPE, text=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    theirs = subprocess.Popen([nginx(), "-c", str(folder / "nginx.conf"), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        assert ours.stdout is not None
        our_port = int(ours.stdout.readline())
        both = (
            Side("seedkeep", our_port, f"/media/{VIDEO}/file/big.mp4", ours.pid),
            Side("nginx", port, "/big.mp4", theirs.pid),
        )
        for side in both:
            _await_port(side.port)
        yield both
    finally:
        for process in (ours, theirs):
            process.terminate()
            process.wait()
        if ours.stdout is not None:
            ours.stdout.close()


def _await_port(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def nginx() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if found is None:
        sys.exit("not run: nginx is missing (apt install nginx-light)")
    return found


def figures() -> dict[int, tuple[float, float, float]]:
    """Return, by connections: the ratio of our rate to nginx's, and CPU seconds for each GB, ours and nginx's."""
    out: dict[int, tuple[float, float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="seedkeep-bench-") as folder, sides(Path(folder)) as (ours, theirs):
        for side in (ours, theirs):
            measure(side, 1)
        for connections in CONNECTIONS:
            pairs = [(measure(ours, connections), measure(theirs, connections)) for _ in range(ROUNDS)]
            out[connections] = (
                statistics.median(a.rate / b.rate for a, b in pairs),
                statistics.median(a.cpu for a, _ in pairs),
                statistics.median(b.cpu for _, b in pairs),
            )
    return out


def main() -> None:
    control = _CONTROL.read_text().strip()
    print(
        f"media path against nginx (segments of 8 MiB over loopback, {control}; load before: {os.getloadavg()[0]:.1f})"
    )
    for connections, (ratio, ours, theirs) in figures().items():
        aim = CONNECTIONS[connections]
        verdict = "reached" if ratio >= aim else "not reached"
        print(
            f"  {connections:2} connections: {ratio:.2f} of nginx (to reach {aim}: {verdict}),"
            f" CPU s/GB {ours:.2f} against {theirs:.2f}",
            flush=True,
        )
    if control.startswith("bbr") and os.geteuid() == 0:
        alone = f"ip link set lo up && echo reno > {_CONTROL} && exec {sys.executable} -m tests.bench.bench_media"
        subprocess.run(["unshare", "--net", "sh", "-c", alone], check=True)


if __name__ == "__main__":
    main()
