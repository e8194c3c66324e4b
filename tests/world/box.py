"""The appliance as its owner runs it: a process of its own, on a host of the lab or on loopback. This module starts,
kills and asks it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx

from tests.world.lab import ROOT, Host

PASSWORD = "a long enough password"
_PATIENCE_SECONDS = 20.0
CLOSED = {
    "SEEDKEEP_LAN__MDNS": "false",
    "SEEDKEEP_LAN__DLNA": "false",
    "SEEDKEEP_SWARM__DHT": "false",
    "SEEDKEEP_SWARM__DHT_BOOTSTRAP": "",
    "SEEDKEEP_SWARM__LSD": "false",
    "SEEDKEEP_SWARM__UPNP": "false",
    "SEEDKEEP_FOLLOW__ALLOW_PRIVATE_ORIGINS": "true",
    "SEEDKEEP_SETUP__ADMIN_PASSWORD": PASSWORD,
    "SEEDKEEP_LIBRARY__FLOOR_BYTES": "0",
    "SEEDKEEP_LIBRARY__FLOOR_PERCENT": "0",
}
"""Settings under which nothing leaves the machine."""


class Box:
    """One appliance with its data folder. Start it, ask it, kill it, start it again."""

    def __init__(self, data: Path, host: Host | None = None, **settings: str) -> None:
        self.data, self.host = data, host
        address = "127.0.0.1" if host is None else host.address
        own = {"SEEDKEEP_WEB__HOST": address, "SEEDKEEP_WEB__PORT": "0" if host is None else "7333"}
        if host is None:
            own |= {"SEEDKEEP_SWARM__INTERFACES": "127.0.0.1", "SEEDKEEP_SWARM__LISTEN_PORT": "0"}
        self.settings = CLOSED | own | {f"SEEDKEEP_{k.upper()}": v for k, v in settings.items()}
        self.program: tuple[str, ...] = ("-m", "appliance")
        self.log = data.with_name(data.name + ".log")
        self._process: subprocess.Popen[str] | None = None
        self._url = ""
        self._token = ""

    def start(self) -> "Box":
        """Start it and return once it answers. Raises AssertionError with its log where it does not."""
        where = self.data / "service.json"
        where.unlink(missing_ok=True)
        command = [sys.executable, *self.program, "run", "--data", str(self.data)]
        with open(self.log, "a") as log:
            if self.host is None:
                environment = os.environ | {"PYTHONPATH": str(ROOT)} | self.settings
                self._process = subprocess.Popen(command, env=environment, stderr=log, stdout=log, text=True)
            else:
                self._process = self.host.run(*command, env=self.settings, stderr=log, stdout=log)
        self.wait(where.exists, "start")
        self._url = str(json.loads(where.read_text())["url"])
        self._token = (self.data / "cli.token").read_text()
        return self

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return self._url

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def wait(self, done: Callable[[], object], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Look at what another process does until it has done it."""
        end = time.monotonic() + seconds
        while not done():
            assert self._process is None or self._process.poll() is None, f"it ended:\n{self.tail()}"
            assert time.monotonic() < end, f"{what} took too long:\n{self.tail()}"
            time.sleep(0.05)

    def tail(self) -> str:
        return self.log.read_text()[-4000:] if self.log.exists() else ""

    def kill(self) -> None:
        """As a power cut would end the process."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As systemd would end it; return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        # On a host of the lab the process is the child of the one that entered the namespace.
        os.kill(process.pid, number)
        return process.wait(_PATIENCE_SECONDS)

    def ask(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        """Ask its API as the command line does; return the decoded answer. Raises httpx.HTTPStatusError."""
        with self._inside(), httpx.Client(base_url=self._url, timeout=30, trust_env=False) as client:
            answer = client.request(
                method, path, json=body, params=query or None, headers={"Authorization": f"Bearer {self._token}"}
            )
            answer.raise_for_status()
            return answer.json() if answer.content else None

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Fetch something without a login, as a screen on this network does."""
        with self._inside(), httpx.Client(base_url=self._url, timeout=60, trust_env=False) as client:
            return client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def pins(self) -> dict[str, dict[str, Any]]:
        """Return its pins by title."""
        return {p["title"]: p for p in self.ask("GET", "/api/v1/pins", limit=500)["items"]}

    def wait_pinned(self, *titles: str, seconds: float = 60) -> dict[str, dict[str, Any]]:
        """Return the pins once all of these are whole."""

        def done() -> bool:
            pins = self.pins()
            return all(pins.get(t, {}).get("state") == "pinned" for t in titles)

        self.wait(done, f"pinning {titles}", seconds)
        return self.pins()

    @contextmanager
    def _inside(self) -> Iterator[None]:
        with nullcontext() if self.host is None else self.host.inside():
            yield
