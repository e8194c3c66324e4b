"""What the files of an export are called, so that people can read it: this module makes the names. Pure."""

import re
from collections.abc import Sequence

from appliance.library.manifest import Manifest, RenditionRecord
from appliance.library.readable import readable


def media_names(manifest: Manifest, order: Sequence[RenditionRecord]) -> dict[str, str]:
    """Return the name of each media file by its name in the library; ``order`` begins with the rendition to open."""
    stem, sound = stem_of(manifest), sound_apart(order)
    names: dict[str, str] = {}
    for rendition in order:
        plain = rendition is order[0] and sound is None
        called = stem if plain else slug(manifest, rendition.name) if sound else _of(stem, rendition)
        for at, file in enumerate(rendition.files, 1):
            number = f" {at:05}" if len(rendition.files) > 1 else ""
            names.setdefault(file.name, f"{called}{number}{_extension(file.name)}")
    return names


def stem_of(manifest: Manifest) -> str:
    """Return what all files of a video begin with: always the same for one video, never that of another."""
    day = f"{manifest.published_at:%Y-%m-%d} " if manifest.published_at else ""
    return f"{day}{readable(manifest.title)} [{manifest.id[:8]}]"


def _of(stem: str, rendition: RenditionRecord) -> str:
    return f"{stem} ({readable(rendition.name, 'rendition')[:40]})"


def slug(manifest: Manifest, part: str) -> str:
    """Return a name of letters, digits and hyphens: what playlists can name without escapes."""
    day = f"{manifest.published_at:%Y-%m-%d}-" if manifest.published_at else ""
    words = re.sub("[^a-z0-9]+", "-", f"{manifest.title[:80].lower()}-{manifest.id[:8]}-{part[:40].lower()}")
    return f"{day}{words.strip('-')}"


def sound_apart(order: Sequence[RenditionRecord]) -> RenditionRecord | None:
    """Return the rendition that has the best one's sound, where that has none of its own."""
    if order[0].has_audio or not order[0].has_video:
        return None
    return next((r for r in order if r.has_audio and not r.has_video), None)


def _extension(file: str) -> str:
    extension = file.rpartition(".")[2].lower() if "." in file else ""
    return f".{extension}" if extension.isalnum() and extension.isascii() and len(extension) <= 5 else ".mp4"
