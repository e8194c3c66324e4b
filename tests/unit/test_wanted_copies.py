"""Which videos get a copy for televisions, made of what, and which copies go: the rules, apart from any file."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.shelf import PlayableFile, PlayableRendition
from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.domain.video import RenditionKind
from appliance.library.copies import Copy
from appliance.serve.insides import Insides
from appliance.serve.television import familiar, playable_by_tv
from appliance.serve.wanted_copies import (
    MACHINE,
    SCREEN,
    Recipe,
    Wanted,
    may_try,
    orders,
    recipe,
    resting,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("codecs", "height", "fps", "plays"),
    [
        ("avc1.64001f,mp4a.40.2", 720, 30, True),
        ("avc1.640028,mp4a.40.2", 1080, 29.97, True),
        ("avc1.42c01e,mp4a.40.5", 360, 25, True),
        ("avc1.640029", 720, 60, True),
        ("avc1.640029,mp4a.40.2", 1080, 60, False),
        ("avc1.64001f,mp4a.40.2", 2160, 25, False),
        ("avc1.640033,mp4a.40.2", 1080, 25, False),
        ("avc1.6e0028,mp4a.40.2", 1080, 25, False),
        ("avc1.7a0028,mp4a.40.2", 1080, 25, False),
        ("avc1.f40028,mp4a.40.2", 1080, 25, False),
        ("avc1.64001f,Opus", 720, 30, False),
        ("avc1.64001f,ac-3", 720, 30, False),
        ("vp09.00.10.08,Opus", 720, 30, False),
        ("hvc1.1.6.L93.B0,mp4a.40.2", 720, 30, False),
        ("av01.0.04M.08,mp4a.40.2", 360, 30, False),
        ("mp4a.40.2", 0, 0, True),
        ("", 720, 30, False),
        ("avc1.64001g", 720, 30, False),
        ("avc1", 720, 30, False),
    ],
)
def test_a_common_television_plays_h264_of_8_bits_to_level_41_with_aac(
    codecs: str, height: int, fps: float, plays: bool
) -> None:
    assert playable_by_tv(codecs, height, fps) is plays


def test_televisions_know_a_codec_whatever_the_size_and_rate() -> None:
    assert familiar("avc1.640033,mp4a.40.2")
    for codecs in ("avc1.6e0028,mp4a.40.2", "avc1.640028,Opus", "hvc1.1.6.L93.B0", ""):
        assert not familiar(codecs)


def of(
    height: int, fps: float = 25, *, audio: bool = True, video: bool = True, size: int = 1_000_000
) -> PlayableRendition:
    name = f"{height}p" if video else "audio"
    return PlayableRendition(
        RenditionName(name),
        RenditionKind.HLS,
        height * 16 // 9 if video else 0,
        height if video else 0,
        fps,
        video,
        audio,
        ByteCount(size),
        (PlayableFile(f"{name}.mp4", ByteCount(size), f"id {name} {size}"),),
        None,
    )


def made_of(*parts: tuple[PlayableRendition, Insides], seconds: int = 100) -> Recipe | None:
    return recipe([r for r, _ in parts], {r.name: inside for r, inside in parts}, seconds)


VP9, HEVC, H264 = "vp09.00.40.08,Opus", "hvc1.1.6.L93.B0,mp4a.40.2", "avc1.64001f,mp4a.40.2"


def test_one_rendition_that_plays_is_enough() -> None:
    assert made_of((of(2160), Insides(VP9)), (of(240), Insides(H264, 2))) is None
    assert (
        made_of((of(720, audio=False), Insides("avc1.64001f")), (of(0, video=False), Insides("mp4a.40.2", 2))) is None
    )


def test_a_video_without_pictures_and_one_of_which_nothing_can_be_read_get_none() -> None:
    assert made_of((of(0, video=False), Insides("Opus"))) is None
    assert recipe([of(720)], {}, 100) is None


def test_the_tallest_within_1080_lines_is_made_anew_else_the_smallest_above() -> None:
    made = made_of((of(2160), Insides(VP9)), (of(1080), Insides(VP9)), (of(360), Insides(VP9)))
    assert made is not None
    assert made.pictures.name == "1080p"
    assert not made.copy_pictures
    made = made_of((of(2160), Insides(VP9)), (of(1440), Insides(VP9)))
    assert made is not None
    assert (made.pictures.name, made.width, made.height) == ("1440p", 1920, 1080)


def test_pictures_that_play_are_taken_over_with_new_sound_even_where_others_are_taller() -> None:
    made = made_of((of(1080), Insides(VP9)), (of(480), Insides("avc1.64001e,Opus")))
    assert made is not None
    assert (made.pictures.name, made.copy_pictures, made.copy_sound) == ("480p", True, False)


def test_sound_that_plays_is_taken_over_unless_it_has_more_than_two_channels() -> None:
    for channels, taken in ((2, True), (1, True), (0, True), (6, False)):
        made = made_of((of(720), Insides(HEVC, channels)))
        assert made is not None
        assert made.copy_sound is taken
    apart = made_of((of(720, audio=False), Insides("hvc1.1.6.L93.B0")), (of(0, video=False), Insides("mp4a.40.2", 2)))
    assert apart is not None
    assert apart.sound is not None
    assert apart.copy_sound


def test_the_rate_is_halved_until_level_41_allows_it() -> None:
    for height, fps, rate in ((1080, 60, 30), (1080, 59.94, 29.97), (1080, 25, None), (720, 60, None), (2160, 120, 30)):
        made = made_of((of(height, fps), Insides(VP9)))
        assert made is not None
        assert made.rate == rate


def test_other_bytes_are_another_source() -> None:
    one, other = made_of((of(720), Insides(VP9))), made_of((of(720, size=1_000_001), Insides(VP9)))
    assert one is not None
    assert other is not None
    assert one.source != other.source


def wanted(n: int, size: int, hours: float = 0, *, barred: bool = False) -> Wanted:
    return Wanted(VideoId(f"v{n}"), "s", ByteCount(size), NOW + timedelta(hours=hours), barred)


def copy(n: int, size: int, source: str = "s") -> Copy:
    return Copy(VideoId(f"v{n}"), source, n, ByteCount(size), float(n))


def test_the_most_recently_watched_is_made_first_and_others_wait() -> None:
    told = orders([wanted(1, 10, 1), wanted(2, 10, 3), wanted(3, 10, 2)], [], 100, 100)
    assert told.make is not None
    assert told.make.video == "v2"
    assert told.waiting == {"v1", "v3"}


def test_what_failed_is_not_made_and_keeps_no_other_from_it() -> None:
    told = orders([wanted(1, 10, 1, barred=True), wanted(2, 10)], [], 10, 100)
    assert told.make is not None
    assert told.make.video == "v2"


def test_what_nobody_wants_goes_at_once_and_what_does_not_fit_only_where_it_is_in_the_way() -> None:
    kept = orders([wanted(1, 10, 2), wanted(2, 10, 1)], [copy(1, 10), copy(2, 10), copy(3, 10)], 20, 100)
    assert [c.video for c in kept.drop] == ["v3"]
    less = orders([wanted(1, 10, 2), wanted(2, 10, 1)], [copy(1, 10), copy(2, 10)], 19, 100)
    assert [c.video for c in less.drop] == ["v2"]
    newer = orders([wanted(1, 10, 1), wanted(2, 10, 2), wanted(3, 10, 3)], [copy(1, 10), copy(2, 10)], 20, 100)
    assert [c.video for c in newer.drop] == ["v1"]
    assert newer.make is not None
    assert newer.make.video == "v3"


def test_nothing_is_made_where_the_disk_has_no_room_above_what_pins_need() -> None:
    told = orders([wanted(1, 10)], [], 100, 9)
    assert told.make is None
    assert told.waiting == {"v1"}


_COPIES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50)), max_size=10, unique_by=lambda pair: pair[0])


@given(_COPIES, _COPIES, st.integers(0, 200), st.integers(0, 200))
def test_no_orders_ever_exceed_budget_or_room(
    there: list[tuple[int, int]], wishes: list[tuple[int, int]], budget: int, room: int
) -> None:
    made = [copy(n, size) for n, size in there]
    sizes = dict(there)
    told = orders([wanted(n, sizes.get(n, size), n) for n, size in wishes], made, budget, room)
    left = [c for c in made if c not in told.drop]
    assert {c.video for c in left} <= {VideoId(f"v{n}") for n, _ in wishes}
    if told.make is not None:
        assert told.make.video not in {c.video for c in made}
        assert sum(c.size for c in left) + told.make.size <= budget
        assert told.make.size <= room + sum(c.size for c in told.drop)
    assert sum(c.size for c in left) <= budget
    again = orders([wanted(n, sizes.get(n, size), n) for n, size in wishes], left, budget, room)
    assert not again.drop or told.drop, "what stays once stays"


def test_work_rests_for_screens_and_for_a_busy_machine_and_does_not_flutter() -> None:
    assert resting(screens=True, busy=0.0, was=False) == SCREEN
    assert resting(screens=False, busy=0.9, was=False) == MACHINE
    assert resting(screens=False, busy=0.5, was=True) == MACHINE
    assert resting(screens=False, busy=0.5, was=False) == ""
    assert resting(screens=False, busy=0.3, was=True) == ""
    assert resting(screens=False, busy=None, was=False) == ""


def test_a_failure_is_tried_again_after_an_hour_then_a_day_then_never() -> None:
    for failed, hours, tried in (
        (0, 0, True),
        (1, 0.9, False),
        (1, 1, True),
        (2, 23, False),
        (2, 24, True),
        (3, 999, False),
    ):
        assert may_try(failed, NOW, NOW + timedelta(hours=hours)) is tried
