"""Which renditions of a video are kept: this module chooses them.

HLS goes before plain MP4, because it plays on every screen and its swarm is PeerTube's own. One rendition is enough:
the best within the height asked for, or the smallest that has picture, and the sound it needs where sound has a
rendition of its own. Smallest is by bytes where all sizes are known, else by height.
"""

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
    hls = _pick(renditions, RenditionKind.HLS, max_height, smallest=smallest)
    if hls and not web_videos:
        return hls
    return hls + _pick(renditions, RenditionKind.WEB, max_height, smallest=smallest)


def _pick(
    renditions: tuple[Rendition, ...], kind: RenditionKind, max_height: int | None, *, smallest: bool
) -> tuple[Rendition, ...]:
    """Return one picture and the sound it needs; the sound alone where a video has no picture at all."""
    within: list[Rendition] = []
    sounds: list[Rendition] = []
    pictures = False
    for r in renditions:
        if r.kind is not kind:
            continue
        if r.has_video:
            pictures = True
            if max_height is None or r.height <= max_height:
                within.append(r)
        elif r.has_audio:
            sounds.append(r)
    sound = (min if smallest else max)(sounds, key=_size) if sounds else None
    if not within:
        return (sound,) if sound is not None and not pictures else ()
    best = _smallest(within, sound) if smallest else _best(within)
    return (best,) if sound is None or best.has_audio else (best, sound)


def _best(pictures: list[Rendition]) -> Rendition:
    best = pictures[0]
    for r in pictures:
        if r.height > best.height or (r.height == best.height and _quality(r) > _quality(best)):
            best = r
    return best


def _size(rendition: Rendition) -> tuple[int, str]:
    return rendition.size, rendition.name


def _quality(rendition: Rendition) -> tuple[int, int, int, str]:
    return rendition.height, rendition.fps, rendition.size, rendition.name


def _smallest(pictures: list[Rendition], sound: Rendition | None) -> Rendition:
    if any(r.size <= 0 for r in pictures):
        return min(pictures, key=lambda r: (r.height, r.fps, r.size, r.name))
    needed = 0 if sound is None else max(0, sound.size)
    return min(pictures, key=lambda r: (r.size + (0 if r.has_audio else needed), r.height, r.name))
