"""Several rooms that have something to spare, asked in turn: this module is the one ``Spare`` that ``Opened`` knows."""

from appliance.domain.units import ByteCount, VideoId
from appliance.pin.opened import Spare


class Spares:
    """``parts`` give in this order: what is least missed first."""

    def __init__(self, *parts: Spare) -> None:
        self._parts = parts

    async def size(self, but: VideoId | None) -> ByteCount:
        return ByteCount(sum([await part.size(but) for part in self._parts]))

    async def give(self, size: ByteCount, but: VideoId | None) -> None:
        left = int(size)
        for part in self._parts:
            if left <= 0:
                return
            before = await part.size(but)
            await part.give(ByteCount(left), but)
            left -= before - await part.size(but)
