"""A film's bytes: this module reads its stretches from the files they lie in, whether those are held or arriving."""

from collections import OrderedDict
from dataclasses import dataclass

from appliance.domain.shelf import PlayableFile
from appliance.serve.film.films import Film, OpenFile
from appliance.serve.film.layout import Blank, Footage, Place, Text
from appliance.serve.source import CHUNK, HeldSource, Source

_OPEN = 4
"""Files of one film that are open at once: pictures and sound, or a segment and the next."""


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of a film that lie in a held file as they are: ``length`` from ``offset``."""

    source: HeldSource
    offset: int
    length: int


class FilmSource:
    """See the module. It is a ``Source``; close it."""

    def __init__(self, film: Film, open_file: OpenFile) -> None:
        self._film, self._open_file = film, open_file
        self._open: OrderedDict[PlayableFile, Source] = OrderedDict()

    async def run(self, position: int) -> Run | None:
        """Return the held footage that begins at a byte of the film; None for what has to be read. Raises NotPlayable.

        Raises Left too.
        """
        place = self._film.layout.at(position)
        stretch = place.stretch
        if not isinstance(stretch, Footage) or stretch.mended:
            return None
        offset = stretch.offset + place.within
        source = await self._source(stretch.file, offset)
        return Run(source, offset, place.left) if isinstance(source, HeldSource) else None

    async def read(self, offset: int, length: int) -> bytes:
        place = self._film.layout.at(offset)
        stretch, wanted = place.stretch, min(length, place.left)
        match stretch:
            case Text():
                return stretch.data[place.within : place.within + min(wanted, CHUNK)]
            case Blank():
                return bytes(min(wanted, CHUNK))
            case Footage():
                return await self._footage(stretch, place, wanted)

    async def _footage(self, stretch: Footage, place: Place, wanted: int) -> bytes:
        source = await self._source(stretch.file, stretch.offset + place.within)
        if stretch.mended:
            segment = await self._film.mended(stretch, source)
            return segment[place.within : place.within + min(wanted, CHUNK)]
        return await source.read(stretch.offset + place.within, wanted)

    async def _source(self, file: PlayableFile, first: int) -> Source:
        found = self._open.get(file)
        if found is None:
            found = self._open[file] = await self._open_file(file, first)
            if len(self._open) > _OPEN:
                _, oldest = self._open.popitem(last=False)
                await oldest.close()
        self._open.move_to_end(file)
        return found

    async def close(self) -> None:
        while self._open:
            _, source = self._open.popitem()
            await source.close()
