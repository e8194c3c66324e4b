"""Which renditions of a video are kept: this module chooses them.

HLS goes before plain MP4, because it plays on every screen and its swarm is PeerTube's own. One rendition is enough:
the best within the height asked for, or the smallest that has picture, and the sound it needs where sound has a
rendition of its own. Smallest is by bytes where all sizes are known, else by height.
"""

from collections.abc import Iterable

from appliance.domain.video import Rendition, RenditionKind

HAND_PIN_HEIGHT = 1080
"""The most lines a hand pin asks for when nothing of the video is held yet."""


def chosen(
    renditions: tuple[Rendition, ...], max_height: int | None, *, web_videos: bool, smallest: bool = False
) -> tuple[Rendition, ...]:
    """Return the renditions to keep, the picture first; empty where none is within ``max_height`` (shorter side).

    ``web_videos`` asks for plain MP4 besides HLS; ``smallest`` for the smallest picture within ``max_height``, not
    the best.
    """
    hls = _pick((r for r in renditions if r.kind is RenditionKind.HLS), max_height, smallest=smallest)
    if hls and not web_videos:
        return hls
    return hls + _pick((r for r in renditions if r.kind is RenditionKind.WEB), max_height, smallest=smallest)


def _pick(renditions: Iterable[Rendition], max_height: int | None, *, smallest: bool) -> tuple[Rendition, ...]:
    """Return one picture and the sound it needs; the sound alone where a video has no picture at all."""
    every = tuple(renditions)
    pictures = [r for r in every if r.has_video]
    sounds = [r for r in every if r.has_audio and not r.has_video]
    sound = (min if smallest else max)(sounds, key=lambda r: (r.size, r.name), default=None)
    if not pictures:
        return (sound,) if sound is not None else ()
    within = [r for r in pictures if max_height is None or r.height <= max_height]
    if not within:
        return ()
    best = _smallest(within, sound) if smallest else max(within, key=lambda r: (r.height, r.fps, r.size, r.name))
    return (best,) if best.has_audio or sound is None else (best, sound)


def _smallest(pictures: list[Rendition], sound: Rendition | None) -> Rendition:
    if any(r.size <= 0 for r in pictures):
        return min(pictures, key=lambda r: (r.height, r.fps, r.size, r.name))
    needed = 0 if sound is None else max(0, sound.size)
    return min(pictures, key=lambda r: (r.size + (0 if r.has_audio else needed), r.height, r.name))
