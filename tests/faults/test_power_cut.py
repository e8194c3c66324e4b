"""Disks that vanish, fill up or hold what is not ours, power cuts, and a start from what they left."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.street import TRACES, unlisted
from tests.world.box import Box
from tests.world.lab import ROOT, not_run
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.service import seedkeep

pytestmark = pytest.mark.trial

CHANNEL = "harbour"
MIB = 1 << 20


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    running = Box(tmp_path / "data")
    try:
        yield running
    finally:
        running.kill()
    log = running.log.read_text() if running.log.exists() else ""
    assert [t for t in TRACES if t in log] == []


@pytest.fixture
def tube() -> Iterator[Origin]:
    with Origin(limit=None) as origin:
        origin.add_channel(CHANNEL)
        yield origin


def _publish(tube: Origin, title: str, variant: int = 0, kbits: int | None = None, seconds: int = 8) -> Any:
    film = make(heights=(360,), seconds=seconds, segment=4, variant=variant, kbits=kbits)
    return tube.add_video(film, CHANNEL, title=title)


def _seen(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(p.relative_to(folder)): (p.lstat().st_ino, p.lstat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()
    }


def _health(box: Box) -> dict[str, Any]:
    found: dict[str, Any] = box.get("/health").json()
    return found


def _whole(library: Path, video: Any) -> bool:
    (name,) = video.made.files[0].parts
    return [p.read_bytes() for p in library.glob(f"*/*/{name}")] == [video.made.path(name).read_bytes()]


def test_a_library_that_goes_away_is_left_alone_and_taken_up_again(box: Box, tube: Origin) -> None:
    first = _publish(tube, "Before")
    box.start()
    channel = box.ask("POST", "/api/v1/channels", {"url": tube.channel_url(CHANNEL)})["id"]
    box.wait_pinned("Before")
    library, away = box.data / "library", box.data / "unplugged"
    library.rename(away)
    library.mkdir()
    before = _seen(away)
    late = _publish(tube, "While away", variant=1)
    box.ask("POST", f"/api/v1/channels/{channel}/refresh")
    box.wait(lambda: _health(box)["status"] == "degraded", "saying so", 45)
    assert "The library is not there" in " ".join(_health(box)["troubles"])
    assert list(library.iterdir()) == []
    assert _seen(away) == before
    # A start without the disk is no different.
    box.kill()
    box.start()
    box.wait(lambda: _health(box)["status"] == "degraded", "saying so")
    assert list(library.iterdir()) == []
    assert box.pins()["Before"]["state"] == "pinned"
    library.rmdir()
    away.rename(library)
    box.wait_pinned("Before", "While away", seconds=60)
    box.wait(lambda: _health(box)["status"] == "ok", "being well again", 45)
    assert _whole(library, first)
    assert _whole(library, late)
    assert unlisted(library) == []


def _line(box: Box, title: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = box.ask("GET", "/api/v1/videos", q=title)["items"]
    return found[0] if found else {}


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, text=True
    )
    if done.returncode:
        not_run(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_waits_for_room_and_goes_on_by_itself(tmp_path: Path, tube: Origin) -> None:
    film = _publish(tube, "Large", kbits=2000, seconds=24)
    with _small_disk(tmp_path / "disk", 2 * film.made.size + MIB) as disk:
        library = disk / "library"
        box = Box(tmp_path / "data", library_dir=str(library)).start()
        try:
            (disk / "hog").write_bytes(bytes(film.made.size + film.made.size // 2 + MIB))
            box.ask("POST", "/api/v1/pins", {"url": film.address})
            box.wait(lambda: (_line(box, "Large").get("decision") or {}).get("reasons"), "deciding")
            told = " ".join(r["text"] for r in _line(box, "Large")["decision"]["reasons"])
            assert re.search("room|space|disk|fit", told), told
            assert "Large" not in box.pins()
            (disk / "hog").unlink()
            box.ask("POST", "/api/v1/plan/run")  # as every ten minutes
            box.wait_pinned("Large", seconds=75)
            assert _whole(library, film)
            assert unlisted(library) == []
            assert [t for t in TRACES if t in box.log.read_text()] == []
        finally:
            box.kill()


def test_a_disk_that_fills_while_a_video_comes_corrupts_nothing(tmp_path: Path, tube: Origin) -> None:
    film = _publish(tube, "Large", kbits=2000, seconds=24)
    with _small_disk(tmp_path / "disk", 2 * film.made.size + MIB) as disk:
        library = disk / "library"
        box = Box(tmp_path / "data", library_dir=str(library)).start()
        try:
            tube.shape(rate=film.made.size / 4)
            box.ask("POST", "/api/v1/pins", {"url": film.address})
            box.wait(lambda: tube.media_bytes > film.made.size // 8, "beginning")
            with open(disk / "hog", "wb") as hog:
                try:
                    while True:
                        hog.write(bytes(65536))
                        hog.flush()
                except OSError:
                    pass
            tube.shape()
            box.wait(lambda: box.pins().get("Large", {}).get("state") == "waiting", "waiting", 30)
            assert box.pins()["Large"]["trouble"]["code"] == "no_space"
            (disk / "hog").unlink()
            box.wait_pinned("Large", seconds=90)
            assert _whole(library, film)
            assert unlisted(library) == []
            assert [t for t in TRACES if t in box.log.read_text()] == []
        finally:
            box.kill()


def _planted(folder: Path, treasure: Path) -> None:
    """Put what is not ours into a video's folder: a file, a folder, links out of the library."""
    (folder / "mine.txt").write_text("mine")
    (folder / "deep").mkdir()
    (folder / "deep" / "mine.txt").write_text("mine")
    (folder / "link.mp4").symlink_to(treasure)
    (folder / "linked").symlink_to(treasure.parent)


