"""One copy for televisions, from its recipe to a whole file under its name: this module makes it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.clock import Clock
from appliance.domain.shelf import PlayableRendition
from appliance.domain.units import VideoId
from appliance.errors import SeedkeepError
from appliance.host.encoders import Encoder
from appliance.host.encoding import Job, Kitchen, Reel, form_of
from appliance.host.ffmpeg import Finished
from appliance.library import copies
from appliance.library.copies import Copy
from appliance.library.marker import Library
from appliance.serve.insides import insides_of_file
from appliance.serve.television import parted, playable_by_tv
from appliance.serve.wanted_copies import Recipe

_TOLERANCE = 1.25
"""A copy so much larger than was reckoned is not one that the budget allowed."""
_SLACK = 16 * 1024 * 1024
_SHORTEST = 0.9
"""A copy that lacks more of the film is none: bytes of it could not be read."""


class CopyFailed(SeedkeepError):
    """No copy can be made of this video."""

    code = "copy_failed"


Progress = Callable[[float, int], None]


@dataclass(frozen=True, slots=True)
class Commission:
    """A copy that is to be made of the files in ``folder``; ``last``: when the video was last watched, or came."""

    video: VideoId
    folder: Path
    recipe: Recipe
    last: datetime


async def make_copy(library: Library, kitchen: Kitchen, clock: Clock, wanted: Commission, progress: Progress) -> Copy:
    """Make it and return it. Cancelling leaves nothing behind.

    Raises CopyFailed, NoSpace, DiskError, LibraryMissing.
    """
    video, recipe = wanted.video, wanted.recipe
    target = await asyncio.to_thread(copies.begin, library, video, recipe.source)
    try:
        job = _job(recipe, wanted.folder, target)
        while True:
            encoder = await kitchen.encoder()
            if encoder is None:
                raise CopyFailed("No copy for televisions can be made: there is no working ffmpeg here.")
            try:
                await _made(kitchen, job, encoder, recipe, progress)
                break
            except CopyFailed:
                if not encoder.is_hardware or recipe.copy_pictures:
                    raise
                kitchen.distrust(encoder)  # the processor may do what it could not
        return await asyncio.to_thread(copies.finish, library, video, recipe.source, clock.now(), wanted.last)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(copies.abandon, library, video, recipe.source))
        raise


async def _made(kitchen: Kitchen, job: Job, encoder: Encoder, recipe: Recipe, progress: Progress) -> None:
    """Make the file and look at what came out. Raises CopyFailed."""
    reached = 0.0

    def further(seconds: float, size: int) -> None:
        nonlocal reached
        reached = max(reached, seconds)
        if size > recipe.size * _TOLERANCE + _SLACK:
            raise CopyFailed("The copy for televisions became far larger than reckoned.")
        progress(seconds, size)

    try:
        done = await kitchen.make(job, encoder, further)
    except OSError as error:
        raise CopyFailed("ffmpeg cannot be started.", hint=str(error.strerror or error)) from error
    if not done.ok:
        raise CopyFailed("No copy for televisions could be made of this video.", hint=_said(done))
    if reached < recipe.seconds * _SHORTEST - 2:
        raise CopyFailed(
            f"Only {reached:.0f} of {recipe.seconds} seconds of this video could be made into a copy for televisions.",
            hint=_said(done),
        )
    inside = await asyncio.to_thread(insides_of_file, job.target)
    pictures, _ = parted(inside.codecs)
    rate = recipe.rate or recipe.pictures.fps
    if not pictures or not playable_by_tv(inside.codecs, min(recipe.width, recipe.height), rate):
        raise CopyFailed("What was made of this video is not what televisions play.", hint=inside.codecs)


def _job(recipe: Recipe, folder: Path, target: Path) -> Job:
    return Job(
        pictures=_reel(recipe.pictures, folder),
        sound=None if recipe.sound is None else _reel(recipe.sound, folder),
        target=target,
        seconds=recipe.seconds,
        kbits=recipe.kbits,
        copy_pictures=recipe.copy_pictures,
        copy_sound=recipe.copy_sound,
        rate=recipe.rate,
    )


def _reel(rendition: PlayableRendition, folder: Path) -> Reel:
    """The files in the order in which they are played, each once. Raises CopyFailed."""
    names = [file.name for file in rendition.files]
    if rendition.bytemap is not None:
        played = [s.file for s in (*filter(None, [rendition.bytemap.init]), *rendition.bytemap.segments)]
        names = [name for name in dict.fromkeys(played) if name in names]
    form = form_of(names[0]) if names else None
    if form is None:
        raise CopyFailed("This video's files are of a kind that no copy for televisions is made of.")
    return Reel(tuple(folder / name for name in names), form)


def _said(done: Finished) -> str:
    """The last that ffmpeg said, as one line."""
    if done.code is None:
        return "ffmpeg did not get any further."
    lines = [line.strip() for line in done.errors.decode("utf-8", "replace").splitlines() if line.strip()]
    last = "".join(c for c in lines[-1] if c.isprintable())[:200] if lines else ""
    return f"ffmpeg said: {last}" if last else f"ffmpeg ended with {done.code}."
