"""Hostile media: whatever a file says of itself, a film of it is refused in a sentence or keeps to its size."""

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from appliance.domain.shelf import ByteMap, NotPlayable, PlayableFile, PlayableRendition, Segment
from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import RenditionKind
from appliance.serve.film.boxes import full, made
from appliance.serve.film.classic import classic_layout
from appliance.serve.film.fragments import Want, next_moof, read_moof
from appliance.serve.film.indexed import Opening, indexed_layout
from appliance.serve.film.layout import Blank, Footage, Layout, Text
from appliance.serve.film.reels import strip_of
from appliance.serve.film.size import film_size, room
from tests.media.filming import renditions
from tests.world.media import Layout as Kind
from tests.world.media import Recipe
from tests.world.media import made as make_media

U32 = struct.Struct(">I")


@cache
def original() -> tuple[PlayableRendition, bytes]:
    video = make_media(Recipe(Kind.MUXED, (360,), 9, segment=2))
    return renditions(video)[0], video.path(video.files[0].parts[0]).read_bytes()


def classic(rendition: PlayableRendition, data: bytes, duration: int = 9) -> Layout:
    def read(file: PlayableFile, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= file.size
        return data[offset : offset + length]

    size = film_size(rendition, None, duration)
    layout = classic_layout([strip_of(rendition)], size, read, lambda *_: None)
    assert layout.size == size
    return layout


def indexed(rendition: PlayableRendition, data: bytes, duration: int = 9) -> Layout:
    strip = strip_of(rendition)
    first = strip.segments[0]
    head = data[first.offset : first.offset + first.length]
    moof = next_moof(head, 0, 0, first.length)
    if moof is None or isinstance(moof, Want):
        raise NotPlayable("bad_media", "There is no fragment.")
    opening = Opening(data[strip.init.offset : strip.init.offset + strip.init.length], head, moof)
    size = film_size(rendition, None, duration)
    layout, _ = indexed_layout([strip], [opening], size)
    assert layout.size == size
    return layout


def front(layout: Layout) -> bytes:
    (text, *_) = layout.stretches
    assert isinstance(text, Text)
    return text.data


def both(rendition: PlayableRendition, data: bytes) -> None:
    for build in (classic, indexed):
        refusal: NotPlayable | None = None
        try:
            build(rendition, data)
        except NotPlayable as found:
            refusal = found
        assert refusal is None or (refusal.message.endswith(".") and refusal.status in (404, 415))


heads = st.integers(0, 5000)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(heads, st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_bytes_changed_anywhere_in_the_heads_never_break_more_than_the_film(changes: list[tuple[int, bytes]]) -> None:
    rendition, data = original()
    broken = bytearray(data)
    for at, new in changes:
        broken[at : at + len(new)] = new
    both(rendition, bytes(broken))


@pytest.mark.trial
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(heads, st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_very_many_changes_never_break_more_than_the_film(changes: list[tuple[int, bytes]]) -> None:
    rendition, data = original()
    broken = bytearray(data)
    for at, new in changes:
        broken[at : at + len(new)] = new
    both(rendition, bytes(broken))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6000), st.binary(max_size=300))
@example(0, b"")
@example(0, U32.pack(8) + b"moof")
def test_a_file_cut_off_and_gone_on_with_anything_is_refused_or_plays(keep: int, rest: bytes) -> None:
    rendition, data = original()
    both(rendition, (data[:keep] + rest).ljust(len(data), b"\0"))


def test_a_run_of_four_milliards_of_samples_takes_no_memory() -> None:
    rendition, data = original()
    at = data.index(b"trun", data.index(b"moof")) + 4
    broken = bytearray(data)
    broken[at : at + 8] = U32.pack(1) + U32.pack(0xFFFF_FFFF)
    with pytest.raises(NotPlayable, match="more pictures than its length"):
        classic(rendition, bytes(broken))


# What fragments may say that an origin's today do not: made by hand


class Hand:
    """A fragmented file of one track, made box by box; each sample has 10 bytes of its own kind."""

    def __init__(self, *, scale: int = 1000, edits: bytes = b"", trex: tuple[int, int, int] = (40, 10, 0)) -> None:
        self._parts: list[bytes] = []
        stbl = made(b"stbl", full(b"stsd", 0, 0, U32.pack(1), made(b"avc1", bytes(78))))
        mdhd = full(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, scale, 0, 0, 0))
        hdlr = full(b"hdlr", 0, 0, bytes(4), b"vide", bytes(13))
        mdia = made(b"mdia", mdhd, hdlr, made(b"minf", stbl))
        tkhd = full(b"tkhd", 0, 3, struct.pack(">5I", 0, 0, 7, 0, 0), bytes(60))
        mvhd = full(b"mvhd", 0, 0, struct.pack(">4I", 0, 0, 1000, 0), bytes(80))
        mvex = made(b"mvex", full(b"trex", 0, 0, struct.pack(">5I", 7, 1, *trex)))
        self.init = made(b"ftyp", b"iso5\0\0\0\0iso5") + made(b"moov", mvhd, made(b"trak", tkhd, edits, mdia), mvex)

    def segment(self, moof: bytes, data: bytes) -> None:
        self._parts.append(moof + made(b"mdat", data))

    @property
    def data(self) -> bytes:
        return self.init + b"".join(self._parts)

    @property
    def at(self) -> int:
        """Where the next segment begins."""
        return len(self.data)

    def rendition(self) -> PlayableRendition:
        offset, segments = len(self.init), []
        for part in self._parts:
            segments.append(Segment(1.0, "hand.mp4", ByteCount(offset), ByteCount(len(part))))
            offset += len(part)
        whole = ByteMap(Segment(0, "hand.mp4", ByteCount(0), ByteCount(len(self.init))), tuple(segments), 1)
        file = PlayableFile("hand.mp4", ByteCount(offset), "by hand")
        return PlayableRendition(
            RenditionName("1p"), RenditionKind.HLS, 1, 1, 30.0, True, False, file.size, (file,), whole
        )

    def tables(self) -> dict[str, list[tuple[int, ...]]]:
        """Build the classic film; return its tables, positions as the bytes that lie there."""
        layout = classic(self.rendition(), self.data, 10)
        return dict(_tables(front(layout), layout, self.data))


