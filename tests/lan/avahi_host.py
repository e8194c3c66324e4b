"""A real avahi on a host of the lab, with a system bus of its own where asked for: this module starts and asks it.

Nothing of the machine's own avahi or bus is touched: the daemon has a ``/run`` of its own and our bus' address.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

from tests.world.lab import Host, not_run

_PATIENCE = 20.0
_BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path={bus}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_type="method_call"/>
    <allow send_type="method_return"/><allow send_type="error"/><allow send_type="signal"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/>
    <allow receive_type="error"/><allow receive_type="signal"/>
  </policy>
</busconfig>
"""
_CONF = """[server]
host-name={name}
{server}
enable-dbus={dbus}
[publish]
publish-workstation=no
publish-hinfo=no
"""
_RUN = "mount -t tmpfs tmpfs /run && mkdir -p /run/avahi-daemon && chown avahi:avahi /run/avahi-daemon && "
_DAEMON = "exec avahi-daemon --no-drop-root --no-chroot --no-rlimits --debug -f"


def need_avahi() -> None:
    """Say "not run" where avahi is not there, or there is no user of its own to run for (a user namespace)."""
    if os.environ.get("SEEDKEEP_TEST_UNSHARED"):
        not_run("avahi needs its own user, which a user namespace does not have")
    for program in ("avahi-daemon", "avahi-resolve", "avahi-browse", "dbus-daemon"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            not_run(f"{program} is missing (avahi-daemon, avahi-utils, dbus)")


class Avahi:
    """An avahi-daemon on ``host``. ``bus`` is the address of its system bus, empty where it has none."""

    def __init__(self, host: Host, folder: Path, name: str, *, dbus: bool = True, server: str = "") -> None:
        self._host, self._folder = host, folder
        self.bus = f"unix:path={folder}/bus" if dbus else ""
        self._environment = {"DBUS_SYSTEM_BUS_ADDRESS": self.bus} if dbus else {}
        folder.mkdir(parents=True, exist_ok=True)
        conf = _CONF.format(name=name, server=server, dbus="yes" if dbus else "no")
        (folder / "avahi.conf").write_text(conf)
        self.said: list[str] = []
        self._news = threading.Condition()
        self._daemon: subprocess.Popen[str] | None = None
        self._dbus: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start_bus(self) -> None:
        (self._folder / "bus.conf").write_text(_BUS.format(bus=self._folder / "bus"))
        command = ("dbus-daemon", f"--config-file={self._folder / 'bus.conf'}", "--nofork", "--print-address")
        self._dbus = self._host.run(*command, stdout=PIPE, stderr=DEVNULL)
        assert self._dbus.stdout
        assert self._dbus.stdout.readline()

    def start(self) -> None:
        """Start avahi and return once it has a host name."""
        command = f"{_RUN}{_DAEMON} {self._folder / 'avahi.conf'}"
        self._daemon = self._host.run(
            *("unshare", "-m", "sh", "-c", command), stdout=PIPE, stderr=STDOUT, env=self._environment
        )
        self._reader = threading.Thread(target=self._read, args=(self._daemon,))
        self._reader.start()
        self.until("Server startup complete")

    def _read(self, daemon: "subprocess.Popen[str]") -> None:
        assert daemon.stdout
        for line in daemon.stdout:
            with self._news:
                self.said.append(line)
                self._news.notify_all()

    def until(self, words: str, seconds: float = _PATIENCE) -> str:
        """Return the first line, from the start on, that has ``words``, once it is there."""
        with self._news:
            found = self._news.wait_for(lambda: next((s for s in self.said if words in s), None), seconds)
        assert found, f"avahi never said {words!r}: {''.join(self.said[-20:])}"
        return found

    def stop(self) -> None:
        """End avahi in good order, as the system does when it restarts it."""
        if self._daemon is not None and self._reader is not None:
            self._daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._daemon.wait(_PATIENCE)
            self._daemon.kill()
            self._daemon.wait()
            self._reader.join(_PATIENCE)
            self.said.clear()
            self._daemon = None

    def close(self) -> None:
        self.stop()
        if self._dbus is not None:
            self._dbus.kill()
            self._dbus.wait()

    def resolve(self, name: str, *flags: str) -> str:
        """Return the address avahi finds for ``name``, empty for none."""
        done = self._ask("avahi-resolve", *flags, "-n", name)
        return done.split()[1] if done else ""

    def browse(self, kind: str) -> list[list[str]]:
        """Return what avahi finds of services now: name, type, host, address, port, text."""
        lines = self._ask("avahi-browse", "-rptk", kind).splitlines()
        found = [line.split(";") for line in lines if line.startswith("=")]
        return [[f[3], f[4], f[6], f[7], f[8], f[9]] for f in found]

    @contextmanager
    def watching(self, kind: str) -> Iterator[Callable[[str], list[str]]]:
        """Watch services come and go: the call waits for the next line of avahi-browse that begins with ``+`` (found),
        ``=`` (resolved) or ``-`` (gone), and returns its fields."""
        command = ("avahi-browse", "-rpk", kind)
        browser = self._host.run(*command, stdout=PIPE, env=self._environment)
        assert browser.stdout
        lines = browser.stdout

        def until(sign: str) -> list[str]:
            while line := lines.readline():
                if line.startswith(sign):
                    return line.strip().split(";")
            raise AssertionError("avahi-browse has ended")

        try:
            yield until
        finally:
            browser.kill()
            browser.wait()

    def _ask(self, *command: str) -> str:
        with suppress(RuntimeError):
            return self._host.check("env", f"DBUS_SYSTEM_BUS_ADDRESS={self.bus}", *command)
        return ""

    def finds(self, name: str, wanted: str, *flags: str, seconds: float = _PATIENCE) -> None:
        """Return once ``name`` is ``wanted``."""
        end = time.monotonic() + seconds
        while (found := self.resolve(name, *flags)) != wanted:
            assert time.monotonic() < end, f"{name} is {found!r}, not {wanted!r}"


@contextmanager
def avahi(host: Host, folder: Path, name: str, *, dbus: bool = True, server: str = "") -> Iterator[Avahi]:
    """Run avahi on ``host``; with ``dbus`` on a bus of its own."""
    need_avahi()
    running = Avahi(host, folder, name, dbus=dbus, server=server)
    try:
        if dbus:
            running.start_bus()
        running.start()
        yield running
    finally:
        running.close()
