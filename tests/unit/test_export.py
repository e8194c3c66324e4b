"""Exports on a real disk: what is in the folder, whose file stays, what is refused, what hostile titles become."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.units import ByteCount, Origin, VideoId, video_id
from appliance.domain.video import RenditionKind
from appliance.errors import BadInput, DiskError, NoSpace
from appliance.host.ffmpeg import find_ffmpeg
from appliance.library.bytemap import playlist_text
from appliance.library.export import Folder, Stopped
from appliance.library.export_lists import INDEX, LIST
from appliance.library.files import save, write_side
from appliance.library.layout import TEMPORARY
from appliance.library.manifest import CaptionRecord, Manifest, MediaFile, RenditionRecord, SideFile, sizes
from appliance.library.marker import Library
from appliance.library.readable import MOST, readable
from appliance.library.space import Floor
from tests.media.shelf import bytemap

ORIGIN = Origin("tube.example")
NO_FLOOR = Floor(ByteCount(0), 0)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path / "library", "ours")
    made.claim()
    return made


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def rendition(name: str, size: int, **more: Any) -> RenditionRecord:
    fields: dict[str, Any] = {
        "name": name,
        "kind": RenditionKind.HLS,
        "width": 640,
        "height": 360,
        "size": size,
        "files": (MediaFile(name=f"u-{name}.mp4", size=size),),
        "whole": True,
    }
    return RenditionRecord(**(fields | more))


def film(library: Library, title: str, *parts: RenditionRecord, n: int = 1, **more: Any) -> VideoId:
    """Put a video into the library, its bytes those of its names; return its id."""
    manifest = Manifest(
        id=video_id(ORIGIN, f"uuid-{n}"),
        origin=ORIGIN,
        uuid=f"uuid-{n}",
        title=title,
        duration=12,
        published_at=datetime(2026, 3, n, tzinfo=UTC),
        renditions=parts or (rendition("360p", 1000), rendition("720p", 2000, height=720)),
        **more,
    )
    folder = save(library, manifest)
    for part in manifest.renditions:
        for file in part.files:
            (folder / file.name).write_bytes((file.name.encode() * file.size)[: file.size])
    for side in (manifest.thumbnail.file if manifest.thumbnail else "", *(c.file for c in manifest.captions)):
        if side:
            write_side(library, manifest, side, b"side")
    return manifest.video


def export(library: Library, root: Path, *videos: VideoId, floor: Floor = NO_FLOOR, name: str = "Films") -> Folder:
    folder = Folder(library, root, name, floor)
    with folder.opened() as descriptor:
        shown = [folder.add(descriptor, ORIGIN, video) for video in videos]
        folder.finish(descriptor, name, [one for one in shown if one is not None])
    return folder


def names(folder: Folder) -> set[str]:
    return set(os.listdir(folder.path))


def test_a_folder_holds_the_films_under_readable_names_and_takes_no_room(library: Library, tmp_path: Path) -> None:
    captions = (CaptionRecord(language="en", label="English", file="u-en.vtt"),)
    video = film(library, "Harbour: at dawn", captions=captions, thumbnail=SideFile(file="u.jpg"))
    made = export(library, tmp_path / "exports", video)
    stem = f"2026-03-01 Harbour at dawn [{video[:8]}]"
    assert names(made) == {
        f"{stem}.mp4",
        f"{stem} (360p).mp4",
        f"{stem}.en.vtt",
        f"{stem}.jpg",
        f"{stem}.json",
        INDEX,
        LIST,
    }
    best = made.path / f"{stem}.mp4"
    assert best.samefile(library.folder(ORIGIN, video) / "u-720p.mp4")
    assert (made.tally.linked, made.tally.copied, made.tally.left) == (3008, 0, [])
    assert json.loads((made.path / f"{stem}.json").read_text())["title"] == "Harbour: at dawn"
    assert (made.path / LIST).read_text().splitlines()[2:] == [
        "#EXTINF:12,Harbour at dawn",
        f"{stem}.mp4",
    ]


def test_on_another_disk_it_is_copied_and_never_twice(library: Library, elsewhere: Path, tmp_path: Path) -> None:
    assert os.stat(elsewhere).st_dev != os.stat(tmp_path).st_dev, "no second file system at /dev/shm"
    video = film(library, "Far away")
    first = export(library, elsewhere, video)
    assert (first.tally.linked, first.tally.copied) == (0, 3000)
    before = {name: os.stat(first.path / name).st_mtime_ns for name in names(first) if name.endswith(".mp4")}
    again = export(library, elsewhere, video, film(library, "New", n=2))
    assert (again.tally.present, again.tally.copied) == (3000, 3000)
    assert {name: os.stat(again.path / name).st_mtime_ns for name in before} == before
    assert "New" in (again.path / INDEX).read_text()
    assert not any(name.startswith(TEMPORARY) for name in names(again))


def test_what_was_there_stays_as_it_was(library: Library, tmp_path: Path) -> None:
    video = film(library, "Mine")
    stem = f"2026-03-01 Mine [{video[:8]}]"
    folder = tmp_path / "exports" / "Films"
    folder.mkdir(parents=True)
    for name in (f"{stem}.mp4", f"{stem}.json", INDEX, LIST):
        (folder / name).write_bytes(b"somebody's")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / f"{stem} (360p).mp4").symlink_to(tmp_path / "secret")
    made = export(library, tmp_path / "exports", video)
    for name in (f"{stem}.mp4", f"{stem}.json", INDEX, LIST):
        assert (folder / name).read_bytes() == b"somebody's"
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert len(made.tally.left) == 2
    assert "stays" in made.tally.left[0]


def test_a_folder_that_is_a_link_or_lies_in_the_library_is_refused(library: Library, tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "Films").symlink_to(tmp_path)
    with pytest.raises(DiskError):
        export(library, tmp_path / "exports", film(library, "x"))
    with pytest.raises(BadInput, match="inside the library"):
        export(library, library.root / "exports")
    assert not (library.root / "exports").exists()


def test_without_room_above_the_floor_nothing_is_copied(library: Library, elsewhere: Path, tmp_path: Path) -> None:
    """On the library's own disk links need no room; copies elsewhere must fit, and leave no half file."""
    everything = Floor(ByteCount(1 << 60), 0)
    video = film(library, "Large")
    assert export(library, tmp_path / "exports", video, floor=everything).tally.linked == 3000
    assert export(library, elsewhere, video, floor=everything).tally.copied == 3000
    own = Library(elsewhere / "library", "ours")
    own.claim()
    here = film(own, "Here", n=3)
    folder = Folder(own, elsewhere / "copies", "x", everything)
    with folder.opened() as descriptor, own.open_folder(ORIGIN, here) as source, pytest.raises(NoSpace):
        folder._copy(source, descriptor, "u-360p.mp4", "copy.mp4", 1000)
    assert names(folder) == set()


