"""Programs that we did not write, on a host of a lab: this module begins them as somebody without rights, talks to
them, and ends all that they began.
"""

import os
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.world.lab import Host, not_run

PATIENCE = 30.0
"""Seconds that a program gets for each thing it does."""


class Line:
    """A local socket that a player is told by, line by line."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("r", newline="\n")

    def say(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def hear(self) -> str:
        return self._lines.readline()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


class Program:
    """A program that was begun, with a folder that is its home."""

    def __init__(self, process: "subprocess.Popen[str]", home: Path) -> None:
        self._process, self.home = process, home
        self._lines: list[Line] = []

    def line(self, name: str) -> Line:
        """Return the local socket of this name once it is there."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._lines.append(Line(self.home / name))
                return self._lines[-1]
            except (FileNotFoundError, ConnectionRefusedError):
                self.lives()
                assert time.monotonic() < end, self.said()
                time.sleep(0.1)

    def lives(self) -> None:
        """Raise AssertionError with what it said where it has ended."""
        assert self._process.poll() is None, self.said()

    def said(self) -> str:
        """Return all that it wrote."""
        return (self.home / "said").read_text(errors="replace")

    def end(self) -> str:
        """Wait for its end and return all that it wrote."""
        self._process.wait(PATIENCE)
        return self.said()

    def close(self) -> None:
        for line in self._lines:
            line.close()
        self._process.kill()
        self._process.wait()


@contextmanager
def begun(screen: Host, *command: str, files: dict[str, str] | None = None, **told: str) -> Iterator[Program]:
    """Begin a program on the screen's host; ``{}`` in what it is told is its folder, and ``files`` are to be in it.

    Whatever it begins has ended when it has.
    """
    with tempfile.TemporaryDirectory(prefix="seedkeep-screen-") as folder:
        home = Path(folder)
        for name, text in (files or {}).items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        whole = [*_as_nobody(home), *(part.replace("{}", folder) for part in command)]
        names = {"HOME": folder, "XDG_RUNTIME_DIR": folder, "LC_ALL": "C.UTF-8", "TMPDIR": folder}
        env = names | {name: text.replace("{}", folder) for name, text in told.items()}
        with open(home / "said", "w") as said:
            process = screen.run(*whole, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        program = Program(process, home)
        try:
            yield program
        finally:
            program.close()


def _as_nobody(home: Path) -> list[str]:
    """Return what makes a program somebody's without rights, whose folder this is: some refuse to be run by root."""
    if os.environ.get("SEEDKEEP_TEST_UNSHARED"):
        not_run("without root there is nobody else to be, and players refuse to be run by root")
    nobody = pwd.getpwnam("nobody")
    for path in (home, *home.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    who = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--pdeathsig", "KILL")
    # A shell is the first process, with which all others end: were it xvfb-run, an X server would not tell it anything.
    return ["unshare", "--pid", "--fork", "setpriv", *who, "sh", "-c", '"$@"; exit $?', "sh"]
