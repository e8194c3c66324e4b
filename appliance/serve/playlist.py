"""Renditions as HLS text (RFC 8216): this module writes the playlists that players get. Pure; all addresses relative.

Nothing of the origin's own playlists is passed on but byte ranges, durations and codecs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from urllib.parse import quote

from appliance.domain.shelf import ByteMap, Playable, PlayableCaption, PlayableRendition
from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import RenditionKind
from appliance.library.bytemap import playlist_text
from appliance.serve.bandwidth import average_bandwidth, peak_bandwidth, rates
from appliance.serve.television import parted, picture_playable

MODEST = 480
"""Pixels of the shorter side: players begin with the first rendition named, and this much starts anywhere."""
STILLS = 2
"""Renditions whose single pictures are listed, the smallest: they are shown while a viewer winds."""

_EACH_ALONE = ("mp4a.40.2", "mp4a.40.5", "mp4a.40.29", "mp4a.40.34", "ac-3", "ec-3", "opus", "flac", "mp3")
"""Sound in frames of which none needs another."""
_INDEPENDENT = "#EXT-X-INDEPENDENT-SEGMENTS"
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,8}")
"""How a language is named (RFC 5646 2.1), as far as it matters here."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the fragments of a held rendition say, beyond what its playlist does.

    ``stills``: its key pictures alone as a byte map, None where they cannot be cut out. ``independent``: each segment
    begins with one.
    """

    stills: ByteMap | None = None
    independent: bool = False


Known = Mapping[RenditionName, Findings]
_NONE: Known = MappingProxyType({})


def master_playlist(playable: Playable, known: Known = _NONE) -> str | None:
    """Return ``master.m3u8``, or None where nothing can be played as HLS.

    BANDWIDTH is the real peak of picture and sound together (RFC 8216 4.3.4.2), unlike the origin's.
    """
    usable = _usable(playable)
    sounds = [r for r in usable if r.has_audio and not r.has_video]
    pictures = _modest_first([r for r in usable if r.has_video])
    if not usable:
        return None
    captions = offered_captions(playable)
    grouped = any(not r.has_audio for r in pictures) and bool(sounds)
    variants = pictures or sounds
    out = ["#EXTM3U", f"#EXT-X-VERSION:{_version(usable, groups=grouped or bool(captions))}"]
    if all(_independent(r, known) for r in (*variants, *(sounds if grouped else ()))):
        out.append(_INDEPENDENT)
    if grouped:
        out.extend(_audio_lines(sounds, _tag(playable.language)))
    out.extend(_subtitle_lines(captions))
    for rendition in variants:
        sound = sounds if grouped and not rendition.has_audio else []
        out.extend(_variant_lines(rendition, sound, subtitles=bool(captions)))
    for rendition in wound_through(playable):
        out.extend(_still_lines(rendition, known.get(rendition.name)))
    return "\n".join(out) + "\n"


def rendition_playlist(playable: Playable, rendition: PlayableRendition, known: Known = _NONE) -> str | None:
    """Return ``{rendition}.m3u8``, its media addressed as ``file/{name}``; None for what has no byte map.

    All of a video's renditions have the same target duration, as they must (RFC 8216 6.2.4).
    """
    if rendition.bytemap is None:
        return None
    bytemap = next((r.bytemap for r in _usable(playable) if r.name == rendition.name), None) or rendition.bytemap
    tags = (_INDEPENDENT,) if _independent(rendition, known) else ()
    return playlist_text(bytemap, _sizes(rendition), _file_address, tags)


def stills_playlist(rendition: PlayableRendition, findings: Findings) -> str | None:
    """Return ``{rendition}.iframes.m3u8`` (RFC 8216 4.3.3.6), None where no single pictures can be cut out."""
    if findings.stills is None:
        return None
    return playlist_text(findings.stills, _sizes(rendition), _file_address, ("#EXT-X-I-FRAMES-ONLY",))


def wound_through(playable: Playable) -> tuple[PlayableRendition, ...]:
    """Return the renditions whose single pictures are worth a list: the smallest of fragments."""
    fragmented = [r for r in _usable(playable) if r.has_video and r.bytemap is not None and r.bytemap.init is not None]
    return tuple(sorted(fragmented, key=lambda r: (_side(r), r.size, r.name))[:STILLS])


def caption_playlist(language: str, duration: int) -> str:
    """Return ``captions/{language}.m3u8``: one WebVTT file over ``duration`` seconds."""
    seconds = max(1, duration)
    return (
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:{seconds}.000000,\n{quote(language, safe='')}.vtt\n#EXT-X-ENDLIST\n"
    )


def offered_captions(playable: Playable) -> tuple[PlayableCaption, ...]:
    """Return one caption a language, a person's before a machine's, those in what is spoken first."""
    chosen: dict[str, PlayableCaption] = {}
    spoken = playable.language.partition("-")[0].lower()
    for caption in sorted(
        playable.captions, key=lambda c: (c.automatic, c.language.partition("-")[0].lower() != spoken)
    ):
        chosen.setdefault(caption.language, caption)
    return tuple(chosen.values())


def _usable(playable: Playable) -> list[PlayableRendition]:
    """What can be played as HLS, with the target duration that all share."""
    found = [(r, r.bytemap) for r in playable.renditions if r.kind is RenditionKind.HLS and r.bytemap is not None]
    target = max((b.target_duration for _, b in found), default=0)
    return [replace(r, bytemap=replace(b, target_duration=target)) for r, b in found]


def _version(renditions: Iterable[PlayableRendition], *, groups: bool) -> int:
    """The lowest version that has all that is said (RFC 8216 7): old players refuse those they do not know."""
    if any(r.bytemap is not None and r.bytemap.init is not None for r in renditions):
        return 7
    return 4 if groups else 3


def _independent(rendition: PlayableRendition, known: Known) -> bool:
    """Tell whether it is known that each segment can be begun with (RFC 8216 4.3.5.1)."""
    if rendition.has_video:
        return rendition.name in known and known[rendition.name].independent
    codecs = _listed(rendition)
    return bool(codecs) and all(c.lower() in _EACH_ALONE for c in codecs)


def _variant_lines(rendition: PlayableRendition, sounds: list[PlayableRendition], *, subtitles: bool) -> Iterator[str]:
    peak, average = rates(rendition)
    sound = [rates(s) for s in sounds]
    attributes = [
        f"BANDWIDTH={peak + max((p for p, _ in sound), default=0)}",
        f"AVERAGE-BANDWIDTH={average + max((a for _, a in sound), default=0)}",
    ]
    codecs = _codecs([rendition, *sounds])
    if codecs:
        attributes.append(f'CODECS="{codecs}"')
    attributes.extend(_resolution(rendition))
    if rendition.has_video and rendition.fps > 0:
        attributes.append(f"FRAME-RATE={rendition.fps:.3f}")
    if sounds:
        attributes.append('AUDIO="audio"')
    if subtitles:
        attributes.append('SUBTITLES="subtitles"')
    yield "#EXT-X-STREAM-INF:" + ",".join(attributes)
    yield f"{quote(rendition.name, safe='')}.m3u8"


def _still_lines(rendition: PlayableRendition, findings: Findings | None) -> Iterator[str]:
    if findings is None or findings.stills is None:
        return
    peak, average = peak_bandwidth(findings.stills), average_bandwidth(findings.stills)
    attributes = [f"BANDWIDTH={peak}", f"AVERAGE-BANDWIDTH={average}"]
    codecs, _ = parted(rendition.codecs)
    if codecs:
        attributes.append(f'CODECS="{_quoted(",".join(codecs))}"')
    attributes.extend(_resolution(rendition))
    attributes.append(f'URI="{quote(rendition.name, safe="")}.iframes.m3u8"')
    yield "#EXT-X-I-FRAME-STREAM-INF:" + ",".join(attributes)


def _resolution(rendition: PlayableRendition) -> Iterator[str]:
    if rendition.has_video and rendition.width and rendition.height:
        yield f"RESOLUTION={rendition.width}x{rendition.height}"


def _listed(rendition: PlayableRendition) -> list[str]:
    return [c.strip() for c in rendition.codecs.split(",") if c.strip()]


def _codecs(renditions: Iterable[PlayableRendition]) -> str:
    """All codecs of what plays together (RFC 6381), each once; empty where one of them is not known."""
    out: dict[str, None] = {}
    for rendition in renditions:
        if not rendition.codecs:
            return ""
        out.update(dict.fromkeys(_listed(rendition)))
    return _quoted(",".join(out))


def _audio_lines(sounds: list[PlayableRendition], language: str) -> Iterator[str]:
    """The first is played unless a viewer chooses; of others none tells why it should be (RFC 8216 4.3.4.1.1)."""
    for number, sound in enumerate(sounds):
        name = "Audio" if number == 0 else f"Audio {number + 1}"
        chosen = "YES" if number == 0 else "NO"
        attributes = [f'NAME="{name}"', f"DEFAULT={chosen}", f"AUTOSELECT={chosen}"]
        if language and number == 0:
            attributes.append(f'LANGUAGE="{language}"')
        if sound.channels:
            attributes.append(f'CHANNELS="{sound.channels}"')
        attributes.append(f'URI="{quote(sound.name, safe="")}.m3u8"')
        yield '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",' + ",".join(attributes)


def _subtitle_lines(captions: tuple[PlayableCaption, ...]) -> Iterator[str]:
    """None is shown unasked. A player may choose one by its viewer's language, but none that a machine wrote."""
    names: set[str] = set()
    languages: set[str] = set()
    for caption in captions:
        label = _quoted(caption.label)[:100] or _quoted(caption.language)
        name = label if label not in names else f"{label} ({_quoted(caption.language)})"
        names.add(name)
        language = _tag(caption.language)
        told = language and language.lower() not in languages
        languages.add(language.lower())
        chosen = "YES" if told and not caption.automatic else "NO"
        attributes = [f'NAME="{name}"', "DEFAULT=NO", f"AUTOSELECT={chosen}", "FORCED=NO"]
        if told:
            attributes.append(f'LANGUAGE="{language}"')
        if caption.automatic:
            attributes.append('CHARACTERISTICS="public.machine-generated"')
        attributes.append(f'URI="captions/{quote(caption.language, safe="")}.m3u8"')
        yield '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",' + ",".join(attributes)


