"""Renditions as HLS text (RFC 8216): this module writes the playlists that players get. Pure; all addresses relative.

Nothing of the origin's own playlists is passed on but byte ranges, durations and codecs.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from urllib.parse import quote

from appliance.domain.shelf import ByteMap, Playable, PlayableCaption, PlayableRendition
from appliance.domain.video import RenditionKind
from appliance.library.bytemap import playlist_text

MODEST = 480
"""Pixels of the shorter side: players begin with the first rendition named, and this much starts anywhere."""


_RUN = 64
"""Segments of one run at most, so that a playlist of 50,000 empty segments costs no more than an honest one."""


def master_playlist(playable: Playable) -> str | None:
    """Return ``master.m3u8``, or None where nothing can be played as HLS.

    BANDWIDTH is the real peak of picture and sound together (RFC 8216 4.3.4.2), unlike the origin's.
    """
    usable = [r for r in playable.renditions if r.kind is RenditionKind.HLS and r.bytemap is not None]
    sounds = [r for r in usable if r.has_audio and not r.has_video]
    pictures = _modest_first([r for r in usable if r.has_video])
    if not usable:
        return None
    captions = offered_captions(playable)
    out = ["#EXTM3U", "#EXT-X-VERSION:7"]
    grouped = any(not r.has_audio for r in pictures) and bool(sounds)
    if grouped:
        out.extend(_audio_lines(sounds))
    out.extend(_subtitle_lines(captions))
    for rendition in pictures or sounds:
        sound = sounds if grouped and not rendition.has_audio else []
        out.extend(_variant_lines(rendition, sound, subtitles=bool(captions)))
    return "\n".join(out) + "\n"


def rendition_playlist(rendition: PlayableRendition) -> str | None:
    """Return ``{rendition}.m3u8``, its media addressed as ``file/{name}``; None for what has no byte map."""
    if rendition.bytemap is None:
        return None
    return playlist_text(rendition.bytemap, {f.name: f.size for f in rendition.files}, _file_address)


def caption_playlist(language: str, duration: int) -> str:
    """Return ``captions/{language}.m3u8``: one WebVTT file over ``duration`` seconds."""
    seconds = max(1, duration)
    return (
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:{seconds}.000000,\n{quote(language, safe='')}.vtt\n#EXT-X-ENDLIST\n"
    )


def offered_captions(playable: Playable) -> tuple[PlayableCaption, ...]:
    """Return one caption a language, a person's before a machine's."""
    chosen: dict[str, PlayableCaption] = {}
    for caption in sorted(playable.captions, key=lambda c: c.automatic):
        chosen.setdefault(caption.language, caption)
    return tuple(chosen.values())


def peak_bandwidth(bytemap: ByteMap) -> int | None:
    """Return the peak in bits/s: of all runs of segments that last 0.5 to 1.5 target durations, the fastest.

    (RFC 8216 4.3.4.2.) None where sizes are not known. A playlist too short for such a run counts as a whole.
    """
    if not _measured(bytemap):
        return None
    sums = [(0.0, 0)]
    for segment in bytemap.segments:
        sums.append((sums[-1][0] + segment.duration, sums[-1][1] + segment.length))
    low, high = 0.5 * bytemap.target_duration, 1.5 * bytemap.target_duration
    peak = 0.0
    for start, (start_time, start_bytes) in enumerate(sums):
        for end_time, end_bytes in sums[start + 1 : start + 1 + _RUN]:
            seconds = end_time - start_time
            if seconds > high + 1e-6:
                break
            if seconds >= low:
                peak = max(peak, (end_bytes - start_bytes) / seconds)
    return _bits(peak) if peak else average_bandwidth(bytemap)


def average_bandwidth(bytemap: ByteMap) -> int | None:
    """Return all segments' bits over all their seconds, None where sizes are not known."""
    if not _measured(bytemap) or bytemap.duration <= 0:
        return None
    return _bits(sum(s.length for s in bytemap.segments) / bytemap.duration)


