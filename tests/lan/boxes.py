"""Boxes and listeners on hosts of the lab: this module starts ``tests.unit.mdns_box`` there and reads what it says."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

from tests.world.lab import Host

ROOT = Path(__file__).parents[2]
NO_BUS = "unix:path=/nowhere"
"""So that a box in a test never speaks to this machine's own avahi."""
Event = dict[str, Any]


class Process:
    """A ``mdns_box`` that runs on a host, and what it said."""

    def __init__(self, host: Host, *arguments: str, bus: str = NO_BUS) -> None:
        env = {"DBUS_SYSTEM_BUS_ADDRESS": bus}
        command = ("-m", "tests.unit.mdns_box", *arguments)
        self.process = host.python(*command, stdin=PIPE, stdout=PIPE, cwd=ROOT, env=env)
        self.said: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(json.loads(line))
        self.said.put(None)

    def until(self, wanted: Callable[[Event], bool], seconds: float = 15) -> Event:
        """Return the next event that is wanted; those before it are passed over."""
        while (event := self.said.get(timeout=seconds)) is not None:
            if wanted(event):
                return event
        raise AssertionError("the process has ended")

    def end(self) -> list[Event]:
        """Let it end by itself; return what it still had to say."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(15) == 0
        self._reader.join(5)
        out = []
        while (event := self.said.get(timeout=5)) is not None:
            out.append(event)
        return out


@contextmanager
def running(host: Host, *arguments: str, bus: str = NO_BUS) -> Iterator[Process]:
    process = Process(host, *arguments, bus=bus)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        process._reader.join(5)


def named(event: str) -> Callable[[Event], bool]:
    return lambda found: found["event"] == event
