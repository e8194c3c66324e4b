"""Which renditions of a video are kept: this module chooses them.

HLS goes before plain MP4, because it plays on every screen and its swarm is PeerTube's own. One rendition is enough:
the best within the height asked for, and the sound it needs where sound has a rendition of its own.
"""

from collections.abc import Iterable

from appliance.domain.video import Rendition, RenditionKind

HAND_PIN_HEIGHT = 1080
"""The most lines a hand pin asks for when nothing of the video is held yet."""


def chosen(renditions: tuple[Rendition, ...], max_height: int | None, *, web_videos: bool) -> tuple[Rendition, ...]:
    """Return the renditions to keep, the picture first; empty where none is within ``max_height`` (shorter side).

    ``web_videos`` asks for the best plain MP4 besides HLS.
    """
    hls = _best_of((r for r in renditions if r.kind is RenditionKind.HLS), max_height)
    if hls and not web_videos:
        return hls
    return hls + _best_of((r for r in renditions if r.kind is RenditionKind.WEB), max_height)


def _best_of(renditions: Iterable[Rendition], max_height: int | None) -> tuple[Rendition, ...]:
    """Return the best picture and the sound it needs; the sound alone where a video has no picture at all."""
    every = tuple(renditions)
    pictures = [r for r in every if r.has_video]
    sounds = [r for r in every if r.has_audio and not r.has_video]
    sound = max(sounds, key=lambda r: (r.size, r.name), default=None)
    if not pictures:
        return (sound,) if sound is not None else ()
    within = [r for r in pictures if max_height is None or r.height <= max_height]
    best = max(within, key=lambda r: (r.height, r.fps, r.size, r.name), default=None)
    if best is None:
        return ()
    return (best,) if best.has_audio or sound is None else (best, sound)