def _measured(bytemap: ByteMap) -> bool:
    return all(s.length > 0 for s in bytemap.segments)


def _bits(bytes_a_second: float) -> int:
    return int(bytes_a_second * 8) + 1


def _rates(rendition: PlayableRendition) -> tuple[int, int]:
    """(peak, average) in bits/s; where the segments' sizes are not known, from the whole and a margin."""
    if rendition.bytemap is None:
        return 1, 1
    peak, average = peak_bandwidth(rendition.bytemap), average_bandwidth(rendition.bytemap)
    if peak is None or average is None:
        average = _bits(rendition.size / max(rendition.bytemap.duration, 1.0))
        peak = average * 2
    return peak, average


def _variant_lines(rendition: PlayableRendition, sounds: list[PlayableRendition], *, subtitles: bool) -> Iterator[str]:
    peak, average = _rates(rendition)
    sound = [_rates(s) for s in sounds]
    attributes = [
        f"BANDWIDTH={peak + max((p for p, _ in sound), default=0)}",
        f"AVERAGE-BANDWIDTH={average + max((a for _, a in sound), default=0)}",
    ]
    codecs = _codecs([rendition, *sounds[:1]])
    if codecs:
        attributes.append(f'CODECS="{codecs}"')
    if rendition.has_video and rendition.width and rendition.height:
        attributes.append(f"RESOLUTION={rendition.width}x{rendition.height}")
    if rendition.has_video and rendition.fps > 0:
        attributes.append(f"FRAME-RATE={rendition.fps:.3f}")
    if sounds:
        attributes.append('AUDIO="audio"')
    if subtitles:
        attributes.append('SUBTITLES="subtitles"')
    yield "#EXT-X-STREAM-INF:" + ",".join(attributes)
    yield f"{quote(rendition.name, safe='')}.m3u8"


def _codecs(renditions: Iterable[PlayableRendition]) -> str:
    """All codecs of what plays together (RFC 6381), each once; empty where one of them is not known."""
    out: dict[str, None] = {}
    for rendition in renditions:
        if not rendition.codecs:
            return ""
        out.update(dict.fromkeys(c.strip() for c in rendition.codecs.split(",") if c.strip()))
    return _quoted(",".join(out))


def _audio_lines(sounds: list[PlayableRendition]) -> Iterator[str]:
    for number, sound in enumerate(sounds):
        name = "Audio" if number == 0 else f"Audio {number + 1}"
        default = "YES" if number == 0 else "NO"
        yield (
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="{name}",AUTOSELECT=YES,DEFAULT={default},'
            f'URI="{quote(sound.name, safe="")}.m3u8"'
        )


def _subtitle_lines(captions: tuple[PlayableCaption, ...]) -> Iterator[str]:
    names: set[str] = set()
    for caption in captions:
        label = _quoted(caption.label)[:100] or caption.language
        name = label if label not in names else f"{label} ({caption.language})"
        names.add(name)
        yield (
            f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="{name}",DEFAULT=NO,AUTOSELECT=NO,FORCED=NO,'
            f'LANGUAGE="{_quoted(caption.language)}",URI="captions/{quote(caption.language, safe="")}.m3u8"'
        )


def _quoted(text: str) -> str:
    """What may stand in a quoted string: no quote, no line end (RFC 8216 4.2)."""
    return "".join(c for c in text.replace('"', "'") if c.isprintable())


def _modest_first(pictures: list[PlayableRendition]) -> list[PlayableRendition]:
    ordered = sorted(pictures, key=lambda r: (min(r.width, r.height), r.size, r.name))
    first = next((r for r, after in pairwise([*ordered, None]) if after is None or _side(after) > MODEST), None)
    return ([first] if first is not None else []) + [r for r in ordered if r is not first]


def _side(rendition: PlayableRendition) -> int:
    return min(rendition.width, rendition.height)


def _file_address(name: str) -> str:
    return "file/" + quote(name, safe="")