def test_what_is_not_whole_is_named_and_left_out(library: Library, tmp_path: Path) -> None:
    part = film(library, "Half", rendition("360p", 1000, whole=False))
    short = film(library, "Short", n=2)
    os.truncate(library.folder(ORIGIN, short) / "u-720p.mp4", 10)
    damaged = film(library, "Damaged", n=3)
    (library.folder(ORIGIN, damaged) / "video.json").write_text("{")
    made = export(library, tmp_path / "exports", part, short, damaged, video_id(ORIGIN, "never here"))
    assert len(made.tally.left) == 4
    assert not any("Half" in name or "Damaged" in name for name in names(made))


def test_an_export_that_is_stopped_leaves_whole_files_only(library: Library, elsewhere: Path) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    video = film(library, "Stopped")
    folder = Folder(library, elsewhere, "Films", NO_FLOOR, stop)
    with folder.opened() as descriptor, pytest.raises(Stopped):
        folder.add(descriptor, ORIGIN, video)
    assert [os.stat(folder.path / name).st_size for name in names(folder)] == [2000]


def test_picture_and_sound_of_their_own_are_brought_together(library: Library, tmp_path: Path) -> None:
    """Real fragmented files, real playlists; the folder's own list is played by ffmpeg, sound and all."""
    program = find_ffmpeg()
    assert program is not None, "no ffmpeg"
    parts, maps = [], {}
    for name, source, codec in (
        ("720p", "testsrc2=size=320x180:rate=25:duration=4", ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50")),
        ("audio", "sine=frequency=330:duration=4", ("-c:a", "aac")),
    ):
        work = tmp_path / name
        work.mkdir()
        hls = ("-hls_time", "2", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-hls_flags", "single_file")
        command = (str(program), "-loglevel", "error", "-f", "lavfi", "-i", source, *codec, *hls, "p.m3u8")
        subprocess.run(command, cwd=work, check=True, capture_output=True)
        size = (work / "p.m4s").stat().st_size
        maps[name] = ((work / "p.m3u8").read_text().replace("p.m4s", f"u-{name}.mp4"), work / "p.m4s")
        sound = name == "audio"
        more = {"has_video": not sound, "has_audio": sound, "playlist": f"u-{name}.m3u8", "height": 0 if sound else 180}
        parts.append(rendition(name, size, **more))
    video = film(library, "Two files", *parts)
    folder = library.folder(ORIGIN, video)
    for name, (text, media) in maps.items():
        (folder / f"u-{name}.m3u8").write_text(text)
        shutil.copyfile(media, folder / f"u-{name}.mp4")
    made = export(library, tmp_path / "exports", video)
    stem = f"2026-03-01 Two files [{video[:8]}]"
    slug = f"2026-03-01-two-files-{video[:8]}"
    assert {f"{stem}.m3u8", f"{slug}-720p.mp4", f"{slug}-audio.mp4", f"{slug}-picture.m3u8"} <= names(made)
    assert (made.path / LIST).read_text().splitlines()[-1].endswith(".m3u8")
    playing = (str(program), "-v", "info", "-i", f"{stem}.m3u8", "-f", "null", "-")
    told = subprocess.run(playing, cwd=made.path, capture_output=True, text=True, check=False).stderr
    assert "Video: h264" in told, told
    assert "Audio: aac" in told
    assert re.search(r"time=00:00:0[34]", told)


def test_a_playlist_names_files_as_they_are_called_there(library: Library, tmp_path: Path) -> None:
    cut = bytemap("u-720p.mp4", 100, [300, 300, 300])
    parts = (
        rendition("720p", 1000, height=720, has_audio=False, playlist="u-720p.m3u8"),
        rendition("audio", 1000, height=0, has_video=False, playlist="u-audio.m3u8"),
    )
    video = film(library, "100% <b>", *parts)
    folder = library.folder(ORIGIN, video)
    (folder / "u-720p.m3u8").write_text(playlist_text(cut, sizes(parts[0])))
    (folder / "u-audio.m3u8").write_text(playlist_text(bytemap("u-audio.mp4", 100, [900]), sizes(parts[1])))
    made = export(library, tmp_path / "exports", video)
    text = (made.path / f"2026-03-01-100-b-{video[:8]}-picture.m3u8").read_text()
    assert f"2026-03-01-100-b-{video[:8]}-720p.mp4" in text
    assert "u-720p.mp4" not in text
    assert "%" not in text
    page = (made.path / INDEX).read_text()
    assert "100% &lt;b&gt;" in page
    assert "<b>" not in page


@given(st.text(max_size=400))
def test_whatever_a_title_is_its_name_is_safe(title: str) -> None:
    name = readable(title)
    assert name
    assert len(name.encode()) <= MOST + 1
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>|%#\x00')
    assert name == name.strip(" .")
    assert not name.startswith((".", "-", "~"))
    assert readable(name) in (name, f"{name}_")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "etc passwd"),
        ("CON", "CON_"),
        ("nul.txt", "nul.txt_"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("\x00\x1b[2J", "[2J"),
        ("...", "Untitled"),
        ("-rf *", "rf"),
        ("مطبخ الحارة", "مطبخ الحارة"),
        ("長" * 300, "長" * 40),
    ],
)
def test_hostile_titles_become_plain_names(title: str, name: str) -> None:
    assert readable(title) == name


def test_two_videos_of_one_title_have_names_of_their_own(library: Library, tmp_path: Path) -> None:
    first, second = film(library, "Same"), film(library, "Same", n=2)
    made = export(library, tmp_path / "exports", first, second)
    assert sum(name.endswith(".json") for name in names(made)) == 2
    assert made.tally.left == []


def test_a_record_is_what_a_video_json_is(library: Library, tmp_path: Path) -> None:
    video = film(library, "Record")
    made = export(library, tmp_path / "exports", video)
    text = next(made.path / name for name in names(made) if name.endswith(".json")).read_bytes()
    assert msgspec.json.decode(text, type=Manifest).video == video
