"""Bytes for one viewer: this module is the Reader over a torrent's pieces."""

from appliance.domain.shelf import NotPlayable
from appliance.domain.units import ByteCount
from appliance.swarm.steering import Place
from appliance.swarm.viewing import Viewing


class PieceReader:
    """One open file of a torrent, for one viewer. Its last read is the viewer's position."""

    def __init__(self, viewing: Viewing, file: int) -> None:
        self._viewing, self._file = viewing, file
        self._extents = viewing.held.extents
        self._closed = False
        viewing.enter(self)

    @property
    def size(self) -> ByteCount:
        return ByteCount(self._extents.sizes[self._file])

    async def read(self, offset: int, length: int) -> bytes:
        """Return 1 to ``length`` bytes from ``offset``, verified; never past the end of the piece they lie in."""
        if self._closed:
            raise NotPlayable("closed", "This file was closed.", status=503)
        if length <= 0 or not 0 <= offset < self.size:
            raise NotPlayable("out_of_range", "There are no bytes at this place.", status=416)
        extents = self._extents
        length = min(length, self.size - offset)
        start = extents.starts[self._file] + offset
        piece, inside = divmod(start, extents.piece_length)
        last_wanted = (start + length - 1) // extents.piece_length
        last = extents.piece_at(self._file, self.size - 1)
        self._viewing.move(self, Place(piece, last_wanted, last))
        length = min(length, extents.piece_size(piece) - inside)
        return await self._viewing.bytes_of(piece, inside, length)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._viewing.leave(self)
