"""Media made to cost: what a hostile file or origin can take of time and memory for a film is bounded."""

import asyncio
import itertools
import os
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from appliance.domain.shelf import ByteMap, NotPlayable, PlayableFile, Segment
from appliance.domain.units import ByteCount
from appliance.serve.film import films, indexed, refusals
from appliance.serve.film.at_hand import MOST, AtHand
from appliance.serve.film.boxes import NoRoom, full, made
from appliance.serve.film.classic import classic_layout, disk_reader
from appliance.serve.film.films import Film, Form
from appliance.serve.film.indexed import Renumbering
from appliance.serve.film.layout import Footage, Layout
from appliance.serve.film.reels import strip_of
from appliance.serve.film.size import film_offer
from appliance.serve.source import MediaPool
from tests.media.filming import cinema, shelf
from tests.media.test_film_boxes import NOT_SYNC, SYNC, U32, Hand, both, classic, moof, traf, trun
from tests.world.media import Layout as Cut
from tests.world.media import Recipe
from tests.world.media import made as made_film

_EMPTY = struct.pack(">I4s", 8, b"moof")
_MOST = 0xFFFF_FFFF_FFFF_FFFF


def test_a_day_of_a_thousand_pictures_a_second_makes_no_room_for_what_a_file_only_claims() -> None:
    hand = Hand()
    hand.segment(moof(traf(0x20000, b"", trun(0x1, 20_000_000, 100), time=0)), b"x" * 20)
    tracemalloc.start()
    try:
        with pytest.raises(NotPlayable, match="more pictures"):
            classic(replace(hand.rendition(), fps=1000.0), hand.data, 30 * 86_400)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_all_tracks_of_a_film_share_its_room() -> None:
    hand = Hand()
    for _ in range(4):
        hand.segment(moof(traf(0x20000, b"", trun(0x1, 3_000_000, 100), time=0)), b"x" * 20)
    with pytest.raises(NotPlayable, match="more pictures"):
        classic(replace(hand.rendition(), fps=1000.0), hand.data, 86_400)


def test_samples_that_are_all_different_take_a_few_times_the_bytes_that_tell_them() -> None:
    hand, count = Hand(), 20_000
    rows = (word for n in range(count) for word in (40 + n % 2, 10 + n % 7, SYNC if n % 2 else NOT_SYNC, n % 4))
    hand.segment(moof(traf(0x20000, b"", trun(0xF01, count, 100, *rows), time=0)), b"x" * 20)
    data, rendition = hand.data, replace(hand.rendition(), fps=1000.0)
    tracemalloc.start()
    try:
        classic(rendition, data, 3600)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(data)
    finally:
        tracemalloc.stop()


def test_fragments_with_nothing_in_them_are_not_read_for_ever() -> None:
    hand = Hand()
    whole = moof(traf(0x20000, b"", trun(0x1, 1, 100), time=0)) + made(b"mdat", b"x" * 20)
    hand.segment(whole[:-28], b"x" * 20)
    hand._parts[0] += _EMPTY * 20_000
    with pytest.raises(NotPlayable, match="more pictures"):
        classic(hand.rendition(), hand.data)


@pytest.mark.parametrize("scale", [1, 0xFFFF_FFFF])
@pytest.mark.parametrize("times", [(_MOST, _MOST), (0, _MOST), (5, 5), (1 << 62, 1 << 62)])
def test_no_time_is_too_large_to_be_refused_in_a_sentence(scale: int, times: tuple[int, int]) -> None:
    lists = (
        b"",
        _edits((_MOST, -1)),
        _edits((0, (1 << 63) - 1)),
        _edits(*[(_MOST, -1)] * 50),
    )
    for edits, shift in itertools.product(lists, (0, 0x7FFF_FFFF, 0x8000_0000)):
        hand = Hand(scale=scale, edits=edits, trex=(0, 10, 0))
        for time in times:
            run = trun(0x801, 5, 100, *[shift] * 5, version=1)
            hand.segment(moof(traf(0x20000, b"", run, time=time)), b"x" * 50)
        both(hand.rendition(), hand.data)


def _edits(*rows: tuple[int, int]) -> bytes:
    lines = (struct.pack(">QqI", *row, 1 << 16) for row in rows)
    return made(b"edts", full(b"elst", 1, 0, U32.pack(len(rows)), *lines))


async def test_a_segment_of_half_a_million_boxes_is_rewritten_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[bool] = []

    def seen(data: bytes, renumbering: Renumbering) -> bytes:
        here.append(_on_the_loop())
        return indexed.mended(data, renumbering)

    monkeypatch.setattr(films, "mended", seen)
    data = struct.pack(">I4s", 8, b"free") * 1000
    hand = Hand()
    hand.segment(b"", b"")
    (file,) = hand.rendition().files
    film = Film("one", "video/mp4", Layout([]), {file.name: Renumbering(((1, 2),))})
    assert await film.mended(Footage(file, 0, len(data), mended=True), _Bytes(data)) == data
    assert here == [False]
    assert film.weight == len(data)


class _Bytes:
    """A source of these bytes."""

    def __init__(self, data: bytes, closed: list[str] | None = None) -> None:
        self._data, self._closed = data, closed if closed is not None else []

    async def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    async def close(self) -> None:
        self._closed.append("closed")