def moof(*trafs: bytes) -> bytes:
    return made(b"moof", full(b"mfhd", 0, 0, U32.pack(1)), *trafs)


def traf(flags: int, rest: bytes, *inner: bytes, time: int | None = None) -> bytes:
    clock = b"" if time is None else full(b"tfdt", 1, 0, struct.pack(">Q", time))
    return made(b"traf", full(b"tfhd", 0, flags, U32.pack(7), rest), clock, *inner)


def trun(flags: int, samples: int, *words: int, version: int = 0) -> bytes:
    return full(b"trun", version, flags, U32.pack(samples), *(U32.pack(w & 0xFFFF_FFFF) for w in words))


def _tables(moov: bytes, layout: Layout, data: bytes) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    forms = {"stts": ">II", "ctts": ">Ii", "stss": ">I", "stsc": ">III", "stco": ">I", "elst": ">IiI"}
    for kind, form in forms.items():
        at = moov.find(kind.encode())
        if at < 0:
            continue
        count = U32.unpack_from(moov, at + 8)[0]
        rows = [struct.unpack_from(form, moov, at + 12 + n * struct.calcsize(form)) for n in range(count)]
        if kind == "stco":
            rows = [(_byte(layout, data, row[0]),) for row in rows]
        yield kind, rows
    at = moov.index(b"stsz")
    count = U32.unpack_from(moov, at + 12)[0]
    yield "stsz", [U32.unpack_from(moov, at + 16 + 4 * n) for n in range(count)]
    yield "mdhd", [struct.unpack_from(">II", moov, moov.index(b"mdhd") + 16)]


def _byte(layout: Layout, data: bytes, position: int) -> int:
    place = layout.at(position)
    assert isinstance(place.stretch, Footage)
    return data[place.stretch.offset + place.within]


NOT_SYNC, SYNC = 0x01010000, 0x02000000


def test_times_sizes_flags_and_shifts_of_each_sample_come_over() -> None:
    hand = Hand()
    rows = [(40, 3, SYNC, 80), (40, 4, NOT_SYNC, -40), (50, 5, NOT_SYNC, 0)]
    run = trun(0xF01, 3, 0, *(word for row in rows for word in row), version=1)
    size = len(moof(traf(0x20000, b"", run, time=0)))
    run = trun(0xF01, 3, size + 8, *(word for row in rows for word in row), version=1)
    hand.segment(moof(traf(0x20000, b"", run, time=0)), b"abc" + b"defg" + b"hijkl")
    found = hand.tables()
    assert found["stts"] == [(2, 40), (1, 50)]
    assert found["ctts"] == [(1, 80), (1, -40), (1, 0)]
    assert found["stss"] == [(1,)]
    assert found["stsz"] == [(3,), (4,), (5,)]
    assert found["stco"] == [(ord("a"),)]
    assert found["mdhd"] == [(1000, 130)]


def test_several_runs_follow_one_another_and_a_first_sample_may_differ() -> None:
    hand = Hand(trex=(40, 2, NOT_SYNC))
    bare = moof(traf(0, b"", trun(0x5, 2, 0, SYNC), trun(0x200, 2, 3, 4), trun(0, 1), time=0))
    runs = trun(0x5, 2, len(bare) + 8, SYNC), trun(0x200, 2, 3, 4), trun(0, 1)
    hand.segment(moof(traf(0, b"", *runs, time=0)), b"aa" + b"bb" + b"ccc" + b"dddd" + b"ee")
    found = hand.tables()
    assert found["stco"] == [(ord("a"),), (ord("c"),), (ord("e"),)]
    assert found["stsc"] == [(1, 2, 1), (3, 1, 1)]
    assert found["stsz"] == [(2,), (2,), (3,), (4,), (2,)]
    assert found["stss"] == [(1,)]
    assert found["stts"] == [(5, 40)]


