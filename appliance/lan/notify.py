"""Telling a control point of the house what changed (UPnP Device Architecture 1.1, 4.3.2): this module sends NOTIFY.

Only the one who subscribed is called, at the address that it subscribed from: else a subscription would make us call
strangers (CVE-2020-12695).
"""

import asyncio
import contextlib
import re
from dataclasses import dataclass

from appliance.lan.interfaces import parsed

SECONDS = 5.0
"""Seconds that a call may take in all."""
_MOST_CALLBACKS = 4
_MOST_HEAD = 4096
_CALLBACK = re.compile(r"<http://(\[[0-9A-Fa-f:.]{2,45}\]|[0-9.]{7,15})(?::(\d{1,5}))?(/[!-;=?-~]{0,500})?>")


@dataclass(frozen=True, slots=True)
class Callback:
    """Where a subscriber wants to be called: a literal address, a port, a path from its slash on."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def callback_of(header: str, source: str) -> Callback | None:
    """Return the first callback in the header CALLBACK that is at ``source`` itself, or None."""
    ours = parsed(source)
    for count, found in enumerate(_CALLBACK.finditer(header[:4000])):
        if count >= _MOST_CALLBACKS:
            break
        host, port = found[1].strip("[]"), int(found[2] or 80)
        if ours is not None and parsed(host) == ours and 0 < port < 65536:
            return Callback(source, port, found[3] or "/")
    return None


async def notify(callback: Callback, headers: tuple[tuple[str, str], ...], body: bytes) -> bool:
    """Send one NOTIFY; return whether it was taken (a status of 2xx). Never raises, but for being cancelled."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(callback.host, callback.port, limit=_MOST_HEAD)
            writer.write(_head(callback, headers, len(body)) + body)
            await writer.drain()
            line = await reader.readuntil(b"\n")
            return re.match(rb"HTTP/1\.[01] 2\d\d[ \r\n]", line) is not None
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return False
    finally:
        if writer is not None:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _head(callback: Callback, headers: tuple[tuple[str, str], ...], length: int) -> bytes:
    lines = [f"NOTIFY {callback.path} HTTP/1.1", f"HOST: {callback.authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"CONTENT-LENGTH: {length}", "CONNECTION: close", "", ""]
    return "\r\n".join(lines).encode("ascii", "replace")
