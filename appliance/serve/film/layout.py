"""What lies where in a film: this module has its stretches and finds the one at a byte. Pure.

A stretch is text (bytes of our own), a blank (zeros) or footage (a range of a media file). A film is these end to end.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from appliance.domain.shelf import NotPlayable, PlayableFile


@dataclass(frozen=True, slots=True)
class Text:
    data: bytes

    @property
    def length(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Blank:
    length: int


@dataclass(frozen=True, slots=True)
class Footage:
    """``length`` bytes of a file from ``offset``; ``mended``: it is rewritten in passing, at the same length."""

    file: PlayableFile
    offset: int
    length: int
    mended: bool = False


Stretch = Text | Blank | Footage


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch, where it begins in the film, and how far into it a byte is."""

    stretch: Stretch
    start: int
    within: int

    @property
    def left(self) -> int:
        return self.stretch.length - self.within


class Layout:
    """A film's stretches, in order. Ranges of a file that follow one another become one."""

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self._stretches = tuple(_joined(stretches))
        ends = list(accumulate(s.length for s in self._stretches))
        self.size = ends[-1] if ends else 0
        self._starts = [0, *ends[:-1]] if ends else []

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes, about."""
        texts = sum(s.length for s in self._stretches if isinstance(s, Text))
        return texts + 200 * len(self._stretches)

    @property
    def files(self) -> tuple[PlayableFile, ...]:
        """The media files it is made of, in the order of their first byte."""
        return tuple(dict.fromkeys(s.file for s in self._stretches if isinstance(s, Footage)))

    @property
    def stretches(self) -> Sequence[Stretch]:
        return self._stretches

    def at(self, position: int) -> Place:
        """Return where a byte of the film lies. Raises NotPlayable past its end."""
        if not 0 <= position < self.size:
            raise NotPlayable("not_found", "The film has no such byte.", status=416)
        index = bisect_right(self._starts, position) - 1
        return Place(self._stretches[index], self._starts[index], position - self._starts[index])


def _joined(stretches: Iterable[Stretch]) -> Iterable[Stretch]:
    last: Footage | None = None
    for stretch in stretches:
        if not stretch.length:
            continue
        if isinstance(stretch, Footage) and not stretch.mended:
            if last is not None and (last.file, last.offset + last.length) == (stretch.file, stretch.offset):
                last = Footage(last.file, last.offset, last.length + stretch.length)
                continue
            if last is not None:
                yield last
            last = stretch
            continue
        if last is not None:
            yield last
            last = None
        yield stretch
    if last is not None:
        yield last
