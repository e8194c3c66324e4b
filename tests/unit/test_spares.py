"""Room that pins get from what is on the disk without a promise: copies for televisions first, then what is cached."""

from dataclasses import dataclass

import pytest

from appliance.domain.plan import Disk
from appliance.domain.units import ByteCount, VideoId
from appliance.pin.spares import Spares
from web.views.disk import tray


@dataclass
class Shelf:
    """Has things of these sizes, which go one by one."""

    sizes: list[int]

    async def size(self, but: VideoId | None) -> ByteCount:
        return ByteCount(sum(self.sizes))

    async def give(self, size: ByteCount, but: VideoId | None) -> None:
        left = int(size)
        while self.sizes and left > 0:
            left -= self.sizes.pop(0)


@pytest.mark.parametrize(
    ("asked", "copies", "cached"),
    [(0, [5, 5], [7, 7]), (5, [5], [7, 7]), (6, [], [7, 7]), (11, [], [7]), (17, [], [7]), (18, [], []), (99, [], [])],
)
async def test_what_can_be_made_again_goes_before_what_was_watched(
    asked: int, copies: list[int], cached: list[int]
) -> None:
    first, second = Shelf([5, 5]), Shelf([7, 7])
    both = Spares(first, second)
    assert await both.size(None) == 24
    await both.give(ByteCount(asked), None)
    assert (first.sizes, second.sizes) == (copies, cached)


def test_copies_are_shown_as_what_makes_room() -> None:
    def disk(cached: int, copies: int) -> Disk:
        sizes = (ByteCount(n) for n in (10_000_000, 3_000_000, 1_000_000, 4_000_000, cached, copies))
        return Disk(*sizes)

    assert "2 MB copies for televisions, " in tray(disk(0, 2_000_000)).sentence.replace("\u00a0", " ").replace(
        ".0 ", " "
    )
    assert "or copies for televisions" in tray(disk(1_000_000, 1_000_000)).sentence
    assert "televisions" not in tray(disk(2_000_000, 0)).sentence
    assert "other" not in tray(disk(1_000_000, 2_000_000)).sentence
    coming = tray(disk(0, 2_000_000), coming=4_000_000)
    assert "televisions" not in coming.sentence, "all of it makes way"
