"""What a master playlist says of codecs (RFC 6381), taken apart by rendition: this module is pure."""

from appliance.domain.video import Rendition
from appliance.library.bytemap import Master

_SOUND = ("mp4a", "opus", "ac-3", "ec-3", "flac", "mp3")


def _split_codecs(codecs: str) -> list[str]:
    return [c.strip() for c in codecs.split(",") if c.strip()]


def own_codecs(codecs: str, rendition: Rendition) -> str:
    """Return the codecs of this rendition alone: a variant's list names those of its audio group too."""
    every = _split_codecs(codecs)
    return ",".join(c for c in every if rendition.has_audio or not c.lower().startswith(_SOUND))


def sound_codecs(master: Master) -> str:
    """Return the codecs of the sound that a master playlist names, empty where it names none."""
    for variant in master.variants.values():
        sound = [c for c in _split_codecs(variant.codecs) if c.lower().startswith(_SOUND)]
        if sound:
            return ",".join(sound)
    return ""
