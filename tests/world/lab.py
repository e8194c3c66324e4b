"""Several hosts on one machine, by network namespaces: this module makes a LAN, an internet and a router between them.

Nothing outside the namespaces is touched, and they last no longer than this process: each is held open by a child that
ends when our end of its input is closed. Works as root and under ``unshare -Urn``.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import pytest

from tests.world.wire import enter, move

ROOT = Path(__file__).parents[2]
LAN, INTERNET = "10.77.0", "10.78.0"
"""The first three parts of each subnet's addresses; .254 is the router."""
_PATIENCE_SECONDS = 10.0


@cache
def why_no_namespaces() -> str:
    """Return why this process cannot make network namespaces, empty where it can."""
    try:
        done = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    except FileNotFoundError as missing:
        return f"{missing.filename} is missing (util-linux, iproute2)"
    return done.stderr.strip() or "unshare -n fails" if done.returncode else ""


def need_namespaces() -> None:
    """Skip the test with the words "not run" where namespaces can't be made; with CI=true fail it."""
    if why := why_no_namespaces():
        not_run(f"network namespaces cannot be made: {why}")


def not_run(why: str) -> NoReturn:
    """Skip the test with the words "not run" and why this machine cannot run it; with CI=true fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(f"not run: {why}")


class _Space:
    """A network namespace, open as long as its holder lives."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo ready && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout
        if self._holder.stdout.readline() != b"ready\n":
            raise RuntimeError("a network namespace cannot be made")

    @property
    def pid(self) -> int:
        return self._holder.pid

    def command(self, arguments: Sequence[str]) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *arguments]

    def check(self, command: str, said: str = "") -> str:
        done = subprocess.run(self.command(command.split()), input=said, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.strip()}")
        return done.stdout

    def close(self) -> None:
        assert self._holder.stdin
        assert self._holder.stdout
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.kill()
        self._holder.wait()


