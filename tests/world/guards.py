"""What a test may not do to the event loop, nor leave behind: this module watches, and tells after the test.

- A step of the loop over 50 ms of its thread's CPU time, or 500 ms of wall time, spent in the product's code.
- A file or database opened, or a name looked up, on the loop's thread by the product's code.
- A task, a thread or an open file that outlives the test.

What the tests do themselves is not judged, nor what the machinery of imports does.
"""

import asyncio
import gc
import os
import sqlite3  # noqa: F401 - so that its import is never the step that is too long
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
CPU_SECONDS, WALL_SECONDS = 0.05, 0.5
_SAMPLE_SECONDS = 0.015
_OURS = tuple(f"{ROOT / room}{os.sep}" for room in ("appliance", "web", "policies"))
_TESTS = f"{ROOT / 'tests'}{os.sep}"
_PASSED_OVER = ("importlib", "linecache.py", "tokenize.py", "inspect.py", "zoneinfo")
_EVENTS = {
    "open": "opened",
    "sqlite3.connect": "opened the database",
    "socket.getaddrinfo": "looked up",
    "socket.gethostbyname": "looked up",
}


@dataclass
class Guard:
    """One watch over the loops of one thread. ``wrongs`` are sentences."""

    thread: int
    wrongs: list[str] = field(default_factory=list)
    step: int = 0
    since: float = 0.0
    swept: float = 0.0
    samples: list[str] = field(default_factory=list)
    seen: int = 0


_now: Guard | None = None
_lock = threading.Lock()
_installed = False
_sweeping = 0.0


def culprit(frame: FrameType | None) -> str:
    """Return where in the product's code a stack is, empty where it is not: ``appliance/pin/keeper.py:120 in open``."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_TESTS) or any(part in name for part in _PASSED_OVER):
            return ""
        if name.startswith(_OURS):
            return f"{os.path.relpath(name, ROOT)}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        frame = frame.f_back
    return ""


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if "importlib" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    guard = _now
    if guard is None or event not in _EVENTS or threading.get_ident() != guard.thread:
        return
    if asyncio._get_running_loop() is None:
        return
    frame = sys._getframe(1)
    if _imports(frame) or not (where := culprit(frame)):
        return
    what = arguments[0] if arguments else "?"
    if isinstance(what, int) or (isinstance(what, str) and what.startswith(("/dev/", "/proc/self/"))):
        return
    guard.wrongs.append(f"{_EVENTS[event]} {what!r} on the event loop ({where})")


_plain_run = asyncio.Handle._run


def _timed_run(handle: asyncio.Handle) -> None:
    guard = _now
    if guard is None or threading.get_ident() != guard.thread:
        return _plain_run(handle)
    guard.samples, guard.seen, guard.swept = [], 0, 0.0
    guard.step += 1
    cpu, guard.since = time.thread_time(), time.monotonic()
    try:
        return _plain_run(handle)
    finally:
        cpu, wall = time.thread_time() - cpu - guard.swept, time.monotonic() - guard.since - guard.swept
        guard.since = 0.0
        if (cpu > CPU_SECONDS or wall > WALL_SECONDS) and len(guard.samples) * 2 > guard.seen:
            places = ", ".join(dict.fromkeys(guard.samples))
            guard.wrongs.append(f"one step of the event loop took {cpu:.3f} s of CPU, {wall:.3f} s ({places})")


def _sweep(phase: str, info: dict[str, int]) -> None:
    """Count the garbage collector's time apart: it grows with all that earlier tests left in memory."""
    global _sweeping
    guard = _now
    if guard is None or threading.get_ident() != guard.thread:
        return
    if phase == "start":
        _sweeping = time.thread_time()
    elif _sweeping:
        guard.swept, _sweeping = guard.swept + time.thread_time() - _sweeping, 0.0


def _watch() -> None:
    """Look at the loop's thread while a step of it is long, to know whose code it is in."""
    while True:
        time.sleep(_SAMPLE_SECONDS)
        guard = _now
        if guard is None or not guard.since or time.monotonic() - guard.since < CPU_SECONDS / 2:
            continue
        frame = sys._current_frames().get(guard.thread)
        guard.seen += 1
        if not _imports(frame) and (where := culprit(frame)):
            guard.samples.append(where)


def _install() -> None:
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_audit)
        gc.callbacks.append(_sweep)
        asyncio.Handle._run = _timed_run  # type: ignore[method-assign, assignment]
        threading.Thread(target=_watch, name="loop-guard", daemon=True).start()


@contextmanager
def watching() -> Iterator[Guard]:
    """Watch the loops that run on this thread within. The caller judges ``wrongs`` afterwards."""
    global _now
    _install()
    with _lock:
        _now = guard = Guard(threading.get_ident())
    try:
        yield guard
    finally:
        _now = None


# What is left behind


def threads() -> set[threading.Thread]:
    """Return the threads that a test should have ended. Those of an event loop's own pool end with the loop."""
    passed = ("asyncio_", "loop-guard", "pytest", "MainThread", "AnyIO", "peer-lines")
    return {t for t in threading.enumerate() if not t.name.startswith(passed)}


def files() -> set[tuple[str, str]]:
    """Return (descriptor, path) of every regular file that is open, outside the interpreter's own folders."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if path.startswith("/") and not path.startswith(("/dev/", "/proc/", "/sys/", "/memfd:", sys.prefix, "/usr/")):
            found.add((fd, path))
    return found


def left_behind(threads_before: set[threading.Thread], files_before: set[tuple[str, str]]) -> list[str]:
    """Return what a test left, as sentences; gives it two seconds to end."""
    end = time.monotonic() + 2.0
    while True:
        left = [f"the thread {t.name!r} is still running" for t in threads() - threads_before]
        left += [f"the file {path} is still open" for _fd, path in files() - files_before]
        if not left or time.monotonic() > end:
            return left
        gc.collect()
        time.sleep(0.02)


async def tasks_left(before: set["asyncio.Task[Any]"]) -> list[str]:
    """Return the tasks that a test left running, as sentences; gives them one second to end."""
    for _ in range(100):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return []
        await asyncio.sleep(0.01)
    return [f"the task {t.get_name()!r} is still running" for t in left]
