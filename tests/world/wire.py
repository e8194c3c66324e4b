"""A slow wire between two hosts of the lab: this module carries Ethernet frames at a rate, with a delay and a queue.

``netem`` is not in every kernel, so frames go through two TAP devices and this process. Run as a program:
``python -m tests.world.wire PID_A NAME_A PID_B NAME_B BITS_PER_SECOND ONE_WAY_SECONDS``; it prints ``ready``.
"""

import asyncio
import ctypes
import fcntl
import os
import struct
import sys
from collections import deque

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x1002
_LONGEST_FRAME = 65550
_QUEUE_SECONDS = 0.1
_SMALLEST_QUEUE = 64 * 1024


def move(namespace: int) -> None:
    """Move the calling thread into the network namespace of a descriptor. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def enter(pid: int) -> None:
    """Move the calling thread into the network namespace of a process. Raises OSError."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        move(fd)
    finally:
        os.close(fd)


def _tap(pid: int, name: str) -> int:
    enter(pid)
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP_NO_PI))
    return fd


class Way:
    """One direction: frames leave in order at the wire's rate, each held back by the delay; a full queue drops."""

    def __init__(self, source: int, target: int, bits: float, delay: float) -> None:
        self._source, self._target, self._delay = source, target, delay
        self._bytes = bits / 8
        self._queue_bytes = max(self._bytes * _QUEUE_SECONDS, _SMALLEST_QUEUE)
        self._free = 0.0
        self._queue: deque[tuple[float, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(source, self._read)

    def _read(self) -> None:
        now = self._loop.time()
        for _ in range(64):
            try:
                frame = os.read(self._source, _LONGEST_FRAME)
            except OSError:
                break
            start = max(now, self._free)
            if (start - now) * self._bytes <= self._queue_bytes:
                self._free = start + len(frame) / self._bytes
                self._queue.append((self._free + self._delay, frame))
        self._arm()

    def _arm(self) -> None:
        if self._queue and self._timer is None:
            self._timer = self._loop.call_at(self._queue[0][0], self._send)

    def _send(self) -> None:
        self._timer = None
        now = self._loop.time() + 0.0005
        while self._queue and self._queue[0][0] <= now:
            try:
                os.write(self._target, self._queue.popleft()[1])
            except OSError:
                pass
        self._arm()


async def _main(arguments: list[str]) -> None:
    pid_a, name_a, pid_b, name_b, bits, delay = arguments
    a, b = _tap(int(pid_a), name_a), _tap(int(pid_b), name_b)
    Way(a, b, float(bits), float(delay))
    Way(b, a, float(bits), float(delay))
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