def test_a_place_counted_from_the_files_beginning_is_moved_or_refused() -> None:
    hand = Hand()
    head = len(moof(traf(1, bytes(8), trun(0, 1))))
    place = struct.pack(">Q", hand.at + head + 8 + 1)
    hand.segment(moof(traf(1, place, trun(0, 1))), b".x")
    assert hand.tables()["stco"] == [(ord("x"),)]
    with pytest.raises(NotPlayable, match="count from the file's beginning"):
        indexed(hand.rendition(), hand.data, 10)


@pytest.mark.parametrize(
    ("times", "durations"),
    [
        ([0, 80], [(4, 40)]),
        ([0, 100], [(1, 40), (1, 60), (2, 40)]),
        ([0, 70], [(1, 40), (1, 30), (2, 40)]),
        ([0, 10], [(1, 40), (1, 0), (2, 40)]),
        ([5000, 5080], [(4, 40)]),
    ],
    ids=["close", "a gap", "an overlap", "a long overlap", "a late beginning"],
)
def test_a_gap_between_fragments_lengthens_the_last_sample(
    times: Sequence[int], durations: list[tuple[int, int]]
) -> None:
    hand = Hand()
    for time in times:
        size = len(moof(traf(0x20000, b"", trun(1, 2, 0), time=time)))
        hand.segment(moof(traf(0x20000, b"", trun(1, 2, size + 8), time=time)), bytes(20))
    found = hand.tables()
    assert found["stts"] == durations
    if times[0]:
        assert found["elst"] == [(5000, -1, 1 << 16), (160, 0, 1 << 16)]
    else:
        assert "elst" not in found


def test_an_edit_that_lasts_to_the_end_is_given_its_length() -> None:
    elst = full(b"elst", 0, 0, U32.pack(2), struct.pack(">IiIIiI", 21, -1, 1 << 16, 0, 40, 1 << 16))
    hand = Hand(edits=made(b"edts", elst))
    size = len(moof(traf(0x20000, b"", trun(1, 3, 0), time=0)))
    hand.segment(moof(traf(0x20000, b"", trun(1, 3, size + 8), time=0)), bytes(30))
    assert hand.tables()["elst"] == [(21, -1, 1 << 16), (80, 40, 1 << 16)]


def test_a_film_of_more_than_four_gigabytes_has_long_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.serve.film.classic.LARGEST_SMALL", 1000)
    rendition, data = original()
    moov = front(classic(rendition, data))
    assert moov.count(b"co64") == 2
    assert b"stco" not in moov


@given(
    st.sampled_from([0.0, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0, 120.0, float("inf"), float("nan")]),
    st.integers(0, 100_000),
    st.booleans(),
)
def test_the_room_for_an_index_depends_on_nothing_that_two_places_round_differently(
    fps: float, duration: int, sound: bool
) -> None:
    rendition, _ = original()
    held = PlayableRendition(
        rendition.name, rendition.kind, 1, 1, fps, True, sound, ByteCount(1), rendition.files, None
    )
    same = PlayableRendition(
        rendition.name, rendition.kind, 1, 1, float(round(fps)) if 0 < fps < 1000 else fps, True, sound,
        ByteCount(1), rendition.files, None,
    )  # fmt: skip
    assert room(held, None, duration) == room(same, None, duration) >= 64 * 1024


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=40), st.data())
def test_a_layout_finds_every_byte(parts: list[tuple[int, int]], data: st.DataObject) -> None:
    file = PlayableFile("f", ByteCount(10_000), "f")
    stretches: list[Text | Blank | Footage] = []
    expected: list[tuple[str, int]] = []
    for form, length in parts:
        first = data.draw(st.integers(0, 5000)) if form == 2 else 0
        choice: tuple[Text | Blank | Footage, ...] = Text(bytes(range(length))), Blank(length), Footage(file, 0, 0)
        stretches.append(choice[form] if form < 2 else Footage(file, first, length))
        expected += [(("text", "blank", "file")[form], first + n) for n in range(length)]
    layout = Layout(stretches)
    assert layout.size == len(expected)
    for position, (kind, where) in enumerate(expected):
        place = layout.at(position)
        match place.stretch:
            case Text(text):
                assert (kind, text[place.within]) == ("text", where)
            case Blank():
                assert kind == "blank"
            case Footage():
                assert (kind, place.stretch.offset + place.within) == ("file", where)
    for outside in (-1, layout.size):
        with pytest.raises(NotPlayable):
            layout.at(outside)


def test_fragments_that_look_alike_are_read_at_once_to_the_same_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    rendition, data = original()
    fast = front(classic(rendition, data))
    calls: list[int] = []
    monkeypatch.setattr("appliance.serve.film.classic.mould_of", lambda *_: calls.append(1))
    assert front(classic(rendition, data)) == fast
    slow = len(calls)
    calls.clear()
    monkeypatch.undo()
    monkeypatch.setattr("appliance.serve.film.classic.read_moof", _counting(calls))
    assert front(classic(rendition, data)) == fast
    assert len(calls) < slow


def _counting(calls: list[int]) -> Callable[..., None]:
    def read(*arguments: Any) -> None:
        calls.append(1)
        read_moof(*arguments)

    return read
