"""What a common television plays: this module says it of codecs (RFC 6381). Pure.

H.264 with 8 bits and 4:2:0 within level 4.1, with AAC: what televisions of the last fifteen years have in common. The
level that a file declares is not believed alone: encoders are told one by habit, so the size and rate of its pictures
count as well (ITU-T H.264, table A-1).
"""

from math import ceil

_PROFILES = frozenset({66, 77, 100})
"""Baseline, Main, High (ITU-T H.264, annex A.2): all of 8 bits and 4:2:0, unlike those above."""
_MOST_LEVEL = 41
_MOST_BLOCKS, MOST_RATE = 8192, 245_760
"""Macroblocks of a picture and a second at level 4.1 (table A-1)."""
_ROUNDING = 1.01
"""Rates are told rounded."""
_SOUND = ("mp4a", "opus", "ac-3", "ec-3", "flac", "mp3")
_AAC = frozenset({"mp4a.40.2", "mp4a.40.5", "mp4a.40.29"})
"""AAC-LC, and HE-AAC, of which any AAC decoder plays at least the lower half (ISO/IEC 14496-3 §4.5.2.8)."""


def playable_by_tv(codecs: str, height: int, fps: float) -> bool:
    """Tell whether a common television plays this. ``codecs`` comma-separated, ``height`` the shorter side in pixels;
    0 where height or rate is not known. Unknown codecs are not playable."""
    pictures, sounds = parted(codecs)
    if not pictures and not sounds:
        return False
    return all(picture_playable(one, height, fps) for one in pictures) and all(sound_playable(one) for one in sounds)


def parted(codecs: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the codecs of pictures and those of sound."""
    every = [part.strip() for part in codecs.split(",") if part.strip()]
    sounds = tuple(one for one in every if one.lower().startswith(_SOUND))
    return tuple(one for one in every if one not in sounds), sounds


def familiar(codecs: str) -> bool:
    """Tell whether televisions know these codecs, whatever the pictures' size and rate."""
    pictures, sounds = parted(codecs)
    known = all(_h264(one) is not None for one in pictures) and all(sound_playable(one) for one in sounds)
    return bool(pictures or sounds) and known


def picture_playable(codec: str, height: int, fps: float) -> bool:
    """Tell whether a common television shows pictures of this codec, height and rate."""
    level = _h264(codec)
    within = blocks(height) <= _MOST_BLOCKS and blocks(height) * fps <= MOST_RATE * _ROUNDING
    return level is not None and level <= _MOST_LEVEL and within


def _h264(codec: str) -> int | None:
    """The level of H.264 in a profile of 8 bits and 4:2:0; None for any other."""
    kind, _, rest = codec.partition(".")
    if kind.lower() not in ("avc1", "avc3") or len(rest) != 6:
        return None
    try:
        profile, level = int(rest[:2], 16), int(rest[4:], 16)
    except ValueError:
        return None
    return level if profile in _PROFILES else None


def sound_playable(codec: str) -> bool:
    return codec.lower() in _AAC


def blocks(height: int) -> int:
    """Return the macroblocks of a wide picture of so many lines."""
    return ceil(height / 16) * ceil(height * 16 / 9 / 16)
