"""Which videos get a copy for televisions, made of what, which copies go, and when the work rests. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.shelf import PlayableRendition
from appliance.domain.units import ByteCount, RenditionName, VideoId, derived_id
from appliance.library.copies import Copy
from appliance.serve.film.size import sound_of
from appliance.serve.insides import Insides
from appliance.serve.television import MOST_RATE, blocks, parted, picture_playable, playable_by_tv, sound_playable

_EDITION = "1"
"""Changed when copies of the same files come out differently: then they are made anew."""
TALLEST = 1080
_KBITS = ((360, 900), (480, 1600), (720, 3500), (TALLEST, 6500))
"""(lines, kbit/s at most): by these the room for a copy is reckoned before it is made."""
_SOUND_KBITS = 192
_BUSY, _CALM = 0.6, 0.4
"""Shares of all processors in the use of others, above which work stops and below which it goes on."""

SCREEN, MACHINE = "A screen is playing.", "The machine is busy."


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make a copy of. ``source`` names these bytes; ``size`` is the most that the copy will take; ``rate`` in
    pictures a second where it must be lower than it is. ``width`` and ``height`` are the copy's, 0 where not known."""

    pictures: PlayableRendition
    sound: PlayableRendition | None
    source: str
    seconds: int
    kbits: int
    size: ByteCount
    copy_pictures: bool
    copy_sound: bool
    rate: float | None
    width: int
    height: int


def recipe(every: Sequence[PlayableRendition], held: Mapping[RenditionName, Insides], duration: int) -> Recipe | None:
    """Return what a copy for televisions is made of; None where one of the renditions plays there already, or where
    there are no pictures. ``every`` are the whole renditions in the catalogue's order, ``held`` what those that can be
    read are made of; ``duration`` in seconds."""
    every = tuple(r for r in every if r.name in held)
    known = [r for r in every if r.has_video]
    if not known or any(_plays(r, every, held) for r in known):
        return None
    shown = [r for r in known if held[r.name].plain and _pictures_play(r, held[r.name])]
    fitting = shown or [r for r in known if _side(r) <= TALLEST]
    pictures = max(fitting, key=_worth) if fitting else min(known, key=_worth)
    sound = sound_of(pictures, every)
    inside = held[(sound or pictures).name]
    _, sounds = parted(inside.codecs)
    heard = inside.plain and bool(sounds) and all(sound_playable(one) for one in sounds)
    copied = bool(shown)
    kbits = next((k for side, k in _KBITS if _side(pictures) <= side), _KBITS[-1][1])
    seconds = max(1, duration)
    whole = pictures.size + seconds * _SOUND_KBITS * 125
    files = (*pictures.files, *(() if sound is None else sound.files))
    width, height = (pictures.width, pictures.height) if copied else _shrunk(pictures.width, pictures.height)
    return Recipe(
        pictures=pictures,
        sound=sound,
        source=derived_id("a copy for televisions", _EDITION, *(f.identity for f in files)),
        seconds=seconds,
        kbits=kbits,
        size=ByteCount(whole if copied else seconds * (kbits + _SOUND_KBITS) * 125 + seconds * 4000),
        copy_pictures=copied,
        copy_sound=heard and (copied or inside.channels <= 2),
        rate=None if copied else _rate(min(_side(pictures), TALLEST), pictures.fps),
        width=width,
        height=height,
    )


def _side(rendition: PlayableRendition) -> int:
    sides = [side for side in (rendition.width, rendition.height) if side > 0]
    return min(sides, default=0)


def _worth(rendition: PlayableRendition) -> tuple[int, float, int]:
    return _side(rendition), rendition.fps, rendition.size


def _plays(
    rendition: PlayableRendition, every: Sequence[PlayableRendition], held: Mapping[RenditionName, Insides]
) -> bool:
    sound = sound_of(rendition, every)
    parts = [held[r.name] for r in (rendition, sound) if r is not None]
    if not all(part.plain and part.codecs for part in parts):
        return False
    return playable_by_tv(",".join(part.codecs for part in parts), _side(rendition), rendition.fps)


