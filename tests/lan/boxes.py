"""Boxes and listeners on hosts of the lab: this module starts them there and reads what they say, a line an event."""

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
    """A module of the tests that runs on a host, and what it said."""

    def __init__(self, host: Host, module: str, *arguments: str, bus: str = NO_BUS) -> None:
        env = {"DBUS_SYSTEM_BUS_ADDRESS": bus}
        self.process = host.python("-m", module, *arguments, stdin=PIPE, stdout=PIPE, cwd=ROOT, env=env)
        self.said: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(json.loads(line))
        self.said.put(None)

    def until(self, wanted: Callable[[Event], object], seconds: float = 20) -> Event:
        """Return the next event that is wanted; those before it are passed over."""
        while (event := self.said.get(timeout=seconds)) is not None:
            if wanted(event):
                return event
        raise AssertionError("the process has ended")

    def rest(self) -> list[Event]:
        """Return what it says until it ends."""
        found = []
        while (event := self.said.get(timeout=20)) is not None:
            found.append(event)
        return found

    def line(self) -> None:
        """Write it an empty line."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> list[Event]:
        """Let it end by itself, and wait for that; return what it still had to say."""
        self.close()
        assert self.process.wait(15) == 0
        return self.rest()


@contextmanager
def running(host: Host, *arguments: str, module: str = "tests.unit.mdns_box", bus: str = NO_BUS) -> Iterator[Process]:
    """Run a module there, ``mdns_box`` where none is named, for as long as this is open."""
    process = Process(host, module, *arguments, bus=bus)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        process._reader.join(5)


def named(event: str) -> Callable[[Event], bool]:
    return lambda found: found["event"] == event