def test_what_is_not_ours_in_a_videos_folder_outlives_it_and_links_are_not_followed(
    box: Box, tube: Origin, tmp_path: Path
) -> None:
    video = _publish(tube, "Guest")
    treasure = tmp_path / "treasure" / "precious.mp4"
    treasure.parent.mkdir()
    treasure.write_bytes(b"precious" * 1000)
    box.start()
    pin = box.ask("POST", "/api/v1/pins", {"url": video.address})["id"]
    box.wait_pinned("Guest")
    library = box.data / "library"
    (name,) = video.made.files[0].parts
    (held,) = library.glob(f"*/*/{name}")
    folder = held.parent
    _planted(folder, treasure)
    before = treasure.stat()
    # One of our own names becomes a link out of the library.
    held.unlink()
    held.symlink_to(treasure)
    box.kill()
    box.start()
    box.ask("DELETE", f"/api/v1/pins/{pin}", never="true")
    box.wait(lambda: "Guest" not in box.pins(), "letting go", 40)
    assert treasure.stat().st_mtime_ns == before.st_mtime_ns
    assert treasure.read_bytes() == b"precious" * 1000
    left = {p.name for p in folder.iterdir()}
    assert left >= {"mine.txt", "deep", "link.mp4", "linked"}
    assert left <= {"mine.txt", "deep", "link.mp4", "linked", name}
    assert (folder / "deep" / "mine.txt").read_text() == "mine"


HOSTILE_RECORDS: dict[str, bytes] = {
    "empty": b"",
    "garbage": b"\x00\xff" * 500,
    "truncated": b'{"id": "aaaa',
    "huge": b'{"id": "' + b"a" * (40 << 20),
    "deep": b"[" * 100_000,
    "types": b'{"id": 5, "origin": [], "uuid": {}, "renditions": "x"}',
}


def test_damaged_records_in_the_library_break_nothing_and_delete_nothing(
    box: Box, tube: Origin, tmp_path: Path
) -> None:
    video = _publish(tube, "Well")
    box.start()
    box.ask("POST", "/api/v1/pins", {"url": video.address})
    box.wait_pinned("Well")
    box.stop()
    library = box.data / "library"
    (good,) = library.glob("*/*/video.json")
    for n, record in enumerate(HOSTILE_RECORDS.values()):
        folder = library / "evil.example" / f"{'abcdefgh'[n]}{'a' * 15}"
        folder.mkdir(parents=True)
        (folder / "video.json").write_bytes(record)
        (folder / "film.mp4").write_bytes(b"film")
    victim = tmp_path / "victim.txt"
    victim.write_text("victim")
    told = json.loads(good.read_text()) | {"promised": False}
    told["others"] = ["../../../../victim.txt", str(victim)]
    folder = library / "evil.example" / ("z" * 16)
    folder.mkdir()
    (folder / "video.json").write_text(json.dumps(told))
    before = _seen(library)
    box.start()
    box.wait_pinned("Well")
    time.sleep(1.0)
    assert box.get("/health").status_code == 200
    assert _seen(library) == before
    assert victim.read_text() == "victim"


def test_a_damaged_record_of_a_pinned_video_is_made_anew(box: Box, tube: Origin) -> None:
    video = _publish(tube, "Well")
    box.start()
    box.ask("POST", "/api/v1/pins", {"url": video.address})
    box.wait_pinned("Well")
    box.kill()
    (record,) = (box.data / "library").glob("*/*/video.json")
    record.write_bytes(record.read_bytes()[:100])
    tube.forget()
    box.start()
    box.wait(lambda: tube.asked("/lazy-static/torrents/*"), "looking again", 60)
    box.wait_pinned("Well")
    assert _whole(box.data / "library", video)
    assert tube.media_bytes == 0


# Power cuts