class Host:
    """One host with one interface, ``eth0``. Made by ``Lab.host``."""

    def __init__(self, name: str, address: str, space: _Space, core: _Space, port: str) -> None:
        self.name, self.address = name, address
        self._space, self._core, self._port = space, core, port
        self._running: list[subprocess.Popen[str]] = []

    def run(
        self, *command: str | Path, env: dict[str, str] | None = None, **options: object
    ) -> "subprocess.Popen[str]":
        """Start a program on this host. It is ended with the lab, or with this process. Output goes where ours goes
        unless ``stdout`` and ``stderr`` say otherwise, as in ``subprocess.Popen``."""
        whole = self._space.command(["setpriv", "--pdeathsig", "KILL", *map(str, command)])
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | (env or {})
        process: subprocess.Popen[str] = subprocess.Popen(whole, text=True, env=environment, **options)  # type: ignore[call-overload]
        self._running.append(process)
        return process

    def python(self, *arguments: str | Path, **options: object) -> "subprocess.Popen[str]":
        """Start ``python …`` on this host, with ours."""
        return self.run(sys.executable, *arguments, **options)  # type: ignore[arg-type]

    def check(self, *command: str | Path, timeout: float = 60) -> str:
        """Run a program on this host to its end and return its output. Raises RuntimeError with what it complained."""
        done = subprocess.run(
            self._space.command([str(c) for c in command]), capture_output=True, text=True, timeout=timeout, cwd=ROOT
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Move this thread into the host: sockets made within belong to it for good, and so do threads begun within.

        ``with host.inside(): origin = Origin(host.address, 80)``. Not across an ``await``.
        """
        enter(self._space.pid)
        try:
            yield
        finally:
            back()

    def cut(self) -> None:
        """Pull the plug. Addresses and routes stay."""
        self._core.check(f"ip link set {self._port} down")

    def mend(self) -> None:
        self._core.check(f"ip link set {self._port} up")

    @property
    def holder(self) -> int:
        """The process whose network is this host's, for ``ip link … netns``."""
        return self._space.pid

    def sent(self) -> int:
        """Return the bytes that left this host by its interface, frames and all."""
        return int(json.loads(self._space.check("ip -s -j link show eth0"))[0]["stats64"]["tx"]["bytes"])

    def _stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()

    def _close(self) -> None:
        self._space.close()


def _own_namespace() -> int:
    """Return a descriptor of the namespace this process began in, for ``back``."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


_HOME = _own_namespace()


def back() -> None:
    """Move this thread back to the namespace the process began in."""
    move(_HOME)


class Lab:
    """``with Lab() as lab: box = lab.host("box", "10.77.0.1")``. Hosts of 10.77.0.0/24 are the LAN, those of
    10.78.0.0/24 the internet; a router joins them without translating addresses."""

    def __init__(self) -> None:
        self._hosts: list[Host] = []
        self._wires: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._core = _Space()
        try:
            for net in (LAN, INTERNET):
                bridge = f"br{net.split('.')[1]}"
                self._core.check(f"ip link add {bridge} type bridge")
                self._core.check(f"ip addr add {net}.254/24 dev {bridge}")
                self._core.check(f"ip link set {bridge} up")
            self._core.check("tee /proc/sys/net/ipv4/ip_forward", "1")
        except BaseException:
            self._core.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def host(self, name: str, address: str, *, rate: float | None = None, delay: float = 0.0) -> Host:
        """Add a host. ``rate`` in bits/s and ``delay`` in seconds hold each way, on the wire between it and its
        switch; without them it is as quick as the machine."""
        if IPv4Address(address) != ip_address(address) or not address.startswith((LAN, INTERNET)):
            raise ValueError(f"{address} is in neither subnet")
        with self._lock:
            space, port = _Space(), f"p{len(self._hosts)}"
            host = Host(name, address, space, self._core, port)
            self._hosts.append(host)
            if rate is None and not delay:
                self._core.check(f"ip link add name {port} type veth peer name eth0 netns {space.pid}")
            else:
                self._wire(space, port, rate or 10e9, delay)
        net = address.rpartition(".")[0]
        self._core.check(f"ip link set {port} master br{net.split('.')[1]}")
        self._core.check(f"ip link set {port} up")
        space.check(f"ip addr add {address}/24 dev eth0")
        space.check("ip link set eth0 up")
        space.check(f"ip route add default via {net}.254")
        space.check("ip route add 224.0.0.0/4 dev eth0")
        return host

    def shape(self, bits: int, queue: float) -> None:
        """Let the router send at most ``bits``/s to the internet, with up to ``queue`` seconds waiting in front of it:
        a home router with a small uplink and too large a queue."""
        net = f"br{INTERNET.split('.')[1]}"
        shaper = f"tbf rate {bits}bit burst 16kb latency {round(queue * 1000)}ms"
        self._core.check(f"tc qdisc replace dev {net} root {shaper}")

    def _wire(self, space: _Space, port: str, rate: float, delay: float) -> None:
        arguments = [str(space.pid), "eth0", str(self._core.pid), port, str(rate), str(delay)]
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.world.wire", *arguments]
        wire = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        self._wires.append(wire)
        assert wire.stdout
        if wire.stdout.readline() != b"ready\n":
            raise RuntimeError("the slow wire cannot be made")

    def close(self) -> None:
        """End every program and remove every host. Idempotent, and goes on after a failure."""
        steps: list[Callable[[], None]] = [h._stop for h in self._hosts]
        steps += [h._close for h in self._hosts]
        for wire in self._wires:
            steps += [wire.kill, lambda w=wire: (w.wait(), w.stdout and w.stdout.close(), None)[-1]]  # type: ignore[misc]
        steps.append(self._core.close)
        self._hosts, self._wires = [], []
        errors = []
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - everything is closed, then it is raised
                errors.append(error)
        if errors:
            raise ExceptionGroup("closing the lab", errors)
