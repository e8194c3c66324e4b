"""A television of the tests notes what its viewer would."""

from dataclasses import dataclass

from tests.world.television import Picture


@dataclass
class Hands:
    """A clock that is moved by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def picture() -> tuple[Picture, Hands]:
    hands = Hands()
    return Picture(hands), hands


def test_a_film_that_comes_in_time_never_stands_still() -> None:
    screen, hands = picture()
    for _ in range(20):
        hands.now += 0.5
        screen.come(100, 0.5)
    assert screen.ahead == 1.0
    seen = screen.off()
    assert (seen.waited, seen.stalls, seen.stood, seen.got) == (1.0, 0, 0.0, 2000)


def test_a_film_that_comes_late_stands_still_until_a_second_of_it_is_here() -> None:
    screen, hands = picture()
    screen.come(1, 2.0)
    hands.now += 5
    assert screen.ahead < 0
    screen.come(1, 0.5)
    assert screen.ahead == 0.0
    hands.now += 1
    screen.come(1, 0.5)
    seen = screen.off()
    assert (seen.waited, seen.stalls, seen.stood) == (0.0, 1, 4.0)


def test_a_film_that_stops_coming_is_a_stall_at_the_end_too() -> None:
    screen, hands = picture()
    screen.come(1, 2.0)
    hands.now += 10
    seen = screen.off()
    assert (seen.stalls, seen.stood) == (1, 8.0)


def test_a_first_picture_that_never_comes_is_a_stall() -> None:
    screen, hands = picture()
    screen.come(1, 0.5)
    hands.now += 10
    seen = screen.off()
    assert (seen.stalls, seen.stood) == (1, 10.0)