def _cut_when(box: Box, true: Callable[[], object], act: Callable[[], object]) -> None:
    """Act, and kill the appliance the moment that something can be seen of it."""
    act()
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)
    box.kill()


def test_a_release_that_is_killed_goes_on_after_the_start(box: Box, tube: Origin) -> None:
    video, other = _publish(tube, "Goes"), _publish(tube, "Stays", variant=1)
    box.start()
    pin = box.ask("POST", "/api/v1/pins", {"url": video.address})["id"]
    box.ask("POST", "/api/v1/pins", {"url": other.address})
    box.wait_pinned("Goes", "Stays")
    library = box.data / "library"
    (name,) = video.made.files[0].parts
    (held,) = library.glob(f"*/*/{name}")
    _cut_when(
        box,
        lambda: not held.exists() or len(list(held.parent.glob("*"))) < 3,
        lambda: box.ask("DELETE", f"/api/v1/pins/{pin}", never="true"),
    )
    box.start()
    box.wait(lambda: "Goes" not in box.pins() and not held.parent.exists(), "letting go", 40)
    assert box.pins()["Stays"]["state"] == "pinned"
    assert _whole(library, other)
    assert unlisted(library) == []


def test_a_rename_that_is_killed_costs_no_byte(box: Box, tube: Origin) -> None:
    video = _publish(tube, "Old name")
    box.start()
    channel = box.ask("POST", "/api/v1/channels", {"url": tube.channel_url(CHANNEL)})["id"]
    box.wait_pinned("Old name")
    tube.forget()
    video.rename("New name")
    _cut_when(
        box,
        lambda: tube.asked("/lazy-static/torrents/*"),
        lambda: box.ask("POST", f"/api/v1/channels/{channel}/refresh"),
    )
    box.start()
    box.ask("POST", f"/api/v1/channels/{channel}/refresh")
    box.wait_pinned("New name")
    found = box.pins()["New name"]["video_id"]
    box.wait(
        lambda: video.info_hash(360) in json.dumps(box.ask("GET", f"/api/v1/videos/{found}")), "the new torrent", 40
    )
    assert tube.media_bytes == 0
    assert _whole(box.data / "library", video)
    assert unlisted(box.data / "library") == []


def test_a_replacement_that_is_killed_serves_the_old_file_until_the_new_is_whole(box: Box, tube: Origin) -> None:
    video = _publish(tube, "Twice")
    old = video.made
    box.start()
    channel = box.ask("POST", "/api/v1/channels", {"url": tube.channel_url(CHANNEL)})["id"]
    pin = box.wait_pinned("Twice")["Twice"]["video_id"]
    tube.forget()
    new = make(heights=(360,), seconds=24, segment=4, variant=3, kbits=1500)
    tube.shape(rate=new.size / 6)
    video.replace_by(new)
    _cut_when(
        box,
        lambda: tube.media_bytes > new.size // 6,
        lambda: box.ask("POST", f"/api/v1/channels/{channel}/refresh"),
    )
    box.start()
    library = box.data / "library"
    (name,) = old.files[0].parts
    (held,) = library.glob(f"*/*/{name}")
    assert held.read_bytes() == old.path(name).read_bytes()

    assert box.get(f"/media/{pin}/file/{name}").content == held.read_bytes()
    tube.shape()
    box.wait_pinned("Twice")
    box.wait(lambda: not held.exists(), "dropping the old file", 20)
    assert _whole(library, video)
    assert unlisted(library) == []


def test_a_set_up_that_is_killed_starts_again(tmp_path: Path) -> None:
    for moment in (0.15, 0.4, 0.6, 0.8, 1.0):
        data = tmp_path / "data"
        box = Box(data)
        command = [sys.executable, "-m", "appliance", "run", "--data", str(data)]
        with open(box.log, "a") as log:
            process = subprocess.Popen(
                command, env=os.environ | {"PYTHONPATH": str(ROOT)} | box.settings, stdout=log, stderr=log
            )
            time.sleep(moment)
            process.kill()
            process.wait()
    box.start()
    assert box.get("/health").status_code == 200
    assert box.stop() == 0
    assert "Traceback" not in box.log.read_text()


# A start from what cannot be used


@pytest.mark.parametrize("content", [b"garbage" * 5000, b"SQLite format 3\x00" + b"\xff" * 8192, None])
def test_a_catalogue_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    data = tmp_path / "data"
    data.mkdir()
    catalogue = data / "catalogue.db"
    if content is None:
        box = Box(data).start()
        box.stop()
        catalogue.write_bytes(catalogue.read_bytes()[:5000])
    else:
        catalogue.write_bytes(content)
    before = catalogue.read_bytes()
    done = seedkeep("run", "--data", data)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()
    assert any("catalogue" in line or "database" in line for line in last), done.stderr
    assert catalogue.read_bytes() == before