def _tag(language: str) -> str:
    """A language as RFC 5646 writes it; empty for what is none."""
    tag = language.replace("_", "-")
    return tag if _LANGUAGE.fullmatch(tag) else ""


def _quoted(text: str) -> str:
    """What may stand in a quoted string: no quote, no line end (RFC 8216 4.2)."""
    return "".join(c for c in text.replace('"', "'") if c.isprintable())


def _modest_first(pictures: list[PlayableRendition]) -> list[PlayableRendition]:
    """What common televisions play comes first, then what nobody knows of; a modest one of the best begins."""
    ordered = sorted(pictures, key=lambda r: (_strangeness(r), min(r.width, r.height), r.size, r.name))
    best = [r for r in ordered if _strangeness(r) == _strangeness(ordered[0])]
    first = next((r for r, after in pairwise([*best, None]) if after is None or _side(after) > MODEST), None)
    return ([first] if first is not None else []) + [r for r in ordered if r is not first]


def _strangeness(rendition: PlayableRendition) -> int:
    """0 where a common television shows its pictures, 1 where their codec is not known, 2 where it does not."""
    shown, _ = parted(rendition.codecs)
    if not shown:
        return 1
    return 0 if all(picture_playable(one, _side(rendition), rendition.fps) for one in shown) else 2


def _side(rendition: PlayableRendition) -> int:
    return min(rendition.width, rendition.height)


def _sizes(rendition: PlayableRendition) -> dict[str, ByteCount]:
    return {f.name: f.size for f in rendition.files}


def _file_address(name: str) -> str:
    return "file/" + quote(name, safe="")