def _pictures_play(rendition: PlayableRendition, inside: Insides) -> bool:
    pictures, _ = parted(inside.codecs)
    return bool(pictures) and all(picture_playable(one, _side(rendition), rendition.fps) for one in pictures)


def _rate(height: int, fps: float) -> float | None:
    """The rate halved until level 4.1 allows it; None where it does."""
    lower = fps
    while height > 0 and blocks(height) * lower > MOST_RATE * 1.01:
        lower /= 2
    return lower if lower != fps else None


def _shrunk(width: int, height: int) -> tuple[int, int]:
    """The sides as ffmpeg's ``scale`` makes them fit 1920 by 1080; (0, 0) where they are not known."""
    if width <= 0 or height <= 0:
        return 0, 0
    factor = min(1.0, 1920 / width, TALLEST / height)
    return max(2, int(width * factor) // 2 * 2), max(2, int(height * factor) // 2 * 2)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A copy that should be there: ``size`` of what is made, else the most it will take. ``last``: when the video was
    last watched, or came. ``barred``: it cannot be made."""

    video: VideoId
    source: str
    size: ByteCount
    last: datetime
    barred: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """What to do next: copies to delete now, and the one to make, if any. ``waiting`` are those to come after it."""

    drop: tuple[Copy, ...]
    make: Wanted | None
    waiting: frozenset[VideoId]


def orders(wanted: Sequence[Wanted], made: Sequence[Copy], budget: int, room: int) -> Orders:
    """Return what to do. ``budget``: bytes that all copies may have; ``room``: bytes that may be written now.

    The most recently watched come first; what does not fit beside those is not made, and goes where it is in the way.
    What nobody wants any more goes at once.
    """
    there = {(c.video, c.source): c for c in sorted(made, key=lambda c: c.made)}
    ranked = sorted((w for w in wanted if not w.barred), key=lambda w: (-w.last.timestamp(), w.video))
    chosen: list[Wanted] = []
    left = budget
    for one in ranked:
        if one.size <= left:
            chosen.append(one)
            left -= one.size
    keys = {(w.video, w.source) for w in wanted}
    stays = {(w.video, w.source) for w in chosen}
    drop = [c for c in made if (c.video, c.source) not in keys or there[c.video, c.source] is not c]
    spare = sorted((c for k, c in there.items() if k in keys and k not in stays), key=lambda c: c.used)
    missing = [w for w in chosen if (w.video, w.source) not in there]
    total = sum(c.size for c in there.values() if c not in drop)
    freed = sum(c.size for c in drop)
    make = next((w for w in missing if w.size <= room + freed + sum(c.size for c in spare)), None)
    need = total + (make.size if make is not None else 0)
    short = 0 if make is None else make.size - room - freed
    while spare and (need > budget or short > 0):
        gone = spare.pop(0)
        drop.append(gone)
        need, short = need - gone.size, short - gone.size
    return Orders(tuple(drop), make, frozenset(w.video for w in missing if w is not make))


def resting(*, screens: bool, busy: float | None, was: bool) -> str:
    """Return why the work rests, empty where it goes on. ``busy``: share of the processors that others use, None:
    not known yet; ``was``: whether it rests for the machine now."""
    if screens:
        return SCREEN
    if busy is not None and busy > (_CALM if was else _BUSY):
        return MACHINE
    return MACHINE if was and busy is None else ""


MOST_FAILED = 3
_AGAIN = (3600.0, 24 * 3600.0)
"""Seconds after the first and the second failure in which a copy is not tried again."""


def may_try(failed: int, at: datetime, now: datetime) -> bool:
    """Tell whether a copy that failed so often, last at ``at``, is tried again now."""
    if failed <= 0:
        return True
    return failed < MOST_FAILED and (now - at).total_seconds() >= _AGAIN[failed - 1]
