"""Who keeps a turn while nothing comes, and for how long."""

from dataclasses import dataclass

from appliance.domain.units import ByteCount, VideoId
from appliance.pin.patience import Patience

SECONDS = 100.0


@dataclass
class Film:
    video: VideoId
    done: ByteCount = ByteCount(0)
    received: ByteCount = ByteCount(0)


def test_who_gets_nothing_makes_room_after_the_time_that_was_set() -> None:
    patience, film = Patience(), Film(VideoId("aaaaaaaaaaaaaaaa"))
    assert patience.lost_with([film], 0.0, SECONDS) == []
    assert patience.lost_with([film], 99.0, SECONDS) == []
    assert patience.lost_with([film], 100.0, SECONDS) == [film.video]


def test_bytes_that_make_no_piece_are_borne_ten_times_as_long() -> None:
    patience, film = Patience(), Film(VideoId("aaaaaaaaaaaaaaaa"))
    for second in range(0, 1000, 50):
        film.received = ByteCount(second)
        assert patience.lost_with([film], float(second), SECONDS) == []
    film.received = ByteCount(1_000_000)
    assert patience.lost_with([film], 1000.0, SECONDS) == [film.video]


def test_a_verified_piece_begins_the_time_again() -> None:
    patience, film = Patience(), Film(VideoId("aaaaaaaaaaaaaaaa"))
    patience.lost_with([film], 0.0, SECONDS)
    film.done = ByteCount(16384)
    assert patience.lost_with([film], 99.0, SECONDS) == []
    assert patience.lost_with([film], 198.0, SECONDS) == []
    assert patience.lost_with([film], 199.0, SECONDS) == [film.video]


def test_time_that_we_took_ourselves_or_that_was_spent_otherwise_does_not_count() -> None:
    patience, film = Patience(), Film(VideoId("aaaaaaaaaaaaaaaa"))
    patience.lost_with([film], 0.0, SECONDS)
    patience.begin_again()
    assert patience.lost_with([film], 150.0, SECONDS) == []
    assert patience.lost_with([], 200.0, SECONDS) == []
    assert patience.lost_with([film], 300.0, SECONDS) == []
