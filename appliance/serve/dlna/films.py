"""Which films a screen is offered of a video, the best it can play first: this module chooses them. Pure."""

from dataclasses import dataclass

from appliance.domain.television import HeldCopy
from appliance.domain.units import RenditionName
from appliance.domain.video import Rendition, RenditionKind
from appliance.serve.film.size import Offer, film_offer
from appliance.store.screens import ScreenVideo
from policies.renditions import chosen

WATCH_HEIGHT = 720
"""The tallest rendition that is opened for a viewer where neither a pin nor the plan has chosen one."""


@dataclass(frozen=True, slots=True)
class Film:
    """One film as it is offered; ``width`` and ``height`` in pixels as shown, 0 where they are not known."""

    offer: Offer
    width: int
    height: int
    converted: bool = False


def copy_of(held: HeldCopy) -> Film:
    """Return a copy for televisions as a film."""
    return Film(Offer("tv.mp4", "video/mp4", held.file.size), held.width, held.height, converted=True)


def films(
    video: ScreenVideo, tallest: int, fastest: int, most: int, hard: frozenset[RenditionName] = frozenset()
) -> tuple[Film, ...]:
    """Return at most ``most`` films of the renditions that can be had.

    Those within ``tallest`` lines and ``fastest`` pictures a second come first, the best of them at the beginning, then
    the rest, the least demanding at its beginning; those among ``hard``, which no common television plays, at its end.
    """
    every = tuple(sorted(video.renditions, key=_catalogue_order))
    promised = tuple(r for r in every if r.name in video.promised) if video.promised else ()
    there = promised or chosen(every, WATCH_HEIGHT, web_videos=False) or chosen(every, None, web_videos=False)
    fit: list[Rendition] = []
    rest: list[Rendition] = []
    for r in [r for r in there if r.has_video] or there:
        (fit if r.height <= tallest and r.fps <= fastest and r.name not in hard else rest).append(r)
    fit.sort(key=_demands, reverse=True)
    rest.sort(key=lambda r: (r.name in hard, _demands(r)))
    ordered = [*fit, *rest]
    return tuple(_film(r, every, video.duration) for r in ordered[:most])


def _demands(r: Rendition) -> tuple[int, int, bool]:
    """What a rendition demands of a screen; of two alike the one with an index of its own demands less."""
    return r.height, r.fps, r.kind is not RenditionKind.WEB


def _catalogue_order(r: Rendition) -> tuple[bool, int, int, str]:
    return (r.kind is RenditionKind.WEB, -r.height, -r.fps, r.name)


def _film(rendition: Rendition, every: tuple[Rendition, ...], duration: int) -> Film:
    address = rendition.file_url
    offer = film_offer(rendition, every, duration, in_parts=address.endswith("/"), file_name=address)
    # ``height`` is the shorter side: of an upright picture the catalogue does not know the longer one.
    known = rendition.has_video and rendition.width > rendition.height
    return Film(offer, rendition.width, rendition.height) if known else Film(offer, 0, 0)
