"""Players that we did not write, on a host of a lab: this module has each play an address and seek in it.

Every player gives a ``Seen``: where it was in the film, in seconds, some time after it began and after each seek.
"""

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.screens.home import SECONDS, SHARES
from tests.screens.programs import PATIENCE, Line, begun
from tests.world.lab import Host, not_run

ADVANCE = 1.0
"""Seconds of the film that it must play on after it began and after each seek."""


@dataclass(frozen=True, slots=True)
class Seen:
    """``began``: where it was when it played; ``sought``: where, after each seek, it played again, in seconds."""

    began: float
    sought: tuple[float, ...]


def ffprobe(screen: Host, url: str) -> Seen:
    """Decode pictures at the beginning, then at each place."""
    need("ffprobe")
    return Seen(_decoded(screen, url, 0), tuple(_decoded(screen, url, SECONDS * share) for share in SHARES))


def _decoded(screen: Host, url: str, at: float) -> float:
    """Return the time of the last of the pictures decoded from ``at`` on."""
    fields = ("-show_entries", "frame=best_effort_timestamp_time", "-of", "csv=p=0")
    said = screen.check(
        "ffprobe", "-v", "error", "-select_streams", "v:0", "-read_intervals", f"{at}%+{ADVANCE + 1}", *fields, url
    )  # fmt: skip
    return max(float(line.strip(",")) for line in said.split())


def mpv(screen: Host, url: str) -> Seen:
    """Play in real time, seeking by share as its slider does."""
    need("mpv")
    with begun(screen, "mpv", "--no-config", "--vo=null", "--ao=null", "--input-ipc-server={}/socket", url) as player:
        talk = player.line("socket")

        def place() -> float | None:
            if _asked_mpv(talk, "get_property", "seeking"):
                return None
            at = _asked_mpv(talk, "get_property", "time-pos")
            return at if isinstance(at, float) else None

        def seek(share: float) -> None:
            _asked_mpv(talk, "seek", share * 100, "absolute-percent")

        return watched(place, seek)


def _asked_mpv(talk: "Line", *command: object) -> object:
    talk.say(json.dumps({"command": command}))
    while "error" not in (answer := json.loads(talk.hear())):
        pass
    return answer.get("data")


def vlc(screen: Host, url: str) -> Seen:
    """Play in real time, seeking by share as its slider does: in a transport stream over HTTP it has no other way."""
    need("vlc")
    options = (
        "-I",
        "oldrc",
        "--rc-fake-tty",
        "--rc-unix={}/socket",
        "--no-video-title",
        "--vout",
        "dummy",
        "--aout",
        "dummy",
    )
    with begun(screen, "vlc", *options, url) as player:
        talk = player.line("socket")

        def place() -> float | None:
            talk.say("get_time")
            while not (said := talk.hear().strip()).isdigit():
                pass
            return float(said)

        return watched(place, lambda share: talk.say(f"seek {share:.0%}"))


def gstreamer(screen: Host, url: str) -> Seen:
    """Play in real time from each place. As its desktop players do, it stores what it gets: in a fragmented film it
    seeks in no other way (qtdemux 1.22), whoever made it."""
    need("gst-play-1.0")
    return Seen(_played(screen, url, 0), tuple(_played(screen, url, SECONDS * share) for share in SHARES))


def _played(screen: Host, url: str, at: float) -> float:
    """Tell it to begin at ``at``; return where it is once it has played on from there."""
    with begun(
        screen, "gst-play-1.0", "--no-interactive", f"--start-position={round(at)}",
        "--flags=soft-colorbalance+deinterlace+download+soft-volume+text+audio+video",
        "--audiosink=fakesink sync=true", "--videosink=fakesink sync=true", url,
    ) as player:  # fmt: skip

        def place() -> float | None:
            player.lives()
            times = re.findall(r"0:(\d\d):(\d\d\.\d) / ", player.said())
            return int(times[-1][0]) * 60 + float(times[-1][1]) if times else None

        return playing(place, at)


def need(program: str) -> None:
    if shutil.which(program) is None:
        not_run(f"there is no {program}")


def watched(place: Callable[[], float | None], seek: Callable[[float], None]) -> Seen:
    """Let it play, then seek; each time wait until it is near the place and plays on from there."""
    began = playing(place, 0)
    sought = []
    for share in SHARES:
        seek(share)
        sought.append(playing(place, SECONDS * share))
    return Seen(began, tuple(sought))


def playing(place: Callable[[], float | None], wanted: float) -> float:
    """Wait until it is near ``wanted`` and has played on from there; return where it is then."""
    end, first = time.monotonic() + PATIENCE, None
    at: float | None = None
    while time.monotonic() < end:
        at = place()
        if at is not None and near(at, wanted):
            first = at if first is None else first
            if at - first >= ADVANCE:
                return at
        time.sleep(0.1)
    raise AssertionError(f"it was to play at {wanted} s, and is at {at} after {PATIENCE} s")


def near(at: float, wanted: float) -> bool:
    """Tell whether this is the place, a segment before it and what may be played meanwhile after it allowed."""
    return wanted - 5 <= at <= wanted + 11
