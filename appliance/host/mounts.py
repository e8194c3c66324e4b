"""The kernel says when a file system is mounted or goes (proc_pid_mountinfo(5)): this module listens for that.

A poll of ``/proc/self/mountinfo`` is answered with an error condition at every change, which event loops take for a
broken descriptor; so a thread waits for it, and for nothing else.
"""

import asyncio
import contextlib
import os
import select
import threading
from pathlib import Path
from typing import Self

_MOUNTS = Path("/proc/self/mountinfo")


class MountWatch:
    """An async context manager; ``changed`` waits for the next change; without Linux's ``/proc`` it never ends."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._stop = -1

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            self._stop = os.eventfd(0, os.EFD_CLOEXEC)
            self._thread = threading.Thread(target=self._watch, args=(loop, self._stop), name="mounts", daemon=True)
            self._thread.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._thread is not None:
            os.eventfd_write(self._stop, 1)
            await asyncio.to_thread(self._thread.join)
            os.close(self._stop)
            self._thread = None

    async def changed(self) -> None:
        """Return at the next change, or at once where one came since the last call."""
        await self._event.wait()
        self._event.clear()

    def _watch(self, loop: asyncio.AbstractEventLoop, stop: int) -> None:
        with contextlib.suppress(OSError, RuntimeError), _MOUNTS.open("rb") as mounts:
            waiting = select.poll()
            waiting.register(mounts, select.POLLERR | select.POLLPRI)
            waiting.register(stop, select.POLLIN)
            while stop not in {fd for fd, _ in waiting.poll()}:
                loop.call_soon_threadsafe(self._event.set)