def _on_the_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def test_an_index_over_very_many_segments_is_made_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[bool] = []
    for name in ("strip_of", "indexed_layout"):
        real = getattr(films, name)

        def seen(*given: object, real: object = real) -> object:
            here.append(_on_the_loop())
            assert callable(real)
            return real(*given)

        monkeypatch.setattr(films, name, seen)
    hand = Hand()
    hand.segment(moof(traf(0x20000, b"", trun(0x1, 1, 100), time=0)), b"x" * 20)
    rendition, data = hand.rendition(), hand.data
    pool = MediaPool()
    try:
        order = films._Order(None, (rendition,), film_offer(rendition, (rendition,), 9).size, "video/mp4")  # type: ignore[arg-type]

        async def open_file(*_: object) -> _Bytes:
            return _Bytes(data)

        film = await films.Films(None, pool)._build(order, Form.INDEXED, open_file)  # type: ignore[arg-type]
        assert film.layout.size == order.size
    finally:
        pool.close()
    assert here == [False, False]


def test_a_film_of_very_many_files_opens_few_of_them_at_once(tmp_path: Path) -> None:
    files = [PlayableFile(f"{n}.m4s", ByteCount(1 + n % 3), f"{n}") for n in range(3 * MOST)]
    for file in files:
        (tmp_path / file.name).write_bytes(file.name[: file.size].encode())
    before = len(os.listdir("/proc/self/fd"))
    with AtHand({file: tmp_path / file.name for file in files}) as descriptors:
        read, soon = disk_reader(descriptors)
        for file in [*files, *files[:3]]:
            soon(file, 0)
            assert read(file, 0, file.size) == file.name[: file.size].encode()
        assert len(os.listdir("/proc/self/fd")) <= before + MOST
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_file_is_closed_once_where_the_next_cannot_be_opened() -> None:
    hand = Hand()
    hand.segment(moof(traf(0x20000, b"", trun(0x1, 1, 100), time=0)), b"x" * 20)
    rendition, data = hand.rendition(), hand.data
    whole = rendition.bytemap
    assert whole is not None
    (file,) = rendition.files
    part = replace(file, name="part.mp4")
    cut = replace(whole, segments=tuple(replace(s, file=part.name) for s in whole.segments))
    strip = strip_of(replace(rendition, files=(file, part), bytemap=cut))
    closed: list[str] = []

    async def open_file(wanted: PlayableFile, _: int) -> _Bytes:
        if wanted is part:
            raise NotPlayable("file_missing", "It is not there.")
        return _Bytes(data, closed)

    with pytest.raises(NotPlayable, match="not there"):
        await films._opening(strip, open_file)
    assert closed == ["closed"]


async def test_very_many_files_end_to_end_are_joined_once_and_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[bool] = []
    real = films._joined

    def seen(order: films._Order) -> Layout:
        here.append(_on_the_loop())
        return real(order)

    monkeypatch.setattr(films, "_joined", seen)
    files = tuple(PlayableFile(f"{n}.ts", ByteCount(188), f"{n}") for n in range(100))
    cut = ByteMap(None, tuple(Segment(4.0, f.name, ByteCount(0), f.size) for f in files), 4)
    rendition = replace(Hand().rendition(), files=files, bytemap=cut, size=ByteCount(18_800))
    playable = SimpleNamespace(video="v", renditions=(rendition,), duration=400)
    pool = MediaPool()
    try:
        cinema = films.Films(None, pool)  # type: ignore[arg-type]
        first, again = [await cinema.film(playable, rendition, viewer, None) for viewer in ("tv", "phone")]  # type: ignore[arg-type]
    finally:
        pool.close()
    assert first is again
    assert (here, first.layout.size) == ([False], 18_800)


@pytest.mark.parametrize("arriving", [False, True], ids=["held", "arriving"])
async def test_a_file_of_which_no_film_can_be_made_is_read_once_until_it_is_another_or_time_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arriving: bool
) -> None:
    tried = []

    def counted(build: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any) -> Any:
            tried.append(build)
            return build(*arguments)

        return counting

    monkeypatch.setattr(films, "classic_layout", counted(classic_layout))
    monkeypatch.setattr(films, "_all_openings", counted(films._all_openings))
    place = shelf(made_film(Recipe(Cut.MUXED, (360,), 9, segment=2)), arriving=arriving)
    (rendition,) = place.playing.renditions
    (file,) = rendition.files
    (tmp_path / file.name).write_bytes(b"\0" * file.size)
    place.folder = tmp_path
    async with cinema(place, "360p.mp4") as shown, httpx.AsyncClient() as client:
        answers = [await client.get(shown.url) for _ in range(3)]
        assert [a.status_code for a in answers] == [415] * 3
        assert len({a.text for a in answers}) == 1
        assert len(tried) == 1
        monkeypatch.setattr(refusals, "SECONDS", 0.0)
        other = replace(rendition, files=(replace(file, identity="another"),))
        place.playing = replace(place.playing, renditions=(other,))
        for _ in range(2):
            assert (await client.get(shown.url)).status_code == 415
        assert len(tried) == 3


async def test_what_may_pass_is_not_held_against_a_film_and_refusals_do_not_pile_up() -> None:
    noted = refusals.Refusals()
    noted.note("disk", NotPlayable("file_unreadable", "The disk.", status=503))
    noted.check("disk")
    for k in range(refusals.MOST + 1):
        noted.note(k, NoRoom("bad_media", "No.", "", 415))
    noted.check(0)
    with pytest.raises(NoRoom):
        noted.check(1)
