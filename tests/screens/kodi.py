"""Kodi on a host of a lab, with a screen that nobody sees and sound that nobody hears: this module browses and plays in
it by its JSON-RPC (version 12), as a remote control does.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.screens.players import Seen, need, watched
from tests.screens.programs import Program, begun
from tests.world.lab import Host

_PATIENCE = 90.0
_PORT = 8080
_SETTINGS = {
    "services.webserver": "true",
    "services.webserverport": str(_PORT),
    "services.webserverauthentication": "false",
    "services.esallinterfaces": "true",
    "services.upnp": "true",
    "services.zeroconf": "false",
    "general.addonupdates": "2",
}
_XML = "".join(f'<setting id="{name}">{value}</setting>' for name, value in _SETTINGS.items())
# Its clock is that of its sound: without a sound card it needs one that is not there but keeps time.
_START = """pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --disable-shm=yes -L module-null-sink \
    -L "module-native-protocol-unix socket=$HOME/sound auth-anonymous=1" &
for _ in $(seq 100); do test -S "$HOME/sound" && break; sleep 0.1; done
exec kodi --windowing=x11 --audio-backend=pulseaudio --nolirc
"""
_FILES = {".kodi/userdata/guisettings.xml": f'<settings version="2">{_XML}</settings>', "start": _START}


class Kodi:
    """A Kodi that runs. ``begin`` gives one."""

    def __init__(self, screen: Host, program: Program) -> None:
        self._screen, self._program = screen, program

    def ask(self, method: str, **params: Any) -> Any:
        """Call a method and return its result. Raises AssertionError with what it complained."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with self._screen.inside(), httpx.Client(timeout=30, trust_env=False) as client:
            said = client.post(f"http://127.0.0.1:{_PORT}/jsonrpc", json=body).json()
        assert "result" in said, (method, params, said)
        return said["result"]

    def wait(self) -> None:
        """Return once it answers."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self.ask("JSONRPC.Ping")
                return
            except httpx.TransportError:
                self._program.lives()
                assert time.monotonic() < end, self._program.said()[-2000:]
                time.sleep(0.2)

    def folder(self, path: str) -> dict[str, str]:
        """Return what is in a folder: path by title."""
        listed = self.ask("Files.GetDirectory", directory=path, media="video").get("files") or []
        return {one["label"]: one["file"] for one in listed}

    def server(self, name: str) -> str:
        """Return the root of a media server once it is among those that were found."""
        end = time.monotonic() + _PATIENCE
        while name not in (found := self.folder("upnp://")):
            assert time.monotonic() < end, found
            time.sleep(0.5)
        return found[name]

    def play(self, path: str) -> Seen:
        """Play something, and seek in it, by share."""
        self.ask("Player.Open", item={"file": path})
        try:
            return watched(self._place, self._seek)
        finally:
            for player in self._players():
                self.ask("Player.Stop", playerid=player)

    def _players(self) -> list[int]:
        return [player["playerid"] for player in self.ask("Player.GetActivePlayers")]

    def _place(self) -> float | None:
        for player in self._players():
            try:
                at = self.ask("Player.GetProperties", playerid=player, properties=["time"])["time"]
            except AssertionError:  # it is being opened
                continue
            return float(at["hours"] * 3600 + at["minutes"] * 60 + at["seconds"]) + float(at["milliseconds"]) / 1000
        return None

    def _seek(self, share: float) -> None:
        (player,) = self._players()
        self.ask("Player.Seek", playerid=player, value={"percentage": share * 100})


@contextmanager
def begin(screen: Host) -> Iterator[Kodi]:
    for needed in ("kodi", "xvfb-run", "pulseaudio"):
        need(needed)
    options = ("-a", "-s", "-screen 0 640x480x24 -nolisten tcp")
    told = {"LIBGL_ALWAYS_SOFTWARE": "1", "PULSE_SERVER": "unix:{}/sound"}
    with begun(screen, "xvfb-run", *options, "sh", "{}/start", files=_FILES, **told) as program:
        kodi = Kodi(screen, program)
        kodi.wait()
        yield kodi
