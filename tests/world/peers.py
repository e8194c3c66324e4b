"""Foreign BitTorrent peers: this module runs a plain libtorrent seed or leecher, and aria2, as somebody else would.

``python -m tests.world.peers seed --torrent F --dir D`` and ``… leech …``; lines of JSON on its output: ``listening``,
``progress`` twice a second, ``done``. It ends when it is told to, a leecher with ``--once`` also when it has all.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Protocol, Self

import libtorrent as lt

from tests.world.bodies import bdecoded, bencode

ROOT = Path(__file__).parents[2]
_PROGRESS_SECONDS = 0.5


def session(host: str = "127.0.0.1", port: int = 0, *, up: int = 0, down: int = 0, **settings: Any) -> lt.session:
    """Return a bare session on one address. Limits in bytes/s, 0 for none; they hold on private addresses too."""
    pack: Any = {
        "listen_interfaces": f"{host}:{port}",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "ssrf_mitigation": False,
        "allow_multiple_connections_per_ip": True,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "stop_tracker_timeout": 1,
        "alert_mask": int(lt.alert_category.error | lt.alert_category.status | lt.alert_category.tracker),
        **settings,
    }
    peer: lt.session = lt.session(pack)
    if up or down:
        limited = peer.create_peer_class("limited")
        peer.set_peer_class(limited, peer.get_peer_class(limited) | {"upload_limit": up, "download_limit": down})
        classes = lt.ip_filter()
        classes.add_rule("0.0.0.0", "255.255.255.255", 1 << limited)
        peer.set_peer_class_filter(classes)
    return peer


def add(
    peer: lt.session,
    torrent: bytes,
    folder: Path,
    *,
    names: Sequence[str] = (),
    seeding: bool = False,
    web_seeds: bool = False,
    trackers: bool = True,
    peers: Sequence[tuple[str, int]] = (),
) -> lt.torrent_handle:
    """Add a torrent. ``names`` are its files' real names in ``folder``. Its WebSocket trackers are left out."""
    params = lt.load_torrent_buffer(torrent)
    params.save_path = str(folder)
    params.trackers = [t for t in params.trackers if t.startswith("http")] if trackers else []
    params.tracker_tiers = [0] * len(params.trackers)
    params.peers = list(peers)
    if not web_seeds:
        params.url_seeds = []
    if names:
        params.renamed_files = dict(enumerate(names))
    if seeding:
        params.flags |= lt.torrent_flags.seed_mode
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    return peer.add_torrent(params)


def await_checked(peer: lt.session, seconds: float = 10.0) -> None:
    """Wait until the only torrent of a session was looked at: before that it hangs up on everybody who calls."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        peer.wait_for_alert(int(left * 1000))
        if any(isinstance(alert, lt.torrent_checked_alert) for alert in peer.pop_alerts()):
            return
    raise TimeoutError("the torrent was not checked")


class _Spawns(Protocol):
    def __call__(self, *arguments: str | Path, stdout: int) -> "subprocess.Popen[str]": ...


def _here(*arguments: str | Path, stdout: int) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, *map(str, arguments)], stdout=stdout, text=True, cwd=ROOT)


@dataclass
class Peer:
    """A peer in a process of its own. ``spawn`` is ``host.python`` of the lab, or nothing for this machine."""

    process: "subprocess.Popen[str]"
    said: list[dict[str, Any]] = field(default_factory=list)
    _lines: "Queue[dict[str, Any] | None]" = field(default_factory=Queue)

    @classmethod
    def begin(cls, kind: str, torrent: Path, folder: Path, *options: str | Path, spawn: _Spawns = _here) -> Self:
        """Start ``seed`` or ``leech`` and wait until it listens. Options as on the command line."""
        arguments = ["-m", "tests.world.peers", kind, "--torrent", torrent, "--dir", folder, *options]
        peer = cls(spawn(*arguments, stdout=subprocess.PIPE))
        threading.Thread(target=peer._listen, name="peer-lines", daemon=True).start()
        peer.wait("listening", 20)
        return peer

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    @property
    def port(self) -> int:
        return int(next(s["port"] for s in self.said if s["event"] == "listening"))

    def wait(self, event: str, seconds: float, good: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """Block until it says ``event`` and ``good`` agrees. Raises TimeoutError, and RuntimeError where it ended."""
        while True:
            try:
                said = self._lines.get(timeout=seconds)
            except Empty:
                raise TimeoutError(f"no {event} in {seconds} s; last: {self.said[-1:]}") from None
            if said is None:
                raise RuntimeError(f"the peer ended with {self.process.wait()}")
            self.said.append(said)
            if said["event"] == event and good(said):
                return said

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def aria2(
    torrent: Path, folder: Path, _peer: tuple[str, int] | None = None, *, port: int = 6881, seconds: int = 60
) -> list[str]:
    """Return the command by which aria2 downloads a torrent and ends, over nothing but its trackers' peers.

    Whom it will reach is said for the reader only: it takes no peer on its command line, and it uses the torrent's web
    seeds where there are some; ``only_tracker`` sees to both. It gives up after ``seconds`` without a byte.
    """
    return [
        "aria2c",
        f"--dir={folder}",
        "--no-conf",
        "--seed-time=0",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=false",
        "--file-allocation=none",
        f"--listen-port={port}",
        f"--bt-stop-timeout={seconds}",
        "--summary-interval=0",
        "--console-log-level=warn",
        str(torrent),
    ]


def only_tracker(torrent: bytes, tracker: str) -> bytes:
    """Return the torrent with this tracker and no web seed."""
    return bencode({"announce": tracker, "info": bdecoded(torrent)[b"info"]})


# The program


def _say(event: str, **more: object) -> None:
    print(json.dumps({"event": event, **more}), flush=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.world.peers")
    parser.add_argument("kind", choices=["seed", "leech"])
    parser.add_argument("--torrent", type=Path, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--name", action="append", default=[], help="real name of each file, in order")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--up", type=int, default=0, help="bytes/s, 0: no limit")
    parser.add_argument("--down", type=int, default=0, help="bytes/s, 0: no limit")
    parser.add_argument("--peer", action="append", default=[], help="ip:port")
    parser.add_argument("--web-seeds", action="store_true")
    parser.add_argument("--no-trackers", action="store_true")
    parser.add_argument("--once", action="store_true", help="end when everything is here")
    told = parser.parse_args(arguments)
    peer = session(told.host, told.port, up=told.up, down=told.down)
    handle = add(
        peer,
        told.torrent.read_bytes(),
        told.dir,
        names=told.name,
        seeding=told.kind == "seed",
        web_seeds=told.web_seeds,
        trackers=not told.no_trackers,
        peers=[(p.rpartition(":")[0], int(p.rpartition(":")[2])) for p in told.peer],
    )
    _say("listening", port=peer.listen_port())
    _report(peer, handle, told.once)


def _report(peer: lt.session, handle: lt.torrent_handle, once: bool) -> None:
    whole = False
    while True:
        status = handle.status()
        if status.is_seeding and not whole:
            whole = True
            _say("done", bytes=status.total_done, down=status.total_payload_download)
            if once:
                return
        _say(
            "progress",
            done=status.total_done,
            size=status.total_wanted,
            up=status.total_payload_upload,
            down=status.total_payload_download,
            peers=status.num_peers,
            error=status.errc.message() if status.errc.value() else "",
        )
        peer.wait_for_alert(int(_PROGRESS_SECONDS * 1000))
        peer.pop_alerts()
        threading.Event().wait(_PROGRESS_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
