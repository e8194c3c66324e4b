"""The library on a real disk: whose folder it is, records, exact release, kills at every step."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.units import ByteCount, Origin, RenditionName, video_id
from appliance.domain.video import RenditionKind
from appliance.errors import BadAnswer, BadInput, DiskError, LibraryMissing, NoSpace
from appliance.library.bytemap import playlist_text
from appliance.library.files import (
    Draft,
    fsync_files,
    load,
    load_all,
    present_names,
    read_bytemaps,
    read_side,
    save,
    used,
    write_side,
)
from appliance.library.layout import MANIFEST, MARKER, TEMPORARY, base_name, origin_folder, safe_name
from appliance.library.manifest import (
    CaptionRecord,
    Damaged,
    Manifest,
    MediaFile,
    RenditionRecord,
    SideFile,
    StoryboardRecord,
    decode,
    encode,
    identity,
    listed_names,
    to_playable,
)
from appliance.library.marker import Library
from appliance.library.release import clear_temporaries, release
from appliance.library.space import Floor, Space
from tests.media.shelf import bytemap

ORIGIN = Origin("tube.example:8443")
VIDEO = video_id(ORIGIN, "uuid-1")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "library", "ours")
    library.claim()
    return library


def rendition(name: str, size: int = 1000, **more: Any) -> RenditionRecord:
    file = MediaFile(name=f"f-{name}.mp4", size=size, url=f"https://tube.example/f-{name}.mp4")
    fields: dict[str, Any] = {
        "name": name,
        "kind": RenditionKind.HLS,
        "width": 640,
        "height": 360,
        "size": size,
        "files": (file,),
        "info_hashes": ("ab" * 20,),
        "torrent": f"t-{name}.torrent",
        "playlist": f"p-{name}.m3u8",
        "whole": True,
    }
    return RenditionRecord(**(fields | more))


def manifest(*renditions: RenditionRecord, **more: Any) -> Manifest:
    fields: dict[str, Any] = {
        "id": VIDEO,
        "origin": ORIGIN,
        "uuid": "uuid-1",
        "title": "A <b>title</b>",
        "duration": 12,
        "published_at": datetime(2026, 11, 21, tzinfo=UTC),
        "renditions": renditions or (rendition("360p"), rendition("240p", 500)),
        "captions": (CaptionRecord(language="en", label="English", file="c-en.vtt"),),
        "thumbnail": SideFile(file="thumb.jpg"),
        "storyboard": StoryboardRecord(
            file="board.jpg", total_width=10, total_height=10, tile_width=5, tile_height=5, interval=1.0
        ),
        "hashes": SideFile(file="sha256.json"),
        "master": SideFile(file="master.m3u8"),
    }
    return Manifest(**(fields | more))


def fill(library: Library, record: Manifest) -> Path:
    """Save a record and create every file it lists."""
    folder = save(library, record)
    for name in listed_names(record):
        (folder / name).write_bytes(b"x" * 100)
    return folder


def tree(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*")}


class TestMarker:
    def test_a_new_folder_is_claimed_and_stays_ours(self, tmp_path: Path) -> None:
        library = Library(tmp_path / "a" / "b", "ours")
        assert not library.present()
        library.claim()
        library.claim()
        assert library.present()
        assert tree(library.root) == {MARKER}

    def test_an_empty_disk_with_its_lost_and_found_is_claimed(self, tmp_path: Path) -> None:
        (tmp_path / "lost+found").mkdir()
        (tmp_path / f"{TEMPORARY}{MARKER}").touch()
        library = Library(tmp_path, "ours")
        library.claim()
        assert library.present()

    def test_a_folder_with_anything_in_it_is_not_claimed(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").touch()
        with pytest.raises(BadInput, match="not empty"):
            Library(tmp_path, "ours").claim()
        assert tree(tmp_path) == {"photo.jpg"}

    def test_another_seedkeeps_library_is_not_claimed(self, tmp_path: Path) -> None:
        Library(tmp_path, "theirs").claim()
        with pytest.raises(BadInput, match="another Seedkeep"):
            Library(tmp_path, "ours").claim()
        assert not Library(tmp_path, "ours").present()

    @pytest.mark.parametrize("loss", ["gone", "other", "folder"])
    def test_without_the_marker_nothing_is_written_or_deleted(self, library: Library, loss: str) -> None:
        record = manifest()
        fill(library, record)
        marker = library.root / MARKER
        marker.unlink()
        if loss == "other":
            marker.write_text("theirs")
        if loss == "folder":
            marker.mkdir()
        before = tree(library.root)
        efforts: list[Callable[[], object]] = [
            lambda: save(library, record),
            lambda: write_side(library, record, "thumb.jpg", b"x"),
            lambda: release(library, record),
            lambda: release(library, record, [RenditionName("360p")]),
            lambda: clear_temporaries(library, record),
            lambda: list(load_all(library)),
        ]
        for effort in efforts:
            with pytest.raises(LibraryMissing):
                effort()
        assert tree(library.root) == before


class TestLayout:
    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            "..",
            ".x",
            "a/b",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\x7fb",
            "‮evil",
            "a\u200bb",
            "x" * 201,
            "é" * 101,
            "video.json",
            "VIDEO.JSON",
            "a.",
            "a ",
            "\ud800",
        ],
    )
    def test_a_name_that_escapes_or_hides_is_refused(self, name: str) -> None:
        with pytest.raises(BadAnswer):
            safe_name(name)

    @pytest.mark.parametrize("name", ["a.mp4", "é" * 100, "a b.mp4", "a..b", "x" * 200])
    def test_a_plain_name_is_taken(self, name: str) -> None:
        assert safe_name(name) == name

    def test_the_name_is_the_last_step_of_an_address_decoded_once(self) -> None:
        assert base_name("https://tube.example/a/b%20c.mp4?x=/y#z") == "b c.mp4"
        assert base_name("https://tube.example/a/%252e%252e") == "%2e%2e"
        for address in ("https://tube.example/a/", "https://tube.example/%2e%2e", "http://[", "a/%2fetc"):
            with pytest.raises(BadAnswer):
                base_name(address)

    @given(st.text())
    def test_any_address_gives_a_safe_name_or_a_refusal(self, text: str) -> None:
        try:
            name = base_name(text)
        except BadAnswer:
            return
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert len(name.encode()) <= 200

    def test_origins_are_folders(self) -> None:
        assert origin_folder(Origin("tube.example:8443")) == "tube.example_8443"
        assert origin_folder(Origin("[::1]:80")) == "[__1]_80"
        for bad in ("", "..", "a/b", "a..b", ".a", "A", "a b", "é", "a" * 300):
            with pytest.raises(BadAnswer):
                origin_folder(Origin(bad))


class TestRecord:
    def test_a_record_reads_back_the_same(self, library: Library) -> None:
        record = manifest()
        folder = save(library, record)
        assert folder == library.root / "tube.example_8443" / VIDEO
        assert load(library, ORIGIN, VIDEO) == record
        assert list(load_all(library)) == [record]
        assert tree(folder) == {MANIFEST}

    def test_no_record_is_none(self, library: Library) -> None:
        assert load(library, ORIGIN, VIDEO) is None
        assert list(load_all(library)) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"id": "aaaaaaaaaaaaaaaa"},
            {"origin": "../etc"},
            {"renditions": (rendition("360p", files=(MediaFile(name="../x", size=1),)),)},
            {"renditions": (rendition("360p", torrent="/etc/passwd"),)},
            {"renditions": (rendition("360p", playlist=".seedkeep"),)},
            {"renditions": (rendition("360p"), rendition("360p"))},
            {"renditions": (rendition("360p", torrent="f-360p.mp4"),)},
            {"captions": (CaptionRecord(language="en", label="x", file="video.json"),)},
            {"thumbnail": SideFile(file="a/b")},
            {"others": ("..",)},
        ],
    )
    def test_a_record_that_escapes_or_contradicts_itself_is_neither_written_nor_read(
        self, library: Library, change: dict[str, Any]
    ) -> None:
        record = manifest(**change)
        with pytest.raises(BadAnswer):
            encode(record)
        with pytest.raises(BadAnswer):
            decode(msgspec.json.encode(record))
        with pytest.raises(BadAnswer):
            save(library, record)
        assert tree(library.root) == {MARKER}

    def test_a_record_cut_anywhere_is_damaged_not_a_traceback(self, library: Library) -> None:
        folder = save(library, manifest())
        whole = (folder / MANIFEST).read_bytes()
        for end in range(0, len(whole) - 2, 97):
            (folder / MANIFEST).write_bytes(whole[:end])
            [found] = load_all(library)
            assert isinstance(found, Damaged)
            with pytest.raises(BadAnswer):
                load(library, ORIGIN, VIDEO)

    @pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b'{"version": 2}', b"null", b"{}"])
    def test_a_hostile_record_is_damaged(self, library: Library, content: bytes) -> None:
        folder = save(library, manifest())
        (folder / MANIFEST).write_bytes(content)
        [found] = load_all(library)
        assert isinstance(found, Damaged)

    def test_a_record_in_anothers_folder_is_damaged(self, library: Library) -> None:
        folder = save(library, manifest())
        other = folder.parent / video_id(ORIGIN, "uuid-2")
        folder.rename(other)
        [found] = load_all(library)
        assert isinstance(found, Damaged)

    def test_a_link_in_the_records_place_is_not_followed(self, library: Library, tmp_path: Path) -> None:
        folder = save(library, manifest())
        (folder / MANIFEST).rename(tmp_path / "elsewhere")
        (folder / MANIFEST).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(DiskError):
            load(library, ORIGIN, VIDEO)

    def test_a_rename_keeps_the_identity_and_other_bytes_change_it(self) -> None:
        before, after = manifest(), manifest(title="renamed")
        file = before.renditions[0].files[0]
        assert identity(before, file) == identity(after, file)
        assert identity(before, file) != identity(before, msgspec.structs.replace(file, size=file.size + 1))

    def test_a_playable_has_what_is_whole_and_on_disk(self, library: Library) -> None:
        partial = rendition("240p", 500, whole=False)
        web = rendition("360p-web", kind=RenditionKind.WEB, playlist=None)
        record = manifest(rendition("360p"), partial, web)
        folder = save(library, record)
        for one in (record.renditions[0], partial):
            file = one.files[0]
            text = playlist_text(bytemap(file.name, 100, [file.size - 100]), {file.name: ByteCount(file.size)})
            write_side(library, record, f"p-{one.name}.m3u8", text.encode())
        write_side(library, record, "c-en.vtt", b"WEBVTT")
        assert tree(folder) == {MANIFEST, "c-en.vtt", "p-360p.m3u8", "p-240p.m3u8"}
        maps = read_bytemaps(library, record)
        found = to_playable(record, maps, frozenset(present_names(library, record)))
        assert [r.name for r in found.renditions] == ["360p", "360p-web"]
        assert found.renditions[0].bytemap is not None
        assert [c.file for c in found.captions] == ["c-en.vtt"]
        assert (found.thumbnail, found.storyboard) == (None, None)
        arriving = to_playable(record, maps, frozenset(), partial=True)
        assert [r.name for r in arriving.renditions] == ["360p", "240p", "360p-web"]


class TestWriting:
    def test_only_listed_side_files_are_written(self, library: Library) -> None:
        record = manifest()
        save(library, record)
        write_side(library, record, "thumb.jpg", b"jpeg")
        assert read_side(library, record, "thumb.jpg") == b"jpeg"
        assert read_side(library, record, "board.jpg") is None
        for name in ("other.jpg", "f-360p.mp4", "../x", MANIFEST):
            with pytest.raises(DiskError):
                write_side(library, record, name, b"x")

    def test_a_full_disk_is_no_space_and_leaves_the_old_file(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = manifest()
        folder = save(library, record)
        write_side(library, record, "thumb.jpg", b"old")

        def full(fd: int, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(NoSpace):
            write_side(library, record, "thumb.jpg", b"new")
        monkeypatch.undo()
        assert read_side(library, record, "thumb.jpg") == b"old"
        assert tree(folder) == {MANIFEST, "thumb.jpg"}

    async def test_a_draft_is_sparse_of_its_final_size_and_takes_pieces_in_any_order(self, library: Library) -> None:
        size = 64 * 1024 * 1024
        record = manifest(rendition("360p", size))
        folder = await asyncio.to_thread(save, library, record)
        async with Draft(library, record, "f-360p.mp4") as draft:
            await draft.write(size - 5, b"tail!")
            await draft.write(0, b"head")
            assert await draft.read(size - 5, 100) == b"tail!"
            await draft.fsync()
        async with Draft(library, record, "f-360p.mp4") as draft:
            assert await draft.read(0, 4) == b"head"
        assert os.stat(folder / "f-360p.mp4").st_size == size
        assert await asyncio.to_thread(used, library, record) <= 1024 * 1024
        await asyncio.to_thread(fsync_files, library, record, ["f-360p.mp4"])
        with pytest.raises(DiskError, match="vanished"):
            await asyncio.to_thread(fsync_files, library, record, ["f-240p.mp4"])

    @pytest.mark.parametrize("name", ["thumb.jpg", "other.mp4", "f-360p.mp4"])
    def test_a_draft_of_what_is_not_listed_or_is_a_link_is_refused(
        self, library: Library, tmp_path: Path, name: str
    ) -> None:
        record = manifest()
        folder = save(library, record)
        (tmp_path / "precious").write_bytes(b"precious")
        (folder / "f-360p.mp4").symlink_to(tmp_path / "precious")

        async def attempt() -> None:
            async with Draft(library, record, name):
                pass

        with pytest.raises(DiskError):
            asyncio.run(attempt())
        assert (tmp_path / "precious").read_bytes() == b"precious"

    async def test_a_draft_whose_opening_is_cancelled_leaves_no_file_open(self, library: Library) -> None:
        record = manifest()
        await asyncio.to_thread(save, library, record)
        for _ in range(20):
            opening = asyncio.create_task(Draft(library, record, "f-360p.mp4").__aenter__())
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        await asyncio.get_running_loop().shutdown_default_executor()

    async def test_a_write_whose_caller_gave_up_never_lands_in_another_file(
        self, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = manifest()
        folder = await asyncio.to_thread(save, library, record)
        begun, go_on, real = threading.Event(), threading.Event(), os.pwrite

        def slow(fd: int, data: bytes, offset: int) -> int:
            begun.set()
            assert go_on.wait(10)
            return real(fd, data, offset)

        monkeypatch.setattr(os, "pwrite", slow)
        draft = await Draft(library, record, "f-360p.mp4").__aenter__()
        writing = asyncio.create_task(draft.write(0, b"media"))
        assert await asyncio.to_thread(begun.wait, 10)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        leaving = asyncio.create_task(draft.__aexit__())
        await asyncio.sleep(0)
        other = await asyncio.to_thread(open, tmp_path / "precious", "w+b")
        go_on.set()
        await leaving
        assert os.stat(tmp_path / "precious").st_size == 0
        assert (await asyncio.to_thread((folder / "f-360p.mp4").read_bytes))[:5] == b"media"
        other.close()
        with pytest.raises(DiskError, match="closed"):
            await draft.write(0, b"late")


class TestRelease:
    def test_everything_listed_goes_with_the_empty_folders(self, library: Library) -> None:
        record = manifest()
        fill(library, record)
        done = release(library, record)
        assert done.files == len(listed_names(record))
        assert done.left == ()
        assert tree(library.root) == {MARKER}
        assert release(library, record).files == 0

    def test_what_is_not_listed_stays(self, library: Library, tmp_path: Path) -> None:
        record = manifest()
        folder = fill(library, record)
        (folder / "holiday.mp4").write_bytes(b"mine")
        (tmp_path / "precious").write_bytes(b"precious")
        (folder / "thumb.jpg").unlink()
        (folder / "thumb.jpg").symlink_to(tmp_path / "precious")
        (folder / "board.jpg").unlink()
        (folder / "board.jpg").mkdir()
        (folder / f"{TEMPORARY}thumb.jpg").write_bytes(b"half")
        done = release(library, record)
        assert done.left == ("board.jpg", "holiday.mp4", "thumb.jpg")
        assert set(os.listdir(folder)) == set(done.left)
        assert (tmp_path / "precious").read_bytes() == b"precious"
        assert load(library, ORIGIN, VIDEO) is None

    @pytest.mark.parametrize("level", ["origin", "video"])
    def test_a_folder_that_is_a_link_is_not_entered(self, library: Library, tmp_path: Path, level: str) -> None:
        record = manifest()
        folder = fill(library, record)
        link = folder if level == "video" else folder.parent
        link.rename(tmp_path / "moved")
        link.symlink_to(tmp_path / "moved")
        before = tree(tmp_path / "moved")
        with pytest.raises(DiskError):
            release(library, record)
        assert tree(tmp_path / "moved") == before

    def test_a_part_leaves_the_rest_and_what_is_shared(self, library: Library) -> None:
        shared = rendition("240p", 500, files=(MediaFile(name="f-360p.mp4", size=1000),))
        record = manifest(rendition("360p"), shared)
        folder = fill(library, record)
        release(library, record, [RenditionName("360p")])
        rest = load(library, ORIGIN, VIDEO)
        assert rest is not None
        assert [r.name for r in rest.renditions] == ["240p"]
        assert set(os.listdir(folder)) == listed_names(rest) | {MANIFEST}
        assert "f-360p.mp4" in os.listdir(folder)

    def test_what_a_kill_left_unfinished_is_deleted_and_nothing_else(self, library: Library) -> None:
        folder = fill(library, manifest())
        present = {library.root / "note.txt", folder / "x.mp4", folder.parent / "y", folder / f"{TEMPORARY}z"}
        for path in present:
            path.touch()
        assert clear_temporaries(library, manifest()) == 1
        assert [path for path in present if not path.exists()] == [folder / f"{TEMPORARY}z"]

    def test_killed_after_any_step_it_is_finished_by_doing_it_again(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = manifest()
        steps = len(listed_names(record)) + 1
        real = os.unlink
        for survive in range(steps):
            folder = fill(library, record)
            (library.root / "keep.txt").write_text("keep")
            left = survive

            def killed(name: Any, *, dir_fd: int | None = None) -> None:
                nonlocal left
                if left == 0:
                    raise KeyboardInterrupt
                left -= 1
                real(name, dir_fd=dir_fd)

            monkeypatch.setattr(os, "unlink", killed)
            with pytest.raises(KeyboardInterrupt):
                release(library, record)
            monkeypatch.undo()
            assert load(library, ORIGIN, VIDEO) == record, "the record goes last"
            assert len(os.listdir(folder)) == steps - survive
            release(library, record)
            assert tree(library.root) == {MARKER, "keep.txt"}

    def test_killed_while_a_part_is_released_the_record_still_lists_what_may_be_there(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = manifest()
        folder = fill(library, record)
        real = os.replace

        def killed(*names: object, **folders: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            release(library, record, [RenditionName("360p")])
        monkeypatch.setattr(os, "replace", real)
        assert load(library, ORIGIN, VIDEO) == record
        assert set(os.listdir(folder)) - {f"{TEMPORARY}{MANIFEST}"} <= listed_names(record) | {MANIFEST}
        release(library, record, [RenditionName("360p")])
        rest = load(library, ORIGIN, VIDEO)
        assert rest is not None
        assert [r.name for r in rest.renditions] == ["240p"]


class TestSpace:
    def test_the_floor_is_the_larger_of_bytes_and_percent(self) -> None:
        floor = Floor(ByteCount(2000), 5.0)
        assert floor.on(10_000) == 2000
        assert floor.on(100_000) == 5000

    async def test_room_ends_at_the_floor(self, tmp_path: Path) -> None:
        space = Space(tmp_path, Floor(ByteCount(0), 0.0))
        disk = await space.disk(ByteCount(7))
        assert 0 < disk.free <= disk.total
        assert (disk.floor, disk.used) == (0, 7)
        await space.require(ByteCount(1))
        space.reconfigure(Floor(ByteCount(disk.total), 0.0))
        assert await space.room() == 0
        with pytest.raises(NoSpace):
            await space.require(ByteCount(1))

    async def test_a_disk_that_is_not_there_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(DiskError):
            await Space(tmp_path / "none", Floor(ByteCount(0), 0.0)).room()
