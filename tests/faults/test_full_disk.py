"""A full-disk day: somebody else fills the disk that the library is on; the house waits, says so, and goes on."""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.street import TRACES, unlisted
from tests.world.box import Box
from tests.world.disk import Disk, Hog, Watch, small_disk
from tests.world.lab import not_run
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.published import Published

CHANNEL = "harbour"
MIB = 1 << 20
FLOOR = 2 * MIB
SPARE = MIB
"""What captions, pictures and records of a few videos take beside their media."""
EVERYTHING = {"name": "All of it", "kind": "everything", "min_lifetime": 30 * 86_400}


@pytest.fixture
def tube() -> Iterator[Origin]:
    with Origin(limit=None) as origin:
        origin.add_channel(CHANNEL)
        yield origin


def _publish(tube: Origin, count: int) -> list[Published]:
    """Publish films of about 6 MiB each."""
    films = [make(heights=(360,), seconds=24, segment=4, kbits=2000, variant=v) for v in range(count)]
    return [tube.add_video(film, CHANNEL, title=f"Film {n}") for n, film in enumerate(films)]


def _size(films: list[Published]) -> int:
    return sum(f.made.size for f in films)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Day:
    """The appliance with its library on a small disk, what is not ours there, and somebody else who fills it."""

    def __init__(self, box: Box, disk: Disk, tube: Origin) -> None:
        self.box, self.disk, self.tube = box, disk, tube
        self.hog, self.library = Hog(disk.root / "somebody.tar"), disk.root / "library"
        self._guests = [disk.root / "holiday.jpg", self.library / "notes.txt"]

    def begin(self) -> None:
        self.box.start()
        for n, path in enumerate(self._guests):
            path.write_bytes(b"not yours" * (100 + n))
        self._seen = self._look()
        self.box.ask("POST", "/api/v1/rules", EVERYTHING)

    def _look(self) -> list[tuple[int, int, bytes]]:
        return [(p.stat().st_ino, p.stat().st_mtime_ns, p.read_bytes()) for p in self._guests]

    def leave(self, films: list[Published]) -> None:
        """Let somebody else take so much that the films just fit."""
        self.hog.take(self.disk.free - FLOOR - SPARE - _size(films))

    def follow(self) -> None:
        self.box.ask("POST", "/api/v1/channels", {"url": self.tube.channel_url(CHANNEL)})

    @property
    def troubles(self) -> str:
        return " ".join(self.box.get("/health").json()["troubles"])

    def waiting(self) -> list[dict[str, Any]]:
        return [p for p in self.box.pins().values() if p["state"] == "waiting"]

    def says_so(self) -> None:
        """Wait until health, and each pin that lacks room, say so in words."""
        self.box.wait(lambda: re.search("no room|free space", self.troubles), "saying so")
        assert self.box.get("/health").json()["status"] == "degraded"
        self.box.wait(lambda: not self._at_work(), "standing still")
        for pin in self.waiting():
            assert pin["trouble"]["code"] == "no_space", pin
            assert re.search("disk", pin["trouble"]["message"]), pin

    def _at_work(self) -> bool:
        return any(p["state"] == "pinning" for p in self.box.pins().values())

    def is_well(self, films: list[Published], seconds: float = 60) -> None:
        """Wait until all is pinned, and prove that nothing of it is corrupt and nothing else was touched."""
        self.box.wait_pinned(*(f.facts.title for f in films), seconds=seconds)
        self.box.wait(lambda: not self.troubles, "being well again")
        self.is_sound(films)

    def is_sound(self, films: list[Published]) -> None:
        for film in films:
            (name,) = film.made.files[0].parts
            found = [_digest(p) for p in self.library.glob(f"*/*/{name}")]
            assert found == [_digest(film.made.path(name))], film.facts.title
        assert set(unlisted(self.library)) <= {"notes.txt"}
        assert self._look() == self._seen
        assert [t for t in TRACES if t in self.box.log.read_text()] == []

    def scrubs_clean(self, films: list[Published]) -> None:
        """Have everything hashed again: what the test spoils is found, and nothing else."""
        last = list(self.box.pins())[-1]
        film = next(f for f in films if f.facts.title == last)
        (name,) = film.made.files[0].parts
        (held,) = self.library.glob(f"*/*/{name}")
        with open(held, "r+b") as file:
            file.seek(film.made.size // 2)
            file.write(bytes(64))
        self.tube.forget()
        self.box.ask("POST", "/api/v1/scrub")
        self.box.wait(lambda: _digest(held) == _digest(film.made.path(name)), "scrub", 30)
        self.is_well(films)
        assert self.tube.media_bytes < film.made.size
        for other in films:
            (of_other,) = other.made.files[0].parts
            assert other is film or not self.tube.asked(f"*/{of_other}"), other.facts.title


@contextmanager
def _day(tmp_path: Path, tube: Origin, data: Path | None = None, size: int = 48 * MIB) -> Iterator[Day]:
    with small_disk(tmp_path / "disk", size) as disk:
        where = disk.root / "data" if data is None else data
        box = Box(where, library_dir=str(disk.root / "library"), library__floor_bytes=str(FLOOR))
        box.log = tmp_path / "log"
        try:
            yield Day(box, disk, tube)
        finally:
            box.kill()


def test_a_disk_that_somebody_fills_during_pins_is_waited_for_and_nothing_is_corrupt(
    tmp_path: Path, tube: Origin
) -> None:
    films = _publish(tube, 3)
    with _day(tmp_path, tube, tmp_path / "data") as day:
        day.begin()
        day.leave(films)
        tube.shape(rate=_size(films) / 90)  # none is whole when the last begins, some ten seconds after the first
        day.follow()
        day.box.wait(lambda: sum(p["done"] > MIB // 4 for p in day.box.pins().values()) == 3, "beginning")
        day.hog.fill()
        day.says_so()
        assert {p["title"] for p in day.waiting()} == {f.facts.title for f in films}, "a rule chose them"
        assert all(p["done"] > MIB // 4 for p in day.waiting())
        tube.shape()
        day.hog.go()
        day.is_well(films, 20)
        assert tube.media_bytes < _size(films) * 1.2, "what had come was kept"


@pytest.mark.trial
def test_a_disk_that_was_full_before_gets_what_is_wanted_once_there_is_room(tmp_path: Path, tube: Origin) -> None:
    films = _publish(tube, 3)
    with _day(tmp_path, tube, tmp_path / "data") as day:
        day.begin()
        day.hog.fill()
        day.follow()
        day.box.ask("POST", "/api/v1/pins", {"url": films[0].address})
        day.says_so()
        time.sleep(5)
        assert tube.media_bytes == 0
        shown = day.box.ask("GET", "/api/v1/videos")["items"]
        for video in shown:
            told = " ".join(r["text"] for r in video["decision"]["reasons"])
            assert re.search("room|space", told), told
        day.hog.go()
        day.is_well(films, 25)


@pytest.mark.trial
def test_a_disk_that_fills_and_empties_again_and_again_under_everything_we_write_corrupts_nothing(
    tmp_path: Path, tube: Origin
) -> None:
    """Library, database and resume data share the disk, as they do where nothing else is set."""
    films = _publish(tube, 3)
    with _day(tmp_path, tube, size=64 * MIB) as day:
        day.begin()
        day.leave(films)
        tube.shape(rate=_size(films) / 12)
        day.follow()
        for turn in range(8):
            time.sleep(0.4 + 0.31 * turn)
            day.hog.fill()
            time.sleep(0.7 + 0.53 * turn)
            assert day.box.get("/health").status_code == 200
            day.hog.go()
        tube.shape()
        day.is_well(films, 90)
        assert day.box.stop() == 0
        day.box.start()
        day.is_well(films)
        day.scrubs_clean(films)


@pytest.mark.trial
def test_a_full_disk_is_started_on_and_left_well_after_a_kill(tmp_path: Path, tube: Origin) -> None:
    films = _publish(tube, 3)
    with _day(tmp_path, tube, tmp_path / "data") as day:
        day.begin()
        day.leave(films)
        tube.shape(rate=_size(films) / 4)
        day.follow()
        day.box.wait(lambda: tube.media_bytes > _size(films) // 3, "beginning")
        day.hog.fill()
        day.box.kill()
        tube.shape()
        day.box.start()
        day.says_so()
        day.box.kill()
        day.box.start()
        day.hog.go()
        day.is_well(films, 60)


@pytest.mark.trial
def test_a_floor_that_the_owner_raises_is_held_from_then_on(tmp_path: Path, tube: Origin) -> None:
    films = _publish(tube, 4)
    with _day(tmp_path, tube, tmp_path / "data") as day:
        del day.box.settings["SEEDKEEP_LIBRARY__FLOOR_BYTES"]
        day.begin()
        day.box.ask("PATCH", "/api/v1/settings", {"library.floor_bytes": FLOOR})
        tube.shape(rate=_size(films) / 10)
        day.follow()
        day.box.wait(lambda: tube.media_bytes > _size(films) // 4, "beginning")
        floor = day.disk.free - _size(films) // 6
        day.box.ask("PATCH", "/api/v1/settings", {"library.floor_bytes": floor})
        with Watch(day.disk) as watch:
            day.box.wait(lambda: not day._at_work(), "stopping", 30)
            time.sleep(8)
        assert watch.least >= floor
        day.box.ask("PATCH", "/api/v1/settings", {"library.floor_bytes": FLOOR})
        tube.shape()
        day.is_well(films, 30)


@pytest.mark.trial
def test_the_floor_is_never_passed_by_us(tmp_path: Path, tube: Origin) -> None:
    films = _publish(tube, 5)
    with _day(tmp_path, tube, tmp_path / "data") as day:
        day.begin()
        day.hog.take(day.disk.free - FLOOR - _size(films[:3]) - 64 * 1024)
        with Watch(day.disk) as watch:
            day.follow()
            day.box.wait(lambda: sum(p["state"] == "pinned" for p in day.box.pins().values()) >= 2, "pinning", 40)
            time.sleep(10)
        assert watch.least >= FLOOR


@pytest.mark.trial
def test_a_disk_that_is_unplugged_in_the_middle_is_left_alone_within_seconds_and_taken_up_again(
    tmp_path: Path, tube: Origin
) -> None:
    films = _publish(tube, 3)
    with _day(tmp_path, tube, tmp_path / "data") as day:
        if not day.disk.survives:
            not_run("without loop devices a disk does not outlive being unplugged")
        day.begin()
        day.leave(films)
        tube.shape(rate=_size(films) / 8)
        day.follow()
        day.box.wait(lambda: tube.media_bytes > _size(films) // 4, "beginning")
        day.disk.unplug()
        day.box.wait(lambda: "library is not there" in day.troubles, "saying so", 45)
        day.box.wait(lambda: not day._at_work(), "standing still")
        assert list(day.disk.root.rglob("*")) == []
        day.box.wait(lambda: not tube.sends_media, "hanging up")
        came = tube.media_bytes
        time.sleep(5)
        assert tube.media_bytes == came
        assert list(day.disk.root.rglob("*")) == []
        tube.shape()
        day.disk.mount()
        day.is_well(films, 60)
        day.scrubs_clean(films)


@pytest.mark.trial
def test_a_data_folder_whose_disk_is_full_stops_nothing_for_good(tmp_path: Path, tube: Origin) -> None:
    films = _publish(tube, 3)
    with small_disk(tmp_path / "small", 24 * MIB) as own, _day(tmp_path, tube, own.root / "data") as day:
        day.begin()
        day.leave(films)
        tube.shape(rate=_size(films) / 4)
        day.follow()
        day.box.wait(lambda: tube.media_bytes > _size(films) // 6, "beginning")
        hog = Hog(own.root / "somebody.tar")
        hog.fill()
        tube.shape()
        day.box.wait(lambda: "disk" in day.troubles, "saying so", 30)
        for _ in range(20):
            hog.fill()
            assert day.box.get("/health").status_code == 200
            time.sleep(0.5)
        hog.go()
        day.is_well(films, 60)
        assert day.box.stop() == 0
        day.box.start()
        day.is_well(films)
