"""The appliance as people run it: a process of its own on loopback, with a folder. This module starts and ends it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

ROOT = Path(__file__).parents[2]
QUIET: Mapping[str, str] = {
    "SEEDKEEP_WEB__HOST": "127.0.0.1",
    "SEEDKEEP_WEB__PORT": "0",
    "SEEDKEEP_SWARM__INTERFACES": "127.0.0.1",
    "SEEDKEEP_SWARM__LISTEN_PORT": "0",
    "SEEDKEEP_SWARM__DHT": "false",
    "SEEDKEEP_SWARM__LSD": "false",
    "SEEDKEEP_SWARM__UPNP": "false",
    "SEEDKEEP_LAN__MDNS": "false",
    "SEEDKEEP_LAN__DLNA": "false",
    "SEEDKEEP_FOLLOW__ALLOW_PRIVATE_ORIGINS": "true",
    "SEEDKEEP_LIBRARY__FLOOR_BYTES": "0",
    "SEEDKEEP_LIBRARY__FLOOR_PERCENT": "0",
    "SEEDKEEP_SETUP__ADMIN_PASSWORD": "correct horse battery",
}
"""Settings that let nothing of a test leave this machine."""


def environment(**settings: str) -> dict[str, str]:
    """Return our environment without settings of somebody else's, and with these."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SEEDKEEP_") or k.startswith("SEEDKEEP_TEST")}
    clean.pop("NOTIFY_SOCKET", None)
    return clean | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | dict(QUIET) | settings


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "appliance", *map(str, arguments)]


def seedkeep(*arguments: str | Path, timeout: float = 60, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run one sub-command to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=timeout, env=environment(**settings), cwd=ROOT
    )


class Service:
    """``with Service(folder) as service: service.get("/api/v1/status")``. Its log is ``folder/log``."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.data, self._settings = folder, folder / "data", settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self, seconds: float = 30.0) -> None:
        """Start, and return once it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (self.data / "service.json").unlink()
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                command("run", "--data", self.data),
                stdout=log,
                stderr=log,
                env=environment(**self._settings),
                cwd=ROOT,
            )
        end = time.monotonic() + seconds
        while not (self.data / "service.json").exists():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the appliance does not start: {self.log[-2000:]}")
            time.sleep(0.02)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask its API with the local token and return the answer. Raises httpx.HTTPStatusError."""
        url = json.loads((self.data / "service.json").read_text())["url"]
        token = (self.data / "cli.token").read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.request(method, url + path, json=body, headers=headers, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def until(self, path: str, true: Any, seconds: float = 60.0) -> Any:
        """Ask until the answer is as wanted, and return it."""
        end = time.monotonic() + seconds
        while True:
            answer = self.get(path)
            if true(answer):
                return answer
            if time.monotonic() > end:
                raise AssertionError(f"{path} is {json.dumps(answer)[:1500]}; {self.log[-1500:]}")
            time.sleep(0.1)
