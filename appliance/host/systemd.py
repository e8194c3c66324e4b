"""Telling systemd how we do (sd_notify(3)): this module writes to ``NOTIFY_SOCKET``, and does nothing without one."""

import contextlib
import os
import socket
from collections.abc import Mapping


class Systemd:
    """One datagram a message; a socket that is full or gone is no reason to fail."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._usec = environment.get("WATCHDOG_USEC", "")
        self._pid = environment.get("WATCHDOG_PID", "")

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two ``watchdog`` calls: half of what systemd allows; None where it does not watch us."""
        if not self._address or (self._pid and self._pid != str(os.getpid())):
            return None
        return int(self._usec) / 2_000_000 if self._usec.isdigit() and int(self._usec) else None

    def ready(self, status: str = "") -> None:
        """The service serves."""
        self._send("READY=1", status)

    def status(self, status: str) -> None:
        """One line for ``systemctl status``."""
        self._send("", status)

    def watchdog(self) -> None:
        """Still alive."""
        self._send("WATCHDOG=1", "")

    def stopping(self) -> None:
        self._send("STOPPING=1", "")

    def _send(self, state: str, status: str) -> None:
        if not self._address:
            return
        line = f"STATUS={' '.join(status.split())}" if status else ""
        message = "\n".join(part for part in (state, line) if part).encode()
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(message, self._address)
